/* A step that fails has changed nothing: the trainer's checksum is as before, and training goes on as in a twin that
 * never saw the batch. Forwards by hand, too, leave no running statistics that are not finite; and what
 * moco_encoder_save accepts, moco_encoder_open accepts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/temporary_folder.h"
#include "support/training_loader.h"

#define N    8
#define SIZE 8

enum { PIXELS = N * 3 * SIZE * SIZE };

static float query_images[PIXELS];
static float key_images[PIXELS];
static const int64_t ids[N] = {10, 11, 12, 13, 14, 15, 16, 17};

static void assert_ok(moco_status status) {
    if (status != MOCO_OK) fail_msg("%s", moco_last_error());
}

static void fill_images(int64_t step) {
    char name[32];
    snprintf(name, sizeof name, "query %lld", (long long) step);
    fill_uniform(query_images, PIXELS, name);
    snprintf(name, sizeof name, "key %lld", (long long) step);
    fill_uniform(key_images, PIXELS, name);
}

static moco_status try_step(training_parts *parts, const int64_t *sample_ids) {
    return moco_trainer_step(parts->trainer, query_images, key_images, sample_ids, N, SIZE, SIZE, NULL);
}

static void take_step(training_parts *parts, int64_t step) {
    fill_images(step);
    assert_ok(try_step(parts, ids));
}

static uint64_t checksum_of(const training_parts *parts) {
    uint64_t checksum = 0;
    assert_ok(moco_trainer_checksum(parts->trainer, &checksum));
    return checksum;
}

/* --- Batches that spoil the statistics --- */

/* 0 .. 5: one pixel of the queries or the keys. */
static void spoil(int32_t way) {
    static const float pixels[3] = {NAN, -INFINITY, 1e25f};
    (way % 2 == 0 ? query_images : key_images)[5 * 3 * SIZE * SIZE + 17] = pixels[way / 2];
}

static void assert_bad_batches_leave_nothing(const training_configs *configs) {
    training_parts parts, twin;
    if (backend_is_missing(training_create(&parts, configs))) return;
    assert_non_null(parts.trainer);
    assert_ok(training_create(&twin, configs));
    for (int64_t step = 0; step < 3; ++step) {
        for (int32_t way = 0; way < 6; ++way) {
            const uint64_t before = checksum_of(&parts);
            fill_images(100 + step);
            spoil(way);
            assert_int_equal(try_step(&parts, ids), MOCO_INVALID_STATE);
            assert_non_null(strstr(moco_last_error(), "not finite"));
            assert_true(checksum_of(&parts) == before);
        }
        take_step(&parts, step);
        take_step(&twin, step);
        assert_true(checksum_of(&parts) == checksum_of(&twin));
    }
    training_destroy(&parts);
    training_destroy(&twin);
}

static void bad_batches_leave_nothing(void **state) {
    (void) state;
    for (size_t b = 0; b < TEST_BACKENDS; ++b) {
        for (int32_t dtype = MOCO_COMPUTE_F32; dtype <= MOCO_COMPUTE_BF16; ++dtype) {
            for (int32_t buffers = MOCO_BN_BUFFERS_OWN; buffers <= MOCO_BN_BUFFERS_AVERAGE; ++buffers) {
                training_configs configs = small_training(test_backends[b], 1);
                configs.encoder.compute_dtype = dtype;
                configs.momentum_encoder.bn_buffers = buffers;
                configs.trainer.momentum_end = 0.999; /* so that both schedules move */
                configs.learning_rate.kind = MOCO_SCHEDULE_COSINE;
                assert_bad_batches_leave_nothing(&configs);
            }
        }
    }
}

/* Layers without a channel-blocked layout, and one BatchNorm group. */
static void bad_batches_leave_nothing_in_an_mlp(void **state) {
    (void) state;
    for (size_t b = 0; b < TEST_BACKENDS; ++b) {
        training_configs configs = small_training(test_backends[b], 1);
        configs.encoder.architecture = "mlp";
        configs.encoder.mlp_input_dim = 3 * SIZE * SIZE;
        configs.encoder.mlp_hidden_dim = 32;
        configs.encoder.bn_groups = 1;
        assert_bad_batches_leave_nothing(&configs);
    }
}

/* --- Other failures --- */

static int32_t refuse_gradients(int64_t first, int64_t end, void *user) {
    (void) first;
    (void) end;
    return *(const int32_t *) user;
}

