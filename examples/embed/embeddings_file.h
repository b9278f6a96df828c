/* Embeddings of a dataset's images in the formats that other programs read. */
#ifndef MOCO_EXAMPLE_EMBEDDINGS_FILE_H
#define MOCO_EXAMPLE_EMBEDDINGS_FILE_H

#include <moco.h>

enum {
    EMBEDDINGS_NPY,      /* NumPy's array; these first three have the labels in an array of its own */
    EMBEDDINGS_FAISS,    /* a flat index for faiss.read_index, by inner product */
    EMBEDDINGS_FAISS_L2, /* the same by Euclidean distance */
    EMBEDDINGS_CSV,      /* filename, label, class, embedding_0, ... */
    EMBEDDINGS_JSONL,    /* {"filename": ..., "label": ..., "class": ..., "embedding": [...]} in each line */
    EMBEDDINGS_PROJECTOR /* a folder for TensorBoard's projector: projector_folder.h */
};
extern const char *const embeddings_formats[]; /* their names, then NULL */

typedef struct embeddings_file embeddings_file;

/* Begins `path` for `count` rows of `dim`, those of the first images of `dataset`, and where it is not NULL
 * `label_path` for their labels as int32. Here and below, a failure stops the program. The
 * files have their names once they are whole: new_file.h. */
embeddings_file *open_embeddings(int32_t format, const char *path, const char *label_path, const moco_dataset *dataset,
                                 int64_t count, int64_t dim);
/* The next `n` rows; labels as moco_extract gives them. */
void write_embeddings(embeddings_file *file, const float *rows, const int32_t *labels, int64_t n);
void close_embeddings(embeddings_file *file);

/* The name that a path has by default: features.npy, and so on. */
const char *default_embeddings_path(int32_t format);

#endif
