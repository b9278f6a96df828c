/* Any bytes as a pickle: what is taken is a tree of plain values, whose texts lie in the bytes and whose tensors lie in
 * their storages.
 */
#include <stdint.h>
#include <stdlib.h>

#include "io/pickle.h"

enum { MOST_VISITS = 100000 }; /* shared nodes are visited in each of their places */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct visit {
    const char *first;
    const char *end;
    int64_t visits;
} visit;

static void check_tensor(const moco_pickle_tensor *tensor) {
    int64_t last = tensor->offset;
    if (tensor->rank < 0 || tensor->rank > MOCO_PICKLE_MAX_RANK || tensor->offset < 0) abort();
    for (int32_t i = 0; i < tensor->rank; ++i) {
        if (tensor->dims[i] < 0 || tensor->strides[i] < 0) abort();
        if (tensor->dims[i] == 0) return;
    }
    for (int32_t i = 0; i < tensor->rank; ++i) last += (tensor->dims[i] - 1) * tensor->strides[i]; /* UBSan looks on */
    if (last >= tensor->storage->elements) abort();
}

static void walk(visit *state, const moco_pickle_node *node, int depth) {
    if (depth > MOCO_PICKLE_MAX_DEPTH) abort();
    if (++state->visits > MOST_VISITS) return;
    switch (node->kind) {
    case MOCO_PICKLE_TEXT:
    case MOCO_PICKLE_BIG_INT:
        if (node->as.text < state->first || node->as.text + node->count > state->end) abort();
        break;
    case MOCO_PICKLE_TENSOR:
        check_tensor(node->as.tensor);
        break;
    case MOCO_PICKLE_STORAGE:
        if (node->as.storage->elements < 0) abort();
        break;
    case MOCO_PICKLE_TUPLE:
    case MOCO_PICKLE_LIST:
        for (int64_t i = 0; i < node->count; ++i) walk(state, node->as.items[i], depth + 1);
        break;
    case MOCO_PICKLE_DICT:
        for (int64_t i = 0; i < 2 * node->count; ++i) walk(state, node->as.items[i], depth + 1);
        break;
    case MOCO_PICKLE_GLOBAL:
        abort();
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    moco_pickle *pickle = NULL;
    size_t used = 0;
    int32_t cut = 0;
    const moco_status status = moco_pickle_parse(&pickle, NULL, "fuzz.pkl", data, size, &used, &cut);
    if (status == MOCO_OK) {
        if (used > size || cut) abort();
        visit state = {(const char *) data, (const char *) data + used, 0};
        walk(&state, moco_pickle_root(pickle), 0);
    } else if (*moco_last_error() == '\0') {
        abort();
    }
    moco_pickle_free(pickle);
    return 0;
}
