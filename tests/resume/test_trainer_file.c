/* A trainer's file: it goes on to the same bits, what does not fit or is damaged is refused with the trainer as it was, and
 * the background writer tells its failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "checkpoint/checkpoint_file.h"
#include "support/checkpoint_subject.h"
#include "support/temporary_folder.h"

static temporary_folder folder;
static char path[TEST_PATH_SIZE];

static int set_up(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    path_in(&folder, "run.checkpoint", path);
    return 0;
}

static int tear_down(void **state) {
    (void) state;
    remove_temporary_folder(&folder);
    return 0;
}

static void assert_ok(moco_status status) {
    if (status != MOCO_OK) fail_msg("status %d: %s", status, moco_last_error());
}

static void assert_says(const char *part) {
    if (strstr(moco_last_error(), part) == NULL) fail_msg("\"%s\" is not in: %s", part, moco_last_error());
}

static void train_to(subject *s, int64_t steps) {
    assert_ok(moco_trainer_run(s->parts.trainer, NULL, 0, steps, NULL, NULL));
}

static void save(subject *s) {
    assert_ok(moco_trainer_save(s->parts.trainer, path, NULL, NULL, 0));
}

/* The refusal says `part`, and the trainer is as it was. */
static void assert_refused(subject *s, moco_status expected, const char *part) {
    const uint64_t before = subject_sum(s);
    const moco_status status = moco_trainer_restore(s->parts.trainer, path);
    if (status != expected) fail_msg("status %d instead of %d: %s", status, expected, moco_last_error());
    assert_says(part);
    assert_true(subject_sum(s) == before);
}

static void it_goes_on_to_the_same_bits(void **state) {
    (void) state;
    static const int64_t places[] = {0, 1, 7, LOADER_EPOCH}; /* none yet, mid-epoch, an epoch's end */
    for (size_t i = 0; i < sizeof places / sizeof places[0]; ++i) {
        subject a, b;
        assert_ok(subject_open(&a, 0));
        assert_ok(subject_open(&b, 5));
        assert_ok(moco_encoder_set_parameter_flags(a.parts.encoder, 0, MOCO_PARAMETER_NO_DECAY));
        if (places[i] > 0) train_to(&a, places[i]); /* 0 steps are no limit */
        train_to(&b, 3);
        save(&a);
        assert_ok(moco_trainer_restore(b.parts.trainer, path));
        assert_true(subject_sum(&a) == subject_sum(&b));
        assert_int_equal(moco_trainer_step_count(b.parts.trainer), places[i]);
        train_to(&a, 12);
        train_to(&b, 12);
        assert_true(subject_sum(&a) == subject_sum(&b));
        assert_int_equal(files_in(&folder), 1);
        subject_close(&a);
        subject_close(&b);
    }
}

static int32_t restore_in_the_run(const moco_step_stats *stats, void *user) {
    subject *s = (subject *) user;
    if (stats->step != 4) return 0;
    assert_int_equal(moco_trainer_restore(s->parts.trainer, path), MOCO_INVALID_STATE);
    return 0;
}

/* A run saves itself from its callback; it can't go back in time there, and is as if it had not tried. */
static void a_callback_can_not_restore(void **state) {
    (void) state;
    subject a, b;
    assert_ok(subject_open(&a, 0));
    assert_ok(subject_open(&b, 0));
    train_to(&a, 2);
    save(&a);
    assert_ok(moco_trainer_run(a.parts.trainer, NULL, 0, 12, restore_in_the_run, &a));
    train_to(&b, 12);
    assert_true(subject_sum(&a) == subject_sum(&b));
    subject_close(&a);
    subject_close(&b);
}

