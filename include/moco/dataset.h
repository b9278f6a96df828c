/* Datasets: numbered images with an optional label. Pixels are float32 in [0, 1], planes in the order red, green, blue
 * (channels x h x w). Reading is const and may be done from many threads at once.
 */
#ifndef MOCO_DATASET_H
#define MOCO_DATASET_H

#include <moco/context.h>

MOCO_BEGIN_DECLS

typedef struct moco_dataset moco_dataset;

/* The label of an image without one. */
#define MOCO_NO_LABEL (-1)

/* Opens by description:
 *   "synthetic[:key=value,...]"  built-in procedural scenes in 10 classes; keys: count (default 4096), size (32), seed
 *                                (0), split (train | test: disjoint nuisance)
 *   "cifar10:DIR", "cifar10-test:DIR"    the binary batches data_batch_1..5.bin, test_batch.bin in DIR
 *   "cifar100:DIR", "cifar100-test:DIR"  train.bin, test.bin in DIR; the fine labels
 * Errors: INVALID_ARGUMENT (unknown kind or key, named), NOT_FOUND or IO (file, named), FORMAT (size or label). */
MOCO_API moco_status moco_dataset_open(moco_dataset **out, moco_context *context, const char *description);

enum { MOCO_PIXELS_FLOAT32 = 0 /* 0..1 */, MOCO_PIXELS_UINT8 = 1 /* 0..255 */ };

/* `count` images of one shape, pixels[count x channels x h x w] of the given MOCO_PIXELS_*; labels[count] may be NULL.
 * Copied when `copy` is 1; else both must outlive the dataset. */
MOCO_API moco_status moco_dataset_create_memory(moco_dataset **out, moco_context *context, const void *pixels,
                                                int32_t pixel_type, const int32_t *labels, int64_t count,
                                                int64_t channels, int64_t h, int64_t w, int32_t copy);

/* The shape and label of image `index`. */
typedef int32_t (*moco_dataset_info_fn)(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user);
/* Writes image `index` as float32[channels x h x w]. Both: non-zero stops with CALLBACK; called from several loader
 * threads at once. */
typedef int32_t (*moco_dataset_read_fn)(int64_t index, float *pixels, void *user);

/* Images that the host makes on demand, of any size each. */
MOCO_API moco_status moco_dataset_create_callback(moco_dataset **out, moco_context *context, int64_t count,
                                                  int64_t channels, moco_dataset_info_fn info,
                                                  moco_dataset_read_fn read, void *user);

MOCO_API void moco_dataset_destroy(moco_dataset *dataset);

MOCO_API int64_t moco_dataset_count(const moco_dataset *dataset);
MOCO_API int64_t moco_dataset_channels(const moco_dataset *dataset);
/* The number of label classes, 0 if it has no labels or does not know. */
MOCO_API int64_t moco_dataset_classes(const moco_dataset *dataset);
/* "airplane", ... or NULL without names. Lives as long as the dataset. */
MOCO_API const char *moco_dataset_class_name(const moco_dataset *dataset, int64_t label);

/* h, w and label of one image; each output may be NULL. */
MOCO_API moco_status moco_dataset_info(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w,
                                       int32_t *label);
/* pixels[channels x h x w] with the h and w that moco_dataset_info tells; `capacity` in floats is checked. */
MOCO_API moco_status moco_dataset_read(const moco_dataset *dataset, int64_t index, float *pixels, int64_t capacity);

MOCO_END_DECLS

#endif
