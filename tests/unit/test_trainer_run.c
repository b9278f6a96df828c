/* moco_trainer_run: epochs and step limits, the callback, stopping, and continuing in the middle of an epoch. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "support/training_loader.h"

typedef struct run_fixture {
    training_parts parts;
    training_loader data;
    int64_t calls;
    int64_t stop_at; /* the callback asks to stop in this step; -1: never */
#define _POSIX_C_SOURCE 200809L
    int32_t answer; /* of the callback in that step */
    double losses[64];
} run_fixture;

static run_fixture *make_fixture(int32_t workers) {
    run_fixture *f = (run_fixture *) calloc(1, sizeof *f);
    assert_non_null(f);
    training_configs configs = small_training("reference", 1);
    configs.learning_rate.epochs = 4.0;
    if (training_create(&f->parts, &configs) != MOCO_OK) fail_msg("%s", moco_last_error());
    if (training_loader_create(&f->data, f->parts.context, workers, 2, LOADER_BATCH) != MOCO_OK)
        fail_msg("%s", moco_last_error());
    f->stop_at = -1;
    return f;
}

static void destroy_fixture(run_fixture *f) {
    training_loader_destroy(&f->data);
    training_destroy(&f->parts);
    free(f);
}

static int32_t record_step(const moco_step_stats *stats, void *user) {
    run_fixture *f = (run_fixture *) user;
    f->losses[stats->step] = stats->loss;
    f->calls++;
    if (stats->epoch != stats->step / LOADER_EPOCH || stats->samples != LOADER_BATCH) return -1;
    if (stats->ns_load < 0 || (double) stats->ns_load * 1e-9 > stats->seconds) return -2;
    if (stats->step == f->stop_at) {
        if (f->answer != 0) return f->answer;
        moco_trainer_request_stop(f->parts.trainer);
    }
    return 0;
}

static moco_status run(run_fixture *f, int64_t epochs, int64_t max_steps) {
    return moco_trainer_run(f->parts.trainer, f->data.loader, epochs, max_steps, record_step, f);
}

static void assert_same_state(run_fixture *a, run_fixture *b) {
    uint64_t checksum_a = 0, checksum_b = 1;
    assert_int_equal(moco_queue_checksum(a->parts.queue, &checksum_a), MOCO_OK);
    assert_int_equal(moco_queue_checksum(b->parts.queue, &checksum_b), MOCO_OK);
    assert_true(checksum_a == checksum_b);
    assert_true(encoder_checksum(a->parts.encoder) == encoder_checksum(b->parts.encoder));
    assert_true(encoder_checksum(moco_momentum_encoder_key_encoder(a->parts.momentum_encoder)) ==
                encoder_checksum(moco_momentum_encoder_key_encoder(b->parts.momentum_encoder)));
    assert_memory_equal(a->losses, b->losses, sizeof a->losses);
}

static void epochs_and_steps_are_in_all(void **state) {
    (void) state;
    run_fixture *f = make_fixture(0);
    assert_int_equal(run(f, 2, 0), MOCO_OK);
    assert_int_equal(f->calls, 2 * LOADER_EPOCH);
    assert_int_equal(run(f, 2, 0), MOCO_OK); /* done already */
    assert_int_equal(f->calls, 2 * LOADER_EPOCH);
    assert_int_equal(run(f, 4, 2 * LOADER_EPOCH + 3), MOCO_OK);
    assert_int_equal(f->calls, 2 * LOADER_EPOCH + 3);
    assert_int_equal(moco_trainer_step_count(f->parts.trainer), 2 * LOADER_EPOCH + 3);
    assert_int_equal(run(f, 3, 100), MOCO_OK);
    assert_int_equal(f->calls, 3 * LOADER_EPOCH);
    assert_int_equal(moco_trainer_run(f->parts.trainer, f->data.loader, 3, 0, NULL, NULL), MOCO_OK);
    assert_int_equal(run(f, 0, 0), MOCO_OK); /* as many as the schedule has: 4 */
    assert_int_equal(f->calls, 4 * LOADER_EPOCH);
    assert_int_equal(moco_trainer_run(f->parts.trainer, NULL, 9, 0, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "loader"));
    destroy_fixture(f);
}