/* A loader that the program hands to run() is placed by the step count, whichever of the two trainers has one. */
static void a_loader_of_the_programs_own(void **state) {
    (void) state;
    training_configs configs = subject_configs("reference", 0);
    training_parts alone;
    subject own;
    training_loader data;
    assert_ok(training_create(&alone, &configs));
    assert_ok(training_loader_create(&data, alone.context, 0, 2, LOADER_BATCH));
    assert_ok(moco_trainer_run(alone.trainer, data.loader, 0, 7, NULL, NULL));
    assert_ok(subject_open(&own, 5));
    assert_ok(moco_trainer_save(alone.trainer, path, NULL, NULL, 0));
    assert_ok(moco_trainer_restore(own.parts.trainer, path)); /* without a loader to with one */
    train_to(&own, 9);
    save(&own);
    assert_ok(moco_trainer_restore(alone.trainer, path)); /* and the other way */
    train_to(&own, 12);
    assert_ok(moco_trainer_run(alone.trainer, data.loader, 0, 12, NULL, NULL));
    assert_true(encoder_checksum(own.parts.encoder) == encoder_checksum(alone.encoder));
    training_loader_destroy(&data);
    training_destroy(&alone);
    subject_close(&own);
}

/* Every setting by itself, with both values in the sentence. */
static void what_differs_is_named(void **state) {
    (void) state;
    subject a, b;
    training_configs other = subject_configs("reference", 0);
    assert_ok(subject_open(&a, 0));
    train_to(&a, 2);
    save(&a);
    other.queue.capacity = 16;
    assert_ok(subject_open_as(&b, &other, 0));
    assert_refused(&b, MOCO_INVALID_ARGUMENT, "saved with queue.capacity = 12, where this trainer has 16");
    assert_null(strstr(moco_last_error(), "BF16")); /* what follows from it is left out */
    subject_close(&b);

    other.learning_rate.base = 0.5;
    other.optimizer.momentum = 0.5;
    assert_ok(subject_open_as(&b, &other, 0));
    assert_refused(&b, MOCO_INVALID_ARGUMENT, "with optimizer.momentum = 0.9, where this trainer has 0.5");
    assert_says("schedule.base = 0.03, where this trainer has 0.5");
    assert_says("queue.capacity = 12");
    assert_says(path);
    subject_close(&b);

    other = subject_configs("reference", 0);
    other.encoder.architecture = "cifar_resnet8";
    assert_ok(subject_open_as(&b, &other, 0));
    assert_refused(&b, MOCO_INVALID_ARGUMENT, "query_encoder.architecture = mlp, where this trainer has cifar_resnet8");
    subject_close(&b);

    other = subject_configs("reference", 0); /* more than a sentence holds */
    other.encoder.bn_eps = other.encoder.bn_momentum = 0.25;
    other.encoder.bn_layout = 1 - other.encoder.bn_layout;
    other.optimizer.momentum = other.optimizer.dampening = other.optimizer.weight_decay = 0.25;
    other.learning_rate.base = other.learning_rate.gamma = other.learning_rate.warmup_epochs = 0.25;
    other.loss.mask_same_id = other.momentum_encoder.shuffle = 0;
    assert_ok(subject_open_as(&b, &other, 0));
    assert_refused(&b, MOCO_INVALID_ARGUMENT, "where this trainer has 0.25, and more");
    subject_close(&b);
    subject_close(&a);
}

/* The file as a snapshot, to be changed and written again with a checksum that is right. */
static void read_back(const subject *s, moco_snapshot *snapshot) {
    moco_snapshot_init(snapshot, s->parts.context);
    assert_ok(moco_checkpoint_read(snapshot, path));
}

static void write_again(moco_snapshot *snapshot) {
    assert_ok(moco_checkpoint_write(snapshot, path));
    moco_snapshot_release(snapshot);
}

static int64_t value_called(const moco_snapshot *snapshot, const char *name) {
    for (int64_t i = 0; i < snapshot->value_count; ++i) {
        if (strcmp(snapshot->values[i].name, name) == 0) return i;
    }
    fail_msg("no %s", name);
    return -1;
}

static moco_snapshot_setting *setting_called(const moco_snapshot *snapshot, const char *name) {
    for (int64_t i = 0; i < snapshot->setting_count; ++i) {
        if (strcmp(snapshot->settings[i].name, name) == 0) return &snapshot->settings[i];
    }
    fail_msg("no %s", name);
    return NULL;
}

