/* Clouds of points, (N, 3) in metres: few points that stand for many, and close points of two. */
#include "kernel.h"

#include <math.h>
#include <stdlib.h>

/* Of each cloud so many points are tried first, then so many, then perhaps all. */
#define FEW 128
#define LANES 8 /* so many at a time */
#define MORE 800
/* How often one goes to the nearest point of the other cloud and back. */
#define ROUNDS 2
/* All points are searched when the closest of MORE are within so many of their spacings. */
#define SPACINGS 5.0f
#define DIRECTIONS 26
#define ENDS_OF 2000

/* Index of the k-th of `wanted` evenly chosen points among `count`, the last being the last. */
static int64_t even(int64_t k, int64_t wanted, int64_t count) {
    if (k == wanted - 1 && wanted > 1) return count - 1;
    double step = wanted > 1 ? (double)(count - 1) / (double)(wanted - 1) : 0.0;
    return (int64_t)((double)k * step);
}

/* The farthest of some evenly chosen points along the directions to the 26 neighbours in a 3x3x3
 * grid: both ends along 13 axes. */
static void mark_ends(const float *points, int64_t count, byte *chosen) {
    int64_t stride = 1 + count / ENDS_OF;
    for (int32_t d = 0; d < DIRECTIONS / 2; d++) {
        float x = (float)(d % 3 - 1), y = (float)(d / 3 % 3 - 1), z = (float)(d / 9 - 1);
        float low = INFINITY, high = -INFINITY;
        int64_t lowest = 0, highest = 0;
        for (int64_t k = 0; k < count; k += stride) {
            float at = x * points[3 * k] + y * points[3 * k + 1] + z * points[3 * k + 2];
            if (at < low) low = at, lowest = k;
            if (at > high) high = at, highest = k;
        }
        chosen[lowest] = chosen[highest] = 1;
    }
}

/* Choose at most `wanted` of more than that many points: the ends along 26 directions, the rest
 * evenly. chosen (count): 0 on entry. */
API void choose_points(const float *points, int64_t count, int64_t wanted, byte *chosen) {
    int64_t rest = wanted - DIRECTIONS;
    for (int64_t k = 0; k < rest; k++) chosen[even(k, rest, count)] = 1;
    mark_ends(points, count, chosen);
}

static float square(const float *a, const float *b) {
    float x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
    return x * x + y * y + z * z;
}

static const float *nearest(const float *points, int64_t count, const float *to) {
    const float *found = points;
    float best = INFINITY;
    for (int64_t k = 0; k < count; k++) {
        float here = square(points + 3 * k, to);
        if (here < best) best = here, found = points + 3 * k;
    }
    return found;
}

/* The least squared distance from `to` to the FEW points at x, y, z. */
static float least_square(const float *x, const float *y, const float *z, const float *to) {
    float lowest[LANES];
    for (int32_t lane = 0; lane < LANES; lane++) lowest[lane] = INFINITY;
    for (int32_t k = 0; k < FEW; k += LANES)
        for (int32_t lane = 0; lane < LANES; lane++) {
            float dx = x[k + lane] - to[0], dy = y[k + lane] - to[1], dz = z[k + lane] - to[2];
            lowest[lane] = smaller(lowest[lane], dx * dx + dy * dy + dz * dz);
        }
    for (int32_t lane = 1; lane < LANES; lane++) lowest[0] = smaller(lowest[0], lowest[lane]);
    return lowest[0];
}

/* One cloud and what is sampled from it. */
typedef struct {
    const float *points;
    int64_t count;
    float few[3 * FEW], more[3 * MORE], extent;
} Cloud;

static void sample(const float *points, int64_t count, int64_t wanted, float *out) {
    for (int64_t k = 0; k < wanted; k++)
        for (int32_t axis = 0; axis < 3; axis++)
            out[3 * k + axis] = points[3 * even(k, wanted, count) + axis];
}

static void prepare(const float *points, int64_t count, Cloud *cloud) {
    cloud->points = points, cloud->count = count, cloud->extent = 0;
    sample(points, count, FEW, cloud->few);
    sample(points, count, MORE, cloud->more);
    for (int32_t axis = 0; axis < 3; axis++) {
        float low = INFINITY, high = -INFINITY;
        for (int64_t k = 0; k < MORE; k++) {
            low = smaller(low, cloud->more[3 * k + axis]);
            high = larger(high, cloud->more[3 * k + axis]);
        }
        cloud->extent = larger(cloud->extent, high - low);
    }
}

static void closest(const Cloud *a, const Cloud *b, float ends[6]) {
    const float *at_a = a->few, *at_b = b->few;
    float best = INFINITY, x[FEW], y[FEW], z[FEW];
    for (int32_t k = 0; k < FEW; k++)
        x[k] = b->few[3 * k], y[k] = b->few[3 * k + 1], z[k] = b->few[3 * k + 2];
    for (int32_t k = 0; k < FEW; k++) {
        float here = least_square(x, y, z, a->few + 3 * k);
        if (here < best) best = here, at_a = a->few + 3 * k;
    }
    for (int32_t round = 0; round < ROUNDS; round++) {
        at_b = nearest(b->more, MORE, at_a);
        at_a = nearest(a->more, MORE, at_b);
    }
    float spacing = larger(a->extent, b->extent) / sqrtf(MORE);
    if (sqrtf(square(at_a, at_b)) < SPACINGS * spacing)
        for (int32_t round = 0; round < ROUNDS; round++) {
            at_b = nearest(b->points, b->count, at_a);
            at_a = nearest(a->points, a->count, at_b);
        }
    for (int32_t axis = 0; axis < 3; axis++) ends[axis] = at_a[axis], ends[3 + axis] = at_b[axis];
}

/* Close points of every two of `clouds`: ends (clouds * (clouds - 1) / 2, 2, 3), pairs in the order
 * (0, 1), (0, 2), ... `starts` (clouds + 1): cloud k has the points starts[k] to starts[k + 1] - 1,
 * at least one. */
API int32_t closest_pairs(const float *points, const int64_t *starts, int32_t clouds, float *ends) {
    Cloud *all = malloc((size_t)clouds * sizeof(Cloud) + 1);
    if (!all) return NO_MEMORY;
    for (int32_t k = 0; k < clouds; k++)
        prepare(points + 3 * starts[k], starts[k + 1] - starts[k], &all[k]);
    for (int32_t a = 0; a < clouds; a++)
        for (int32_t b = a + 1; b < clouds; b++, ends += 6) closest(&all[a], &all[b], ends);
    free(all);
    return 0;
}

/* Store (count, 3) points, at least one, as steps from an origin: points = origin + scale * steps. The
 * scale is 1 / MOST_SCALE of the largest extent, and at least LEAST_M. */
#define MOST_SCALE 2000
#define LEAST_M 1e-4
API void quantise(const float *points, int64_t count, int16_t *steps, float origin[3],
                  double *scale) {
    double extent = 0;
    for (int32_t axis = 0; axis < 3; axis++) {
        float low = points[axis], high = points[axis];
        for (int64_t k = 1; k < count; k++) {
            low = smaller(low, points[3 * k + axis]);
            high = larger(high, points[3 * k + axis]);
        }
        origin[axis] = low;
        extent = fmax(extent, (double)(high - low));
    }
    *scale = fmax(LEAST_M, extent / MOST_SCALE);
    float step = (float)*scale;
    for (int64_t k = 0; k < 3 * count; k++)
        steps[k] = (int16_t)nearbyintf((points[k] - origin[k % 3]) / step);
}
