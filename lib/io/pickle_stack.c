/* The bytes of a pickle that is being read, its stack and its memo. */
#include <string.h>

#include "core/checked.h"
#include "io/pickle_internal.h"

moco_status moco_pickle_grow(moco_pickle *pickle, moco_pickle_node ***array, int64_t *capacity, int64_t index,
                             const char *what) {
    if (index < *capacity) return MOCO_OK;
    if (index >= MOCO_PICKLE_MAX_NODES) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "wants %s %lld; there may be %lld", what, (long long) index,
                                  (long long) MOCO_PICKLE_MAX_NODES);
    }
    const int64_t wanted = moco_max_i64(2 * *capacity, moco_max_i64(index + 1, 256));
    moco_pickle_node **larger =
        (moco_pickle_node **) moco_allocate_zeroed(pickle->context, (size_t) wanted, sizeof *larger);
    if (larger == NULL) return MOCO_OUT_OF_MEMORY;
    if (*capacity > 0) memcpy(larger, *array, (size_t) *capacity * sizeof *larger);
    moco_deallocate(pickle->context, (void *) *array);
    *array = larger;
    *capacity = wanted;
    return MOCO_OK;
}

/* --- The pickle's bytes, and its stack --- */

moco_status moco_pickle_take(moco_pickle *pickle, size_t count, const unsigned char **bytes) {
    if (count > pickle->size - pickle->at) {
        pickle->cut = 1;
        return moco_pickle_refuse(pickle, MOCO_FORMAT,
                                  "ends in the middle: %zu more bytes were announced, %zu are there", count,
                                  pickle->size - pickle->at);
    }
    *bytes = pickle->bytes + pickle->at;
    pickle->at += count;
    return MOCO_OK;
}

moco_status moco_pickle_take_number(moco_pickle *pickle, size_t count, uint32_t *number) {
    const unsigned char *bytes = NULL;
    MOCO_TRY(moco_pickle_take(pickle, count, &bytes));
    *number = 0;
    for (size_t i = count; i-- > 0;) *number = *number << 8 | bytes[i];
    return MOCO_OK;
}

moco_status moco_pickle_push(moco_pickle *pickle, moco_pickle_node *node) {
    MOCO_TRY(moco_pickle_grow(pickle, &pickle->stack, &pickle->stack_capacity, pickle->depth, "a stack of"));
    pickle->stack[pickle->depth++] = node;
    return MOCO_OK;
}

moco_status moco_pickle_push_new(moco_pickle *pickle, int32_t kind, moco_pickle_node **out) {
    MOCO_TRY(moco_pickle_node_make(pickle, kind, out));
    return moco_pickle_push(pickle, *out);
}

moco_status moco_pickle_top(const moco_pickle *pickle, moco_pickle_node **out) {
    if (pickle->depth == 0 || pickle->stack[pickle->depth - 1] == NULL) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "takes something from an empty stack");
    }
    *out = pickle->stack[pickle->depth - 1];
    return MOCO_OK;
}

moco_status moco_pickle_pop(moco_pickle *pickle, moco_pickle_node **out) {
    MOCO_TRY(moco_pickle_top(pickle, out));
    pickle->depth--;
    return MOCO_OK;
}

moco_status moco_pickle_find_mark(const moco_pickle *pickle, int64_t *first) {
    for (int64_t i = pickle->depth; i > 0; --i) {
        if (pickle->stack[i - 1] != NULL) continue;
        *first = i;
        return MOCO_OK;
    }
    return moco_pickle_refuse(pickle, MOCO_FORMAT, "looks for a mark that is not there");
}
