/* Between plain 3 x 3 filters and vectors of 16 of them, for the Winograd kernels of both dtypes. Needs AVX-512. */
#ifndef MOCO_WINOGRAD_WEIGHTS_H
#define MOCO_WINOGRAD_WEIGHTS_H

#include <immintrin.h>

#include "backend/onednn/winograd_kernels.h"

enum { WINOGRAD_WEIGHTS = 9 };

typedef float winograd_vec __attribute__((vector_size(4 * WINOGRAD_LANES)));

/* The nine weights of a filter in a register. */
#define WINOGRAD_WEIGHT_MASK ((__mmask16) 0x1FF)

/* Rows 4 g to 4 g + 3 become columns: quarter L of quads[g][j] has what they hold in column 4 L + j. */
static inline void winograd_turn_quads(const __m512 rows[16], __m512 quads[4][4]) {
    for (int g = 0; g < 4; ++g) {
        const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[4 * g], rows[4 * g + 1]));
        const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[4 * g], rows[4 * g + 1]));
        const __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[4 * g + 2], rows[4 * g + 3]));
        const __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[4 * g + 2], rows[4 * g + 3]));
        quads[g][0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
        quads[g][1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
        quads[g][2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
        quads[g][3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
    }
}

/* Quarters 0 and 2, or 1 and 3, of two vectors. */
#define WINOGRAD_EVEN(a, b) _mm512_shuffle_f32x4(a, b, 0x88)
#define WINOGRAD_ODD(a, b)  _mm512_shuffle_f32x4(a, b, 0xDD)

/* The transpose of 16 x 16; unused rows and columns cost nothing. */
static inline void winograd_transpose(const __m512 rows[16], __m512 columns[16]) {
    __m512 quads[4][4];
    winograd_turn_quads(rows, quads);
    for (int j = 0; j < 4; ++j) {
        const __m512 even01 = WINOGRAD_EVEN(quads[0][j], quads[1][j]);
        const __m512 even23 = WINOGRAD_EVEN(quads[2][j], quads[3][j]);
        const __m512 odd01 = WINOGRAD_ODD(quads[0][j], quads[1][j]);
        const __m512 odd23 = WINOGRAD_ODD(quads[2][j], quads[3][j]);
        columns[j] = WINOGRAD_EVEN(even01, even23);
        columns[4 + j] = WINOGRAD_EVEN(odd01, odd23);
        columns[8 + j] = WINOGRAD_ODD(even01, even23);
        columns[12 + j] = WINOGRAD_ODD(odd01, odd23);
    }
}

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
    winograd_transpose(filters, columns);
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
    winograd_transpose(rows, filters);
    for (int lane = 0; lane < WINOGRAD_LANES; ++lane) {
        float *target = dg + lane * WINOGRAD_WEIGHTS;
        __m512 value = filters[lane];
        if (accumulate) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(WINOGRAD_WEIGHT_MASK, target));
        _mm512_mask_storeu_ps(target, WINOGRAD_WEIGHT_MASK, value);
    }
}

#endif
