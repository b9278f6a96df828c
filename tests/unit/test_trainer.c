/* The trainer: its order of operations against the parts called by hand, statistics, schedules, and refusals. Runs over
 * a loader are in test_trainer_run.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/training_parts.h"

#define N    8
#define SIZE 8
#define DIM  16

enum { PIXELS = N * 3 * SIZE * SIZE };

static float query_images[PIXELS];
static float key_images[PIXELS];
static const int64_t ids[N] = {10, 11, 12, 13, 14, 15, 16, 17};

static void fill_images(int64_t step) {
    char name[32];
    snprintf(name, sizeof name, "query %lld", (long long) step);
    fill_uniform(query_images, PIXELS, name);
    snprintf(name, sizeof name, "key %lld", (long long) step);
    fill_uniform(key_images, PIXELS, name);
}

static training_parts make_parts(const training_configs *configs) {
    training_parts parts;
    const moco_status status = training_create(&parts, configs);
    if (status != MOCO_OK) fail_msg("%s", moco_last_error());
    return parts;
}

static moco_step_stats take_step(training_parts *parts, int64_t step) {
    moco_step_stats stats;
    assert_int_equal(moco_step_stats_init(&stats, sizeof stats), MOCO_OK);
    fill_images(step);
    const moco_status status = moco_trainer_step(parts->trainer, query_images, key_images, ids, N, SIZE, SIZE, &stats);
    if (status != MOCO_OK) fail_msg("%s", moco_last_error());
    return stats;
}

static uint64_t queue_checksum(const training_parts *parts) {
    uint64_t checksum = 0;
    assert_int_equal(moco_queue_checksum(parts->queue, &checksum), MOCO_OK);
    return checksum;
}

/* Algorithm 1 with the public functions of the parts: the trainer must give the same bits. */
static void same_bits_as_the_parts_by_hand(void **state) {
    (void) state;
    training_configs configs = small_training("reference", 1);
    configs.trainer.use_learning_rate_schedule = 0;
    training_parts trained = make_parts(&configs);
    training_parts by_hand = make_parts(&configs);
    for (int64_t step = 0; step < 6; ++step) {
        const moco_step_stats stats = take_step(&trained, step);

        static float q[N * DIM], k[N * DIM], d_q[N * DIM];
        moco_loss_result result;
        assert_int_equal(moco_loss_result_init(&result, sizeof result), MOCO_OK);
        assert_int_equal(moco_encoder_forward(by_hand.encoder, query_images, N, SIZE, SIZE, q), MOCO_OK);
        assert_int_equal(moco_momentum_encoder_update(by_hand.momentum_encoder), MOCO_OK);
        assert_int_equal(moco_momentum_encoder_encode(by_hand.momentum_encoder, key_images, N, SIZE, SIZE, k), MOCO_OK);
        assert_int_equal(moco_loss_compute(by_hand.loss, q, k, N, by_hand.queue, ids, &result, d_q), MOCO_OK);
        assert_int_equal(moco_encoder_zero_gradients(by_hand.encoder), MOCO_OK);
        assert_int_equal(moco_encoder_backward(by_hand.encoder, d_q, N), MOCO_OK);
        assert_int_equal(moco_optimizer_step(by_hand.optimizer), MOCO_OK);
        assert_int_equal(moco_queue_enqueue(by_hand.queue, k, ids, N), MOCO_OK);

        assert_true(stats.loss == result.loss);
        assert_true(stats.top1 == result.top1);
        assert_true(queue_checksum(&trained) == queue_checksum(&by_hand));
        assert_true(encoder_checksum(trained.encoder) == encoder_checksum(by_hand.encoder));
        assert_true(encoder_checksum(moco_momentum_encoder_key_encoder(trained.momentum_encoder)) ==
                    encoder_checksum(moco_momentum_encoder_key_encoder(by_hand.momentum_encoder)));
    }
    training_destroy(&trained);
    training_destroy(&by_hand);
}

