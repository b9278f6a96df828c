/* The encoder handle: lifetime, forward, backward. Parameter access is in encoder_parameters.c. */
#include <stdio.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "backend/host_tensor.h"
#include "backend/tensor_checks.h"
#include "core/config.h"
#include "encoder/encoder_handle.h"
#include "encoder/running_statistics.h"

static const moco_encoder_config default_config = MOCO_ENCODER_CONFIG_INITIALIZER;

moco_status moco_encoder_config_init(moco_encoder_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_encoder_config");
}

/* --- Lifetime --- */

moco_status moco_encoder_create(moco_encoder **out, moco_context *context, const moco_encoder_config *config) {
    moco_encoder_config settings = default_config;
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&settings, config, sizeof settings, sizeof settings, "moco_encoder_config"));
        if (settings.architecture == NULL) settings.architecture = default_config.architecture;
    }
    void *network = NULL;
    moco_network_shape shape;
    memset(&shape, 0, sizeof shape);
    moco_status status = moco_network_create(&network, context, &settings, &shape);
    if (status == MOCO_OUT_OF_MEMORY) {
        char reason[256];
        snprintf(reason, sizeof reason, "%s", moco_last_error());
        return moco_fail(status, "%s, for the parameters of architecture \"%.100s\" (embedding_dim is %d)", reason,
                         settings.architecture, settings.embedding_dim);
    }
    MOCO_TRY(status);
    status = moco_encoder_from_network(out, context, &moco_built_in_network, network, &shape, &settings);
    if (status != MOCO_OK) moco_built_in_network.destroy(network);
    return status;
}

moco_status moco_encoder_from_network(moco_encoder **out, moco_context *context, const moco_network_ops *ops,
                                      void *network, const moco_network_shape *shape,
                                      const moco_encoder_config *config) {
    moco_encoder *encoder = (moco_encoder *) moco_allocate_zeroed(context, 1, sizeof *encoder);
    if (encoder == NULL) return MOCO_OUT_OF_MEMORY;
    if (config != NULL) {
        encoder->built_in = 1;
        encoder->config = *config;
        encoder->architecture = moco_duplicate_string(context, config->architecture);
        if (encoder->architecture == NULL) {
            moco_deallocate(context, encoder);
            return MOCO_OUT_OF_MEMORY;
        }
        encoder->config.architecture = encoder->architecture;
    }
    moco_references_init(&encoder->references, 1);
    encoder->context = context;
    encoder->ops = ops;
    encoder->network = network;
    encoder->shape = *shape;
    encoder->weight_version = 1;
    encoder->gradients_are_zero = 1;
    moco_context_retain(context);
    *out = encoder;
    return MOCO_OK;
}

moco_status moco_encoder_clone(moco_encoder **out, const moco_encoder *encoder) {
    void *network = NULL;
    MOCO_TRY(encoder->ops->clone(encoder->network, &network));
    moco_encoder *copy = NULL;
    const moco_status status = moco_encoder_from_network(&copy, encoder->context, encoder->ops, network,
                                                         &encoder->shape, moco_encoder_configuration(encoder));
    if (status != MOCO_OK) {
        encoder->ops->destroy(network);
        return status;
    }
    const moco_parameter_table *ours = moco_encoder_parameters(encoder);
    moco_parameter_table *theirs = copy->ops->parameters(copy->network);
    for (int64_t i = 0; i < ours->count; ++i) theirs->items[i].flags = ours->items[i].flags;
    copy->batches_tracked = encoder->batches_tracked;
    moco_references_init(&copy->references, 0); /* no caller has it; who asks is only lent it */
    *out = copy;
    return MOCO_OK;
}

int32_t moco_encoder_shares_workspace(const moco_encoder *encoder, const moco_encoder *clone) {
    if (encoder->ops != clone->ops || encoder->ops->lends_workspace == NULL) return 0;
    return encoder->ops->lends_workspace(encoder->network, clone->network);
}

void moco_encoder_retain(moco_encoder *encoder) {
    moco_references_retain(&encoder->references);
}

