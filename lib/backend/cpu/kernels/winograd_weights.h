/* Between plain 3 x 3 filters and vectors of 16 of them, for the Winograd kernels of both dtypes. Needs AVX-512. */
#ifndef MOCO_WINOGRAD_WEIGHTS_H
#define MOCO_WINOGRAD_WEIGHTS_H

#include "backend/cpu/kernels/register_transpose.h"
#include "backend/cpu/kernels/winograd_kernels.h"

enum { WINOGRAD_WEIGHTS = 9 };

typedef float winograd_vec __attribute__((vector_size(4 * WINOGRAD_LANES)));

/* The nine weights of a filter in a register. */
#define WINOGRAD_WEIGHT_MASK ((__mmask16) 0x1FF)

/* Bytes: filters of the next 16 channels, or lanes, follow one another, and the processor does not guess it. */
#define WINOGRAD_AHEAD (WINOGRAD_LANES * WINOGRAD_WEIGHTS * sizeof(float))

/* The weights of one channel for 16 lanes, `next_lane` apart; turned by half a circle if asked to. */
static inline void winograd_collect(const float *g, int64_t next_lane, int32_t turned,
                                    winograd_vec weights[WINOGRAD_WEIGHTS]) {
    __m512 filters[WINOGRAD_LANES], columns[16];
    for (int lane = 0; lane < WINOGRAD_LANES; ++lane) {
        filters[lane] = _mm512_maskz_loadu_ps(WINOGRAD_WEIGHT_MASK, g + lane * next_lane);
        _mm_prefetch((const char *) ((uintptr_t) (g + lane * next_lane) + WINOGRAD_AHEAD), _MM_HINT_T0);
    }
    transpose_16x16(filters, columns);
    if (turned) {
        for (int i = 0; i < WINOGRAD_WEIGHTS; ++i) weights[i] = (winograd_vec) columns[WINOGRAD_WEIGHTS - 1 - i];
    } else {
        for (int i = 0; i < WINOGRAD_WEIGHTS; ++i) weights[i] = (winograd_vec) columns[i];
    }
}

/* The nine weights of 16 filters that lie one after another: set, or added to. */
static inline void winograd_deal_out(const winograd_vec weights[WINOGRAD_WEIGHTS], int32_t accumulate, float *dg) {
    __m512 rows[16], filters[WINOGRAD_LANES];
    for (int i = 0; i < 16; ++i) rows[i] = i < WINOGRAD_WEIGHTS ? (__m512) weights[i] : _mm512_setzero_ps();
    transpose_16x16(rows, filters);
    for (int lane = 0; lane < WINOGRAD_LANES; ++lane) {
        float *target = dg + lane * WINOGRAD_WEIGHTS;
        __m512 value = filters[lane];
        if (accumulate) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(WINOGRAD_WEIGHT_MASK, target));
        _mm512_mask_storeu_ps(target, WINOGRAD_WEIGHT_MASK, value);
    }
}

#endif
