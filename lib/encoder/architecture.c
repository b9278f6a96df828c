#include "encoder/architecture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backend/planned_layer.h"

/* clang-format off */
static const moco_architecture architectures[] = {
    /* name, prefix, help, build, shape: bottleneck, blocks, groups, width per group, stem */
    {"resnet18",  NULL, "18 layers",  moco_resnet_build, {0, {2, 2, 2, 2}, 1, 64, 64}},
    {"resnet34",  NULL, "34 layers",  moco_resnet_build, {0, {3, 4, 6, 3}, 1, 64, 64}},
    {"resnet50",  NULL, "50 layers",  moco_resnet_build, {1, {3, 4, 6, 3}, 1, 64, 64}},
    {"resnet101", NULL, "101 layers", moco_resnet_build, {1, {3, 4, 23, 3}, 1, 64, 64}},
    {"resnet152", NULL, "152 layers", moco_resnet_build, {1, {3, 8, 36, 3}, 1, 64, 64}},
    {"resnext50_32x8d", NULL, "3x3 convolutions in 32 groups of 8 channels; RX50 of MoCo's table 1", moco_resnet_build,
     {1, {3, 4, 6, 3}, 32, 8, 64}},
    {"wide_resnet50_2", NULL, "3x3 convolutions twice as wide", moco_resnet_build, {1, {3, 4, 6, 3}, 1, 128, 64}},
    {"wide_resnet50_4", NULL, "3x3 convolutions 4 times as wide", moco_resnet_build, {1, {3, 4, 6, 3}, 1, 256, 64}},
    {"resnet50_w2", NULL, "every layer twice as wide; R50w2x of MoCo's table 1", moco_resnet_build,
     {1, {3, 4, 6, 3}, 1, 64, 128}},
    {"resnet50_w4", NULL, "every layer 4 times as wide; R50w4x of MoCo's table 1", moco_resnet_build,
     {1, {3, 4, 6, 3}, 1, 64, 256}},
    {"cifar_resnetD", "cifar_resnet", "D = 6 n + 2 layers of 16, 32 and 64 channels, such as cifar_resnet20",
     moco_cifar_resnet_build, {0}},
    {"mlp", NULL, "hidden layers on the flattened pixels", moco_mlp_build, {0}},
};
/* clang-format on */
#define ARCHITECTURES ((int64_t) (sizeof architectures / sizeof architectures[0]))

const char *moco_encoder_architecture_name(int64_t index) {
    return index >= 0 && index < ARCHITECTURES ? architectures[index].name : NULL;
}

const char *moco_encoder_architecture_help(int64_t index) {
    return index >= 0 && index < ARCHITECTURES ? architectures[index].help : NULL;
}

static moco_status find_architecture(const char *name, const moco_architecture **out) {
    char list[512];
    size_t length = 0;
    for (int64_t i = 0; i < ARCHITECTURES; ++i) {
        const moco_architecture *row = &architectures[i];
        const int32_t found =
            row->prefix == NULL ? strcmp(name, row->name) == 0 : strncmp(name, row->prefix, strlen(row->prefix)) == 0;
        if (found) {
            *out = row;
            return MOCO_OK;
        }
        const char *before = i == 0 ? "" : i + 1 < ARCHITECTURES ? ", " : " and ";
        if (length < sizeof list) {
            length += (size_t) snprintf(list + length, sizeof list - length, "%s%s", before, row->name);
        }
    }
    return moco_fail(MOCO_NOT_FOUND, "architecture is \"%s\"; built in are %s", name, list);
}

