/* One call of moco_encoder_export: what was asked for, checked, and a file for each kind of file. */
#ifndef MOCO_CHECKPOINT_EXPORT_JOB_H
#define MOCO_CHECKPOINT_EXPORT_JOB_H

#include <moco/export_model.h>

#include "checkpoint/model_metadata.h"
#include "checkpoint/model_tensors.h"
#include "checkpoint/resnet_shape.h"
#include "encoder/encoder_internal.h"
#include "io/byte_buffer.h"

typedef struct moco_export_job {
    const moco_encoder *encoder;
    moco_context *context;
    const moco_encoder_config *network; /* NULL: a caller's own */
    const char *path;
    moco_export_config config;
    moco_augment_config view; /* v1's normalization and size where config.augment is NULL */
    moco_metadata metadata;   /* "format", the configuration, the view, class names, description and the caller's */
    int32_t part;             /* MOCO_TENSORS_ALL or _BACKBONE, by with_head */
} moco_export_job;

moco_status moco_export_timm(const moco_export_job *job);
/* All three layouts. */
moco_status moco_export_torch(const moco_export_job *job);
moco_status moco_export_onnx(const moco_export_job *job);
/* The text of build_model.py. `shape` NULL: mlp. */
moco_status moco_build_model_text(const moco_export_job *job, const moco_resnet_shape *shape, moco_byte_buffer *text);

#endif
