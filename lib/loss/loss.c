#include <math.h>

#include "backend/backend_chain.h"
#include "backend/host_tensor.h"
#include "backend/tensor_checks.h"
#include "core/checked.h"
#include "core/config.h"
#include "keys/queue_view.h"
#include "loss/loss_internal.h"

struct moco_loss {
    atomic_int references;
    moco_context *context;
    moco_loss_config config;
};

#define SMALLEST_TEMPERATURE 1e-8

static const moco_loss_config default_config = {sizeof(moco_loss_config), 0, 0.07};
static const moco_loss_result empty_result = {sizeof(moco_loss_result), 0, 0, 0, 0, 0, 0, 0, 0, 0};

moco_status moco_loss_config_init(moco_loss_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_loss_config");
}

moco_status moco_loss_result_init(moco_loss_result *result, uint32_t struct_size) {
    return moco_config_init(result, struct_size, &empty_result, sizeof empty_result, sizeof empty_result,
                            "moco_loss_result");
}

static moco_status require_temperature(double temperature) {
    MOCO_REQUIRE(isfinite(temperature) && fabs(temperature) >= SMALLEST_TEMPERATURE,
                 "temperature is %g; it must be finite and at least 1e-8 from zero", temperature);
    return MOCO_OK;
}

moco_status moco_loss_create(moco_loss **out, moco_context *context, const moco_loss_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    moco_loss_config wanted = default_config;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&wanted, config, sizeof wanted, sizeof wanted, "moco_loss_config"));
    }
    MOCO_TRY(require_temperature(wanted.temperature));
    MOCO_REQUIRE(wanted.mask_same_id == 0 || wanted.mask_same_id == 1, "mask_same_id is %d; it must be 0 or 1",
                 wanted.mask_same_id);
    moco_loss *loss = (moco_loss *) moco_allocate(context, sizeof *loss);
    if (loss == NULL) return MOCO_OUT_OF_MEMORY;
    atomic_init(&loss->references, 1);
    moco_context_retain(context);
    loss->context = context;
    loss->config = wanted;
    *out = loss;
    return MOCO_OK;
}

void moco_loss_retain(moco_loss *loss) {
    atomic_fetch_add(&loss->references, 1);
}

void moco_loss_destroy(moco_loss *loss) {
    if (loss == NULL || atomic_fetch_sub(&loss->references, 1) != 1) return;
    moco_context *context = loss->context;
    moco_deallocate(context, loss);
    moco_context_destroy(context);
}

moco_context *moco_loss_context(const moco_loss *loss) {
    return loss->context;
}

double moco_loss_temperature(const moco_loss *loss) {
    return loss == NULL ? 0.0 : loss->config.temperature;
}

moco_status moco_loss_set_temperature(moco_loss *loss, double temperature) {
    MOCO_REQUIRE_POINTER(loss);
    MOCO_TRY(require_temperature(temperature));
    loss->config.temperature = temperature;
    return MOCO_OK;
}

/* --- The computation --- */

static moco_status require_parts(const moco_loss *loss, const moco_queue *queue, const int64_t *sample_ids,
                                 const moco_loss_result *result) {
    MOCO_REQUIRE_POINTER(loss);
    MOCO_REQUIRE_POINTER(queue);
    MOCO_REQUIRE_POINTER(result);
    MOCO_REQUIRE(result->struct_size >= sizeof *result,
                 "struct_size of moco_loss_result is %u; set it to sizeof(moco_loss_result), at least %zu",
                 result->struct_size, sizeof *result);
    MOCO_REQUIRE(moco_queue_context(queue) == loss->context,
                 "queue was created with another context than the loss; both must share one");
    MOCO_REQUIRE(sample_ids != NULL || !loss->config.mask_same_id,
                 "sample_ids is NULL; a loss with mask_same_id needs one id per row of q");
    return MOCO_OK;
}

