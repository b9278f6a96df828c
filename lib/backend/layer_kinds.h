/* The kinds of layers: one row each, with what a description and a call of it must be. Shapes are checked and outputs
 * inferred here, once; a backend only answers whether a layer is one of its own.
 *
 * A new kind is its MOCO_LAYER_*, and a part of moco_layer_desc if it needs one, in <moco/sys/backend.h>; a row in
 * layer_kinds.c; its kernels in a file of backend/reference, with a row in reference_kernels.inc.h. The conformance suite
 * then runs it by itself; its formula and its gradients need tests (tests/unit/test_gelu.c, test_gradient_layers.c).
 */
#ifndef MOCO_LAYER_KINDS_H
#define MOCO_LAYER_KINDS_H

#include <moco/sys/backend.h>

typedef struct moco_layer_kind {
    const char *name; /* for sentences: "a convolution" */
    int32_t least_inputs;
    int32_t most_inputs;
    int32_t least_parameters;
    int32_t most_parameters;
    int32_t buffers;    /* bit i: parameter i is a buffer, absent in calls that neither read nor update it */
    int32_t epilogues;  /* 1: takes every MOCO_EPILOGUE_*; 0: NONE only */
    int32_t of_rows;    /* 1: takes rows, n x c or n x t x c, and works on each by itself */
    int32_t same_shape; /* 1: every input has the shape of the output */
    /* Checks what only this kind demands, and fills desc->output.rank and dims. Inputs are checked before. */
    moco_status (*infer)(moco_layer_desc *desc);
    /* The elements of parameter i; NULL where there are none. */
    int64_t (*elements)(const moco_layer_desc *desc, int32_t parameter);
    /* What a call in `mode` demands beside its tensors; may be NULL. */
    moco_status (*check_mode)(const moco_layer_desc *desc, int32_t mode);
} moco_layer_kind;

/* The row of `kind`, NULL if there is none. */
const moco_layer_kind *moco_layer_kind_of(int32_t kind);

/* Kinds are 0 .. count - 1. */
int32_t moco_layer_kind_count(void);

/* Checks a description and fills its output. INVALID_ARGUMENT says what is wrong with it. */
moco_status moco_layer_infer(moco_layer_desc *desc);

/* Refuses a mode that is none, or that this shape can't run in. */
moco_status moco_layer_check_mode(const moco_layer_desc *desc, int32_t mode);

/* The elements of a value; it has been checked that they can be counted. */
int64_t moco_value_elements(const moco_value_desc *value);

#endif
