/* An ONNX file: the graph's message is written in pieces, so that no more than one parameter is in memory at a time. */
#include <math.h>
#include <string.h>

#include "checkpoint/onnx_graph.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"

#define MOST_BYTES INT32_MAX /* what readers of Protocol Buffers take of a message */

typedef struct onnx_file {
    const moco_export_job *job;
    const moco_onnx_graph *graph;
    moco_atomic_file *file;
    float *values;  /* of the largest initializer */
    double *scales; /* of the largest BatchNorm that is folded: a channel is scaled, then shifted */
    double *shifts;
    float *channels;
} onnx_file;

/* --- Folding: BatchNorm(w x + b) = (scale w) x + (scale b + shift) --- */

static moco_status read_channels(onnx_file *file, const moco_graph_node *layer, int32_t place) {
    return moco_encoder_read_parameter(file->job->encoder, layer->parameters[place], file->channels);
}

static moco_status read_norm(onnx_file *file, const moco_onnx_initializer *item) {
    const moco_graph_node *norm = &file->graph->network->nodes[item->norm];
    const int64_t channels = item->dims[0];
    MOCO_TRY(read_channels(file, norm, MOCO_RUNNING_VAR));
    for (int64_t c = 0; c < channels; ++c) {
        file->scales[c] = 1.0 / sqrt((double) file->channels[c] + norm->of.norm.eps);
    }
    MOCO_TRY(read_channels(file, norm, MOCO_WEIGHT));
    for (int64_t c = 0; c < channels; ++c) file->scales[c] *= (double) file->channels[c];
    MOCO_TRY(read_channels(file, norm, MOCO_RUNNING_MEAN));
    for (int64_t c = 0; c < channels; ++c) file->shifts[c] = -file->scales[c] * (double) file->channels[c];
    MOCO_TRY(read_channels(file, norm, MOCO_BIAS));
    for (int64_t c = 0; c < channels; ++c) file->shifts[c] += (double) file->channels[c];
    return MOCO_OK;
}

static moco_status fold_weight(onnx_file *file, const moco_onnx_initializer *item) {
    const moco_graph_node *layer = &file->graph->network->nodes[item->node];
    MOCO_TRY(moco_encoder_read_parameter(file->job->encoder, layer->parameters[MOCO_WEIGHT], file->values));
    const int64_t row = item->elements / item->dims[0];
    for (int64_t c = 0; c < item->dims[0]; ++c) {
        for (int64_t i = 0; i < row; ++i) {
            float *value = &file->values[c * row + i];
            *value = (float) ((double) *value * file->scales[c]);
        }
    }
    return MOCO_OK;
}

static moco_status fold_bias(onnx_file *file, const moco_onnx_initializer *item) {
    const moco_graph_node *layer = &file->graph->network->nodes[item->node];
    if (layer->parameter_count > MOCO_BIAS) {
        MOCO_TRY(read_channels(file, layer, MOCO_BIAS));
        for (int64_t c = 0; c < item->dims[0]; ++c) file->shifts[c] += file->scales[c] * (double) file->channels[c];
    }
    for (int64_t c = 0; c < item->dims[0]; ++c) file->values[c] = (float) file->shifts[c];
    return MOCO_OK;
}

static moco_status read_values(onnx_file *file, const moco_onnx_initializer *item) {
    switch (item->source) {
    case MOCO_ONNX_PARAMETER:
        return moco_encoder_read_parameter(file->job->encoder, item->parameter, file->values);
    case MOCO_ONNX_CONSTANT:
        memcpy(file->values, item->constants, (size_t) item->elements * sizeof *file->values);
        return MOCO_OK;
    default:
        MOCO_TRY(read_norm(file, item));
        return item->source == MOCO_ONNX_FOLDED_WEIGHT ? fold_weight(file, item) : fold_bias(file, item);
    }
}

/* --- Initializers --- */

/* Tag and length of the initializer in the graph, then its message up to the values: in `out`, which is cleared before. */
static moco_status initializer_head(const moco_onnx_initializer *item, moco_byte_buffer *out, uint64_t *bytes) {
    moco_byte_buffer head;
    moco_byte_buffer_init(&head, out->context);
    *bytes = (uint64_t) item->elements * sizeof(float);
    moco_onnx_tensor_head(&head, item->name, item->rank, item->dims, *bytes);
    out->size = 0;
    moco_protobuf_begin(out, MOCO_ONNX_GRAPH_INITIALIZER, head.size + *bytes);
    moco_append_bytes(out, head.bytes, head.size);
    const moco_status status = head.status != MOCO_OK ? head.status : out->status;
    moco_byte_buffer_release(&head);
    return status;
}

