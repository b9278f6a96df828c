/* The reference backend: complete, in plain C, last in every host chain, and the oracle that the others are tested
 * against. It prefers to be read over being fast.
 */
#ifndef MOCO_REFERENCE_BACKEND_H
#define MOCO_REFERENCE_BACKEND_H

#include <moco/sys/backend.h>

#include "backend/reference/reference_kernels.h"

/* NULL, with a sentence, for a dtype that has none. */
const reference_kernels *moco_reference_kernels_for(int32_t dtype);

/* The modules above pass what they planned; a tensor that does not fit is a bug in them: INTERNAL, before it is used.
 */
moco_status moco_reference_check_tensor(const moco_tensor *tensor, const char *name, int32_t dtype, int64_t elements);

moco_status moco_reference_layer_create(void *self, const moco_layer_desc *desc, moco_layer **layer,
                                        moco_layer_info *info);
void moco_reference_layer_destroy(void *self, moco_layer *layer);
moco_status moco_reference_layer_forward(void *self, moco_layer *layer, const moco_layer_args *args);
moco_status moco_reference_layer_backward(void *self, moco_layer *layer, const moco_layer_args *args);

moco_status moco_reference_momentum_update(void *self, const moco_tensor *target, const moco_tensor *source, double m);
moco_status moco_reference_sgd_update(void *self, const moco_sgd_args *args);
moco_status moco_reference_update(void *self, const moco_update_args *update);
moco_status moco_reference_norms(void *self, const moco_tensor *tensors, int64_t count, double *norms);
moco_status moco_reference_info_nce(void *self, moco_info_nce_args *args);

#endif
