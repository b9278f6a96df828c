/* Official MoCo checkpoints, made by PyTorch (make_official_golden.py): training goes on from them with PyTorch's losses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <moco/weights.h>

#include "support/training_parts.h"

#ifndef assert_ok
#define assert_ok(expression)                                                                         \
    do {                                                                                              \
        const moco_status status_ = (expression);                                                     \
        if (status_ != MOCO_OK) fail_msg("%s gives %d: %s", #expression, status_, moco_last_error()); \
    } while (0)
#endif

enum { SIDE = 4, PIXELS = 3 * SIDE * SIDE, BATCH = 8, KEYS = 32, DIM = 8, BEFORE = 5, AFTER = 4 };

static training_parts parts;

static void make_trainer(int32_t dim, int64_t capacity) {
    training_configs c = small_training("reference", 1);
    c.encoder.architecture = "mlp";
    c.encoder.mlp_input_dim = PIXELS;
    c.encoder.mlp_hidden_dim = 16;
    c.encoder.mlp_layers = 2;
    c.encoder.head = MOCO_HEAD_MLP;
    c.encoder.embedding_dim = dim;
    c.encoder.bn_groups = 1;
    c.momentum_encoder.momentum = 0.99;
    c.queue.dim = dim;
    c.queue.capacity = capacity;
    c.loss.temperature = 0.2;
    c.trainer.use_learning_rate_schedule = 0;
    c.optimizer.learning_rate = 123.0; /* the file's is taken */
    assert_ok(training_create(&parts, &c));
}

static int tear_down(void **state) {
    (void) state;
    training_destroy(&parts);
    return 0;
}

static void path_of(const char *name, char path[512]) {
    if (snprintf(path, 512, "%s/official/%s", MOCO_TEST_DATA_DIR, name) >= 512) abort();
}

static void make_images(float *images, int64_t step, int64_t view) {
    for (int64_t i = 0; i < BATCH * PIXELS; ++i) {
        images[i] = (float) ((double) ((7919 * i + 104729 * step + 1299709 * view) % 1009) / 504.5 - 1);
    }
}

static double train(int64_t step) {
    float query[BATCH * PIXELS];
    float key[BATCH * PIXELS];
    moco_step_stats stats;
    assert_ok(moco_step_stats_init(&stats, sizeof stats));
    make_images(query, step, 0);
    make_images(key, step, 1);
    assert_ok(moco_trainer_step(parts.trainer, query, key, NULL, BATCH, SIDE, SIDE, &stats));
    return stats.loss;
}

static void go_on(const char *name) {
    char path[512];
    moco_import_report report = {.struct_size = sizeof report};
    make_trainer(DIM, KEYS);
    path_of(name, path);
    assert_ok(moco_trainer_import(parts.trainer, path, NULL, &report));
    assert_int_equal(report.key_encoder, 1);
    assert_int_equal(report.queue, 1);
    assert_int_equal(report.optimizer, 1);
    assert_int_equal(report.missing, 0);
    assert_int_equal(report.unexpected, 0);
    assert_int_equal(report.loaded, moco_encoder_parameter_count(parts.encoder));
    assert_int_equal(report.epoch, BEFORE);
    assert_int_equal(report.step_count, BEFORE); /* one step is an epoch here */
    assert_true(report.learning_rate == 0.06 && report.momentum == 0.9 && report.weight_decay == 1e-4);
    assert_int_equal(moco_queue_position(parts.queue), BEFORE * BATCH % KEYS);
    assert_int_equal(moco_queue_filled(parts.queue), KEYS);
    assert_int_equal(moco_encoder_batches_tracked(parts.encoder), BEFORE);
    assert_int_equal(moco_encoder_batches_tracked(moco_momentum_encoder_key_encoder(parts.momentum_encoder)), BEFORE);
    assert_int_equal(moco_trainer_step_count(parts.trainer), BEFORE);
    path_of("losses.txt", path);
    FILE *losses = fopen(path, "r");
    assert_non_null(losses);
    for (int64_t step = BEFORE; step < BEFORE + AFTER; ++step) {
        double expected = 0;
        assert_int_equal(fscanf(losses, "%lf", &expected), 1);
        const double loss = train(step);
        if (fabs(loss - expected) > 1e-5) fail_msg("step %lld: %.9g, not %.9g", (long long) step, loss, expected);
    }
    double sum = 0;
    double expected = 0;
    long position = 0;
    float keys[KEYS * DIM];
    assert_int_equal(fscanf(losses, "%lf %ld", &expected, &position), 2);
    fclose(losses);
    assert_ok(moco_queue_read(parts.queue, 0, KEYS, keys, NULL));
    for (int i = 0; i < KEYS * DIM; ++i) sum += (double) keys[i];
    assert_true(fabs(sum - expected) < 1e-4);
    assert_int_equal(moco_queue_position(parts.queue), position);
    /* A trainer that has trained takes no other's state. */
    path_of(name, path);
    assert_int_equal(moco_trainer_import(parts.trainer, path, NULL, NULL), MOCO_INVALID_STATE);
}

