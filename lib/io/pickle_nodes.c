/* A pickle's memory and nodes. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "io/pickle_internal.h"

#define BLOCK_BYTES   ((size_t) 64 << 10)
#define SENTENCE_SIZE 512

/* --- Failing --- */

moco_status moco_pickle_refuse(const moco_pickle *pickle, moco_status status, const char *format, ...) {
    char text[SENTENCE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return moco_fail(status, "%s: the pickle %s (before its byte %zu; nothing of it was executed)", pickle->name, text,
                     pickle->at);
}

/* --- Memory: blocks that go with the pickle --- */

struct moco_pickle_block {
    moco_pickle_block *next;
    size_t size;
    unsigned char bytes[];
};

void *moco_pickle_allocate(moco_pickle *pickle, size_t bytes) {
    const size_t rounded = (size_t) moco_round_up((int64_t) bytes, 16);
    if (pickle->blocks == NULL || pickle->blocks->size - pickle->block_used < rounded) {
        const size_t size = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;
        moco_pickle_block *block = (moco_pickle_block *) moco_allocate(pickle->context, sizeof *block + size);
        if (block == NULL) return NULL;
        block->size = size;
        block->next = pickle->blocks;
        pickle->blocks = block;
        pickle->block_used = 0;
    }
    void *memory = pickle->blocks->bytes + pickle->block_used;
    pickle->block_used += rounded;
    return memory;
}

moco_status moco_pickle_node_make(moco_pickle *pickle, int32_t kind, moco_pickle_node **out) {
    if (pickle->nodes >= MOCO_PICKLE_MAX_NODES) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "has more than %lld values", (long long) MOCO_PICKLE_MAX_NODES);
    }
    moco_pickle_node *node = (moco_pickle_node *) moco_pickle_allocate(pickle, sizeof *node);
    if (node == NULL) return MOCO_OUT_OF_MEMORY;
    pickle->nodes++;
    memset(node, 0, sizeof *node);
    node->kind = kind;
    *out = node;
    return MOCO_OK;
}

moco_status moco_pickle_add_item(moco_pickle *pickle, moco_pickle_node *node, int64_t place,
                                 const moco_pickle_node *item) {
    if (pickle->items >= MOCO_PICKLE_MAX_ITEMS) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "has lists and dicts of more than %lld items together",
                                  (long long) MOCO_PICKLE_MAX_ITEMS);
    }
    if (place >= node->capacity) {
        const int64_t capacity = node->capacity == 0 ? 2 : 2 * node->capacity;
        const moco_pickle_node **items =
            (const moco_pickle_node **) moco_pickle_allocate(pickle, (size_t) capacity * sizeof *items);
        if (items == NULL) return MOCO_OUT_OF_MEMORY;
        if (place > 0) memcpy(items, node->as.items, (size_t) place * sizeof *items);
        node->as.items = items;
        node->capacity = capacity;
    }
    pickle->items++;
    node->as.items[place] = item;
    return MOCO_OK;
}

/* --- What readers of the tree ask --- */

void moco_pickle_free(moco_pickle *pickle) {
    if (pickle == NULL) return;
    for (moco_pickle_block *block = pickle->blocks, *next; block != NULL; block = next) {
        next = block->next;
        moco_deallocate(pickle->context, block);
    }
    moco_deallocate(pickle->context, pickle);
}

const moco_pickle_node *moco_pickle_root(const moco_pickle *pickle) {
    return pickle->root;
}

int32_t moco_pickle_is_text(const moco_pickle_node *node, const char *text) {
    return node->kind == MOCO_PICKLE_TEXT && (size_t) node->count == strlen(text) &&
           memcmp(node->as.text, text, (size_t) node->count) == 0;
}

const moco_pickle_node *moco_pickle_find(const moco_pickle_node *dict, const char *key) {
    if (dict == NULL || dict->kind != MOCO_PICKLE_DICT) return NULL;
    for (int64_t i = 0; i < dict->count; ++i) {
        if (moco_pickle_is_text(dict->as.items[2 * i], key)) return dict->as.items[2 * i + 1];
    }
    return NULL;
}

int64_t moco_pickle_storage_count(const moco_pickle *pickle) {
    return pickle->storages;
}

const moco_pickle_storage *moco_pickle_storage_get(const moco_pickle *pickle, int64_t index) {
    return index >= 0 && index < pickle->storages ? pickle->storage_list[index] : NULL;
}
