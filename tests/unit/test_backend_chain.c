/* How a chain of backends hands work on. The list of backends is compiled in here with a fake one in cblas's place, so
 * that the chain is: fake, reference.
 */
#define moco_backend_cblas fake_backend
#include "context/backend_list.c"
#undef moco_backend_cblas

#include "backend/planned_layer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What the fake answers, and what it was asked. */
static struct {
    moco_status create;
    moco_status layer_create;
    moco_status momentum;
    moco_status backward;
    int32_t alive;
    int32_t layers;
    int32_t momentum_calls;
    moco_status sgd;
    moco_status fused;
    int32_t sgd_calls;
    int32_t fused_calls;
    int32_t forward_calls;
} fake;

static moco_status fake_create(void **self, moco_context *context) {
    (void) context;
    if (fake.create != MOCO_OK) return moco_fail(fake.create, "the fake does not run here");
    fake.alive++;
    *self = &fake;
    return MOCO_OK;
}

static void fake_destroy(void *self) {
    assert_ptr_equal(self, &fake);
    fake.alive--;
}

static moco_status fake_layer_create(void *self, const moco_layer_desc *desc, moco_layer **layer,
                                     moco_layer_info *info) {
    assert_ptr_equal(self, &fake);
    if (fake.layer_create != MOCO_OK) return moco_fail(fake.layer_create, "the fake refuses");
    if (desc->kind != MOCO_LAYER_RELU) return moco_fail(MOCO_UNSUPPORTED, "the fake has only relu");
    info->scratch_bytes = 12;
    *layer = (moco_layer *) (void *) &fake;
    fake.layers++;
    return MOCO_OK;
}

static void fake_layer_destroy(void *self, moco_layer *layer) {
    assert_ptr_equal(self, &fake);
    assert_ptr_equal(layer, &fake);
    fake.layers--;
}

static moco_status fake_layer_forward(void *self, moco_layer *layer, const moco_layer_args *args) {
    assert_ptr_equal(self, &fake);
    assert_ptr_equal(layer, &fake);
    assert_int_equal(args->mode, 1);
    fake.forward_calls++;
    return MOCO_OK;
}

static moco_status fake_layer_backward(void *self, moco_layer *layer, const moco_layer_args *args) {
    (void) self;
    (void) layer;
    (void) args;
    return moco_fail(fake.backward, "the fake's backward");
}

static moco_status fake_momentum_update(void *self, const moco_tensor *target, const moco_tensor *source, double m) {
    (void) target;
    (void) source;
    (void) m;
    assert_ptr_equal(self, &fake);
    fake.momentum_calls++;
    return fake.momentum == MOCO_OK ? MOCO_OK : moco_fail(fake.momentum, "the fake's momentum update");
}

static moco_status fake_sgd_update(void *self, const moco_sgd_args *args) {
    assert_ptr_equal(self, &fake);
    if (fake.sgd == MOCO_UNSUPPORTED) return moco_fail(MOCO_UNSUPPORTED, "the fake has no SGD");
    assert_true(args->learning_rate == 0.5 && args->momentum == 0.25 && args->first_step == 0);
    fake.sgd_calls++;
    return fake.sgd == MOCO_OK ? MOCO_OK : moco_fail(fake.sgd, "the fake's SGD");
}

static moco_status fake_sgd_momentum_update(void *self, const moco_sgd_args *args, const moco_tensor *average,
                                            double m) {
    assert_ptr_equal(self, &fake);
    assert_true(args->learning_rate == 0.5 && average->buffer != NULL && m == 0.75);
    fake.fused_calls++;
    return fake.fused == MOCO_OK ? MOCO_OK : moco_fail(fake.fused, "the fake's SGD in one pass");
}

/* No memory of its own, no update rules: NULL members go to the reference. */
const moco_backend_ops fake_backend = {
    .struct_size = sizeof(moco_backend_ops),
    .abi_version = MOCO_BACKEND_VERSION,
    .name = "fake",
    .create = fake_create,
    .destroy = fake_destroy,
    .layer_create = fake_layer_create,
    .layer_destroy = fake_layer_destroy,
    .layer_forward = fake_layer_forward,
    .layer_backward = fake_layer_backward,
    .momentum_update = fake_momentum_update,
    .sgd_update = fake_sgd_update,
    .sgd_momentum_update = fake_sgd_momentum_update,
};

