/* Two training forwards of one encoder pending at once. The oracle is a twin that knows one pass only and takes the
 * same batches one after the other; that the sum is a gradient is shown by finite differences. */
#include "support/encoder_fixture.h"

#include <moco/momentum_encoder.h>

#include "encoder/encoder_internal.h"

#define N   6
#define DIM 8

static moco_context *context;
static float *views[2];
static float *gradients[2];

static int setup(void **state) {
    (void) state;
    context = make_context(NULL, 1);
    for (uint32_t v = 0; v < 2; ++v) {
        views[v] = hashed_floats(STREAM_IMAGES + 10 * v, 16 * 3 * 8 * 8, 1.0);
        gradients[v] = hashed_floats(STREAM_GRADIENT + 10 * v, 16 * DIM, 1.0);
    }
    return 0;
}

static int teardown(void **state) {
    (void) state;
    for (int v = 0; v < 2; ++v) {
        free(views[v]);
        free(gradients[v]);
    }
    moco_context_destroy(context);
    return 0;
}

/* The gradients of two encoders are bit-identical. */
static void assert_same_gradients(const moco_encoder *expected, const moco_encoder *encoder) {
    int64_t count;
    float *theirs = read_all(expected, 1, &count), *ours = read_all(encoder, 1, &count);
    assert_memory_equal(theirs, ours, (size_t) count * sizeof *ours);
    free(theirs), free(ours);
}

/* View `v` forward and backward by the one pass that every encoder has. */
static void take_alone(moco_encoder *encoder, int v, int64_t n, int64_t h, int64_t w) {
    float out[16 * DIM];
    assert_ok(moco_encoder_forward(encoder, views[v], n, h, w, out));
    assert_ok(moco_encoder_backward(encoder, gradients[v], n));
}

static void two_passes_give_what_one_after_the_other_gives(void **state) {
    (void) state;
    for (int32_t variant = 0; variant < 4; ++variant) { /* backward of pass 0 or 1 first, shapes equal or not */
        moco_encoder_config config = small_config("cifar_resnet8");
        moco_encoder *encoder = make_encoder(context, &config), *twin = make_encoder(context, &config);
        const int32_t first = variant & 1, differ = variant >> 1;
        const int64_t n[2] = {N, differ ? N - 2 : N}, h[2] = {4, differ ? 8 : 4};
        float out[16 * DIM], expected[16 * DIM];
        for (int32_t round = 0; round < 2; ++round) { /* the second adds to the first */
            assert_ok(moco_encoder_forward_pass(encoder, 0, views[0], n[0], h[0], 5, out));
            assert_ok(moco_encoder_forward_pass(encoder, 1, views[1], n[1], h[1], 5, out + N * DIM));
            for (int32_t i = 0; i < 2; ++i) {
                const int32_t pass = i == 0 ? first : 1 - first;
                assert_ok(moco_encoder_backward_pass(encoder, pass, gradients[pass], n[pass]));
                assert_ok(moco_encoder_forward(twin, views[pass], n[pass], h[pass], 5, expected));
                assert_memory_equal(expected, out + pass * N * DIM, (size_t) (n[pass] * DIM) * sizeof *out);
                assert_ok(moco_encoder_backward(twin, gradients[pass], n[pass]));
            }
            assert_same_gradients(twin, encoder);
        }
        assert_int_equal(4, moco_encoder_batches_tracked(encoder));
        moco_encoder_destroy(encoder);
        moco_encoder_destroy(twin);
    }
}

/* Passes of one shape share planned layers, so that a layer that kept something of a forward outside of the pass's
 * memory would be found out: networks whose channels the fast convolutions take, in both dtypes. */
static void layers_keep_nothing_of_a_pass_themselves(void **state) {
    (void) state;
    static const struct {
        const char *backend;
        const char *architecture;
        int32_t compute_dtype;
    } cases[] = {{"auto", "resnet18", MOCO_COMPUTE_F32},
                 {"auto", "resnet18", MOCO_COMPUTE_BF16},
                 {"auto", "resnet50", MOCO_COMPUTE_F32},
                 {"cblas", "resnet18", MOCO_COMPUTE_F32}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; ++c) {
        moco_context *chain = make_context(cases[c].backend, 2);
        moco_encoder_config config = small_config(cases[c].architecture);
        config.compute_dtype = cases[c].compute_dtype;
        moco_encoder *encoder = make_encoder(chain, &config), *twin = make_encoder(chain, &config);
        float out[4 * DIM];
        for (int32_t pass = 0; pass < 2; ++pass) {
            assert_ok(moco_encoder_forward_pass(encoder, pass, views[pass], 4, 8, 8, out));
        }
        for (int32_t pass = 0; pass < 2; ++pass) {
            assert_ok(moco_encoder_backward_pass(encoder, pass, gradients[pass], 4));
            take_alone(twin, pass, 4, 8, 8);
        }
        assert_same_gradients(twin, encoder);
        moco_encoder_destroy(encoder);
        moco_encoder_destroy(twin);
        moco_context_destroy(chain);
    }
}