static void statistics_tell_the_step(void **state) {
    (void) state;
    training_configs configs = small_training("reference", 1);
    configs.trainer.steps_per_epoch = 3;
    configs.queue.capacity = 20;
    training_parts parts = make_parts(&configs);
    for (int64_t step = 0; step < 4; ++step) {
        const moco_step_stats stats = take_step(&parts, step);
        assert_int_equal(stats.struct_size, sizeof stats);
        assert_int_equal(stats.step, step);
        assert_int_equal(stats.epoch, step / 3);
        assert_int_equal(stats.samples, N);
        assert_int_equal(stats.queue_filled, step < 2 ? N * (step + 1) : 20);
        assert_int_equal(stats.warming_up, step < 3); /* 0, 8 and 16 of 20 rows were keys */
        assert_int_equal(stats.negatives, 20);
        assert_true(stats.chance_loss == log(21.0));
        assert_true(isfinite(stats.loss) && stats.loss > 0.0);
        assert_true(stats.momentum == 0.99);
        const int64_t phases = stats.ns_query_forward + stats.ns_momentum_update + stats.ns_key_forward +
                               stats.ns_loss + stats.ns_query_backward + stats.ns_optimizer + stats.ns_enqueue;
        assert_true(phases > 0 && (double) phases * 1e-9 <= stats.seconds);
        assert_int_equal(stats.ns_load, 0);
        assert_true(fabs(stats.images_per_second * stats.seconds - N) < 1e-6);
        assert_int_equal(moco_trainer_step_count(parts.trainer), step + 1);
        int64_t id = 0;
        assert_int_equal(moco_queue_read(parts.queue, N * step % 20, 1, NULL, &id), MOCO_OK);
        assert_int_equal(id, ids[0]);
    }
    assert_int_equal(moco_trainer_step(parts.trainer, query_images, key_images, NULL, N, SIZE, SIZE, NULL), MOCO_OK);
    training_destroy(&parts);
}

static void schedules_reach_the_parts(void **state) {
    (void) state;
    training_configs configs = small_training("reference", 1);
    configs.trainer.steps_per_epoch = 2;
    configs.learning_rate.kind = MOCO_SCHEDULE_COSINE;
    configs.learning_rate.base = 0.04;
    configs.learning_rate.epochs = 3.0;
    configs.trainer.momentum_end = 0.999;
    training_parts parts = make_parts(&configs);
    const double pi = acos(-1.0);
    for (int64_t step = 0; step < 8; ++step) {
        const moco_step_stats stats = take_step(&parts, step);
        const double epoch = fmin((double) (step / 2), 3.0);
        assert_true(fabs(stats.learning_rate - 0.02 * (1.0 + cos(pi * epoch / 3.0))) < 1e-15);
        assert_true(moco_optimizer_learning_rate(parts.optimizer) == stats.learning_rate);
        const double part = fmin((double) step / 6.0, 1.0);
        assert_true(fabs(stats.momentum - (0.999 - 0.009 * (1.0 + cos(pi * part)) / 2.0)) < 1e-15);
        assert_true(moco_momentum_encoder_momentum(parts.momentum_encoder) == stats.momentum);
    }
    training_destroy(&parts);

    configs.trainer.use_learning_rate_schedule = 0;
    configs.trainer.momentum_end = 0.0;
    parts = make_parts(&configs);
    assert_int_equal(moco_optimizer_set_learning_rate(parts.optimizer, 0.125), MOCO_OK);
    assert_int_equal(moco_momentum_encoder_set_momentum(parts.momentum_encoder, 0.5), MOCO_OK);
    const moco_step_stats stats = take_step(&parts, 0);
    assert_true(stats.learning_rate == 0.125 && stats.momentum == 0.5);
    training_destroy(&parts);
}

/* A loss that is not finite changes neither the query encoder's parameters, nor the queue, nor the count. */
static void assert_explosion_is_stopped(const char *backend) {
    const training_configs configs = small_training(backend, 1);
    training_parts parts;
    if (backend_is_missing(training_create(&parts, &configs))) return;
    assert_non_null(parts.trainer);
    take_step(&parts, 0);
    int64_t conv1 = 0;
    static float before[16 * 3 * 9], after[16 * 3 * 9];
    assert_int_equal(moco_encoder_find_parameter(parts.encoder, "conv1.weight", &conv1), MOCO_OK);
    assert_int_equal(moco_encoder_read_parameter(parts.encoder, conv1, before), MOCO_OK);
    const uint64_t queue_before = queue_checksum(&parts);

    fill_images(1);
    query_images[5] = NAN;
    moco_step_stats stats;
    assert_int_equal(moco_step_stats_init(&stats, sizeof stats), MOCO_OK);
    assert_int_equal(moco_trainer_step(parts.trainer, query_images, key_images, ids, N, SIZE, SIZE, &stats),
                     MOCO_INVALID_STATE);
    assert_non_null(strstr(moco_last_error(), "not finite"));
    assert_int_equal(stats.samples, 0);
    fill_images(1);
    key_images[7] = INFINITY;
    assert_int_equal(moco_trainer_step(parts.trainer, query_images, key_images, ids, N, SIZE, SIZE, &stats),
                     MOCO_INVALID_STATE);

    assert_int_equal(moco_encoder_read_parameter(parts.encoder, conv1, after), MOCO_OK);
    assert_memory_equal(before, after, sizeof before);
    assert_true(queue_checksum(&parts) == queue_before);
    assert_int_equal(moco_trainer_step_count(parts.trainer), 1);
    assert_int_equal(moco_optimizer_step_count(parts.optimizer), 1);
    take_step(&parts, 2); /* batch statistics don't know of the bad batch, so training goes on */
    training_destroy(&parts);
}

