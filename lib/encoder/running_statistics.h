/* BatchNorm's running statistics, the buffers of an encoder, as something that a forward may spoil: a copy from before
 * it, and whether what it left is fit to stay. They are small beside the weights, so a copy costs next to nothing.
 */
#ifndef MOCO_ENCODER_RUNNING_STATISTICS_H
#define MOCO_ENCODER_RUNNING_STATISTICS_H

#include "encoder/encoder_internal.h"

/* Copies the table's buffers, in memory that it makes at the first call. */
moco_status moco_running_statistics_keep(moco_parameter_table *table, moco_context *context);
/* Makes them what they were when they were last kept. */
moco_status moco_running_statistics_restore(const moco_parameter_table *table, moco_context *context);
/* INVALID_STATE, naming the buffer, if one is not finite that was when it was last kept. */
moco_status moco_running_statistics_check(const moco_parameter_table *table, moco_context *context);
void moco_running_statistics_release(moco_parameter_table *table, moco_context *context);

#endif
