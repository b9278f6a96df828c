/* The seam behind which each way to compute a convolution's pass lies: our own (convolution/) and oneDNN's (onednn/). */
#ifndef MOCO_CPU_CONVOLUTION_H
#define MOCO_CPU_CONVOLUTION_H

#include "backend/cpu/cpu_backend.h"

enum { CPU_FORWARD, CPU_INPUT_GRADIENT, CPU_WEIGHT_GRADIENT, CPU_CONVOLUTION_PASSES };

/* What one pass of a layer needs, and more that it can. */
typedef struct cpu_convolution_info {
    uint64_t scratch_bytes; /* of one call, contents not kept */
    uint64_t kept_bytes;    /* memory that its plan holds: copies of weights */
    int32_t adds;           /* CPU_INPUT_GRADIENT: 1: it can add to what is in d_inputs (args->accumulate_inputs) */
} cpu_convolution_info;

/* One way to compute one pass. `desc` is the same in all calls for a layer. */
typedef struct cpu_convolution {
    const char *name; /* "winograd_tiles_outer", ... */
    /* 1: y and dy, and x and dx unless desc->input_layout is PLAIN, are in the layout of moco_cpu_format_of(desc), with
     * whole blocks of channels; 0: all are PLAIN float32. */
    int32_t blocked;
    /* 1 if it computes the pass of this layer, and better than what comes behind it in the list. */
    int32_t (*supports)(const cpu_backend *backend, const image_layer *desc);
    /* Prepares the pass; `*plan`, which may stay NULL, is its own and goes to run and release. `info` is all zero
     * before. UNSUPPORTED passes the layer to the next way. A failure leaves nothing behind. */
    moco_status (*plan)(cpu_backend *backend, const image_layer *desc, void **plan, cpu_convolution_info *info);
    /* Forward: args->y. CPU_INPUT_GRADIENT: d_inputs[MOCO_INPUT], added to with accumulate_inputs; CPU_WEIGHT_GRADIENT:
     * d_parameters[MOCO_WEIGHT], added to with accumulate. The gradient that it computes is asked for. */
    moco_status (*run)(cpu_backend *backend, const image_layer *desc, void *plan, const moco_layer_args *args);
    void (*release)(cpu_backend *backend, void *plan); /* NULL: nothing to release */
} cpu_convolution;

#endif
