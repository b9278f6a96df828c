/* Tables of version 1 are still taken: what they are told of layers is what version 1 said, and a training step with one has
 * the bits of one without.
 */
#include "support/layer_harness.h"

#include <moco/sys/backend_v1.h>

#include "support/exact_linear.h"
#include "support/training_parts.h"

#define N     8
#define SIDE  16
#define STEPS 2

/* --- A backend as it was written for version 1 --- */

struct moco_layer {
    moco_layer_desc_v1 desc;
};

static struct {
    moco_context *context;
    moco_layer_desc_v1 asked;  /* the last description */
    moco_layer_args_v1 called; /* the last call */
    moco_layer_info_v1 answer; /* of `accepts`, if not a linear layer */
    int32_t accepts;           /* a kind that is taken, and only recorded */
    int32_t linear;            /* 1: takes linear layers */
    int32_t layers, forward, backward, alive, info_nce;
} old;

static moco_status old_create(void **self, moco_context *context) {
    old.context = context;
    old.alive++;
    *self = &old;
    return MOCO_OK;
}

static void old_destroy(void *self) {
    assert_ptr_equal(self, &old);
    old.alive--;
}

static moco_status old_layer_create(void *self, const moco_layer_desc_v1 *desc, moco_layer **layer,
                                    moco_layer_info_v1 *info) {
    assert_ptr_equal(self, &old);
    assert_int_equal(desc->struct_size, 152); /* version 1's */
    const moco_layer_info_v1 none = {0};
    assert_memory_equal(info, &none, sizeof none);
    old.asked = *desc;
    const int32_t linear = old.linear && desc->kind == MOCO_LAYER_LINEAR && desc->dtype == MOCO_DTYPE_F32;
    if (!linear && desc->kind != old.accepts) return MOCO_UNSUPPORTED;
    *info = old.answer;
    if (linear) {
        info->output_bytes = (uint64_t) (desc->n * desc->out_c) * sizeof(float);
        info->backward_needs_x = 1;
        info->backward_needs_y = desc->relu;
    }
    *layer = (moco_layer *) malloc(sizeof **layer);
    assert_non_null(*layer);
    (*layer)->desc = *desc;
    old.layers++;
    return MOCO_OK;
}

static void old_layer_destroy(void *self, moco_layer *layer) {
    assert_ptr_equal(self, &old);
    old.layers--;
    free(layer);
}

static exact_linear call_of(const moco_layer *layer, const moco_layer_args_v1 *args) {
    const exact_linear call = {
        .n = layer->desc.n,
        .c = layer->desc.c,
        .out_c = layer->desc.out_c,
        .relu = layer->desc.relu,
        .accumulate = args->accumulate,
        .x = exact_linear_array(old.context, &args->x),
        .weight = exact_linear_array(old.context, &args->weight),
        .bias = exact_linear_array(old.context, &args->bias),
        .y_kept = exact_linear_array(old.context, &args->y),
        .dy = exact_linear_array(old.context, &args->dy),
        .y = exact_linear_array(old.context, &args->y),
        .dx = exact_linear_array(old.context, &args->dx),
        .dweight = exact_linear_array(old.context, &args->dweight),
        .dbias = exact_linear_array(old.context, &args->dbias),
    };
    return call;
}

static moco_status old_layer_forward(void *self, moco_layer *layer, const moco_layer_args_v1 *args) {
    assert_ptr_equal(self, &old);
    old.forward++;
    old.called = *args;
    if (layer->desc.kind != MOCO_LAYER_LINEAR) return MOCO_OK;
    const exact_linear call = call_of(layer, args);
    exact_linear_forward(&call);
    return MOCO_OK;
}

static moco_status old_layer_backward(void *self, moco_layer *layer, const moco_layer_args_v1 *args) {
    assert_ptr_equal(self, &old);
    old.backward++;
    old.called = *args;
    if (layer->desc.kind != MOCO_LAYER_LINEAR) return MOCO_OK;
    const exact_linear call = call_of(layer, args);
    exact_linear_backward(&call);
    return MOCO_OK;
}

