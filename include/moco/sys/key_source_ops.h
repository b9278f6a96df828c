/* Second tier: a key source of the caller's own, where the loss gets its negatives from. The queue (<moco/queue.h>) is one
 * kind; a memory bank, a sampled dictionary or a shared store are others: they answer `view` and `update`.
 *
 * This tier is versioned by abi_version: a later library still takes this version's struct.
 */
#ifndef MOCO_SYS_KEY_SOURCE_OPS_H
#define MOCO_SYS_KEY_SOURCE_OPS_H

#include <moco/loss.h>

MOCO_BEGIN_DECLS

#define MOCO_KEY_SOURCE_OPS_VERSION 1

/* The negatives of one batch, in the host's memory. They stay valid and unchanged until the source's next call. */
typedef struct moco_key_rows {
    uint32_t struct_size; /* set by the library */
    int32_t skip_same_id; /* 1: a row whose id equals a sample's is no negative for that sample, whatever the loss's
                             mask_same_id says; needs ids here and at the call. A memory bank leaves out a sample's own
                             row by it. Default 0 */
    const float *keys;    /* count x dim, row-major, every value finite; may be NULL with count 0 */
    const int64_t *ids;   /* count; NULL (default): the rows have none, which a loss with mask_same_id refuses */
    int64_t count;        /* K >= 0; default 0 */
} moco_key_rows;

/* Functions return 0, or non-zero to fail the calling function with CALLBACK. `self` is the caller's object. */
typedef struct moco_key_source_ops {
    uint32_t struct_size;
    uint32_t abi_version; /* MOCO_KEY_SOURCE_OPS_VERSION */

    /* Required. Fills `rows`, which holds the defaults, with the negatives of the batch whose samples have
     * sample_ids[n] (NULL: the caller has none). It may draw other rows for each batch. */
    int32_t (*view)(void *self, const int64_t *sample_ids, int64_t n, moco_key_rows *rows);
    /* Required. Takes in the batch's keys k[n x dim], after the loss has been computed from the old ones. */
    int32_t (*update)(void *self, const float *k, const int64_t *sample_ids, int64_t n);
    /* Required. Called once, when the source goes. */
    void (*destroy)(void *self);
} moco_key_source_ops;

typedef struct moco_key_source moco_key_source;

/* \since 0.2. `ops` is copied; dim >= 1 is the embedding's. On success the source owns `self` and destroys it through
 * ops->destroy; on failure the caller still owns it. */
MOCO_API moco_status moco_key_source_create(moco_key_source **out, moco_context *context,
                                            const moco_key_source_ops *ops, void *self, int64_t dim);
MOCO_API void moco_key_source_destroy(moco_key_source *source);

/* \since 0.2. Gives the keys k[n x dim] (float32, every value finite, else INVALID_ARGUMENT) to ops->update; n = 0 does
 * nothing. sample_ids[n] may be NULL where the source needs none. Call it after the loss. */
MOCO_API moco_status moco_key_source_update(moco_key_source *source, const float *k, const int64_t *sample_ids,
                                            int64_t n);

/* \since 0.2. moco_loss_compute with the negatives of any source: its rows take the queue's place in the equation, and
 * are constants. Where the loss has mask_same_id or the rows have skip_same_id, sample_ids[n] and ids of the rows are
 * needed. Rows that are not finite are INVALID_ARGUMENT. */
MOCO_API moco_status moco_loss_compute_from(moco_loss *loss, const float *q, const float *k, int64_t n,
                                            moco_key_source *source, const int64_t *sample_ids,
                                            moco_loss_result *result, float *d_q);

MOCO_END_DECLS

#endif
