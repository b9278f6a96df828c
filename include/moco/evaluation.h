/* Evaluation without training: features of a whole dataset, and the weighted kNN classifier of InstDisc (arXiv
 * 1805.01978 section 3.4; k = 200, t = 0.1 in the official CIFAR demo).
 */
#ifndef MOCO_EVALUATION_H
#define MOCO_EVALUATION_H

#include <moco/augment.h>
#include <moco/dataset.h>
#include <moco/encoder.h>

MOCO_BEGIN_DECLS

enum {
    MOCO_OUTPUT_FEATURES = 0,   /* the backbone's, before the head */
    MOCO_OUTPUT_EMBEDDINGS = 1, /* after the head */
    MOCO_OUTPUT_PIXELS = 2      /* no encoder: the evaluation view itself, the raw-pixel baseline */
};

/* Row length of moco_extract's output; 0 for NULL or an unknown output. `encoder` may be NULL for PIXELS; without an
 * augment their rows have channels x h x w of the dataset's images, which this can't know: 0. */
MOCO_API int64_t moco_extract_dim(const moco_encoder *encoder, const moco_augment *augment, int32_t output);

/* The label of an image that could not be read. */
#define MOCO_UNREADABLE (-2)

/* Views are the evaluation views of `augment`, which normalizes; or, where it is NULL, the images as the dataset has
 * them, float32 of its own channels, which must then all have one shape: for tensors of your own, prepared already. */

/* Evaluation-mode output of images first .. first + count - 1, in order: rows[count x moco_extract_dim], labels[count]
 * (may be NULL). The encoder is not changed. `batch_size` (>= 1) bounds the memory. A broken image (see moco/loader.h)
 * stops nothing: it is logged (once), its row is zeros, its label MOCO_UNREADABLE; leave it out of what you measure.
 * Only where all images asked for are broken, the first one's failure is returned. To show progress or to stop, ask for a
 * part of the images at a time. */
MOCO_API moco_status moco_extract(moco_encoder *encoder, moco_dataset *dataset, moco_augment *augment, int32_t output,
                                  int64_t first, int64_t count, int64_t batch_size, float *rows, int32_t *labels);

typedef struct moco_knn moco_knn;

typedef struct moco_knn_config {
    uint32_t struct_size;
    int32_t k;          /* neighbours; default 200; more than the bank holds means all of it */
    double temperature; /* weight exp(cosine / t); default 0.1; > 0 */
} moco_knn_config;

MOCO_API moco_status moco_knn_config_init(moco_knn_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_KNN_CONFIG_INITIALIZER \
    { sizeof(moco_knn_config), 200, 0.1 }

/* A bank of features[count x dim] with labels in 0 .. classes - 1; both are copied, rows L2-normalized (a zero row
 * stays zero). Errors: INVALID_ARGUMENT (a label outside, a value not finite), OUT_OF_MEMORY. */
MOCO_API moco_status moco_knn_create(moco_knn **out, moco_context *context, const float *features,
                                     const int32_t *labels, int64_t count, int64_t dim, int64_t classes,
                                     const moco_knn_config *config);
MOCO_API void moco_knn_destroy(moco_knn *knn);

/* For each of n rows the classes ranked by weighted vote, best first: ranking[n x classes]. Among equal similarities
 * the lower bank index is the nearer; among equal votes the lower class is first. Classes that none of the k neighbours
 * has come last, by their number: they fill the row up, and are no answers. INVALID_ARGUMENT, before anything is read:
 * n outside 0 .. 2^31 - 1, or arrays of n rows that no memory could hold. */
MOCO_API moco_status moco_knn_classify(const moco_knn *knn, const float *features, int64_t n, int32_t *ranking);

/* Fractions in 0..1 of n labelled rows (1 .. 2^31 - 1) whose label is ranked first / among the first five, of classes
 * that at least one neighbour has: with k = 1 the two are the same. Either may be NULL. */
MOCO_API moco_status moco_knn_evaluate(const moco_knn *knn, const float *features, const int32_t *labels, int64_t n,
                                       double *top1, double *top5);

/* --- kNN accuracy of a dataset in one call --- */

enum {
    MOCO_KNN_STAGE_ENCODE = 0, /* images of the bank, then of `test`, go through the encoder */
    MOCO_KNN_STAGE_COMPARE = 1 /* test images are compared with the bank */
};

typedef struct moco_knn_progress {
    uint32_t struct_size; /* of the library's */
    int32_t stage;        /* MOCO_KNN_STAGE_*; each begins at 0 of its own total */
    int64_t done;         /* images */
    int64_t total;
} moco_knn_progress;

/* After each batch, in the caller's thread. Non-zero stops the measurement with CALLBACK. */
typedef int32_t (*moco_knn_progress_fn)(const moco_knn_progress *progress, void *user);

typedef struct moco_knn_measure_config {
    uint32_t struct_size;
    int32_t output; /* MOCO_OUTPUT_*, what is compared; default FEATURES */
    int32_t k;      /* as in moco_knn_config; default 200 */
    int32_t reserved;
    double temperature;            /* as in moco_knn_config; default 0.1 */
    int64_t bank;                  /* so many images of `train` are compared with, as moco_dataset_choose chooses
                                      them: of every class its share; default 0: all */
    int64_t batch_size;            /* images in a pass of the encoder; default 256 */
    moco_knn_progress_fn progress; /* default NULL: none; see above */
    void *user;                    /* handed to `progress` */
    uint64_t bank_seed;            /* which images of each class `bank` has; default 0 */
} moco_knn_measure_config;

typedef struct moco_knn_accuracy {
    uint32_t struct_size; /* set by the caller, or by moco_knn_accuracy_init */
    int32_t reserved;
    double top1; /* fractions in 0..1 of the tested images */
    double top5;
    int64_t tested; /* test images that could be read and have a label */
    int64_t broken; /* images of both datasets that could not be read */
} moco_knn_accuracy;

MOCO_API moco_status moco_knn_measure_config_init(moco_knn_measure_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_KNN_MEASURE_CONFIG_INITIALIZER \
    { sizeof(moco_knn_measure_config), MOCO_OUTPUT_FEATURES, 200, 0, 0.1, 0, 256, NULL, NULL, 0 }
/* Clears it and sets its struct_size. Since 0.2. */
MOCO_API moco_status moco_knn_accuracy_init(moco_knn_accuracy *accuracy, uint32_t struct_size);

/* moco_extract of both datasets, then moco_knn_evaluate of `test` against `train`, without broken images and those that
 * have no label. `encoder` may be NULL for PIXELS, `augment` for images as they are, `config` for the defaults.
 * INVALID_ARGUMENT, before the first image is decoded, for a setting outside its range and where the labels don't mean
 * the same in both: no classes, or other ones, by number or name. */
MOCO_API moco_status moco_knn_measure(moco_encoder *encoder, moco_dataset *train, moco_dataset *test,
                                      moco_augment *augment, const moco_knn_measure_config *config,
                                      moco_knn_accuracy *accuracy);

MOCO_END_DECLS

#endif
