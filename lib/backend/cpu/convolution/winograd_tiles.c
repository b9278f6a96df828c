#include "backend/cpu/convolution/winograd_tiles.h"

#include <string.h>

#include "core/checked.h"

winograd_images moco_winograd_images_of(const cpu_backend *backend, const image_layer *desc, int64_t c,
                                        const moco_tensor *tensor) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    const int64_t tile = format->winograd->tile;
    const winograd_images images = {
        .kernels = format->winograd,
        .n = desc->n,
        .blocks = c / LANES,
        .h = desc->h,
        .w = desc->w,
        .rows = moco_ceil_divide(desc->h, tile),
        .columns = moco_ceil_divide(desc->w, tile),
        .plane_bytes = desc->h * desc->w * LANES * format->kernels->element_bytes,
        .data = (char *) moco_host_address(tensor),
    };
    return images;
}

/* Tiles of one row, from number `tile` of all samples' on, at most up to `end`. */
static winograd_run run_at(const winograd_images *in, int64_t tile, int64_t end, int64_t *sample) {
    const int64_t row = tile / in->columns, first = tile % in->columns;
    const winograd_run run = {in->h, in->w, row % in->rows, first, moco_min_i64(in->columns - first, end - tile)};
    *sample = row / in->rows;
    return run;
}

void moco_winograd_transform_filters(const winograd_kernels *kernels, const winograd_filters *filters, int64_t channels,
                                     uint32_t *u, int64_t next_element) {
    for (int64_t channel = 0; channel < channels; channel += LANES) {
        for (int64_t lane = 0; lane < CHANNELS; lane += LANES) {
            kernels->transform_weights(filters->g + lane * filters->next_lane + channel * filters->next_channel,
                                       filters->next_lane, filters->next_channel, filters->turned,
                                       u + channel / kernels->per_step * CHANNELS + lane, next_element, CHANNELS);
        }
    }
}

/* The rows of a plane that a run of tiles looks at: too short a stretch for the processor to guess it. */
static void prefetch_rows(const winograd_images *images, const char *plane, const winograd_run *run) {
    const int64_t tile = images->kernels->tile, row_bytes = images->plane_bytes / images->h;
    const int64_t end = moco_min_i64(images->h, (run->row + 1) * tile + 1) * row_bytes;
    for (int64_t at = moco_max_i64(0, run->row * tile - 1) * row_bytes; at < end; at += 64) {
        __builtin_prefetch(plane + at, 0, 2);
    }
}

void moco_winograd_transform_tiles(const winograd_images *x, int64_t first, int64_t end, int64_t block, int64_t blocks,
                                   uint32_t *v, int64_t next_element, int64_t next_tile) {
    const winograd_kernels *kernels = x->kernels;
    for (int64_t tile = first; tile < end;) {
        int64_t sample;
        const winograd_run run = run_at(x, tile, end, &sample);
        for (int64_t b = 0; b < blocks; b += kernels->per_step) {
            const char *plane = x->data + (sample * x->blocks + block + b) * x->plane_bytes;
            const winograd_planes planes = {{plane, kernels->per_step == 2 ? plane + x->plane_bytes : NULL}};
            for (int64_t next = kernels->per_step; next < 2 * kernels->per_step && b + next < blocks; ++next) {
                prefetch_rows(x, plane + next * x->plane_bytes, &run);
            }
            kernels->transform_pixels(&planes, &run, v + (tile - first) * next_tile + b / kernels->per_step * LANES,
                                      next_element, next_tile);
        }
        tile += run.count;
    }
    const int64_t count = end - first, rest = moco_ceil_divide(count, TILES) * TILES - count;
    for (int64_t e = 0; e < kernels->elements; ++e) {
        memset(v + e * next_element + count * next_tile, 0, (size_t) (rest * next_tile) * sizeof *v);
    }
}

void moco_winograd_store_results(const winograd_images *y, int64_t first, int64_t end, int64_t chunk, const float *m,
                                 int32_t accumulate) {
    const int64_t next_tile = y->kernels->elements * CHANNELS;
    for (int64_t tile = first; tile < end;) {
        int64_t sample;
        const winograd_run run = run_at(y, tile, end, &sample);
        for (int64_t block = 0; block < CHANNELS / LANES; ++block) {
            char *plane = y->data + (sample * y->blocks + chunk * CHANNELS / LANES + block) * y->plane_bytes;
            y->kernels->transform_products(m + (tile - first) * next_tile + block * LANES, CHANNELS, next_tile, &run,
                                           accumulate, plane);
        }
        tile += run.count;
    }
}

void moco_winograd_transform_units(const winograd_images *images, int64_t first, int64_t end, int64_t block,
                                   int64_t blocks, winograd_pair_fn transform, uint32_t *to, int64_t next_element,
                                   int64_t next_block) {
    const int64_t per_step = images->kernels->per_step;
    for (int64_t tile = first; tile < end;) {
        int64_t unit;
        const winograd_run run = run_at(images, tile, end, &unit);
        const int64_t sample = unit * per_step;
        const int32_t has_second = per_step == 2 && sample + 1 < images->n;
        for (int64_t b = 0; b < blocks; ++b) {
            const char *one = images->data + (sample * images->blocks + block + b) * images->plane_bytes;
            const char *second = has_second ? one + images->blocks * images->plane_bytes : NULL;
            const winograd_planes planes = {{one, second}};
            if (b + 1 < blocks) {
                prefetch_rows(images, one + images->plane_bytes, &run);
                if (has_second) prefetch_rows(images, second + images->plane_bytes, &run);
            }
            transform(&planes, &run, to + b * next_block + (tile - first) * LANES, next_element);
        }
        tile += run.count;
    }
}
