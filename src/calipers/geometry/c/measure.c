/* What is measured on the pixels of an object: points, box, far side, readings. */
#include "kernel.h"

#include <math.h>
#include <stdlib.h>

/* An inside that reaches beyond the outline by more than minus this part of a footprint is a face
 * across the axis. */
#define FACE 0.35
/* A top is flat when more than so much of the inside lies within so many footprints of one height
 * (taken twice, around where the inside ends and around what that gives), and the outline ends
 * within so many footprints of it. */
#define FLAT_SHARE 0.15
#define FLAT 1.0
#define FLAT_REACH 2.5
/* Where the rows of pixels across a body are read: shares of the way from left to right. */
#define SAMPLES 7
static const double SAMPLE_AT[SAMPLES] = {0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0};
#define LEAST_ACROSS 6
#define LEAST_ROWS 3
/* A section is round when its semi-axis comes out alike, and not lopsided; a body when so many are. */
#define ALIKE_LOW 0.6
#define ALIKE_HIGH 1.5
#define LOPSIDED 4.0
#define ROUND_SHARE 0.4
/* Sections this wide tell how deep a round body is, which must be like its half width. */
#define WIDE 0.7
#define DEEP_LOW 0.5
#define DEEP_HIGH 1.6

/* The reading at the pixel nearest to (row, column). */
static float reading_at(const float *z, int32_t height, int32_t width, double row, double column) {
    double nearest = INFINITY;
    float found = 0;
    for (int32_t v = 0; v < height; v++) {
        double rows = (v - row) * (v - row);
        if (rows >= nearest) continue;
        for (int32_t u = 0; u < width; u++) {
            double apart = rows + (u - column) * (u - column);
            if (z[area(v, width) + (size_t)u] > 0 && apart < nearest)
                nearest = apart, found = z[area(v, width) + (size_t)u];
        }
    }
    return found;
}

/* Points of the object in picture order: points (N, 3), camera frame, metres; on_rim (N). Depth of
 * each pixel (h, w), 0 where there is no object, goes to `z`. depth: mean, 5th, 50th and 95th
 * percentile, and the reading at the pixel nearest to the middle of all. Returns N; 0 leaves `depth`
 * as it is. */
API int32_t gather_points(const Crop *crop, const byte *pixels, const byte *rim,
                          const float *settled, float *z, float *points, byte *on_rim,
                          double depth[5]) {
    int32_t taken = 0, stride = 1, few = 0;
    double rows = 0, columns = 0, sum = 0;
    for (int32_t v = 0; v < crop->height; v++)
        for (int32_t u = 0; u < crop->width; u++) {
            size_t i = area(v, crop->width) + (size_t)u;
            z[i] = pixels[i] ? 1 / settled[i] : 0;
            if (!pixels[i]) continue;
            float *to = points + 3 * (size_t)taken;
            to[0] = crop->ray_x[u] * z[i], to[1] = crop->ray_y[v] * z[i], to[2] = z[i];
            on_rim[taken++] = rim[i];
            rows += v, columns += u, sum += z[i];
        }
    if (!taken) return 0;
    float some[MOST_VALUES + 1];
    stride += taken / MOST_VALUES;
    for (int32_t k = 0; k < taken; k += stride) some[few++] = points[3 * (size_t)k + 2];
    const double shares[] = {0.05, 0.5, 0.95};
    float found[3];
    at_shares(some, few, shares, 3, found);
    depth[0] = sum / taken;
    for (int32_t k = 0; k < 3; k++) depth[1 + k] = found[k];
    depth[4] = reading_at(z, crop->height, crop->width, rows / taken, columns / taken);
    return taken;
}

static float dot(const float *point, const float *axis) {
    return point[0] * axis[0] + point[1] * axis[1] + point[2] * axis[2];
}

/* Coordinates of the points of the rim (all) and of the others (evenly thinned) along an axis, and
 * the depth of the outermost points of the rim. */
typedef struct {
    int64_t rim_count, face_count;
    float *rim, *faces;
    float low, high, low_z, high_z;
} Sides;

