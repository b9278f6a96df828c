/* A caller's own network (<moco/sys/encoder_ops.h>) as an encoder's network: its parameter spans are wrapped as
 * tensors, images and embeddings pass through staging arrays in host memory, and the normalization is ours. "Host" is
 * the processor's memory here, the program that brings the network is the caller. */
#include <stddef.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "backend/grown_buffer.h"
#include "core/checked.h"
#include "core/config.h"
#include "encoder/custom_parameters.h"
#include "encoder/network.h"
#include "encoder/plan_cache.h"
#include "encoder/running_statistics.h"

typedef struct staging {
    float *values;
    int64_t capacity;
} staging;

typedef struct custom_network {
    moco_context *context;
    moco_encoder_ops ops;
    moco_encoder_custom_config config;
    void *self;
    int32_t owns_self;
    moco_parameter_table table;
    moco_graph *normalizer; /* one L2_NORMALIZE layer; NULL: not wanted */
    moco_plan_cache plans;
    moco_grown_buffer raw;                /* embeddings before the normalization, or their gradient */
    int64_t pending[MOCO_ENCODER_PASSES]; /* samples of the forward that waits for its backward; 0: none does */
    staging images;
    staging rows; /* embeddings, features, or gradients */
} custom_network;

static const moco_encoder_custom_config default_config = MOCO_ENCODER_CUSTOM_CONFIG_INITIALIZER;

moco_status moco_encoder_custom_config_init(moco_encoder_custom_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_encoder_custom_config");
}

/* --- Lifetime --- */

static void custom_destroy(void *self) {
    custom_network *net = (custom_network *) self;
    if (net == NULL) return;
    moco_custom_parameters_release(&net->table, net->context);
    moco_plan_cache_release(&net->plans);
    moco_graph_destroy(net->normalizer);
    moco_grown_buffer_release(&net->raw, net->context);
    moco_deallocate(net->context, net->images.values);
    moco_deallocate(net->context, net->rows.values);
    if (net->owns_self) net->ops.destroy(net->self);
    moco_deallocate(net->context, net);
}

static moco_status make_normalizer(custom_network *net) {
    if (!net->config.normalize) return MOCO_OK;
    net->normalizer = moco_graph_create(net->context);
    if (net->normalizer == NULL) return MOCO_OUT_OF_MEMORY;
    net->normalizer->input_channels = net->config.embedding_dim;
    net->normalizer->flat_inputs = net->config.embedding_dim;
    net->normalizer->output = moco_graph_plain_layer(net->normalizer, 0, MOCO_LAYER_L2_NORMALIZE);
    MOCO_TRY(moco_plan_cache_init(&net->plans, net->normalizer, 1));
    return net->normalizer->status;
}

/* On failure `self` stays the caller's. */
static moco_status custom_create(custom_network **out, moco_context *context, const moco_encoder_ops *ops, void *self,
                                 const moco_encoder_custom_config *config) {
    custom_network *net = (custom_network *) moco_allocate_zeroed(context, 1, sizeof *net);
    if (net == NULL) return MOCO_OUT_OF_MEMORY;
    net->context = context;
    net->ops = *ops;
    net->config = *config;
    net->self = self;
    moco_status status = moco_custom_parameters_read(&net->table, net->context, ops, self);
    if (status == MOCO_OK) status = make_normalizer(net);
    if (status != MOCO_OK) {
        custom_destroy(net);
        return status;
    }
    net->owns_self = 1;
    *out = net;
    return MOCO_OK;
}