static moco_status old_info_nce(void *self, moco_info_nce_args *args) {
    (void) args;
    assert_ptr_equal(self, &old);
    old.info_nce++;
    return MOCO_UNSUPPORTED;
}

static const moco_backend_ops_v1 old_ops = {
    .struct_size = sizeof old_ops,
    .abi_version = 1,
    .name = "version 1",
    .create = old_create,
    .destroy = old_destroy,
    .layer_create = old_layer_create,
    .layer_destroy = old_layer_destroy,
    .layer_forward = old_layer_forward,
    .layer_backward = old_layer_backward,
    .info_nce = old_info_nce,
};

static const moco_backend_ops *const old_backends[] = {(const moco_backend_ops *) (const void *) &old_ops, NULL};

static moco_context *open_old(int32_t accepts) {
    moco_context_config config;
    moco_context *context = NULL;
    memset(&old, 0, sizeof old);
    old.accepts = accepts;
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.backend = "reference";
    config.threads = 1;
    config.backends = old_backends;
    assert_ok(moco_context_create(&context, &config));
    assert_string_equal(moco_context_backend(context), "version 1");
    return context;
}

/* --- What it is told --- */

/* Field by field: the structs have padding. */
static void check_told(const image_layer *image) {
    const moco_layer_desc_v1 *told = &old.asked;
#define SAME(field) assert_true(told->field == image->field)
    SAME(kind), SAME(dtype), SAME(training), SAME(n), SAME(c), SAME(h), SAME(w), SAME(out_c), SAME(out_h), SAME(out_w);
    SAME(kernel), SAME(stride), SAME(padding), SAME(groups), SAME(relu), SAME(residual), SAME(bn_groups);
    SAME(bn_strided), SAME(input_layout), SAME(residual_layout), SAME(skip_input_gradient), SAME(compute_dtype);
    SAME(constant_weights), SAME(direct_convolution);
    if (image->kind == MOCO_LAYER_BATCH_NORM) SAME(bn_eps), SAME(bn_momentum);
}

static void layers_are_described_as_before(void **state) {
    (void) state;
    moco_context *context = open_old(-1);
    image_layer layers[7];
    layers[0] = layer_desc(MOCO_LAYER_CONV2D, 2, 6, 9, 7);
    layers[0].out_c = 4;
    layers[0].groups = 2;
    layers[0].skip_input_gradient = layers[0].direct_convolution = layers[0].constant_weights = 1;
    set_window(&layers[0], 3, 2, 1);
    layers[1] = layer_desc(MOCO_LAYER_LINEAR, 3, 5, 1, 1);
    layers[1].out_c = 8;
    layers[1].relu = 1;
    layers[1].training = 0;
    layers[2] = layer_desc(MOCO_LAYER_BATCH_NORM, 6, 3, 4, 2);
    layers[2].relu = layers[2].residual = layers[2].bn_strided = 1;
    layers[2].bn_groups = 3;
    layers[2].bn_eps = 0.25;
    layers[2].bn_momentum = 0.75;
    layers[3] = layer_desc(MOCO_LAYER_RELU, 2, 3, 1, 1);
    layers[3].dtype = MOCO_DTYPE_F64;
    layers[4] = layer_desc(MOCO_LAYER_MAX_POOL, 2, 3, 8, 9);
    set_window(&layers[4], 3, 2, 1);
    layers[5] = layer_desc(MOCO_LAYER_AVERAGE_POOL, 2, 3, 8, 9);
    layers[6] = layer_desc(MOCO_LAYER_L2_NORMALIZE, 2, 3, 1, 1);
    layers[6].compute_dtype = MOCO_DTYPE_BF16;
    for (int i = 0; i < 7; ++i) {
        moco_planned_layer layer;
        assert_ok(plan_image_layer(context, &layers[i], &layer));
        assert_string_equal(layer.ops->name, "reference"); /* it has refused, and the next one takes it */
        check_told(&layers[i]);
        moco_layer_release(&layer);
    }
    /* Rows of tokens: as many rows. */
    moco_layer_desc tokens = {.struct_size = sizeof tokens,
                              .kind = MOCO_LAYER_LINEAR,
                              .input_count = 1,
                              .parameter_count = 2,
                              .inputs = {{.rank = 3, .dims = {2, 7, 5, 1}}},
                              .of.linear.out_c = 4};
    moco_planned_layer layer;
    assert_ok(moco_layer_plan(context, &tokens, &layer));
    assert_true(old.asked.n == 14 && old.asked.c == 5 && old.asked.h == 1 && old.asked.out_c == 4);
    assert_true(layer.desc.output.rank == 3 && layer.desc.output.dims[1] == 7 && layer.desc.output.dims[2] == 4);
    moco_layer_release(&layer);
    /* Its linear layers have a bias: it is not asked for one that has none. */
    memset(&old.asked, 0, sizeof old.asked);
    tokens.parameter_count = 1;
    assert_ok(moco_layer_plan(context, &tokens, &layer));
    assert_int_equal(old.asked.n, 0);
    moco_layer_release(&layer);
    moco_context_destroy(context);
    assert_int_equal(old.alive, 0);
}

