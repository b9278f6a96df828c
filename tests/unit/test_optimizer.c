/* The optimizer against torch.optim.SGD (tests/golden/make_optimizer_golden.py), its state, and its refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend_chain.h"
#include "encoder/encoder_internal.h"
#include "golden/optimizer_golden.h"
#include "support/training_parts.h"

#define CASES (sizeof golden_cases / sizeof golden_cases[0])

static moco_status make_encoder(moco_context **context, moco_encoder **encoder, const char *backend) {
    training_configs c = small_training(backend, 2);
    c.encoder.architecture = "mlp";
    c.encoder.channels = 7;
    c.encoder.mlp_input_dim = 7;
    c.encoder.mlp_hidden_dim = 9;
    const moco_status status = moco_context_create(context, &c.context);
    if (status != MOCO_OK) return status;
    assert_int_equal(moco_encoder_create(encoder, *context, &c.encoder), MOCO_OK);
    /* A backward, after which the encoder holds gradients for fill() to replace. */
    float images[4 * 7], embeddings[4 * 16];
    fill_uniform(images, 4 * 7, "images");
    assert_int_equal(moco_encoder_forward(*encoder, images, 4, 1, 1, embeddings), MOCO_OK);
    assert_int_equal(moco_encoder_backward(*encoder, embeddings, 4), MOCO_OK);
    return MOCO_OK;
}

/* Element i of every parameter, or of every gradient, becomes values[i % GOLDEN_ELEMENTS]. */
static void fill(moco_encoder *encoder, const double *values, int gradients) {
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    for (int64_t p = 0; p < table->count; ++p) {
        const moco_parameter *parameter = &table->items[p];
        if (parameter->kind != MOCO_PARAMETER_LEARNABLE) continue;
        float *row = (float *) malloc((size_t) parameter->elements * sizeof(float));
        assert_non_null(row);
        for (int64_t i = 0; i < parameter->elements; ++i) row[i] = (float) values[i % GOLDEN_ELEMENTS];
        assert_int_equal(moco_tensor_upload(moco_encoder_context(encoder),
                                            gradients ? &parameter->gradient : &parameter->value, row),
                         MOCO_OK);
        free(row);
    }
}

typedef moco_status (*read_fn)(const void *owner, int64_t index, float *values);

static moco_status read_value(const void *owner, int64_t index, float *values) {
    return moco_encoder_read_parameter((const moco_encoder *) owner, index, values);
}

static moco_status read_velocity(const void *owner, int64_t index, float *values) {
    return moco_optimizer_read_state((const moco_optimizer *) owner, index, values);
}

static void assert_filled(const moco_encoder *encoder, const void *owner, read_fn read, const double *expected) {
    for (int64_t p = 0; p < moco_encoder_parameter_count(encoder); ++p) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_int_equal(moco_encoder_parameter_info(encoder, p, &info), MOCO_OK);
        if (info.kind != MOCO_PARAMETER_LEARNABLE) continue;
        float *row = (float *) malloc((size_t) info.elements * sizeof(float));
        assert_non_null(row);
        assert_int_equal(read(owner, p, row), MOCO_OK);
        for (int64_t i = 0; i < info.elements; ++i) {
            const double want = expected[i % GOLDEN_ELEMENTS];
            if (!(fabs((double) row[i] - want) <= 1e-6 * fmax(1.0, fabs(want)))) {
                fail_msg("%s[%lld] is %.9g, PyTorch has %.9g", info.name, (long long) i, (double) row[i], want);
            }
        }
        free(row);
    }
}

static moco_optimizer *make_optimizer(moco_encoder *encoder, const struct golden_case *golden) {
    moco_optimizer_config config;
    assert_int_equal(moco_optimizer_config_init(&config, sizeof config), MOCO_OK);
    config.learning_rate = golden->learning_rate;
    config.momentum = golden->momentum;
    config.dampening = golden->dampening;
    config.weight_decay = golden->weight_decay;
    config.nesterov = golden->nesterov;
    moco_optimizer *optimizer = NULL;
    assert_int_equal(moco_optimizer_create(&optimizer, encoder, &config), MOCO_OK);
    return optimizer;
}

