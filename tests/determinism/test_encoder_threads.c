/* A network's forward, backward, evaluation and key encoding give the same bits for 1, 2 and 4 threads. */
#include "support/encoder_fixture.h"

#include <moco/momentum_encoder.h>

#define N   6
#define DIM 8

typedef struct results {
    float query[N * DIM];
    float keys[N * DIM];
    float evaluation[N * DIM];
    float *gradients;
    float *parameters; /* of the key encoder, after an update */
    int64_t gradient_count;
    int64_t parameter_count;
} results;

static results run(const char *backend, int32_t threads, const char *architecture) {
    results r;
    moco_context *context = make_context(backend, threads);
    moco_encoder_config config = small_config(architecture);
    config.bn_groups = 2;
    config.mlp_input_dim = 3 * 16 * 16;
    moco_encoder *encoder = make_encoder(context, &config);
    moco_momentum_encoder *f_k = NULL;
    float *images = hashed_floats(STREAM_IMAGES, N * 3 * 16 * 16, 1.0),
          *d = hashed_floats(STREAM_GRADIENT, N * DIM, 1.0);
    assert_ok(moco_momentum_encoder_create(&f_k, encoder, NULL));
    assert_ok(moco_encoder_forward(encoder, images, N, 16, 16, r.query));
    assert_ok(moco_encoder_backward(encoder, d, N));
    fill_encoder(encoder, 1);
    assert_ok(moco_momentum_encoder_update(f_k));
    assert_ok(moco_momentum_encoder_encode(f_k, images, N, 16, 16, r.keys));
    assert_ok(moco_encoder_evaluate(encoder, images, N, 16, 16, r.evaluation));
    r.gradients = read_all(encoder, 1, &r.gradient_count);
    r.parameters = read_all(moco_momentum_encoder_encoder(f_k), 0, &r.parameter_count);
    free(images), free(d);
    moco_momentum_encoder_destroy(f_k);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
    return r;
}

static void same_bits_for_any_thread_count(void **state) {
    const char *backend = (const char *) *state;
    static const char *const architectures[] = {"cifar_resnet8", "mlp"};
    for (int a = 0; a < 2; ++a) {
        results one = run(backend, 1, architectures[a]);
        for (int32_t threads = 2; threads <= 4; threads += 2) {
            results more = run(backend, threads, architectures[a]);
            assert_memory_equal(one.query, more.query, sizeof one.query);
            assert_memory_equal(one.keys, more.keys, sizeof one.keys);
            assert_memory_equal(one.evaluation, more.evaluation, sizeof one.evaluation);
            assert_memory_equal(one.gradients, more.gradients, (size_t) one.gradient_count * sizeof(float));
            assert_memory_equal(one.parameters, more.parameters, (size_t) one.parameter_count * sizeof(float));
            free(more.gradients), free(more.parameters);
        }
        free(one.gradients), free(one.parameters);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(same_bits_for_any_thread_count, NULL), /* "auto" */
        cmocka_unit_test_prestate(same_bits_for_any_thread_count, (void *) (uintptr_t) "reference"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
