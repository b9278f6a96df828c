/* Counts that a caller sets, at the end of their range: refused, or they stay where they are, and nothing overflows (the
 * undefined behaviour sanitizer sees to that).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/training_loader.h"

#define N    4
#define SIZE 8

enum { PIXELS = N * 3 * SIZE * SIZE };

static float images[PIXELS];

static void assert_ok(moco_status status) {
    if (status != MOCO_OK) fail_msg("%s", moco_last_error());
}

static void make_parts(training_parts *parts) {
    training_configs configs = small_training("auto", 1);
    configs.trainer.momentum_end = 0.999;
    configs.trainer.steps_per_epoch = 3;
    fill_uniform(images, PIXELS, "images");
    assert_ok(training_create(parts, &configs));
}

static moco_status take_step(training_parts *parts) {
    return moco_trainer_step(parts->trainer, images, images, NULL, N, SIZE, SIZE, NULL);
}

static uint64_t checksum_of(moco_trainer *trainer) {
    uint64_t checksum = 0;
    assert_ok(moco_trainer_checksum(trainer, &checksum));
    return checksum;
}

static void the_last_step_is_counted_and_no_further(void **state) {
    (void) state;
    for (int32_t of_optimizer = 0; of_optimizer < 2; ++of_optimizer) {
        training_parts parts;
        make_parts(&parts);
        if (of_optimizer) {
            assert_ok(moco_optimizer_set_step_count(parts.optimizer, INT64_MAX - 1));
        } else {
            assert_ok(moco_trainer_set_step_count(parts.trainer, INT64_MAX - 1));
        }
        assert_ok(take_step(&parts));
        assert_true((of_optimizer ? moco_optimizer_step_count(parts.optimizer)
                                  : moco_trainer_step_count(parts.trainer)) == INT64_MAX);
        const uint64_t before = checksum_of(parts.trainer);
        assert_int_equal(take_step(&parts), MOCO_INVALID_STATE);
        assert_non_null(strstr(moco_last_error(), "step_count"));
        assert_true(checksum_of(parts.trainer) == before);
        if (of_optimizer) {
            assert_int_equal(moco_optimizer_step(parts.optimizer), MOCO_INVALID_STATE);
            assert_int_equal(moco_optimizer_step_with_momentum_update(parts.optimizer, parts.momentum_encoder),
                             MOCO_INVALID_STATE);
            assert_true(checksum_of(parts.trainer) == before);
        }
        training_destroy(&parts);
    }
}

static void counts_of_forwards_stay_at_their_end(void **state) {
    (void) state;
    training_parts parts;
    make_parts(&parts);
    moco_encoder *f_k = moco_momentum_encoder_key_encoder(parts.momentum_encoder);
    assert_ok(moco_momentum_encoder_set_encode_count(parts.momentum_encoder, INT64_MAX - 1));
    assert_ok(moco_encoder_set_batches_tracked(parts.encoder, INT64_MAX - 1));
    assert_ok(moco_encoder_set_batches_tracked(f_k, INT64_MAX));
    for (int i = 0; i < 3; ++i) assert_ok(take_step(&parts));
    assert_true(moco_momentum_encoder_encode_count(parts.momentum_encoder) == INT64_MAX);
    assert_true(moco_encoder_batches_tracked(parts.encoder) == INT64_MAX);
    assert_true(moco_encoder_batches_tracked(f_k) == INT64_MAX);
    int64_t permutation[N];
    assert_ok(moco_momentum_encoder_permutation(parts.momentum_encoder, INT64_MAX, N, permutation));
    training_destroy(&parts);
}

static void epochs_and_places_beyond_any_are_refused(void **state) {
    (void) state;
    training_parts parts;
    training_loader l;
    make_parts(&parts);
    assert_ok(training_loader_create(&l, parts.context, 0, 2, LOADER_BATCH));
    assert_int_equal(moco_loader_start_epoch(l.loader, INT64_MAX), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loader_start_at(l.loader, 0, INT64_MAX), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loader_start_at(l.loader, INT64_MIN, INT64_MIN), MOCO_INVALID_ARGUMENT);
    assert_ok(moco_trainer_set_step_count(parts.trainer, INT64_MAX));
    assert_ok(moco_trainer_run(parts.trainer, l.loader, 1, 0, NULL, NULL)); /* that epoch is long done */
    assert_int_equal(moco_trainer_run(parts.trainer, l.loader, INT64_MAX, 0, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_set_step_count(parts.trainer, INT64_MIN), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_optimizer_set_step_count(parts.optimizer, INT64_MIN), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_momentum_encoder_set_encode_count(parts.momentum_encoder, INT64_MIN), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_encoder_set_batches_tracked(parts.encoder, INT64_MIN), MOCO_INVALID_ARGUMENT);
    static float keys[40 * 16];
    assert_int_equal(moco_queue_restore(parts.queue, keys, NULL, INT64_MAX, INT64_MAX), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_read(parts.queue, INT64_MAX, INT64_MAX, keys, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_read(parts.queue, 1, INT64_MAX, keys, NULL), MOCO_INVALID_ARGUMENT);
    training_loader_destroy(&l);
    training_destroy(&parts);
}

static void schedules_reach_to_the_end(void **state) {
    (void) state;
    moco_schedule schedule = MOCO_SCHEDULE_INITIALIZER;
    double value = 0.0;
    for (schedule.kind = MOCO_SCHEDULE_CONSTANT; schedule.kind <= MOCO_SCHEDULE_COSINE; ++schedule.kind) {
        for (schedule.unit = MOCO_SCHEDULE_PER_EPOCH; schedule.unit <= MOCO_SCHEDULE_PER_STEP; ++schedule.unit) {
            schedule.warmup_epochs = 5.0;
            assert_ok(moco_schedule_value(&schedule, INT64_MAX, 1, &value));
            assert_true(value >= 0.0 && value <= schedule.base);
            assert_ok(moco_schedule_value(&schedule, INT64_MAX, INT64_MAX, &value));
            assert_true(value >= 0.0 && value <= schedule.base);
        }
    }
    assert_ok(moco_momentum_cosine(0.99, INT64_MAX, INT64_MAX, &value));
    assert_true(value == 1.0);
    assert_ok(moco_momentum_cosine(0.99, INT64_MAX - 1, INT64_MAX, &value));
    assert_true(value >= 0.99 && value <= 1.0);
}

/* --- What there is no memory for --- */

static void *allocate_little(uint64_t size, uint64_t alignment, void *user) {
    (void) user;
    return size > 32 << 20 ? NULL : aligned_alloc((size_t) alignment, (size_t) size);
}

static void deallocate_little(void *memory, void *user) {
    (void) user;
    free(memory);
}

static void memory_is_asked_for_by_name(void **state) {
    (void) state;
    moco_context_config config;
    moco_context *context = NULL;
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.allocate = allocate_little;
    config.deallocate = deallocate_little;
    assert_ok(moco_context_create(&context, &config));
    moco_queue_config queue_config;
    moco_queue *queue = NULL;
    assert_ok(moco_queue_config_init(&queue_config, sizeof queue_config));
    queue_config.capacity = 1000000;
    queue_config.dim = 64;
    assert_int_equal(moco_queue_create(&queue, context, &queue_config), MOCO_OUT_OF_MEMORY);
    assert_null(queue);
    assert_non_null(strstr(moco_last_error(), "capacity is 1000000, and so many keys of dim 64 take 264000000 bytes"));
    queue_config.capacity = 8000000; /* only the keys' numbers are too many */
    queue_config.dim = 1;
    queue_config.storage = MOCO_QUEUE_STORAGE_BF16;
    assert_int_equal(moco_queue_create(&queue, context, &queue_config), MOCO_OUT_OF_MEMORY);
    assert_non_null(strstr(moco_last_error(), "capacity is 8000000, and so many keys of dim 1 take 80000000 bytes"));
    moco_encoder_config encoder_config;
    moco_encoder *encoder = NULL;
    assert_ok(moco_encoder_config_init(&encoder_config, sizeof encoder_config));
    encoder_config.architecture = "cifar_resnet8";
    encoder_config.embedding_dim = 999999;
    assert_int_equal(moco_encoder_create(&encoder, context, &encoder_config), MOCO_OUT_OF_MEMORY);
    assert_null(encoder);
    assert_non_null(strstr(moco_last_error(), "architecture \"cifar_resnet8\" (embedding_dim is 999999)"));
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_step_is_counted_and_no_further),
        cmocka_unit_test(counts_of_forwards_stay_at_their_end),
        cmocka_unit_test(epochs_and_places_beyond_any_are_refused),
        cmocka_unit_test(schedules_reach_to_the_end),
        cmocka_unit_test(memory_is_asked_for_by_name),
    };
    return cmocka_run_group_tests_name("count limits", tests, NULL, NULL);
}
