/* Equation 2 in closed form, BatchNorm-buffer policies, and shuffled BatchNorm (section 3.3). */
#include "support/encoder_fixture.h"

#include <moco/momentum_encoder.h>

#define N   10
#define DIM 8

static moco_context *context;
static float *images;

static int setup(void **state) {
    (void) state;
    context = make_context(NULL, 1);
    images = hashed_floats(STREAM_IMAGES, 64 * 60, 1.0);
    return 0;
}

static int teardown(void **state) {
    (void) state;
    free(images);
    moco_context_destroy(context);
    return 0;
}

static moco_momentum_encoder *make_momentum_encoder(moco_encoder *query, int32_t bn_buffers, double momentum,
                                                    int32_t shuffle) {
    moco_momentum_encoder_config config;
    moco_momentum_encoder *created = NULL;
    assert_ok(moco_momentum_encoder_config_init(&config, sizeof config));
    config.bn_buffers = bn_buffers;
    config.momentum = momentum;
    config.shuffle = shuffle;
    config.seed = 3;
    assert_ok(moco_momentum_encoder_create(&created, query, &config));
    return created;
}

static float *read_named(const moco_encoder *encoder, const char *name, int64_t *count) {
    int64_t index;
    moco_parameter_info info = {.struct_size = sizeof info};
    assert_ok(moco_encoder_find_parameter(encoder, name, &index));
    assert_ok(moco_encoder_parameter_info(encoder, index, &info));
    float *values = (float *) malloc((size_t) info.elements * sizeof *values);
    assert_ok(moco_encoder_read_parameter(encoder, index, values));
    *count = info.elements;
    return values;
}

/* --- Equation 2 --- */

static void averages_in_closed_form(void **state) {
    (void) state;
    const double momenta[4] = {0.999, 0.9, 0.0, 1.0};
    for (int i = 0; i < 4; ++i) {
        moco_encoder_config config = small_config("mlp");
        moco_encoder *query = make_encoder(context, &config);
        moco_momentum_encoder *f_k = make_momentum_encoder(query, MOCO_BN_BUFFERS_OWN, momenta[i], 0);
        int64_t count;
        float *k0 = read_named(query, "layers.0.weight", &count);
        fill_encoder(query, 1); /* a fixed q, far from k */
        float *q = read_named(query, "layers.0.weight", &count);
        for (int t = 0; t < 300; ++t) assert_ok(moco_momentum_encoder_update(f_k));
        float *k = read_named(moco_momentum_encoder_key_encoder(f_k), "layers.0.weight", &count);
        const double m_t = pow(momenta[i], 300.0);
        for (int64_t j = 0; j < count; ++j) {
            const double expected = m_t * (double) k0[j] + (1.0 - m_t) * (double) q[j];
            const double size = fmax(fabs((double) k0[j]), fabs((double) q[j]));
            if (fabs((double) k[j] - expected) > 1e-6 * size) {
                fail_msg("m = %g, element %d: %.9g instead of %.9g", momenta[i], (int) j, (double) k[j], expected);
            }
        }
        float *unchanged = read_named(query, "layers.0.weight", &count);
        assert_memory_equal(q, unchanged, (size_t) count * sizeof *q);
        free(k0), free(q), free(k), free(unchanged);
        moco_encoder_destroy(query); /* the momentum encoder keeps it alive */
        assert_ok(moco_momentum_encoder_update(f_k));
        moco_momentum_encoder_destroy(f_k);
    }
}

