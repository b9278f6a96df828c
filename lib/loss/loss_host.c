/* The loss on the caller's arrays: over a queue, over any key source, or over keys given with the call. */
#include <moco/sys/key_source_ops.h>

#include "backend/backend_chain.h"
#include "backend/host_tensor.h"
#include "backend/tensor_checks.h"
#include "core/checked.h"
#include "keys/key_source.h"
#include "keys/queue_view.h"
#include "loss/loss_internal.h"

/* The caller's matrices of one call. */
typedef struct loss_arrays {
    const float *q, *k; /* n x dim */
    int64_t n;
    const float *keys; /* K x dim; NULL where the keys are a key source's */
    int64_t key_count; /* K */
    float *d_q, *d_k;  /* n x dim; NULL: not asked for */
    float *d_keys;     /* K x dim; NULL: not asked for */
} loss_arrays;

typedef struct named_array {
    const char *name;
    const float *values;
    int64_t rows;
} named_array;

/* INVALID_ARGUMENT where the rows can't be addressed, or an output shares memory with anything else. */
static moco_status check_arrays(const loss_arrays *arrays, int64_t dim) {
    MOCO_REQUIRE_POINTER(arrays->q);
    MOCO_REQUIRE_POINTER(arrays->k);
    MOCO_REQUIRE(arrays->n >= 1, "n is %lld; it must be at least 1", (long long) arrays->n);
    int64_t elements = 0;
    size_t bytes = 0;
    MOCO_TRY(moco_checked_multiply(arrays->n, dim, "n * dim", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "a batch of embeddings", &bytes));
    MOCO_TRY(moco_checked_multiply(arrays->key_count, dim, "key_count * dim", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "the keys", &bytes));

    const named_array all[] = {
        {"q", arrays->q, arrays->n},     {"k", arrays->k, arrays->n},     {"keys", arrays->keys, arrays->key_count},
        {"d_q", arrays->d_q, arrays->n}, {"d_k", arrays->d_k, arrays->n}, {"d_keys", arrays->d_keys, arrays->key_count},
    };
    enum { INPUTS = 3, ALL = sizeof all / sizeof *all };
    for (int32_t i = INPUTS; i < ALL; ++i) {
        for (int32_t j = 0; j < i; ++j) {
            if (all[i].values == NULL || all[j].values == NULL) continue;
            const uintptr_t a = (uintptr_t) all[i].values, b = (uintptr_t) all[j].values;
            const uint64_t a_bytes = (uint64_t) all[i].rows * (uint64_t) dim * sizeof(float);
            const uint64_t b_bytes = (uint64_t) all[j].rows * (uint64_t) dim * sizeof(float);
            MOCO_REQUIRE(a >= b ? a - b >= b_bytes : b - a >= a_bytes,
                         "%s overlaps %s; the gradient needs %lld x dim floats of its own", all[i].name, all[j].name,
                         (long long) all[i].rows);
        }
    }
    return MOCO_OK;
}

/* The same for a key source's rows, which are known only now. */
static moco_status check_source_rows(const loss_arrays *arrays, const moco_key_view *view) {
    void *rows = NULL;
    if (view->negatives == 0 || view->keys.dtype != MOCO_DTYPE_F32) return MOCO_OK; /* bfloat16 is the queue's own */
    const moco_status status = moco_backend_map(view->context, &view->keys, 0, &rows);
    if (status == MOCO_UNSUPPORTED) return MOCO_OK; /* a device's memory */
    MOCO_TRY(status);
    loss_arrays all = *arrays;
    all.keys = (const float *) rows;
    all.key_count = view->negatives;
    const moco_status checked = check_arrays(&all, view->dim);
    moco_backend_unmap(view->context, &view->keys, rows);
    return checked;
}

/* moco_loss_compute_tensor over checked arrays and a view of the negatives. */
static moco_status compute(moco_loss *loss, const loss_arrays *arrays, const moco_key_view *view,
                           const int64_t *sample_ids, moco_loss_result *result) {
    moco_context *context = loss->context;
    const int64_t n = arrays->n, dim = view->dim, key_count = view->negatives;
    moco_host_tensor q = {moco_tensor_none(), 0, 0}, k = q, d_q = q, d_k = q, d_keys = q;
    moco_status status;
    MOCO_TRY_GOTO(status, done, moco_host_matrix_input(&q, context, arrays->q, n, dim));
    MOCO_TRY_GOTO(status, done, moco_host_matrix_input(&k, context, arrays->k, n, dim));
    if (arrays->d_q != NULL) MOCO_TRY_GOTO(status, done, moco_host_matrix_output(&d_q, context, arrays->d_q, n, dim));
    if (arrays->d_k != NULL) MOCO_TRY_GOTO(status, done, moco_host_matrix_output(&d_k, context, arrays->d_k, n, dim));
    if (arrays->d_keys != NULL && key_count > 0) {
        MOCO_TRY_GOTO(status, done, moco_host_matrix_output(&d_keys, context, arrays->d_keys, key_count, dim));
    }
    const moco_loss_gradients gradients = {d_q.tensor, d_k.tensor, d_keys.tensor};
    MOCO_TRY_GOTO(status, done,
                  moco_loss_compute_tensor(loss, &q.tensor, &k.tensor, view, sample_ids, result, &gradients));
    MOCO_TRY_GOTO(status, done, moco_host_tensor_fetch(&d_q, context, arrays->d_q));
    MOCO_TRY_GOTO(status, done, moco_host_tensor_fetch(&d_k, context, arrays->d_k));
    status = moco_host_tensor_fetch(&d_keys, context, arrays->d_keys);

done:
    moco_host_tensor_release(&d_keys, context);
    moco_host_tensor_release(&d_k, context);
    moco_host_tensor_release(&d_q, context);
    moco_host_tensor_release(&k, context);
    moco_host_tensor_release(&q, context);
    return status;
}