/* States that no trainer can be in, found while it is written: all that was written before is taken back. */
static void states_that_cannot_be(void **state) {
    (void) state;
    static const struct {
        const char *name;
        int64_t number;
    } cases[] = {{"numbers.queue.position", 12},      {"numbers.queue.filled", -1},
                 {"numbers.trainer.step_count", -1},  {"numbers.loader.batch", 1000},
                 {"numbers.loader.epoch", -1},        {"numbers.optimizer.step_count", -4},
                 {"numbers.loader.running", 2},       {"numbers.loader.replaced", 1000},
                 {"numbers.query_encoder.flags", -1}, {"numbers.momentum_encoder.encode_count", -1}};
    subject a, b;
    moco_snapshot snapshot;
    assert_ok(subject_open(&a, 0));
    assert_ok(subject_open(&b, 5));
    train_to(&a, 7);
    train_to(&b, 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        save(&a);
        read_back(&a, &snapshot);
        memcpy(moco_snapshot_bytes(&snapshot, value_called(&snapshot, cases[i].name)), &cases[i].number,
               sizeof cases[i].number);
        write_again(&snapshot);
        assert_refused(&b, MOCO_FORMAT, "holds a state that can't be");
    }
    subject_close(&a);
    subject_close(&b);
}

static void names_that_do_not_fit(void **state) {
    (void) state;
    subject a, b;
    moco_snapshot snapshot;
    assert_ok(subject_open(&a, 0));
    assert_ok(subject_open(&b, 5));
    save(&a);
    read_back(&a, &snapshot);
    char *name = snapshot.values[value_called(&snapshot, "queue.keys")].name;
    name[0] = 'Q';
    write_again(&snapshot);
    assert_refused(&b, MOCO_INVALID_ARGUMENT, "without queue.keys, with Queue.keys, which this trainer doesn't have");

    save(&a);
    read_back(&a, &snapshot);
    snapshot.values[value_called(&snapshot, "queue.keys")].entry.dims[0] = 6; /* 6 x 8 instead of 12 x 4 */
    snapshot.values[value_called(&snapshot, "queue.keys")].entry.dims[1] = 8;
    write_again(&snapshot);
    assert_refused(&b, MOCO_INVALID_ARGUMENT, "queue.keys of BF16 [6, 8], where this trainer has BF16 [12, 4]");

    save(&a);
    read_back(&a, &snapshot);
    assert_ok(moco_snapshot_add_setting(&snapshot, "queue", "colour", "blue"));
    write_again(&snapshot);
    assert_refused(&b, MOCO_INVALID_ARGUMENT, "with queue.colour = blue, which this trainer doesn't have");
    subject_close(&a);
    subject_close(&b);
}

/* A file of an older library lacks the settings that came later: at their defaults they pass. */
static void settings_that_came_later(void **state) {
    (void) state;
    static const struct {
        const char *name;
        int32_t passes;
    } cases[] = {{"queue.start", 1},     {"augment.interpolation", 1},
                 {"loader.rank", 1},     {"query_encoder.bn_layout", 1},
                 {"queue.storage", 0},   {"momentum_encoder.bn_buffers", 0},
                 {"schedule.epochs", 0}, {"trainer.method", 0}};
    subject a, b;
    moco_snapshot snapshot;
    assert_ok(subject_open(&a, 0));
    assert_ok(subject_open(&b, 5));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        save(&a);
        read_back(&a, &snapshot);
        moco_snapshot_setting *setting = setting_called(&snapshot, cases[i].name);
        memcpy(setting->name, "run", 3); /* which tells only */
        if (setting->name[3] != '.')
            memmove(setting->name + 3, strchr(setting->name, '.'), strlen(strchr(setting->name, '.')) + 1);
        write_again(&snapshot);
        if (cases[i].passes) {
            assert_ok(moco_trainer_restore(b.parts.trainer, path));
        } else {
            char sentence[128];
            snprintf(sentence, sizeof sentence, "without %s, where this trainer has", cases[i].name);
            assert_refused(&b, MOCO_INVALID_ARGUMENT, sentence);
        }
    }
    subject_close(&a);
    subject_close(&b);
}

