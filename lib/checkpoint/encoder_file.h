/* What writes an encoder's file (encoder_file.c), and what it shares with the reader (encoder_open.c). */
#ifndef MOCO_CHECKPOINT_ENCODER_FILE_H
#define MOCO_CHECKPOINT_ENCODER_FILE_H

#include "checkpoint/model_metadata.h"
#include "checkpoint/model_tensors.h"

/* Writes the tensors of `part` (MOCO_TENSORS_*) as a safetensors file, or fails as `metadata` has. */
moco_status moco_encoder_write_file(const moco_encoder *encoder, const char *path, int32_t part,
                                    const moco_metadata *metadata);

#endif
