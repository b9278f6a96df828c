#include <moco/weights.h>

#include <string.h>

#include "core/checked.h"
#include "core/config.h"
#include "io/heap_sort.h"
#include "io/weights_internal.h"

#define LENGTH_BYTES 8
#define OLDEST_INFO  (offsetof(moco_weights_tensor, dims) + sizeof(((moco_weights_tensor *) 0)->dims))

/* --- Opening --- */

/* A protobuf that begins with a small ir_version and goes on with another field of onnx.ModelProto. */
static int32_t looks_like_onnx(const unsigned char *bytes) {
    return bytes[0] == 0x08 && bytes[1] > 0 && bytes[1] < 0x40 &&
           memchr("\x12\x1a\x22\x28\x32\x3a\x42", bytes[2], 7) != NULL;
}

/* Safetensors first: its length may look like the beginning of another kind, but no other has such a length and a '{' or white
 * space behind it. What is none of them is safetensors, whose reader then says what is wrong. */
static moco_status find_kind(moco_weights *weights) {
    unsigned char bytes[LENGTH_BYTES + 1];
    const moco_byte_source *source = &weights->source;
    weights->kind = MOCO_WEIGHTS_SAFETENSORS;
    if (source->size < sizeof bytes) {
        if (source->size >= 2 && moco_torch_looks_so(source)) weights->kind = MOCO_WEIGHTS_TORCH_ZIP;
        return MOCO_OK;
    }
    MOCO_TRY(moco_byte_source_read(source, 0, bytes, sizeof bytes));
    if (moco_little_u64(bytes) <= MOCO_SAFETENSORS_MAX_HEADER && memchr("{ \t\n\r", bytes[LENGTH_BYTES], 5) != NULL) {
        return MOCO_OK;
    }
    if (moco_torch_looks_so(source)) weights->kind = MOCO_WEIGHTS_TORCH_ZIP;
    if (bytes[0] == '{') weights->kind = MOCO_WEIGHTS_SHARDS;
    if (weights->kind == MOCO_WEIGHTS_SAFETENSORS && looks_like_onnx(bytes)) {
        return moco_fail(MOCO_UNSUPPORTED,
                         "%s is an ONNX file, which libmoco writes but does not read; read what it was made from",
                         weights->path);
    }
    return MOCO_OK;
}

static int32_t name_behind(const void *a, const void *b) {
    return strcmp(((const moco_weights_text *) a)->key, ((const moco_weights_text *) b)->key) > 0;
}

/* Names in order, for the search. */
static moco_status sort_names(moco_weights *weights) {
    const size_t count = (size_t) weights->count;
    weights->sorted = (moco_weights_text *) moco_allocate_zeroed(weights->context, count, sizeof *weights->sorted);
    if (weights->sorted == NULL) return MOCO_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; ++i) {
        weights->sorted[i].key = weights->items[i].name;
        weights->sorted[i].value = (const char *) &weights->items[i];
    }
    moco_heap_sort(weights->sorted, count, sizeof *weights->sorted, name_behind);
    for (size_t i = 1; i < count; ++i) {
        if (strcmp(weights->sorted[i - 1].key, weights->sorted[i].key) != 0) continue;
        return moco_fail(MOCO_FORMAT, "%s has two tensors called \"%.200s\"", weights->path, weights->sorted[i].key);
    }
    return MOCO_OK;
}

static moco_status open_kind(moco_weights *weights) {
    if (weights->kind == MOCO_WEIGHTS_SHARDS) return moco_weights_open_shards(weights);
    if (weights->kind == MOCO_WEIGHTS_SAFETENSORS) {
        moco_byte_source_close(&weights->source); /* the reader opens it itself */
        weights->files = (moco_safetensors **) moco_allocate_zeroed(weights->context, 1, sizeof *weights->files);
        return weights->files == NULL ? MOCO_OUT_OF_MEMORY : moco_weights_open_safetensors(weights, weights->path);
    }
    MOCO_TRY(moco_torch_open(&weights->torch, weights->context, &weights->source));
    if (moco_torch_is_legacy(weights->torch)) weights->kind = MOCO_WEIGHTS_TORCH_LEGACY;
    return moco_weights_list_tree(weights);
}

moco_status moco_weights_open(moco_weights **out, moco_context *context, const char *path) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(path);
    moco_weights *weights = (moco_weights *) moco_allocate_zeroed(context, 1, sizeof *weights);
    if (weights == NULL) return MOCO_OUT_OF_MEMORY;
    weights->context = context;
    weights->path = moco_duplicate_string(context, path);
    moco_status status = weights->path == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    if (status == MOCO_OK) status = moco_byte_source_open(&weights->source, context, path);
    if (status == MOCO_OK) status = find_kind(weights);
    if (status == MOCO_OK) status = open_kind(weights);
    if (status == MOCO_OK) status = sort_names(weights);
    if (status != MOCO_OK) {
        moco_weights_release(weights);
        return status;
    }
    *out = weights;
    return MOCO_OK;
}

void moco_weights_close(moco_weights *weights) {
    if (weights != NULL) moco_weights_release(weights);
}