static moco_status custom_clone(const void *self, void **out) {
    const custom_network *source = (const custom_network *) self;
    void *copy = NULL;
    if (source->ops.clone(source->self, &copy) != 0) {
        return moco_fail(MOCO_CALLBACK, "the custom encoder's clone returned non-zero");
    }
    custom_network *net = NULL;
    moco_status status = custom_create(&net, source->context, &source->ops, copy, &source->config);
    if (status == MOCO_OK && net->table.count != source->table.count) {
        status = moco_fail(MOCO_CALLBACK, "the custom encoder's clone has %lld parameters instead of %lld",
                           (long long) net->table.count, (long long) source->table.count);
    }
    for (int64_t i = 0; status == MOCO_OK && i < source->table.count; ++i) {
        const moco_parameter *theirs = &net->table.items[i];
        const moco_parameter *ours = &source->table.items[i];
        if (theirs->kind != ours->kind || theirs->elements != ours->elements) {
            status = moco_fail(MOCO_CALLBACK, "parameter %s of the custom encoder's clone has another kind or size",
                               ours->name);
        }
    }
    if (status != MOCO_OK) {
        if (net == NULL) {
            source->ops.destroy(copy);
        } else {
            custom_destroy(net);
        }
        return status;
    }
    *out = net;
    return MOCO_OK;
}

/* --- Running it --- */

static moco_status stage(const custom_network *net, staging *area, int64_t elements) {
    if (elements <= area->capacity) return MOCO_OK;
    size_t bytes;
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "a staging array", &bytes));
    float *larger = (float *) moco_allocate(net->context, bytes);
    if (larger == NULL) return MOCO_OUT_OF_MEMORY;
    moco_deallocate(net->context, area->values);
    area->values = larger;
    area->capacity = elements;
    return MOCO_OK;
}

/* The raw embeddings as n x dim x 1 x 1. */
static moco_status raw_tensor(custom_network *net, int64_t n, moco_tensor *out) {
    const uint64_t elements = (uint64_t) n * (uint64_t) net->config.embedding_dim;
    MOCO_TRY(moco_grown_buffer_reserve(&net->raw, net->context, elements * sizeof(float)));
    *out = moco_tensor_4d(net->raw.buffer, 0, MOCO_DTYPE_F32, n, net->config.embedding_dim, 1, 1);
    return MOCO_OK;
}

/* Pass 0 runs through the table's required members, further ones through its optional ones. */
static moco_status check_pass(const custom_network *net, int32_t pass) {
    if (pass == 0 || net->ops.forward_pass != NULL) return MOCO_OK;
    return moco_fail(MOCO_UNSUPPORTED,
                     "pass is %d, but the custom encoder keeps one forward at a time: its moco_encoder_ops has no "
                     "forward_pass and backward_pass",
                     pass);
}

static moco_status call_forward(custom_network *net, int32_t pass, int32_t mode, const moco_tensor *images) {
    const int64_t n = images->dims[0], h = images->dims[2], w = images->dims[3];
    const float *pixels = net->images.values;
    float *rows = net->rows.values;
    const int32_t failed = pass == 0 ? net->ops.forward(net->self, mode, pixels, n, h, w, rows)
                                     : net->ops.forward_pass(net->self, pass, pixels, n, h, w, rows);
    if (failed == 0) return MOCO_OK;
    return moco_fail(MOCO_CALLBACK, "the custom encoder's %s returned non-zero",
                     pass == 0 ? "forward" : "forward_pass");
}

static moco_status custom_forward(void *self, int32_t pass, int32_t mode, uint64_t weight_version,
                                  const moco_tensor *images, const moco_tensor *embeddings) {
    custom_network *net = (custom_network *) self;
    const int64_t n = images->dims[0];
    moco_tensor raw = *embeddings;
    MOCO_TRY(check_pass(net, pass));
    MOCO_TRY(stage(net, &net->images, moco_tensor_elements(images)));
    MOCO_TRY(stage(net, &net->rows, n * net->config.embedding_dim));
    if (net->config.normalize) MOCO_TRY(raw_tensor(net, n, &raw));
    MOCO_TRY(moco_tensor_download(net->context, images, net->images.values));

    if (mode == MOCO_MODE_TRAIN) net->pending[pass] = 0;
    MOCO_TRY(call_forward(net, pass, mode, images));
    if (mode != MOCO_MODE_EVALUATE) MOCO_TRY(moco_running_statistics_check(&net->table, net->context));
    MOCO_TRY(moco_tensor_upload(net->context, &raw, net->rows.values));
    if (net->config.normalize) {
        MOCO_TRY(moco_plan_cache_forward(&net->plans, pass, mode, 0, &net->table, weight_version, &raw, embeddings));
    }
    if (mode == MOCO_MODE_TRAIN) net->pending[pass] = n;
    return MOCO_OK;
}

