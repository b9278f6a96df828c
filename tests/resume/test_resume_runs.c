/* A run that is killed and resumed gives what one without a pause gives, bit for bit: the losses of all steps, and in the
 * end all that moco_trainer_checksum is of. And a save that is killed leaves a checkpoint that loads. Runs and saves are
 * processes of their own, which this program starts of itself.
 *   test_resume_runs                  a few of each
 *   test_resume_runs full PLACES KILLS SEED
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "support/checkpoint_subject.h"
#include "support/passive_threads.h"
#include "support/temporary_folder.h"

enum { STEPS = 13, THREADS = 2, MISSING = 77 };

static int places = 1, kills = 8; /* for each backend and type; in all */
static uint32_t seed = 1;
static const char *program;

static void assert_ok(moco_status status) {
    if (status != MOCO_OK) fail_msg("status %d: %s", status, moco_last_error());
}

/* --- A run as a process --- */

typedef struct worker {
    subject subject;
    moco_checkpoint *checkpoint;
    const char *path;
    int64_t save_at, kill_at; /* after so many steps; 0: never */
    FILE *lines;
} worker;

static void end_unless_ok(moco_status status) {
    if (status == MOCO_OK) return;
    if (!backend_is_missing(status)) fprintf(stderr, "worker: %s\n", moco_last_error());
    exit(backend_is_missing(status) ? MISSING : 1);
}

/* Convolutions in blocked layouts and padding, a queue in either type, changing momentum, masked ids. Where processor or
 * backend have no bfloat16, only the queue is in it. */
static void open_run(worker *w, const char *backend, const char *dtype, uint64_t start) {
    training_configs c = small_training(backend, THREADS);
    const int bf16 = strcmp(dtype, "bf16") == 0;
    c.encoder.seed = c.queue.seed = start;
    c.encoder.compute_dtype = bf16 ? MOCO_COMPUTE_BF16 : MOCO_COMPUTE_F32;
    c.queue.storage = bf16 ? MOCO_QUEUE_STORAGE_BF16 : MOCO_QUEUE_STORAGE_F32;
    c.momentum_encoder.momentum = start == 0 ? 0.99 : 0.5;
    c.momentum_encoder.shuffle = 1;
    c.loss.mask_same_id = 1;
    c.learning_rate.epochs = 4.0;
    c.learning_rate.unit = MOCO_SCHEDULE_PER_STEP;
    c.trainer.momentum_end = 1.0;
    end_unless_ok(subject_open_as(&w->subject, &c, 2));
    end_unless_ok(moco_checkpoint_create(&w->checkpoint, w->subject.parts.context));
}

static int32_t on_step(const moco_step_stats *stats, void *user) {
    worker *w = (worker *) user;
    moco_trainer *trainer = w->subject.parts.trainer;
    const int64_t done = stats->step + 1;
    fprintf(w->lines, "%lld %a %a %a %a %lld\n", (long long) stats->step, stats->loss, stats->mean_negative_similarity,
            stats->learning_rate, stats->momentum, (long long) stats->queue_filled);
    fflush(w->lines);
    if (done == w->save_at) {
        if (done % 2 == 0) { /* half of them in the background, with steps behind it */
            end_unless_ok(moco_checkpoint_save(w->checkpoint, trainer, w->path, NULL, NULL, 0));
        } else {
            end_unless_ok(moco_trainer_save(trainer, w->path, NULL, NULL, 0));
        }
    }
    if (done == w->kill_at) {
        end_unless_ok(moco_checkpoint_wait(w->checkpoint));
        raise(SIGKILL);
    }
    return 0;
}

/* run BACKEND TYPE LINES CHECKPOINT SAVE_AT KILL_AT; with SAVE_AT -1 it goes on from the checkpoint. */
static int run(char **arguments) {
    worker w = {.path = arguments[3], .save_at = atoll(arguments[4]), .kill_at = atoll(arguments[5])};
    const int resumes = w.save_at < 0;
    open_run(&w, arguments[0], arguments[1], resumes ? 7 : 0);
    w.lines = fopen(arguments[2], "w");
    if (w.lines == NULL) return 1;
    if (resumes) end_unless_ok(moco_trainer_restore(w.subject.parts.trainer, w.path));
    end_unless_ok(moco_trainer_run(w.subject.parts.trainer, NULL, 0, STEPS, on_step, &w));
    fprintf(w.lines, "%016llx\n", (unsigned long long) subject_sum(&w.subject));
    const int failed = fclose(w.lines);
    moco_checkpoint_destroy(w.checkpoint);
    subject_close(&w.subject);
    return failed != 0;
}

