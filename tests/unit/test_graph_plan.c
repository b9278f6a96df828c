/* Plans over a backend with a layout of its own: here the layout NEGATED, in which every element has the other sign. A
 * network run through it gives the same bits as in PLAIN only if every reorder is where it belongs, on the way forward
 * and back. */
#include "support/encoder_fixture.h"

#include "backend/host_memory.h"
#include "backend/layer_kinds.h"
#include "encoder/architecture.h"
#include "encoder/graph_plan.h"
#include "encoder/parameter_storage.h"

#define NEGATED ((uint64_t) 77)
#define N       4
#define SIDE    8
#define DIM     8

/* --- The backend: convolutions give NEGATED and accumulate dx; BatchNorm keeps the layout, but not with a residual of
 * 32 channels --- */

typedef struct negated_layer {
    moco_planned_layer plain; /* does the arithmetic; none for a reorder */
    moco_layer_desc desc;
    int32_t negated_output;
} negated_layer;

static void negate(const moco_tensor *tensor, int32_t condition) {
    float *values = (float *) moco_host_address(tensor);
    if (values == NULL || !condition) return;
    for (int64_t i = 0; i < moco_tensor_elements(tensor); ++i) values[i] = -values[i];
}

/* Inputs are turned to PLAIN in place, and back afterwards. */
static void turn_inputs(const negated_layer *layer, const moco_layer_args *args) {
    negate(&args->inputs[MOCO_INPUT], layer->desc.inputs[MOCO_INPUT].layout == NEGATED);
    negate(&args->inputs[MOCO_RESIDUAL], layer->desc.inputs[MOCO_RESIDUAL].layout == NEGATED);
    negate(&args->dy, layer->negated_output);
}

static moco_layer_args as_plain(const moco_layer_args *args) {
    moco_layer_args plain = *args;
    for (int i = 0; i < MOCO_LAYER_INPUTS; ++i) plain.inputs[i].layout = plain.d_inputs[i].layout = MOCO_LAYOUT_PLAIN;
    plain.y.layout = plain.dy.layout = MOCO_LAYOUT_PLAIN;
    plain.accumulate_inputs = 0;
    return plain;
}

static moco_status negated_forward(void *self, moco_layer *planned, const moco_layer_args *args) {
    (void) self;
    const negated_layer *layer = (const negated_layer *) planned;
    if (layer->desc.kind == MOCO_LAYER_REORDER) {
        memcpy(moco_host_address(&args->y), moco_host_address(&args->inputs[MOCO_INPUT]),
               (size_t) moco_tensor_bytes(&args->inputs[MOCO_INPUT]));
        negate(&args->y, 1);
        return MOCO_OK;
    }
    const moco_layer_args plain = as_plain(args);
    turn_inputs(layer, args);
    const moco_status status = moco_layer_forward(&layer->plain, &plain);
    turn_inputs(layer, args);
    negate(&args->y, layer->negated_output);
    return status;
}

static int accumulated;

/* What dx held before the backward pass, added to what it holds now. */
static void add_kept(const moco_layer_args *args, float *kept) {
    float *dx = (float *) moco_host_address(&args->d_inputs[MOCO_INPUT]);
    for (int64_t i = 0; i < moco_tensor_elements(&args->d_inputs[MOCO_INPUT]); ++i) dx[i] = kept[i] + dx[i];
    free(kept);
    accumulated++;
}

