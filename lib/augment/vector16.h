/* Vectors of 16-bit integers as wide as the instruction set has them, for kernels that are compiled once for each.
 * Every function gives the same numbers on all of them.
 */
#ifndef MOCO_VECTOR16_H
#define MOCO_VECTOR16_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512BW__)
#define V16_LANES 32
#elif defined(__AVX2__)
#define V16_LANES 16
#else
#define V16_LANES 8
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define V16_INLINE static inline __attribute__((always_inline))

typedef int16_t v16 __attribute__((vector_size(2 * V16_LANES)));
typedef uint16_t v16u __attribute__((vector_size(2 * V16_LANES)));
typedef uint8_t v16_bytes __attribute__((vector_size(V16_LANES)));

V16_INLINE v16 v16_load(const int16_t *from) {
    v16 value;
    memcpy(&value, from, sizeof value);
    return value;
}
V16_INLINE void v16_store(int16_t *to, v16 value) {
    memcpy(to, &value, sizeof value);
}
V16_INLINE v16 v16_all(int16_t x) {
    return (v16){0} + x;
}
V16_INLINE v16 v16_load_bytes(const uint8_t *from) {
    v16_bytes bytes;
    memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, v16);
}

/* (a * b + 2^14) >> 15. */
V16_INLINE v16 v16_scale(v16 a, v16 b) {
#if defined(__AVX512BW__)
    return (v16) _mm512_mulhrs_epi16((__m512i) a, (__m512i) b);
#elif defined(__AVX2__)
    return (v16) _mm256_mulhrs_epi16((__m256i) a, (__m256i) b);
#elif defined(__SSE2__)
    const v16 high = (v16) _mm_mulhi_epi16((__m128i) a, (__m128i) b);
    const v16u low = (v16u) _mm_mullo_epi16((__m128i) a, (__m128i) b);
    return (v16) ((v16u) high * 2 + (((low >> 14) + 1) >> 1));
#else
    v16 result;
    for (int lane = 0; lane < V16_LANES; ++lane)
        result[lane] = (int16_t) (((int32_t) a[lane] * b[lane] + 0x4000) >> 15);
    return result;
#endif
}

/* (a * b) >> 16, unsigned. */
V16_INLINE v16u v16_high(v16u a, v16u b) {
#if defined(__AVX512BW__)
    return (v16u) _mm512_mulhi_epu16((__m512i) a, (__m512i) b);
#elif defined(__AVX2__)
    return (v16u) _mm256_mulhi_epu16((__m256i) a, (__m256i) b);
#elif defined(__SSE2__)
    return (v16u) _mm_mulhi_epu16((__m128i) a, (__m128i) b);
#else
    v16u result;
    for (int lane = 0; lane < V16_LANES; ++lane) result[lane] = (uint16_t) (((uint32_t) a[lane] * b[lane]) >> 16);
    return result;
#endif
}

/* Stores V16_LANES bytes, each value clamped to 0..255. */
V16_INLINE void v16_store_bytes(uint8_t *to, v16 value) {
#if defined(__AVX512BW__)
    const __m512i positive = _mm512_max_epi16((__m512i) value, _mm512_setzero_si512());
    _mm256_storeu_si256((__m256i *) to, _mm512_cvtusepi16_epi8(positive));
#elif defined(__AVX2__)
    const __m256i packed = _mm256_packus_epi16((__m256i) value, (__m256i) value);
    _mm_storeu_si128((__m128i *) to, _mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 8)));
#elif defined(__SSE2__)
    _mm_storel_epi64((__m128i *) to, _mm_packus_epi16((__m128i) value, (__m128i) value));
#else
    for (int lane = 0; lane < V16_LANES; ++lane)
        to[lane] = (uint8_t) (value[lane] < 0 ? 0 : value[lane] > 255 ? 255 : value[lane]);
#endif
}

#endif