/* Every byte of a file changed, and the file cut anywhere: refused, or none of what is restored has changed. */
static void damaged_files(void **state) {
    (void) state;
    subject a, b;
    assert_ok(subject_open(&a, 0));
    assert_ok(subject_open(&b, 5));
    train_to(&a, 7);
    const char *const key = "pretrain.lines", *const value = "120";
    assert_ok(moco_trainer_save(a.parts.trainer, path, &key, &value, 1));
    size_t size = 0;
    unsigned char *bytes = read_whole_file(path, &size);
    const uint64_t before = subject_sum(&b);
    size_t refused = 0;
    for (size_t i = 0; i < size; i += i < 4096 ? 7 : 61) {
        bytes[i] ^= 1;
        write_whole_file(path, bytes, size);
        bytes[i] ^= 1;
        const moco_status status = moco_trainer_restore(b.parts.trainer, path);
        if (status != MOCO_OK) {
            refused++;
            assert_true(subject_sum(&b) == before);
            continue;
        }
        fail_msg("byte %zu changed and nobody noticed", i);
    }
    assert_true(refused > 300);
    for (size_t cut = 0; cut < size; cut += 1 + size / 50) {
        write_whole_file(path, bytes, cut);
        assert_int_equal(moco_trainer_restore(b.parts.trainer, path), MOCO_FORMAT);
        assert_true(subject_sum(&b) == before);
    }
    write_whole_file(path, bytes, size);
    assert_ok(moco_trainer_restore(b.parts.trainer, path));
    assert_true(subject_sum(&b) == subject_sum(&a));
    free(bytes);
    subject_close(&a);
    subject_close(&b);
}

static void files_that_are_none(void **state) {
    (void) state;
    subject a;
    moco_snapshot snapshot;
    assert_ok(subject_open(&a, 0));
    assert_refused(&a, MOCO_NOT_FOUND, path);
    assert_ok(moco_encoder_save(a.parts.encoder, path, NULL, NULL, 0));
    assert_refused(&a, MOCO_FORMAT, "is no checkpoint of a trainer");
    assert_int_equal(moco_trainer_restore(NULL, path), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_restore(a.parts.trainer, NULL), MOCO_INVALID_ARGUMENT);
    save(&a);
    read_back(&a, &snapshot);
    write_again(&snapshot);
    /* The version of a newer library, in the header's own text. */
    size_t size = 0;
    unsigned char *bytes = read_whole_file(path, &size);
    static const char version[] = "\"moco.checkpoint\":\"1\"";
    for (size_t i = 0; i + sizeof version < 4096; ++i) {
        if (memcmp(bytes + i, version, sizeof version - 1) == 0) bytes[i + sizeof version - 3] = '7';
    }
    write_whole_file(path, bytes, size);
    free(bytes);
    assert_refused(&a, MOCO_UNSUPPORTED, "is a checkpoint of version 7");
    subject_close(&a);
}

