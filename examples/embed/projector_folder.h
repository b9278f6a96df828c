/* The folder that TensorBoard's projector opens (tensorboard --logdir FOLDER, or its files at projector.tensorflow.org):
 * tensors.tsv, metadata.tsv, projector_config.pbtxt and, where this build writes PNG files, sprite.png with a thumbnail of
 * each image.
 */
#ifndef MOCO_EXAMPLE_PROJECTOR_FOLDER_H
#define MOCO_EXAMPLE_PROJECTOR_FOLDER_H

#include <moco.h>

typedef struct projector_folder projector_folder;

/* Failures stop the program. */
projector_folder *open_projector(const char *path, const moco_dataset *dataset, int64_t count, int64_t dim);
/* `class_name` may be NULL. */
void add_to_projector(projector_folder *folder, int64_t index, const float *row, int32_t label, const char *name,
                      const char *class_name);
void close_projector(projector_folder *folder); /* NULL is a no-op */

#endif
