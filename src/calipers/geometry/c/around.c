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
/* The same in extents of what is seen, and in widths of it: from above, half of a ball is, and of a
 * block the top alone. */
#define BELOW_EXTENTS 2
#define BELOW_WIDTHS 1
/* What carries an object surrounds its foot: directions from there to it have a mean shorter than
 * this. Of so many heights, from the highest down, the first that does is taken. */
#define ONE_SIDED 0.85
#define MOST_LEVELS 3
#define MOST_BINS 65536
/* Rows under the mask in which the surface is seen, the first and one past the last. */
#define UNDER_FIRST 3
#define UNDER_END 7
/* At most so many pixels of it are named. */
#define MOST_SEEN 64
/* The lower and the upper end of an object: shares of its readings. */
static const double END_SHARES[] = {0.02, 0.98};
/* An inside with fewer readings has no height. */
#define LEAST_PIXELS 12

/* Coordinate of every pixel at depth `z` (height, width) along a unit axis of the camera frame. */
API void along(const Crop *crop, const double axis[3], const float *z, float *out) {
    float x = (float)axis[0], y = (float)axis[1], ahead = (float)axis[2];
    for (int32_t v = 0; v < crop->height; v++) {
        float row = y * crop->ray_y[v] + ahead;
        size_t start = area(v, crop->width);
        for (int32_t u = 0; u < crop->width; u++)
            out[start + (size_t)u] = (x * crop->ray_x[u] + row) * z[start + (size_t)u];
    }
}

static float tolerance(float z, float deviation) {
    return FIXED_M + BY_DEPTH * z + deviation * z * z;
}

/* Average the inverse depth of 3x3 readings and turn it into depth; 0 stays 0. `valid` has one byte
 * a pixel and `room` 3 floats and some. */
static void smooth_depth(const Crop *crop, byte *valid, float *z, float *room) {
    size_t count = area(crop->height, crop->width);
    MeanRoom mean = {room, room + count, room + 2 * count, room + 3 * count};
    for (size_t i = 0; i < count; i++) valid[i] = crop->z[i] > 0;
    box_mean(crop->inverse, valid, crop->height, crop->width, 1, z, &mean);
    for (size_t i = 0; i < count; i++) z[i] = valid[i] && z[i] > 0 ? 1 / z[i] : 0;
}

/* Points of some pixels, camera frame, and how far they may be from a surface, metres. */
typedef struct {
    int32_t count;
    float *x, *y, *z, *limit;
} Points;

static void collect(const Crop *crop, const float *limit, const byte *chosen, Points *found) {
    found->count = 0;
    for (int32_t v = 0; v < crop->height; v++)
        for (int32_t u = 0; u < crop->width; u++) {
            size_t i = area(v, crop->width) + (size_t)u;
            if (!chosen[i]) continue;
            found->x[found->count] = crop->ray_x[u] * crop->z[i];
            found->y[found->count] = crop->ray_y[v] * crop->z[i];
            found->z[found->count] = crop->z[i];
            found->limit[found->count++] = limit[i];
        }
}

static int32_t count_on(const Points *points, const float plane[4]) {
    int32_t found = 0;
    for (int32_t k = 0; k < points->count; k++) {
        float height = plane[0] * points->x[k] + plane[1] * points->y[k];
        height += plane[2] * points->z[k] + plane[3];
        found += fabsf(height) < points->limit[k];
    }
    return found;
}

/* Mark the readings that are on a plane. */
static void mark(const Crop *crop, const float plane[4], const float *limit, byte *on) {
    const float *z = crop->z, *ray_x = crop->ray_x;
    byte *restrict marked = on;
    for (int32_t v = 0; v < crop->height; v++) {
        float row = plane[1] * crop->ray_y[v] + plane[2];
        size_t start = area(v, crop->width);
        for (int32_t u = 0; u < crop->width; u++) {
            size_t i = start + (size_t)u;
            float height = (plane[0] * ray_x[u] + row) * z[i] + plane[3];
            marked[i] |= (fabsf(height) < limit[i]) & (z[i] > 0);
        }
    }
}

/* Mark the surfaces that the ring around the mask shows and its inside does not. `room`: 4 floats and
 * a byte a pixel. */
