/* Images as Winograd's algorithm sees them: tile after tile, row by row, sample by sample. Shared by the two orders in
 * which tiles are multiplied, winograd_tiles_outer.c and winograd_weights_outer.c.
 */
#ifndef MOCO_WINOGRAD_TILES_H
#define MOCO_WINOGRAD_TILES_H

#include "backend/cpu/cpu_backend.h"

enum { LANES = WINOGRAD_LANES, TILES = WINOGRAD_TILES, CHANNELS = WINOGRAD_CHANNELS };

/* Keeps the elements of a tile, else powers of two apart, from meeting in one set of the cache. */
enum { WINOGRAD_STAGGER = 16 };

typedef struct winograd_images {
    const winograd_kernels *kernels;
    int64_t n, blocks; /* of 16 channels */
    int64_t h, w;
    int64_t rows, columns; /* of tiles, in a sample */
    int64_t plane_bytes;
    char *data; /* n x blocks x h x w x 16 */
} winograd_images;

/* Input or output of a convolution that keeps h x w. */
winograd_images moco_winograd_images_of(const cpu_backend *backend, const image_layer *desc, int64_t c,
                                        const moco_tensor *tensor);

/* U of 64 lanes, from the first's weights `g` on, by `channels` channels: units of channels by 64 lanes. */
typedef struct winograd_filters {
    const float *g;
    int64_t next_lane, next_channel;
    int32_t turned;
} winograd_filters;

void moco_winograd_transform_filters(const winograd_kernels *kernels, const winograd_filters *filters, int64_t channels,
                                     uint32_t *u, int64_t next_element);

/* V of tiles [first, end), padded with zeros to whole groups of TILES, for blocks [block, block + blocks). */
void moco_winograd_transform_tiles(const winograd_images *x, int64_t first, int64_t end, int64_t block, int64_t blocks,
                                   uint32_t *v, int64_t next_element, int64_t next_tile);

/* The results of tiles [first, end) out of their products m[tile][element][64 channels], the chunk-th 64. */
void moco_winograd_store_results(const winograd_images *y, int64_t first, int64_t end, int64_t chunk, const float *m,
                                 int32_t accumulate);

typedef void (*winograd_pair_fn)(const winograd_planes *planes, const winograd_run *run, uint32_t *to,
                                 int64_t next_element);

/* For the weight gradient, whose units are the same tile of `per_step` samples: units [first, end) of blocks [block,
 * block + blocks), [element][block][unit][16]. */
void moco_winograd_transform_units(const winograd_images *images, int64_t first, int64_t end, int64_t block,
                                   int64_t blocks, winograd_pair_fn transform, uint32_t *to, int64_t next_element,
                                   int64_t next_block);

#endif