/* --- The sum is the gradient of the sum --- */

static double inner_product(const float *a, const float *b, int64_t count) {
    double sum = 0.0;
    for (int64_t i = 0; i < count; ++i) sum += (double) a[i] * (double) b[i];
    return sum;
}

/* L = <g0, f(x0)> + <g1, f(x1)> with parameter `index` moved by `scale` along `direction`. */
static double loss_at(moco_encoder *encoder, int64_t index, const float *start, const float *direction,
                      int64_t elements, double scale) {
    float *moved = (float *) malloc((size_t) elements * sizeof *moved);
    float out[N * DIM];
    double sum = 0.0;
    for (int64_t i = 0; i < elements; ++i) moved[i] = (float) ((double) start[i] + scale * (double) direction[i]);
    assert_ok(moco_encoder_write_parameter(encoder, index, moved));
    for (int v = 0; v < 2; ++v) {
        assert_ok(moco_encoder_forward(encoder, views[v], N, 4, 5, out));
        sum += inner_product(gradients[v], out, N * DIM);
    }
    free(moved);
    return sum;
}

static void the_sum_is_the_gradient_of_the_sum(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config);
    moco_encoder *alone[2] = {make_encoder(context, &config), make_encoder(context, &config)};
    moco_encoder *const all[3] = {encoder, alone[0], alone[1]};
    float out[N * DIM];
    int64_t count;
    for (int i = 0; i < 3; ++i) fill_encoder(all[i], 0); /* ReLU's kinks are far away */
    for (int32_t pass = 0; pass < 2; ++pass) {
        assert_ok(moco_encoder_forward_pass(encoder, pass, views[pass], N, 4, 5, out));
        take_alone(alone[pass], pass, N, 4, 5);
    }
    for (int32_t pass = 0; pass < 2; ++pass) {
        assert_ok(moco_encoder_backward_pass(encoder, pass, gradients[pass], N));
    }
    float *both = read_all(encoder, 1, &count);
    float *parts[2] = {read_all(alone[0], 1, &count), read_all(alone[1], 1, &count)};
    double off = 0.0;
    for (int64_t i = 0; i < count; ++i) {
        off = fmax(off, fabs((double) both[i] - (double) parts[0][i] - (double) parts[1][i]));
    }
    assert_true(off < 1e-5 * sqrt(inner_product(both, both, count)));
    assert_true(inner_product(parts[0], parts[0], count) > 1e-4 && inner_product(parts[1], parts[1], count) > 1e-4);
    free(both), free(parts[0]), free(parts[1]);

    static const char *const names[] = {"fc.weight", "layer2.0.conv1.weight", "layer1.0.bn1.bias"};
    for (int i = 0; i < 3; ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        int64_t index;
        assert_ok(moco_encoder_find_parameter(encoder, names[i], &index));
        assert_ok(moco_encoder_parameter_info(encoder, index, &info));
        float *start = (float *) malloc((size_t) info.elements * sizeof *start);
        float *direction = (float *) malloc((size_t) info.elements * sizeof *direction);
        assert_ok(moco_encoder_read_parameter(encoder, index, start));
        assert_ok(moco_encoder_read_gradient(encoder, index, direction));
        const double slope = inner_product(direction, direction, info.elements), step = 2e-3 / sqrt(slope);
        const double difference = loss_at(encoder, index, start, direction, info.elements, step) -
                                  loss_at(encoder, index, start, direction, info.elements, -step);
        const double measured = difference / (2.0 * step);
        if (fabs(measured - slope) > 0.02 * slope) fail_msg("%s: %g instead of %g", names[i], measured, slope);
        assert_ok(moco_encoder_write_parameter(encoder, index, start));
        free(start), free(direction);
    }
    for (int i = 0; i < 3; ++i) moco_encoder_destroy(all[i]);
}

/* --- What comes between, and what never comes --- */

