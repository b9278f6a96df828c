#include "encoder/parameter_storage.h"

#include <string.h>

#include "backend/backend_chain.h"
#include "core/checked.h"
#include "encoder/running_statistics.h"

/* Gives the next parameter its place in a buffer of which *bytes are taken. */
static moco_status place(int64_t elements, const char *name, uint64_t alignment, uint64_t *bytes, uint64_t *offset) {
    int64_t end;
    MOCO_TRY(moco_checked_multiply(elements, (int64_t) sizeof(float), name, &end));
    MOCO_REQUIRE(!__builtin_add_overflow(end, (int64_t) (*bytes + alignment - 1), &end),
                 "the parameters up to %s need more than 2^63 - 1 bytes", name);
    *offset = *bytes;
    *bytes = (uint64_t) end / alignment * alignment;
    return MOCO_OK;
}

static moco_status create_zeroed(moco_context *context, uint64_t bytes, void **buffer) {
    MOCO_TRY(moco_buffer_create(context, bytes, buffer));
    const moco_tensor all = moco_tensor_1d(*buffer, 0, MOCO_DTYPE_F32, (int64_t) (bytes / sizeof(float)));
    return moco_tensor_fill_zero(context, &all);
}

/* Gradients are overwritten before they are read, so that a key encoder's never touch their memory; only the gaps
 * between parameters must be zero, since the optimizer goes through all of it in one run. */
static moco_status create_gradients(moco_context *context, const moco_parameter_table *table, uint64_t bytes,
                                    void **buffer) {
    const uint64_t alignment = moco_buffer_alignment(context);
    MOCO_TRY(moco_buffer_create(context, bytes, buffer));
    for (int64_t i = 0; i < table->count; ++i) {
        const moco_parameter *item = &table->items[i];
        const uint64_t gap = (alignment - (uint64_t) item->elements * sizeof(float) % alignment) % alignment;
        if (item->kind != MOCO_PARAMETER_LEARNABLE || gap == 0) continue;
        const moco_tensor rest = moco_tensor_1d(*buffer, item->value.offset + (uint64_t) item->elements * sizeof(float),
                                                MOCO_DTYPE_F32, (int64_t) (gap / sizeof(float)));
        MOCO_TRY(moco_tensor_fill_zero(context, &rest));
    }
    return MOCO_OK;
}

/* Gives each declared parameter a row of the table and a place, but no memory yet. */
static moco_status place_parameters(moco_parameter_table *table, const moco_graph *graph, uint64_t *learnable_bytes,
                                    uint64_t *statistics_bytes) {
    const uint64_t alignment = moco_buffer_alignment(graph->context);
    for (int32_t i = 0; i < graph->parameter_count; ++i) {
        const moco_graph_parameter *declared = &graph->parameters[i];
        moco_parameter *item = &table->items[i];
        item->name = declared->name;
        item->kind = declared->kind;
        item->rank = declared->rank;
        item->flags = moco_parameter_flags(declared->kind, declared->rank, declared->flags);
        memcpy(item->dims, declared->dims, sizeof item->dims);
        MOCO_TRY(moco_checked_product(item->dims, 4, item->name, &item->elements));
        const int32_t learnable = item->kind == MOCO_PARAMETER_LEARNABLE;
        uint64_t offset = 0;
        MOCO_TRY(place(item->elements, item->name, alignment, learnable ? learnable_bytes : statistics_bytes, &offset));
        item->value = moco_tensor_1d(NULL, offset, MOCO_DTYPE_F32, 1);
        item->value.rank = item->rank;
        memcpy(item->value.dims, item->dims, sizeof item->dims);
        item->gradient = learnable ? item->value : moco_tensor_none();
        *(learnable ? &table->learnable_elements : &table->buffer_elements) += item->elements;
    }
    return MOCO_OK;
}

/* Lets the tensors of the table point into the storage's buffers. */
static void bind_parameters(moco_parameter_storage *storage) {
    for (int64_t i = 0; i < storage->table.count; ++i) {
        moco_parameter *item = &storage->table.items[i];
        const int32_t learnable = item->kind == MOCO_PARAMETER_LEARNABLE;
        item->value.buffer = learnable ? storage->values : storage->statistics;
        if (learnable) item->gradient.buffer = storage->gradients;
    }
}

/* One run over all learnable parameters, one over all buffers. */
static void make_runs(moco_parameter_storage *storage, uint64_t learnable_bytes, uint64_t statistics_bytes) {
    moco_parameter_table *table = &storage->table;
    const int64_t learnable = (int64_t) (learnable_bytes / sizeof(float));
    const int64_t statistics = (int64_t) (statistics_bytes / sizeof(float));
    storage->learnable.value = moco_tensor_1d(storage->values, 0, MOCO_DTYPE_F32, learnable);
    storage->learnable.gradient = moco_tensor_1d(storage->gradients, 0, MOCO_DTYPE_F32, learnable);
    storage->buffers.value = moco_tensor_1d(storage->statistics, 0, MOCO_DTYPE_F32, statistics);
    storage->buffers.gradient = moco_tensor_none();
    table->learnable_runs = learnable > 0;
    table->learnable = &storage->learnable;
    table->buffer_runs = statistics > 0;
    table->buffers = &storage->buffers;
}

static moco_status lay_out(moco_parameter_storage *storage, const moco_graph *graph) {
    moco_parameter_table *table = &storage->table;
    moco_context *context = storage->context;
    uint64_t learnable_bytes = 0;
    uint64_t statistics_bytes = 0;
    table->items =
        (moco_parameter *) moco_allocate_zeroed(context, (size_t) graph->parameter_count, sizeof *table->items);
    if (table->items == NULL) return MOCO_OUT_OF_MEMORY;
    table->count = graph->parameter_count;
    MOCO_TRY(place_parameters(table, graph, &learnable_bytes, &statistics_bytes));
    MOCO_TRY(create_zeroed(context, learnable_bytes, &storage->values));
    MOCO_TRY(create_gradients(context, table, learnable_bytes, &storage->gradients));
    MOCO_TRY(create_zeroed(context, statistics_bytes, &storage->statistics));
    bind_parameters(storage);
    make_runs(storage, learnable_bytes, statistics_bytes);
    return MOCO_OK;
}

moco_status moco_parameter_storage_init(moco_parameter_storage *storage, const moco_graph *graph) {
    storage->context = graph->context;
    const moco_status status = lay_out(storage, graph);
    if (status != MOCO_OK) moco_parameter_storage_release(storage);
    return status;
}

void moco_parameter_storage_release(moco_parameter_storage *storage) {
    if (storage->context == NULL) return;
    moco_buffer_destroy(storage->context, storage->values);
    moco_buffer_destroy(storage->context, storage->gradients);
    moco_buffer_destroy(storage->context, storage->statistics);
    moco_running_statistics_release(&storage->table, storage->context);
    moco_deallocate(storage->context, storage->table.items);
    memset(storage, 0, sizeof *storage);
}
