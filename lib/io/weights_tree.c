/* The tree of a torch file as a list: a tensor, number or text is called by all keys that lead to it, with dots between. */
#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "core/number_text.h"
#include "io/weights_internal.h"

#define MOST_NAME   1024
#define MOST_VISITS ((int64_t) 1 << 20) /* a tree of few nodes may have ever so many paths */

typedef struct tree_walk {
    moco_weights *weights;
    int64_t visits;
    size_t length; /* of the path */
    char path[MOST_NAME];
} tree_walk;

static moco_status add_tensor(const tree_walk *walk, const char *name, const moco_pickle_tensor *tensor) {
    moco_weights_item *item = NULL;
    MOCO_TRY(moco_weights_add(walk->weights, &item));
    item->name = name;
    item->view = tensor;
    item->dtype = tensor->storage->dtype;
    item->rank = tensor->rank;
    memcpy(item->dims, tensor->dims, sizeof item->dims);
    return moco_checked_product(tensor->dims, tensor->rank, name, &item->elements);
}

static moco_status add_leaf(const tree_walk *walk, const moco_pickle_node *node) {
    char text[MOCO_NUMBER_TEXT_SIZE] = "";
    const char *value = text;
    size_t length = 0;
    switch (node->kind) {
    case MOCO_PICKLE_BOOL:
        value = node->as.integer ? "true" : "false";
        break;
    case MOCO_PICKLE_INT:
        snprintf(text, sizeof text, "%lld", (long long) node->as.integer);
        break;
    case MOCO_PICKLE_FLOAT:
        moco_double_to_text(node->as.real, text);
        break;
    case MOCO_PICKLE_TEXT:
        value = node->as.text;
        length = (size_t) node->count;
        if (memchr(value, '\0', length) != NULL) return MOCO_OK; /* no text of ours */
        break;
    case MOCO_PICKLE_TENSOR:
        break;
    default:
        return MOCO_OK; /* None, a number of more than 64 bits, a storage alone */
    }
    const char *name = NULL;
    MOCO_TRY(moco_weights_keep(walk->weights, walk->path, walk->length, &name));
    if (node->kind == MOCO_PICKLE_TENSOR) return add_tensor(walk, name, node->as.tensor);
    if (node->kind != MOCO_PICKLE_TEXT) length = strlen(value);
    MOCO_TRY(moco_weights_keep(walk->weights, value, length, &value));
    return moco_weights_add_note(walk->weights, name, value);
}

/* Appends ".part" to the path. */
static moco_status enter(tree_walk *walk, const char *part, size_t length) {
    const size_t dot = walk->length > 0;
    if (memchr(part, '\0', length) != NULL) {
        return moco_fail(MOCO_FORMAT, "%s has a key with a zero in it, below \"%.*s\"", walk->weights->path,
                         (int) walk->length, walk->path);
    }
    if (length >= MOST_NAME - walk->length - dot) {
        return moco_fail(MOCO_FORMAT, "%s has names of more than %d bytes", walk->weights->path, MOST_NAME);
    }
    if (dot) walk->path[walk->length++] = '.';
    if (length > 0) memcpy(walk->path + walk->length, part, length);
    walk->length += length;
    return MOCO_OK;
}

static moco_status walk_node(tree_walk *walk, const moco_pickle_node *node) {
    const int32_t is_dict = node->kind == MOCO_PICKLE_DICT;
    if (++walk->visits > MOST_VISITS) {
        return moco_fail(MOCO_FORMAT, "%s has a tree with more than %lld paths", walk->weights->path,
                         (long long) MOST_VISITS);
    }
    if (!is_dict && node->kind != MOCO_PICKLE_LIST && node->kind != MOCO_PICKLE_TUPLE) return add_leaf(walk, node);
    const size_t length = walk->length;
    for (int64_t i = 0; i < node->count; ++i) {
        char number[MOCO_NUMBER_TEXT_SIZE];
        const moco_pickle_node *key = is_dict ? node->as.items[2 * i] : NULL;
        if (key != NULL && key->kind == MOCO_PICKLE_TEXT) {
            MOCO_TRY(enter(walk, key->as.text, (size_t) key->count));
        } else {
            snprintf(number, sizeof number, "%lld", key == NULL ? (long long) i : (long long) key->as.integer);
            MOCO_TRY(enter(walk, number, strlen(number)));
        }
        MOCO_TRY(walk_node(walk, node->as.items[is_dict ? 2 * i + 1 : i])); /* the reader has bounded the depth */
        walk->length = length;
    }
    return MOCO_OK;
}

moco_status moco_weights_list_tree(moco_weights *weights) {
    tree_walk walk = {.weights = weights};
    return walk_node(&walk, moco_torch_root(weights->torch));
}