static moco_status negated_backward(void *self, moco_layer *planned, const moco_layer_args *args) {
    (void) self;
    const negated_layer *layer = (const negated_layer *) planned;
    if (layer->desc.kind == MOCO_LAYER_REORDER) {
        memcpy(moco_host_address(&args->d_inputs[MOCO_INPUT]), moco_host_address(&args->dy),
               (size_t) moco_tensor_bytes(&args->dy));
        negate(&args->d_inputs[MOCO_INPUT], 1);
        return MOCO_OK;
    }
    const moco_layer_args plain = as_plain(args);
    float *kept = NULL;
    if (args->accumulate_inputs) {
        kept = (float *) malloc((size_t) moco_tensor_bytes(&args->d_inputs[MOCO_INPUT]));
        memcpy(kept, moco_host_address(&args->d_inputs[MOCO_INPUT]),
               (size_t) moco_tensor_bytes(&args->d_inputs[MOCO_INPUT]));
    }
    turn_inputs(layer, args);
    negate(&args->y, layer->negated_output);
    const moco_status status = moco_layer_backward(&layer->plain, &plain);
    negate(&args->y, layer->negated_output);
    turn_inputs(layer, args);
    if (moco_host_address(&args->d_inputs[MOCO_INPUT]) == moco_host_address(&args->dy))
        negate(&args->d_inputs[MOCO_INPUT], 1); /* dx is there: undo */
    negate(&args->d_inputs[MOCO_INPUT], layer->desc.inputs[MOCO_INPUT].layout == NEGATED);
    negate(&args->d_inputs[MOCO_RESIDUAL], layer->desc.inputs[MOCO_RESIDUAL].layout == NEGATED);
    if (kept != NULL) add_kept(args, kept);
    return status;
}

static void negated_destroy(void *self, moco_layer *planned) {
    (void) self;
    moco_layer_release(&((negated_layer *) planned)->plain);
    free(planned);
}

static const moco_backend_ops negated_ops = {
    .struct_size = sizeof negated_ops,
    .name = "negated",
    .layer_destroy = negated_destroy,
    .layer_forward = negated_forward,
    .layer_backward = negated_backward,
};

static int reorders;

static int32_t takes(const moco_layer_desc *desc) {
    if (desc->kind == MOCO_LAYER_CONV2D) return 1;
    if (desc->kind == MOCO_LAYER_REORDER) return desc->inputs[MOCO_INPUT].layout == NEGATED;
    if (desc->kind != MOCO_LAYER_BATCH_NORM || desc->inputs[MOCO_INPUT].layout != NEGATED) return 0;
    return !(desc->input_count == 2 && desc->inputs[MOCO_INPUT].dims[1] == 32);
}

static moco_status plan_negated(moco_context *context, const moco_layer_desc *desc, moco_planned_layer *out) {
    if (!takes(desc)) return moco_layer_plan(context, desc, out);
    negated_layer *layer = (negated_layer *) calloc(1, sizeof *layer);
    moco_layer_desc plain = *desc;
    plain.inputs[MOCO_INPUT].layout = plain.inputs[MOCO_RESIDUAL].layout = MOCO_LAYOUT_PLAIN;
    layer->desc = *desc;
    layer->negated_output = desc->kind != MOCO_LAYER_REORDER;
    memset(out, 0, sizeof *out);
    if (desc->kind == MOCO_LAYER_REORDER) {
        reorders++;
        out->info.output_bytes = (uint64_t) moco_value_elements(&desc->inputs[MOCO_INPUT]) * sizeof(float);
    } else {
        assert_ok(moco_layer_plan(context, &plain, &layer->plain));
        out->info = layer->plain.info;
    }
    out->ops = &negated_ops;
    out->layer = (moco_layer *) layer;
    out->desc = *desc;
    assert_ok(moco_layer_infer(&out->desc));
    out->info.wanted_input_layout = desc->inputs[MOCO_INPUT].layout;
    out->info.accumulates_inputs = desc->kind == MOCO_LAYER_CONV2D;
    out->info.output_layout = layer->negated_output ? NEGATED : MOCO_LAYOUT_PLAIN;
    return MOCO_OK;
}

/* --- Running a plan --- */

typedef struct outcome {
    float embeddings[N * DIM];
    float d_images[N * 3 * SIDE * SIDE];
    float *gradients;
    float *statistics;
    int64_t gradient_count;
    int64_t statistic_count;
    int32_t steps;
} outcome;