static void buffers_follow_the_policy(void **state) {
    (void) state;
    for (int32_t policy = MOCO_BN_BUFFERS_OWN; policy <= MOCO_BN_BUFFERS_AVERAGE; ++policy) {
        moco_encoder_config config = small_config("mlp");
        moco_encoder *query = make_encoder(context, &config);
        moco_momentum_encoder *f_k = make_momentum_encoder(query, policy, 0.75, 0);
        float out[N * DIM];
        int64_t count;
        float *before = read_named(query, "layers.1.running_var", &count);
        assert_ok(moco_encoder_forward(query, images, N, 4, 5, out));
        assert_ok(moco_encoder_forward(query, images, N, 4, 5, out));
        float *q = read_named(query, "layers.1.running_var", &count);
        assert_ok(moco_momentum_encoder_update(f_k));
        float *k = read_named(moco_momentum_encoder_key_encoder(f_k), "layers.1.running_var", &count);
        const double share = policy == MOCO_BN_BUFFERS_OWN ? 1.0 : policy == MOCO_BN_BUFFERS_COPY ? 0.0 : 0.75;
        for (int64_t i = 0; i < count; ++i) {
            assert_true(fabsf(q[i] - before[i]) > 1e-3F);
            assert_true(fabs((double) k[i] - share * (double) before[i] - (1.0 - share) * (double) q[i]) < 1e-6);
        }
        assert_int_equal(policy == MOCO_BN_BUFFERS_COPY ? 2 : 0,
                         moco_encoder_batches_tracked(moco_momentum_encoder_key_encoder(f_k)));
        free(before), free(q), free(k);
        moco_momentum_encoder_destroy(f_k);
        moco_encoder_destroy(query);
    }
}

static void encoding_keeps_statistics_of_its_own(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    moco_encoder *query = make_encoder(context, &config);
    moco_momentum_encoder *f_k = make_momentum_encoder(query, MOCO_BN_BUFFERS_OWN, 0.999, 0);
    float q[N * DIM], k[N * DIM];
    int64_t count;
    assert_ok(moco_encoder_forward(query, images, N, 4, 5, q));
    assert_ok(moco_momentum_encoder_encode(f_k, images, N, 4, 5, k));
    assert_memory_equal(q, k, sizeof q); /* equal parameters, equal batch */
    float *ours = read_named(query, "layers.4.running_mean", &count);
    float *theirs = read_named(moco_momentum_encoder_key_encoder(f_k), "layers.4.running_mean", &count);
    assert_memory_equal(ours, theirs, (size_t) count * sizeof *ours);
    assert_ok(moco_momentum_encoder_encode(f_k, images, N, 4, 5, k));
    float *moved = read_named(moco_momentum_encoder_key_encoder(f_k), "layers.4.running_mean", &count);
    float *still = read_named(query, "layers.4.running_mean", &count);
    assert_memory_equal(ours, still, (size_t) count * sizeof *ours);
    assert_memory_not_equal(ours, moved, (size_t) count * sizeof *ours);
    assert_int_equal(1, moco_encoder_batches_tracked(query));
    /* The key encoder's forward leaves the query encoder's pending backward alone. */
    assert_ok(moco_encoder_backward(query, k, N));
    free(ours), free(theirs), free(moved), free(still);
    moco_momentum_encoder_destroy(f_k);
    moco_encoder_destroy(query);
}

/* --- Shuffling --- */

/* What encode() must give: the shuffled batch through an equal encoder without shuffling, put back in order. */
static void keys_are_shuffled_and_restored(void **state) {
    (void) state;
    const int64_t pixels = 60;
    for (int32_t layout = 0; layout < 2; ++layout) {
        moco_encoder_config config = small_config("mlp");
        config.bn_groups = 3;
        config.bn_layout = layout;
        moco_encoder *query = make_encoder(context, &config);
        moco_momentum_encoder *f_k = make_momentum_encoder(query, MOCO_BN_BUFFERS_OWN, 0.999, 1);
        moco_momentum_encoder *in_order = make_momentum_encoder(query, MOCO_BN_BUFFERS_OWN, 0.999, 0);
        for (int64_t step = 0; step < 3; ++step) {
            const int64_t n = N - step;
            int64_t permutation[N];
            float shuffled[N * 60], keys[N * DIM], expected[N * DIM], plain[N * DIM];
            assert_int_equal(step, moco_momentum_encoder_encode_count(f_k));
            assert_ok(moco_momentum_encoder_permutation(f_k, step, n, permutation));
            for (int64_t i = 0; i < n; ++i) {
                memcpy(shuffled + i * pixels, images + permutation[i] * pixels, (size_t) pixels * sizeof *images);
            }
            assert_ok(moco_momentum_encoder_encode(f_k, images, n, 4, 5, keys));
            assert_ok(moco_momentum_encoder_encode(in_order, shuffled, n, 4, 5, expected));
            for (int64_t i = 0; i < n; ++i) {
                assert_memory_equal(expected + i * DIM, keys + permutation[i] * DIM, DIM * sizeof *keys);
            }
            /* Other samples share a group now: the keys are not those of the batch in order. */
            assert_ok(moco_momentum_encoder_encode(in_order, images, n, 4, 5, plain));
            double off = 0.0;
            for (int64_t i = 0; i < n * DIM; ++i) off = fmax(off, fabs((double) plain[i] - (double) keys[i]));
            assert_true(off > 0.01);
        }
        moco_momentum_encoder_destroy(f_k);
        moco_momentum_encoder_destroy(in_order);
        moco_encoder_destroy(query);
    }
}