static void exploded_run_is_stopped(void **state) {
    (void) state;
    for (size_t b = 0; b < TEST_BACKENDS; ++b) assert_explosion_is_stopped(test_backends[b]);
}

static void masked_loss_needs_ids(void **state) {
    (void) state;
    training_configs configs = small_training("reference", 1);
    configs.loss.mask_same_id = 1;
    training_parts parts = make_parts(&configs);
    take_step(&parts, 0);
    const moco_step_stats stats = take_step(&parts, 1); /* the same ids again: their first keys are masked */
    assert_int_equal(stats.masked, N);
    assert_int_equal(moco_trainer_step(parts.trainer, query_images, key_images, NULL, N, SIZE, SIZE, NULL),
                     MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "sample_ids"));
    assert_int_equal(moco_trainer_step_count(parts.trainer), 2);
    training_destroy(&parts);
}

static void assert_parts_refused(moco_encoder *encoder, moco_momentum_encoder *momentum_encoder, moco_queue *queue,
                                 moco_loss *loss, moco_optimizer *optimizer, const char *word) {
    moco_trainer *trainer = NULL;
    assert_int_equal(moco_trainer_create(&trainer, encoder, momentum_encoder, queue, loss, optimizer, NULL),
                     MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), word));
    assert_null(trainer);
}

static void parts_that_do_not_fit_are_refused(void **state) {
    (void) state;
    training_configs configs = small_training("reference", 1);
    training_parts a = make_parts(&configs);
    training_parts b = make_parts(&configs); /* a context of its own */
    moco_queue *wide = NULL;
    configs.queue.dim = 17;
    assert_int_equal(moco_queue_create(&wide, a.context, &configs.queue), MOCO_OK);
    assert_parts_refused(NULL, a.momentum_encoder, a.queue, a.loss, a.optimizer, "query_encoder");
    assert_parts_refused(a.encoder, NULL, a.queue, a.loss, a.optimizer, "momentum_encoder");
    assert_parts_refused(a.encoder, a.momentum_encoder, NULL, a.loss, a.optimizer, "queue");
    assert_parts_refused(a.encoder, a.momentum_encoder, a.queue, NULL, a.optimizer, "loss");
    assert_parts_refused(a.encoder, a.momentum_encoder, a.queue, a.loss, NULL, "optimizer");
    assert_parts_refused(a.encoder, b.momentum_encoder, a.queue, a.loss, a.optimizer, "momentum_encoder");
    assert_parts_refused(a.encoder, a.momentum_encoder, a.queue, a.loss, b.optimizer, "optimizer");
    assert_parts_refused(a.encoder, a.momentum_encoder, b.queue, a.loss, a.optimizer, "queue");
    assert_parts_refused(a.encoder, a.momentum_encoder, a.queue, b.loss, a.optimizer, "loss");
    assert_parts_refused(a.encoder, a.momentum_encoder, wide, a.loss, a.optimizer, "dim");
    assert_int_equal(moco_trainer_create(NULL, a.encoder, a.momentum_encoder, a.queue, a.loss, a.optimizer, NULL),
                     MOCO_INVALID_ARGUMENT);
    moco_queue_destroy(wide);
    training_destroy(&a);
    training_destroy(&b);
}

static void assert_config_refused(training_parts *parts, const moco_trainer_config *config, const char *word) {
    moco_trainer *trainer = NULL;
    assert_int_equal(moco_trainer_create(&trainer, parts->encoder, parts->momentum_encoder, parts->queue, parts->loss,
                                         parts->optimizer, config),
                     MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), word));
    assert_null(trainer);
}

