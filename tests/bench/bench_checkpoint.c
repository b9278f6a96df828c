/* Checkpoints against the disk: saving and restoring a trainer's state in turns with `cp` and fsync of the file that it
 * makes, and how long a training stands still for checkpoints in the background.
 *
 *   bench_checkpoint [--arch resnet18] [--queue-size 16384] [--reps 9] [--folder .] [--threads 2]
 *                    [--steps 60] [--every 10] [--n 32] [--size 64]
 *
 * One JSON object a line: medians in milliseconds; ratio = cp's time over ours (1: as fast as cp). `stall_percent` is the
 * part of the training's time that was spent in moco_checkpoint_save, in which the state is copied and a save that is still
 * under way is waited for; `slower_percent` is how much longer the steps took than those of the same run without saves,
 * which the writing thread's share of processors and memory is in.
 */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define MOST_REPS 100
#define PATH_SIZE 4096

static char saved_path[PATH_SIZE], copied_path[PATH_SIZE];

/* --- cp, and the file on the disk --- */

static int copy_and_sync(void) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        execlp("cp", "cp", saved_path, copied_path, (char *) NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return 0;
    const int descriptor = open(copied_path, O_RDONLY);
    const int synced = descriptor >= 0 && fsync(descriptor) == 0;
    if (descriptor >= 0) close(descriptor);
    return synced;
}

typedef struct timing {
    double save[MOST_REPS], restore[MOST_REPS], copy[MOST_REPS];
} timing;

static moco_status measure_file(moco_trainer *trainer, int reps, timing *t) {
    for (int i = -1; i < reps; ++i) { /* the first one warms up */
        const int kept = i < 0 ? 0 : i;
        const double start = bench_now_ms();
        moco_status status = moco_trainer_save(trainer, saved_path, NULL, NULL, 0);
        const double saved = bench_now_ms();
        if (status != MOCO_OK) return status;
        if (!copy_and_sync()) return MOCO_IO;
        const double copied = bench_now_ms();
        status = moco_trainer_restore(trainer, saved_path);
        t->restore[kept] = bench_now_ms() - copied;
        t->copy[kept] = copied - saved;
        t->save[kept] = saved - start;
        if (status != MOCO_OK) return status;
    }
    return MOCO_OK;
}

static void report_file(timing *t, int reps) {
    struct stat info = {0};
    (void) stat(saved_path, &info);
    const double megabytes = 1e-6 * (double) info.st_size;
    const double copy = bench_median(t->copy, reps);
    double *const ours[] = {t->save, t->restore};
    const char *const names[] = {"save", "restore"};
    for (int i = 0; i < 2; ++i) {
        const double ms = bench_median(ours[i], reps);
        printf(
            "{\"name\": \"%s\", \"megabytes\": %.1f, \"ours_ms\": %.1f, \"ours_best_ms\": %.1f, \"cp_fsync_ms\": %.1f, "
            "\"cp_fsync_best_ms\": %.1f, \"mb_per_s\": %.0f, \"ratio\": %.2f}\n",
            names[i], megabytes, ms, ours[i][0], copy, t->copy[0], 1e3 * megabytes / ms, copy / ms);
    }
}

/* --- Training with saves behind it --- */

typedef struct training {
    moco_trainer *trainer;
    moco_checkpoint *checkpoint; /* NULL: no saves */
    int64_t every;
    double stalled_ms;
    moco_status status;
} training;

static int32_t on_step(const moco_step_stats *stats, void *user) {
    training *t = (training *) user;
    if (t->checkpoint == NULL || (stats->step + 1) % t->every != 0) return 0;
    const double start = bench_now_ms();
    t->status = moco_checkpoint_save(t->checkpoint, t->trainer, saved_path, NULL, NULL, 0);
    t->stalled_ms += bench_now_ms() - start;
    return t->status != MOCO_OK;
}

/* Milliseconds of `steps` more steps. */
static double train(training *t, int64_t steps) {
    const double start = bench_now_ms();
    const int64_t until = moco_trainer_step_count(t->trainer) + steps;
    const moco_status status = moco_trainer_run(t->trainer, NULL, 1000000, until, on_step, t);
    if (status != MOCO_OK) t->status = status;
    return bench_now_ms() - start;
}