static void the_zip_form_goes_on(void **state) {
    (void) state;
    go_on("full.pth.tar");
}

static void the_legacy_form_goes_on(void **state) {
    (void) state;
    go_on("full_legacy.pth.tar");
}

/* The released models have a query encoder alone. */
static void a_cleaned_one_begins_anew(void **state) {
    (void) state;
    char path[512];
    moco_import_report report = {.struct_size = sizeof report};
    uint64_t before = 0;
    uint64_t after = 1;
    make_trainer(DIM, KEYS);
    assert_ok(moco_queue_checksum(parts.queue, &before));
    path_of("cleaned.pth.tar", path);
    assert_ok(moco_trainer_import(parts.trainer, path, NULL, &report));
    assert_int_equal(report.key_encoder, 0);
    assert_int_equal(report.queue, 0);
    assert_int_equal(report.optimizer, 0);
    assert_int_equal(report.epoch, 200);
    assert_int_equal(report.step_count, 0);
    assert_true(report.learning_rate == -1.0);
    assert_int_equal(moco_trainer_step_count(parts.trainer), 0);
    assert_int_equal(moco_optimizer_step_count(parts.optimizer), 0);
    assert_ok(moco_queue_checksum(parts.queue, &after));
    assert_true(before == after);
    const moco_encoder *key = moco_momentum_encoder_key_encoder(parts.momentum_encoder);
    assert_true(encoder_checksum(key) == encoder_checksum(parts.encoder));
    assert_int_equal(moco_encoder_batches_tracked(key), BEFORE);
}

static void what_does_not_fit_changes_nothing(void **state) {
    (void) state;
    char path[512];
    uint64_t before = 0;
    uint64_t after = 1;
    path_of("full.pth.tar", path);
    make_trainer(DIM, KEYS + 1);
    assert_ok(moco_trainer_checksum(parts.trainer, &before));
    assert_int_equal(moco_trainer_import(parts.trainer, path, NULL, NULL), MOCO_FORMAT);
    assert_non_null(strstr(moco_last_error(), "8 x 32; this trainer's queue is 8 x 33"));
    moco_import_report report = {0};
    assert_int_equal(moco_trainer_import(parts.trainer, path, NULL, &report), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_import(NULL, path, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_import(parts.trainer, "/no/such/file", NULL, NULL), MOCO_NOT_FOUND);
    assert_ok(moco_trainer_checksum(parts.trainer, &after));
    assert_true(before == after);
    training_destroy(&parts);
    make_trainer(DIM + 1, KEYS);
    assert_ok(moco_trainer_checksum(parts.trainer, &before));
    assert_int_equal(moco_trainer_import(parts.trainer, path, NULL, NULL), MOCO_FORMAT);
    assert_non_null(strstr(moco_last_error(), "fc.2.weight"));
    assert_ok(moco_trainer_checksum(parts.trainer, &after));
    assert_true(before == after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_zip_form_goes_on, tear_down),
        cmocka_unit_test_teardown(the_legacy_form_goes_on, tear_down),
        cmocka_unit_test_teardown(a_cleaned_one_begins_anew, tear_down),
        cmocka_unit_test_teardown(what_does_not_fit_changes_nothing, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
