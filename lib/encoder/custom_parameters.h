/* The parameters of a caller's own network (<moco/sys/encoder_ops.h>), wrapped as tensors where they lie. */
#ifndef MOCO_ENCODER_CUSTOM_PARAMETERS_H
#define MOCO_ENCODER_CUSTOM_PARAMETERS_H

#include "encoder/encoder_internal.h"

/* Fills a zeroed table from ops->parameter_count and ops->parameter of `self`. After a failure, too, it is to be
 * released. */
moco_status moco_custom_parameters_read(moco_parameter_table *table, moco_context *context, const moco_encoder_ops *ops,
                                        void *self);
void moco_custom_parameters_release(moco_parameter_table *table, moco_context *context);

#endif