/* What it answers of a layer, and what it is called with: every place of version 2 under its old name. */
static void answers_and_calls_are_as_before(void **state) {
    (void) state;
    moco_context *context = open_old(MOCO_LAYER_BATCH_NORM);
    const moco_layer_info_v1 answer = {.output_bytes = 96,
                                       .saved_bytes = 40,
                                       .scratch_bytes = 24,
                                       .backward_needs_x = 1,
                                       .backward_needs_y = 1,
                                       .accumulates_dx = 1};
    image_layer image = layer_desc(MOCO_LAYER_BATCH_NORM, 4, 3, 2, 1);
    image.residual = 1;
    moco_planned_layer layer;
    void *buffer = NULL;
    old.answer = answer;
    assert_ok(plan_image_layer(context, &image, &layer));
    assert_string_equal(layer.ops->name, "version 1");
    const moco_layer_info *info = &layer.info;
    assert_true(info->output_bytes == 96 && info->saved_bytes == 40 && info->scratch_bytes == 24);
    assert_true(info->backward_needs_inputs == 1 << MOCO_INPUT && info->backward_needs_y == 1);
    assert_true(info->accumulates_inputs == 1 << MOCO_INPUT && info->works_in_place == 1);
    assert_true(info->output_dtype == MOCO_DTYPE_F32 && info->output_layout == MOCO_LAYOUT_PLAIN);

    assert_ok(moco_buffer_create(context, 4096, &buffer));
    moco_layer_args args;
    memset(&args, 0, sizeof args);
    args.mode = MOCO_MODE_TRAIN;
    args.accumulate = 1;
    args.accumulate_inputs = 1 << MOCO_INPUT;
    args.weight_version = 77;
    uint64_t place = 0; /* each tensor has its own */
    for (int i = 0; i < 2; ++i) {
        args.inputs[i] = moco_tensor_4d(buffer, place += 128, MOCO_DTYPE_F32, 4, 3, 2, 1);
        args.d_inputs[i] = moco_tensor_4d(buffer, place += 128, MOCO_DTYPE_F32, 4, 3, 2, 1);
    }
    args.y = moco_tensor_4d(buffer, place += 128, MOCO_DTYPE_F32, 4, 3, 2, 1);
    args.dy = moco_tensor_4d(buffer, place += 128, MOCO_DTYPE_F32, 4, 3, 2, 1);
    for (int i = 0; i < 4; ++i) {
        args.parameters[i] = moco_tensor_1d(buffer, place += 128, MOCO_DTYPE_F32, 3);
        if (i < 2) args.d_parameters[i] = moco_tensor_1d(buffer, place += 128, MOCO_DTYPE_F32, 3);
    }
    args.saved = moco_tensor_1d(buffer, place += 128, MOCO_DTYPE_F32, 10);
    args.scratch = moco_tensor_1d(buffer, place += 128, MOCO_DTYPE_F32, 6);
    assert_ok(moco_layer_forward(&layer, &args));
    assert_int_equal(old.forward, 1);
    assert_ok(moco_layer_backward(&layer, &args));
    assert_int_equal(old.backward, 1);
#define CALLED_WITH(old_name, tensor) assert_memory_equal(&old.called.old_name, &args.tensor, sizeof args.tensor)
    CALLED_WITH(x, inputs[0]);
    CALLED_WITH(residual, inputs[1]);
    CALLED_WITH(y, y);
    CALLED_WITH(weight, parameters[0]);
    CALLED_WITH(bias, parameters[1]);
    CALLED_WITH(running_mean, parameters[2]);
    CALLED_WITH(running_var, parameters[3]);
    CALLED_WITH(dy, dy);
    CALLED_WITH(dx, d_inputs[0]);
    CALLED_WITH(d_residual, d_inputs[1]);
    CALLED_WITH(dweight, d_parameters[0]);
    CALLED_WITH(dbias, d_parameters[1]);
    CALLED_WITH(saved, saved);
    CALLED_WITH(scratch, scratch);
    assert_true(old.called.mode == 0 && old.called.accumulate == 1 && old.called.accumulate_dx == 1);
    assert_true(old.called.weight_version == 77);
    moco_buffer_destroy(context, buffer);
    moco_layer_release(&layer);
    assert_int_equal(old.layers, 0);
    moco_context_destroy(context);
}

