/* Updates of parameters: the momentum update, SGD, both in one pass, and addition. */
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_blocking.h"
#include "backend/cpu/cpu_checks.h"
#include "core/context_internal.h"

typedef struct update_work {
    const vector_kernel *kernel;
    const moco_sgd_args *args;
    float *target, *velocity, *average;
    const float *source;
    double m;
} update_work;

static void lerp_range(void *argument, int64_t begin, int64_t end) {
    const update_work *work = (const update_work *) argument;
    work->kernel->lerp(work->target + begin, work->source + begin, work->m, end - begin);
}

static void add_range(void *argument, int64_t begin, int64_t end) {
    const update_work *work = (const update_work *) argument;
    work->kernel->add(work->target + begin, work->source + begin, end - begin);
}

static void sgd_range(void *argument, int64_t begin, int64_t end) {
    const update_work *work = (const update_work *) argument;
    work->kernel->sgd(work->target + begin, work->source + begin,
                      work->velocity == NULL ? NULL : work->velocity + begin,
                      work->average == NULL ? NULL : work->average + begin, work->args, work->m, end - begin);
}

moco_status moco_cpu_momentum_update(void *self, const moco_tensor *target, const moco_tensor *source, double m) {
    cpu_backend *backend = (cpu_backend *) self;
    const int64_t elements = moco_tensor_elements(target);
    if (target->dtype != MOCO_DTYPE_F32) return moco_fail(MOCO_UNSUPPORTED, "the cpu backend updates float32");
    MOCO_TRY(moco_cpu_check_tensor(target, "target", elements));
    MOCO_TRY(moco_cpu_check_tensor(source, "source", elements));
    update_work work = {.kernel = backend->vector,
                        .target = (float *) moco_host_address(target),
                        .source = (const float *) moco_host_address(source),
                        .m = m};
    moco_parallel_range(backend->host.context, elements, CPU_RANGE_VALUES, lerp_range, &work);
    return MOCO_OK;
}

typedef struct block_work {
    const cpu_format *format;
    char *target;
    const char *source;
} block_work;

static void add_block_range(void *argument, int64_t begin, int64_t end) {
    const block_work *work = (const block_work *) argument;
    const int64_t offset = begin * work->format->block * work->format->kernels->element_bytes;
    work->format->kernels->add(work->target + offset, work->source + offset, end - begin);
}

/* bfloat16, of a blocked layout. */
static moco_status add_blocks(cpu_backend *backend, const moco_tensor *target, const moco_tensor *source) {
    const cpu_format *format = &backend->bf16;
    block_work work = {format, (char *) moco_host_address(target), (const char *) moco_host_address(source)};
    moco_parallel_range(backend->host.context, moco_tensor_elements(target) / format->block,
                        moco_cpu_grain(format->block), add_block_range, &work);
    return MOCO_OK;
}

moco_status moco_cpu_add(void *self, const moco_tensor *target, const moco_tensor *source) {
    cpu_backend *backend = (cpu_backend *) self;
    const int64_t elements = moco_tensor_elements(target);
    const cpu_format *format = &backend->bf16;
    if (target->dtype == MOCO_DTYPE_BF16 && format->block != 0 && elements % format->block == 0) {
        return add_blocks(backend, target, source);
    }
    if (target->dtype != MOCO_DTYPE_F32) return moco_host_add(self, target, source);
    MOCO_TRY(moco_cpu_check_tensor(target, "target", elements));
    MOCO_TRY(moco_cpu_check_tensor(source, "source", elements));
    update_work work = {.kernel = backend->vector,
                        .target = (float *) moco_host_address(target),
                        .source = (const float *) moco_host_address(source)};
    moco_parallel_range(backend->host.context, elements, CPU_RANGE_VALUES, add_range, &work);
    return MOCO_OK;
}

moco_status moco_cpu_sgd_momentum_update(void *self, const moco_sgd_args *args, const moco_tensor *average, double m) {
    cpu_backend *backend = (cpu_backend *) self;
    const int64_t elements = moco_tensor_elements(&args->parameter);
    if (args->parameter.dtype != MOCO_DTYPE_F32) {
        return moco_fail(MOCO_UNSUPPORTED, "the cpu backend updates float32");
    }
    MOCO_TRY(moco_cpu_check_tensor(&args->parameter, "parameter", elements));
    MOCO_TRY(moco_cpu_check_tensor(&args->gradient, "gradient", elements));
    if (args->momentum != 0.0) MOCO_TRY(moco_cpu_check_tensor(&args->velocity, "velocity", elements));
    if (average != NULL) MOCO_TRY(moco_cpu_check_tensor(average, "average", elements));
    update_work work = {
        .kernel = backend->vector,
        .args = args,
        .target = (float *) moco_host_address(&args->parameter),
        .source = (const float *) moco_host_address(&args->gradient),
        .velocity = args->momentum != 0.0 ? (float *) moco_host_address(&args->velocity) : NULL,
        .average = average != NULL ? (float *) moco_host_address(average) : NULL,
        .m = m,
    };
    moco_parallel_range(backend->host.context, elements, CPU_RANGE_VALUES, sgd_range, &work);
    return MOCO_OK;
}

moco_status moco_cpu_sgd_update(void *self, const moco_sgd_args *args) {
    return moco_cpu_sgd_momentum_update(self, args, NULL, 0.0);
}