/* --- Saving without end, as a process --- */

static training_configs saving_configs(void) {
    training_configs configs = subject_configs("reference", 0);
    configs.encoder.mlp_hidden_dim = 500; /* 1.2 MB */
    configs.learning_rate.epochs = 1e6;
    return configs;
}

/* save CHECKPOINT: goes on from what is there. */
static int save_for_ever(char **arguments) {
    const training_configs configs = saving_configs();
    const char *const key = "test.sum", *const path = arguments[0];
    subject s;
    end_unless_ok(subject_open_as(&s, &configs, 0));
    if (access(path, F_OK) == 0) end_unless_ok(moco_trainer_restore(s.parts.trainer, path));
    for (int64_t step = moco_trainer_step_count(s.parts.trainer); step < INT64_MAX; ++step) {
        char text[32];
        const char *const value = text;
        end_unless_ok(moco_trainer_run(s.parts.trainer, NULL, 0, step + 1, NULL, NULL));
        snprintf(text, sizeof text, "%016llx", (unsigned long long) subject_sum(&s));
        for (int i = 0; i < 8; ++i) end_unless_ok(moco_trainer_save(s.parts.trainer, path, &key, &value, 1));
    }
    return 1;
}

/* --- Starting them --- */

static pid_t start(const char *const *arguments) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0) return child;
    execv(program, (char *const *) (uintptr_t) arguments);
    _exit(127);
}

/* The exit code, or minus the signal that ended it. */
static int end_of(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int run_process(const char *backend, const char *dtype, const char *lines, const char *path, int64_t save_at,
                       int64_t kill_at) {
    char save_text[24], kill_text[24];
    snprintf(save_text, sizeof save_text, "%lld", (long long) save_at);
    snprintf(kill_text, sizeof kill_text, "%lld", (long long) kill_at);
    const char *const arguments[] = {program, "run", backend, dtype, lines, path, save_text, kill_text, NULL};
    return end_of(start(arguments));
}

static uint32_t below(uint32_t limit) {
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t) ((uint64_t) seed * limit >> 32);
}

/* The first `count` lines of a text end here. */
static size_t lines_end(const char *text, int64_t count) {
    const char *at = text;
    for (int64_t i = 0; i < count; ++i) {
        at = strchr(at, '\n');
        assert_non_null(at);
        ++at;
    }
    return (size_t) (at - text);
}

static void compare(const char *whole, const char *before, const char *after, int64_t saved_at, const char *what) {
    const size_t head = lines_end(whole, saved_at);
    if (strncmp(whole, before, head) != 0) fail_msg("%s: already differs before the save at %d", what, (int) saved_at);
    if (strcmp(whole + head, after) != 0) {
        fail_msg("%s: saved after step %d, resumed:\n%swithout a pause:\n%s", what, (int) saved_at, after,
                 whole + head);
    }
}

static char *read_lines(const char *path) {
    size_t size;
    char *text = (char *) read_whole_file(path, &size);
    assert_non_null(text);
    return text;
}

static void check_run(const char *backend, const char *dtype, const temporary_folder *folder) {
    char whole_path[TEST_PATH_SIZE], before_path[TEST_PATH_SIZE], after_path[TEST_PATH_SIZE], path[TEST_PATH_SIZE];
    char what[64];
    path_in(folder, "whole", whole_path);
    path_in(folder, "before", before_path);
    path_in(folder, "after", after_path);
    path_in(folder, "run.checkpoint", path);
    snprintf(what, sizeof what, "%s, %s", backend, dtype);
    const int code = run_process(backend, dtype, whole_path, path, 0, 0);
    if (code == MISSING) {
        print_message("%s: this build doesn't have it\n", what);
        return;
    }
    assert_int_equal(code, 0);
    char *whole = read_lines(whole_path);
    for (int i = 0; i < places; ++i) {
        const int64_t save_at = 1 + below(STEPS - 1), kill_at = save_at + below((uint32_t) (STEPS - save_at));
        assert_int_equal(run_process(backend, dtype, before_path, path, save_at, kill_at), -SIGKILL);
        assert_int_equal(run_process(backend, dtype, after_path, path, -1, 0), 0);
        char *before = read_lines(before_path), *after = read_lines(after_path);
        compare(whole, before, after, save_at, what);
        free(before);
        free(after);
    }
    print_message("%s: %d of %d resumed to the same bits\n", what, places, places);
    free(whole);
}

