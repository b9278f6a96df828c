/* Between plain 3 x 3 filters and vectors of 16 of them, for the Winograd kernels of both dtypes. Needs AVX-512. */
#ifndef MOCO_WINOGRAD_WEIGHTS_H
#define MOCO_WINOGRAD_WEIGHTS_H

#include <stdint.h>

#include "backend/cpu/kernels/register_transpose.h"

enum {
    WINOGRAD_BLOCK = 16, /* channels of a plane, filters of a vector */
    WINOGRAD_WEIGHTS = 9
};

typedef float winograd_vec __attribute__((vector_size(4 * WINOGRAD_BLOCK)));

/* The nine weights of a filter in a register. */
#define WINOGRAD_WEIGHT_MASK ((__mmask16) 0x1FF)

/* Bytes from a filter to the one that is needed 16 filters later, too far apart for the processor's own prefetching. */
#define WINOGRAD_AHEAD (WINOGRAD_BLOCK * WINOGRAD_WEIGHTS * sizeof(float))

/* weights[i][o] = weight i of the filter at g + o * next_output, for o < 16; `flipped`: weight 8 - i. */
static inline void winograd_load_filters(const float *g, int64_t next_output, int32_t flipped,
                                         winograd_vec weights[WINOGRAD_WEIGHTS]) {
    __m512 filters[WINOGRAD_BLOCK], columns[16];
    for (int o = 0; o < WINOGRAD_BLOCK; ++o) {
        filters[o] = _mm512_maskz_loadu_ps(WINOGRAD_WEIGHT_MASK, g + o * next_output);
        _mm_prefetch((const char *) ((uintptr_t) (g + o * next_output) + WINOGRAD_AHEAD), _MM_HINT_T0);
    }
    transpose_16x16(filters, columns);
    if (flipped) {
        for (int i = 0; i < WINOGRAD_WEIGHTS; ++i) weights[i] = (winograd_vec) columns[WINOGRAD_WEIGHTS - 1 - i];
    } else {
        for (int i = 0; i < WINOGRAD_WEIGHTS; ++i) weights[i] = (winograd_vec) columns[i];
    }
}

/* The way back, to 16 filters that lie one after another: dg[k][i] = [dg[k][i] +] weights[i][k]. */
static inline void winograd_store_filters(const winograd_vec weights[WINOGRAD_WEIGHTS], int32_t accumulate, float *dg) {
    __m512 rows[16], filters[WINOGRAD_BLOCK];
    for (int i = 0; i < 16; ++i) rows[i] = i < WINOGRAD_WEIGHTS ? (__m512) weights[i] : _mm512_setzero_ps();
    transpose_16x16(rows, filters);
    for (int k = 0; k < WINOGRAD_BLOCK; ++k) {
        float *target = dg + k * WINOGRAD_WEIGHTS;
        __m512 value = filters[k];
        if (accumulate) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(WINOGRAD_WEIGHT_MASK, target));
        _mm512_mask_storeu_ps(target, WINOGRAD_WEIGHT_MASK, value);
    }
}

#endif