static moco_status check_config(const moco_encoder_config *config) {
    MOCO_REQUIRE(config->stem == MOCO_STEM_IMAGENET || config->stem == MOCO_STEM_CIFAR,
                 "stem is %d; it must be MOCO_STEM_IMAGENET (0) or MOCO_STEM_CIFAR (1)", config->stem);
    MOCO_REQUIRE(config->head >= MOCO_HEAD_NONE && config->head <= MOCO_HEAD_MLP,
                 "head is %d; it must be MOCO_HEAD_NONE (0), LINEAR (1) or MLP (2)", config->head);
    MOCO_REQUIRE(config->head == MOCO_HEAD_NONE || config->embedding_dim >= 1,
                 "embedding_dim is %d; it must be at least 1", config->embedding_dim);
    MOCO_REQUIRE(config->head_hidden_dim >= 0, "head_hidden_dim is %d; it must be 0 (the feature dim) or more",
                 config->head_hidden_dim);
    MOCO_REQUIRE(config->channels >= 1, "channels is %d; it must be at least 1", config->channels);
    MOCO_REQUIRE(config->normalize == 0 || config->normalize == 1, "normalize is %d; it must be 0 or 1",
                 config->normalize);
    MOCO_REQUIRE(config->zero_init_residual == 0 || config->zero_init_residual == 1,
                 "zero_init_residual is %d; it must be 0 or 1", config->zero_init_residual);
    MOCO_REQUIRE(config->bn_groups >= 1, "bn_groups is %d; it must be at least 1", config->bn_groups);
    MOCO_REQUIRE(config->bn_layout == MOCO_BN_CONTIGUOUS || config->bn_layout == MOCO_BN_STRIDED,
                 "bn_layout is %d; it must be MOCO_BN_CONTIGUOUS (0) or MOCO_BN_STRIDED (1)", config->bn_layout);
    MOCO_REQUIRE(config->bn_momentum >= 0.0 && config->bn_momentum <= 1.0, "bn_momentum is %g; it must be in 0..1",
                 config->bn_momentum);
    MOCO_REQUIRE(isfinite(config->bn_eps) && config->bn_eps > 0.0, "bn_eps is %g; it must be above 0 and finite",
                 config->bn_eps);
    MOCO_REQUIRE(config->compute_dtype >= MOCO_COMPUTE_F32 && config->compute_dtype <= MOCO_COMPUTE_F32_DIRECT,
                 "compute_dtype is %d; it must be MOCO_COMPUTE_F32 (0), BF16 (1), BF16_REQUIRED (2) or F32_DIRECT (3)",
                 config->compute_dtype);
    return MOCO_OK;
}

static moco_status choose_compute_dtype(moco_context *context, int32_t wanted, int32_t *dtype) {
    *dtype = MOCO_DTYPE_F32;
    if (wanted == MOCO_COMPUTE_F32 || wanted == MOCO_COMPUTE_F32_DIRECT) return MOCO_OK;
    if (moco_backends_compute(context, MOCO_DTYPE_BF16)) {
        *dtype = MOCO_DTYPE_BF16;
        return MOCO_OK;
    }
    static const char reason[] = "bfloat16 needs a processor with AVX512-BF16 and the oneDNN backend in use";
    if (wanted == MOCO_COMPUTE_BF16_REQUIRED) {
        return moco_fail(MOCO_UNSUPPORTED,
                         "compute_dtype is MOCO_COMPUTE_BF16_REQUIRED, but %s; MOCO_COMPUTE_BF16 would fall back to "
                         "float32",
                         reason);
    }
    moco_log(context, MOCO_LOG_WARNING, "the encoder computes in float32: %s", reason);
    return MOCO_OK;
}

static void add_head(moco_graph *graph, const moco_encoder_config *config, int64_t features, int64_t *embedding_dim) {
    int32_t x = graph->features;
    *embedding_dim = config->embedding_dim;
    if (config->head == MOCO_HEAD_NONE) {
        *embedding_dim = features;
    } else if (config->head == MOCO_HEAD_LINEAR) {
        x = moco_graph_linear(graph, x, "fc", features, config->embedding_dim, 0);
    } else {
        const int64_t hidden = config->head_hidden_dim > 0 ? config->head_hidden_dim : features;
        x = moco_graph_linear(graph, x, "fc.0", features, hidden, 1);
        x = moco_graph_linear(graph, x, "fc.2", hidden, config->embedding_dim, 0);
    }
    graph->output = config->normalize ? moco_graph_plain_layer(graph, x, MOCO_LAYER_L2_NORMALIZE) : x;
}

moco_status moco_architecture_build(moco_graph **out, moco_context *context, const moco_encoder_config *config,
                                    int64_t *feature_dim, int64_t *embedding_dim) {
    const moco_architecture *architecture = NULL;
    int32_t compute_dtype;
    MOCO_TRY(check_config(config));
    MOCO_TRY(find_architecture(config->architecture, &architecture));
    MOCO_TRY(choose_compute_dtype(context, config->compute_dtype, &compute_dtype));
    moco_graph *graph = moco_graph_create(context);
    if (graph == NULL) return MOCO_OUT_OF_MEMORY;
    graph->input_channels = config->channels;
    graph->compute_dtype = compute_dtype;
    graph->direct_convolution = config->compute_dtype == MOCO_COMPUTE_F32_DIRECT;
    graph->bn_groups = config->bn_groups;
    graph->bn_strided = config->bn_layout == MOCO_BN_STRIDED;
    graph->bn_eps = config->bn_eps;
    graph->bn_momentum = config->bn_momentum;

    const int64_t features = architecture->build(graph, config, &architecture->shape);
    int64_t embedding = 0;
    if (graph->status == MOCO_OK) add_head(graph, config, features, &embedding);
    if (graph->status != MOCO_OK) {
        const moco_status status = graph->status;
        moco_graph_destroy(graph);
        return status;
    }
    *feature_dim = features;
    *embedding_dim = embedding;
    *out = graph;
    return MOCO_OK;
}
