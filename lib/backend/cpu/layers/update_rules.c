/* Update rules of parameters, and the norms that some of them scale their steps by. */
#include <math.h>

#include "backend/backend_chain.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_blocking.h"
#include "backend/cpu/cpu_checks.h"
#include "core/checked.h"

moco_status moco_cpu_update(void *self, const moco_update_args *update) {
    if (update->rule != MOCO_UPDATE_SGD) {
        return moco_fail(MOCO_UNSUPPORTED, "update rule is %d; the cpu backend has MOCO_UPDATE_SGD (0)", update->rule);
    }
    const moco_sgd_args args = moco_update_as_sgd(update);
    const moco_tensor *average = update->average.buffer == NULL ? NULL : &update->average;
    return moco_cpu_sgd_momentum_update(self, &args, average, update->average_momentum);
}

/* --- Norms --- */

enum { ACCUMULATORS = 8 }; /* sums side by side hide the latency of an addition */

/* Sums of squares of up to CPU_RANGE_VALUES floats each. */
typedef struct norm_work {
    const float *x;
    int64_t elements;
    double *sums; /* one for each chunk */
} norm_work;

static void sum_chunk(void *argument, int64_t chunk, int32_t worker) {
    (void) worker;
    const norm_work *work = (const norm_work *) argument;
    const float *x = work->x + chunk * CPU_RANGE_VALUES;
    const int64_t count = moco_min_i64(CPU_RANGE_VALUES, work->elements - chunk * CPU_RANGE_VALUES);
    double sums[ACCUMULATORS] = {0.0};
    int64_t i = 0;
    for (; i + ACCUMULATORS <= count; i += ACCUMULATORS) {
        for (int a = 0; a < ACCUMULATORS; ++a) sums[a] += (double) x[i + a] * (double) x[i + a];
    }
    for (int a = 0; i + a < count; ++a) sums[a] += (double) x[i + a] * (double) x[i + a];
    double sum = 0.0;
    for (int a = 0; a < ACCUMULATORS; ++a) sum += sums[a];
    work->sums[chunk] = sum;
}

static int64_t chunks_of(const moco_tensor *tensor) {
    return moco_ceil_divide(moco_tensor_elements(tensor), CPU_RANGE_VALUES);
}

moco_status moco_cpu_norms(void *self, const moco_tensor *tensors, int64_t count, double *norms) {
    moco_context *context = ((cpu_backend *) self)->host.context;
    int64_t most_chunks = 1;
    for (int64_t i = 0; i < count; ++i) {
        if (tensors[i].dtype != MOCO_DTYPE_F32) return moco_fail(MOCO_UNSUPPORTED, "the cpu backend takes float32");
        MOCO_TRY(moco_cpu_check_tensor(&tensors[i], "tensors", moco_tensor_elements(&tensors[i])));
        most_chunks = moco_max_i64(most_chunks, chunks_of(&tensors[i]));
    }
    double *sums = (double *) moco_allocate_zeroed(context, (size_t) most_chunks, sizeof *sums);
    if (sums == NULL) return MOCO_OUT_OF_MEMORY;
    for (int64_t i = 0; i < count; ++i) {
        norm_work work = {(const float *) moco_host_address(&tensors[i]), moco_tensor_elements(&tensors[i]), sums};
        const int64_t chunks = chunks_of(&tensors[i]);
        moco_parallel_for(context, chunks, sum_chunk, &work);
        double sum = 0.0;
        for (int64_t c = 0; c < chunks; ++c) sum += sums[c];
        norms[i] = sqrt(sum);
    }
    moco_deallocate(context, sums);
    return MOCO_OK;
}
