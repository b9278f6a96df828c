/* The seam of update rules (optimizer/update_rule.h): rules of this test's own, one with two states and one that scales
 * by each parameter's norm, and SGD with parameters that are not decayed or frozen. The oracle of each is the same
 * equation in double, parameter by parameter, from the names and values that the public functions tell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend_chain.h"
#include "encoder/encoder_internal.h"
#include "optimizer/update_rule.h"
#include "support/training_parts.h"

enum { STEPS = 4, MOST_PARAMETERS = 64 };

/* --- An encoder whose gradients the test sets --- */

typedef struct subject {
    moco_context *context;
    moco_encoder *encoder;
    moco_momentum_encoder *momentum_encoder;
    /* The oracle, by parameter: the values, the rule's states, and the key encoder's values. */
    int64_t count;
    moco_parameter_info info[MOST_PARAMETERS];
    double *values[MOST_PARAMETERS];
    double *states[2][MOST_PARAMETERS];
    double *average[MOST_PARAMETERS];
    double *gradient[MOST_PARAMETERS];
} subject;

static double *zeros(int64_t count) {
    double *values = (double *) calloc((size_t) count, sizeof(double));
    assert_non_null(values);
    return values;
}

static void read_parameters(const moco_encoder *encoder, const subject *s, double *const *out) {
    for (int64_t p = 0; p < s->count; ++p) {
        float *row = (float *) malloc((size_t) s->info[p].elements * sizeof(float));
        assert_non_null(row);
        assert_int_equal(moco_encoder_read_parameter(encoder, p, row), MOCO_OK);
        for (int64_t i = 0; i < s->info[p].elements; ++i) out[p][i] = (double) row[i];
        free(row);
    }
}

/* An MLP, all of whose values differ from 0, and whose key encoder differs from it. 0: no such backend. */
static int open_subject(subject *s, const char *backend) {
    memset(s, 0, sizeof *s);
    training_configs c = small_training(backend, 2);
    c.encoder.architecture = "mlp";
    c.encoder.channels = 7;
    c.encoder.mlp_input_dim = 7;
    c.encoder.mlp_hidden_dim = 9;
    if (backend_is_missing(moco_context_create(&s->context, &c.context))) return 0;
    assert_int_equal(moco_encoder_create(&s->encoder, s->context, &c.encoder), MOCO_OK);
    assert_int_equal(moco_momentum_encoder_create(&s->momentum_encoder, s->encoder, &c.momentum_encoder), MOCO_OK);
    /* A backward, after which the encoder holds gradients that can be replaced. */
    float images[4 * 7], embeddings[4 * 16];
    fill_uniform(images, 4 * 7, "images");
    assert_int_equal(moco_encoder_forward(s->encoder, images, 4, 1, 1, embeddings), MOCO_OK);
    assert_int_equal(moco_encoder_backward(s->encoder, embeddings, 4), MOCO_OK);
    s->count = moco_encoder_parameter_count(s->encoder);
    assert_in_range(s->count, 1, MOST_PARAMETERS);
    for (int64_t p = 0; p < s->count; ++p) {
        s->info[p].struct_size = sizeof s->info[p];
        assert_int_equal(moco_encoder_parameter_info(s->encoder, p, &s->info[p]), MOCO_OK);
        const int64_t elements = s->info[p].elements;
        s->values[p] = zeros(elements);
        s->average[p] = zeros(elements);
        s->gradient[p] = zeros(elements);
        for (int i = 0; i < 2; ++i) s->states[i][p] = zeros(elements);
        if (s->info[p].kind != MOCO_PARAMETER_LEARNABLE) continue;
        float *row = (float *) malloc((size_t) elements * sizeof(float));
        assert_non_null(row);
        fill_uniform(row, elements, s->info[p].name);
        assert_int_equal(moco_encoder_write_parameter(s->encoder, p, row), MOCO_OK);
        free(row);
    }
    read_parameters(s->encoder, s, s->values);
    read_parameters(moco_momentum_encoder_key_encoder(s->momentum_encoder), s, s->average);
    return 1;
}

static void close_subject(subject *s) {
    for (int64_t p = 0; p < s->count; ++p) {
        free(s->values[p]);
        free(s->average[p]);
        free(s->gradient[p]);
        for (int i = 0; i < 2; ++i) free(s->states[i][p]);
    }
    moco_momentum_encoder_destroy(s->momentum_encoder);
    moco_encoder_destroy(s->encoder);
    moco_context_destroy(s->context);
}