static moco_tensor uploaded(moco_context *context, moco_tensor tensor, const float *values) {
    assert_ok(moco_buffer_create(context, moco_tensor_bytes(&tensor), &tensor.buffer));
    if (values != NULL) assert_ok(moco_tensor_upload(context, &tensor, values));
    return tensor;
}

static float *downloaded(moco_context *context, const moco_tensor *tensor) {
    float *values = (float *) malloc((size_t) moco_tensor_bytes(tensor));
    assert_ok(moco_tensor_download(context, tensor, values));
    return values;
}

static void check_blocks(const moco_graph_plan *plan) {
    for (int64_t i = 0; i < plan->block_count; ++i) {
        const moco_arena_block *a = &plan->blocks[i];
        assert_true(a->offset + a->bytes <= plan->arena_bytes);
        for (int64_t j = 0; j < i; ++j) {
            const moco_arena_block *b = &plan->blocks[j];
            const int32_t in_time = a->first <= b->last && b->first <= a->last;
            assert_false(in_time && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes);
        }
    }
}

static outcome run(moco_context *context, const moco_graph *graph, moco_plan_layer_fn plan_layer) {
    outcome result;
    moco_parameter_storage storage;
    moco_graph_plan *plan = NULL;
    void *arena = NULL;
    memset(&storage, 0, sizeof storage);
    assert_ok(moco_parameter_storage_init(&storage, graph));
    assert_ok(moco_initialise_parameters(&storage, graph, 5));
    const moco_plan_key key = {MOCO_MODE_TRAIN, 0, N, 3, SIDE, SIDE};
    assert_ok(moco_graph_plan_create(&plan, graph, &key, 1, plan_layer));
    check_blocks(plan);
    assert_ok(moco_buffer_create(context, plan->arena_bytes, &arena));

    float *pixels = hashed_floats(STREAM_IMAGES, N * 3 * SIDE * SIDE, 1.0);
    float *d = hashed_floats(STREAM_GRADIENT, N * DIM, 1.0);
    moco_tensor images = uploaded(context, moco_tensor_4d(NULL, 0, MOCO_DTYPE_F32, N, 3, SIDE, SIDE), pixels);
    moco_tensor d_images = uploaded(context, moco_tensor_4d(NULL, 0, MOCO_DTYPE_F32, N, 3, SIDE, SIDE), NULL);
    moco_tensor rows = uploaded(context, moco_tensor_2d(NULL, 0, MOCO_DTYPE_F32, N, DIM), NULL);
    assert_ok(moco_graph_plan_forward(plan, arena, &storage.table, 1, &images, &rows));
    assert_ok(moco_tensor_download(context, &rows, result.embeddings));
    assert_ok(moco_tensor_fill_zero(context, &images)); /* the plan has kept what it needs */
    assert_ok(moco_tensor_upload(context, &rows, d));
    assert_ok(moco_graph_plan_backward(plan, arena, &storage.table, 1, 0, NULL, &rows, &d_images));
    assert_ok(moco_tensor_download(context, &d_images, result.d_images));
    result.gradients = downloaded(context, &storage.learnable.gradient);
    result.gradient_count = moco_tensor_elements(&storage.learnable.gradient);
    result.statistics = downloaded(context, &storage.buffers.value);
    result.statistic_count = moco_tensor_elements(&storage.buffers.value);
    result.steps = plan->step_count;

    free(pixels), free(d);
    moco_buffer_destroy(context, images.buffer);
    moco_buffer_destroy(context, d_images.buffer);
    moco_buffer_destroy(context, rows.buffer);
    moco_buffer_destroy(context, arena);
    moco_graph_plan_destroy(plan);
    moco_parameter_storage_release(&storage);
    return result;
}

