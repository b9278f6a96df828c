/* InfoNCE, checked and cut into tasks: one a sample, then one a key for the gradient of the keys. */
#include "backend/backend_chain.h"
#include "backend/host_memory.h"
#include "backend/reference/reference_backend.h"
#include "backend/reference/reference_kernels.h"
#include "core/checked.h"

static moco_status check_info_nce(const moco_info_nce_args *args, int64_t n, int64_t dim, int64_t keys) {
    const int32_t dtype = args->q.dtype;
    int64_t elements;
    MOCO_REQUIRE(n >= 1 && dim >= 1 && keys >= 0, "q is %lld x %lld against %lld keys; it must be at least 1 x 1",
                 (long long) n, (long long) dim, (long long) keys);
    MOCO_TRY(moco_checked_multiply(n, dim, "q", &elements));
    MOCO_TRY(moco_reference_check_tensor(&args->q, "q", dtype, elements));
    MOCO_TRY(moco_reference_check_tensor(&args->k, "k", dtype, elements));
    if (args->d_q.buffer != NULL) MOCO_TRY(moco_reference_check_tensor(&args->d_q, "d_q", dtype, elements));
    if (args->d_k.buffer != NULL) MOCO_TRY(moco_reference_check_tensor(&args->d_k, "d_k", dtype, elements));
    MOCO_TRY(moco_checked_multiply(keys, dim, "keys", &elements));
    if (args->d_keys.buffer != NULL) MOCO_TRY(moco_reference_check_tensor(&args->d_keys, "d_keys", dtype, elements));
    const int32_t key_dtype = args->keys.dtype == MOCO_DTYPE_BF16 ? MOCO_DTYPE_BF16 : dtype;
    if (keys > 0) MOCO_TRY(moco_reference_check_tensor(&args->keys, "keys", key_dtype, elements));
    MOCO_REQUIRE((args->sample_ids == NULL) == (args->key_ids == NULL) || keys == 0,
                 "only one of sample_ids and key_ids is set; masking needs both");
    MOCO_REQUIRE(args->temperature != 0.0, "temperature is 0; it must be at least 1e-8 in size");
    return MOCO_OK;
}

/* The samples' results, in their order. */
static void collect(const reference_info_nce_call *call, int64_t n, int64_t keys, moco_info_nce_args *args) {
    double loss = 0.0, positive = 0.0, negative = 0.0;
    args->top1 = args->top5 = args->masked = 0;
    for (int64_t i = 0; i < n; ++i) {
        const reference_info_nce_row *row = call->rows + i;
        loss += row->loss;
        positive += row->positive;
        negative += row->negative;
        args->top1 += row->above == 0;
        args->top5 += row->above < 5;
        args->masked += row->masked;
    }
    const double negatives = (double) n * (double) keys - (double) args->masked;
    args->loss = loss / (double) n;
    args->mean_positive_similarity = positive / (double) n;
    args->mean_negative_similarity = negatives > 0.0 ? negative / negatives : 0.0;
}

moco_status moco_reference_info_nce(void *self, moco_info_nce_args *args) {
    moco_context *context = ((moco_host_backend *) self)->context;
    const int64_t n = args->q.dims[0], dim = args->q.dims[1], keys = args->keys.dims[0];
    const reference_kernels *kernels = moco_reference_kernels_for(args->q.dtype);
    if (kernels == NULL) return MOCO_UNSUPPORTED;
    MOCO_TRY(check_info_nce(args, n, dim, keys));

    int64_t logits;
    size_t logit_bytes;
    reference_info_nce_call call = {
        .args = args, .keys = moco_host_address(&args->keys), .width = moco_max_i64(keys, n)};
    MOCO_TRY(moco_checked_multiply(call.width, moco_context_threads(context), "logits", &logits));
    MOCO_TRY(moco_checked_bytes(logits, sizeof *call.logits, "logits", &logit_bytes));
    void *widened = NULL;
    if (keys > 0 && args->keys.dtype == MOCO_DTYPE_BF16) {
        widened = moco_allocate_zeroed(context, (size_t) (keys * dim), moco_dtype_size(args->q.dtype));
        if (widened == NULL) return MOCO_OUT_OF_MEMORY;
        kernels->widen(widened, call.keys, keys * dim);
        call.keys = widened;
    }
    call.logits = (double *) moco_allocate_zeroed(context, 1, logit_bytes);
    call.rows = (reference_info_nce_row *) moco_allocate_zeroed(context, (size_t) n, sizeof *call.rows);
    moco_status status = MOCO_OUT_OF_MEMORY;
    if (call.logits != NULL && call.rows != NULL) {
        moco_parallel_for(context, n, kernels->info_nce, &call);
        if (args->d_keys.buffer != NULL) moco_parallel_for(context, keys, kernels->info_nce_keys, &call);
        collect(&call, n, keys, args);
        status = MOCO_OK;
    }
    moco_deallocate(context, call.rows);
    moco_deallocate(context, call.logits);
    moco_deallocate(context, widened);
    return status;
}