static void dispose(moco_encoder *encoder) {
    moco_context *context = encoder->context;
    encoder->ops->destroy(encoder->network);
    moco_deallocate(context, encoder->architecture);
    moco_deallocate(context, encoder);
    moco_context_destroy(context);
}

void moco_encoder_release(moco_encoder *encoder) {
    if (encoder != NULL && moco_references_release(&encoder->references)) dispose(encoder);
}

void moco_encoder_destroy(moco_encoder *encoder) {
    if (encoder != NULL && moco_references_destroy(&encoder->references)) dispose(encoder);
}

/* --- On tensors --- */

/* Its memory is in use then, and its plans must stay. */
static moco_status begin_work(moco_encoder *encoder) {
    if (encoder->is_at_work) {
        return moco_fail(MOCO_INVALID_STATE, "the encoder is in a forward or backward, from which this call comes: a "
                                             "gradient hook or a network's own function can't run it again");
    }
    encoder->is_at_work = 1;
    return MOCO_OK;
}

static moco_status forward(moco_encoder *encoder, int32_t pass, int32_t mode, const moco_tensor *images,
                           const moco_tensor *embeddings) {
    const int32_t keeps = mode != MOCO_MODE_EVALUATE && !encoder->in_step;
    moco_parameter_table *table = encoder->ops->parameters(encoder->network);
    MOCO_TRY(begin_work(encoder));
    moco_status status = keeps ? moco_running_statistics_keep(table, encoder->context) : MOCO_OK;
    if (status == MOCO_OK) {
        status = encoder->ops->forward(encoder->network, pass, mode, encoder->weight_version, images, embeddings);
        /* The first failure is the one to tell. */
        if (status != MOCO_OK && keeps) moco_running_statistics_restore(table, encoder->context);
    }
    encoder->is_at_work = 0;
    MOCO_TRY(status);
    if (mode != MOCO_MODE_EVALUATE && encoder->batches_tracked < INT64_MAX) encoder->batches_tracked++;
    return MOCO_OK;
}

static moco_status compute_features(moco_encoder *encoder, const moco_tensor *images, const moco_tensor *features) {
    MOCO_TRY(begin_work(encoder));
    const moco_status status = encoder->ops->features(encoder->network, encoder->weight_version, images, features);
    encoder->is_at_work = 0;
    return status;
}

moco_status moco_encoder_begin_step(moco_encoder *encoder) {
    MOCO_TRY(moco_running_statistics_keep(encoder->ops->parameters(encoder->network), encoder->context));
    encoder->kept_batches_tracked = encoder->batches_tracked;
    encoder->in_step = 1;
    return MOCO_OK;
}

moco_status moco_encoder_end_step(moco_encoder *encoder, int32_t undo) {
    encoder->in_step = 0;
    if (!undo) return MOCO_OK;
    encoder->batches_tracked = encoder->kept_batches_tracked;
    return moco_running_statistics_restore(moco_encoder_parameters(encoder), encoder->context);
}

moco_status moco_encoder_forward_tensor(moco_encoder *encoder, int32_t mode, const moco_tensor *images,
                                        const moco_tensor *embeddings) {
    return forward(encoder, 0, mode, images, embeddings);
}

moco_status moco_encoder_forward_pass_tensor(moco_encoder *encoder, int32_t pass, const moco_tensor *images,
                                             const moco_tensor *embeddings) {
    return forward(encoder, pass, MOCO_MODE_TRAIN, images, embeddings);
}

moco_status moco_encoder_backward_tensor(moco_encoder *encoder, const moco_tensor *d_embeddings) {
    return moco_encoder_backward_pass_tensor(encoder, 0, 1, d_embeddings);
}

/* Between the network and the caller's hook: from the first call on the gradients are there to be read. */
static int32_t tell_caller(int64_t first, int64_t end, void *user) {
    moco_encoder *encoder = (moco_encoder *) user;
    encoder->gradients_are_zero = 0;
    return encoder->hook.ready(first, end, encoder->hook.user);
}

