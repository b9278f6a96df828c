/* Compiled with AVX-512 for float32, and with its bfloat16 conversions for that. MOCO_WEIGHT_KERNELS names the table.
 */
#include "backend/cpu/kernels/weight_kernels.h"

#include <stddef.h>

#include "backend/cpu/kernels/register_transpose.h"

#if defined(MOCO_ISA_AVX512_BF16)
#define BF16
#endif

static inline void load_rows(const float *plain, int64_t row, __m512 rows[WEIGHT_TILE]) {
    for (int i = 0; i < WEIGHT_TILE; ++i) rows[i] = _mm512_loadu_ps(plain + i * row);
}

#ifdef BF16
/* Two rows interleaved, element by element. */
static inline void store_rows(const __m512 rows[WEIGHT_TILE], void *tile) {
    for (int i = 0; i < WEIGHT_TILE; i += 2) {
        _mm512_storeu_si512((__m512i *) tile + i / 2, narrow_interleaved(rows[i], rows[i + 1]));
    }
}
#else
static inline void store_rows(const __m512 rows[WEIGHT_TILE], void *tile) {
    for (int i = 0; i < WEIGHT_TILE; ++i) _mm512_storeu_ps((float *) tile + i * WEIGHT_TILE, rows[i]);
}

static void from_tiles(const float *tiles, int64_t next_tile, int64_t count, int32_t accumulate, float *plain,
                       int64_t row) {
    for (int64_t i = 0; i < count; ++i, plain += WEIGHT_TILE, tiles += next_tile / (int64_t) sizeof *tiles) {
        __m512 columns[WEIGHT_TILE], rows[WEIGHT_TILE];
        load_rows(tiles, WEIGHT_TILE, columns);
        transpose_16x16(columns, rows);
        for (int r = 0; r < WEIGHT_TILE; ++r) {
            float *target = plain + r * row;
            _mm512_storeu_ps(target, accumulate ? _mm512_add_ps(rows[r], _mm512_loadu_ps(target)) : rows[r]);
        }
    }
}
#endif

static void to_tiles(const float *plain, int64_t row, int64_t count, int32_t transposed, void *tiles,
                     int64_t next_tile) {
    char *tile = (char *) tiles;
    for (int64_t i = 0; i < count; ++i, plain += WEIGHT_TILE, tile += next_tile) {
        __m512 rows[WEIGHT_TILE], columns[WEIGHT_TILE];
        load_rows(plain, row, rows);
        if (transposed) {
            transpose_16x16(rows, columns);
            store_rows(columns, tile);
        } else {
            store_rows(rows, tile);
        }
    }
}

extern const weight_kernels MOCO_WEIGHT_KERNELS;
#ifdef BF16
const weight_kernels MOCO_WEIGHT_KERNELS = {
    .tile_bytes = WEIGHT_TILE * WEIGHT_TILE * sizeof(uint16_t),
    .to_tiles = to_tiles,
};
#else
const weight_kernels MOCO_WEIGHT_KERNELS = {
    .tile_bytes = WEIGHT_TILE * WEIGHT_TILE * sizeof(float),
    .to_tiles = to_tiles,
    .from_tiles = from_tiles,
};
#endif