static void an_own_layout_changes_no_bit(void **state) {
    (void) state;
    moco_context *context = make_context("reference", 1);
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_graph *graph = NULL;
    int64_t feature_dim, embedding_dim;
    assert_ok(moco_architecture_build(&graph, context, &config, &feature_dim, &embedding_dim));
    outcome plain = run(context, graph, NULL);
    reorders = accumulated = 0;
    outcome negated = run(context, graph, plan_negated);
    /* Before the BatchNorm with a residual of 32 channels: x and the residual; before the pooling. */
    assert_int_equal(3, reorders);
    assert_int_equal(plain.steps + 3, negated.steps);
    assert_int_equal(3, accumulated); /* a residual's way back joins the first convolution's in each of the blocks */
    assert_memory_equal(plain.embeddings, negated.embeddings, sizeof plain.embeddings);
    assert_memory_equal(plain.d_images, negated.d_images, sizeof plain.d_images);
    for (int64_t i = 0; i < plain.gradient_count; ++i) assert_true(plain.gradients[i] == negated.gradients[i]);
    assert_memory_equal(plain.statistics, negated.statistics, (size_t) plain.statistic_count * sizeof(float));
    free(plain.gradients), free(plain.statistics), free(negated.gradients), free(negated.statistics);
    moco_graph_destroy(graph);
    moco_context_destroy(context);
}

/* Without a backward pass, an activation's memory goes to the next layers at once. */
static void only_training_keeps_activations(void **state) {
    (void) state;
    moco_context *context = make_context("reference", 1);
    moco_encoder_config config = small_config("cifar_resnet20");
    moco_graph *graph = NULL;
    uint64_t bytes[3];
    int64_t feature_dim, embedding_dim;
    assert_ok(moco_architecture_build(&graph, context, &config, &feature_dim, &embedding_dim));
    for (int32_t mode = MOCO_MODE_TRAIN; mode <= MOCO_MODE_EVALUATE; ++mode) {
        const moco_plan_key key = {mode, 0, 16, 3, 32, 32};
        moco_graph_plan *plan = NULL;
        assert_ok(moco_graph_plan_create(&plan, graph, &key, 0, NULL));
        check_blocks(plan);
        bytes[mode] = plan->arena_bytes;
        moco_graph_plan_destroy(plan);
    }
    const uint64_t activation = 16 * 16 * 32 * 32 * sizeof(float); /* n x 16 x 32 x 32, the largest */
    assert_true(bytes[MOCO_MODE_TRAIN] > 15 * activation);
    assert_true(bytes[MOCO_MODE_TRAIN_KEY] < 4 * activation);
    assert_true(bytes[MOCO_MODE_EVALUATE] <= bytes[MOCO_MODE_TRAIN_KEY]);
    moco_graph_destroy(graph);
    moco_context_destroy(context);
}

/* In both modes with batch statistics, although only one of them plans a backward pass; evaluation takes any batch. */
static void a_refusal_names_the_layer_and_the_images(void **state) {
    (void) state;
    moco_context *context = make_context("reference", 1);
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_graph *graph = NULL;
    int64_t feature_dim, embedding_dim;
    config.bn_groups = 5;
    assert_ok(moco_architecture_build(&graph, context, &config, &feature_dim, &embedding_dim));
    for (int32_t mode = MOCO_MODE_TRAIN; mode <= MOCO_MODE_EVALUATE; ++mode) {
        const moco_plan_key key = {mode, 0, 4, 3, 8, 8};
        moco_graph_plan *plan = NULL;
        const moco_status status = moco_graph_plan_create(&plan, graph, &key, 0, NULL);
        assert_int_equal(mode == MOCO_MODE_EVALUATE ? MOCO_OK : MOCO_INVALID_ARGUMENT, status);
        if (status != MOCO_OK) {
            assert_non_null(strstr(moco_last_error(), "layer bn1 of this network can't take images of 4 x 3 x 8 x 8"));
            assert_non_null(strstr(moco_last_error(), "n is 4 in 5 BatchNorm group(s)"));
        }
        moco_graph_plan_destroy(plan);
    }
    moco_graph_destroy(graph);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_names_the_layer_and_the_images),
        cmocka_unit_test(an_own_layout_changes_no_bit),
        cmocka_unit_test(only_training_keeps_activations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