static void nonsense_is_refused(void **state) {
    (void) state;
    const training_configs configs = small_training("reference", 1);
    training_parts p = make_parts(&configs);
    const moco_trainer_config good = configs.trainer;
    moco_trainer_config c;
    c = good, c.use_learning_rate_schedule = 2, assert_config_refused(&p, &c, "use_learning_rate_schedule");
    c = good, c.momentum_end = 1.5, assert_config_refused(&p, &c, "momentum_end");
    c = good, c.momentum_end = (double) NAN, assert_config_refused(&p, &c, "momentum_end");
    c = good, c.steps_per_epoch = 0, assert_config_refused(&p, &c, "steps_per_epoch");
    moco_schedule schedule = configs.learning_rate;
    c = good, c.learning_rate = &schedule;
    schedule.base = -1.0, assert_config_refused(&p, &c, "base");
    schedule.struct_size = 4, assert_config_refused(&p, &c, "learning_rate");

    moco_step_stats stats = {.struct_size = 8};
    const uint64_t before = encoder_checksum(p.encoder);
    fill_images(0);
    assert_int_equal(moco_trainer_step(NULL, query_images, key_images, ids, N, SIZE, SIZE, NULL),
                     MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_step(p.trainer, NULL, key_images, ids, N, SIZE, SIZE, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_step(p.trainer, query_images, NULL, ids, N, SIZE, SIZE, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_step(p.trainer, query_images, key_images, ids, 0, SIZE, SIZE, NULL),
                     MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_step(p.trainer, query_images, key_images, ids, N, -1, SIZE, NULL),
                     MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_step(p.trainer, query_images, key_images, ids, INT64_MAX / 8, 64, 64, NULL),
                     MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_step(p.trainer, query_images, key_images, ids, N, SIZE, SIZE, &stats),
                     MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_set_step_count(p.trainer, -1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_set_step_count(NULL, 0), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_run(NULL, NULL, 1, 0, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_run(p.trainer, NULL, 1, 0, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_step_count(NULL), 0);
    moco_trainer_request_stop(NULL);
    moco_trainer_destroy(NULL);
    assert_true(encoder_checksum(p.encoder) == before);
    assert_int_equal(moco_trainer_step_count(p.trainer), 0);
    training_destroy(&p);
}

/* Defaults of single parts fit each other, with one BatchNorm group and with several. */
static void defaults_fit_together(void **state) {
    (void) state;
    for (int32_t groups = 1; groups <= 2; ++groups) {
        training_configs c;
        training_parts parts;
        moco_context_config_init(&c.context, sizeof c.context);
        moco_encoder_config_init(&c.encoder, sizeof c.encoder);
        moco_momentum_encoder_config_init(&c.momentum_encoder, sizeof c.momentum_encoder);
        moco_queue_config_init(&c.queue, sizeof c.queue);
        moco_loss_config_init(&c.loss, sizeof c.loss);
        moco_optimizer_config_init(&c.optimizer, sizeof c.optimizer);
        moco_schedule_init(&c.learning_rate, sizeof c.learning_rate);
        moco_trainer_config_init(&c.trainer, sizeof c.trainer);
        assert_null(c.trainer.learning_rate);
        c.encoder.bn_groups = groups;
        c.encoder.architecture = "cifar_resnet8"; /* as small as it can be; the rest are defaults */
        parts = make_parts(&c);
        const moco_step_stats stats = take_step(&parts, 0);
        assert_true(stats.learning_rate == 0.03 && stats.momentum == 0.999 && stats.negatives == 65536);
        training_destroy(&parts);
    }
}

/* The schedule is copied: the caller's may go. */
static void schedule_is_copied(void **state) {
    (void) state;
    training_configs configs = small_training("reference", 1);
    configs.learning_rate.base = 0.25;
    training_parts parts = make_parts(&configs);
    configs.learning_rate.base = 0.5;
    assert_true(take_step(&parts, 0).learning_rate == 0.25);
    training_destroy(&parts);
}

/* The trainer keeps its parts alive when the caller has let them go. */
static void parts_may_be_destroyed_first(void **state) {
    (void) state;
    const training_configs configs = small_training("reference", 1);
    training_parts parts = make_parts(&configs);
    training_parts alone = {.trainer = parts.trainer};
    parts.trainer = NULL;
    training_destroy(&parts);
    take_step(&alone, 0);
    training_destroy(&alone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_as_the_parts_by_hand),
        cmocka_unit_test(statistics_tell_the_step),
        cmocka_unit_test(schedules_reach_the_parts),
        cmocka_unit_test(exploded_run_is_stopped),
        cmocka_unit_test(masked_loss_needs_ids),
        cmocka_unit_test(parts_that_do_not_fit_are_refused),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(defaults_fit_together),
        cmocka_unit_test(schedule_is_copied),
        cmocka_unit_test(parts_may_be_destroyed_first),
    };
    return cmocka_run_group_tests_name("trainer", tests, NULL, NULL);
}