/* Gradients of step `step`, from a hash; those of frozen parameters, too, though backward would leave them 0. */
static void set_gradients(subject *s, int64_t step) {
    const moco_parameter_table *table = moco_encoder_parameters(s->encoder);
    for (int64_t p = 0; p < s->count; ++p) {
        if (s->info[p].kind != MOCO_PARAMETER_LEARNABLE) continue;
        char name[256];
        snprintf(name, sizeof name, "%s %lld", s->info[p].name, (long long) step);
        float *row = (float *) malloc((size_t) s->info[p].elements * sizeof(float));
        assert_non_null(row);
        fill_uniform(row, s->info[p].elements, name);
        for (int64_t i = 0; i < s->info[p].elements; ++i) s->gradient[p][i] = (double) row[i];
        assert_int_equal(moco_tensor_upload(s->context, &table->items[p].gradient, row), MOCO_OK);
        free(row);
    }
}

static void set_flags(subject *s, int64_t parameter, int32_t flags) {
    assert_int_equal(moco_encoder_set_parameter_flags(s->encoder, parameter, flags), MOCO_OK);
    s->info[parameter].flags = (s->info[parameter].flags & MOCO_PARAMETER_VECTOR) | flags;
}

static void assert_near(const double *expected, const float *actual, int64_t count, const char *what,
                        const char *name) {
    for (int64_t i = 0; i < count; ++i) {
        if (fabs((double) actual[i] - expected[i]) <= 1e-6 * fmax(1.0, fabs(expected[i]))) continue;
        fail_msg("%s of %s[%lld] is %.9g; it should be %.9g", what, name, (long long) i, (double) actual[i],
                 expected[i]);
    }
}

static void assert_as_expected(const subject *s, const moco_optimizer *optimizer) {
    const moco_encoder *key = moco_momentum_encoder_key_encoder(s->momentum_encoder);
    for (int64_t p = 0; p < s->count; ++p) {
        const moco_parameter_info *info = &s->info[p];
        float *row = (float *) malloc((size_t) info->elements * sizeof(float));
        assert_non_null(row);
        assert_int_equal(moco_encoder_read_parameter(s->encoder, p, row), MOCO_OK);
        assert_near(s->values[p], row, info->elements, "the value", info->name);
        assert_int_equal(moco_encoder_read_parameter(key, p, row), MOCO_OK);
        assert_near(s->average[p], row, info->elements, "the average", info->name);
        for (int32_t i = 0; info->kind == MOCO_PARAMETER_LEARNABLE && i < moco_optimizer_state_count(optimizer); ++i) {
            assert_int_equal(moco_optimizer_read_state_of(optimizer, p, i, row), MOCO_OK);
            assert_near(s->states[i][p], row, info->elements, moco_optimizer_state_name(optimizer, i), info->name);
        }
        free(row);
    }
}

static moco_optimizer_config config_of(double learning_rate, double momentum, double weight_decay) {
    moco_optimizer_config config;
    assert_int_equal(moco_optimizer_config_init(&config, sizeof config), MOCO_OK);
    config.learning_rate = learning_rate;
    config.momentum = momentum;
    config.weight_decay = weight_decay;
    return config;
}

/* --- Rules of the test's own: arithmetic on the host, as nothing but the seam is to be proven --- */

static int64_t seen_runs; /* by the last step of a rule */

static moco_status accept(const moco_optimizer_config *config) {
    MOCO_REQUIRE(!config->nesterov, "nesterov is 1; this rule has no such variant");
    return MOCO_OK;
}

static float *download(moco_context *context, const moco_tensor *tensor) {
    float *values = (float *) malloc((size_t) moco_tensor_elements(tensor) * sizeof(float));
    assert_non_null(values);
    assert_int_equal(moco_tensor_download(context, tensor, values), MOCO_OK);
    return values;
}

static void upload(moco_context *context, const moco_tensor *tensor, float *values) {
    assert_int_equal(moco_tensor_upload(context, tensor, values), MOCO_OK);
    free(values);
}

/* Adam without a correction of its bias, and weights that decay on their own:
 *   m = .9 m + .1 g;  v = .99 v + .01 g^2;  p = p - lr (m / (sqrt(v) + 1e-3) + wd p) */
static void adam(double *p, double *m, double *v, double g, double learning_rate, double decay) {
    *m = 0.9 * *m + 0.1 * g;
    *v = 0.99 * *v + 0.01 * g * g;
    *p -= learning_rate * (*m / (sqrt(*v) + 1e-3) + decay * *p);
}