static void notes_are_kept(void **state) {
    (void) state;
    subject a;
    const char *const keys[] = {"program.lines", "program.best"};
    const char *const values[] = {"17", "0.5 = \"half\"\nand a second line"};
    char value[64];
    uint64_t length = 0;
    assert_ok(subject_open(&a, 0));
    assert_ok(moco_trainer_save(a.parts.trainer, path, keys, values, 2));
    for (int i = 0; i < 2; ++i) {
        assert_ok(moco_file_metadata(a.parts.context, path, keys[i], value, sizeof value, &length));
        assert_string_equal(value, values[i]);
    }
    assert_ok(moco_trainer_restore(a.parts.trainer, path));
    static const char *const wrong[] = {"format", "moco.settings", "a=b", "", "two\nlines", NULL};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
        assert_int_equal(moco_trainer_save(a.parts.trainer, path, &wrong[i], values, 1), MOCO_INVALID_ARGUMENT);
        assert_says("keys[0]");
    }
    assert_int_equal(moco_trainer_save(a.parts.trainer, path, NULL, values, 1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_save(a.parts.trainer, path, keys, values, -1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_save(NULL, path, NULL, NULL, 0), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_save(a.parts.trainer, NULL, NULL, NULL, 0), MOCO_INVALID_ARGUMENT);
    assert_ok(moco_trainer_restore(a.parts.trainer, path)); /* the file is still there */
    subject_close(&a);
}

static void saved_in_the_background(void **state) {
    (void) state;
    subject a, b;
    moco_checkpoint *checkpoint = NULL;
    assert_ok(subject_open(&a, 0));
    assert_ok(subject_open(&b, 5));
    assert_ok(moco_checkpoint_create(&checkpoint, a.parts.context));
    assert_ok(moco_checkpoint_wait(checkpoint)); /* for nothing */
    train_to(&a, 7);
    const uint64_t sum = subject_sum(&a);
    assert_ok(moco_checkpoint_save(checkpoint, a.parts.trainer, path, NULL, NULL, 0));
    train_to(&a, 9); /* the copy is of step 7 whatever happens now */
    assert_ok(moco_checkpoint_wait(checkpoint));
    assert_int_equal(moco_checkpoint_busy(checkpoint), 0);
    assert_ok(moco_trainer_restore(b.parts.trainer, path));
    assert_true(subject_sum(&b) == sum);

    char nowhere[TEST_PATH_SIZE];
    path_in(&folder, "no/such/folder", nowhere);
    assert_ok(moco_checkpoint_save(checkpoint, a.parts.trainer, nowhere, NULL, NULL, 0));
    assert_int_equal(moco_checkpoint_save(checkpoint, a.parts.trainer, path, NULL, NULL, 0), MOCO_IO);
    assert_says("no/such/folder");
    assert_ok(moco_trainer_restore(b.parts.trainer, path));
    assert_true(subject_sum(&b) == sum); /* that call saved nothing */
    assert_ok(moco_checkpoint_save(checkpoint, a.parts.trainer, path, NULL, NULL, 0));
    assert_ok(moco_checkpoint_wait(checkpoint));
    assert_ok(moco_trainer_restore(b.parts.trainer, path));
    assert_true(subject_sum(&b) == subject_sum(&a));
    assert_ok(moco_checkpoint_save(checkpoint, a.parts.trainer, nowhere, NULL, NULL, 0));
    assert_int_equal(moco_checkpoint_wait(checkpoint), MOCO_IO);
    assert_ok(moco_checkpoint_wait(checkpoint)); /* told once */

    assert_int_equal(moco_checkpoint_save(checkpoint, b.parts.trainer, path, NULL, NULL, 0), MOCO_INVALID_ARGUMENT);
    assert_says("another context");
    assert_ok(moco_checkpoint_save(checkpoint, a.parts.trainer, path, NULL, NULL, 0));
    moco_checkpoint_destroy(checkpoint); /* which waits */
    assert_ok(moco_trainer_restore(b.parts.trainer, path));
    moco_checkpoint_destroy(NULL);
    assert_int_equal(moco_checkpoint_busy(NULL), 0);
    assert_int_equal(moco_checkpoint_wait(NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_checkpoint_create(NULL, a.parts.context), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_checkpoint_create(&checkpoint, NULL), MOCO_INVALID_ARGUMENT);
    subject_close(&a);
    subject_close(&b);
}

/* 1 where this build has no JSON reader: files are written, and their reading says what is missing. */
static int32_t lacks_jansson(void) {
    subject a;
    set_up(NULL);
    assert_ok(subject_open(&a, 0));
    save(&a);
    const moco_status status = moco_trainer_restore(a.parts.trainer, path);
    if (status == MOCO_UNSUPPORTED) assert_says("Jansson");
    subject_close(&a);
    tear_down(NULL);
    return status == MOCO_UNSUPPORTED;
}

static int skip_without_jansson(void **state) {
    (void) state;
    if (!lacks_jansson()) return 0;
    print_message("built without Jansson: checkpoints can't be read, the rest is skipped\n");
    exit(77);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_goes_on_to_the_same_bits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_callback_can_not_restore, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loader_of_the_programs_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_differs_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(states_that_cannot_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_that_do_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settings_that_came_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_that_are_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(notes_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(saved_in_the_background, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("a trainer's file", tests, skip_without_jansson, NULL);
}
