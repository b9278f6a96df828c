/* The reference backend's arithmetic, once in float32 and once in float64. Every operator is cut into tasks that write
 * outputs of their own; all sums run in double and in a fixed order, whatever the type of the tensors.
 */
#ifndef MOCO_REFERENCE_KERNELS_H
#define MOCO_REFERENCE_KERNELS_H

#include <moco/queue.h>
#include <moco/sys/backend.h>

#include "backend/image_layer.h"
#include "core/context_internal.h"

/* What the tasks of one layer call share. */
typedef struct reference_call {
    const image_layer *desc;
    const moco_layer_desc *layer; /* the same, with the parts that only its kind has */
    const moco_layer_args *args;
} reference_call;

/* One sample's part of InfoNCE. */
typedef struct reference_info_nce_row {
    double loss;
    double positive; /* q_i . k_i */
    double negative; /* sum of q_i . key_j over the unmasked keys */
    double greatest; /* the largest logit, also of the positive */
    double sum;      /* of exp(logit - greatest), over all logits */
    int64_t above;   /* unmasked keys whose logit is at or above the positive's */
    int64_t masked;
} reference_info_nce_row;

/* What the tasks of one info_nce call share. */
typedef struct reference_info_nce_call {
    const moco_info_nce_args *args;
    const void *keys;             /* K x dim of q's dtype, whatever args->keys has */
    double *logits;               /* [threads x width], a row per worker */
    int64_t width;                /* the larger of K and n */
    reference_info_nce_row *rows; /* [n] */
} reference_info_nce_call;

/* What one task of a layer's kernel is, by its index. */
enum {
    REFERENCE_PER_SAMPLE = 0,       /* n, or a row */
    REFERENCE_PER_INPUT_PLANE = 1,  /* n * c + channel */
    REFERENCE_PER_OUTPUT_PLANE = 2, /* n * out_c + channel */
    REFERENCE_PER_CHANNEL = 3,      /* c */
    REFERENCE_PER_OUT_CHANNEL = 4   /* out_c */
};

typedef struct reference_pass {
    moco_task_fn run; /* NULL: nothing to do */
    int32_t tasks;    /* REFERENCE_PER_* */
} reference_pass;

/* When a backward pass reads the layer's y. */
enum { REFERENCE_Y_NEVER = 0, REFERENCE_Y_ALWAYS = 1, REFERENCE_Y_WITH_RELU = 2 };

/* All of one kind of layer. */
typedef struct reference_layer_kernels {
    reference_pass forward;
    reference_pass evaluate; /* forward in MOCO_MODE_EVALUATE; no run: as in the others */
    reference_pass backward; /* all gradients at once; or each by itself: */
    reference_pass backward_inputs;
    reference_pass backward_parameters;
    int32_t needs_inputs; /* bit i: the backward pass reads input i */
    int32_t needs_y;      /* REFERENCE_Y_* */
    int32_t works_in_place;
    uint64_t (*saved_bytes)(const image_layer *desc); /* NULL: none */
} reference_layer_kernels;

/* One type's kernels. */
typedef struct reference_kernels {
    const reference_layer_kernels *layers; /* by MOCO_LAYER_*; without a forward pass: none */
    int32_t layer_count;
    moco_task_fn info_nce;                                             /* n; argument: reference_info_nce_call */
    moco_task_fn info_nce_keys;                                        /* K, after info_nce: d_keys */
    void (*widen)(void *target, const void *source, int64_t elements); /* from bfloat16 */
    void (*momentum_update)(void *target, const void *source, double m, int64_t elements);
    void (*sgd_update)(const moco_sgd_args *args, int64_t elements);
    double (*norm)(const void *values, int64_t elements);
} reference_kernels;

extern const reference_kernels moco_reference_kernels_f32;
extern const reference_kernels moco_reference_kernels_f64;

/* Torch's bound below which a row counts as zero (torch.nn.functional.normalize). */
#define REFERENCE_NORMALIZE_EPS 1e-12

/* The samples begin, begin + step, .. < end of BatchNorm group `group`. */
typedef struct reference_samples {
    int64_t begin;
    int64_t end;
    int64_t step;
} reference_samples;

static inline reference_samples reference_group_samples(const image_layer *desc, int64_t group) {
    const int64_t groups = desc->bn_groups;
    reference_samples samples = {group, desc->n, groups};
    if (!desc->bn_strided) {
        samples.begin = group * desc->n / groups;
        samples.end = (group + 1) * desc->n / groups;
        samples.step = 1;
    }
    return samples;
}

/* How many samples those are. */
static inline int64_t reference_group_size(const image_layer *desc, int64_t group) {
    const reference_samples samples = reference_group_samples(desc, group);
    return samples.end <= samples.begin ? 0 : (samples.end - samples.begin + samples.step - 1) / samples.step;
}

#endif