static moco_status measure_graph(const moco_onnx_graph *graph, moco_byte_buffer *scratch, uint64_t *size) {
    *size = graph->message.size;
    for (int32_t i = 0; i < graph->count; ++i) {
        uint64_t bytes;
        MOCO_TRY(initializer_head(&graph->initializers[i], scratch, &bytes));
        *size += scratch->size + bytes;
    }
    return MOCO_OK;
}

static moco_status write_initializers(onnx_file *file, moco_byte_buffer *scratch) {
    for (int32_t i = 0; i < file->graph->count; ++i) {
        const moco_onnx_initializer *item = &file->graph->initializers[i];
        uint64_t bytes;
        MOCO_TRY(initializer_head(item, scratch, &bytes));
        MOCO_TRY(moco_atomic_file_write(file->file, scratch->bytes, scratch->size));
        MOCO_TRY(read_values(file, item));
        moco_safetensors_swap(file->values, item->elements, sizeof *file->values);
        MOCO_TRY(moco_atomic_file_write(file->file, file->values, (size_t) bytes));
    }
    return MOCO_OK;
}

static moco_status allocate_values(onnx_file *file) {
    moco_context *context = file->job->context;
    int64_t largest = 1;
    int64_t channels = 1;
    for (int32_t i = 0; i < file->graph->count; ++i) {
        const moco_onnx_initializer *item = &file->graph->initializers[i];
        if (item->elements > largest) largest = item->elements;
        if (item->source == MOCO_ONNX_FOLDED_BIAS && item->elements > channels) channels = item->elements;
    }
    file->values = (float *) moco_allocate_zeroed(context, (size_t) largest, sizeof *file->values);
    file->scales = (double *) moco_allocate_zeroed(context, (size_t) channels, sizeof *file->scales);
    file->shifts = (double *) moco_allocate_zeroed(context, (size_t) channels, sizeof *file->shifts);
    file->channels = (float *) moco_allocate_zeroed(context, (size_t) channels, sizeof *file->channels);
    return file->values == NULL || file->scales == NULL || file->shifts == NULL || file->channels == NULL
               ? MOCO_OUT_OF_MEMORY
               : MOCO_OK;
}

/* --- File --- */

static moco_status make_head(const onnx_file *file, moco_byte_buffer *head, moco_byte_buffer *scratch) {
    const moco_metadata *metadata = &file->job->metadata;
    uint64_t size;
    MOCO_TRY(measure_graph(file->graph, scratch, &size));
    moco_onnx_model_head(head);
    for (int64_t i = 0; i < metadata->count; ++i) moco_onnx_add_metadata(head, metadata->keys[i], metadata->values[i]);
    moco_protobuf_begin(head, MOCO_ONNX_MODEL_GRAPH, size);
    MOCO_TRY(head->status);
    if (size > MOST_BYTES || head->size > MOST_BYTES - size) {
        return moco_fail(
            MOCO_UNSUPPORTED,
            "the ONNX file would have %llu bytes; its format allows %d. MOCO_EXPORT_SAFETENSORS has no such "
            "limit",
            (unsigned long long) (size + head->size), MOST_BYTES);
    }
    return MOCO_OK;
}

static moco_status write_file(onnx_file *file, moco_byte_buffer *head, moco_byte_buffer *scratch) {
    MOCO_TRY(make_head(file, head, scratch));
    MOCO_TRY(allocate_values(file));
    MOCO_TRY(moco_atomic_file_open(&file->file, file->job->context, file->job->path));
    MOCO_TRY(moco_atomic_file_write(file->file, head->bytes, head->size));
    MOCO_TRY(moco_atomic_file_write(file->file, file->graph->message.bytes, file->graph->message.size));
    MOCO_TRY(write_initializers(file, scratch));
    moco_atomic_file *whole = file->file;
    file->file = NULL;
    return moco_atomic_file_commit(whole);
}

moco_status moco_export_onnx(const moco_export_job *job) {
    moco_onnx_graph graph;
    moco_byte_buffer head;
    moco_byte_buffer scratch;
    MOCO_TRY(moco_onnx_graph_make(&graph, job));
    onnx_file file = {.job = job, .graph = &graph};
    moco_byte_buffer_init(&head, job->context);
    moco_byte_buffer_init(&scratch, job->context);
    const moco_status status = write_file(&file, &head, &scratch);
    moco_atomic_file_discard(file.file);
    moco_deallocate(job->context, file.values);
    moco_deallocate(job->context, file.scales);
    moco_deallocate(job->context, file.shifts);
    moco_deallocate(job->context, file.channels);
    moco_byte_buffer_release(&head);
    moco_byte_buffer_release(&scratch);
    moco_onnx_graph_release(&graph);
    return status;
}
