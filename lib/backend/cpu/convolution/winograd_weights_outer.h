/* The order of Winograd's multiplications for many channels and few pixels (winograd_weights_outer.c). */
#ifndef MOCO_WINOGRAD_WEIGHTS_OUTER_H
#define MOCO_WINOGRAD_WEIGHTS_OUTER_H

#include "backend/cpu/cpu_backend.h"

/* Working memory of a convolution from c to out_c channels, and of its weight gradient. */
uint64_t moco_winograd_weights_outer_scratch(const cpu_backend *backend, const image_layer *desc, int64_t c,
                                             int64_t out_c);
uint64_t moco_winograd_weights_outer_gradient_scratch(const cpu_backend *backend, const image_layer *desc);
void moco_winograd_weights_outer_forward(const cpu_backend *backend, const image_layer *desc,
                                         const moco_layer_args *args);
void moco_winograd_weights_outer_input_gradient(const cpu_backend *backend, const image_layer *desc,
                                                const moco_layer_args *args);
void moco_winograd_weights_outer_weight_gradient(const cpu_backend *backend, const image_layer *desc,
                                                 const moco_layer_args *args);

#endif
