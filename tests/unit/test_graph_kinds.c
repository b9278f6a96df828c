/* A network of kinds that no built-in architecture has: rows through LINEAR, LAYER_NORM and GELU, and two additions, of
 * which one has the same value twice. Its gradients against finite differences.
 */
#include "support/encoder_fixture.h"

#include "encoder/graph_plan.h"
#include "encoder/parameter_storage.h"

#define N   3
#define IN  12 /* 3 x 2 x 2 */
#define DIM 5

static moco_graph *make_graph(moco_context *context) {
    moco_graph *graph = moco_graph_create(context);
    assert_non_null(graph);
    graph->input_channels = 3;
    graph->flat_inputs = IN;
    const int32_t linear = moco_graph_linear(graph, 0, "fc", IN, DIM, 0);
    const moco_graph_norm parameters = moco_graph_declare_norm(graph, "ln", DIM, MOCO_START_ONE);
    const moco_graph_node norm = {.kind = MOCO_LAYER_LAYER_NORM,
                                  .input_count = 1,
                                  .inputs = {linear},
                                  .parameter_count = 2,
                                  .parameters = {parameters.weight, parameters.bias},
                                  .of.layer_norm.eps = 1e-2};
    const int32_t gelu = moco_graph_plain_layer(graph, moco_graph_append(graph, &norm), MOCO_LAYER_GELU);
    const moco_graph_node residual = {.kind = MOCO_LAYER_ADD, .input_count = 2, .inputs = {linear, gelu}};
    const int32_t sum = moco_graph_append(graph, &residual);
    const moco_graph_node twice = {.kind = MOCO_LAYER_ADD, .input_count = 2, .inputs = {sum, sum}};
    graph->features = graph->output = moco_graph_append(graph, &twice);
    assert_ok(graph->status);
    return graph;
}

typedef struct network {
    moco_context *context;
    moco_graph *graph;
    moco_parameter_storage storage;
    moco_graph_plan *plan;
    void *arena;
    moco_tensor images, rows, d_images;
} network;

static moco_tensor memory_for(moco_context *context, moco_tensor shape) {
    assert_ok(moco_buffer_create(context, moco_tensor_bytes(&shape), &shape.buffer));
    return shape;
}

/* In place: the table of the storage points into it. */
static void open_network(network *net, int32_t mode) {
    memset(net, 0, sizeof *net);
    net->context = make_context("reference", 1);
    net->graph = make_graph(net->context);
    assert_ok(moco_parameter_storage_init(&net->storage, net->graph));
    assert_ok(moco_initialise_parameters(&net->storage, net->graph, 3));
    const moco_plan_key key = {mode, 0, N, 3, 2, 2};
    assert_ok(moco_graph_plan_create(&net->plan, net->graph, &key, mode == MOCO_MODE_TRAIN, NULL));
    assert_ok(moco_buffer_create(net->context, net->plan->arena_bytes, &net->arena));
    net->images = memory_for(net->context, moco_tensor_4d(NULL, 0, MOCO_DTYPE_F32, N, 3, 2, 2));
    net->d_images = memory_for(net->context, moco_tensor_4d(NULL, 0, MOCO_DTYPE_F32, N, 3, 2, 2));
    net->rows = memory_for(net->context, moco_tensor_2d(NULL, 0, MOCO_DTYPE_F32, N, DIM));
}

static void close_network(network *net) {
    moco_buffer_destroy(net->context, net->images.buffer);
    moco_buffer_destroy(net->context, net->d_images.buffer);
    moco_buffer_destroy(net->context, net->rows.buffer);
    moco_buffer_destroy(net->context, net->arena);
    moco_graph_plan_destroy(net->plan);
    moco_parameter_storage_release(&net->storage);
    moco_graph_destroy(net->graph);
    moco_context_destroy(net->context);
}

static void forward(network *net, const float *images, float *rows) {
    assert_ok(moco_tensor_upload(net->context, &net->images, images));
    assert_ok(moco_graph_plan_forward(net->plan, net->arena, &net->storage.table, 1, &net->images, &net->rows));
    assert_ok(moco_tensor_download(net->context, &net->rows, rows));
}

static double loss(network *net, const float *images, const float *d) {
    float rows[N * DIM];
    double sum = 0.0;
    forward(net, images, rows);
    for (int i = 0; i < N * DIM; ++i) sum += (double) rows[i] * d[i];
    return sum;
}

static void gradients_of_the_images(void **state) {
    (void) state;
    network net;
    open_network(&net, MOCO_MODE_TRAIN);
    float *images = hashed_floats(STREAM_IMAGES, N * IN, 1.0), *d = hashed_floats(STREAM_GRADIENT, N * DIM, 1.0);
    float rows[N * DIM], gradient[N * IN];
    forward(&net, images, rows);
    assert_ok(moco_tensor_upload(net.context, &net.rows, d));
    assert_ok(moco_graph_plan_backward(net.plan, net.arena, &net.storage.table, 1, 0, NULL, &net.rows, &net.d_images));
    assert_ok(moco_tensor_download(net.context, &net.d_images, gradient));
    for (int i = 0; i < N * IN; ++i) {
        const float kept = images[i], h = 1e-2f;
        images[i] = kept + h;
        const double above = loss(&net, images, d);
        images[i] = kept - h;
        const double below = loss(&net, images, d);
        images[i] = kept;
        const double expected = (above - below) / (2.0 * (double) h);
        if (!(fabs(gradient[i] - expected) < 2e-3)) fail_msg("d[%d] is %g, expected %g", i, gradient[i], expected);
    }
    free(images), free(d);
    close_network(&net);
}

/* Both modes place their values otherwise, in place where they may, and compute the same. */
static void a_plan_without_backward_computes_the_same(void **state) {
    (void) state;
    float *images = hashed_floats(STREAM_IMAGES, N * IN, 1.0);
    float rows[2][N * DIM];
    for (int32_t i = 0; i < 2; ++i) {
        network net;
        open_network(&net, i == 0 ? MOCO_MODE_TRAIN : MOCO_MODE_EVALUATE);
        forward(&net, images, rows[i]);
        close_network(&net);
    }
    assert_memory_equal(rows[0], rows[1], sizeof rows[0]);
    free(images);
}

static void additions_of_other_shapes_are_refused(void **state) {
    (void) state;
    moco_context *context = make_context("reference", 1);
    moco_layer_desc desc = {.struct_size = sizeof desc,
                            .kind = MOCO_LAYER_ADD,
                            .input_count = 2,
                            .inputs = {{.rank = 2, .dims = {2, 3, 1, 1}}, {.rank = 2, .dims = {1, 3, 1, 1}}}};
    moco_planned_layer layer;
    assert_status(MOCO_INVALID_ARGUMENT, moco_layer_plan(context, &desc, &layer));
    assert_non_null(strstr(moco_last_error(), "input 1 of an addition is 1 x 3 x 1 x 1"));
    desc.input_count = 1;
    assert_status(MOCO_INVALID_ARGUMENT, moco_layer_plan(context, &desc, &layer));
    assert_non_null(strstr(moco_last_error(), "input_count of an addition is 1"));
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_the_images),
        cmocka_unit_test(a_plan_without_backward_computes_the_same),
        cmocka_unit_test(additions_of_other_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
