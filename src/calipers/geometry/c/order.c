/* Ranks and quantiles. */
#include "kernel.h"

#include <math.h>

static void swap(float *a, float *b) {
    float kept = *a;
    *a = *b;
    *b = kept;
}

static float extreme(const float *values, int64_t count, int highest) {
    float found = values[0];
    for (int64_t i = 1; i < count; i++)
        found = highest ? larger(found, values[i]) : smaller(found, values[i]);
    return found;
}

/* Hoare's selection with the median of three as pivot. */
float select_rank(float *values, int64_t count, int64_t rank) {
    int64_t low = 0, high = count - 1;
    if (rank == 0 || rank == high) return extreme(values, count, rank > 0);
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (values[middle] < values[low]) swap(&values[middle], &values[low]);
        if (values[high] < values[low]) swap(&values[high], &values[low]);
        if (values[high] < values[middle]) swap(&values[high], &values[middle]);
        float pivot = values[middle];
        int64_t i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i <= j) swap(&values[i++], &values[j--]);
        }
        if (rank <= j)
            high = j;
        else if (rank >= i)
            low = i;
        else
            break;
    }
    return values[rank];
}

float median_of(float *values, int64_t count) {
    float upper = select_rank(values, count, count / 2);
    if (count % 2) return upper;
    float lower = values[0];
    for (int64_t i = 1; i < count / 2; i++) lower = larger(lower, values[i]);
    return (lower + upper) / 2;
}

void at_shares(float *values, int64_t count, const double *shares, int32_t wanted, float *out) {
    int64_t first = 0;
    for (int32_t k = 0; k < wanted; k++) {
        int64_t rank = (int64_t)nearbyint(shares[k] * (double)(count - 1));
        out[k] = select_rank(values + first, count - first, rank - first);
        first = rank;
    }
}

int64_t thin_values(const float *values, int64_t count, float *out) {
    int64_t stride = 1 + count / MOST_VALUES, taken = 0;
    for (int64_t i = 0; i < count; i += stride) out[taken++] = values[i];
    return taken;
}

/* Quantiles (shares of 1) of at most about MOST_VALUES evenly taken values, shares ascending; count is at
 * least 1. */
API int32_t quantiles(const float *values, int64_t count, const double *shares, int32_t wanted,
                      float *out) {
    float some[MOST_VALUES + 1];
    int64_t taken = thin_values(values, count, some);
    at_shares(some, taken, shares, wanted, out);
    return wanted;
}
