/* A memory bank (arXiv 1805.01978) as a key source of a host's own: one row per sample of the data set, kept as a moving
 * average of its keys. All rows but a sample's own are its negatives.
 */
#ifndef MEMORY_BANK_H
#define MEMORY_BANK_H

#include <math.h>
#include <moco/sys/key_source_ops.h>
#include <stdlib.h>
#include <string.h>

#include "support/loss_oracle.h"

typedef struct memory_bank {
    int64_t samples, dim;
    double keep;  /* a row becomes keep * row + (1 - keep) * key, of length 1 */
    float *rows;  /* samples x dim */
    int64_t *ids; /* row numbers */
    int32_t views, updates, destroyed, fail_next;
    /* What the last view and update were given. */
    int64_t seen_ids[64], seen_n;
    float seen_k[64 * 64];
    moco_key_rows spoiled; /* for tests of refusals: answered instead, where struct_size is not 0 */
} memory_bank;

static inline int32_t memory_bank_view(void *self, const int64_t *sample_ids, int64_t n, moco_key_rows *rows) {
    memory_bank *bank = (memory_bank *) self;
    bank->views++;
    bank->seen_n = n;
    if (sample_ids != NULL) memcpy(bank->seen_ids, sample_ids, (size_t) n * sizeof *sample_ids);
    if (bank->fail_next) return 1;
    if (bank->spoiled.struct_size != 0) {
        *rows = bank->spoiled;
        return 0;
    }
    rows->keys = bank->rows;
    rows->ids = bank->ids;
    rows->count = bank->samples;
    rows->skip_same_id = 1;
    return 0;
}

static inline int32_t memory_bank_update(void *self, const float *k, const int64_t *sample_ids, int64_t n) {
    memory_bank *bank = (memory_bank *) self;
    bank->updates++;
    if (bank->fail_next || sample_ids == NULL) return 1;
    memcpy(bank->seen_k, k, (size_t) (n * bank->dim) * sizeof *k);
    for (int64_t i = 0; i < n; ++i) {
        float *row = bank->rows + sample_ids[i] * bank->dim;
        double squares = 0;
        for (int64_t d = 0; d < bank->dim; ++d) {
            const double mixed = bank->keep * (double) row[d] + (1 - bank->keep) * (double) k[i * bank->dim + d];
            row[d] = (float) mixed;
            squares += mixed * mixed;
        }
        for (int64_t d = 0; d < bank->dim; ++d) row[d] = (float) ((double) row[d] / sqrt(squares));
    }
    return 0;
}

static inline void memory_bank_destroy(void *self) {
    ((memory_bank *) self)->destroyed++;
}

static inline moco_key_source_ops memory_bank_ops(void) {
    const moco_key_source_ops ops = {
        .struct_size = sizeof ops,
        .abi_version = MOCO_KEY_SOURCE_OPS_VERSION,
        .view = memory_bank_view,
        .update = memory_bank_update,
        .destroy = memory_bank_destroy,
    };
    return ops;
}

/* Random unit rows. memory_bank_free after its source is gone. */
static inline memory_bank *memory_bank_create(int64_t samples, int64_t dim, double keep, uint64_t seed) {
    memory_bank *bank = (memory_bank *) calloc(1, sizeof *bank);
    bank->samples = samples;
    bank->dim = dim;
    bank->keep = keep;
    bank->rows = (float *) malloc((size_t) (samples * dim) * sizeof(float));
    bank->ids = (int64_t *) malloc((size_t) samples * sizeof(int64_t));
    oracle_rows(bank->rows, samples, dim, 1, seed);
    for (int64_t i = 0; i < samples; ++i) bank->ids[i] = i;
    return bank;
}

static inline void memory_bank_free(memory_bank *bank) {
    free(bank->rows);
    free(bank->ids);
    free(bank);
}

#endif