static moco_context *open_chain(const char *name) {
    moco_context_config config;
    moco_context *context = NULL;
    memset(&fake, 0, sizeof fake);
    fake.sgd = fake.fused = MOCO_UNSUPPORTED;
    assert_int_equal(moco_context_config_init(&config, sizeof config), MOCO_OK);
    config.backend = name;
    config.threads = 1;
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    return context;
}

static void close_chain(moco_context *context) {
    moco_context_destroy(context);
    assert_int_equal(fake.alive, 0);
    assert_int_equal(fake.layers, 0);
}

static moco_layer_desc vectors(int32_t kind) {
    const moco_layer_desc desc = {.struct_size = sizeof desc,
                                  .kind = kind,
                                  .training = 1,
                                  .input_count = 1,
                                  .inputs = {{.rank = 2, .dims = {2, 3, 1, 1}}}};
    return desc;
}

static void test_list(void **state) {
    (void) state;
    const moco_backend_ops *const *list = moco_backend_list();
    int count = 0;
    for (; list[count] != NULL; ++count) {
        assert_int_equal(list[count]->abi_version, MOCO_BACKEND_VERSION);
        assert_true(list[count]->create != NULL && list[count]->destroy != NULL);
    }
    assert_int_equal(count, 2);
    assert_string_equal(list[1]->name, "reference");
}

static void test_chain_is_a_suffix(void **state) {
    (void) state;
    static const char *const names[] = {NULL, "auto", "fake", "reference"};
    for (int i = 0; i < 4; ++i) {
        moco_context *context = open_chain(names[i]);
        assert_string_equal(moco_context_backend(context), i < 3 ? "fake" : "reference");
        assert_int_equal(fake.alive, i < 3);
        close_chain(context);
    }
}

static void test_backend_that_cannot_run(void **state) {
    (void) state;
    moco_context *base = open_chain("reference");
    moco_backend_chain *chain = NULL;
    fake.create = MOCO_UNSUPPORTED; /* "auto" goes without it; asked for by name, it is an error */
    assert_int_equal(moco_backend_chain_create(&chain, base, NULL, moco_backend_list(), "auto"), MOCO_OK);
    assert_string_equal(moco_backend_chain_name(chain), "reference");
    moco_backend_chain_destroy(chain);
    chain = NULL;
    assert_int_equal(moco_backend_chain_create(&chain, base, NULL, moco_backend_list(), "fake"), MOCO_UNSUPPORTED);
    assert_string_equal(moco_last_error(), "the fake does not run here");
    fake.create = MOCO_OUT_OF_MEMORY;
    assert_int_equal(moco_backend_chain_create(&chain, base, NULL, moco_backend_list(), "auto"), MOCO_OUT_OF_MEMORY);
    fake.create = MOCO_OK;
    assert_int_equal(moco_backend_chain_create(&chain, base, NULL, moco_backend_list(), "nonesuch"), MOCO_NOT_FOUND);
    assert_string_equal(moco_last_error(), "backend is \"nonesuch\"; this build has: auto, fake, reference");
    assert_null(chain);
    moco_backend_chain_destroy(NULL);
    close_chain(base);
}