static moco_status adam_step(const moco_update_step *step) {
    seen_runs = step->count;
    for (int64_t r = 0; r < step->count; ++r) {
        const moco_update_run *run = &step->runs[r];
        float *p = download(step->context, &run->parameter), *g = download(step->context, &run->gradient);
        float *m = download(step->context, &run->states[0]), *v = download(step->context, &run->states[1]);
        for (int64_t i = 0; i < moco_tensor_elements(&run->parameter); ++i) {
            double values[3] = {(double) p[i], (double) m[i], (double) v[i]};
            adam(&values[0], &values[1], &values[2], (double) g[i], step->learning_rate, run->weight_decay);
            p[i] = (float) values[0];
            m[i] = (float) values[1];
            v[i] = (float) values[2];
        }
        free(g);
        upload(step->context, &run->parameter, p);
        upload(step->context, &run->states[0], m);
        upload(step->context, &run->states[1], v);
        if (run->average.buffer == NULL) continue;
        MOCO_TRY(moco_momentum_update(step->context, &run->average, &run->parameter, step->average_momentum));
    }
    return MOCO_OK;
}

static const moco_update_rule rule_adam = {
    .name = "adam", .state_count = 2, .state_names = {"mean", "square"}, .check = accept, .step = adam_step};

/* Steps as long as the parameter, in the way of LARS: p = p - lr |p| / |g| g. It keeps nothing. */
static moco_status scaled_step(const moco_update_step *step) {
    seen_runs = step->count;
    for (int64_t r = 0; r < step->count; ++r) {
        const moco_update_run *run = &step->runs[r];
        const moco_tensor both[2] = {run->parameter, run->gradient};
        double norms[2];
        MOCO_TRY(moco_norms(step->context, both, 2, norms));
        float *p = download(step->context, &run->parameter), *g = download(step->context, &run->gradient);
        for (int64_t i = 0; i < moco_tensor_elements(&run->parameter); ++i) {
            p[i] = (float) ((double) p[i] - step->learning_rate * norms[0] / norms[1] * (double) g[i]);
        }
        free(g);
        upload(step->context, &run->parameter, p);
    }
    return MOCO_OK;
}

static const moco_update_rule rule_scaled = {
    .name = "scaled", .by_parameter = 1, .state_count = 0, .check = accept, .step = scaled_step};

/* --- The same in the oracle --- */

static void oracle_average(subject *s, double m) {
    for (int64_t p = 0; p < s->count; ++p) {
        for (int64_t i = 0; s->info[p].kind == MOCO_PARAMETER_LEARNABLE && i < s->info[p].elements; ++i) {
            s->average[p][i] = m * s->average[p][i] + (1.0 - m) * s->values[p][i];
        }
    }
}

static void oracle_adam(subject *s, double learning_rate, double weight_decay) {
    for (int64_t p = 0; p < s->count; ++p) {
        const int32_t flags = s->info[p].flags;
        if (s->info[p].kind != MOCO_PARAMETER_LEARNABLE || (flags & MOCO_PARAMETER_FROZEN) != 0) continue;
        for (int64_t i = 0; i < s->info[p].elements; ++i) {
            adam(&s->values[p][i], &s->states[0][p][i], &s->states[1][p][i], s->gradient[p][i], learning_rate,
                 (flags & MOCO_PARAMETER_NO_DECAY) != 0 ? 0.0 : weight_decay);
        }
    }
}

static void oracle_scaled(subject *s, double learning_rate) {
    for (int64_t p = 0; p < s->count; ++p) {
        if (s->info[p].kind != MOCO_PARAMETER_LEARNABLE) continue;
        double value = 0.0, gradient = 0.0;
        for (int64_t i = 0; i < s->info[p].elements; ++i) {
            value += s->values[p][i] * s->values[p][i];
            gradient += s->gradient[p][i] * s->gradient[p][i];
        }
        const double scale = learning_rate * sqrt(value) / sqrt(gradient);
        for (int64_t i = 0; i < s->info[p].elements; ++i) s->values[p][i] -= scale * s->gradient[p][i];
    }
}

/* A first step makes v = g + decay; without dampening that is what any step makes of a velocity that is 0. */
static void oracle_sgd(subject *s, const moco_optimizer_config *config) {
    for (int64_t p = 0; p < s->count; ++p) {
        const int32_t flags = s->info[p].flags;
        if (s->info[p].kind != MOCO_PARAMETER_LEARNABLE || (flags & MOCO_PARAMETER_FROZEN) != 0) continue;
        const double decay = (flags & MOCO_PARAMETER_NO_DECAY) != 0 ? 0.0 : config->weight_decay;
        for (int64_t i = 0; i < s->info[p].elements; ++i) {
            double *v = &s->states[0][p][i];
            *v = config->momentum * *v + s->gradient[p][i] + decay * s->values[p][i];
            s->values[p][i] -= config->learning_rate * *v;
        }
    }
}