static moco_status custom_features(void *self, uint64_t weight_version, const moco_tensor *images,
                                   const moco_tensor *features) {
    custom_network *net = (custom_network *) self;
    if (net->ops.features == NULL) {
        return custom_forward(self, 0, MOCO_MODE_EVALUATE, weight_version, images, features);
    }
    MOCO_TRY(stage(net, &net->images, moco_tensor_elements(images)));
    MOCO_TRY(stage(net, &net->rows, moco_tensor_elements(features)));
    MOCO_TRY(moco_tensor_download(net->context, images, net->images.values));
    if (net->ops.features(net->self, net->images.values, images->dims[0], images->dims[2], images->dims[3],
                          net->rows.values) != 0) {
        return moco_fail(MOCO_CALLBACK, "the custom encoder's features returned non-zero");
    }
    return moco_tensor_upload(net->context, features, net->rows.values);
}

static int64_t custom_pending(const void *self, int32_t pass) {
    return ((const custom_network *) self)->pending[pass];
}

static moco_status call_backward(custom_network *net, int32_t pass, int64_t n) {
    const float *d_rows = net->rows.values;
    const int32_t failed =
        pass == 0 ? net->ops.backward(net->self, d_rows, n) : net->ops.backward_pass(net->self, pass, d_rows, n);
    if (failed == 0) return MOCO_OK;
    return moco_fail(MOCO_CALLBACK, "the custom encoder's %s returned non-zero",
                     pass == 0 ? "backward" : "backward_pass");
}

/* A frozen parameter's gradient is zero, whatever the caller's backward made. */
static moco_status clear_frozen(const custom_network *net) {
    for (int64_t i = 0; i < net->table.count; ++i) {
        const moco_parameter *item = &net->table.items[i];
        if ((item->flags & MOCO_PARAMETER_FROZEN) == 0) continue;
        MOCO_TRY(moco_tensor_fill_zero(net->context, &item->gradient));
    }
    return MOCO_OK;
}

/* `accumulate` needs no look: the caller's gradients are cleared when they are zeroed, and its backward adds. */
static moco_status custom_backward(void *self, int32_t pass, uint64_t weight_version, int32_t accumulate,
                                   const moco_gradient_hook *hook, const moco_tensor *d_embeddings) {
    (void) accumulate;
    custom_network *net = (custom_network *) self;
    const int64_t n = net->pending[pass];
    if (n == 0) return moco_fail(MOCO_INVALID_STATE, "backward needs a training-mode forward before it");
    moco_tensor d_raw = *d_embeddings;
    MOCO_TRY(stage(net, &net->rows, n * net->config.embedding_dim));
    if (net->config.normalize) MOCO_TRY(raw_tensor(net, n, &d_raw));
    net->pending[pass] = 0;
    if (net->config.normalize) {
        MOCO_TRY(
            moco_plan_cache_backward(&net->plans, pass, &net->table, weight_version, 0, NULL, d_embeddings, &d_raw));
    }
    MOCO_TRY(moco_tensor_download(net->context, &d_raw, net->rows.values));
    MOCO_TRY(call_backward(net, pass, n));
    MOCO_TRY(clear_frozen(net));
    if (hook == NULL || hook->ready(0, net->table.count, hook->user) == 0) return MOCO_OK;
    return moco_fail(MOCO_CALLBACK, "the gradient hook returned non-zero for parameters 0 to %lld",
                     (long long) net->table.count - 1);
}

