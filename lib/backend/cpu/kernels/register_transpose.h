/* 16 x 16 floats in registers, rows to columns. Needs AVX-512. */
#ifndef MOCO_REGISTER_TRANSPOSE_H
#define MOCO_REGISTER_TRANSPOSE_H

#include <immintrin.h>

/* Rows 4 g to 4 g + 3 become columns: quarter L of quads[g][j] has what they hold in column 4 L + j. */
static inline void transpose_quads(const __m512 rows[16], __m512 quads[4][4]) {
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
#define EVEN_QUARTERS(a, b) _mm512_shuffle_f32x4(a, b, 0x88)
#define ODD_QUARTERS(a, b)  _mm512_shuffle_f32x4(a, b, 0xDD)

/* Columns that the caller does not use cost nothing: the compiler drops them. */
static inline void transpose_16x16(const __m512 rows[16], __m512 columns[16]) {
    __m512 quads[4][4];
    transpose_quads(rows, quads);
    for (int j = 0; j < 4; ++j) {
        const __m512 even01 = EVEN_QUARTERS(quads[0][j], quads[1][j]);
        const __m512 even23 = EVEN_QUARTERS(quads[2][j], quads[3][j]);
        const __m512 odd01 = ODD_QUARTERS(quads[0][j], quads[1][j]);
        const __m512 odd23 = ODD_QUARTERS(quads[2][j], quads[3][j]);
        columns[j] = EVEN_QUARTERS(even01, even23);
        columns[4 + j] = EVEN_QUARTERS(odd01, odd23);
        columns[8 + j] = ODD_QUARTERS(even01, even23);
        columns[12 + j] = ODD_QUARTERS(odd01, odd23);
    }
}

#ifdef __AVX512BF16__
/* first[0], second[0], first[1], ... in bfloat16, rounded to nearest, ties to even. */
static inline __m512i narrow_interleaved(__m512 first, __m512 second) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i) _mm512_cvtne2ps_pbh(second, first));
}
#endif

#endif
