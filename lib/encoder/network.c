/* The built-in networks: a graph, its parameters, and its plans. */
#include "encoder/network.h"

#include <string.h>

#include "backend/backend_chain.h"
#include "encoder/architecture.h"
#include "encoder/parameter_storage.h"
#include "encoder/plan_cache.h"

typedef struct network {
    moco_context *context; /* the encoder around it keeps it alive */
    moco_graph *graph;
    moco_parameter_storage storage;
    moco_plan_cache plans;
} network;

static void network_destroy(void *self) {
    network *net = (network *) self;
    if (net == NULL) return;
    moco_plan_cache_release(&net->plans);
    moco_parameter_storage_release(&net->storage);
    moco_graph_destroy(net->graph);
    moco_deallocate(net->context, net);
}

/* A network over `graph`, which it owns in any case, with all parameters zero. */
static moco_status network_over(network **out, moco_context *context, moco_graph *graph) {
    network *net = (network *) moco_allocate_zeroed(context, 1, sizeof *net);
    if (net == NULL) {
        moco_graph_destroy(graph);
        return MOCO_OUT_OF_MEMORY;
    }
    net->context = context;
    net->graph = graph;
    moco_status status = moco_plan_cache_init(&net->plans, graph, 0);
    if (status == MOCO_OK) status = moco_parameter_storage_init(&net->storage, graph);
    if (status != MOCO_OK) {
        network_destroy(net);
        return status;
    }
    *out = net;
    return MOCO_OK;
}

moco_status moco_network_create(void **out, moco_context *context, const moco_encoder_config *config,
                                moco_network_shape *shape) {
    moco_graph *graph = NULL;
    network *net = NULL;
    MOCO_TRY(moco_architecture_build(&graph, context, config, &shape->feature_dim, &shape->embedding_dim));
    MOCO_TRY(network_over(&net, context, graph));
    const moco_status status = moco_initialise_parameters(&net->storage, graph, config->seed);
    if (status != MOCO_OK) {
        network_destroy(net);
        return status;
    }
    shape->channels = config->channels;
    shape->compute_dtype = graph->compute_dtype == MOCO_DTYPE_BF16 ? MOCO_COMPUTE_BF16 : MOCO_COMPUTE_F32;
    shape->bn_groups = config->bn_groups;
    *out = net;
    return MOCO_OK;
}

static moco_status network_clone(const void *self, void **out) {
    const network *source = (const network *) self;
    moco_graph *graph = NULL;
    network *net = NULL;
    MOCO_TRY(moco_graph_copy(&graph, source->graph));
    MOCO_TRY(network_over(&net, source->context, graph));
    moco_status status =
        moco_tensor_copy(source->context, &net->storage.learnable.value, &source->storage.learnable.value);
    if (status == MOCO_OK) {
        status = moco_tensor_copy(source->context, &net->storage.buffers.value, &source->storage.buffers.value);
    }
    if (status != MOCO_OK) {
        network_destroy(net);
        return status;
    }
    moco_plan_cache_lend(&net->plans, &source->plans);
    *out = net;
    return MOCO_OK;
}

static int32_t network_lends_workspace(const void *self, const void *clone) {
    return ((const network *) clone)->plans.lent == ((const network *) self)->plans.own[0];
}

static moco_status network_forward(void *self, int32_t pass, int32_t mode, uint64_t weight_version,
                                   const moco_tensor *images, const moco_tensor *embeddings) {
    network *net = (network *) self;
    return moco_plan_cache_forward(&net->plans, pass, mode, 0, &net->storage.table, weight_version, images, embeddings);
}

static moco_status network_prepare(void *self, int64_t n, int64_t h, int64_t w) {
    network *net = (network *) self;
    const moco_plan_key key = {MOCO_MODE_TRAIN, 0, n, net->graph->input_channels, h, w};
    return moco_plan_cache_prepare(&net->plans, &key);
}

static moco_status network_features(void *self, uint64_t weight_version, const moco_tensor *images,
                                    const moco_tensor *features) {
    network *net = (network *) self;
    return moco_plan_cache_forward(&net->plans, 0, MOCO_MODE_EVALUATE, 1, &net->storage.table, weight_version, images,
                                   features);
}

static int64_t network_pending(const void *self, int32_t pass) {
    const moco_graph_plan *plan = ((const network *) self)->plans.pending[pass];
    return plan == NULL ? 0 : plan->key.n;
}

static moco_status network_backward(void *self, int32_t pass, uint64_t weight_version, int32_t accumulate,
                                    const moco_gradient_hook *hook, const moco_tensor *d_embeddings) {
    network *net = (network *) self;
    return moco_plan_cache_backward(&net->plans, pass, &net->storage.table, weight_version, accumulate, hook,
                                    d_embeddings, NULL);
}

static moco_parameter_table *network_parameters(void *self) {
    return &((network *) self)->storage.table;
}

const struct moco_graph *moco_network_graph(const void *self) {
    return ((const network *) self)->graph;
}

const moco_network_ops moco_built_in_network = {
    .forward = network_forward,
    .prepare = network_prepare,
    .features = network_features,
    .pending = network_pending,
    .backward = network_backward,
    .clone = network_clone,
    .lends_workspace = network_lends_workspace,
    .parameters = network_parameters,
    .destroy = network_destroy,
};