static void project_sides(const float *points, const byte *on_rim, int64_t count,
                          const float *axis, Sides *s) {
    int64_t inside = 0, rim = 0;
    for (int64_t i = 0; i < count; i++) rim += on_rim[i];
    int64_t stride = 1 + (count - rim) / MOST_VALUES;
    s->rim_count = s->face_count = 0;
    s->low = INFINITY, s->high = -INFINITY, s->low_z = s->high_z = 0;
    for (int64_t i = 0; i < count; i++) {
        const float *point = points + 3 * i;
        if (!on_rim[i]) {
            if (inside++ % stride == 0) s->faces[s->face_count++] = dot(point, axis);
            continue;
        }
        float at = s->rim[s->rim_count++] = dot(point, axis);
        if (at < s->low) s->low = at, s->low_z = point[2];
        if (at > s->high) s->high = at, s->high_z = point[2];
    }
}

/* Move an end of the outline (`sign` -1 or 1) out by half a footprint, or to the face beyond it. */
static double moved(double end, double face, double sign, double footprint) {
    double beyond = sign * (face - end);
    if (beyond > -FACE * footprint) return end + sign * fmax(beyond, 0);
    return end + sign * footprint / 2;
}

/* Height of the flat top at which the inside ends, `back` or somewhat below; NAN without one.
 * `room` has room for the faces. Noise lifts the ends of an outline, and hardly a whole face. */
static double flat_top(const Sides *s, double back, double high, double footprint, float *room) {
    double top = back, within = FLAT * footprint;
    int64_t near = 0;
    for (int32_t again = 0; again < 3; again++) {
        near = 0;
        for (int64_t k = 0; k < s->face_count; k++)
            if (fabs(s->faces[k] - top) < within) room[near++] = s->faces[k];
        if (again < 2 && near) top = median_of(room, near);
    }
    int flat = (double)near > FLAT_SHARE * (double)s->face_count;
    return flat && fabs(high - top) < FLAT_REACH * footprint ? top : NAN;
}

/* The low and high ends (3 + 3) of (count, 3) points along each row of (3, 3) `axes`.
 *
 * on_rim: which points are on the outline. trim: share of the rim (of the inside: four times it)
 * beyond each end, below 1/4. up: the axis along which a flat top is looked for, -1 for none.
 * Returns 0 when no point is on the rim. */
API int32_t extents(const float *points, const byte *on_rim, int64_t count, const double *axes,
                    double fx, double fy, double trim, int32_t up, double *ends) {
    float *room = malloc(((size_t)count + MOST_VALUES + 1) * sizeof(float));
    if (!room) return NO_MEMORY;
    Sides s = {.rim = room + MOST_VALUES + 1, .faces = room};
    for (int32_t k = 0; k < 3; k++) {
        const double *axis = axes + 3 * k;
        const float unit[3] = {(float)axis[0], (float)axis[1], (float)axis[2]};
        project_sides(points, on_rim, count, unit, &s);
        if (!s.rim_count) break;
        double per_metre = fabs(axis[0]) / fx + fabs(axis[1]) / fy;
        int64_t skip = (int64_t)(trim * (double)s.rim_count);
        int64_t past = (int64_t)(4 * trim * (double)s.face_count);
        double low = select_rank(s.rim, s.rim_count, skip);
        double high = select_rank(s.rim, s.rim_count, s.rim_count - 1 - skip);
        double front = NAN, back = NAN;
        if (s.face_count) {
            front = select_rank(s.faces, s.face_count, past);
            back = select_rank(s.faces, s.face_count, s.face_count - 1 - past);
        }
        ends[k] = moved(low, front, -1, s.low_z * per_metre);
        double footprint = s.high_z * per_metre;
        double top = k == up && s.face_count ? flat_top(&s, back, high, footprint, s.rim) : NAN;
        ends[3 + k] = isnan(top) ? moved(high, back, 1, footprint) : top;
    }
    free(room);
    return (int32_t)(s.rim_count > 0);
}

/* One row of pixels across a body. */
typedef struct {
    double half, near, sides, at_8, depth; /* half width in pixels; the others in metres */
    int is_round;
} Section;