static void permutations_depend_on_seed_and_count_only(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    config.bn_groups = 2;
    moco_encoder *query = make_encoder(context, &config);
    moco_momentum_encoder *f_k = make_momentum_encoder(query, 0, 0.5, 1);
    moco_momentum_encoder *none = make_momentum_encoder(query, 0, 0.5, 0);
    int64_t first[N], second[N], again[N];
    int32_t seen[N] = {0};
    float keys[N * DIM], replayed[N * DIM];
    assert_ok(moco_momentum_encoder_permutation(f_k, 5, N, first));
    assert_ok(moco_momentum_encoder_permutation(f_k, 6, N, second));
    for (int64_t i = 0; i < N; ++i) seen[first[i]]++;
    for (int64_t i = 0; i < N; ++i) assert_int_equal(1, seen[i]);
    assert_memory_not_equal(first, second, sizeof first);
    assert_ok(moco_momentum_encoder_set_encode_count(f_k, 5));
    assert_ok(moco_momentum_encoder_encode(f_k, images, N, 4, 5, keys));
    assert_int_equal(6, moco_momentum_encoder_encode_count(f_k));
    assert_ok(moco_momentum_encoder_set_encode_count(f_k, 5));
    assert_ok(moco_momentum_encoder_encode(f_k, images, N, 4, 5, replayed));
    assert_memory_equal(keys, replayed, sizeof keys);
    assert_ok(moco_momentum_encoder_permutation(f_k, 5, N, again));
    assert_memory_equal(first, again, sizeof first);
    assert_ok(moco_momentum_encoder_permutation(none, 5, N, again));
    for (int64_t i = 0; i < N; ++i) assert_int_equal(i, again[i]);
    moco_momentum_encoder_destroy(f_k);
    moco_momentum_encoder_destroy(none);
    moco_encoder_destroy(query);
}

/* The default leaves it to the number of groups: the same permutations as where it was asked for, or none. */
static void default_shuffles_where_there_are_groups(void **state) {
    (void) state;
    for (int32_t groups = 1; groups <= 2; ++groups) {
        moco_encoder_config config = small_config("mlp");
        config.bn_groups = groups;
        moco_encoder *query = make_encoder(context, &config);
        moco_momentum_encoder_config settings;
        moco_momentum_encoder *chosen = NULL;
        moco_momentum_encoder *asked = NULL;
        int64_t permutation[N], expected[N];
        assert_ok(moco_momentum_encoder_config_init(&settings, sizeof settings));
        assert_ok(moco_momentum_encoder_create(&chosen, query, &settings));
        settings.shuffle = groups > 1;
        assert_ok(moco_momentum_encoder_create(&asked, query, &settings));
        assert_ok(moco_momentum_encoder_permutation(chosen, 0, N, permutation));
        assert_ok(moco_momentum_encoder_permutation(asked, 0, N, expected));
        assert_memory_equal(expected, permutation, sizeof expected);
        moco_momentum_encoder_destroy(chosen);
        moco_momentum_encoder_destroy(asked);
        moco_encoder_destroy(query);
    }
}

/* --- Errors --- */

/* Where the default leaves shuffling out, the log says so, once, and what would turn it on. */
static int warnings;
static char warning[512];

static void keep_warning(int32_t level, const char *message, void *user) {
    (void) user;
    if (level != MOCO_LOG_WARNING) return;
    warnings++;
    snprintf(warning, sizeof warning, "%s", message);
}

