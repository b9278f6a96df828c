/* What an encoder is inside the library: a parameter table in backend memory and a few functions on tensors. Built-in
 * networks (network.c) and a caller's own (custom_network.c) implement the same moco_network_ops.
 */
#ifndef MOCO_ENCODER_INTERNAL_H
#define MOCO_ENCODER_INTERNAL_H

#include <moco/encoder.h>
#include <moco/sys/backend.h>
#include <moco/sys/encoder_ops.h>

#include "core/context_internal.h"
#include "core/state.h"

typedef struct moco_parameter {
    const char *name;
    int32_t kind; /* MOCO_PARAMETER_LEARNABLE or BUFFER */
    int32_t rank;
    int64_t dims[4];
    int64_t elements;
    moco_tensor value;
    moco_tensor gradient; /* absent for buffers */
    int32_t flags;        /* MOCO_PARAMETER_VECTOR, NO_DECAY, FROZEN; 0 for buffers */
    int32_t reserved;
} moco_parameter;

/* Contiguous runs over which flat operators (momentum update, SGD) work: one for a built-in network. */
typedef struct moco_parameter_run {
    moco_tensor value;    /* 1-d */
    moco_tensor gradient; /* 1-d; absent for buffers */
} moco_parameter_run;

typedef struct moco_parameter_table {
    int64_t count;
    moco_parameter *items;
    int64_t learnable_runs;
    moco_parameter_run *learnable;
    int64_t buffer_runs;
    moco_parameter_run *buffers;
    int64_t learnable_elements;
    int64_t buffer_elements;
    uint64_t flags_version; /* advances when a flag changes: whoever has cut the runs cuts them again */
    void *kept;             /* a copy of the buffers (running_statistics.h); NULL: none was made yet */
} moco_parameter_table;

/* A part of learnable run `run` in which all parameters agree in the flags that were asked for. Values, gradients, a
 * clone's values and an optimizer's state lie alike, so that moco_cut_part finds the part in each. */
typedef struct moco_parameter_cut {
    int64_t run;
    int64_t from; /* elements of the run */
    int64_t elements;
    int32_t flags; /* what they agree in */
    int32_t reserved;
} moco_parameter_cut;

/* The flags that a parameter of this kind and rank starts with, `declared` among them. */
int32_t moco_parameter_flags(int32_t kind, int32_t rank, int32_t declared);
/* Cuts the learnable runs where a flag of `mask` changes. Runs are not cut elsewhere: with no such flag set, or mask 0,
 * the cuts are the runs, one for a built-in network. The caller frees `cuts` with moco_deallocate. */
moco_status moco_parameter_cuts(moco_context *context, const moco_parameter_table *table, int32_t mask,
                                moco_parameter_cut **cuts, int64_t *count);
/* The cut's part of a 1-d tensor that lies as its run does. */
moco_tensor moco_cut_part(const moco_tensor *run, const moco_parameter_cut *cut);

/* How a backward pass tells which gradients are final; moco_encoder_set_gradient_hook says when. Parameters from
 * `first` on are, in a built-in network, the flat gradient from items[first].gradient.offset on. */
typedef struct moco_gradient_hook {
    moco_gradients_ready_fn ready;
    void *user;
} moco_gradient_hook;

/* Tensor versions of the public functions: images n x c x h x w, embeddings n x dim, in backend memory (F32, PLAIN).
 * Without a pass in the name they are pass 0; `pass` is 0 .. MOCO_ENCODER_PASSES - 1, its forward in MODE_TRAIN. */
moco_status moco_encoder_forward_tensor(moco_encoder *encoder, int32_t mode, const moco_tensor *images,
                                        const moco_tensor *embeddings);
moco_status moco_encoder_backward_tensor(moco_encoder *encoder, const moco_tensor *d_embeddings);
moco_status moco_encoder_forward_pass_tensor(moco_encoder *encoder, int32_t pass, const moco_tensor *images,
                                             const moco_tensor *embeddings);
/* `last`: 1 where no other backward pass adds to the gradients before they are used, so that the gradient hook is told.
 */
moco_status moco_encoder_backward_pass_tensor(moco_encoder *encoder, int32_t pass, int32_t last,
                                              const moco_tensor *d_embeddings);

/* Fails where a training forward of n images of h x w would, for their shape, as far as that can be known before. */
moco_status moco_encoder_prepare_training(moco_encoder *encoder, int64_t n, int64_t h, int64_t w);

moco_context *moco_encoder_context(const moco_encoder *encoder);
void moco_encoder_retain(moco_encoder *encoder);
void moco_encoder_release(moco_encoder *encoder); /* NULL is a no-op */
const moco_parameter_table *moco_encoder_parameters(const moco_encoder *encoder);
int32_t moco_encoder_bn_groups(const moco_encoder *encoder);
/* A new encoder of the same structure and values, for the momentum encoder. */
moco_status moco_encoder_clone(moco_encoder **out, const moco_encoder *encoder);
/* 1 where `clone`, a clone of `encoder`, runs forwards without a backward in the memory that keeps the forwards of
 * `encoder` until their backward, as long as none waits there: it needs no memory of its own if it comes first. */
int32_t moco_encoder_shares_workspace(const moco_encoder *encoder, const moco_encoder *clone);
/* To be called after parameter values were changed from outside (optimizer, momentum update, file): advances the weight
 * version and clears what was derived from old values. */
void moco_encoder_parameters_changed(moco_encoder *encoder);
/* Clearing gradients is lazy: moco_encoder_zero_gradients lets the next backward overwrite them. To be called before
 * the gradient memory is read directly (optimizer): clears it if no backward came since. */
moco_status moco_encoder_settle_gradients(moco_encoder *encoder);
/* A step of several calls that is to leave nothing if it fails: from begin to end, what end is to bring back with `undo`
 * are the running statistics and their count. Gradients are none of it. */
moco_status moco_encoder_begin_step(moco_encoder *encoder);
moco_status moco_encoder_end_step(moco_encoder *encoder, int32_t undo);
/* The gradient memory is the caller's to keep other things in until the next time that gradients are written; they count
 * as zero from here on, and moco_encoder_zero_gradients is to follow if no backward does. */
void moco_encoder_lend_gradients(moco_encoder *encoder);
/* Advances whenever gradient memory is written: who keeps something there meanwhile sees that it is gone. */
uint64_t moco_encoder_gradient_writes(const moco_encoder *encoder);
/* 1 if a backward pass hands gradients to the caller as it goes. */
int32_t moco_encoder_has_gradient_hook(const moco_encoder *encoder);
/* The configuration a built-in network was made from; NULL for a caller's own. */
const moco_encoder_config *moco_encoder_configuration(const moco_encoder *encoder);

/* The layers of a built-in network; NULL for a caller's own. It lives as long as the encoder. */
const struct moco_graph *moco_encoder_graph(const moco_encoder *encoder);

/* core/state.h; the part is the visitor's, since a trainer has two encoders. */
moco_status moco_encoder_visit(moco_encoder *encoder, const moco_state *state);

#endif
