#include "encoder/custom_parameters.h"

#include <string.h>

#include "backend/backend_chain.h"
#include "core/checked.h"
#include "encoder/running_statistics.h"

static moco_status wrap_span(moco_context *context, float *memory, int64_t elements, const moco_parameter *item,
                             moco_tensor *out) {
    void *buffer = NULL;
    const moco_status status = moco_buffer_wrap(context, memory, (uint64_t) elements * sizeof(float), &buffer);
    if (status == MOCO_UNSUPPORTED) {
        return moco_fail(MOCO_UNSUPPORTED, "a custom encoder needs a backend that works in host memory");
    }
    MOCO_TRY(status);
    *out = moco_tensor_1d(buffer, 0, MOCO_DTYPE_F32, elements);
    out->rank = item->rank;
    memcpy(out->dims, item->dims, sizeof out->dims);
    return MOCO_OK;
}

static moco_status read_span(const moco_parameter_table *before, moco_context *context, const moco_encoder_ops *ops,
                             void *self, int64_t index, moco_parameter *item) {
    moco_parameter_span span;
    memset(&span, 0, sizeof span);
    if (ops->parameter(self, index, &span) != 0) {
        return moco_fail(MOCO_CALLBACK, "the custom encoder's parameter(%lld) returned non-zero", (long long) index);
    }
    MOCO_REQUIRE(span.name != NULL, "parameter %lld of the custom encoder has no name", (long long) index);
    MOCO_REQUIRE(span.kind == MOCO_PARAMETER_LEARNABLE || span.kind == MOCO_PARAMETER_BUFFER,
                 "kind of parameter %s is %d; it must be MOCO_PARAMETER_LEARNABLE (0) or BUFFER (1)", span.name,
                 span.kind);
    MOCO_REQUIRE(span.values != NULL, "values of parameter %s are NULL", span.name);
    MOCO_REQUIRE(span.kind == MOCO_PARAMETER_BUFFER || span.gradients != NULL,
                 "gradients of parameter %s are NULL; a learnable parameter needs them", span.name);
    MOCO_REQUIRE(span.rank >= 0 && span.rank <= 4, "rank of parameter %s is %d; it must be 0 to 4", span.name,
                 span.rank);
    for (int64_t i = 0; i < index; ++i) {
        MOCO_REQUIRE(strcmp(before->items[i].name, span.name) != 0,
                     "parameters %lld and %lld of the custom encoder are both called %s", (long long) i,
                     (long long) index, span.name);
    }
    item->name = span.name;
    item->kind = span.kind;
    item->rank = span.rank;
    item->flags = moco_parameter_flags(span.kind, span.rank, 0);
    for (int32_t d = 0; d < 4; ++d) item->dims[d] = d < span.rank ? span.dims[d] : 1;
    MOCO_TRY(moco_checked_product(item->dims, 4, span.name, &item->elements));
    size_t bytes;
    MOCO_TRY(moco_checked_bytes(item->elements, sizeof(float), span.name, &bytes));
    MOCO_REQUIRE(item->elements > 0, "parameter %s has no elements", span.name);
    MOCO_TRY(wrap_span(context, span.values, item->elements, item, &item->value));
    item->gradient = moco_tensor_none();
    if (span.kind == MOCO_PARAMETER_BUFFER) return MOCO_OK;
    return wrap_span(context, span.gradients, item->elements, item, &item->gradient);
}

static moco_tensor flat(const moco_tensor *tensor) {
    return tensor->buffer == NULL
               ? moco_tensor_none()
               : moco_tensor_1d(tensor->buffer, tensor->offset, MOCO_DTYPE_F32, moco_tensor_elements(tensor));
}

/* One run per parameter: the caller's memory need not be contiguous between them. */
moco_status moco_custom_parameters_read(moco_parameter_table *table, moco_context *context, const moco_encoder_ops *ops,
                                        void *self) {
    const int64_t count = ops->parameter_count(self);
    MOCO_REQUIRE(count >= 1 && count <= INT32_MAX,
                 "the custom encoder's parameter_count is %lld; it must be at least 1", (long long) count);
    table->items = (moco_parameter *) moco_allocate_zeroed(context, (size_t) count, sizeof *table->items);
    table->learnable = (moco_parameter_run *) moco_allocate_zeroed(context, (size_t) count, sizeof *table->learnable);
    table->buffers = (moco_parameter_run *) moco_allocate_zeroed(context, (size_t) count, sizeof *table->buffers);
    if (table->items == NULL || table->learnable == NULL || table->buffers == NULL) return MOCO_OUT_OF_MEMORY;
    for (int64_t i = 0; i < count; ++i) {
        moco_parameter *item = &table->items[i];
        table->count = i + 1; /* what is wrapped so far is released, whatever comes */
        MOCO_TRY(read_span(table, context, ops, self, i, item));
        const moco_parameter_run run = {flat(&item->value), flat(&item->gradient)};
        if (item->kind == MOCO_PARAMETER_LEARNABLE) {
            table->learnable[table->learnable_runs++] = run;
            table->learnable_elements += item->elements;
        } else {
            table->buffers[table->buffer_runs++] = run;
            table->buffer_elements += item->elements;
        }
    }
    return MOCO_OK;
}

void moco_custom_parameters_release(moco_parameter_table *table, moco_context *context) {
    for (int64_t i = 0; table->items != NULL && i < table->count; ++i) {
        moco_buffer_destroy(context, table->items[i].value.buffer);
        moco_buffer_destroy(context, table->items[i].gradient.buffer);
    }
    moco_running_statistics_release(table, context);
    moco_deallocate(context, table->items);
    moco_deallocate(context, table->learnable);
    moco_deallocate(context, table->buffers);
}