/* --- The tests --- */

static void a_rule_with_two_states(void **state) {
    (void) state;
    for (size_t b = 0; b < TEST_BACKENDS; ++b) {
        subject s;
        if (!open_subject(&s, test_backends[b])) continue;
        const moco_optimizer_config config = config_of(0.05, 0.0, 0.2);
        moco_optimizer *optimizer = NULL;
        assert_int_equal(moco_optimizer_create_with(&optimizer, s.encoder, &rule_adam, &config), MOCO_OK);
        assert_int_equal(moco_optimizer_state_count(optimizer), 2);
        assert_string_equal(moco_optimizer_state_name(optimizer, 0), "mean");
        assert_string_equal(moco_optimizer_state_name(optimizer, 1), "square");
        assert_null(moco_optimizer_state_name(optimizer, 2));
        assert_null(moco_optimizer_state_name(optimizer, -1));
        assert_as_expected(&s, optimizer); /* all states 0 */
        for (int64_t step = 0; step < STEPS; ++step) {
            set_gradients(&s, step);
            oracle_adam(&s, 0.05, 0.2);
            if (step % 2 == 0) {
                assert_int_equal(moco_optimizer_step(optimizer), MOCO_OK);
            } else {
                assert_int_equal(moco_optimizer_step_with_momentum_update(optimizer, s.momentum_encoder), MOCO_OK);
                oracle_average(&s, 0.99);
            }
            assert_int_equal(seen_runs, 1); /* a built-in network without flags is one run */
            assert_int_equal(moco_optimizer_step_count(optimizer), step + 1);
            assert_as_expected(&s, optimizer);
        }
        moco_optimizer_destroy(optimizer);
        close_subject(&s);
    }
}

static void a_rule_that_needs_norms(void **state) {
    (void) state;
    for (size_t b = 0; b < TEST_BACKENDS; ++b) {
        subject s;
        if (!open_subject(&s, test_backends[b])) continue;
        const moco_optimizer_config config = config_of(0.05, 0.0, 0.0);
        moco_optimizer *optimizer = NULL;
        int64_t learnable = 0;
        for (int64_t p = 0; p < s.count; ++p) learnable += s.info[p].kind == MOCO_PARAMETER_LEARNABLE;
        assert_int_equal(moco_optimizer_create_with(&optimizer, s.encoder, &rule_scaled, &config), MOCO_OK);
        assert_int_equal(moco_optimizer_state_count(optimizer), 0);
        for (int64_t step = 0; step < STEPS; ++step) {
            set_gradients(&s, step);
            oracle_scaled(&s, 0.05);
            assert_int_equal(moco_optimizer_step(optimizer), MOCO_OK);
            assert_int_equal(seen_runs, learnable);
            assert_as_expected(&s, optimizer);
        }
        float value = 0.0f;
        assert_int_equal(moco_optimizer_read_state(optimizer, 0, &value), MOCO_INVALID_ARGUMENT);
        assert_non_null(strstr(moco_last_error(), "keeps 0"));
        moco_optimizer_destroy(optimizer);
        close_subject(&s);
    }
}

/* Flags are set, moved and taken away between the steps; each velocity stays with its parameter. */
static void sgd_heeds_flags(void **state) {
    (void) state;
    for (size_t b = 0; b < TEST_BACKENDS; ++b) {
        subject s;
        if (!open_subject(&s, test_backends[b])) continue;
        const moco_optimizer_config config = config_of(0.05, 0.9, 0.3);
        moco_optimizer *optimizer = NULL;
        assert_int_equal(moco_optimizer_create(&optimizer, s.encoder, &config), MOCO_OK);
        int64_t frozen = 0;
        assert_int_equal(moco_encoder_find_parameter(s.encoder, "layers.3.weight", &frozen), MOCO_OK);
        for (int64_t step = 0; step < 8; ++step) {
            for (int64_t p = 0; p < s.count; ++p) {
                if (s.info[p].kind != MOCO_PARAMETER_LEARNABLE) continue;
                int32_t flags = 0;
                if (step >= 2 && step < 6 && s.info[p].rank == 1) flags |= MOCO_PARAMETER_NO_DECAY;
                if (step >= 3 && step < 5 && p == frozen) flags |= MOCO_PARAMETER_FROZEN;
                set_flags(&s, p, flags);
            }
            set_gradients(&s, step);
            oracle_sgd(&s, &config);
            if (step % 2 == 0) {
                assert_int_equal(moco_optimizer_step_with_momentum_update(optimizer, s.momentum_encoder), MOCO_OK);
                oracle_average(&s, 0.99); /* of frozen ones, too */
            } else {
                assert_int_equal(moco_optimizer_step(optimizer), MOCO_OK);
            }
            assert_as_expected(&s, optimizer);
        }
        moco_optimizer_destroy(optimizer);
        close_subject(&s);
    }
}

