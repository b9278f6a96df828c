/* Images as Winograd's algorithm sees them: tile after tile, row by row, sample by sample. Shared by the two orders of
 * its loops, winograd_tiles_outer.c and winograd_weights_outer.c; winograd_kernels.h has the picture and the words.
 */
#ifndef MOCO_WINOGRAD_TILES_H
#define MOCO_WINOGRAD_TILES_H

#include "backend/cpu/cpu_backend.h"

/* 1 where Winograd's algorithm, in either order, computes all three passes of the layer and is worth it. */
int32_t moco_winograd_supports(const cpu_backend *backend, const image_layer *desc);

/* 1 where U would be the largest thing by far, so that it is better to go through the weights once, not the tiles. */
int32_t moco_winograd_weights_outer(const cpu_backend *backend, const image_layer *desc);

/* Words between the positions of V, U and M beyond what they hold: without them the distance of two positions is a power
 * of two, and all 36 of them fall into one cache set. */
enum { WINOGRAD_STAGGER = 16 };

/* Input or output of a convolution that keeps h x w. */
typedef struct winograd_images {
    const winograd_kernels *kernels;
    int64_t n, blocks; /* n samples of `blocks` x B channels */
    int64_t h, w;
    int64_t rows, columns; /* of tiles, in a sample */
    int64_t plane_bytes;   /* of h x w x B values */
    char *data;            /* n x blocks x h x w x B */
} winograd_images;

winograd_images moco_winograd_images_of(const cpu_backend *backend, const image_layer *desc, int64_t c,
                                        const moco_tensor *tensor);

/* Weights of output channels `next_output` apart and input channels `next_input` apart; `flipped`: the nine of each
 * filter in reverse order, as the gradient of the input takes them. */
typedef struct winograd_filters {
    const float *g;
    int64_t next_output, next_input;
    int32_t flipped;
} winograd_filters;

/* One panel of U, [position][words of input channels][NR]: NR output channels, from the first of `filters` on, by so
 * many input channels. */
void moco_winograd_transform_filters(const winograd_kernels *kernels, const winograd_filters *filters, int64_t inputs,
                                     uint32_t *u, int64_t next_position);

/* V of tiles [first, end), padded with zeros to whole calls of MR tiles, for blocks [block, block + blocks) of channels:
 * [position][tile][words of channels]. */
void moco_winograd_transform_tiles(const winograd_images *x, int64_t first, int64_t end, int64_t block, int64_t blocks,
                                   uint32_t *v, int64_t next_position, int64_t next_tile);

/* The results of tiles [first, end) out of their products m[tile][position][NR], of the panel-th NR output channels. */
void moco_winograd_store_results(const winograd_images *y, int64_t first, int64_t end, int64_t panel, const float *m,
                                 int32_t accumulate);

typedef void (*winograd_pair_fn)(const winograd_planes *planes, const winograd_run *run, uint32_t *to,
                                 int64_t next_position);

/* For the weight gradient, whose products sum over tiles: a word has the same tile of per_word samples. Words [first,
 * end) of blocks [block, block + blocks) of channels: [position][block][word][B]. */
void moco_winograd_transform_words(const winograd_images *images, int64_t first, int64_t end, int64_t block,
                                   int64_t blocks, winograd_pair_fn transform, uint32_t *to, int64_t next_position,
                                   int64_t next_block);

/* dU = [dU +] A dY A' times V at one position, for `outputs` output by `inputs` input channels: both transformed words
 * are [block][word][B], with blocks `next_block` apart; rows of dU have `inputs` elements. */
void moco_winograd_multiply_words(const winograd_images *x, const blocked_kernels *blocked, const uint32_t *v,
                                  const uint32_t *w, int64_t next_block, int64_t words, int64_t outputs, int64_t inputs,
                                  int32_t accumulate, float *du);

#endif
