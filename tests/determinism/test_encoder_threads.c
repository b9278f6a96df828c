/* A network's forward, backward, evaluation and key encoding give the same bits for 1, 2 and 4 threads, and twice at
 * one count. */
#include "support/encoder_fixture.h"

#include <moco/momentum_encoder.h>

#include "context/backend_list.h"

#define N    6
#define DIM  8
#define SIDE 12

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
    config.mlp_input_dim = 3 * SIDE * SIDE;
    moco_encoder *encoder = make_encoder(context, &config);
    moco_momentum_encoder *f_k = NULL;
    float *images = hashed_floats(STREAM_IMAGES, N * 3 * SIDE * SIDE, 1.0),
          *d = hashed_floats(STREAM_GRADIENT, N * DIM, 1.0);
    assert_ok(moco_momentum_encoder_create(&f_k, encoder, NULL));
    assert_ok(moco_encoder_forward(encoder, images, N, SIDE, SIDE, r.query));
    assert_ok(moco_encoder_backward(encoder, d, N));
    fill_encoder(encoder, 1);
    assert_ok(moco_momentum_encoder_update(f_k));
    assert_ok(moco_momentum_encoder_encode(f_k, images, N, SIDE, SIDE, r.keys));
    assert_ok(moco_encoder_evaluate(encoder, images, N, SIDE, SIDE, r.evaluation));
    r.gradients = read_all(encoder, 1, &r.gradient_count);
    r.parameters = read_all(moco_momentum_encoder_key_encoder(f_k), 0, &r.parameter_count);
    free(images), free(d);
    moco_momentum_encoder_destroy(f_k);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
    return r;
}

static void compare(const char *backend, int32_t threads, const char *what, const void *one, const void *more,
                    int64_t floats) {
    if (memcmp(one, more, (size_t) floats * sizeof(float)) == 0) return;
    fail_msg("%s on %s: other bits in the second of two runs, this one with %d threads", what, backend, threads);
}

/* 0 for a backend that this machine can't run. */
static int32_t runs_here(const char *backend) {
    moco_context_config config;
    moco_context *context = NULL;
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.backend = backend;
    const moco_status status = moco_context_create(&context, &config);
    moco_context_destroy(context);
    return status != MOCO_UNSUPPORTED;
}

static void same_bits_twice(void **state) {
    (void) state;
    for (const moco_backend_ops *const *ops = moco_backend_list(); *ops != NULL; ++ops) {
        if (!runs_here((*ops)->name)) continue;
        results first = run((*ops)->name, 2, "cifar_resnet8"), second = run((*ops)->name, 2, "cifar_resnet8");
        compare((*ops)->name, 2, "the embeddings", first.query, second.query, N * DIM);
        compare((*ops)->name, 2, "the keys", first.keys, second.keys, N * DIM);
        compare((*ops)->name, 2, "a gradient", first.gradients, second.gradients, first.gradient_count);
        free(first.gradients), free(first.parameters), free(second.gradients), free(second.parameters);
    }
}

static void same_bits_for_any_thread_count(void **state) {
    (void) state;
    static const char *const architectures[] = {"cifar_resnet8", "mlp"};
    for (const moco_backend_ops *const *ops = moco_backend_list(); *ops != NULL; ++ops) {
        const char *backend = (*ops)->name;
        /* oneDNN cuts the gradient of a convolution's weights by the number of threads: same bits at one count only. */
        if (strcmp(backend, "onednn") == 0 || !runs_here(backend)) continue;
        for (int a = 0; a < 2; ++a) {
            results one = run(backend, 1, architectures[a]);
            for (int32_t threads = 2; threads <= 4; threads += 2) {
                results more = run(backend, threads, architectures[a]);
                compare(backend, threads, "the embeddings", one.query, more.query, N * DIM);
                compare(backend, threads, "the keys", one.keys, more.keys, N * DIM);
                compare(backend, threads, "an evaluation", one.evaluation, more.evaluation, N * DIM);
                compare(backend, threads, "a gradient", one.gradients, more.gradients, one.gradient_count);
                compare(backend, threads, "an average", one.parameters, more.parameters, one.parameter_count);
                free(more.gradients), free(more.parameters);
            }
            free(one.gradients), free(one.parameters);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_twice),
        cmocka_unit_test(same_bits_for_any_thread_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
