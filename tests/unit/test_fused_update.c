/* The optimizer's step and the momentum update in one pass: the bits of the two calls, and of a trainer's run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/training_parts.h"

#define assert_ok(expression)                                                                         \
    do {                                                                                              \
        const moco_status status_ = (expression);                                                     \
        if (status_ != MOCO_OK) fail_msg("%s gives %d: %s", #expression, status_, moco_last_error()); \
    } while (0)

enum { STEPS = 50, N = 4, SIZE = 8, DIM = 16, PIXELS = N * 3 * SIZE * SIZE };

static uint64_t velocity_checksum(const training_parts *p) {
    uint64_t h = 14695981039346656037u;
    for (int64_t i = 0; i < moco_encoder_parameter_count(p->encoder); ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_ok(moco_encoder_parameter_info(p->encoder, i, &info));
        if (info.kind != MOCO_PARAMETER_LEARNABLE) continue;
        const size_t bytes = (size_t) info.elements * sizeof(float);
        unsigned char *raw = (unsigned char *) malloc(bytes);
        assert_ok(moco_optimizer_read_state(p->optimizer, i, (float *) raw));
        for (size_t b = 0; b < bytes; ++b) h = (h ^ raw[b]) * 1099511628211u;
        free(raw);
    }
    return h;
}

static void expect_equal_queries(const training_parts *a, const training_parts *b) {
    assert_true(encoder_checksum(a->encoder) == encoder_checksum(b->encoder));
    assert_true(velocity_checksum(a) == velocity_checksum(b));
    assert_true(moco_optimizer_step_count(a->optimizer) == moco_optimizer_step_count(b->optimizer));
}

static void expect_equal_keys(const training_parts *a, const training_parts *b) {
    assert_true(encoder_checksum(moco_momentum_encoder_key_encoder(a->momentum_encoder)) ==
                encoder_checksum(moco_momentum_encoder_key_encoder(b->momentum_encoder)));
}

/* Forward and backward of `seed`'s images; keys and the loss's gradient are left out. */
static void make_gradients(training_parts *p, int seed) {
    float images[PIXELS], embeddings[N * DIM];
    char name[32];
    snprintf(name, sizeof name, "images %d", seed);
    fill_uniform(images, PIXELS, name);
    assert_ok(moco_encoder_zero_gradients(p->encoder));
    assert_ok(moco_encoder_forward(p->encoder, images, N, SIZE, SIZE, embeddings));
    fill_uniform(embeddings, N * DIM, name);
    assert_ok(moco_encoder_backward(p->encoder, embeddings, N));
}

static void one_call_is_the_two(void **state) {
    (void) state;
    for (size_t backend = 0; backend < TEST_BACKENDS; ++backend) {
        for (int kind = 0; kind < 6; ++kind) {
            training_configs c = small_training(test_backends[backend], 1 + kind % 2);
            c.momentum_encoder.bn_buffers = kind % 3; /* own, copy, average */
            c.optimizer.nesterov = kind == 1;
            c.optimizer.dampening = kind == 2 ? 0.25 : 0.0;
            c.optimizer.momentum = kind == 3 ? 0.0 : 0.9;
            training_parts two, one;
            const moco_status status = training_create(&two, &c);
            if (backend_is_missing(status)) break;
            assert_ok(status);
            assert_ok(training_create(&one, &c));
            for (int step = 0; step < 4; ++step) {
                make_gradients(&two, step);
                make_gradients(&one, step);
                assert_ok(moco_optimizer_step(two.optimizer));
                assert_ok(moco_momentum_encoder_update(two.momentum_encoder));
                assert_ok(moco_optimizer_step_with_momentum_update(one.optimizer, one.momentum_encoder));
                expect_equal_queries(&two, &one);
                expect_equal_keys(&two, &one);
            }
            training_destroy(&two);
            training_destroy(&one);
        }
    }
}

/* --- A host's own loop ------------------------------------------------------------------------------------------- */

static double momentum_of(int step) {
    return 0.9 + 0.002 * step;
}

static double learning_rate_of(int step) {
    return 0.05 - 0.0005 * step;
}

/* A step whose update of the key encoder is the last one's business; *key gets the key encoder's checksum before it is
 * updated for the next step. */