static void other_failures_leave_nothing(void **state) {
    (void) state;
    training_configs configs = small_training("auto", 1);
    configs.loss.mask_same_id = 1;
    configs.learning_rate.kind = MOCO_SCHEDULE_COSINE;
    training_parts parts, twin;
    int32_t answer = 1;
    assert_ok(training_create(&parts, &configs));
    assert_ok(training_create(&twin, &configs));
    take_step(&parts, 0);
    take_step(&twin, 0);
    const uint64_t before = checksum_of(&parts);
    fill_images(1);
    assert_int_equal(try_step(&parts, NULL), MOCO_INVALID_ARGUMENT); /* the loss needs them */
    assert_true(checksum_of(&parts) == before);
    /* one sample to two BatchNorm groups */
    assert_int_equal(moco_trainer_step(parts.trainer, query_images, key_images, ids, 1, SIZE, SIZE, NULL),
                     MOCO_INVALID_ARGUMENT);
    assert_true(checksum_of(&parts) == before);
    assert_ok(moco_encoder_set_gradient_hook(parts.encoder, refuse_gradients, &answer));
    assert_int_equal(try_step(&parts, ids), MOCO_CALLBACK);
    assert_true(checksum_of(&parts) == before);
    assert_ok(moco_optimizer_set_step_count(parts.optimizer, INT64_MAX));
    const uint64_t counted = checksum_of(&parts);
    assert_int_equal(try_step(&parts, ids), MOCO_INVALID_STATE);
    assert_true(checksum_of(&parts) == counted);
    assert_ok(moco_optimizer_set_step_count(parts.optimizer, 1));

    answer = 0;
    assert_ok(moco_encoder_set_gradient_hook(twin.encoder, refuse_gradients, &answer));
    for (int64_t step = 1; step < 4; ++step) {
        take_step(&parts, step);
        take_step(&twin, step);
        assert_true(checksum_of(&parts) == checksum_of(&twin));
    }
    training_destroy(&parts);
    training_destroy(&twin);
}

/* After a failure gradients are zero, whatever was in their memory meanwhile. */
static void gradients_are_zero_after_a_failure(void **state) {
    (void) state;
    const training_configs configs = small_training("auto", 1);
    training_parts parts;
    int64_t conv1 = 0;
    static float gradient[16 * 3 * 9];
    assert_ok(training_create(&parts, &configs));
    take_step(&parts, 0);
    fill_images(1);
    assert_ok(moco_encoder_find_parameter(parts.encoder, "conv1.weight", &conv1));
    assert_ok(moco_encoder_read_gradient(parts.encoder, conv1, gradient));
    assert_true(gradient[0] != 0.0f);
    spoil(1);
    assert_int_equal(try_step(&parts, ids), MOCO_INVALID_STATE);
    assert_ok(moco_encoder_read_gradient(parts.encoder, conv1, gradient));
    for (size_t i = 0; i < sizeof gradient / sizeof gradient[0]; ++i) assert_true(gradient[i] == 0.0f);
    training_destroy(&parts);
}

/* --- In a run --- */

static atomic_int image_is_spoilt; /* number 7; loader threads read it */

static int32_t describe_image(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user) {
    (void) user;
    *h = *w = SIZE;
    *label = (int32_t) index % 2;
    return 0;
}

static int32_t read_image(int64_t index, float *pixels, void *user) {
    (void) user;
    char name[32];
    snprintf(name, sizeof name, "image %lld", (long long) index);
    fill_uniform(pixels, 3 * SIZE * SIZE, name);
    for (int64_t i = 0; i < 3 * SIZE * SIZE && index == 7 && image_is_spoilt; ++i) pixels[i] = NAN;
    return 0;
}

static moco_trainer *trainer_over_images(moco_context *context) {
    moco_dataset *dataset = NULL;
    moco_recipe *recipe = NULL;
    moco_trainer *trainer = NULL;
    assert_ok(moco_dataset_create_callback(&dataset, context, 16, 3, describe_image, read_image, NULL));
    assert_ok(
        moco_recipe_create(&recipe, context, "cifar-demo:arch=cifar_resnet8,batch_size=4,bn_groups=1,queue_size=16"));
    assert_ok(moco_trainer_create_for(&trainer, dataset, recipe));
    moco_recipe_destroy(recipe);
    moco_dataset_destroy(dataset);
    return trainer;
}

static uint64_t checksum_of_trainer(moco_trainer *trainer) {
    uint64_t checksum = 0;
    assert_ok(moco_trainer_checksum(trainer, &checksum));
    return checksum;
}

typedef struct noted {
    moco_trainer *trainer;
    uint64_t checksum; /* after the last whole step */
} noted;

static int32_t note_checksum(const moco_step_stats *stats, void *user) {
    noted *last = (noted *) user;
    (void) stats;
    last->checksum = checksum_of_trainer(last->trainer);
    return 0;
}

/* The trainer's own loader stays before the batch, and gives it again. */
static void a_run_stops_before_the_bad_batch(void **state) {
    (void) state;
    moco_context *context = NULL;
    assert_ok(moco_context_create(&context, NULL));
    moco_trainer *trainer = trainer_over_images(context), *twin = trainer_over_images(context);
    noted last = {trainer, checksum_of_trainer(trainer)};
    image_is_spoilt = 1;
    assert_int_equal(moco_trainer_run(trainer, NULL, 2, 0, note_checksum, &last), MOCO_INVALID_STATE);
    assert_true(moco_trainer_step_count(trainer) < 4);
    assert_true(checksum_of_trainer(trainer) == last.checksum);
    image_is_spoilt = 0;
    assert_ok(moco_trainer_run(twin, NULL, 2, 0, NULL, NULL));
    assert_ok(moco_trainer_run(trainer, NULL, 2, 0, NULL, NULL)); /* from the batch that was not taken */
    assert_true(checksum_of_trainer(trainer) == checksum_of_trainer(twin));
    moco_trainer_destroy(trainer);
    moco_trainer_destroy(twin);
    moco_context_destroy(context);
}