/* Runs cut at any step, even in mid-epoch, give the bits of one whole run. */
static void cut_runs_equal_a_whole_one(void **state) {
    (void) state;
    run_fixture *whole = make_fixture(0);
    run_fixture *cut = make_fixture(1);
    assert_int_equal(run(whole, 3, 0), MOCO_OK);
    static const int64_t cuts[] = {2, 3, LOADER_EPOCH, LOADER_EPOCH + 4, 3 * LOADER_EPOCH};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; ++i) assert_int_equal(run(cut, 3, cuts[i]), MOCO_OK);
    assert_int_equal(cut->calls, 3 * LOADER_EPOCH);
    assert_same_state(whole, cut);
    destroy_fixture(whole);
    destroy_fixture(cut);
}

/* The whole state carried over to new parts in mid-epoch continues with the same bits. */
static void new_parts_continue(void **state) {
    (void) state;
    run_fixture *whole = make_fixture(0);
    run_fixture *first = make_fixture(0);
    run_fixture *second = make_fixture(0);
    assert_int_equal(run(whole, 2, 0), MOCO_OK);
    assert_int_equal(run(first, 2, LOADER_EPOCH + 2), MOCO_OK);

    training_parts *from = &first->parts, *to = &second->parts;
    moco_encoder *from_key = moco_momentum_encoder_key_encoder(from->momentum_encoder);
    moco_encoder *to_key = moco_momentum_encoder_key_encoder(to->momentum_encoder);
    for (int64_t p = 0; p < moco_encoder_parameter_count(from->encoder); ++p) {
        static float values[64 * 64 * 9];
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_int_equal(moco_encoder_parameter_info(from->encoder, p, &info), MOCO_OK);
        assert_int_equal(moco_encoder_read_parameter(from->encoder, p, values), MOCO_OK);
        assert_int_equal(moco_encoder_write_parameter(to->encoder, p, values), MOCO_OK);
        assert_int_equal(moco_encoder_read_parameter(from_key, p, values), MOCO_OK);
        assert_int_equal(moco_encoder_write_parameter(to_key, p, values), MOCO_OK);
        if (info.kind != MOCO_PARAMETER_LEARNABLE) continue;
        assert_int_equal(moco_optimizer_read_state(from->optimizer, p, values), MOCO_OK);
        assert_int_equal(moco_optimizer_write_state(to->optimizer, p, values), MOCO_OK);
    }
    static float keys[40 * 16];
    static int64_t key_ids[40];
    assert_int_equal(moco_queue_read(from->queue, 0, 40, keys, key_ids), MOCO_OK);
    assert_int_equal(
        moco_queue_restore(to->queue, keys, key_ids, moco_queue_position(from->queue), moco_queue_filled(from->queue)),
        MOCO_OK);
    assert_int_equal(moco_optimizer_set_step_count(to->optimizer, moco_optimizer_step_count(from->optimizer)), MOCO_OK);
    assert_int_equal(moco_momentum_encoder_set_encode_count(to->momentum_encoder,
                                                            moco_momentum_encoder_encode_count(from->momentum_encoder)),
                     MOCO_OK);
    assert_int_equal(moco_trainer_set_step_count(to->trainer, moco_trainer_step_count(from->trainer)), MOCO_OK);
    assert_int_equal(run(second, 2, 0), MOCO_OK);
    memcpy(second->losses, first->losses, (LOADER_EPOCH + 2) * sizeof first->losses[0]);
    assert_same_state(whole, second);
    destroy_fixture(whole);
    destroy_fixture(first);
    destroy_fixture(second);
}

static void callback_stops_the_run(void **state) {
    (void) state;
    run_fixture *f = make_fixture(0);
    f->stop_at = 3;
    f->answer = 42;
    assert_int_equal(run(f, 2, 0), MOCO_CALLBACK);
    assert_non_null(strstr(moco_last_error(), "42"));
    assert_int_equal(moco_trainer_step_count(f->parts.trainer), 4);
    f->stop_at = -1;
    assert_int_equal(run(f, 2, 0), MOCO_OK);
    assert_int_equal(f->calls, 2 * LOADER_EPOCH);
    destroy_fixture(f);
}