static void mark_all(const Crop *crop, const float *planes, int32_t count, const float *limit,
                     float *room, byte *chosen, byte *on) {
    size_t pixels = area(crop->height, crop->width);
    Points ring = {0, room, room + pixels, room + 2 * pixels, room + 3 * pixels};
    for (size_t i = 0; i < pixels; i++)
        chosen[i] = (crop->z[i] > 0) & !crop->mask[i] & (crop->outside[i] <= RING_PX);
    collect(crop, limit, chosen, &ring);
    size_t after = (size_t)ring.count; /* ring and inside have no pixel in common */
    Points inside = {0, ring.x + after, ring.y + after, ring.z + after, ring.limit + after};
    for (size_t i = 0; i < pixels; i++)
        chosen[i] = (crop->z[i] > 0) & (crop->inside[i] > BAND_PX);
    collect(crop, limit, chosen, &inside);
    memset(on, 0, pixels);
    for (int32_t k = 0; k < count; k++) {
        const float *plane = planes + 4 * k;
        if (count_on(&ring, plane) > RING_SHARE * ring.count &&
            count_on(&inside, plane) <= INSIDE_SHARE * inside.count)
            mark(crop, plane, limit, on);
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
    float *floats = malloc((6 * pixels + (size_t)crop->width + 16) * sizeof(float) + pixels);
    if (!floats) return NO_MEMORY;
    float *steady = floats, *limit = floats + pixels, *room = floats + 2 * pixels;
    byte *bytes = (byte *)(floats + 6 * pixels + (size_t)crop->width + 16);
    Crop smoothed = *crop;
    if (!exact) {
        smooth_depth(crop, bytes, steady, room);
        smoothed.z = steady;
    }
    float deviation = ON_SURFACE_NOISE * (float)noise;
    for (size_t i = 0; i < pixels; i++) limit[i] = tolerance(smoothed.z[i], deviation);
    mark_all(&smoothed, planes, count, limit, room, bytes, on);
    free(floats);
    return 0;
}

/* Heights of the inside of the object (all of it where that is too little); returns how many. */
static int64_t inside_heights(const Crop *crop, const float *height, float *out) {
    size_t pixels = area(crop->height, crop->width);
    int64_t taken = 0;
    for (size_t i = 0; i < pixels; i++)
        if (crop->inside[i] > BAND_PX && crop->inverse[i] > 0) out[taken++] = height[i];
    if (taken >= LEAST_PIXELS) return taken;
    taken = 0;
    for (size_t i = 0; i < pixels; i++)
        if (crop->mask[i] && crop->inverse[i] > 0) out[taken++] = height[i];
    return taken;
}

/* How wide an object is, metres: the side of a square that covers as much of the picture. */
static float width_of(const Crop *crop) {
    size_t pixels = area(crop->height, crop->width);
    double count = 0, depth = 0;
    for (size_t i = 0; i < pixels; i++)
        if (crop->mask[i] && crop->inverse[i] > 0) count++, depth += crop->z[i];
    return count > 0 ? (float)(depth / sqrt(count) / crop->fx) : 0;
}

/* Pixels of the ring around a mask with a reading, in their order. */
static int32_t ring_pixels(const Crop *crop, int32_t *ring) {
    int32_t count = 0, pixels = (int32_t)area(crop->height, crop->width);
    for (int32_t i = 0; i < pixels; i++) {
        ring[count] = i;
        count += (crop->outside[i] > NEAR_PX) & (crop->outside[i] <= FAR_PX) & (crop->inverse[i] > 0);
    }
    return count;
}

/* Heights around an object and how exactly they are known. */
typedef struct {
    int64_t seen, count; /* readings with others above and below, and the level ones among them */
    float *heights, *limits;
    int32_t ring_count, *ring;
} Levels;

/* Collect the heights of level surfaces around the mask, at most halfway up the object. */
static void find_levels(const Crop *crop, const float *height, float low, float high, float noise,
                        Levels *found) {
    float below = larger(BELOW_EXTENTS * (high - low), BELOW_WIDTHS * width_of(crop));
    float top = (low + high) / 2, bottom = low - below - BELOW_M;
    float footprint = RISE / (float)crop->fy;
    int32_t apart = RISE_ROWS * crop->width, pixels = crop->height * crop->width;
    found->seen = found->count = 0;
    for (int32_t k = 0; k < found->ring_count; k++) {
        int32_t i = found->ring[k];
        if (i < apart || i >= pixels - apart) continue;
        if (!(crop->inverse[i - apart] > 0 && crop->inverse[i + apart] > 0)) continue;
        found->seen++;
        float rise = fabsf(height[i - apart] - height[i + apart]);
        if (!(rise < footprint * crop->z[i] && height[i] < top && height[i] > bottom)) continue;
        found->limits[found->count] = tolerance(crop->z[i], BASE_NOISE * noise);
        found->heights[found->count++] = height[i];
    }
}

/* The highest level below `limit` at which many heights agree within `bin_m`; returns 0 if none.
 * Overwrites the limits. */
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
        if (fabs(levels->heights[k] - middle) < bin_m) levels->limits[close++] = levels->heights[k];
    *mode = median_of(levels->limits, close);
    return 1;
}

/* How far ahead the surface is that is seen just under an object; -infinity when none is. */
static double seen_under(const Crop *crop, const double ahead[3], float *room) {
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
                room[taken++] = z * (float)(ahead[0] * crop->ray_x[u] +
                                            ahead[1] * crop->ray_y[v] + ahead[2]);
        }
    }
    return taken ? median_of(room, taken) : -INFINITY;
}

