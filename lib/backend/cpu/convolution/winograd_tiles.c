#include "backend/cpu/convolution/winograd_tiles.h"

#include <string.h>

#include "core/checked.h"

/* Where the tiles take 4 / 5 of the multiplications or less: those of small images lie mostly outside of them. */
static int32_t pays_off(const winograd_kernels *kernels, const image_layer *desc) {
    const int64_t rows = moco_ceil_divide(desc->h, kernels->tile), columns = moco_ceil_divide(desc->w, kernels->tile);
    return 5 * kernels->positions * rows * columns <= 4 * (3 * desc->h - 2) * (3 * desc->w - 2);
}

/* With fewer channels, transforming the tiles costs more than the multiplications saved; with few pixels, transforming
 * the weights does. Constant weights are left to oneDNN's convolution, which keeps its copy of them. */
int32_t moco_winograd_supports(const cpu_backend *backend, const image_layer *desc) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    const winograd_kernels *kernels = format->winograd;
    return kernels != NULL && desc->input_layout == format->layout &&
           (!desc->constant_weights || backend->onednn == NULL) && !desc->direct_convolution && desc->kernel == 3 &&
           desc->stride == 1 && desc->padding == 1 && desc->groups == 1 && desc->c % kernels->nr == 0 &&
           desc->out_c % kernels->nr == 0 && desc->n * desc->h * desc->w >= desc->c && pays_off(kernels, desc);
}

int32_t moco_winograd_weights_outer(const cpu_backend *backend, const image_layer *desc) {
    const winograd_kernels *kernels = moco_cpu_format_of(backend, desc)->winograd;
    return desc->n * desc->h * desc->w < kernels->weights_outer_below * desc->c;
}

winograd_images moco_winograd_images_of(const cpu_backend *backend, const image_layer *desc, int64_t c,
                                        const moco_tensor *tensor) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    const int64_t tile = format->winograd->tile;
    const winograd_images images = {
        .kernels = format->winograd,
        .n = desc->n,
        .blocks = c / format->block,
        .h = desc->h,
        .w = desc->w,
        .rows = moco_ceil_divide(desc->h, tile),
        .columns = moco_ceil_divide(desc->w, tile),
        .plane_bytes = desc->h * desc->w * format->block * format->kernels->element_bytes,
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

void moco_winograd_transform_filters(const winograd_kernels *kernels, const winograd_filters *filters, int64_t inputs,
                                     uint32_t *u, int64_t next_position) {
    for (int64_t input = 0; input < inputs; input += kernels->block) {
        for (int64_t output = 0; output < kernels->nr; output += kernels->block) {
            kernels->transform_weights(filters->g + output * filters->next_output + input * filters->next_input,
                                       filters->next_output, filters->next_input, filters->flipped,
                                       u + input / kernels->per_word * kernels->nr + output, next_position,
                                       kernels->nr);
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
                                   uint32_t *v, int64_t next_position, int64_t next_tile) {
    const winograd_kernels *kernels = x->kernels;
    for (int64_t tile = first; tile < end;) {
        int64_t sample;
        const winograd_run run = run_at(x, tile, end, &sample);
        for (int64_t b = 0; b < blocks; b += kernels->per_word) {
            const char *plane = x->data + (sample * x->blocks + block + b) * x->plane_bytes;
            const winograd_planes planes = {{plane, kernels->per_word == 2 ? plane + x->plane_bytes : NULL}};
            for (int64_t next = kernels->per_word; next < 2 * kernels->per_word && b + next < blocks; ++next) {
                prefetch_rows(x, plane + next * x->plane_bytes, &run);
            }
            kernels->transform_pixels(&planes, &run,
                                      v + (tile - first) * next_tile + b / kernels->per_word * kernels->block,
                                      next_position, next_tile);
        }
        tile += run.count;
    }
    const int64_t count = end - first, rest = moco_ceil_divide(count, kernels->mr) * kernels->mr - count;
    for (int64_t e = 0; e < kernels->positions; ++e) {
        memset(v + e * next_position + count * next_tile, 0, (size_t) (rest * next_tile) * sizeof *v);
    }
}

void moco_winograd_store_results(const winograd_images *y, int64_t first, int64_t end, int64_t panel, const float *m,
                                 int32_t accumulate) {
    const winograd_kernels *kernels = y->kernels;
    const int64_t next_tile = kernels->positions * kernels->nr, blocks = kernels->nr / kernels->block;
    for (int64_t tile = first; tile < end;) {
        int64_t sample;
        const winograd_run run = run_at(y, tile, end, &sample);
        for (int64_t block = 0; block < blocks; ++block) {
            char *plane = y->data + (sample * y->blocks + panel * blocks + block) * y->plane_bytes;
            kernels->transform_products(m + (tile - first) * next_tile + block * kernels->block, kernels->nr, next_tile,
                                        &run, accumulate, plane);
        }
        tile += run.count;
    }
}

void moco_winograd_transform_words(const winograd_images *images, int64_t first, int64_t end, int64_t block,
                                   int64_t blocks, winograd_pair_fn transform, uint32_t *to, int64_t next_position,
                                   int64_t next_block) {
    const int64_t per_word = images->kernels->per_word;
    for (int64_t word = first; word < end;) {
        int64_t pair;
        const winograd_run run = run_at(images, word, end, &pair);
        const int64_t sample = pair * per_word;
        const int32_t has_second = per_word == 2 && sample + 1 < images->n;
        for (int64_t b = 0; b < blocks; ++b) {
            const char *one = images->data + (sample * images->blocks + block + b) * images->plane_bytes;
            const char *second = has_second ? one + images->blocks * images->plane_bytes : NULL;
            const winograd_planes planes = {{one, second}};
            if (b + 1 < blocks) {
                prefetch_rows(images, one + images->plane_bytes, &run);
                if (has_second) prefetch_rows(images, second + images->plane_bytes, &run);
            }
            transform(&planes, &run, to + b * next_block + (word - first) * images->kernels->block, next_position);
        }
        word += run.count;
    }
}

void moco_winograd_multiply_words(const winograd_images *x, const blocked_kernels *blocked, const uint32_t *v,
                                  const uint32_t *w, int64_t next_block, int64_t words, int64_t outputs, int64_t inputs,
                                  int32_t accumulate, float *du) {
    const int64_t block = x->kernels->block, rows = blocked->outer_rows, blocks = blocked->outer_blocks;
    const float *from_v = (const float *) (const void *) v, *from_w = (const float *) (const void *) w;
    for (int64_t output = 0; output < outputs; output += block) {
        for (int64_t lane = 0; lane < block; lane += rows) {
            float *to = du + (output + lane) * inputs;
            if (!accumulate) memset(to, 0, (size_t) (rows * inputs) * sizeof *to);
            for (int64_t b = 0; b * block < inputs; b += blocks) {
                blocked->outer_products(from_w + output / block * next_block, lane, from_v + b * next_block, next_block,
                                        words, to + b * block, inputs);
            }
        }
    }
}
