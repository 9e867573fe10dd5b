/* What surrounds an object: large planes that its mask bleeds onto, and what it stands on. */
#include "kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A reading is on a surface within this many metres: fixed, by depth, and by its deviations. */
#define FIXED_M 0.002f
#define BY_DEPTH 0.003f
#define ON_SURFACE_NOISE 2.5f
/* A surface counts when more than this share of the ring of so many pixels around the mask is on
 * it, and at most this share of the inside. */
#define RING_PX 6
#define RING_SHARE 0.05
#define INSIDE_SHARE 0.5

/* What an object stands on is looked for between these steps from its mask. */
#define NEAR_PX 2
#define FAR_PX 7
/* Rise over so many rows up and down that tells upright surfaces, in footprints of a pixel. */
#define RISE_ROWS 2
#define RISE 1.6f
/* How many readings a base needs: fixed, and as a share of all that are looked at. */
#define BASE_READINGS 20
#define BASE_SHARE 0.03
/* Readings that must agree on one height: fixed, and as a share of the level ones. */
#define AGREEING 15
#define AGREEING_SHARE 0.15
/* Deviations within which heights agree, metres below an object's extent that are looked at, and the
 * most bins of heights; beyond that, nothing is sure. */
#define BASE_NOISE 4.0f
#define BELOW_M 0.03f
#define MOST_BINS 65536
/* Rows under the mask in which the surface is seen, the first and one past the last. */
#define UNDER_FIRST 3
#define UNDER_END 7
/* An inside with fewer readings has no height. */
#define LEAST_PIXELS 12

/* Coordinate of every pixel along a unit axis of the camera frame, metres; 0 without a reading. */
API void along(const Crop *crop, const float axis[3], float *out) {
    for (int32_t v = 0; v < crop->height; v++) {
        float row = axis[1] * crop->ray_y[v] + axis[2];
        const float *z = crop->z + area(v, crop->width);
        float *to = out + area(v, crop->width);
        for (int32_t u = 0; u < crop->width; u++) to[u] = (axis[0] * crop->ray_x[u] + row) * z[u];
    }
}

static float tolerance(float z, float deviation) {
    return FIXED_M + BY_DEPTH * z + deviation * z * z;
}

/* Average the inverse depth of 3x3 readings and turn it into depth; 0 stays 0. */
static int32_t smooth_depth(const Crop *crop, const byte *valid, float *z, float *room_for_mean) {
    size_t count = area(crop->height, crop->width);
    MeanRoom room = {room_for_mean, room_for_mean + count, room_for_mean + 2 * count,
                     room_for_mean + 3 * count};
    box_mean(crop->inverse, valid, crop->height, crop->width, 1, z, &room);
    for (size_t i = 0; i < count; i++) z[i] = valid[i] && z[i] > 0 ? 1 / z[i] : 0;
    return 0;
}

/* Mark the pixels on one plane, and count those in the ring and inside. */
static void on_plane(const Crop *crop, const float plane[4], const float *limit, const byte *ring,
                     const byte *inside, byte *here, int32_t counts[2]) {
    for (int32_t v = 0; v < crop->height; v++) {
        float row = plane[1] * crop->ray_y[v] + plane[2];
        size_t start = area(v, crop->width);
        int32_t rings = 0, insides = 0;
        for (int32_t u = 0; u < crop->width; u++) {
            size_t i = start + (size_t)u;
            float height = (plane[0] * crop->ray_x[u] + row) * crop->z[i] + plane[3];
            here[i] = fabsf(height) < limit[i];
            rings += here[i] & ring[i];
            insides += here[i] & inside[i];
        }
        counts[0] += rings;
        counts[1] += insides;
    }
}