static moco_status measure_stall(moco_trainer *trainer, moco_context *context, int64_t steps, int64_t every) {
    training with = {.trainer = trainer, .every = every}, without = {.trainer = trainer, .every = every};
    moco_status status = moco_checkpoint_create(&with.checkpoint, context);
    if (status != MOCO_OK) return status;
    double with_ms = 0, without_ms = 0;
    (void) train(&with, every); /* the copy's memory is touched for the first time */
    with.stalled_ms = 0;
    for (int64_t done = 0; done < steps && with.status == MOCO_OK && without.status == MOCO_OK; done += every) {
        with_ms += train(&with, every);
        if (with.status == MOCO_OK) with.status = moco_checkpoint_wait(with.checkpoint);
        without_ms += train(&without, every);
    }
    status = with.status != MOCO_OK ? with.status : without.status;
    moco_checkpoint_destroy(with.checkpoint);
    if (status != MOCO_OK) return status;
    printf("{\"name\": \"background\", \"steps\": %lld, \"every\": %lld, \"step_ms\": %.1f, \"stall_ms\": %.2f, "
           "\"stall_percent\": %.3f, \"slower_percent\": %.1f}\n",
           (long long) steps, (long long) every, without_ms / (double) steps,
           with.stalled_ms * (double) every / (double) steps, 100 * with.stalled_ms / with_ms,
           100 * (with_ms / without_ms - 1));
    return MOCO_OK;
}

static moco_status make_trainer(moco_trainer **out, moco_dataset **dataset, moco_context *context, int argc,
                                char **argv) {
    char data[64], recipe_text[256];
    moco_recipe *recipe = NULL;
    snprintf(data, sizeof data, "synthetic:count=2048,size=%lld", (long long) bench_option(argc, argv, "--size", 64));
    snprintf(
        recipe_text, sizeof recipe_text, "quick:arch=%s,queue_size=%lld,batch_size=%lld,bn_groups=1,epochs=1000000",
        bench_option_string(argc, argv, "--arch", "resnet18"),
        (long long) bench_option(argc, argv, "--queue-size", 16384), (long long) bench_option(argc, argv, "--n", 32));
    moco_status status = moco_dataset_open(dataset, context, data);
    if (status == MOCO_OK) status = moco_recipe_create(&recipe, context, recipe_text);
    if (status == MOCO_OK) status = moco_trainer_create_for(out, *dataset, recipe);
    moco_recipe_destroy(recipe);
    return status;
}

int main(int argc, char **argv) {
    if (!bench_options_are_known(argc, argv,
                                 "--arch --every --folder --n --queue-size --reps --size --steps --threads ")) {
        return 2;
    }
    const int reps = (int) bench_option(argc, argv, "--reps", 9);
    const int64_t steps = bench_option(argc, argv, "--steps", 60), every = bench_option(argc, argv, "--every", 10);
    if (reps < 1 || reps > MOST_REPS || every < 1) {
        fprintf(stderr, "bench_checkpoint: --reps must be 1 to %d, --every at least 1\n", MOST_REPS);
        return 2;
    }
    const char *folder = bench_option_string(argc, argv, "--folder", ".");
    snprintf(saved_path, sizeof saved_path, "%s/bench_checkpoint.saved", folder);
    snprintf(copied_path, sizeof copied_path, "%s/bench_checkpoint.copied", folder);

    static timing t;
    moco_context_config config;
    moco_context *context = NULL;
    moco_dataset *dataset = NULL;
    moco_trainer *trainer = NULL;
    moco_status status = moco_context_config_init(&config, sizeof config);
    config.threads = (int32_t) bench_option(argc, argv, "--threads", 2);
    if (status == MOCO_OK) status = moco_context_create(&context, &config);
    if (status == MOCO_OK) status = make_trainer(&trainer, &dataset, context, argc, argv);
    if (status == MOCO_OK) status = moco_trainer_run(trainer, NULL, 1, 2, NULL, NULL);
    if (status == MOCO_OK) status = measure_file(trainer, reps, &t);
    if (status == MOCO_OK) report_file(&t, reps);
    if (status == MOCO_OK && steps > 0) status = measure_stall(trainer, context, steps, every);
    if (status != MOCO_OK) fprintf(stderr, "bench_checkpoint: %s\n", moco_last_error());
    moco_trainer_destroy(trainer);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
    (void) remove(saved_path);
    (void) remove(copied_path);
    return status == MOCO_OK ? 0 : 1;
}
