#include <stdio.h>

#include "encoder/architecture.h"

int64_t moco_mlp_build(moco_graph *graph, const moco_encoder_config *config, const moco_resnet *net) {
    (void) net;
    if (config->mlp_input_dim < 1 || config->mlp_hidden_dim < 1 || config->mlp_layers < 1) {
        graph->status =
            moco_fail(MOCO_INVALID_ARGUMENT,
                      "mlp_input_dim is %d, mlp_hidden_dim %d and mlp_layers %d; each must be at least 1 for the "
                      "architecture \"mlp\"",
                      config->mlp_input_dim, config->mlp_hidden_dim, config->mlp_layers);
        return 0;
    }
    graph->flat_inputs = config->mlp_input_dim;
    int32_t x = 0;
    int64_t in_c = config->mlp_input_dim;
    for (int32_t layer = 0; layer < config->mlp_layers && graph->status == MOCO_OK; ++layer) {
        char name[MOCO_NAME_CAPACITY / 2];
        snprintf(name, sizeof name, "layers.%lld", 3 * (long long) layer);
        x = moco_graph_linear(graph, x, name, in_c, config->mlp_hidden_dim, 0);
        snprintf(name, sizeof name, "layers.%lld", 3 * (long long) layer + 1);
        x = moco_graph_norm_layer(graph, x,
                                  moco_graph_declare_norm(graph, name, config->mlp_hidden_dim, MOCO_START_ONE), -1, 1);
        in_c = config->mlp_hidden_dim;
    }
    graph->features = x;
    return in_c;
}