/* With no flag a rule sees the whole network at once; flags cut it, and leave frozen parameters out. */
static void flags_cut_runs(void **state) {
    (void) state;
    subject s;
    assert_true(open_subject(&s, "reference"));
    const moco_optimizer_config config = config_of(0.05, 0.0, 0.2);
    moco_optimizer *optimizer = NULL;
    assert_int_equal(moco_optimizer_create_with(&optimizer, s.encoder, &rule_adam, &config), MOCO_OK);
    set_gradients(&s, 0);
    assert_int_equal(moco_optimizer_step(optimizer), MOCO_OK);
    assert_int_equal(seen_runs, 1);
    set_flags(&s, 0, MOCO_PARAMETER_NO_DECAY);
    assert_int_equal(moco_optimizer_step(optimizer), MOCO_OK);
    assert_int_equal(seen_runs, 2);
    set_flags(&s, 0, MOCO_PARAMETER_FROZEN);
    assert_int_equal(moco_optimizer_step(optimizer), MOCO_OK);
    assert_int_equal(seen_runs, 1);
    for (int64_t p = 0; p < s.count; ++p) {
        if (s.info[p].kind == MOCO_PARAMETER_LEARNABLE) set_flags(&s, p, MOCO_PARAMETER_FROZEN);
    }
    assert_int_equal(moco_optimizer_step(optimizer), MOCO_OK);
    assert_int_equal(seen_runs, 0);
    moco_optimizer_destroy(optimizer);
    close_subject(&s);
}

static moco_status fail_step(const moco_update_step *step) {
    (void) step;
    return moco_fail(MOCO_BACKEND, "a rule that fails");
}

static void what_cannot_be_is_refused(void **state) {
    (void) state;
    subject s;
    assert_true(open_subject(&s, "reference"));
    moco_optimizer_config config = config_of(0.05, 0.9, 0.0);
    moco_optimizer *optimizer = NULL;
    config.nesterov = 1; /* SGD takes it, the other rule does not */
    assert_int_equal(moco_optimizer_create_with(&optimizer, s.encoder, &rule_adam, &config), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "nesterov"));
    config.nesterov = 0;
    config.kind = 7;
    assert_int_equal(moco_optimizer_create(&optimizer, s.encoder, &config), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "kind is 7"));
    assert_null(optimizer);

    const moco_update_rule failing = {.name = "failing", .check = accept, .step = fail_step};
    assert_int_equal(moco_optimizer_create_with(&optimizer, s.encoder, &failing, &config), MOCO_OK);
    assert_int_equal(moco_optimizer_step(optimizer), MOCO_BACKEND);
    assert_int_equal(moco_optimizer_step_count(optimizer), 0);
    moco_optimizer_destroy(optimizer);

    config.kind = MOCO_OPTIMIZER_SGD;
    assert_int_equal(moco_optimizer_create(&optimizer, s.encoder, &config), MOCO_OK);
    assert_int_equal(moco_optimizer_set_step_count(optimizer, INT64_MAX), MOCO_OK);
    assert_int_equal(moco_optimizer_step(optimizer), MOCO_INVALID_STATE);
    assert_true(moco_optimizer_step_count(optimizer) == INT64_MAX);
    float *row = (float *) calloc(4096, sizeof(float));
    assert_non_null(row);
    assert_int_equal(moco_optimizer_read_state_of(optimizer, 0, 1, row), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "state is 1"));
    assert_int_equal(moco_optimizer_write_state_of(optimizer, 0, -1, row), MOCO_INVALID_ARGUMENT);
    row[3] = NAN;
    assert_int_equal(moco_optimizer_write_state_of(optimizer, 0, 0, row), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "velocity[3]"));
    free(row);
    moco_optimizer_destroy(optimizer);
    close_subject(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_with_two_states),    cmocka_unit_test(a_rule_that_needs_norms),
        cmocka_unit_test(sgd_heeds_flags),           cmocka_unit_test(flags_cut_runs),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