static void silence_is_broken_where_nothing_is_shuffled(void **state) {
    (void) state;
    static const struct {
        const char *architecture;
        int32_t bn_groups;
        int32_t shuffle;
        int warnings;
    } cases[] = {
        {"cifar_resnet8", 1, -1, 1},
        {"cifar_resnet8", 2, -1, 0},
        {"cifar_resnet8", 1, 0, 0}, /* meant so */
        {"mlp", 1, -1, 1},
    };
    moco_context *loud = NULL;
    moco_context_config settings;
    assert_ok(moco_context_config_init(&settings, sizeof settings));
    settings.backend = "reference";
    settings.log = keep_warning;
    assert_ok(moco_context_create(&loud, &settings));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        moco_encoder_config config = small_config(cases[i].architecture);
        config.bn_groups = cases[i].bn_groups;
        moco_encoder *query = make_encoder(loud, &config);
        warnings = 0;
        moco_momentum_encoder *f_k = make_momentum_encoder(query, MOCO_BN_BUFFERS_OWN, 0.9, cases[i].shuffle);
        assert_int_equal(warnings, cases[i].warnings);
        moco_momentum_encoder_destroy(f_k);
        moco_encoder_destroy(query);
    }
    assert_non_null(strstr(warning, "bn_groups is 1"));
    assert_non_null(strstr(warning, "bn_groups of 2 or more turn that on"));
    moco_context_destroy(loud);
}

static void wrong_arguments_are_refused(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    moco_encoder *query = make_encoder(context, &config);
    moco_momentum_encoder *f_k = NULL;
    moco_momentum_encoder_config settings;
    float keys[N * DIM];
    int64_t permutation[1];
    assert_ok(moco_momentum_encoder_config_init(&settings, sizeof settings));
    assert_int_equal(-1, settings.shuffle);
    assert_true(settings.momentum == 0.999);
    settings.shuffle = 2;
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_create(&f_k, query, &settings));
    settings.shuffle = 1;
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_create(&f_k, query, &settings)); /* one group */
    assert_non_null(strstr(moco_last_error(), "bn_groups"));
    assert_ok(moco_momentum_encoder_config_for(&settings, sizeof settings, query));
    assert_int_equal(0, settings.shuffle);
    const double bad[4] = {-0.1, 1.1, NAN, INFINITY};
    for (int i = 0; i < 4; ++i) {
        settings.momentum = bad[i];
        assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_create(&f_k, query, &settings));
    }
    settings.momentum = 0.5;
    settings.bn_buffers = 3;
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_create(&f_k, query, &settings));
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_create(NULL, query, NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_create(&f_k, NULL, NULL));
    assert_null(f_k);

    assert_ok(moco_momentum_encoder_create(&f_k, query, NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_set_momentum(f_k, NAN));
    assert_ok(moco_momentum_encoder_set_momentum(f_k, 0.25));
    assert_true(moco_momentum_encoder_momentum(f_k) == 0.25);
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_set_encode_count(f_k, -1));
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_encode(f_k, images, 0, 4, 5, keys));
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_encode(f_k, images, N, 4, 4, keys));
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_encode(f_k, NULL, N, 4, 5, keys));
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_encode(NULL, images, N, 4, 5, keys));
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_update(NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_permutation(f_k, -1, 1, permutation));
    assert_status(MOCO_INVALID_ARGUMENT, moco_momentum_encoder_permutation(f_k, 0, 0, permutation));
    assert_int_equal(0, moco_momentum_encoder_encode_count(f_k)); /* failed calls don't count */
    assert_null(moco_momentum_encoder_key_encoder(NULL));
    assert_null(moco_momentum_encoder_encoder(NULL));
    moco_momentum_encoder_destroy(NULL);
    moco_momentum_encoder_destroy(f_k);
    moco_encoder_destroy(query);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages_in_closed_form),
        cmocka_unit_test(buffers_follow_the_policy),
        cmocka_unit_test(encoding_keeps_statistics_of_its_own),
        cmocka_unit_test(keys_are_shuffled_and_restored),
        cmocka_unit_test(permutations_depend_on_seed_and_count_only),
        cmocka_unit_test(default_shuffles_where_there_are_groups),
        cmocka_unit_test(silence_is_broken_where_nothing_is_shuffled),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
