/* Whole training runs, loader and all, give the same bits: twice at one thread count with every backend, and at 1, 2
 * and 4 threads with our own.
 */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/passive_threads.h"
#include "support/training_loader.h"

enum { STEPS = LOADER_EPOCH + 2 };

typedef struct run_bits {
    double losses[STEPS];
    double similarities[STEPS];
    uint64_t query_encoder;
    uint64_t key_encoder;
    uint64_t queue;
} run_bits;

static int32_t record_step(const moco_step_stats *stats, void *user) {
    run_bits *bits = (run_bits *) user;
    bits->losses[stats->step] = stats->loss;
    bits->similarities[stats->step] = stats->mean_negative_similarity;
    return 0;
}

/* 1 with the bits of a run, 0 where the backend is missing. */
static int train(run_bits *bits, const char *backend, int32_t threads, int32_t workers, uint64_t seed) {
    training_configs configs = small_training(backend, threads);
    configs.encoder.seed = seed;
    training_parts parts;
    const moco_status status = training_create(&parts, &configs);
    if (backend_is_missing(status)) return 0;
    if (status != MOCO_OK) fail_msg("%s", moco_last_error());
    training_loader data;
    if (training_loader_create(&data, parts.context, workers, 2, LOADER_BATCH) != MOCO_OK)
        fail_msg("%s", moco_last_error());
    memset(bits, 0, sizeof *bits);
    if (moco_trainer_run(parts.trainer, data.loader, 100, STEPS, record_step, bits) != MOCO_OK) {
        fail_msg("%s", moco_last_error());
    }
    bits->query_encoder = encoder_checksum(parts.encoder);
    bits->key_encoder = encoder_checksum(moco_momentum_encoder_key_encoder(parts.momentum_encoder));
    assert_int_equal(moco_queue_checksum(parts.queue, &bits->queue), MOCO_OK);
    training_loader_destroy(&data);
    training_destroy(&parts);
    return 1;
}

static void assert_same_bits(const run_bits *a, const run_bits *b, const char *what) {
    for (int step = 0; step < STEPS; ++step) {
        if (a->losses[step] != b->losses[step]) {
            fail_msg("%s: the losses of step %d differ: %.17g and %.17g", what, step, a->losses[step], b->losses[step]);
        }
    }
    assert_memory_equal(a->similarities, b->similarities, sizeof a->similarities);
    assert_true(a->query_encoder == b->query_encoder);
    assert_true(a->key_encoder == b->key_encoder);
    assert_true(a->queue == b->queue);
}

static void two_runs_have_the_same_bits(void **state) {
    (void) state;
    for (size_t b = 0; b < TEST_BACKENDS; ++b) {
        run_bits first, second, other_seed;
        if (!train(&first, test_backends[b], 2, 1, 0)) continue;
        assert_true(train(&second, test_backends[b], 2, 2, 0));
        assert_same_bits(&first, &second, test_backends[b]);
        assert_true(train(&other_seed, test_backends[b], 2, 1, 1));
        assert_true(other_seed.query_encoder != first.query_encoder && other_seed.queue != first.queue);
    }
}

/* Not oneDNN: it cuts the sums of its convolutions' weight gradients by the thread count. */
static void thread_counts_have_the_same_bits(void **state) {
    (void) state;
    for (size_t b = 0; b < TEST_BACKENDS; ++b) {
        run_bits one, more;
        if (strcmp(test_backends[b], "onednn") == 0) continue;
        if (!train(&one, test_backends[b], 1, 0, 0)) continue;
        for (int32_t threads = 2; threads <= 4; threads *= 2) {
            assert_true(train(&more, test_backends[b], threads, 1, 0));
            assert_same_bits(&one, &more, test_backends[b]);
        }
    }
}

int main(int argc, char **argv) {
    (void) argc;
    let_waiting_threads_sleep(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_runs_have_the_same_bits),
        cmocka_unit_test(thread_counts_have_the_same_bits),
    };
    return cmocka_run_group_tests_name("training runs", tests, NULL, NULL);
}
