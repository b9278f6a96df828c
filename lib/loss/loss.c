/* The loss: its settings, and the computation on tensors. loss_host.c has the calls on the caller's arrays. */
#include <math.h>

#include "backend/backend_chain.h"
#include "backend/tensor_checks.h"
#include "core/config.h"
#include "loss/loss_internal.h"

#define SMALLEST_TEMPERATURE 1e-8

static const moco_loss_config default_config = MOCO_LOSS_CONFIG_INITIALIZER;
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
    moco_references_init(&loss->references, 1);
    moco_context_retain(context);
    loss->context = context;
    loss->config = wanted;
    *out = loss;
    return MOCO_OK;
}

void moco_loss_retain(moco_loss *loss) {
    moco_references_retain(&loss->references);
}

static void dispose(moco_loss *loss) {
    moco_context *context = loss->context;
    moco_deallocate(context, loss);
    moco_context_destroy(context);
}

void moco_loss_release(moco_loss *loss) {
    if (loss != NULL && moco_references_release(&loss->references)) dispose(loss);
}

void moco_loss_destroy(moco_loss *loss) {
    if (loss != NULL && moco_references_destroy(&loss->references)) dispose(loss);
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

moco_status moco_loss_check_result(const moco_loss_result *result) {
    MOCO_REQUIRE_POINTER(result);
    MOCO_REQUIRE(result->struct_size >= sizeof *result,
                 "struct_size of moco_loss_result is %u; set it to sizeof(moco_loss_result), at least %zu",
                 result->struct_size, sizeof *result);
    return MOCO_OK;
}

static moco_status check_gradients(const moco_loss_gradients *gradients, int64_t n, const moco_key_view *view) {
    if (gradients->d_q.buffer != NULL) MOCO_TRY(moco_require_matrix(&gradients->d_q, n, view->dim, "d_q"));
    if (gradients->d_k.buffer != NULL) MOCO_TRY(moco_require_matrix(&gradients->d_k, n, view->dim, "d_k"));
    if (gradients->d_keys.buffer != NULL) {
        MOCO_TRY(moco_require_matrix(&gradients->d_keys, view->negatives, view->dim, "d_keys"));
    }
    return MOCO_OK;
}

/* Which keys are no negatives of which samples is decided by ids; *masks says if it is to be. */
static moco_status check_masks(const moco_loss *loss, const moco_key_view *view, const int64_t *sample_ids,
                               int32_t *masks) {
    *masks = loss->config.mask_same_id || view->skip_same_id;
    MOCO_REQUIRE(sample_ids != NULL || !loss->config.mask_same_id,
                 "sample_ids is NULL; a loss with mask_same_id needs one id per row of q");
    MOCO_REQUIRE(sample_ids != NULL || !view->skip_same_id,
                 "sample_ids is NULL; keys that leave out a sample's own need one id per row of q");
    MOCO_REQUIRE(view->ids != NULL || view->negatives == 0 || !*masks,
                 "the keys have no ids; a loss with mask_same_id needs one id per key");
    return MOCO_OK;
}

moco_status moco_loss_compute_tensor(moco_loss *loss, const moco_tensor *q, const moco_tensor *k,
                                     const moco_key_view *view, const int64_t *sample_ids, moco_loss_result *result,
                                     const moco_loss_gradients *gradients) {
    MOCO_TRY(moco_loss_check_result(result));
    MOCO_REQUIRE(view->context == loss->context,
                 "the keys were created with another context than the loss; both must share one");
    int32_t masks = 0;
    MOCO_TRY(check_masks(loss, view, sample_ids, &masks));
    const int64_t n = q->dims[0];
    MOCO_REQUIRE(n >= 1, "q has %lld rows; it must have at least 1", (long long) n);
    MOCO_TRY(moco_require_matrix(q, n, view->dim, "q"));
    MOCO_TRY(moco_require_matrix(k, n, view->dim, "k"));
    MOCO_TRY(check_gradients(gradients, n, view));
    MOCO_TRY(moco_require_finite_rows(loss->context, q, "q"));
    MOCO_TRY(moco_require_finite_rows(loss->context, k, "k"));

    moco_info_nce_args args = {
        .q = *q,
        .k = *k,
        .keys = view->keys,
        .d_q = gradients->d_q,
        .sample_ids = masks ? sample_ids : NULL,
        .key_ids = masks ? view->ids : NULL,
        .temperature = loss->config.temperature,
        .d_k = gradients->d_k,
        .d_keys = gradients->d_keys,
    };
    MOCO_TRY(moco_info_nce(loss->context, &args));

    moco_loss_result values = empty_result;
    values.loss = args.loss;
    values.mean_positive_similarity = args.mean_positive_similarity;
    values.mean_negative_similarity = args.mean_negative_similarity;
    values.top1 = (double) args.top1 / (double) n;
    values.top5 = (double) args.top5 / (double) n;
    values.chance_loss = log1p((double) view->negatives);
    values.negatives = view->negatives;
    values.masked = args.masked;
    return moco_output_write(result, &values, sizeof values, sizeof values, "moco_loss_result");
}