static void steps_are_pytorchs(void **state) {
    (void) state;
    for (size_t b = 0; b < TEST_BACKENDS; ++b) {
        moco_context *context = NULL;
        moco_encoder *encoder = NULL;
        if (backend_is_missing(make_encoder(&context, &encoder, test_backends[b]))) continue;
        for (size_t c = 0; c < CASES; ++c) {
            const struct golden_case *golden = &golden_cases[c];
            moco_optimizer *optimizer = make_optimizer(encoder, golden);
            const double zeros[GOLDEN_ELEMENTS] = {0};
            assert_filled(encoder, optimizer, read_velocity, zeros);
            fill(encoder, golden_start, 0);
            for (int64_t step = 0; step < GOLDEN_STEPS; ++step) {
                fill(encoder, golden_gradients[step], 1);
                assert_int_equal(moco_optimizer_step(optimizer), MOCO_OK);
                assert_int_equal(moco_optimizer_step_count(optimizer), step + 1);
                assert_filled(encoder, encoder, read_value, golden->parameter[step]);
                if (golden->momentum > 0.0) assert_filled(encoder, optimizer, read_velocity, golden->velocity[step]);
            }
            moco_optimizer_destroy(optimizer);
        }
        moco_encoder_destroy(encoder);
        moco_context_destroy(context);
    }
}

/* Velocities and the step count carried over to a second optimizer continue to the same bits. */
static void state_continues(void **state) {
    (void) state;
    moco_context *context = NULL;
    moco_encoder *encoder = NULL;
    assert_int_equal(make_encoder(&context, &encoder, "reference"), MOCO_OK);
    const struct golden_case *golden = &golden_cases[3];
    moco_optimizer *first = make_optimizer(encoder, golden);
    fill(encoder, golden_start, 0);
    for (int64_t step = 0; step < 2; ++step) {
        fill(encoder, golden_gradients[step], 1);
        assert_int_equal(moco_optimizer_step(first), MOCO_OK);
    }

    moco_optimizer *second = make_optimizer(encoder, golden);
    for (int64_t p = 0; p < moco_encoder_parameter_count(encoder); ++p) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_int_equal(moco_encoder_parameter_info(encoder, p, &info), MOCO_OK);
        float *row = (float *) calloc((size_t) info.elements, sizeof(float));
        assert_non_null(row);
        const int32_t buffer = info.kind == MOCO_PARAMETER_BUFFER;
        assert_int_equal(moco_optimizer_read_state(first, p, row), buffer ? MOCO_INVALID_ARGUMENT : MOCO_OK);
        assert_int_equal(moco_optimizer_write_state(second, p, row), buffer ? MOCO_INVALID_ARGUMENT : MOCO_OK);
        row[info.elements - 1] = NAN;
        assert_int_equal(moco_optimizer_write_state(second, p, row), MOCO_INVALID_ARGUMENT);
        free(row);
    }
    assert_int_equal(moco_optimizer_set_step_count(second, 2), MOCO_OK);
    moco_optimizer_destroy(first);
    for (int64_t step = 2; step < GOLDEN_STEPS; ++step) {
        fill(encoder, golden_gradients[step], 1);
        assert_int_equal(moco_optimizer_step(second), MOCO_OK);
        assert_filled(encoder, encoder, read_value, golden->parameter[step]);
    }
    moco_encoder_destroy(encoder); /* the optimizer keeps it alive */
    moco_context_destroy(context);
    assert_int_equal(moco_optimizer_step(second), MOCO_OK);
    moco_optimizer_destroy(second);
}

/* Zeroed gradients without a backward since: only weight decay moves a parameter. */
static void zeroed_gradients_are_zero(void **state) {
    (void) state;
    moco_context *context = NULL;
    moco_encoder *encoder = NULL;
    moco_optimizer *optimizer = NULL;
    assert_int_equal(make_encoder(&context, &encoder, "reference"), MOCO_OK);
    assert_int_equal(moco_optimizer_create(&optimizer, encoder, NULL), MOCO_OK);
    fill(encoder, golden_start, 0);
    fill(encoder, golden_gradients[0], 1);
    assert_int_equal(moco_encoder_zero_gradients(encoder), MOCO_OK);
    assert_int_equal(moco_optimizer_step(optimizer), MOCO_OK);
    double expected[GOLDEN_ELEMENTS];
    for (int i = 0; i < GOLDEN_ELEMENTS; ++i) expected[i] = golden_start[i] * (1.0 - 0.03 * 1e-4);
    assert_filled(encoder, encoder, read_value, expected);
    moco_optimizer_destroy(optimizer);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
}

