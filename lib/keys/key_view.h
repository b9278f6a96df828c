/* The negatives of one batch, as the loss sees them: const rows and their ids, nothing that changes where they lie. */
#ifndef MOCO_KEY_VIEW_H
#define MOCO_KEY_VIEW_H

#include <moco/sys/backend.h>

/* Valid until the next change of, or view from, what it was taken from. */
typedef struct moco_key_view {
    moco_context *context;
    moco_tensor keys;     /* negatives x dim, F32 or BF16; its buffer may be NULL where there are none */
    const int64_t *ids;   /* host memory, one per row; NULL: the rows have none */
    int64_t dim;          /* of the rows, also where there are none */
    int64_t negatives;    /* K */
    int32_t skip_same_id; /* 1: a row of the sample's own id is no negative, even if the loss has no mask_same_id */
} moco_key_view;

#endif