static moco_parameter_table *custom_parameters(void *self) {
    return &((custom_network *) self)->table;
}

static const moco_network_ops custom_network_ops = {
    .forward = custom_forward,
    .features = custom_features,
    .pending = custom_pending,
    .backward = custom_backward,
    .clone = custom_clone,
    .parameters = custom_parameters,
    .destroy = custom_destroy,
};

/* --- Creation --- */

static moco_status check_ops(const moco_encoder_ops *ops, moco_encoder_ops *known) {
    memset(known, 0, sizeof *known);
    MOCO_TRY(moco_config_read(known, ops, sizeof *known, offsetof(moco_encoder_ops, forward_pass), "moco_encoder_ops"));
    if (known->abi_version != MOCO_ENCODER_OPS_VERSION) {
        return moco_fail(MOCO_UNSUPPORTED, "abi_version of moco_encoder_ops is %u; this library knows version %d",
                         known->abi_version, MOCO_ENCODER_OPS_VERSION);
    }
    MOCO_REQUIRE(known->forward != NULL && known->backward != NULL && known->parameter_count != NULL &&
                     known->parameter != NULL && known->clone != NULL && known->destroy != NULL,
                 "a member of moco_encoder_ops is NULL; all up to destroy are required");
    MOCO_REQUIRE((known->forward_pass == NULL) == (known->backward_pass == NULL),
                 "forward_pass of moco_encoder_ops is %s, but backward_pass %s; set both or none",
                 known->forward_pass == NULL ? "NULL" : "set", known->backward_pass == NULL ? "is NULL" : "is set");
    return MOCO_OK;
}

static moco_status check_config(moco_encoder_custom_config *config) {
    MOCO_REQUIRE(config->channels >= 1, "channels is %d; it must be at least 1", config->channels);
    MOCO_REQUIRE(config->embedding_dim >= 1,
                 "embedding_dim is %d; set it to the columns of the network's output, at least 1",
                 config->embedding_dim);
    MOCO_REQUIRE(config->feature_dim >= 0, "feature_dim is %d; it must be 0 (embedding_dim) or more",
                 config->feature_dim);
    MOCO_REQUIRE(config->normalize == 0 || config->normalize == 1, "normalize is %d; it must be 0 or 1",
                 config->normalize);
    MOCO_REQUIRE(config->bn_groups >= 1, "bn_groups is %d; it must be at least 1", config->bn_groups);
    return MOCO_OK;
}

moco_status moco_encoder_create_custom(moco_encoder **out, moco_context *context, const moco_encoder_ops *ops,
                                       void *self, const moco_encoder_custom_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    MOCO_REQUIRE_POINTER(ops);
    MOCO_REQUIRE_POINTER(config);
    moco_encoder_ops known;
    moco_encoder_custom_config settings = default_config;
    MOCO_TRY(check_ops(ops, &known));
    MOCO_TRY(moco_config_read(&settings, config, sizeof settings, sizeof settings, "moco_encoder_custom_config"));
    MOCO_TRY(check_config(&settings));
    MOCO_REQUIRE(known.features != NULL || settings.feature_dim == 0 || settings.feature_dim == settings.embedding_dim,
                 "feature_dim is %d, but ops->features is NULL; leave it 0", settings.feature_dim);
    if (settings.feature_dim == 0) settings.feature_dim = settings.embedding_dim;

    custom_network *net = NULL;
    MOCO_TRY(custom_create(&net, context, &known, self, &settings));
    const moco_network_shape shape = {
        .channels = settings.channels,
        .embedding_dim = settings.embedding_dim,
        .feature_dim = settings.feature_dim,
        .bn_groups = settings.bn_groups,
    };
    const moco_status status = moco_encoder_from_network(out, context, &custom_network_ops, net, &shape, NULL);
    if (status != MOCO_OK) {
        net->owns_self = 0;
        custom_destroy(net);
    }
    return status;
}
