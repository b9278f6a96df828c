/* What a model's file says about the model, as pairs of strings. Calls don't fail one by one: the first failure is kept,
 * later calls do nothing, and `status` tells it.
 */
#ifndef MOCO_CHECKPOINT_MODEL_METADATA_H
#define MOCO_CHECKPOINT_MODEL_METADATA_H

#include <moco/augment.h>
#include <moco/encoder.h>

#include "core/config_fields.h"
#include "core/context_internal.h"

/* The configuration as metadata: "moco." and the name of each field of moco_encoder_config that a file keeps. */
#define MOCO_ENCODER_KEY_SIZE 64

/* The next field that a file keeps, from *place on, which moves behind it; NULL behind the last. */
const moco_config_field *moco_encoder_file_field(int32_t *place);
void moco_encoder_file_key(const moco_config_field *field, char key[MOCO_ENCODER_KEY_SIZE]);

/* Class names, as a JSON array of strings; a sentence for people; and before the name of a field of the view's. */
#define MOCO_CLASS_NAMES_KEY "moco.class_names"
#define MOCO_DESCRIPTION_KEY "moco.description"
#define MOCO_VIEW_PREFIX     "moco.view."

typedef struct moco_metadata {
    moco_context *context;
    int64_t count;
    int64_t capacity;
    char **keys; /* owned, as are the values */
    char **values;
    moco_status status;
} moco_metadata;

void moco_metadata_init(moco_metadata *metadata, moco_context *context);
void moco_metadata_release(moco_metadata *metadata);

void moco_metadata_add(moco_metadata *metadata, const char *key, const char *value); /* both are copied */
/* The caller's own: INVALID_ARGUMENT where a string is NULL. */
void moco_metadata_add_all(moco_metadata *metadata, const char *const *keys, const char *const *values, int64_t count);
/* All fields of `config` that a file keeps. */
void moco_metadata_add_encoder(moco_metadata *metadata, const moco_encoder_config *config);
/* height, width, mean, std, eval_resize and interpolation. */
void moco_metadata_add_view(moco_metadata *metadata, const moco_augment_config *view);
void moco_metadata_add_class_names(moco_metadata *metadata, const char *const *names, int64_t count);

#endif