static void mark(const Crop *crop, const float *planes, int32_t count, const float *limit,
                 byte *room, byte *on) {
    size_t pixels = area(crop->height, crop->width);
    byte *ring = room, *inside = room + pixels, *here = room + 2 * pixels;
    int32_t rings = 0, insides = 0;
    for (size_t i = 0; i < pixels; i++) {
        byte valid = crop->inverse[i] > 0;
        ring[i] = valid & !crop->mask[i] & (crop->outside[i] <= RING_PX);
        inside[i] = valid & (crop->inside[i] > BAND_PX);
        rings += ring[i];
        insides += inside[i];
        on[i] = 0;
    }
    for (int32_t k = 0; k < count; k++) {
        int32_t counts[2] = {0, 0};
        on_plane(crop, planes + 4 * k, limit, ring, inside, here, counts);
        if (!(counts[0] > RING_SHARE * rings && counts[1] <= INSIDE_SHARE * insides)) continue;
        for (size_t i = 0; i < pixels; i++) on[i] |= here[i] & (crop->inverse[i] > 0);
    }
}

/* Mark the pixels that lie on surfaces around the object.
 *
 * A surface counts when the ring around the mask shows it and the inside of the mask does not.
 * planes: (count, 4) unit normal and offset, height above a plane = normal . X + offset.
 * noise: deviation of the inverse depth; exact: readings need no smoothing. on (out): (h, w). */
API int32_t surfaces(const Crop *crop, const float *planes, int32_t count, double noise,
                     int32_t exact, byte *on) {
    size_t pixels = area(crop->height, crop->width);
    float *floats = malloc((5 * pixels + (size_t)crop->width + 16) * sizeof(float) + 3 * pixels);
    if (!floats) return NO_MEMORY;
    float *steady = floats, *limit = floats + pixels, *mean = floats + 2 * pixels;
    byte *bytes = (byte *)(floats + 5 * pixels + (size_t)crop->width + 16);
    Crop smoothed = *crop;
    if (!exact) {
        for (size_t i = 0; i < pixels; i++) bytes[i] = crop->inverse[i] > 0;
        smooth_depth(crop, bytes, steady, mean);
        smoothed.z = steady;
    }
    float deviation = ON_SURFACE_NOISE * (float)noise;
    for (size_t i = 0; i < pixels; i++) limit[i] = tolerance(smoothed.z[i], deviation);
    mark(&smoothed, planes, count, limit, bytes, on);
    free(floats);
    return 0;
}

/* Heights of the inside of the object (all of it where it has none); returns how many. */
static int64_t inside_heights(const Crop *crop, const float *height, float *out) {
    size_t pixels = area(crop->height, crop->width);
    int64_t taken = 0;
    for (size_t i = 0; i < pixels; i++)
        if (crop->inside[i] > BAND_PX && crop->inverse[i] > 0) out[taken++] = height[i];
    if (taken) return taken;
    for (size_t i = 0; i < pixels; i++)
        if (crop->mask[i] && crop->inverse[i] > 0) out[taken++] = height[i];
    return taken;
}

/* Heights around an object and how exactly they are known. */
typedef struct {
    int64_t seen, count; /* readings with others above and below, and the level ones among them */
    float *heights, *limits;
} Levels;

/* Collect the heights of level surfaces around the mask, at most halfway up the object. */
static void find_levels(const Crop *crop, const float *height, float low, float high, float noise,
                        Levels *found) {
    float top = (low + high) / 2, bottom = low - (high - low) - BELOW_M;
    float footprint = RISE / (float)crop->fy;
    size_t apart = area(RISE_ROWS, crop->width);
    found->seen = found->count = 0;
    for (int32_t v = RISE_ROWS; v < crop->height - RISE_ROWS; v++)
        for (size_t i = area(v, crop->width); i < area(v + 1, crop->width); i++) {
            byte steps = crop->outside[i];
            if (steps <= NEAR_PX || steps > FAR_PX || !(crop->inverse[i] > 0)) continue;
            if (!(crop->inverse[i - apart] > 0 && crop->inverse[i + apart] > 0)) continue;
            found->seen++;
            float rise = fabsf(height[i - apart] - height[i + apart]);
            if (!(rise < footprint * crop->z[i] && height[i] < top && height[i] > bottom)) continue;
            found->limits[found->count] = tolerance(crop->z[i], BASE_NOISE * noise);
            found->heights[found->count++] = height[i];
        }
}

