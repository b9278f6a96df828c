/* The loss on tensors, as the trainer calls it. */
#ifndef MOCO_LOSS_INTERNAL_H
#define MOCO_LOSS_INTERNAL_H

#include <moco/loss.h>

#include "core/context_internal.h"
#include "core/references.h"
#include "core/state.h"
#include "keys/key_view.h"

struct moco_loss {
    moco_references references;
    moco_context *context;
    moco_loss_config config;
};

/* The gradients to compute, float32 in backend memory; an absent tensor leaves one out, and what it belongs to is a
 * constant. */
typedef struct moco_loss_gradients {
    moco_tensor d_q;    /* n x dim */
    moco_tensor d_k;    /* n x dim */
    moco_tensor d_keys; /* negatives x dim: by the rows of the view */
} moco_loss_gradients;

/* The loss of q and k, n x dim float32 in backend memory, with the view's rows as negatives. sample_ids[n] may be NULL
 * unless the loss has mask_same_id or the view skip_same_id. */
moco_status moco_loss_compute_tensor(moco_loss *loss, const moco_tensor *q, const moco_tensor *k,
                                     const moco_key_view *view, const int64_t *sample_ids, moco_loss_result *result,
                                     const moco_loss_gradients *gradients);

/* INVALID_ARGUMENT unless `result` has room for all that this release fills in. */
moco_status moco_loss_check_result(const moco_loss_result *result);

/* core/state.h; the part is "loss". */
moco_status moco_loss_visit(moco_loss *loss, const moco_state *state);

void moco_loss_retain(moco_loss *loss);
void moco_loss_release(moco_loss *loss); /* NULL is a no-op */
moco_context *moco_loss_context(const moco_loss *loss);

#endif