static void test_layers_go_to_the_first_that_takes_them(void **state) {
    (void) state;
    moco_context *context = open_chain("auto");
    moco_planned_layer relu, norm, none;
    const moco_layer_desc relu_desc = vectors(MOCO_LAYER_RELU), norm_desc = vectors(MOCO_LAYER_L2_NORMALIZE),
                          none_desc = vectors(MOCO_LAYER_REORDER);
    assert_int_equal(moco_layer_plan(context, &relu_desc, &relu), MOCO_OK);
    assert_ptr_equal(relu.ops, &fake_backend);
    assert_int_equal(relu.info.scratch_bytes, 12);
    assert_int_equal(relu.desc.output.dims[1], 3);
    assert_int_equal(moco_layer_plan(context, &norm_desc, &norm), MOCO_OK);
    assert_string_equal(norm.ops->name, "reference");
    assert_int_equal(norm.info.scratch_bytes, 0); /* nothing is left of the fake's answer */
    assert_int_equal(moco_layer_plan(context, &none_desc, &none), MOCO_UNSUPPORTED);
    assert_null(none.layer);

    void *buffer = NULL;
    float values[15] = {0.0f}; /* x and y of 2 x 3, scratch */
    assert_int_equal(moco_buffer_wrap(context, values, sizeof values, &buffer), MOCO_OK);
    moco_layer_args args = {.struct_size = sizeof args, .mode = 1};
    args.inputs[MOCO_INPUT] = args.d_inputs[MOCO_INPUT] = moco_tensor_2d(buffer, 0, MOCO_DTYPE_F32, 2, 3);
    args.y = args.dy = moco_tensor_2d(buffer, 24, MOCO_DTYPE_F32, 2, 3);
    assert_int_equal(moco_layer_forward(&relu, &args), MOCO_INTERNAL); /* what a call must bring is checked before */
    assert_string_equal(moco_last_error(), "tensor scratch is absent");
    assert_int_equal(fake.forward_calls, 0);
    args.scratch = moco_tensor_1d(buffer, 48, MOCO_DTYPE_F32, 3);
    assert_int_equal(moco_layer_forward(&relu, &args), MOCO_OK);
    assert_int_equal(fake.forward_calls, 1);
    /* Once planned, a layer stays with its backend: even UNSUPPORTED is the caller's. */
    fake.backward = MOCO_UNSUPPORTED;
    assert_int_equal(moco_layer_backward(&relu, &args), MOCO_UNSUPPORTED);
    moco_buffer_destroy(context, buffer);

    fake.layer_create = MOCO_OUT_OF_MEMORY; /* a failure is no refusal: it does not fall through */
    assert_int_equal(moco_layer_plan(context, &norm_desc, &none), MOCO_OUT_OF_MEMORY);
    assert_null(none.layer);
    moco_layer_release(&none);
    moco_layer_release(&norm);
    moco_layer_release(&relu);
    moco_layer_release(&relu);
    assert_int_equal(fake.layers, 0);
    close_chain(context);
}

