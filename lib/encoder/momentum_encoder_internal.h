/* The momentum encoder on tensors, as the trainer calls it. */
#ifndef MOCO_MOMENTUM_ENCODER_INTERNAL_H
#define MOCO_MOMENTUM_ENCODER_INTERNAL_H

#include <moco/momentum_encoder.h>
#include <moco/sys/backend.h>

#include "core/state.h"

/* As moco_momentum_encoder_encode, with images n x c x h x w and keys n x dim float32 in backend memory. */
moco_status moco_momentum_encoder_encode_tensor(moco_momentum_encoder *momentum_encoder, const moco_tensor *images,
                                                const moco_tensor *keys);
/* The rest of moco_momentum_encoder_update, for callers that have updated the learnable parameters themselves:
 * BatchNorm buffers by policy. */
moco_status moco_momentum_encoder_finish_update(moco_momentum_encoder *momentum_encoder);
/* A training step that is to leave nothing if it fails: between the two calls, what an update and an encode change can be
 * brought back, with `undo` it is; the parameters only while no backward of the query encoder has begun, or where it has
 * a gradient hook. The query encoder itself is the caller's to begin and end. */
moco_status moco_momentum_encoder_begin_step(moco_momentum_encoder *momentum_encoder);
moco_status moco_momentum_encoder_end_step(moco_momentum_encoder *momentum_encoder, int32_t undo);
void moco_momentum_encoder_retain(moco_momentum_encoder *momentum_encoder);
void moco_momentum_encoder_release(moco_momentum_encoder *momentum_encoder); /* NULL is a no-op */
/* The encoder it averages; borrowed. */
moco_encoder *moco_momentum_encoder_query(moco_momentum_encoder *momentum_encoder);

/* 1 if its BatchNorm buffers are copied or averaged from the query encoder's. */
int32_t moco_momentum_encoder_takes_buffers(const moco_momentum_encoder *momentum_encoder);

/* The configuration, with the momentum as it is now. */
const moco_momentum_encoder_config *moco_momentum_encoder_configuration(const moco_momentum_encoder *momentum_encoder);

/* core/state.h; the parts are "momentum_encoder" and "key_encoder". */
moco_status moco_momentum_encoder_visit(moco_momentum_encoder *momentum_encoder, const moco_state *state);

#endif