moco_status moco_loss_compute(moco_loss *loss, const float *q, const float *k, int64_t n, const moco_queue *queue,
                              const int64_t *sample_ids, moco_loss_result *result, float *d_q) {
    MOCO_REQUIRE_POINTER(loss);
    MOCO_REQUIRE_POINTER(queue);
    MOCO_TRY(moco_loss_check_result(result));
    const loss_arrays arrays = {.q = q, .k = k, .n = n, .d_q = d_q};
    const moco_key_view view = moco_queue_view(queue);
    MOCO_TRY(check_arrays(&arrays, view.dim));
    return compute(loss, &arrays, &view, sample_ids, result);
}

moco_status moco_loss_compute_from(moco_loss *loss, const float *q, const float *k, int64_t n, moco_key_source *source,
                                   const int64_t *sample_ids, moco_loss_result *result, float *d_q) {
    MOCO_REQUIRE_POINTER(loss);
    MOCO_REQUIRE_POINTER(source);
    MOCO_TRY(moco_loss_check_result(result));
    const loss_arrays arrays = {.q = q, .k = k, .n = n, .d_q = d_q};
    MOCO_TRY(check_arrays(&arrays, source->dim));
    moco_key_view view;
    moco_loss_retain(loss); /* the caller's view may destroy both */
    moco_key_source_retain(source);
    moco_status status = moco_key_source_view(source, sample_ids, n, &view);
    if (status == MOCO_OK) status = check_source_rows(&arrays, &view);
    if (status == MOCO_OK) status = compute(loss, &arrays, &view, sample_ids, result);
    moco_key_source_release(source);
    moco_loss_release(loss);
    return status;
}

moco_status moco_loss_compute_keys(moco_loss *loss, const float *q, const float *k, int64_t n, int64_t dim,
                                   const float *keys, const int64_t *key_ids, int64_t key_count,
                                   const int64_t *sample_ids, moco_loss_result *result, float *d_q, float *d_k,
                                   float *d_keys) {
    MOCO_REQUIRE_POINTER(loss);
    MOCO_TRY(moco_loss_check_result(result));
    MOCO_REQUIRE(dim >= 1, "dim is %lld; it must be at least 1", (long long) dim);
    MOCO_REQUIRE(key_count >= 0, "key_count is %lld; it must be at least 0", (long long) key_count);
    MOCO_REQUIRE(keys != NULL || key_count == 0, "keys is NULL, but key_count is %lld", (long long) key_count);
    MOCO_REQUIRE((key_ids == NULL) == (sample_ids == NULL) || key_count == 0,
                 "%s is NULL and %s is not; leaving out a sample's own keys needs both, or neither",
                 key_ids == NULL ? "key_ids" : "sample_ids", key_ids == NULL ? "sample_ids" : "key_ids");
    const loss_arrays arrays = {q, k, n, keys, key_count, d_q, d_k, d_keys};
    MOCO_TRY(check_arrays(&arrays, dim));

    moco_host_tensor rows = {moco_tensor_none(), 0, 0};
    moco_key_view view = {
        .context = loss->context,
        .keys = moco_tensor_2d(NULL, 0, MOCO_DTYPE_F32, 0, dim),
        .ids = key_ids,
        .dim = dim,
        .negatives = key_count,
        .skip_same_id = key_count > 0 && key_ids != NULL,
    };
    if (key_count > 0) {
        MOCO_TRY(moco_host_matrix_input(&rows, loss->context, keys, key_count, dim));
        view.keys = rows.tensor;
    }
    moco_status status = key_count > 0 ? moco_require_finite_rows(loss->context, &view.keys, "keys") : MOCO_OK;
    if (status == MOCO_OK) status = compute(loss, &arrays, &view, sample_ids, result);
    moco_host_tensor_release(&rows, loss->context);
    return status;
}