moco_status moco_encoder_backward_pass_tensor(moco_encoder *encoder, int32_t pass, int32_t last,
                                              const moco_tensor *d_embeddings) {
    const moco_gradient_hook hook = {tell_caller, encoder};
    MOCO_TRY(begin_work(encoder));
    encoder->gradient_writes++;
    const moco_status status =
        encoder->ops->backward(encoder->network, pass, encoder->weight_version, !encoder->gradients_are_zero,
                               last && encoder->hook.ready != NULL ? &hook : NULL, d_embeddings);
    encoder->is_at_work = 0;
    if (status == MOCO_OK) encoder->gradients_are_zero = 0;
    return status;
}

moco_status moco_encoder_set_gradient_hook(moco_encoder *encoder, moco_gradients_ready_fn ready, void *user) {
    MOCO_REQUIRE_POINTER(encoder);
    encoder->hook.ready = ready;
    encoder->hook.user = user;
    return MOCO_OK;
}

/* --- On the caller's arrays --- */

/* What evaluation is asked for beside the embeddings of MOCO_MODE_*. */
#define FEATURES (-1)

static moco_status run_on_host(moco_encoder *encoder, int32_t pass, int32_t mode, const float *images, int64_t n,
                               int64_t h, int64_t w, float *output) {
    MOCO_REQUIRE_POINTER(encoder);
    MOCO_REQUIRE_POINTER(images);
    MOCO_REQUIRE(output != NULL, "the output is NULL; it must hold n rows");
    const moco_network_shape *shape = &encoder->shape;
    const int64_t columns = mode == FEATURES ? shape->feature_dim : shape->embedding_dim;
    MOCO_TRY(moco_require_image_shape(n, shape->channels, h, w));
    MOCO_TRY(moco_require_image_shape(n, columns, 1, 1));

    const int64_t image_dims[4] = {n, shape->channels, h, w};
    const int64_t output_dims[4] = {n, columns, 1, 1};
    moco_host_tensor input;
    moco_host_tensor result;
    MOCO_TRY(moco_host_tensor_input(&input, encoder->context, images, image_dims));
    moco_encoder_retain(encoder); /* a caller's network may destroy its own */
    moco_status status = moco_host_tensor_output(&result, encoder->context, output, output_dims);
    if (status == MOCO_OK) {
        if (mode == FEATURES) {
            status = compute_features(encoder, &input.tensor, &result.tensor);
        } else {
            status = forward(encoder, pass, mode, &input.tensor, &result.tensor);
        }
        if (status == MOCO_OK) status = moco_host_tensor_fetch(&result, encoder->context, output);
        moco_host_tensor_release(&result, encoder->context);
    }
    moco_host_tensor_release(&input, encoder->context);
    moco_encoder_release(encoder);
    return status;
}

moco_status moco_encoder_forward(moco_encoder *encoder, const float *images, int64_t n, int64_t h, int64_t w,
                                 float *embeddings) {
    return run_on_host(encoder, 0, MOCO_MODE_TRAIN, images, n, h, w, embeddings);
}

static moco_status check_pass(int32_t pass) {
    MOCO_REQUIRE(pass >= 0 && pass < MOCO_ENCODER_PASSES, "pass is %d; it must be at least 0 and less than %d", pass,
                 MOCO_ENCODER_PASSES);
    return MOCO_OK;
}

moco_status moco_encoder_forward_pass(moco_encoder *encoder, int32_t pass, const float *images, int64_t n, int64_t h,
                                      int64_t w, float *embeddings) {
    MOCO_TRY(check_pass(pass));
    return run_on_host(encoder, pass, MOCO_MODE_TRAIN, images, n, h, w, embeddings);
}

moco_status moco_encoder_evaluate(moco_encoder *encoder, const float *images, int64_t n, int64_t h, int64_t w,
                                  float *embeddings) {
    return run_on_host(encoder, 0, MOCO_MODE_EVALUATE, images, n, h, w, embeddings);
}

moco_status moco_encoder_features(moco_encoder *encoder, const float *images, int64_t n, int64_t h, int64_t w,
                                  float *features) {
    return run_on_host(encoder, 0, FEATURES, images, n, h, w, features);
}