/* Find pixels of the ring around the mask within `bin_m` of a height, at most MOST_SEEN of them,
 * evenly chosen; fills the rest of `seen` with -1. */
static void pixels_at(const Levels *levels, const float *height, double level, double bin_m,
                      int32_t *seen) {
    int32_t count = 0, taken = 0;
    for (int32_t pass = 0, stride = 1; pass < 2; pass++, stride = 1 + count / MOST_SEEN, count = 0)
        for (int32_t k = 0; k < levels->ring_count; k++) {
            int32_t i = levels->ring[k];
            if (fabs(height[i] - level) < bin_m && count++ % stride == 0 && pass == 1)
                seen[taken++] = i;
        }
    while (taken < MOST_SEEN) seen[taken++] = -1;
}

/* Where an object stands in the picture: half as far above the lower end of its mask as that is wide,
 * at most in its middle. */
static void foot_of(const Crop *crop, double *row, double *column) {
    int32_t w = crop->width, top = crop->height, bottom = -1, left = w, right = -1;
    for (int32_t v = 0; v < crop->height; v++) {
        const byte *pixels = crop->mask + area(v, w), *first = memchr(pixels, 1, (size_t)w);
        if (!first) continue;
        int32_t last = w - 1;
        while (last > right && !pixels[last]) last--;
        top = least(top, v), bottom = v;
        left = least(left, (int32_t)(first - pixels)), right = most(right, last);
    }
    *row = fmax((top + bottom) / 2.0, bottom - (right - left) / 2.0);
    int64_t sum = 0, count = 0;
    for (int32_t v = (int32_t)*row; v <= bottom; v++)
        for (int32_t u = left; u <= right; u++) {
            byte on = crop->mask[area(v, w) + (size_t)u];
            sum += on * u, count += on;
        }
    *column = (double)sum / (double)(count + !count);
}

/* Whether the ring around the mask shows a height on more than one side of the object's foot. */
static int surrounds(const Crop *crop, const Levels *levels, const float *height, double level,
                     double bin_m) {
    double row, column, x = 0, y = 0, count = 0;
    float middle = (float)level, within = (float)bin_m;
    foot_of(crop, &row, &column);
    for (int32_t k = 0; k < levels->ring_count; k++) {
        int32_t i = levels->ring[k];
        if (!(fabsf(height[i] - middle) < within)) continue;
        double across = i % crop->width - column, down = i / crop->width - row;
        double away = sqrt(across * across + down * down);
        x += across / away, y += down / away, count++;
    }
    return sqrt(x * x + y * y) < ONE_SIDED * count;
}

static int32_t base_in(const Crop *crop, const double up[3], const double ahead[3], float noise,
                       float *room, double out[2], int32_t *seen) {
    size_t pixels = area(crop->height, crop->width);
    float *height = room, some[MOST_VALUES + 1];
    Levels levels = {0, 0, room + pixels, room + 2 * pixels, 0, (int32_t *)(room + 3 * pixels)};
    levels.ring_count = ring_pixels(crop, levels.ring);
    along(crop, up, crop->z, height);
    int64_t count = inside_heights(crop, height, levels.heights);
    if (count < LEAST_PIXELS) return 0;
    count = thin_values(levels.heights, count, some);
    float ends[2];
    at_shares(some, count, END_SHARES, 2, ends);
    find_levels(crop, height, ends[0], ends[1], noise, &levels);
    if (levels.count < fmax(BASE_READINGS, BASE_SHARE * (double)levels.seen)) return 0;
    double bin_m = median_of(levels.limits, levels.count), level = ends[0] + 2 * bin_m;
    int32_t found = highest_mode(&levels, bin_m, level, &out[0]), around = found;
    level = out[0];
    for (int32_t k = 1; around == 1 && !surrounds(crop, &levels, height, level, bin_m); k++)
        around = k < MOST_LEVELS ? highest_mode(&levels, bin_m, level - 2 * bin_m, &level) : 0;
    if (around == 1) out[0] = level;
    if (found == 1) {
        pixels_at(&levels, height, out[0], bin_m, seen);
        out[1] = seen_under(crop, ahead, room);
    }
    return found;
}

/* Find the level surface around an object's lower end.
 *
 * Level surfaces are told from upright ones by the height of pixels a few rows apart, which differs
 * by as many footprints on a wall. up, ahead: unit axes of the level frame, camera coordinates.
 * out: its height along `up` from the camera, and how far ahead it is seen just under the object
 * (-infinity when it is not seen there), metres. seen (MOST_SEEN): pixels of the crop that show it,
 * then -1. Returns 1 when there is one, else 0. */
API int32_t find_base(const Crop *crop, const double up[3], const double ahead[3], double noise,
                      double out[2], int32_t *seen) {
    float *room = malloc((4 * area(crop->height, crop->width) + 1) * sizeof(float));
    if (!room) return NO_MEMORY;
    int32_t found = base_in(crop, up, ahead, (float)noise, room, out, seen);
    free(room);
    return found;
}