static void request_stop_finishes_the_step(void **state) {
    (void) state;
    run_fixture *f = make_fixture(1);
    f->stop_at = 2;
    assert_int_equal(run(f, 2, 0), MOCO_CANCELLED);
    assert_int_equal(moco_trainer_step_count(f->parts.trainer), 3);
    assert_int_equal(f->calls, 3);
    f->stop_at = -1;
    moco_trainer_request_stop(f->parts.trainer); /* kept for the next run, and for that one only */
    moco_trainer_request_stop(f->parts.trainer);
    assert_int_equal(run(f, 2, 0), MOCO_CANCELLED);
    assert_int_equal(f->calls, 3);
    assert_int_equal(run(f, 2, 0), MOCO_OK);
    assert_int_equal(f->calls, 2 * LOADER_EPOCH);
    destroy_fixture(f);
}

static void *stop_soon(void *user) {
    const struct timespec pause = {0, 30 * 1000 * 1000};
    nanosleep(&pause, NULL);
    moco_trainer_request_stop((moco_trainer *) user);
    return NULL;
}

static void stopped_from_another_thread(void **state) {
    (void) state;
    run_fixture *f = make_fixture(0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, f->parts.trainer), 0);
    assert_int_equal(moco_trainer_run(f->parts.trainer, f->data.loader, 1000000, 0, NULL, NULL), MOCO_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(moco_optimizer_step_count(f->parts.optimizer), moco_trainer_step_count(f->parts.trainer));
    destroy_fixture(f);
}

static moco_trainer *signalled_trainer;

static void on_signal(int number) {
    (void) number;
    moco_trainer_request_stop(signalled_trainer);
}

static int32_t raise_signal(const moco_step_stats *stats, void *user) {
    (void) user;
    return stats->step == 1 ? raise(SIGUSR1) : 0;
}

static void stopped_from_a_signal_handler(void **state) {
    (void) state;
    run_fixture *f = make_fixture(0);
    signalled_trainer = f->parts.trainer;
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    assert_int_equal(moco_trainer_run(f->parts.trainer, f->data.loader, 9, 0, raise_signal, NULL), MOCO_CANCELLED);
    assert_int_equal(moco_trainer_step_count(f->parts.trainer), 2);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    destroy_fixture(f);
}

static void unfit_loaders_are_refused(void **state) {
    (void) state;
    run_fixture *f = make_fixture(0);
    run_fixture *other = make_fixture(0);
    training_loader one_view;
    moco_trainer *trainer = f->parts.trainer;
    assert_int_equal(training_loader_create(&one_view, f->parts.context, 0, 1, LOADER_BATCH), MOCO_OK);
    assert_int_equal(moco_trainer_run(trainer, one_view.loader, 1, 0, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "views"));
    assert_int_equal(moco_trainer_run(trainer, other->data.loader, 1, 0, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "context"));
    assert_int_equal(run(f, -1, 0), MOCO_INVALID_ARGUMENT);
    assert_int_equal(run(f, 1, -1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_step_count(trainer), 0);
    training_loader_destroy(&one_view);
    destroy_fixture(f);
    destroy_fixture(other);
}

/* --- Batches that the encoder can't take are told before the first step --- */

static moco_loader *loader_of(const training_loader *data, int64_t batch_size, int32_t drop_last) {
    moco_loader *loader = NULL;
    moco_loader_config config;
    moco_loader_config_init(&config, sizeof config);
    config.batch_size = batch_size;
    config.drop_last = drop_last;
    config.workers = 0;
    if (moco_loader_create(&loader, data->dataset, data->augment, &config) != MOCO_OK)
        fail_msg("%s", moco_last_error());
    return loader;
}

/* 22 images: the last of batches of 7 has one, less than the encoder's two BatchNorm groups. */
static void a_last_batch_that_does_not_fit_is_told_at_once(void **state) {
    (void) state;
    run_fixture *f = make_fixture(0);
    const uint64_t before = encoder_checksum(f->parts.encoder);
    moco_loader *loader = loader_of(&f->data, 7, 0);
    assert_int_equal(moco_trainer_run(f->parts.trainer, loader, 1, 0, record_step, f), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "drop_last is 0, and the last batch of an epoch has 1 images"));
    assert_non_null(strstr(moco_last_error(), "bn_groups is 2"));
    assert_int_equal(f->calls, 0);
    assert_int_equal(moco_trainer_step_count(f->parts.trainer), 0);
    assert_true(encoder_checksum(f->parts.encoder) == before);
    moco_loader_destroy(loader);
    loader = loader_of(&f->data, 1, 1); /* too few in each batch */
    assert_int_equal(moco_trainer_run(f->parts.trainer, loader, 1, 0, record_step, f), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "batch_size is 1: "));
    moco_loader_destroy(loader);
    const int64_t fits[2][2] = {{7, 1}, {6, 0}}; /* 3 batches of 7; 3 of 6 and one of 4 */
    for (int i = 0; i < 2; ++i) {
        loader = loader_of(&f->data, fits[i][0], (int32_t) fits[i][1]);
        assert_int_equal(moco_trainer_set_step_count(f->parts.trainer, 0), MOCO_OK);
        assert_int_equal(moco_trainer_run(f->parts.trainer, loader, 1, 0, NULL, NULL), MOCO_OK);
        assert_int_equal(moco_trainer_step_count(f->parts.trainer), i == 0 ? 3 : 4);
        moco_loader_destroy(loader);
    }
    destroy_fixture(f);
}

