/* The rows that a queue starts with. As the paper's code: standard normals, each row divided by its length. */
#include <math.h>

#include "backend/host_tensor.h"
#include "core/checked.h"
#include "core/random.h"
#include "keys/queue_internal.h"

/* Rows drawn at a time: bounds the working memory. */
#define CHUNK_FLOATS ((int64_t) 1 << 18)
#define GRAIN_ROWS   16

typedef struct starting_rows {
    float *rows;
    int64_t first; /* number of rows[0] within the queue */
    int64_t dim;
    uint64_t seed;
} starting_rows;

/* Row number i comes from the stream (seed, MOCO_RANDOM_QUEUE, 0, i), so no row depends on another or on threads. */
static void draw_rows(void *argument, int64_t begin, int64_t end) {
    const starting_rows *job = (const starting_rows *) argument;
    for (int64_t i = begin; i < end; ++i) {
        float *row = job->rows + i * job->dim;
        moco_random random;
        moco_random_init(&random, job->seed, MOCO_RANDOM_QUEUE, 0, (uint64_t) (job->first + i));
        double sum_of_squares = 0;
        for (int64_t d = 0; d < job->dim; ++d) {
            const double value = moco_random_normal(&random);
            sum_of_squares += value * value;
            row[d] = (float) value;
        }
        if (sum_of_squares < 1e-30) { /* all but impossible, yet no row may be NaN */
            for (int64_t d = 0; d < job->dim; ++d) row[d] = d == 0 ? 1.0f : 0.0f;
            continue;
        }
        const double scale = 1.0 / sqrt(sum_of_squares);
        for (int64_t d = 0; d < job->dim; ++d) row[d] = (float) (row[d] * scale);
    }
}

moco_status moco_queue_write_starting_rows(moco_queue *queue, uint64_t seed) {
    const moco_tensor all = moco_queue_rows(queue, 0, queue->capacity);
    if (queue->start == MOCO_QUEUE_START_EMPTY) return moco_tensor_fill_zero(queue->source.context, &all);

    const int64_t chunk = moco_min_i64(queue->capacity, moco_max_i64(1, CHUNK_FLOATS / queue->source.dim));
    float *rows = (float *) moco_allocate(queue->source.context, (size_t) (chunk * queue->source.dim) * sizeof(float));
    if (rows == NULL) return MOCO_OUT_OF_MEMORY;
    moco_status status = MOCO_OK;
    for (int64_t first = 0; first < queue->capacity && status == MOCO_OK; first += chunk) {
        const int64_t count = moco_min_i64(chunk, queue->capacity - first);
        starting_rows job = {rows, first, queue->source.dim, seed};
        moco_parallel_range(queue->source.context, count, GRAIN_ROWS, draw_rows, &job);
        moco_host_tensor source;
        status = moco_host_matrix_input(&source, queue->source.context, rows, count, queue->source.dim);
        if (status != MOCO_OK) break;
        status = moco_queue_write_rows(queue, first, &source.tensor);
        moco_host_tensor_release(&source, queue->source.context);
    }
    moco_deallocate(queue->source.context, rows);
    return status;
}
