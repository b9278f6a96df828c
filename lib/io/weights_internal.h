/* What the files that read weights share: one list of tensors and notes, whatever the file is. */
#ifndef MOCO_IO_WEIGHTS_INTERNAL_H
#define MOCO_IO_WEIGHTS_INTERNAL_H

#include <moco/weights.h>

#include "io/pickle.h"
#include "io/safetensors.h"
#include "io/torch_file.h"

typedef struct moco_weights_block moco_weights_block; /* of text */

typedef struct moco_weights_item {
    const char *name;
    const moco_pickle_tensor *view; /* of a torch file; NULL: of a safetensors file */
    int32_t file;                   /* which one */
    int32_t dtype;                  /* MOCO_SAFETENSORS_* */
    int64_t index;                  /* in it */
    int64_t elements;
    int32_t rank;
    int32_t reserved;
    int64_t dims[MOCO_SAFETENSORS_MAX_RANK];
} moco_weights_item;

typedef struct moco_weights_text {
    const char *key;
    const char *value;
} moco_weights_text;

struct moco_weights {
    moco_context *context;
    char *path;
    int32_t kind;
    int32_t file_count;
    moco_byte_source source; /* of a torch file */
    moco_torch_file *torch;
    moco_safetensors **files;
    int64_t count;
    int64_t capacity;
    moco_weights_item *items;
    moco_weights_text *sorted; /* [count]: the names, and a place in `items` plus 1 in the value's stead */
    int64_t note_count;
    int64_t note_capacity;
    moco_weights_text *notes;
    moco_weights_block *blocks;
    size_t text_bytes;
};

/* A copy of a text, which lives as long as the weights. FORMAT where a file has too much of it. */
moco_status moco_weights_keep(moco_weights *weights, const char *text, size_t length, const char **copy);
/* The next item, to be filled in. */
moco_status moco_weights_add(moco_weights *weights, moco_weights_item **item);
moco_status moco_weights_add_note(moco_weights *weights, const char *key, const char *value);
void moco_weights_release(moco_weights *weights);

/* moco_weights_find without a sentence for a name that is none: 0. */
int32_t moco_weights_lookup(const moco_weights *weights, const char *name, int64_t *index);

/* Lists all tensors, numbers and texts of the torch file's tree. */
moco_status moco_weights_list_tree(moco_weights *weights);
/* Opens the safetensors that an index file names, and lists their tensors. */
moco_status moco_weights_open_shards(moco_weights *weights);
/* The same for one safetensors file. */
moco_status moco_weights_open_safetensors(moco_weights *weights, const char *path);

/* `count` values of a dtype, in the machine's byte order, as float32 or int64; `values` may not overlap `from`. */
moco_status moco_weights_to_floats(int32_t dtype, const void *from, int64_t count, const char *name, float *values);
moco_status moco_weights_to_integers(int32_t dtype, const void *from, int64_t count, const char *name, int64_t *values);

#endif