/* Groups of one image are enough unless a layer sees one pixel of it, as ResNet-18's last ones do at 8 x 8. */
static void a_recipe_with_such_a_batch_makes_no_trainer(void **state) {
    (void) state;
    static const struct {
        const char *description;
        const char *sentence; /* NULL: it is made */
    } cases[] = {
        {"quick:arch=cifar_resnet8,batch_size=5,bn_groups=2,drop_last=0", NULL}, /* 4 x 5 and 2 */
        {"quick:arch=cifar_resnet8,batch_size=7,bn_groups=2,drop_last=0", "last batch of an epoch has 1 images"},
        {"quick:arch=cifar_resnet8,batch_size=7,bn_groups=2", NULL},
        {"quick:arch=resnet18,stem=imagenet,batch_size=5,bn_groups=2,drop_last=0",
         "last batch of an epoch has 2 images"},
        {"quick:arch=resnet18,stem=imagenet,batch_size=5,bn_groups=2", NULL},
        {"quick:arch=resnet18,stem=imagenet,batch_size=5,bn_groups=4", "batch_size is 5: "},
    };
    run_fixture *f = make_fixture(0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        moco_recipe *recipe = NULL;
        moco_trainer *trainer = NULL;
        assert_int_equal(moco_recipe_create(&recipe, NULL, cases[i].description), MOCO_OK);
        const moco_status status = moco_trainer_create_for(&trainer, f->data.dataset, recipe);
        assert_int_equal(status, cases[i].sentence == NULL ? MOCO_OK : MOCO_INVALID_ARGUMENT);
        if (cases[i].sentence != NULL) assert_non_null(strstr(moco_last_error(), cases[i].sentence));
        assert_true((trainer == NULL) == (cases[i].sentence != NULL));
        moco_trainer_destroy(trainer);
        moco_recipe_destroy(recipe);
    }
    destroy_fixture(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epochs_and_steps_are_in_all),
        cmocka_unit_test(cut_runs_equal_a_whole_one),
        cmocka_unit_test(new_parts_continue),
        cmocka_unit_test(callback_stops_the_run),
        cmocka_unit_test(request_stop_finishes_the_step),
        cmocka_unit_test(stopped_from_another_thread),
        cmocka_unit_test(stopped_from_a_signal_handler),
        cmocka_unit_test(unfit_loaders_are_refused),
        cmocka_unit_test(a_last_batch_that_does_not_fit_is_told_at_once),
        cmocka_unit_test(a_recipe_with_such_a_batch_makes_no_trainer),
    };
    return cmocka_run_group_tests_name("trainer run", tests, NULL, NULL);
}