/* Read a row of `kept` pixels; returns 0 when it is too short or has gaps where it is read. */
static int read_section(const float *forward, const byte *kept, int32_t width, Section *s) {
    int32_t left = 0, right = width - 1, across = 0;
    for (int32_t u = 0; u < width; u++) across += kept[u];
    if (across < LEAST_ACROSS) return 0;
    while (!kept[left]) left++;
    while (!kept[right]) right--;
    double y[SAMPLES], fall[SAMPLES], half = (right - left + 1) / 2.0;
    s->near = INFINITY;
    for (int32_t k = 0; k < SAMPLES; k++) {
        int32_t u = (int32_t)nearbyint(left + (right - left) * SAMPLE_AT[k]);
        if (!kept[u]) return 0;
        y[k] = forward[u];
        double rho = (u - (left + right) / 2.0) / half;
        fall[k] = 1 - sqrt(1 - rho * rho);
        s->near = fmin(s->near, y[k]);
    }
    double at_8 = (y[1] + y[5]) / 2 - y[3], at_5 = (y[2] + y[4]) / 2 - y[3];
    double b8 = 2 * at_8 / (fall[1] + fall[5]), b5 = 2 * at_5 / (fall[2] + fall[4]);
    s->half = half, s->depth = (3 * b8 + b5) / 4, s->sides = y[0] + y[SAMPLES - 1] - s->near;
    s->is_round = at_8 > 0 && b5 > ALIKE_LOW * b8 && b5 < ALIKE_HIGH * b8 &&
                  fabs(y[1] - y[5]) < LOPSIDED * at_8;
    return 1;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value at a share of sorted ones, between two neighbours by their distance. */
static double percentile(double *values, int64_t count, double share) {
    qsort(values, (size_t)count, sizeof(double), ascending);
    double place = share * (double)(count - 1);
    int64_t below = (int64_t)place;
    if (below >= count - 1) return values[count - 1];
    return values[below] + (place - (double)below) * (values[below + 1] - values[below]);
}

/* Front of a round body plus what it is deep; NAN when it is not as deep as wide. */
static double round_end(const Section *s, int64_t count, double footprint_m, double *room) {
    double widest = 0, front = INFINITY;
    int64_t taken = 0;
    for (int64_t k = 0; k < count; k++) {
        if (!s[k].is_round) continue;
        room[taken++] = s[k].half;
        widest = fmax(widest, s[k].half);
        front = fmin(front, s[k].near);
    }
    if (!((double)taken > ROUND_SHARE * (double)count)) return NAN;
    double across = percentile(room, taken, 0.95) * footprint_m;
    taken = 0;
    for (int64_t k = 0; k < count; k++)
        if (s[k].is_round && s[k].half > WIDE * widest) room[taken++] = s[k].depth;
    double deep = percentile(room, taken, 0.5);
    return deep > DEEP_LOW * across && deep < DEEP_HIGH * across ? front + 2 * across : NAN;
}

/* How far back a body goes, from the rows of pixels across it (see far_side in ../box.py).
 * forward, kept: (height, width) coordinate ahead, metres, and the object's pixels.
 * far (out): the farthest end; -infinity when no row tells. */
API int32_t far_side(const float *forward, const byte *kept, int32_t height, int32_t width,
                     double footprint_m, double *far) {
    size_t bytes = (size_t)height * (sizeof(Section) + sizeof(double));
    Section *sections = malloc(bytes);
    if (!sections) return NO_MEMORY;
    double *room = (double *)(sections + height);
    int64_t count = 0;
    for (int32_t v = 0; v < height; v++)
        count += read_section(forward + area(v, width), kept + area(v, width), width,
                              &sections[count]);
    *far = -INFINITY;
    if (count >= LEAST_ROWS) {
        double end = round_end(sections, count, footprint_m, room);
        for (int64_t k = 0; k < count; k++) room[k] = sections[k].sides;
        *far = isnan(end) ? percentile(room, count, 0.75) : end;
    }
    free(sections);
    return 0;
}

/* Keep those of (count, 3) points that lie behind a pixel of depth `z` (height, width), as seen by the
 * crop's camera. Writes them over `points`; returns how many. */
API int32_t hidden_points(const Crop *crop, const float *z, float *points, int32_t count) {
    int32_t taken = 0;
    for (int32_t k = 0; k < count; k++) {
        const float x = points[3 * k], y = points[3 * k + 1], far = points[3 * k + 2];
        if (!(far > 0)) continue;
        double u = nearbyint(x / far * crop->fx + crop->cx);
        double v = nearbyint(y / far * crop->fy + crop->cy);
        if (!(u >= 0 && v >= 0 && u < crop->width && v < crop->height)) continue;
        float seen = z[area((int32_t)v, crop->width) + (size_t)u];
        if (!(seen > 0 && far > seen)) continue;
        float *to = points + 3 * (size_t)taken++;
        to[0] = x, to[1] = y, to[2] = far;
    }
    return taken;
}
