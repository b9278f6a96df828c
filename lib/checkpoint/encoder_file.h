/* What the two halves of an encoder's file share: encoder_file.c writes, encoder_open.c reads. */
#ifndef MOCO_CHECKPOINT_ENCODER_FILE_H
#define MOCO_CHECKPOINT_ENCODER_FILE_H

#include <stddef.h>

#include "core/config_fields.h"
#include "core/context_internal.h"

/* The configuration as metadata: "moco." and the name of each field of moco_encoder_config that a file keeps. */
#define MOCO_ENCODER_KEY_SIZE 64

/* The next field that a file keeps, from *place on, which moves behind it; NULL behind the last. */
const moco_config_field *moco_encoder_file_field(int32_t *place);
void moco_encoder_file_key(const moco_config_field *field, char key[MOCO_ENCODER_KEY_SIZE]);

/* BatchNorm's num_batches_tracked is one int64 scalar beside each running_mean. How long the name of the layer is in the
 * name of its running_mean; 0 where `name` is another tensor's. */
size_t moco_mean_prefix(const char *name);
/* The name of the counter beside the running_mean `name`, to be freed; NULL without memory. */
char *moco_tracked_name(moco_context *context, const char *name, size_t prefix);

#endif
