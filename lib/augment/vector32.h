/* Vectors of floats as wide as the instruction set has them, and bytes as such: for kernels that are compiled once for
 * each. Every function gives the same numbers on all of them; none fuses a multiplication with an addition.
 */
#ifndef MOCO_VECTOR32_H
#define MOCO_VECTOR32_H

#include <stdint.h>
#include <string.h>

#include "core/lanes.h"

#if defined(__AVX512F__)
#define V32_LANES 16
#elif defined(__AVX2__)
#define V32_LANES 8
#else
#define V32_LANES 4
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define V32_INLINE static inline __attribute__((always_inline))

typedef float v32 __attribute__((vector_size(4 * V32_LANES)));
typedef int32_t v32_integer __attribute__((vector_size(4 * V32_LANES)));
typedef uint8_t v32_bytes __attribute__((vector_size(V32_LANES)));

V32_INLINE v32 v32_all(float x) {
    return (v32){MOCO_LANES(V32_LANES, x)};
}

V32_INLINE v32 v32_min(v32 a, v32 b) {
#if defined(__AVX512F__)
    return (v32) _mm512_min_ps((__m512) a, (__m512) b);
#elif defined(__AVX2__)
    return (v32) _mm256_min_ps((__m256) a, (__m256) b);
#elif defined(__SSE2__)
    return (v32) _mm_min_ps((__m128) a, (__m128) b);
#else
    const v32_integer less = a < b;
    return (v32) ((less & (v32_integer) a) | (~less & (v32_integer) b));
#endif
}

V32_INLINE v32 v32_max(v32 a, v32 b) {
#if defined(__AVX512F__)
    return (v32) _mm512_max_ps((__m512) a, (__m512) b);
#elif defined(__AVX2__)
    return (v32) _mm256_max_ps((__m256) a, (__m256) b);
#elif defined(__SSE2__)
    return (v32) _mm_max_ps((__m128) a, (__m128) b);
#else
    const v32_integer more = a > b;
    return (v32) ((more & (v32_integer) a) | (~more & (v32_integer) b));
#endif
}

/* `yes` where a == b, else `no`. */
V32_INLINE v32 v32_if_equal(v32 a, v32 b, v32 yes, v32 no) {
#if defined(__AVX512F__)
    return (v32) _mm512_mask_blend_ps(_mm512_cmp_ps_mask((__m512) a, (__m512) b, _CMP_EQ_OQ), (__m512) no,
                                      (__m512) yes);
#else
    const v32_integer equal = a == b;
    return (v32) ((equal & (v32_integer) yes) | (~equal & (v32_integer) no));
#endif
}

/* `yes` where a < b, else `no`. */
V32_INLINE v32 v32_if_less(v32 a, v32 b, v32 yes, v32 no) {
#if defined(__AVX512F__)
    return (v32) _mm512_mask_blend_ps(_mm512_cmp_ps_mask((__m512) a, (__m512) b, _CMP_LT_OQ), (__m512) no,
                                      (__m512) yes);
#else
    const v32_integer less = a < b;
    return (v32) ((less & (v32_integer) yes) | (~less & (v32_integer) no));
#endif
}

V32_INLINE v32_integer v32_truncate(v32 x) {
    return __builtin_convertvector(x, v32_integer);
}

V32_INLINE v32 v32_load_bytes(const uint8_t *from) {
#if defined(__AVX512F__)
    return (v32) _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) (const void *) from)));
#elif defined(__AVX2__)
    return (v32) _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) (const void *) from)));
#elif defined(__SSE2__)
    int32_t word;
    memcpy(&word, from, sizeof word);
    const __m128i zero = _mm_setzero_si128();
    const __m128i wide = _mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(word), zero), zero);
    return (v32) _mm_cvtepi32_ps(wide);
#else
    v32_bytes bytes;
    memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, v32);
#endif
}

/* Stores V32_LANES bytes; each value is an integer of 0 .. 255. */
V32_INLINE void v32_store_bytes(uint8_t *to, v32 value) {
    const v32_integer integers = v32_truncate(value);
#if defined(__AVX512F__)
    _mm_storeu_si128((__m128i *) (void *) to, _mm512_cvtepi32_epi8((__m512i) integers));
#elif defined(__AVX2__)
    const __m128i low = _mm256_castsi256_si128((__m256i) integers);
    const __m128i words = _mm_packs_epi32(low, _mm256_extracti128_si256((__m256i) integers, 1));
    _mm_storel_epi64((__m128i *) (void *) to, _mm_packus_epi16(words, words));
#elif defined(__SSE2__)
    const __m128i words = _mm_packs_epi32((__m128i) integers, (__m128i) integers);
    const int32_t word = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    memcpy(to, &word, sizeof word);
#else
    const v32_bytes bytes = __builtin_convertvector(integers, v32_bytes);
    memcpy(to, &bytes, sizeof bytes);
#endif
}

V32_INLINE void v32_store(float *to, v32 value) {
    memcpy(to, &value, sizeof value);
}

#endif
