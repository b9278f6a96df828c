/* The loss, its gradients and the queue have the same bits at 1, 2 and 4 threads. */
#include <moco.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/loss_oracle.h"

static void same_loss_at_any_thread_count(void **state) {
    (void) state;
    static const int64_t shapes[][3] = {{256, 128, 16384}, {300, 37, 3001}, {5, 513, 2500}, {1, 64, 9000}, {129, 1, 1}};
    static const double lengths[] = {1, 40}; /* at 40 some tiles are computed in double */
    static const char *const backends[] = {"cblas", "reference"};
    for (size_t b = 0; b < 2; ++b) {
        for (size_t shape = b; shape < 5; ++shape) { /* the largest is too slow for the reference */
            const int64_t n = shapes[shape][0], dim = shapes[shape][1], count = shapes[shape][2];
            const size_t bytes = (size_t) (n * dim) * sizeof(float);
            float *q = (float *) malloc(bytes), *k = (float *) malloc(bytes);
            float *keys = (float *) malloc((size_t) (count * dim) * sizeof(float));
            float *gradients[3] = {(float *) malloc(bytes), (float *) malloc(bytes), (float *) malloc(bytes)};
            const size_t key_bytes = (size_t) (count * dim) * sizeof(float);
            float *d_k[3] = {(float *) malloc(bytes), (float *) malloc(bytes), (float *) malloc(bytes)};
            float *d_keys[3] = {(float *) malloc(key_bytes), (float *) malloc(key_bytes), (float *) malloc(key_bytes)};
            oracle_rows(q, n, dim, lengths[shape % 2], 1);
            oracle_rows(k, n, dim, 1, 2);
            oracle_rows(keys, count, dim, 1, 3);
            moco_loss_result results[3];
            memset(results, 0, sizeof results);
            for (int run = 0; run < 3; ++run) {
                moco_context *context = oracle_context(backends[b], 1 << run);
                moco_loss *loss = oracle_loss(context, 0.07, 0);
                moco_queue *queue = oracle_queue(context, keys, NULL, count, dim);
                moco_loss_result_init(&results[run], sizeof results[run]);
                assert_int_equal(moco_loss_compute(loss, q, k, n, queue, NULL, &results[run], gradients[run]), MOCO_OK);
                assert_memory_equal(&results[run], &results[0], sizeof results[0]);
                assert_memory_equal(gradients[run], gradients[0], bytes);
                moco_loss_result with_keys = results[run];
                assert_int_equal(moco_loss_compute_keys(loss, q, k, n, dim, keys, NULL, count, NULL, &with_keys,
                                                        gradients[run], d_k[run], d_keys[run]),
                                 MOCO_OK);
                assert_memory_equal(&with_keys, &results[run], sizeof with_keys);
                assert_memory_equal(gradients[run], gradients[0], bytes);
                assert_memory_equal(d_k[run], d_k[0], bytes);
                assert_memory_equal(d_keys[run], d_keys[0], key_bytes);
                moco_queue_destroy(queue);
                moco_loss_destroy(loss);
                moco_context_destroy(context);
            }
            free(q);
            free(k);
            free(keys);
            for (int run = 0; run < 3; ++run) {
                free(gradients[run]);
                free(d_k[run]);
                free(d_keys[run]);
            }
        }
    }
}

static void same_starting_rows_at_any_thread_count(void **state) {
    (void) state;
    uint64_t checksums[3] = {0};
    for (int run = 0; run < 3; ++run) {
        moco_context *context = oracle_context("cblas", 1 << run);
        moco_queue_config config;
        moco_queue *queue = NULL;
        moco_queue_config_init(&config, sizeof config);
        config.capacity = 5001;
        config.dim = 96;
        assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_OK);
        assert_int_equal(moco_queue_checksum(queue, &checksums[run]), MOCO_OK);
        assert_true(checksums[run] == checksums[0]);
        moco_queue_destroy(queue);
        moco_context_destroy(context);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_loss_at_any_thread_count),
        cmocka_unit_test(same_starting_rows_at_any_thread_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
