#include "encoder/running_statistics.h"

#include "backend/backend_chain.h"

/* Where the copy of the next run begins, `bytes` being taken by those before. */
static moco_tensor next_copy(const moco_parameter_table *table, const moco_tensor *run, uint64_t alignment,
                             uint64_t *bytes) {
    const moco_tensor copy = moco_tensor_1d(table->kept, *bytes, run->dtype, moco_tensor_elements(run));
    *bytes += (moco_tensor_bytes(run) + alignment - 1) / alignment * alignment;
    return copy;
}

static moco_status make_room(moco_parameter_table *table, moco_context *context) {
    uint64_t bytes = 0;
    if (table->kept != NULL) return MOCO_OK;
    for (int64_t i = 0; i < table->buffer_runs; ++i) {
        next_copy(table, &table->buffers[i].value, moco_buffer_alignment(context), &bytes);
    }
    return moco_buffer_create(context, bytes, &table->kept);
}

moco_status moco_running_statistics_keep(moco_parameter_table *table, moco_context *context) {
    if (table->buffer_runs == 0) return MOCO_OK;
    MOCO_TRY(make_room(table, context));
    uint64_t bytes = 0;
    for (int64_t i = 0; i < table->buffer_runs; ++i) {
        const moco_tensor *run = &table->buffers[i].value;
        const moco_tensor copy = next_copy(table, run, moco_buffer_alignment(context), &bytes);
        MOCO_TRY(moco_tensor_copy(context, &copy, run));
    }
    return MOCO_OK;
}

moco_status moco_running_statistics_restore(const moco_parameter_table *table, moco_context *context) {
    uint64_t bytes = 0;
    for (int64_t i = 0; i < table->buffer_runs && table->kept != NULL; ++i) {
        const moco_tensor *run = &table->buffers[i].value;
        const moco_tensor copy = next_copy(table, run, moco_buffer_alignment(context), &bytes);
        MOCO_TRY(moco_tensor_copy(context, run, &copy));
    }
    return MOCO_OK;
}

/* The sentence for a run in which something is not finite. */
static moco_status refuse(const moco_parameter_table *table, moco_context *context) {
    const char *name = "a buffer";
    for (int64_t i = 0; i < table->count; ++i) {
        int32_t finite = 1;
        if (table->items[i].kind != MOCO_PARAMETER_BUFFER) continue;
        MOCO_TRY(moco_all_finite(context, &table->items[i].value, &finite, NULL));
        if (finite) continue;
        name = table->items[i].name;
        break;
    }
    return moco_fail(MOCO_INVALID_STATE,
                     "with these images %s would not be finite: an image holds values that are not finite or are far "
                     "too large, or the run has exploded (a lower learning rate may help); the running statistics are "
                     "as before",
                     name);
}

moco_status moco_running_statistics_check(const moco_parameter_table *table, moco_context *context) {
    uint64_t bytes = 0;
    for (int64_t i = 0; i < table->buffer_runs; ++i) {
        int32_t finite = 1, was_finite = 1;
        const moco_tensor *run = &table->buffers[i].value;
        const moco_tensor copy = next_copy(table, run, moco_buffer_alignment(context), &bytes);
        MOCO_TRY(moco_all_finite(context, run, &finite, NULL));
        if (finite) continue;
        /* A caller's own network may keep anything in its buffers. */
        if (table->kept != NULL) MOCO_TRY(moco_all_finite(context, &copy, &was_finite, NULL));
        if (was_finite) return refuse(table, context);
    }
    return MOCO_OK;
}

void moco_running_statistics_release(moco_parameter_table *table, moco_context *context) {
    moco_buffer_destroy(context, table->kept);
    table->kept = NULL;
}