static void killed_runs_go_on(void **state) {
    temporary_folder folder;
    (void) state;
    make_temporary_folder(&folder);
    for (size_t i = 0; i < TEST_BACKENDS; ++i) {
        check_run(test_backends[i], "f32", &folder);
        check_run(test_backends[i], "bf16", &folder);
    }
    remove_temporary_folder(&folder);
}

static void killed_saves_leave_a_checkpoint(void **state) {
    (void) state;
    temporary_folder folder;
    char path[TEST_PATH_SIZE];
    subject s;
    const training_configs configs = saving_configs();
    make_temporary_folder(&folder);
    path_in(&folder, "run.checkpoint", path);
    assert_ok(subject_open_as(&s, &configs, 0));
    assert_ok(moco_trainer_save(s.parts.trainer, path, NULL, NULL, 0));
    const char *const arguments[] = {program, "save", path, NULL};
    int in_a_save = 0;
    for (int i = 0; i < kills; ++i) {
        char value[32] = "";
        const pid_t child = start(arguments);
        const struct timespec pause = {0, 20000000 + (long) below(80000000)};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        assert_int_equal(end_of(child), -SIGKILL);
        in_a_save += files_in(&folder) > 1;
        assert_in_range(files_in(&folder), 1, 2);
        assert_ok(moco_trainer_restore(s.parts.trainer, path));
        if (moco_file_metadata(s.parts.context, path, "test.sum", value, sizeof value, NULL) == MOCO_OK) {
            assert_true(subject_sum(&s) == strtoull(value, NULL, 16));
        }
    }
    print_message("%d of %d checkpoints loaded after a kill, %d of them in the middle of a save; %lld steps in all\n",
                  kills, kills, in_a_save, (long long) moco_trainer_step_count(s.parts.trainer));
    assert_true(moco_trainer_step_count(s.parts.trainer) > 0);
    assert_ok(moco_trainer_save(s.parts.trainer, path, NULL, NULL, 0));
    assert_int_equal(files_in(&folder), 1); /* what was left over is gone */
    subject_close(&s);
    remove_temporary_folder(&folder);
}

static int skip_without_jansson(void **state) {
    temporary_folder folder;
    char path[TEST_PATH_SIZE];
    subject s;
    (void) state;
    make_temporary_folder(&folder);
    assert_ok(subject_open(&s, 0));
    assert_ok(moco_trainer_save(s.parts.trainer, path_in(&folder, "run.checkpoint", path), NULL, NULL, 0));
    const moco_status status = moco_trainer_restore(s.parts.trainer, path);
    subject_close(&s);
    remove_temporary_folder(&folder);
    if (status != MOCO_UNSUPPORTED) return 0;
    print_message("built without Jansson: checkpoints can't be read\n");
    exit(77);
}

int main(int argc, char **argv) {
    let_waiting_threads_sleep(argv);
    program = argv[0];
    if (argc == 8 && strcmp(argv[1], "run") == 0) return run(argv + 2);
    if (argc == 3 && strcmp(argv[1], "save") == 0) return save_for_ever(argv + 2);
    if (argc == 5 && strcmp(argv[1], "full") == 0) {
        places = atoi(argv[2]);
        kills = atoi(argv[3]);
        seed = (uint32_t) strtoul(argv[4], NULL, 10);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_runs_go_on),
                                       cmocka_unit_test(killed_saves_leave_a_checkpoint)};
    return cmocka_run_group_tests_name("resumed runs", tests, skip_without_jansson, NULL);
}
