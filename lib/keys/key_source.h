/* Where a batch's negatives come from: the seam between the loss, which sees a moco_key_view, the method that decides
 * when keys are taken in, and the kinds: the queue (queue.c) and the host's own (custom_key_source.c).
 */
#ifndef MOCO_KEY_SOURCE_H
#define MOCO_KEY_SOURCE_H

#include <moco/sys/key_source_ops.h>

#include "backend/backend_chain.h"
#include "core/references.h"
#include "core/state.h"
#include "keys/key_view.h"

/* What one kind of source does. `self` is a struct that begins with moco_key_source. */
typedef struct moco_key_source_kind {
    const char *name; /* as a sentence has it: "queue" */
    moco_status (*view)(moco_key_source *self, const int64_t *sample_ids, int64_t n, moco_key_view *view);
    /* k: n x dim float32 in the backend's memory; sample_ids may be NULL. */
    moco_status (*update)(moco_key_source *self, const moco_tensor *k, const int64_t *sample_ids);
    /* All that decides how it goes on, see core/state.h. NULL: the state is the host's, who alone can keep it. */
    moco_status (*visit)(moco_key_source *self, const moco_state *state);
    /* Frees what the kind added, and the struct. */
    void (*destroy)(moco_key_source *self);
} moco_key_source_kind;

struct moco_key_source {
    const moco_key_source_kind *kind;
    moco_references references;
    moco_context *context; /* kept alive */
    int64_t dim;
};

/* For a kind's create: one reference, and the context retained. */
void moco_key_source_start(moco_key_source *source, const moco_key_source_kind *kind, moco_context *context,
                           int64_t dim);
void moco_key_source_retain(moco_key_source *source);
void moco_key_source_release(moco_key_source *source); /* NULL is a no-op */

/* INVALID_ARGUMENT unless `count` rows of float32 can be addressed. */
moco_status moco_key_source_check_rows(const moco_key_source *source, int64_t count);

/* The negatives of a batch with sample_ids[n] (may be NULL). */
moco_status moco_key_source_view(moco_key_source *source, const int64_t *sample_ids, int64_t n, moco_key_view *view);
/* Takes in the batch's keys, k[n x dim] float32; INVALID_ARGUMENT, naming the row, unless all are
 * finite. */
moco_status moco_key_source_update_tensor(moco_key_source *source, const moco_tensor *k, const int64_t *sample_ids);

/* UNSUPPORTED for a source of the host's own. */
moco_status moco_key_source_visit(moco_key_source *source, const moco_state *state);

#endif