static void test_operators_fall_through(void **state) {
    (void) state;
    moco_context *context = open_chain("auto");
    void *buffer = NULL;
    float values[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    assert_int_equal(moco_buffer_wrap(context, values, sizeof values, &buffer), MOCO_OK); /* NULL member */
    const moco_tensor target = moco_tensor_1d(buffer, 0, MOCO_DTYPE_F32, 2);
    const moco_tensor source = moco_tensor_1d(buffer, 8, MOCO_DTYPE_F32, 2);
    assert_int_equal(moco_momentum_update(context, &target, &source, 0.5), MOCO_OK);
    assert_int_equal(fake.momentum_calls, 1);
    assert_true(values[0] == 1.0f); /* the fake has taken it, and done nothing */
    fake.momentum = MOCO_UNSUPPORTED;
    assert_int_equal(moco_momentum_update(context, &target, &source, 0.5), MOCO_OK);
    assert_int_equal(fake.momentum_calls, 2);
    assert_true(values[0] == 2.0f && values[1] == 3.0f && values[2] == 3.0f && values[3] == 4.0f);
    fake.momentum = MOCO_BACKEND;
    assert_int_equal(moco_momentum_update(context, &target, &source, 0.5), MOCO_BACKEND);
    assert_string_equal(moco_last_error(), "the fake's momentum update");
    assert_true(values[0] == 2.0f);
    const moco_sgd_args sgd = {.parameter = target, .gradient = source, .learning_rate = 1.0};
    assert_int_equal(moco_sgd_update(context, &sgd), MOCO_OK);
    assert_true(values[0] == -1.0f && values[1] == -1.0f);
    moco_buffer_destroy(context, buffer);
    moco_buffer_destroy(context, NULL);
    close_chain(context);
}

static void test_tensors(void **state) {
    (void) state;
    const moco_tensor none = moco_tensor_none();
    assert_null(none.buffer);
    int marker;
    const moco_tensor images = moco_tensor_4d(&marker, 128, MOCO_DTYPE_F32, 2, 3, 5, 7);
    assert_int_equal(images.rank, 4);
    assert_int_equal(moco_tensor_elements(&images), 210);
    assert_int_equal(moco_tensor_bytes(&images), 840);
    const moco_tensor rows = moco_tensor_2d(&marker, 0, MOCO_DTYPE_F64, 2, 3);
    assert_int_equal(rows.rank, 2);
    assert_int_equal(moco_tensor_bytes(&rows), 48);
    const moco_tensor empty = moco_tensor_2d(&marker, 0, MOCO_DTYPE_BF16, 0, 3);
    assert_int_equal(moco_tensor_bytes(&empty), 0);
    assert_int_equal(moco_dtype_size(MOCO_DTYPE_I64), 8);
    assert_int_equal(moco_dtype_size(MOCO_DTYPE_BF16), 2);
}

/* A backend without `update` has SGD by the members that it has: in one pass, else in two; then it is the next one's
 * turn. */
static void test_update_by_older_members(void **state) {
    (void) state;
    moco_context *context = open_chain("fake");
    float values[4][16] = {{0}};
    void *buffers[4];
    moco_tensor tensors[4];
    for (int i = 0; i < 4; ++i) {
        assert_int_equal(moco_buffer_wrap(context, values[i], sizeof values[i], &buffers[i]), MOCO_OK);
        tensors[i] = moco_tensor_1d(buffers[i], 0, MOCO_DTYPE_F32, 16);
    }
    values[1][0] = 1.0f;
    moco_update_args args = {
        .struct_size = sizeof args,
        .rule = MOCO_UPDATE_SGD,
        .parameter = tensors[0],
        .gradient = tensors[1],
        .states = {tensors[2]},
        .average_momentum = 0.75,
        .step = 3,
        .learning_rate = 0.5,
        .momentum = 0.25,
    };
    fake.sgd = fake.fused = MOCO_OK;
    assert_int_equal(moco_update(context, &args), MOCO_OK);
    assert_int_equal(fake.sgd_calls, 1);
    assert_int_equal(fake.fused_calls, 0);
    args.average = tensors[3];
    assert_int_equal(moco_update(context, &args), MOCO_OK);
    assert_int_equal(fake.fused_calls, 1);
    assert_int_equal(fake.sgd_calls, 1);
    fake.fused = MOCO_UNSUPPORTED;
    assert_int_equal(moco_update(context, &args), MOCO_OK); /* two passes */
    assert_int_equal(fake.sgd_calls, 2);
    assert_int_equal(fake.momentum_calls, 1);
    assert_true(values[0][0] == 0.0f); /* it was all the fake's, which does nothing */
    fake.momentum = MOCO_UNSUPPORTED;
    values[3][0] = 8.0f;
    assert_int_equal(moco_update(context, &args), MOCO_OK); /* the fake's step, and the reference's average */
    assert_int_equal(fake.sgd_calls, 3);
    assert_true(values[0][0] == 0.0f && values[3][0] == 6.0f); /* 0.75 * 8 + 0.25 * 0 */
    values[3][0] = 0.0f;
    fake.momentum = MOCO_OK;
    fake.sgd = MOCO_BACKEND;
    assert_int_equal(moco_update(context, &args), MOCO_BACKEND);
    assert_int_equal(fake.momentum_calls, 2);

    fake.sgd = MOCO_UNSUPPORTED;
    assert_int_equal(moco_update(context, &args), MOCO_OK); /* the reference's: p - 0.5 (0.25 * 0 + 1) */
    assert_true(values[0][0] == -0.5f);
    assert_true(values[3][0] == -0.125f); /* 0.75 * 0 + 0.25 * -0.5 */

    for (int i = 0; i < 4; ++i) moco_buffer_destroy(context, buffers[i]);
    close_chain(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_chain_is_a_suffix),
        cmocka_unit_test(test_backend_that_cannot_run),
        cmocka_unit_test(test_layers_go_to_the_first_that_takes_them),
        cmocka_unit_test(test_operators_fall_through),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_update_by_older_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
