/* Each write, fsync, close and rename of a save fails once, in turn, in every way that it can: the file that loads
 * afterwards is the old one or the new one, whole, and where it isn't the new one the caller is told. The linker puts this
 * file's functions in place of the system's (--wrap in CMakeLists.txt).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "support/checkpoint_subject.h"
#include "support/temporary_folder.h"

/* --- The system's functions, of which one call fails --- */

enum { WRITE, FSYNC, CLOSE, RENAME, FUNCTIONS };
static const char *const function_names[FUNCTIONS] = {"write", "fsync", "close", "renameat"};

#define SHORT (-1) /* of a write: half of it */

static atomic_int armed, calls, failed;
static int failing, fail_at, fail_with;

/* 1 if this call of `function` is the one to fail. */
static int fails(int function) {
    if (!atomic_load(&armed) || function != failing || atomic_fetch_add(&calls, 1) != fail_at) return 0;
    atomic_store(&failed, 1);
    errno = fail_with;
    return 1;
}

ssize_t __real_write(int descriptor, const void *bytes, size_t count);
int __real_fsync(int descriptor);
int __real_close(int descriptor);
int __real_renameat(int from_folder, const char *from, int to_folder, const char *to);
ssize_t __wrap_write(int descriptor, const void *bytes, size_t count);
int __wrap_fsync(int descriptor);
int __wrap_close(int descriptor);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to);

ssize_t __wrap_write(int descriptor, const void *bytes, size_t count) {
    if (!fails(WRITE)) return __real_write(descriptor, bytes, count);
    if (fail_with == SHORT) return __real_write(descriptor, bytes, count / 2 + 1);
    if (fail_with == ENOSPC) (void) __real_write(descriptor, bytes, count / 2); /* as a disk that fills up */
    errno = fail_with;
    return -1;
}

int __wrap_fsync(int descriptor) {
    return fails(FSYNC) ? -1 : __real_fsync(descriptor);
}

int __wrap_close(int descriptor) {
    if (!fails(CLOSE)) return __real_close(descriptor);
    (void) __real_close(descriptor);
    errno = fail_with;
    return -1;
}

int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return fails(RENAME) ? -1 : __real_renameat(from_folder, from, to_folder, to);
}

/* --- Saves --- */

static temporary_folder folder;
static char path[TEST_PATH_SIZE];
static subject saved, loaded;
static moco_checkpoint *checkpoint;

static void assert_ok(moco_status status) {
    if (status != MOCO_OK) fail_msg("status %d: %s", status, moco_last_error());
}

static moco_status save(void) {
    return moco_trainer_save(saved.parts.trainer, path, NULL, NULL, 0);
}

static moco_status save_in_background(void) {
    MOCO_TRY(moco_checkpoint_save(checkpoint, saved.parts.trainer, path, NULL, NULL, 0));
    return moco_checkpoint_wait(checkpoint);
}

static uint64_t restored_sum(void) {
    assert_ok(moco_trainer_restore(loaded.parts.trainer, path));
    return subject_sum(&loaded);
}

/* One save of a new state over an old one with call number `at` of the function failing; 0: it has fewer calls. */
static int save_with_a_fault(moco_status (*call)(void), int function, int at, int error) {
    const uint64_t before = restored_sum();
    assert_ok(
        moco_trainer_run(saved.parts.trainer, NULL, 0, moco_trainer_step_count(saved.parts.trainer) + 1, NULL, NULL));
    const uint64_t after = subject_sum(&saved);
    assert_true(before != after);
    failing = function;
    fail_at = at;
    fail_with = error;
    atomic_store(&calls, 0);
    atomic_store(&failed, 0);
    atomic_store(&armed, 1);
    const moco_status status = call();
    atomic_store(&armed, 0);
    char sentence[1024];
    snprintf(sentence, sizeof sentence, "%s", status == MOCO_OK ? "" : moco_last_error());

    const uint64_t now = restored_sum();
    if (now != before && now != after)
        fail_msg("%s %d with %d: neither the old nor the new", function_names[function], at, error);
    if (status == MOCO_OK) {
        assert_true(now == after);
        assert_int_equal(files_in(&folder), 1);
    } else {
        assert_int_equal(status, MOCO_IO);
        assert_non_null(strstr(sentence, path));
        assert_true(strlen(strrchr(sentence, ':')) > 5); /* with the system's reason */
    }
    assert_ok(save()); /* afterwards all is well, and nothing is left */
    assert_true(restored_sum() == after);
    assert_int_equal(files_in(&folder), 1);
    /* What is only to be done again, or in another way, is no failure. */
    const int mended = error == SHORT || error == EINTR || error == EBUSY || error == EXDEV;
    if (atomic_load(&failed) && mended) assert_int_equal(status, MOCO_OK);
    return atomic_load(&failed);
}

static int saves_told;

static void every_call(moco_status (*call)(void)) {
    static const struct {
        int function;
        int errors[5]; /* 0 ends them */
        int least;     /* calls that a save has */
    } faults[] = {{WRITE, {ENOSPC, EIO, EINTR, SHORT}, 4},
                  {FSYNC, {EIO, ENOSPC, EINTR}, 2},
                  {CLOSE, {EIO, ENOSPC, EINTR}, 3},
                  {RENAME, {EIO, ENOSPC, EBUSY, EXDEV}, 1}};
    for (size_t f = 0; f < sizeof faults / sizeof faults[0]; ++f) {
        for (int e = 0; e < 5 && faults[f].errors[e] != 0; ++e) {
            int at = 0;
            while (save_with_a_fault(call, faults[f].function, at, faults[f].errors[e])) ++at;
            assert_true(at >= faults[f].least);
            saves_told += at;
        }
    }
}

static void every_call_of_a_save(void **state) {
    (void) state;
    every_call(save);
    print_message("%d faults, each followed by the old or the new checkpoint\n", saves_told);
}

static void every_call_in_the_background(void **state) {
    (void) state;
    assert_ok(moco_checkpoint_create(&checkpoint, saved.parts.context));
    every_call(save_in_background);
    moco_checkpoint_destroy(checkpoint);
}

static int set_up(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    path_in(&folder, "run.checkpoint", path);
    training_configs configs = subject_configs("reference", 0);
    configs.encoder.mlp_hidden_dim = 450; /* tensors that are written by themselves */
    configs.learning_rate.epochs = 1000.0;
    assert_ok(subject_open_as(&saved, &configs, 0));
    assert_ok(subject_open_as(&loaded, &configs, 0));
    assert_ok(save());
    if (moco_trainer_restore(loaded.parts.trainer, path) != MOCO_UNSUPPORTED) return 0;
    print_message("built without Jansson: checkpoints can't be read\n");
    exit(77);
}

static int tear_down(void **state) {
    (void) state;
    subject_close(&saved);
    subject_close(&loaded);
    remove_temporary_folder(&folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_call_of_a_save),
                                       cmocka_unit_test(every_call_in_the_background)};
    return cmocka_run_group_tests_name("write faults", tests, set_up, tear_down);
}
