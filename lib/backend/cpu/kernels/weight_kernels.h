/* Between the plain weights of a 1 x 1 convolution, out_c x c, and the tiles of 16 x 16 that oneDNN's kernels read. */
#ifndef MOCO_WEIGHT_KERNELS_H
#define MOCO_WEIGHT_KERNELS_H

#include <stdint.h>

enum { WEIGHT_TILE = 16 };

/* A tile lies row by row, or `transposed`, column by column. In bfloat16 two rows (or columns) are interleaved, element
 * by element. Rows of plain weights are `row` floats apart, tiles that follow one another in them `next_tile` bytes. */
typedef struct weight_kernels {
    int64_t tile_bytes;
    void (*to_tiles)(const float *plain, int64_t row, int64_t count, int32_t transposed, void *tiles,
                     int64_t next_tile);
    /* The way back from transposed tiles of float32; `accumulate`: added to what is there. NULL in bfloat16: gradients are float32. */
    void (*from_tiles)(const float *tiles, int64_t next_tile, int64_t count, int32_t accumulate, float *plain,
                       int64_t row);
} weight_kernels;

#endif