/* --- By hand --- */

static void forwards_by_hand_leave_statistics_finite(void **state) {
    (void) state;
    for (size_t b = 0; b < TEST_BACKENDS; ++b) {
        const training_configs configs = small_training(test_backends[b], 1);
        training_parts parts;
        static float rows[N * 16], before[N * 16];
        if (backend_is_missing(training_create(&parts, &configs))) continue;
        moco_encoder *f_k = moco_momentum_encoder_key_encoder(parts.momentum_encoder);
        fill_images(0);
        assert_ok(moco_encoder_forward(parts.encoder, query_images, N, SIZE, SIZE, rows));
        memcpy(before, rows, sizeof rows);
        const uint64_t f_q_was = encoder_checksum(parts.encoder), f_k_was = encoder_checksum(f_k);
        for (int32_t way = 0; way < 6; way += 2) {
            fill_images(0);
            spoil(way);
            for (int32_t pass = 0; pass < 2; ++pass) {
                assert_int_equal(moco_encoder_forward_pass(parts.encoder, pass, query_images, N, SIZE, SIZE, rows),
                                 MOCO_INVALID_STATE);
                assert_non_null(strstr(moco_last_error(), "bn1.running_"));
            }
            assert_int_equal(moco_momentum_encoder_encode(parts.momentum_encoder, query_images, N, SIZE, SIZE, rows),
                             MOCO_INVALID_STATE);
            assert_true(encoder_checksum(parts.encoder) == f_q_was && encoder_checksum(f_k) == f_k_was);
            assert_int_equal(moco_encoder_batches_tracked(parts.encoder), 1);
            assert_int_equal(moco_encoder_batches_tracked(f_k), 0);
            assert_int_equal(moco_momentum_encoder_encode_count(parts.momentum_encoder), 0);
            assert_memory_equal(rows, before, sizeof rows);
            assert_int_equal(moco_encoder_backward(parts.encoder, rows, N), MOCO_INVALID_STATE); /* none waits */
        }
        training_destroy(&parts);
    }
}

/* --- Files --- */

static void assert_opens(moco_context *context, const char *path, const moco_encoder *saved) {
    moco_encoder *opened = NULL;
    const moco_status status = moco_encoder_open(&opened, context, path);
    if (status == MOCO_UNSUPPORTED) return; /* built without Jansson */
    assert_ok(status);
    assert_true(encoder_checksum(opened) == encoder_checksum(saved));
    moco_encoder_destroy(opened);
}

/* Whatever was tried on an encoder, a save either gives a file that opens or leaves the one that was there. */
static void what_save_accepts_open_accepts(void **state) {
    (void) state;
    const training_configs configs = small_training("auto", 1);
    temporary_folder folder;
    char path[TEST_PATH_SIZE];
    training_parts parts;
    static float rows[N * 16];
    make_temporary_folder(&folder);
    path_in(&folder, "encoder.safetensors", path);
    assert_ok(training_create(&parts, &configs));
    for (int32_t way = 0; way < 6; way += 2) {
        fill_images(way);
        spoil(way);
        assert_int_equal(moco_encoder_forward(parts.encoder, query_images, N, SIZE, SIZE, rows), MOCO_INVALID_STATE);
        assert_ok(moco_encoder_save(parts.encoder, path, NULL, NULL, 0));
        assert_opens(parts.context, path, parts.encoder);
    }
    const uint64_t good = encoder_checksum(parts.encoder);

    /* an exploded run: a gradient that is not finite, which nothing refuses */
    int64_t conv1 = 0;
    static float gradient[16 * 3 * 9];
    gradient[3] = INFINITY;
    assert_ok(moco_encoder_find_parameter(parts.encoder, "conv1.weight", &conv1));
    assert_ok(moco_encoder_write_gradient(parts.encoder, conv1, gradient));
    assert_ok(moco_optimizer_step(parts.optimizer));
    assert_int_equal(moco_encoder_save(parts.encoder, path, NULL, NULL, 0), MOCO_INVALID_STATE);
    assert_non_null(strstr(moco_last_error(), "element 3 of conv1.weight"));
    assert_int_equal(files_in(&folder), 1);
    moco_encoder *opened = NULL;
    if (moco_encoder_open(&opened, parts.context, path) == MOCO_OK) assert_true(encoder_checksum(opened) == good);
    moco_encoder_destroy(opened);
    training_destroy(&parts);
    remove_temporary_folder(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_batches_leave_nothing),        cmocka_unit_test(bad_batches_leave_nothing_in_an_mlp),
        cmocka_unit_test(other_failures_leave_nothing),     cmocka_unit_test(gradients_are_zero_after_a_failure),
        cmocka_unit_test(a_run_stops_before_the_bad_batch), cmocka_unit_test(forwards_by_hand_leave_statistics_finite),
        cmocka_unit_test(what_save_accepts_open_accepts),
    };
    return cmocka_run_group_tests_name("failed step", tests, NULL, NULL);
}
