/* y = [relu] (x W^T + b). Each product is cut along its longer side into blocks of fixed size, one BLAS call on one
 * thread each: the same bits for any number of threads.
 */
#include <string.h>

#include "backend/cpu/blas/gemm.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"
#include "core/context_internal.h"

typedef struct linear_work {
    const cpu_backend *backend;
    const image_layer *desc;
    const float *x, *weight, *bias, *dz;
    const float *dy, *y_kept;
    float *y, *dx, *dweight, *dbias, *masked;
    int32_t accumulate;
} linear_work;

static int64_t block_end(int64_t task, int64_t count) {
    return moco_min_i64((task + 1) * CPU_LINEAR_BLOCK, count);
}

/* Samples of `task` by all outputs if there are more of them, else outputs of `task` for all samples. */
static void forward_block(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const linear_work *work = (const linear_work *) argument;
    const image_layer *d = work->desc;
    const int32_t by_sample = d->n > d->out_c;
    const int64_t begin = task * CPU_LINEAR_BLOCK, end = block_end(task, by_sample ? d->n : d->out_c);
    const int64_t first_row = by_sample ? begin : 0, rows = by_sample ? end - begin : d->n;
    const int64_t first = by_sample ? 0 : begin, columns = by_sample ? d->out_c : end - begin;
    float *y = work->y + first_row * d->out_c + first;
    for (int64_t i = 0; i < rows && work->bias != NULL; ++i)
        memcpy(y + i * d->out_c, work->bias + first, (size_t) columns * sizeof *y);
    const gemm_factor x = {work->x + first_row * d->c, d->c, GEMM_PLAIN};
    const gemm_factor weight = {work->weight + first * d->c, d->c, GEMM_TRANSPOSED};
    moco_gemm(rows, columns, d->c, x, weight, work->bias != NULL ? 1.0f : 0.0f, y, d->out_c);
    if (!d->relu) return;
    for (int64_t i = 0; i < rows; ++i) work->backend->vector->relu(y + i * d->out_c, columns, y + i * d->out_c);
}

static linear_work work_of(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args) {
    const linear_work work = {
        .backend = backend,
        .desc = desc,
        .x = (const float *) moco_host_address(&args->inputs[MOCO_INPUT]),
        .weight = (const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]),
        .bias = (const float *) moco_host_address(&args->parameters[MOCO_BIAS]),
        .y = (float *) moco_host_address(&args->y),
        .y_kept = (const float *) moco_host_address(&args->y),
        .dy = (const float *) moco_host_address(&args->dy),
        .dx = (float *) moco_host_address(&args->d_inputs[MOCO_INPUT]),
        .dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
        .dbias = (float *) moco_host_address(&args->d_parameters[MOCO_BIAS]),
        .masked = (float *) moco_host_address(&args->scratch),
        .accumulate = args->accumulate,
    };
    return work;
}

static moco_status forward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    const image_layer *desc = &layer->desc;
    linear_work work = work_of(backend, desc, args);
    moco_blas_enter();
    moco_parallel_for(backend->host.context, moco_ceil_divide(moco_max_i64(desc->n, desc->out_c), CPU_LINEAR_BLOCK),
                      forward_block, &work);
    moco_blas_leave();
    return MOCO_OK;
}

/* --- Backward --- */

static void mask_range(void *argument, int64_t begin, int64_t end) {
    const linear_work *work = (const linear_work *) argument;
    work->backend->vector->mask(work->dy + begin, work->y_kept + begin, end - begin, work->masked + begin);
}

static void input_block(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const linear_work *work = (const linear_work *) argument;
    const image_layer *d = work->desc;
    const int32_t by_sample = d->n > d->c;
    const int64_t begin = task * CPU_LINEAR_BLOCK, end = block_end(task, by_sample ? d->n : d->c);
    const int64_t first_row = by_sample ? begin : 0, rows = by_sample ? end - begin : d->n;
    const int64_t first = by_sample ? 0 : begin, columns = by_sample ? d->c : end - begin;
    const gemm_factor dz = {work->dz + first_row * d->out_c, d->out_c, GEMM_PLAIN};
    const gemm_factor weight = {work->weight + first, d->c, GEMM_PLAIN};
    moco_gemm(rows, columns, d->out_c, dz, weight, 0.0f, work->dx + first_row * d->c + first, d->c);
}

static void weight_block(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const linear_work *work = (const linear_work *) argument;
    const image_layer *d = work->desc;
    const int32_t by_output = d->out_c > d->c;
    const int64_t begin = task * CPU_LINEAR_BLOCK, end = block_end(task, by_output ? d->out_c : d->c);
    const int64_t first_row = by_output ? begin : 0, rows = by_output ? end - begin : d->out_c;
    const int64_t first = by_output ? 0 : begin, columns = by_output ? d->c : end - begin;
    const gemm_factor dz = {work->dz + first_row, d->out_c, GEMM_TRANSPOSED};
    const gemm_factor x = {work->x + first, d->c, GEMM_PLAIN};
    moco_gemm(rows, columns, d->n, dz, x, work->accumulate ? 1.0f : 0.0f, work->dweight + first_row * d->c + first,
              d->c);
}

static void bias_range(void *argument, int64_t begin, int64_t end) {
    const linear_work *work = (const linear_work *) argument;
    for (int64_t o = begin; o < end; ++o) {
        double sum = work->accumulate ? (double) work->dbias[o] : 0.0;
        for (int64_t i = 0; i < work->desc->n; ++i) sum += (double) work->dz[i * work->desc->out_c + o];
        work->dbias[o] = (float) sum;
    }
}

static moco_status backward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    const image_layer *desc = &layer->desc;
    moco_context *context = backend->host.context;
    linear_work work = work_of(backend, desc, args);
    work.dz = work.dy;
    if (desc->relu) {
        moco_parallel_range(context, desc->n * desc->out_c, CPU_RANGE_VALUES, mask_range, &work);
        work.dz = work.masked;
    }
    moco_blas_enter();
    if (work.dweight != NULL) {
        moco_parallel_for(context, moco_ceil_divide(moco_max_i64(desc->out_c, desc->c), CPU_LINEAR_BLOCK), weight_block,
                          &work);
    }
    if (work.dx != NULL) {
        moco_parallel_for(context, moco_ceil_divide(moco_max_i64(desc->n, desc->c), CPU_LINEAR_BLOCK), input_block,
                          &work);
    }
    moco_blas_leave();
    if (work.dbias != NULL) moco_parallel_range(context, desc->out_c, CPU_LINEAR_BLOCK, bias_range, &work);
    return MOCO_OK;
}

static moco_status plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const image_layer *desc = &layer->desc;
    (void) backend;
    if (desc->n > INT32_MAX || desc->c > INT32_MAX || desc->out_c > INT32_MAX) {
        return moco_fail(MOCO_UNSUPPORTED, "a BLAS takes matrices of up to 2^31 - 1 rows and columns");
    }
    if (!desc->training) return MOCO_OK;
    info->scratch_bytes = desc->relu ? (uint64_t) (desc->n * desc->out_c) * sizeof(float) : 0;
    info->backward_needs_inputs = 1 << MOCO_INPUT;
    info->backward_needs_y = desc->relu != 0;
    return MOCO_OK;
}

const cpu_layer_ops moco_cpu_linear = {
    .kind = MOCO_LAYER_LINEAR,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