/* Version 1 knew no gradients of keys: it is not asked for what it would leave out. */
static void gradients_of_keys_pass_it_by(void **state) {
    (void) state;
    moco_context *context = open_old(-1);
    const double rows[12] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0};
    const moco_tensor all = value_tensor(context, MOCO_DTYPE_F32, rows, 12);
    const moco_tensor two = moco_tensor_2d(all.buffer, 0, MOCO_DTYPE_F32, 2, 3);
    moco_info_nce_args args = {.q = two, .k = two, .keys = two, .temperature = 0.5};
    assert_ok(moco_info_nce(context, &args));
    assert_int_equal(old.info_nce, 1);
    const moco_tensor gradient = nan_tensor(context, MOCO_DTYPE_F32, 6, 0);
    args.d_k = moco_tensor_2d(gradient.buffer, 0, MOCO_DTYPE_F32, 2, 3);
    assert_ok(moco_info_nce(context, &args));
    assert_int_equal(old.info_nce, 1);
    moco_buffer_destroy(context, gradient.buffer);
    moco_buffer_destroy(context, all.buffer);
    moco_context_destroy(context);
}

/* --- Whole training steps --- */

typedef struct outcome {
    double loss[STEPS];
    uint64_t checksum;
} outcome;

static outcome train(const moco_backend_ops *const *backends) {
    static float query[N * 3 * SIDE * SIDE], key[N * 3 * SIDE * SIDE];
    outcome result;
    training_parts parts;
    training_configs configs = small_training("reference", 2);
    configs.context.backends = backends;
    configs.encoder.head = MOCO_HEAD_MLP;
    assert_ok(training_create(&parts, &configs));
    for (int32_t step = 0; step < STEPS; ++step) {
        moco_step_stats stats;
        moco_step_stats_init(&stats, sizeof stats);
        fill_uniform(query, N * 3 * SIDE * SIDE, step == 0 ? "query 0" : "query 1");
        fill_uniform(key, N * 3 * SIDE * SIDE, step == 0 ? "key 0" : "key 1");
        assert_ok(moco_trainer_step(parts.trainer, query, key, NULL, N, SIDE, SIDE, &stats));
        result.loss[step] = stats.loss;
    }
    result.checksum = encoder_checksum(parts.encoder);
    training_destroy(&parts);
    return result;
}

static void a_training_step_has_the_same_bits(void **state) {
    (void) state;
    const outcome without = train(NULL);
    memset(&old, 0, sizeof old);
    old.accepts = -1;
    old.linear = 1;
    const outcome with = train(old_backends);
    for (int32_t step = 0; step < STEPS; ++step) assert_true(without.loss[step] == with.loss[step]);
    assert_true(without.checksum == with.checksum);
    assert_int_equal(old.forward, STEPS * 4);
    assert_int_equal(old.backward, STEPS * 2);
    assert_int_equal(old.layers, 0);
    assert_int_equal(old.alive, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_are_described_as_before),
        cmocka_unit_test(answers_and_calls_are_as_before),
        cmocka_unit_test(gradients_of_keys_pass_it_by),
        cmocka_unit_test(a_training_step_has_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
