#include "checkpoint/model_tensors.h"

#include <string.h>

#include "backend/backend_chain.h"
#include "core/checked.h"

#define HEAD_PREFIX    "fc."
#define MEAN_SUFFIX    ".running_mean"
#define VAR_SUFFIX     ".running_var"
#define TRACKED_SUFFIX ".num_batches_tracked"

/* --- BatchNorm's num_batches_tracked: one int64 scalar beside each running_mean --- */

size_t moco_mean_prefix(const char *name) {
    const size_t length = strlen(name);
    const size_t suffix = strlen(MEAN_SUFFIX);
    return length > suffix && strcmp(name + length - suffix, MEAN_SUFFIX) == 0 ? length - suffix : 0;
}

char *moco_tracked_name(moco_context *context, const char *name, size_t prefix) {
    const size_t bytes = prefix + sizeof TRACKED_SUFFIX;
    char *tracked = (char *) moco_allocate(context, bytes);
    if (tracked == NULL) return NULL;
    memcpy(tracked, name, prefix);
    memcpy(tracked + prefix, TRACKED_SUFFIX, sizeof TRACKED_SUFFIX);
    return tracked;
}

/* --- The list --- */

static int32_t is_in_part(const moco_encoder *encoder, const char *name, int32_t part) {
    const int32_t in_head =
        moco_encoder_configuration(encoder) != NULL && strncmp(name, HEAD_PREFIX, strlen(HEAD_PREFIX)) == 0;
    return part == MOCO_TENSORS_ALL || in_head == (part == MOCO_TENSORS_HEAD);
}

static int32_t ends_with(const char *name, const char *suffix) {
    const size_t length = strlen(name);
    const size_t end = strlen(suffix);
    return length > end && strcmp(name + length - end, suffix) == 0;
}

static moco_status add_parameter(moco_model_tensors *list, const moco_parameter *item, int64_t index) {
    moco_model_tensor *tensor = &list->items[list->count++];
    tensor->name = item->name;
    tensor->parameter = index;
    tensor->rank = item->rank;
    memcpy(tensor->dims, item->dims, sizeof tensor->dims);
    tensor->elements = item->elements;
    MOCO_TRY(moco_checked_bytes(item->elements, sizeof(float), item->name, &tensor->bytes));
    if (tensor->bytes > list->largest) list->largest = tensor->bytes;
    return MOCO_OK;
}

/* The counter beside the running_mean `mean_name`. */
static moco_status add_counter(moco_model_tensors *list, const char *mean_name) {
    moco_model_tensor *tensor = &list->items[list->count];
    tensor->own_name = moco_tracked_name(list->context, mean_name, moco_mean_prefix(mean_name));
    if (tensor->own_name == NULL) return MOCO_OUT_OF_MEMORY;
    tensor->name = tensor->own_name;
    tensor->parameter = -1;
    tensor->elements = 1;
    tensor->bytes = sizeof(int64_t);
    if (tensor->bytes > list->largest) list->largest = tensor->bytes;
    list->count++;
    list->counters++;
    return MOCO_OK;
}

/* A network of the caller's own may have a running_mean without a running_var behind it: the counter comes then at once. */
static moco_status add_all(moco_model_tensors *list, int32_t part) {
    const moco_parameter_table *table = moco_encoder_parameters(list->encoder);
    const char *waiting = NULL; /* the running_mean whose counter comes behind its running_var */
    for (int64_t i = 0; i < table->count; ++i) {
        const moco_parameter *item = &table->items[i];
        if (!is_in_part(list->encoder, item->name, part)) continue;
        if (waiting != NULL && !ends_with(item->name, VAR_SUFFIX)) {
            MOCO_TRY(add_counter(list, waiting));
            waiting = NULL;
        }
        MOCO_TRY(add_parameter(list, item, i));
        if (waiting != NULL) MOCO_TRY(add_counter(list, waiting));
        waiting = moco_mean_prefix(item->name) > 0 ? item->name : NULL;
    }
    return waiting != NULL ? add_counter(list, waiting) : MOCO_OK;
}

/* What a reader would refuse is not written. Only a run that has exploded, or a caller's own network, has such values. */
moco_status moco_require_finite(const moco_encoder *encoder) {
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    for (int64_t i = 0; i < table->count; ++i) {
        int32_t finite = 1;
        int64_t first = 0;
        MOCO_TRY(moco_all_finite(moco_encoder_context(encoder), &table->items[i].value, &finite, &first));
        if (finite) continue;
        return moco_fail(MOCO_INVALID_STATE,
                         "element %lld of %s is not finite, so the encoder is not saved: nothing could open it, and "
                         "what the path holds is likely of more use",
                         (long long) first, table->items[i].name);
    }
    return MOCO_OK;
}

moco_status moco_model_tensors_list(moco_model_tensors *list, const moco_encoder *encoder, int32_t part) {
    memset(list, 0, sizeof *list);
    list->encoder = encoder;
    list->context = moco_encoder_context(encoder);
    const size_t most = 2 * (size_t) moco_encoder_parameters(encoder)->count;
    list->items = (moco_model_tensor *) moco_allocate_zeroed(list->context, most, sizeof *list->items);
    const moco_status status = list->items == NULL ? MOCO_OUT_OF_MEMORY : add_all(list, part);
    if (status != MOCO_OK) moco_model_tensors_release(list);
    return status;
}

void moco_model_tensors_release(moco_model_tensors *list) {
    for (int64_t i = 0; list->items != NULL && i < list->count; ++i) {
        moco_deallocate(list->context, list->items[i].own_name);
    }
    moco_deallocate(list->context, list->items);
    list->items = NULL;
    list->count = list->counters = 0;
}

moco_status moco_model_tensors_read(const moco_model_tensors *list, int64_t index, void *values) {
    const moco_model_tensor *tensor = &list->items[index];
    if (tensor->parameter < 0) {
        const int64_t batches = moco_encoder_batches_tracked(list->encoder);
        memcpy(values, &batches, sizeof batches);
        return MOCO_OK;
    }
    return moco_encoder_read_parameter(list->encoder, tensor->parameter, (float *) values);
}
