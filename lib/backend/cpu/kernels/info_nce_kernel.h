/* The inner loops of InfoNCE, compiled once per instruction set from info_nce_kernel.c and chosen at run time.
 *
 * Query rows come in blocks of `width` rows, transposed: q_t[dim][width]. Everything then is vertical SIMD over rows:
 * a tile of keys gives S[key][width], S becomes weights in place, and the weighted keys are summed as sum[dim][width].
 * Keys are read where the queue has them; each value is broadcast against whole vectors of rows.
 */
#ifndef MOCO_INFO_NCE_KERNEL_H
#define MOCO_INFO_NCE_KERNEL_H

#include <stdint.h>

#define MOCO_NCE_WIDEST_BLOCK 64 /* rows of the widest block of any instruction set */
#define MOCO_NCE_TILE_KEYS    96 /* most keys of one tile; all register blocks divide it */

typedef struct moco_nce_kernel {
    int32_t lanes;       /* rows of one vector: the width of a block is a multiple of it */
    int32_t block_width; /* rows of a full block */

    /* out[r] = sum over d of a_t[d][r] * b_t[d][r], rounded exactly as `similarities` rounds: a key equal to the
     * positive gets an equal similarity. */
    void (*paired)(const float *a_t, const float *b_t, int64_t dim, int32_t width, float *out);

    /* S[j][r] = sum over d of keys[j][d] * q_t[d][r]. */
    void (*similarities)(const float *keys, int64_t count, int64_t dim, const float *q_t, int32_t width, float *S);

    /* S[j][r] = -infinity where key_ids[j] == row_ids[r] (no pair with MOCO_QUEUE_NO_ID); returns how many. */
    int64_t (*mask)(const int64_t *key_ids, int64_t count, const int64_t *row_ids, int32_t width, float *S);

    /* Per row: the largest and the sum of S over the tile, and how many are >= positive. -infinity counts nowhere. */
    void (*survey)(const float *S, int64_t count, int32_t width, const float *positive, float *largest, float *sum,
                   int32_t *hits);

    /* S[j][r] = 2^((S[j][r] - reference[r]) * scale), and its sum over the tile. */
    void (*weigh)(float *S, int64_t count, int32_t width, const float *reference, float scale, float *sum);

    /* S[j][r] = factor[j] * 2^((S[j][r] - reference[j]) * scale), 0 for -infinity: `weigh` where rows and keys have
     * exchanged their roles, so that each j has a reference and the sum of its logits, 1 / factor, is known. */
    void (*probabilities)(float *S, int64_t count, int32_t width, const float *reference, float scale,
                          const float *factor);

    /* sums[d][r] = factor[r] * sums[d][r] + sum over j of weights[j][r] * keys[j][d]. */
    void (*accumulate)(const float *keys, int64_t count, int64_t dim, const float *weights, int32_t width,
                       const float *factor, float *sums);

    /* The largest squared length of a key, or up to a few times more; infinity where it overflows. */
    float (*largest_square)(const float *keys, int64_t count, int64_t dim);

    /* bfloat16, the upper halves of floats, as floats. */
    void (*widen)(const uint16_t *source, int64_t count, float *target);
} moco_nce_kernel;

#endif