moco_status moco_encoder_backward(moco_encoder *encoder, const float *d_embeddings, int64_t n) {
    return moco_encoder_backward_pass(encoder, 0, d_embeddings, n);
}

moco_status moco_encoder_backward_pass(moco_encoder *encoder, int32_t pass, const float *d_embeddings, int64_t n) {
    MOCO_REQUIRE_POINTER(encoder);
    MOCO_REQUIRE_POINTER(d_embeddings);
    MOCO_TRY(check_pass(pass));
    const int64_t pending = encoder->ops->pending(encoder->network, pass);
    if (pending == 0) {
        return moco_fail(MOCO_INVALID_STATE,
                         "no training-mode forward of pass %d waits for a backward: call moco_encoder_forward%s first, "
                         "once for each backward",
                         pass, pass == 0 ? "" : "_pass");
    }
    MOCO_REQUIRE(n == pending, "n is %lld; the forward that waits for its backward had %lld", (long long) n,
                 (long long) pending);
    const int64_t dims[4] = {n, encoder->shape.embedding_dim, 1, 1};
    moco_host_tensor gradient;
    MOCO_TRY(moco_host_tensor_input(&gradient, encoder->context, d_embeddings, dims));
    moco_encoder_retain(encoder);
    const moco_status status = moco_encoder_backward_pass_tensor(encoder, pass, 1, &gradient.tensor);
    moco_host_tensor_release(&gradient, encoder->context);
    moco_encoder_release(encoder);
    return status;
}

/* --- Before training --- */

moco_status moco_encoder_prepare_training(moco_encoder *encoder, int64_t n, int64_t h, int64_t w) {
    MOCO_REQUIRE(n >= encoder->shape.bn_groups, "bn_groups is %d; it must be at most the images of a batch, %lld",
                 encoder->shape.bn_groups, (long long) n);
    return encoder->ops->prepare == NULL ? MOCO_OK : encoder->ops->prepare(encoder->network, n, h, w);
}

/* --- Getters --- */

int64_t moco_encoder_embedding_dim(const moco_encoder *encoder) {
    return encoder == NULL ? 0 : encoder->shape.embedding_dim;
}

int64_t moco_encoder_feature_dim(const moco_encoder *encoder) {
    return encoder == NULL ? 0 : encoder->shape.feature_dim;
}

int64_t moco_encoder_channels(const moco_encoder *encoder) {
    return encoder == NULL ? 0 : encoder->shape.channels;
}

int32_t moco_encoder_compute_dtype(const moco_encoder *encoder) {
    return encoder == NULL ? MOCO_COMPUTE_F32 : encoder->shape.compute_dtype;
}

int64_t moco_encoder_batches_tracked(const moco_encoder *encoder) {
    return encoder == NULL ? 0 : encoder->batches_tracked;
}

moco_status moco_encoder_set_batches_tracked(moco_encoder *encoder, int64_t batches) {
    MOCO_REQUIRE_POINTER(encoder);
    MOCO_REQUIRE(batches >= 0, "num_batches_tracked is %lld; it must be at least 0", (long long) batches);
    encoder->batches_tracked = batches;
    return MOCO_OK;
}

moco_context *moco_encoder_context(const moco_encoder *encoder) {
    return encoder->context;
}

int32_t moco_encoder_bn_groups(const moco_encoder *encoder) {
    return encoder->shape.bn_groups;
}

const struct moco_graph *moco_encoder_graph(const moco_encoder *encoder) {
    return encoder->built_in ? moco_network_graph(encoder->network) : NULL;
}

const moco_encoder_config *moco_encoder_configuration(const moco_encoder *encoder) {
    return encoder->built_in ? &encoder->config : NULL;
}

uint64_t moco_encoder_gradient_writes(const moco_encoder *encoder) {
    return encoder->gradient_writes;
}

int32_t moco_encoder_has_gradient_hook(const moco_encoder *encoder) {
    return encoder->hook.ready != NULL;
}