moco_status moco_loss_compute_tensor(moco_loss *loss, const moco_tensor *q, const moco_tensor *k,
                                     const moco_queue *queue, const int64_t *sample_ids, moco_loss_result *result,
                                     const moco_tensor *d_q) {
    MOCO_TRY(require_parts(loss, queue, sample_ids, result));
    MOCO_REQUIRE_POINTER(q);
    MOCO_REQUIRE_POINTER(k);
    const moco_queue_view view = moco_queue_const_view(queue);
    const int64_t n = q->dims[0];
    MOCO_REQUIRE(n >= 1, "q has %lld rows; it must have at least 1", (long long) n);
    MOCO_TRY(moco_require_matrix(q, n, view.dim, "q"));
    MOCO_TRY(moco_require_matrix(k, n, view.dim, "k"));
    const int32_t wants_gradient = d_q != NULL && d_q->buffer != NULL;
    if (wants_gradient) MOCO_TRY(moco_require_matrix(d_q, n, view.dim, "d_q"));
    MOCO_TRY(moco_require_finite_rows(loss->context, q, "q"));
    MOCO_TRY(moco_require_finite_rows(loss->context, k, "k"));

    moco_info_nce_args args = {
        .q = *q,
        .k = *k,
        .keys = view.keys,
        .d_q = wants_gradient ? *d_q : moco_tensor_none(),
        .sample_ids = loss->config.mask_same_id ? sample_ids : NULL,
        .key_ids = loss->config.mask_same_id ? view.ids : NULL,
        .temperature = loss->config.temperature,
    };
    MOCO_TRY(moco_info_nce(loss->context, &args));

    moco_loss_result values = empty_result;
    values.loss = args.loss;
    values.mean_positive_similarity = args.mean_positive_similarity;
    values.mean_negative_similarity = args.mean_negative_similarity;
    values.top1 = (double) args.top1 / (double) n;
    values.top5 = (double) args.top5 / (double) n;
    values.chance_loss = log1p((double) view.negatives);
    values.negatives = view.negatives;
    values.masked = args.masked;
    return moco_output_write(result, &values, sizeof values, sizeof values, "moco_loss_result");
}

moco_status moco_loss_compute(moco_loss *loss, const float *q, const float *k, int64_t n, const moco_queue *queue,
                              const int64_t *sample_ids, moco_loss_result *result, float *d_q) {
    MOCO_TRY(require_parts(loss, queue, sample_ids, result));
    MOCO_REQUIRE_POINTER(q);
    MOCO_REQUIRE_POINTER(k);
    MOCO_REQUIRE(n >= 1, "n is %lld; it must be at least 1", (long long) n);
    const int64_t dim = moco_queue_dim(queue);
    int64_t elements = 0;
    size_t bytes = 0;
    MOCO_TRY(moco_checked_multiply(n, dim, "n * dim", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "a batch of embeddings", &bytes));

    const float *others[2] = {q, k};
    for (int i = 0; i < 2 && d_q != NULL; ++i) {
        const uintptr_t a = (uintptr_t) d_q, b = (uintptr_t) others[i];
        MOCO_REQUIRE(a >= b ? a - b >= bytes : b - a >= bytes,
                     "d_q overlaps %s; the gradient needs n x dim floats of its own", i == 0 ? "q" : "k");
    }

    moco_context *context = loss->context;
    moco_host_tensor query = {moco_tensor_none(), 0, 0}, key = query, gradient = query;
    moco_status status;
    MOCO_TRY_GOTO(status, done, moco_host_matrix_input(&query, context, q, n, dim));
    MOCO_TRY_GOTO(status, done, moco_host_matrix_input(&key, context, k, n, dim));
    if (d_q != NULL) MOCO_TRY_GOTO(status, done, moco_host_matrix_output(&gradient, context, d_q, n, dim));
    MOCO_TRY_GOTO(
        status, done,
        moco_loss_compute_tensor(loss, &query.tensor, &key.tensor, queue, sample_ids, result, &gradient.tensor));
    status = moco_host_tensor_fetch(&gradient, context, d_q);

done:
    moco_host_tensor_release(&query, context);
    moco_host_tensor_release(&key, context);
    moco_host_tensor_release(&gradient, context);
    return status;
}
