/* The order of Winograd's multiplications for many channels and few pixels (onednn_winograd_wide.c). */
#ifndef MOCO_WINOGRAD_WIDE_H
#define MOCO_WINOGRAD_WIDE_H

#include "backend/onednn/onednn_backend.h"

/* Working memory of a convolution from c to out_c channels, and of its weight gradient. */
uint64_t onednn_winograd_wide_scratch(const onednn_backend *backend, const moco_layer_desc *desc, int64_t c,
                                      int64_t out_c);
uint64_t onednn_winograd_wide_gradient_scratch(const onednn_backend *backend, const moco_layer_desc *desc);
void onednn_winograd_wide_forward(const onednn_backend *backend, const moco_layer_desc *desc,
                                  const moco_layer_args *args);
void onednn_winograd_wide_input_gradient(const onednn_backend *backend, const moco_layer_desc *desc,
                                         const moco_layer_args *args);
void onednn_winograd_wide_weight_gradient(const onednn_backend *backend, const moco_layer_desc *desc,
                                          const moco_layer_args *args);

#endif