static void learning_rate_is_settable(void **state) {
    (void) state;
    moco_context *context = NULL;
    moco_encoder *encoder = NULL;
    moco_optimizer *optimizer = NULL;
    assert_int_equal(make_encoder(&context, &encoder, "reference"), MOCO_OK);
    assert_int_equal(moco_optimizer_create(&optimizer, encoder, NULL), MOCO_OK);
    assert_true(moco_optimizer_learning_rate(optimizer) == 0.03);
    assert_int_equal(moco_optimizer_set_learning_rate(optimizer, 0.0), MOCO_OK);
    fill(encoder, golden_start, 0);
    fill(encoder, golden_gradients[0], 1);
    assert_int_equal(moco_optimizer_step(optimizer), MOCO_OK);
    assert_filled(encoder, encoder, read_value, golden_start);
    assert_int_equal(moco_optimizer_set_learning_rate(optimizer, -1.0), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_set_learning_rate(optimizer, (double) NAN), MOCO_INVALID_ARGUMENT);
    assert_true(moco_optimizer_learning_rate(optimizer) == 0.0);
    moco_optimizer_destroy(optimizer);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
}

static void assert_refused(moco_encoder *encoder, const moco_optimizer_config *config, const char *word) {
    moco_optimizer *optimizer = NULL;
    assert_int_equal(moco_optimizer_create(&optimizer, encoder, config), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), word));
    assert_null(optimizer);
}

static void nonsense_is_refused(void **state) {
    (void) state;
    moco_context *context = NULL;
    moco_encoder *encoder = NULL;
    moco_optimizer *optimizer = NULL;
    float value = 0.0f;
    assert_int_equal(make_encoder(&context, &encoder, "reference"), MOCO_OK);
    moco_optimizer_config good, c;
    assert_int_equal(moco_optimizer_config_init(&good, sizeof good), MOCO_OK);
    c = good, c.learning_rate = (double) INFINITY, assert_refused(encoder, &c, "learning_rate");
    c = good, c.momentum = 1.0, assert_refused(encoder, &c, "momentum");
    c = good, c.momentum = (double) NAN, assert_refused(encoder, &c, "momentum");
    c = good, c.dampening = (double) NAN, assert_refused(encoder, &c, "dampening");
    c = good, c.weight_decay = -1e-4, assert_refused(encoder, &c, "weight_decay");
    c = good, c.nesterov = 2, assert_refused(encoder, &c, "nesterov");
    c = good, c.nesterov = 1, c.momentum = 0.0, assert_refused(encoder, &c, "nesterov");
    c = good, c.nesterov = 1, c.dampening = 0.1, assert_refused(encoder, &c, "nesterov");
    c = good, c.struct_size = 4, assert_refused(encoder, &c, "struct_size");
    assert_int_equal(moco_optimizer_create(NULL, encoder, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_create(&optimizer, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_create(&optimizer, encoder, NULL), MOCO_OK);
    assert_int_equal(moco_optimizer_read_state(optimizer, -1, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_read_state(optimizer, moco_encoder_parameter_count(encoder), &value),
                     MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_read_state(optimizer, 0, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_set_step_count(optimizer, -1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_step(NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_set_learning_rate(NULL, 0.1), MOCO_INVALID_ARGUMENT);
    assert_true(moco_optimizer_learning_rate(NULL) == 0.0);
    moco_optimizer_destroy(NULL);
    moco_optimizer_destroy(optimizer);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_pytorchs),        cmocka_unit_test(state_continues),
        cmocka_unit_test(learning_rate_is_settable), cmocka_unit_test(zeroed_gradients_are_zero),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("optimizer", tests, NULL, NULL);
}