static void own_step(training_parts *p, int step, const float *query_images, const float *key_images, double *loss,
                     uint64_t *key) {
    static float q[N * DIM], k[N * DIM], d_q[N * DIM];
    moco_loss_result result;
    assert_ok(moco_loss_result_init(&result, sizeof result));
    assert_ok(moco_encoder_forward(p->encoder, query_images, N, SIZE, SIZE, q));
    assert_ok(moco_momentum_encoder_encode(p->momentum_encoder, key_images, N, SIZE, SIZE, k));
    assert_ok(moco_loss_compute(p->loss, q, k, N, p->queue, NULL, &result, d_q));
    assert_ok(moco_encoder_zero_gradients(p->encoder));
    assert_ok(moco_encoder_backward(p->encoder, d_q, N));
    assert_ok(moco_queue_enqueue(p->queue, k, NULL, N));
    *loss = result.loss;
    *key = encoder_checksum(moco_momentum_encoder_key_encoder(p->momentum_encoder));
    assert_ok(moco_optimizer_set_learning_rate(p->optimizer, learning_rate_of(step)));
    assert_ok(moco_momentum_encoder_set_momentum(p->momentum_encoder, momentum_of(step + 1)));
    assert_ok(moco_optimizer_step_with_momentum_update(p->optimizer, p->momentum_encoder));
}

static void fifty_steps_follow_the_trainer(void **state) {
    (void) state;
    static float query_images[PIXELS], key_images[PIXELS];
    training_configs c = small_training(NULL, 2);
    c.trainer.use_learning_rate_schedule = 0;
    training_parts separate, fused;
    assert_ok(training_create(&separate, &c));
    assert_ok(training_create(&fused, &c));
    /* The first step's momentum update has no step before it. */
    assert_ok(moco_momentum_encoder_set_momentum(fused.momentum_encoder, momentum_of(0)));
    assert_ok(moco_momentum_encoder_update(fused.momentum_encoder));
    for (int step = 0; step < STEPS; ++step) {
        char name[32];
        snprintf(name, sizeof name, "query %d", step);
        fill_uniform(query_images, PIXELS, name);
        snprintf(name, sizeof name, "key %d", step);
        fill_uniform(key_images, PIXELS, name);
        moco_step_stats stats;
        double loss = 0;
        uint64_t key = 0, queues[2] = {0, 1};
        assert_ok(moco_step_stats_init(&stats, sizeof stats));
        assert_ok(moco_optimizer_set_learning_rate(separate.optimizer, learning_rate_of(step)));
        assert_ok(moco_momentum_encoder_set_momentum(separate.momentum_encoder, momentum_of(step)));
        assert_ok(moco_trainer_step(separate.trainer, query_images, key_images, NULL, N, SIZE, SIZE, &stats));
        own_step(&fused, step, query_images, key_images, &loss, &key);
        assert_true(loss == stats.loss);
        assert_true(key == encoder_checksum(moco_momentum_encoder_key_encoder(separate.momentum_encoder)));
        assert_ok(moco_queue_checksum(separate.queue, &queues[0]));
        assert_ok(moco_queue_checksum(fused.queue, &queues[1]));
        assert_true(queues[0] == queues[1]);
        expect_equal_queries(&separate, &fused);
    }
    training_destroy(&separate);
    training_destroy(&fused);
}

static void refuses_what_does_not_belong_together(void **state) {
    (void) state;
    const training_configs c = small_training(NULL, 1);
    training_parts a, b;
    assert_ok(training_create(&a, &c));
    assert_ok(training_create(&b, &c));
    const uint64_t before = encoder_checksum(a.encoder);
    assert_int_equal(moco_optimizer_step_with_momentum_update(NULL, a.momentum_encoder), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_step_with_momentum_update(a.optimizer, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_step_with_momentum_update(a.optimizer, b.momentum_encoder), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "another encoder"));
    assert_true(encoder_checksum(a.encoder) == before);
    assert_int_equal(moco_optimizer_step_count(a.optimizer), 0);
    training_destroy(&a);
    training_destroy(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_call_is_the_two),
        cmocka_unit_test(fifty_steps_follow_the_trainer),
        cmocka_unit_test(refuses_what_does_not_belong_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