/* --- What is in it --- */

int32_t moco_weights_kind(const moco_weights *weights) {
    return weights == NULL ? MOCO_WEIGHTS_SAFETENSORS : weights->kind;
}

int64_t moco_weights_count(const moco_weights *weights) {
    return weights == NULL ? 0 : weights->count;
}

static moco_status find_item(const moco_weights *weights, int64_t index, const moco_weights_item **item) {
    MOCO_REQUIRE_POINTER(weights);
    MOCO_REQUIRE(index >= 0 && index < weights->count, "index is %lld; the tensors of %s are 0 to %lld",
                 (long long) index, weights->path, (long long) weights->count - 1);
    *item = &weights->items[index];
    return MOCO_OK;
}

moco_status moco_weights_info(const moco_weights *weights, int64_t index, moco_weights_tensor *info) {
    const moco_weights_item *item = NULL;
    MOCO_TRY(find_item(weights, index, &item));
    moco_weights_tensor values;
    memset(&values, 0, sizeof values);
    values.rank = item->rank;
    values.name = item->name;
    values.dtype = moco_safetensors_dtype_name(item->dtype);
    values.elements = item->elements;
    memcpy(values.dims, item->dims, sizeof values.dims);
    return moco_output_write(info, &values, sizeof values, OLDEST_INFO, "moco_weights_tensor");
}

int32_t moco_weights_lookup(const moco_weights *weights, const char *name, int64_t *index) {
    int64_t low = 0;
    for (int64_t high = weights->count; low < high;) {
        const int64_t middle = low + (high - low) / 2;
        const int order = strcmp(weights->sorted[middle].key, name);
        if (order == 0) {
            *index = (const moco_weights_item *) (const void *) weights->sorted[middle].value - weights->items;
            return 1;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return 0;
}

moco_status moco_weights_find(const moco_weights *weights, const char *name, int64_t *index) {
    MOCO_REQUIRE_POINTER(weights);
    MOCO_REQUIRE_POINTER(name);
    MOCO_REQUIRE_POINTER(index);
    if (moco_weights_lookup(weights, name, index)) return MOCO_OK;
    return moco_fail(MOCO_NOT_FOUND, "%s has no tensor \"%s\"", weights->path, name);
}

const char *moco_weights_note(const moco_weights *weights, int64_t index, const char **value) {
    if (weights == NULL || index < 0 || index >= weights->note_count) return NULL;
    if (value != NULL) *value = weights->notes[index].value;
    return weights->notes[index].key;
}

const char *moco_weights_find_note(const moco_weights *weights, const char *key) {
    for (int64_t i = 0; weights != NULL && key != NULL && i < weights->note_count; ++i) {
        if (strcmp(weights->notes[i].key, key) == 0) return weights->notes[i].value;
    }
    return NULL;
}

/* --- Values --- */

static moco_status read_as_it_is(const moco_weights *weights, const moco_weights_item *item, void *values) {
    return item->view != NULL ? moco_torch_read(weights->torch, item->view, values)
                              : moco_safetensors_read(weights->files[item->file], item->index, values);
}

/* The values in the file's own dtype, to be freed. */
static moco_status read_copy(const moco_weights *weights, const moco_weights_item *item, void **copy) {
    size_t bytes;
    MOCO_TRY(moco_checked_bytes(item->elements, moco_safetensors_dtype_size(item->dtype), item->name, &bytes));
    *copy = moco_allocate(weights->context, bytes);
    if (*copy == NULL) return MOCO_OUT_OF_MEMORY;
    return read_as_it_is(weights, item, *copy);
}

moco_status moco_weights_read(const moco_weights *weights, int64_t index, float *values) {
    const moco_weights_item *item = NULL;
    void *copy = NULL;
    MOCO_REQUIRE_POINTER(values);
    MOCO_TRY(find_item(weights, index, &item));
    if (item->dtype == MOCO_SAFETENSORS_F32) return read_as_it_is(weights, item, values);
    MOCO_TRY(moco_weights_to_floats(item->dtype, NULL, 0, item->name, NULL)); /* whether it can be, first */
    moco_status status = read_copy(weights, item, &copy);
    if (status == MOCO_OK) status = moco_weights_to_floats(item->dtype, copy, item->elements, item->name, values);
    moco_deallocate(weights->context, copy);
    return status;
}

moco_status moco_weights_read_integers(const moco_weights *weights, int64_t index, int64_t *values) {
    const moco_weights_item *item = NULL;
    void *copy = NULL;
    MOCO_REQUIRE_POINTER(values);
    MOCO_TRY(find_item(weights, index, &item));
    if (item->dtype == MOCO_SAFETENSORS_I64) return read_as_it_is(weights, item, values);
    MOCO_TRY(moco_weights_to_integers(item->dtype, NULL, 0, item->name, NULL));
    moco_status status = read_copy(weights, item, &copy);
    if (status == MOCO_OK) status = moco_weights_to_integers(item->dtype, copy, item->elements, item->name, values);
    moco_deallocate(weights->context, copy);
    return status;
}
