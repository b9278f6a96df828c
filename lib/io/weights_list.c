/* The list of a file's tensors and notes. */
#include <string.h>

#include "core/checked.h"
#include "io/weights_internal.h"

#define BLOCK_BYTES ((size_t) 64 << 10)
#define MOST_TEXT   ((size_t) 64 << 20) /* names and notes of one file */
#define MOST_THINGS ((int64_t) 1 << 18) /* tensors, and notes */

struct moco_weights_block {
    moco_weights_block *next;
    size_t used;
    size_t size;
    char text[];
};

moco_status moco_weights_keep(moco_weights *weights, const char *text, size_t length, const char **copy) {
    moco_weights_block *block = weights->blocks;
    if (length >= MOST_TEXT - weights->text_bytes) {
        return moco_fail(MOCO_FORMAT, "%s has names and texts of more than 64 MiB", weights->path);
    }
    if (block == NULL || block->size - block->used <= length) {
        const size_t size = length + 1 > BLOCK_BYTES ? length + 1 : BLOCK_BYTES;
        block = (moco_weights_block *) moco_allocate(weights->context, sizeof *block + size);
        if (block == NULL) return MOCO_OUT_OF_MEMORY;
        block->next = weights->blocks;
        block->used = 0;
        block->size = size;
        weights->blocks = block;
    }
    char *place = block->text + block->used;
    if (length > 0) memcpy(place, text, length);
    place[length] = '\0';
    block->used += length + 1;
    weights->text_bytes += length + 1;
    *copy = place;
    return MOCO_OK;
}

/* Room for one more of `count` elements. */
static moco_status grow(moco_weights *weights, void **array, int64_t count, int64_t *capacity, size_t size) {
    if (count < *capacity) return MOCO_OK;
    if (count >= MOST_THINGS) {
        return moco_fail(MOCO_FORMAT, "%s has more than %lld tensors, numbers or texts", weights->path,
                         (long long) MOST_THINGS);
    }
    const int64_t wanted = moco_max_i64(64, 2 * *capacity);
    void *larger = moco_allocate_zeroed(weights->context, (size_t) wanted, size);
    if (larger == NULL) return MOCO_OUT_OF_MEMORY;
    if (count > 0) memcpy(larger, *array, (size_t) count * size);
    moco_deallocate(weights->context, *array);
    *array = larger;
    *capacity = wanted;
    return MOCO_OK;
}

moco_status moco_weights_add(moco_weights *weights, moco_weights_item **item) {
    void *array = weights->items;
    const moco_status status = grow(weights, &array, weights->count, &weights->capacity, sizeof **item);
    weights->items = (moco_weights_item *) array;
    if (status == MOCO_OK) *item = &weights->items[weights->count++];
    return status;
}

moco_status moco_weights_add_note(moco_weights *weights, const char *key, const char *value) {
    void *array = weights->notes;
    const moco_status status =
        grow(weights, &array, weights->note_count, &weights->note_capacity, sizeof *weights->notes);
    weights->notes = (moco_weights_text *) array;
    if (status != MOCO_OK) return status;
    weights->notes[weights->note_count].key = key;
    weights->notes[weights->note_count++].value = value;
    return MOCO_OK;
}

void moco_weights_release(moco_weights *weights) {
    for (int32_t i = 0; i < weights->file_count; ++i) moco_safetensors_close(weights->files[i]);
    moco_deallocate(weights->context, (void *) weights->files);
    moco_torch_close(weights->torch);
    moco_byte_source_close(&weights->source);
    moco_deallocate(weights->context, weights->items);
    moco_deallocate(weights->context, weights->sorted);
    moco_deallocate(weights->context, weights->notes);
    for (moco_weights_block *block = weights->blocks, *next; block != NULL; block = next) {
        next = block->next;
        moco_deallocate(weights->context, block);
    }
    moco_deallocate(weights->context, weights->path);
    moco_deallocate(weights->context, weights);
}
