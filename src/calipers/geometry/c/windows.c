/* Sums, means and extremes in square windows. A column of 2 * reach + 1 rows is gathered in `row`,
 * then as many neighbours of it: both loops run along the row, which compilers turn into vectors. */
#include "kernel.h"

#include <math.h>

#define ADD(a, b) ((a) + (b))

/* Defines a function that combines all values in a window around each pixel; NOTHING is what
 * combining with it changes nothing. Two rows, and two neighbours, are taken at a time. */
#define DEFINE_WINDOW(NAME, COMBINE, NOTHING)                                                      \
    void NAME(const float *in, int32_t height, int32_t width, int32_t reach, float *out,           \
              float *row) {                                                                        \
        float *middle = row + reach;                                                               \
        for (int32_t u = 0; u < reach; u++) row[u] = middle[width + u] = NOTHING;                  \
        for (int32_t v = 0; v < height; v++) {                                                     \
            float *to = out + area(v, width);                                                      \
            int32_t k = most(0, v - reach), last = least(height - 1, v + reach);                   \
            const float *from = in + area(k, width);                                               \
            for (int32_t u = 0; u < width; u++) middle[u] = from[u];                               \
            for (k++; k < last; k += 2) {                                                          \
                const float *one = in + area(k, width), *two = one + width;                        \
                for (int32_t u = 0; u < width; u++)                                                \
                    middle[u] = COMBINE(middle[u], COMBINE(one[u], two[u]));                       \
            }                                                                                      \
            from = in + area(last, width);                                                         \
            for (int32_t u = 0; k == last && u < width; u++)                                       \
                middle[u] = COMBINE(middle[u], from[u]);                                           \
            for (int32_t u = 0; u < width; u++) to[u] = row[u];                                    \
            for (int32_t n = 1; n < 2 * reach; n += 2)                                             \
                for (int32_t u = 0; u < width; u++)                                                \
                    to[u] = COMBINE(to[u], COMBINE(row[u + n], row[u + n + 1]));                   \
        }                                                                                          \
    }

DEFINE_WINDOW(box_sum, ADD, 0.0f)
DEFINE_WINDOW(box_max, larger, -INFINITY)
DEFINE_WINDOW(box_min, smaller, INFINITY)

void box_mean(const float *in, const byte *where, int32_t height, int32_t width, int32_t reach,
              float *out, MeanRoom *room) {
    size_t count = area(height, width);
    float *restrict values = room->values, *restrict weights = room->weights;
    float *restrict sums = room->sums, *restrict mean = out;
    for (size_t i = 0; i < count; i++) {
        weights[i] = (float)where[i];
        values[i] = weights[i] * in[i];
    }
    box_sum(values, height, width, reach, mean, room->row);
    box_sum(weights, height, width, reach, sums, room->row);
    for (size_t i = 0; i < count; i++) mean[i] /= larger(sums[i], 1.0f);
}

void coarse_mean(const float *in, const byte *where, int32_t height, int32_t width, int32_t reach,
                 float *out, MeanRoom *room) {
    int32_t rows = (height + 1) / 2, columns = (width + 1) / 2;
    size_t count = area(rows, columns);
    for (int32_t v = 0; v < rows; v++) {
        const float *from = in + area(2 * v, width);
        const byte *flag = where + area(2 * v, width);
        float *restrict weights = room->weights + area(v, columns);
        float *restrict values = room->values + area(v, columns);
        for (int32_t u = 0; u < columns; u++) {
            weights[u] = (float)flag[2 * u];
            values[u] = weights[u] * from[2 * u];
        }
    }
    box_sum(room->values, rows, columns, reach, room->sums, room->row);
    box_sum(room->weights, rows, columns, reach, room->values, room->row);
    float *restrict mean = room->sums, *restrict share = room->values;
    for (size_t i = 0; i < count; i++) mean[i] /= larger(share[i], 1.0f);
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
