/* Sums, means and extremes in square windows. A column of 2 * reach + 1 rows is gathered in `row`,
 * then as many neighbours of it: both loops run along the row, which compilers turn into vectors. */
#include "kernel.h"

#include <math.h>

#define ADD(a, b) ((a) + (b))

/* Defines a function that combines all values in a window around each pixel; NOTHING is what
 * combining with it changes nothing. */
#define DEFINE_WINDOW(NAME, COMBINE, NOTHING)                                                      \
    void NAME(const float *in, int32_t height, int32_t width, int32_t reach, float *out,           \
              float *row) {                                                                        \
        float *middle = row + reach;                                                               \
        for (int32_t u = 0; u < reach; u++) row[u] = middle[width + u] = NOTHING;                  \
        for (int32_t v = 0; v < height; v++) {                                                     \
            float *to = out + area(v, width);                                                      \
            for (int32_t u = 0; u < width; u++) middle[u] = NOTHING;                               \
            for (int32_t k = most(0, v - reach); k <= least(height - 1, v + reach); k++) {         \
                const float *from = in + area(k, width);                                           \
                for (int32_t u = 0; u < width; u++) middle[u] = COMBINE(middle[u], from[u]);       \
            }                                                                                      \
            for (int32_t u = 0; u < width; u++) to[u] = row[u];                                    \
            for (int32_t k = 1; k <= 2 * reach; k++)                                               \
                for (int32_t u = 0; u < width; u++) to[u] = COMBINE(to[u], row[u + k]);            \
        }                                                                                          \
    }

DEFINE_WINDOW(box_sum, ADD, 0.0f)
DEFINE_WINDOW(box_max, larger, -INFINITY)
DEFINE_WINDOW(box_min, smaller, INFINITY)

void box_mean(const float *in, const byte *where, int32_t height, int32_t width, int32_t reach,
              float *out, MeanRoom *room) {
    size_t count = area(height, width);
    for (size_t i = 0; i < count; i++) {
        room->weights[i] = where[i] ? 1.0f : 0.0f;
        room->values[i] = where[i] ? in[i] : 0.0f;
    }
    box_sum(room->values, height, width, reach, out, room->row);
    box_sum(room->weights, height, width, reach, room->sums, room->row);
    for (size_t i = 0; i < count; i++) out[i] = out[i] / larger(room->sums[i], 1.0f);
}

void coarse_mean(const float *in, const byte *where, int32_t height, int32_t width, int32_t reach,
                 float *out, MeanRoom *room) {
    int32_t rows = (height + 1) / 2, columns = (width + 1) / 2;
    size_t count = area(rows, columns);
    for (int32_t v = 0; v < rows; v++) {
        const float *from = in + area(2 * v, width);
        const byte *flag = where + area(2 * v, width);
        for (int32_t u = 0; u < columns; u++) {
            room->weights[area(v, columns) + u] = flag[2 * u] ? 1.0f : 0.0f;
            room->values[area(v, columns) + u] = flag[2 * u] ? from[2 * u] : 0.0f;
        }
    }
    box_sum(room->values, rows, columns, reach, room->sums, room->row);
    box_sum(room->weights, rows, columns, reach, room->values, room->row);
    for (size_t i = 0; i < count; i++) room->sums[i] /= larger(room->values[i], 1.0f);
    fine(room->sums, height, width, out);
}

void halve(const float *in, int32_t height, int32_t width, float *out) {
    for (int32_t v = 0; v < height; v += 2)
        for (int32_t u = 0; u < width; u += 2) *out++ = in[area(v, width) + u];
}

void halve_bytes(const byte *in, int32_t height, int32_t width, byte *out) {
    for (int32_t v = 0; v < height; v += 2)
        for (int32_t u = 0; u < width; u += 2) *out++ = in[area(v, width) + u];
}

void fine(const float *half, int32_t height, int32_t width, float *out) {
    int32_t columns = (width + 1) / 2;
    for (int32_t v = 0; v < height; v++) {
        const float *from = half + area(v / 2, columns);
        float *to = out + area(v, width);
        for (int32_t u = 0; u < width / 2; u++) to[2 * u] = to[2 * u + 1] = from[u];
        if (width % 2) to[width - 1] = from[columns - 1];
    }
}