static void nothing_in_between_disturbs_them(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    config.bn_groups = 2;
    moco_encoder *encoder = make_encoder(context, &config), *twin = make_encoder(context, &config), *copy = NULL;
    moco_momentum_encoder *f_k = NULL;
    float out[64 * 12], k[N * DIM];
    assert_ok(moco_momentum_encoder_create(&f_k, encoder, NULL));
    for (int32_t pass = 0; pass < 2; ++pass) {
        assert_ok(moco_encoder_forward_pass(encoder, pass, views[pass], N, 4, 5, out));
        take_alone(twin, pass, N, 4, 5);
    }
    assert_ok(moco_momentum_encoder_encode(f_k, views[0], N, 4, 5, k));
    assert_ok(moco_encoder_clone(&copy, encoder));
    assert_ok(moco_encoder_backward_pass(encoder, 0, gradients[0], N));
    for (int64_t n = 1; n < 12; ++n) { /* more shapes than plans are kept */
        assert_ok(moco_encoder_evaluate(encoder, views[0], n, 4, 3, out));
        assert_ok(moco_encoder_features(encoder, views[0], n % 6 + 1, 8, 8, out));
        assert_ok(moco_encoder_evaluate(copy, views[0], n, 4, 3, out));
    }
    assert_ok(moco_momentum_encoder_encode(f_k, views[1], N, 4, 5, k));
    assert_ok(moco_encoder_backward_pass(encoder, 1, gradients[1], N));
    assert_same_gradients(twin, encoder);

    /* Both are pending when their encoder goes: those that were lent its memory use it from then on. */
    float before[N * DIM], after[N * DIM];
    assert_ok(moco_encoder_evaluate(copy, views[1], N, 4, 5, before));
    for (int32_t pass = 0; pass < 2; ++pass) {
        assert_ok(moco_encoder_forward_pass(encoder, pass, views[pass], N, 4, 5, out));
    }
    moco_momentum_encoder_destroy(f_k);
    moco_encoder_destroy(encoder);
    assert_ok(moco_encoder_evaluate(copy, views[1], N, 4, 5, after));
    assert_memory_equal(before, after, sizeof after);
    moco_encoder_release(copy);
    moco_encoder_destroy(twin);
}

/* What the trainer asks to decide which of two independent encodings comes first. */
static void a_clone_is_lent_the_first_passs_memory(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    moco_encoder *encoder = make_encoder(context, &config), *other = make_encoder(context, &config);
    moco_encoder *copy = NULL;
    assert_ok(moco_encoder_clone(&copy, encoder));
    assert_int_equal(1, moco_encoder_shares_workspace(encoder, copy));
    assert_int_equal(0, moco_encoder_shares_workspace(copy, encoder));
    assert_int_equal(0, moco_encoder_shares_workspace(other, copy));
    moco_encoder_destroy(encoder);
    moco_encoder_destroy(other);
    moco_encoder_release(copy);
}

static void a_pass_may_be_repeated_or_forgotten(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config), *twin = make_encoder(context, &config);
    float out[N * DIM];
    assert_status(MOCO_INVALID_STATE, moco_encoder_backward_pass(encoder, 1, gradients[0], N));
    assert_ok(moco_encoder_forward_pass(encoder, 1, views[1], N, 4, 5, out)); /* replaced below */
    assert_status(MOCO_INVALID_STATE, moco_encoder_backward(encoder, gradients[0], N));
    for (int step = 0; step < 2; ++step) { /* pass 0 goes on alone */
        assert_ok(moco_encoder_forward(encoder, views[0], N, 4, 5, out));
        assert_ok(moco_encoder_backward(encoder, gradients[0], N));
        take_alone(twin, 0, N, 4, 5);
    }
    assert_ok(moco_encoder_forward_pass(encoder, 1, views[0], N - 1, 4, 5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_backward_pass(encoder, 1, gradients[0], N)); /* n */
    /* A forward that the network can't take leaves the pending one. */
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward_pass(encoder, 1, views[0], 0, 4, 5, out));
    assert_ok(moco_encoder_backward_pass(encoder, 1, gradients[0], N - 1));
    take_alone(twin, 0, N - 1, 4, 5);
    assert_same_gradients(twin, encoder);
    assert_status(MOCO_INVALID_STATE, moco_encoder_backward_pass(encoder, 1, gradients[0], N - 1));

    const int32_t none[2] = {-1, MOCO_ENCODER_PASSES};
    for (int i = 0; i < 2; ++i) {
        assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward_pass(encoder, none[i], views[0], N, 4, 5, out));
        assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_backward_pass(encoder, none[i], gradients[0], N));
    }
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward_pass(NULL, 1, views[0], N, 4, 5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_backward_pass(encoder, 1, NULL, N));
    moco_encoder_destroy(encoder);
    moco_encoder_destroy(twin);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_passes_give_what_one_after_the_other_gives),
        cmocka_unit_test(layers_keep_nothing_of_a_pass_themselves),
        cmocka_unit_test(the_sum_is_the_gradient_of_the_sum),
        cmocka_unit_test(nothing_in_between_disturbs_them),
        cmocka_unit_test(a_clone_is_lent_the_first_passs_memory),
        cmocka_unit_test(a_pass_may_be_repeated_or_forgotten),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
