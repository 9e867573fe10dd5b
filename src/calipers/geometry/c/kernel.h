/* What the files of the kernel share.
 *
 * Plain C11 without Python: ../kernel.py loads the built library and says which function takes what.
 * Images are row-major, (height, width), float32 or one byte a pixel (0 or 1 for masks). Lengths are
 * metres, "inverse" is 1/depth in 1/metres, and 0 means "no reading" in both. Whatever reaches beyond
 * an image is treated as not there. Functions that need memory return -1 when there is none; nothing
 * is kept between calls, so threads may call at the same time.
 */
#ifndef CALIPERS_KERNEL_H
#define CALIPERS_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

#define NO_MEMORY (-1)

/* Masks are trusted to this many pixels. */
#define BAND_PX 3
/* A pixel so far inside a mask is the object's; farther than BAND_PX, for masks may be too fat. */
#define SOLID_PX (BAND_PX + 2)
/* Masks may be too fat by so many pixels: from LEAST_EXCESS (too thin) on, so many values; pixels up
 * to so much deeper inside tell. */
#define LEAST_EXCESS (-3)
#define EXCESSES 8
#define DEEPER 2
/* Distances to the outline are counted up to here. */
#define MOST_STEPS 8
/* Quantiles are taken of at most about this many values, evenly chosen. */
#define MOST_VALUES 2000

typedef uint8_t byte;

/* The crop around one object. */
typedef struct {
    int32_t height, width;
    double fx, fy, cx, cy; /* of the crop, pixels */
    float *ray_x;          /* (width) x/z of each column */
    float *ray_y;          /* (height) y/z of each row */
    float *z;              /* (height, width) depth, metres */
    float *inverse;        /* (height, width) 1/depth */
    byte *mask;            /* (height, width) the object's mask as given */
    byte *taken;           /* (height, width) pixels of other objects' masks */
    byte *inside;          /* (height, width) steps to the outline, from inside the mask */
    byte *outside;         /* (height, width) steps to the outline, from outside */
} Crop;

static inline size_t area(int32_t height, int32_t width) { return (size_t)height * (size_t)width; }
static inline int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }
static inline float larger(float a, float b) { return a > b ? a : b; }
static inline float smaller(float a, float b) { return a < b ? a : b; }

/* windows.c: sums, largest and smallest values in squares of 2 * reach + 1 pixels around each pixel.
 * `row` has room for width + 2 * reach values; `in` and `out` must not overlap. */
void box_sum(const float *in, int32_t height, int32_t width, int32_t reach, float *out, float *row);
void box_max(const float *in, int32_t height, int32_t width, int32_t reach, float *out, float *row);
void box_min(const float *in, int32_t height, int32_t width, int32_t reach, float *out, float *row);

/* Room for the means: `values`, `weights` and `sums` have one float a pixel, `row` width + 16. */
typedef struct {
    float *values, *weights, *sums, *row;
} MeanRoom;
/* Mean of `in` over the pixels `where` in a square around each pixel; 0 where there is none. */
void box_mean(const float *in, const byte *where, int32_t height, int32_t width, int32_t reach,
              float *out, MeanRoom *room);
/* The same worked out at every second pixel of every second row; reach in such pixels. */
void coarse_mean(const float *in, const byte *where, int32_t height, int32_t width, int32_t reach,
                 float *out, MeanRoom *room);
/* Every second pixel of every second row, ((height + 1) / 2, (width + 1) / 2), and back. */
void halve(const float *in, int32_t height, int32_t width, float *out);
void halve_bytes(const byte *in, int32_t height, int32_t width, byte *out);
void fine(const float *half, int32_t height, int32_t width, float *out);

/* order.c */
/* The value at `rank` of the sorted values; moves it there, none larger before and none smaller after. */
float select_rank(float *values, int64_t count, int64_t rank);
float median_of(float *values, int64_t count);
/* The values at ascending shares (0 to 1) of `count` values, at least one; reorders them. */
void at_shares(float *values, int64_t count, const double *shares, int32_t wanted, float *out);
/* Take every n-th value so that at most MOST_VALUES + 1 are left; returns how many. */
int64_t thin_values(const float *values, int64_t count, float *out);

/* outline.c */
/* Steps of a king on a chess board, at most MOST_STEPS: `inside` is 1 on the outermost pixels of the
 * mask and grows inwards, `outside` is 1 on the pixels next to it and grows outwards; 0 elsewhere.
 * What lies beyond the crop is unknown and does not count as outside. */
API int32_t outline(const byte *mask, int32_t height, int32_t width, byte *inside, byte *outside);
/* Pixels of a mask with one of their eight neighbours outside it or beyond the image. */
void rim_of(const byte *mask, int32_t height, int32_t width, byte *rim);

/* settle.c */
/* Average the readings of the object's `pixels`, starting from the `good` ones (overwritten); takes
 * pixels away that nothing supports. */
int32_t settle(const Crop *crop, byte *pixels, byte *good, float noise, float *settled);
/* Take away small pieces inside the mask that have a depth of their own. */
int32_t drop_islands(const Crop *crop, const float *settled, byte *pixels);

#endif
