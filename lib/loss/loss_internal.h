/* The loss on tensors, as the trainer calls it. */
#ifndef MOCO_LOSS_INTERNAL_H
#define MOCO_LOSS_INTERNAL_H

#include <moco/loss.h>
#include <moco/sys/backend.h>

/* As moco_loss_compute, with q, k and d_q (may be an absent tensor) n x dim float32 in backend memory. */
moco_status moco_loss_compute_tensor(moco_loss *loss, const moco_tensor *q, const moco_tensor *k,
                                     const moco_queue *queue, const int64_t *sample_ids, moco_loss_result *result,
                                     const moco_tensor *d_q);
void moco_loss_retain(moco_loss *loss);
moco_context *moco_loss_context(const moco_loss *loss);

#endif
