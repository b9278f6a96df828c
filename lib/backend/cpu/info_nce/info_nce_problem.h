/* What the files of the fused InfoNCE share: one call's problem, cut into blocks, parts and tiles. info_nce.c has the
 * whole picture.
 */
#ifndef MOCO_INFO_NCE_PROBLEM_H
#define MOCO_INFO_NCE_PROBLEM_H

#include <moco/sys/backend.h>

#include "backend/cpu/kernels/info_nce_kernel.h"
#include "core/checked.h"

#define MOCO_NCE_MOST_PARTS 32
#define MOCO_NCE_LOG2_E     1.4426950408889634074

/* What a part of the keys says of one query row. */
typedef struct moco_nce_row_state {
    double reference;
    double sum;
    double similarity; /* sum of s */
    int64_t hits;      /* s >= the positive's */
} moco_nce_row_state;

typedef struct moco_nce_block_state {
    int64_t masked;
    int32_t exact; /* 1: once a tile needed double, all later ones of this part are in double, with shifted weights */
    double shift;
} moco_nce_block_state;

/* What all keys together say of it. */
typedef struct moco_nce_row_result {
    double loss;
    double similarity;
    int64_t hits;
    double reference; /* the largest s, or a little more; at least the positive's */
    double total;     /* sum of 2^((s - reference) c) over all logits */
} moco_nce_row_result;

typedef struct moco_nce_problem {
    const moco_nce_kernel *kernel;
    const moco_info_nce_args *args;
    const float *q, *k;
    const float *keys;           /* NULL where they are bfloat16 */
    const uint16_t *narrow_keys; /* which a worker widens tile by tile */
    float *d_q, *d_k, *d_keys;   /* NULL: not asked for */
    int64_t n, dim, key_count;
    double sign, scale; /* sign(T), c */
    /* How rows and keys are cut: by sizes alone. */
    int64_t blocks, padded_rows, groups, group_blocks, parts, part_keys, tile_keys;
    int64_t key_width, key_blocks; /* of the second sweep; 0 without d_keys */
    double longest;                /* |q_i|, of all rows */
    /* per padded row */
    float *q_t, *k_t; /* block after block, each dim x width */
    float *positive;
    double *exact_positive;
    int64_t *row_ids;
    moco_nce_row_result *results;
    float *row_reference, *row_factor; /* p_ij = row_factor 2^((s_ij - row_reference) c); NULL without d_keys */
    /* per block */
    double *block_length; /* the longest q */
    /* per part */
    moco_nce_row_state *rows;     /* parts x padded_rows */
    moco_nce_block_state *states; /* parts x blocks */
    float *sums;                  /* parts x padded_rows x dim; NULL without d_q */
    /* per worker */
    float *tiles;       /* tile_rows x dim; NULL where keys are float32 */
    float *key_t;       /* dim x key_width; and so the following; NULL without d_keys */
    float *key_sums;    /* dim x key_width */
    double *exact_sums; /* dim */
    int64_t workers, tile_rows;
} moco_nce_problem;

static inline int32_t moco_nce_block_width(const moco_nce_problem *p, int64_t block) {
    const int64_t left = p->padded_rows - block * p->kernel->block_width;
    return (int32_t) moco_min_i64(left, p->kernel->block_width);
}

/* `count` keys from number `key` on as floats: where they lie, or widened into the worker's tile. */
static inline const float *moco_nce_tile(const moco_nce_problem *p, int64_t key, int64_t count, int32_t worker) {
    if (p->keys != NULL) return p->keys + key * p->dim;
    float *tile = p->tiles + (int64_t) worker * p->tile_rows * p->dim;
    p->kernel->widen(p->narrow_keys + key * p->dim, count * p->dim, tile);
    return tile;
}

/* 1 if similarities of at most `bound` in size may be float32: no logit is so large that its rounding counts, and no
 * product over- or underflows. */
int32_t moco_nce_fits_float(const moco_nce_problem *p, double bound);

double moco_nce_dot(const float *a, const float *b, int64_t dim);

/* The tasks, in the order of their passes. */
void moco_nce_prepare_block(void *problem, int64_t block, int32_t worker); /* blocks */
void moco_nce_stream_keys(void *problem, int64_t task, int32_t worker);    /* parts x groups */
void moco_nce_join_block(void *problem, int64_t block, int32_t worker);    /* blocks */
void moco_nce_key_block(void *problem, int64_t block, int32_t worker);     /* key_blocks */

#endif