/* The highest level below `limit` at which many heights agree within `bin_m`; returns 0 if none. */
static int32_t highest_mode(Levels *levels, double bin_m, double limit, double *mode) {
    float lowest = levels->heights[0], highest = lowest;
    for (int64_t k = 1; k < levels->count; k++) {
        lowest = smaller(lowest, levels->heights[k]);
        highest = larger(highest, levels->heights[k]);
    }
    double span = ((double)highest - lowest) / bin_m;
    if (!(span < MOST_BINS - 1)) return 0;
    int32_t bins = (int32_t)span + 1, top = -1;
    int32_t *counts = calloc((size_t)bins, sizeof(int32_t));
    if (!counts) return NO_MEMORY;
    for (int64_t k = 0; k < levels->count; k++)
        counts[least(bins - 1, (int32_t)(((double)levels->heights[k] - lowest) / bin_m))]++;
    double needed = fmax(AGREEING, AGREEING_SHARE * (double)levels->count);
    for (int32_t k = 0; k < bins; k++)
        if (counts[k] >= needed && lowest + k * bin_m <= limit) top = k;
    int32_t best = top - (top > 0 && counts[top - 1] > counts[top]);
    free(counts);
    if (top < 0) return 0;
    double middle = lowest + (best + 0.5) * bin_m;
    int64_t close = 0;
    for (int64_t k = 0; k < levels->count; k++)
        if (fabs(levels->heights[k] - middle) < bin_m)
            levels->heights[close++] = levels->heights[k];
    *mode = median_of(levels->heights, close);
    return 1;
}

/* How far ahead the surface is that is seen just under an object; -infinity when none is. */
static double seen_under(const Crop *crop, const float ahead[3], float *room) {
    int32_t w = crop->width, bottom = crop->height - 1;
    while (bottom >= 0 && !memchr(crop->mask + area(bottom, w), 1, (size_t)w)) bottom--;
    int64_t taken = 0;
    for (int32_t u = 0; bottom >= 0 && u < w; u++) {
        byte above = 0;
        for (int32_t v = most(0, bottom - UNDER_FIRST); v <= bottom; v++)
            above |= crop->mask[area(v, w) + (size_t)u];
        if (!above) continue;
        for (int32_t v = bottom + UNDER_FIRST; v < least(crop->height, bottom + UNDER_END); v++) {
            float z = crop->z[area(v, w) + (size_t)u];
            if (z > 0)
                room[taken++] =
                    (ahead[0] * crop->ray_x[u] + ahead[1] * crop->ray_y[v] + ahead[2]) * z;
        }
    }
    return taken ? median_of(room, taken) : -INFINITY;
}

static int32_t base_in(const Crop *crop, const float up[3], const float ahead[3], float noise,
                       float *room, double out[2]) {
    size_t pixels = area(crop->height, crop->width);
    float *height = room, some[MOST_VALUES + 1];
    Levels levels = {0, 0, room + pixels, room + 2 * pixels};
    along(crop, up, height);
    int64_t count = inside_heights(crop, height, levels.heights);
    if (count < LEAST_PIXELS) return 0;
    count = thin_values(levels.heights, count, some);
    float low = at_share(some, count, 0.02), high = at_share(some, count, 0.98);
    find_levels(crop, height, low, high, noise, &levels);
    if (levels.count < fmax(BASE_READINGS, BASE_SHARE * (double)levels.seen)) return 0;
    double bin_m = median_of(levels.limits, levels.count);
    int32_t found = highest_mode(&levels, bin_m, low + 2 * bin_m, &out[0]);
    if (found == 1) out[1] = seen_under(crop, ahead, room);
    return found;
}

/* Find the level surface around an object's lower end.
 *
 * Level surfaces are told from upright ones by the height of pixels a few rows apart, which differs
 * by as many footprints on a wall. up, ahead: unit axes of the level frame, camera coordinates.
 * out: its height along `up` from the camera, and how far ahead it is seen just under the object
 * (-infinity when it is not seen there), metres. Returns 1 when there is one, else 0. */
API int32_t find_base(const Crop *crop, const float up[3], const float ahead[3], double noise,
                      double out[2]) {
    float *room = malloc(3 * area(crop->height, crop->width) * sizeof(float));
    if (!room) return NO_MEMORY;
    int32_t found = base_in(crop, up, ahead, (float)noise, room, out);
    free(room);
    return found;
}
