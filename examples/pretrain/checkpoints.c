#include "pretrain/checkpoints.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/example_support.h"

#define PATH_SIZE   CHECKPOINT_PATH_SIZE
#define BEST_NAME   "best.safetensors"
#define STEP_FORMAT "step-%lld.safetensors"
#define DATA_KEY    "pretrain.data"
#define RECIPE_KEY  "pretrain.recipe"
#define RECIPE_SIZE 8192
#define VALUE_SIZE  1024

static void checkpoint_path(const pretrain_options *options, const char *name, char path[PATH_SIZE]) {
    if (snprintf(path, PATH_SIZE, "%s/" CHECKPOINT_FOLDER "/%s", options->out, name) >= PATH_SIZE) {
        stop("the folder's name is too long");
    }
}

int32_t is_checkpoint_name(const char *name, int64_t *step) {
    long long number = -1;
    char again[64];
    *step = -1;
    if (strcmp(name, BEST_NAME) == 0) return 1;
    if (sscanf(name, STEP_FORMAT, &number) != 1 || number < 0) return 0;
    snprintf(again, sizeof again, STEP_FORMAT, number);
    *step = (int64_t) number;
    return strcmp(name, again) == 0;
}

/* --- When --- */

int32_t read_save_interval(const char *text, save_interval *interval) {
    char *end;
    errno = 0;
    const double number = strtod(text, &end);
    *interval = (save_interval){0};
    if (end == text || errno != 0 || !(number >= 0 && number <= 1e9)) return 0;
    if (strcmp(end, "min") == 0 && number > 0) {
        interval->seconds = 60 * number;
        return 1;
    }
    const int64_t whole = (int64_t) number;
    if ((double) whole != number) return 0;
    if (*end == '\0') {
        interval->steps = whole;
        return 1;
    }
    interval->epochs = whole;
    return whole > 0 && (strcmp(end, "epoch") == 0 || strcmp(end, "epochs") == 0);
}

int32_t checkpoint_is_due(const checkpoints *saved, int64_t step, int32_t epoch_ended) {
    if (step == saved->last_step) return 0;
    if (saved->made_room) return 1;
    if (saved->every.epochs > 0) {
        if (!epoch_ended) return 0;
        return step / moco_loader_batches_per_epoch(moco_trainer_loader(saved->trainer)) % saved->every.epochs == 0;
    }
    if (epoch_ended) return 0; /* its last step was asked about already */
    if (saved->every.steps > 0) return step % saved->every.steps == 0;
    return saved->every.seconds > 0 && seconds_now() - saved->last_saved >= saved->every.seconds;
}

/* --- Which are kept --- */

/* The checkpoints of steps in the folder, the latest first, to be freed; how many. */
static size_t list_steps(const pretrain_options *options, int64_t **list) {
    char path[PATH_SIZE];
    size_t count = 0, room = 0;
    int64_t step;
    *list = NULL;
    checkpoint_path(options, "", path);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (!is_checkpoint_name(entry->d_name, &step) || step < 0) continue;
        if (count == room) {
            room = room == 0 ? 16 : 2 * room;
            int64_t *larger = (int64_t *) realloc(*list, room * sizeof *larger);
            if (larger == NULL) stop("out of memory");
            *list = larger;
        }
        size_t at = count++;
        for (; at > 0 && (*list)[at - 1] < step; --at) (*list)[at] = (*list)[at - 1];
        (*list)[at] = step;
    }
    if (folder != NULL) closedir(folder);
    return count;
}

static void step_path(const pretrain_options *options, int64_t step, char path[PATH_SIZE]) {
    char name[64];
    snprintf(name, sizeof name, STEP_FORMAT, (long long) step);
    checkpoint_path(options, name, path);
}

static void remove_step(const pretrain_options *options, int64_t step) {
    char path[PATH_SIZE];
    step_path(options, step, path);
    if (unlink(path) != 0 && errno != ENOENT) {
        fprintf(stderr, "%s: cannot remove %s: %s\n", example_program, path, strerror(errno));
    }
}

static void remove_old(const pretrain_options *options) {
    int64_t *list;
    const size_t count = list_steps(options, &list);
    for (size_t i = (size_t) options->keep; i < count; ++i) remove_step(options, list[i]);
    free(list);
}

void remove_later_checkpoints(const pretrain_options *options, int64_t step) {
    int64_t *list;
    const size_t count = list_steps(options, &list);
    for (size_t i = 0; i < count && list[i] > step; ++i) remove_step(options, list[i]);
    free(list);
}

int32_t has_checkpoints(const pretrain_options *options) {
    int64_t *list;
    char path[PATH_SIZE];
    const size_t count = list_steps(options, &list);
    free(list);
    checkpoint_path(options, BEST_NAME, path);
    return count > 0 || access(path, F_OK) == 0;
}

/* --- Saving --- */

void open_checkpoints(checkpoints *saved, const pretrain_options *options, moco_context *context,
                      moco_trainer *trainer) {
    char path[PATH_SIZE];
    *saved = (checkpoints){.options = options,
                           .trainer = trainer,
                           .last_saved = seconds_now(),
                           .last_step = moco_trainer_step_count(trainer)};
    if (!read_save_interval(options->save_every, &saved->every)) stop("--save-every was not checked");
    saved->is_on = saved->every.steps > 0 || saved->every.epochs > 0 || saved->every.seconds > 0;
    if (!saved->is_on) return;
    check(moco_checkpoint_create(&saved->writer, context));
    checkpoint_path(options, "", path);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) stop("cannot make the folder %s: %s", path, strerror(errno));
}

static void tell_failure(checkpoints *saved) {
    saved->failed = 1;
    fprintf(stderr, "%s: no checkpoint was saved: %s; training goes on\n", example_program, moco_last_error());
}

/* After a save for which the disk had no room: gives up the oldest checkpoint, so that the next save has it. One stays. */
static void make_room(checkpoints *saved) {
    int64_t *list;
    const size_t count = list_steps(saved->options, &list);
    if (count >= 2) {
        fprintf(stderr, "%s: the checkpoint of step %lld is given up for room\n", example_program,
                (long long) list[count - 1]);
        remove_step(saved->options, list[count - 1]);
        saved->made_room = 1;
    }
    free(list);
}

static int32_t is_full_disk(const char *sentence) {
    return strstr(sentence, strerror(ENOSPC)) != NULL || strstr(sentence, strerror(EDQUOT)) != NULL;
}

static int32_t take_outcome(checkpoints *saved) {
    if (!saved->is_pending) return 0;
    saved->is_pending = 0;
    if (moco_checkpoint_wait(saved->writer) != MOCO_OK) {
        tell_failure(saved);
        if (is_full_disk(moco_last_error())) make_room(saved);
        return 0;
    }
    saved->failed = 0;
    memcpy(saved->last, saved->pending, sizeof saved->last);
    remove_old(saved->options);
    return 1;
}

void save_checkpoint(checkpoints *saved, const run_progress *progress, int32_t as_best) {
    if (!saved->is_on) return;
    char path[PATH_SIZE], text[RUN_PROGRESS_SIZE], recipe[RECIPE_SIZE];
    const int64_t step = moco_trainer_step_count(saved->trainer);
    (void) take_outcome(saved);
    saved->made_room = 0;
    snprintf(saved->pending, sizeof saved->pending, STEP_FORMAT, (long long) step);
    if (as_best) snprintf(saved->pending, sizeof saved->pending, BEST_NAME);
    checkpoint_path(saved->options, saved->pending, path);
    run_progress_text(progress, text);
    check(moco_recipe_text(saved->options->recipe, recipe, sizeof recipe));
    const char *const keys[] = {RUN_PROGRESS_KEY, DATA_KEY, RECIPE_KEY};
    const char *const values[] = {text, saved->options->data, recipe};
    saved->last_saved = seconds_now();
    if (!as_best) saved->last_step = step;
    if (moco_checkpoint_save(saved->writer, saved->trainer, path, keys, values, 3) != MOCO_OK) {
        tell_failure(saved);
    } else {
        saved->is_pending = 1;
    }
}

int32_t checkpoint_came(checkpoints *saved) {
    return saved->is_pending && !moco_checkpoint_busy(saved->writer) && take_outcome(saved);
}

int32_t finish_checkpoints(checkpoints *saved) {
    (void) take_outcome(saved);
    return !saved->failed;
}

void close_checkpoints(checkpoints *saved) {
    moco_checkpoint_destroy(saved->writer);
}

/* --- Going on --- */

int32_t resumes_in_place(const pretrain_options *options) {
    if (strcmp(options->resume, "auto") == 0) return 1;
    char folder[PATH_SIZE], ours[PATH_SIZE], path[PATH_SIZE];
    if (strlen(options->resume) >= sizeof path) stop("the name of --resume is too long");
    strcpy(path, options->resume);
    char *slash = strrchr(path, '/');
    if (slash == NULL) return 0;
    *slash = '\0';
    char *const theirs = realpath(path[0] == '\0' ? "/" : path, NULL);
    checkpoint_path(options, "", folder);
    const int32_t is_same = theirs != NULL && realpath(folder, ours) != NULL && strcmp(theirs, ours) == 0;
    free(theirs);
    return is_same;
}

/* Settings that the library takes for state, and so brings back from the file whatever was asked for. A run that goes on has them as
 * it began: what it was told by options, or --recipe, must not differ. */
static void check_state_settings(const pretrain_options *options, moco_context *context, const char *path) {
    static const struct {
        const char *key, *option;
    } settings[] = {{"momentum_encoder.momentum", "--momentum"},
                    {"loss.temperature", "--temperature"},
                    {"encoder.seed", "--recipe's encoder.seed"},
                    {"encoder.zero_init_residual", "--recipe's encoder.zero_init_residual"},
                    {"queue.seed", "--recipe's queue.seed"}};
    char text[RECIPE_SIZE], before[VALUE_SIZE], now[VALUE_SIZE];
    moco_recipe *saved = NULL;
    if (moco_file_metadata(context, path, RECIPE_KEY, text, sizeof text, NULL) != MOCO_OK) return;
    check(moco_recipe_create(&saved, NULL, text));
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; ++i) {
        check(moco_recipe_get(saved, settings[i].key, before, sizeof before));
        check(moco_recipe_get(options->recipe, settings[i].key, now, sizeof now));
        if (strcmp(before, now) == 0) continue;
        fprintf(stderr,
                "%s: %s is %s, but the run in %s has %s and goes on with that: give the same, or begin a new run "
                "(--out, and --init for its weights)\n",
                example_program, settings[i].option, now, path, before);
        exit(2);
    }
    moco_recipe_destroy(saved);
}

static void read_progress(const pretrain_options *options, moco_context *context, const char *path,
                          run_progress *progress) {
    char text[RUN_PROGRESS_SIZE], data[PATH_SIZE];
    check_choice(moco_file_metadata(context, path, RUN_PROGRESS_KEY, text, sizeof text, NULL));
    if (!run_progress_read(progress, text)) stop("%s is of another version of this program", path);
    check_state_settings(options, context, path);
    if (moco_file_metadata(context, path, DATA_KEY, data, sizeof data, NULL) == MOCO_OK &&
        strcmp(data, options->data) != 0) {
        fprintf(stderr, "%s: %s was trained on %s, and goes on with %s\n", example_program, path, data, options->data);
    }
}

/* The latest one that can be read: others are told, and the one before is taken, at last the best one. */
static int32_t resume_latest(const pretrain_options *options, moco_trainer *trainer, char path[PATH_SIZE]) {
    int64_t *list;
    const size_t count = list_steps(options, &list);
    size_t at = 0, tried = 0;
    int32_t is_restored = 0;
    for (; at <= count && !is_restored; ++at) {
        if (at < count) {
            step_path(options, list[at], path);
        } else {
            checkpoint_path(options, BEST_NAME, path);
            if (access(path, F_OK) != 0) break;
        }
        const moco_status status = moco_trainer_restore(trainer, path);
        is_restored = status == MOCO_OK;
        if (is_restored) break;
        tried++;
        if (status != MOCO_FORMAT && status != MOCO_IO) check_choice(status);
        fprintf(stderr, "%s: %s\n", example_program, moco_last_error());
    }
    free(list);
    if (!is_restored && tried > 0) {
        stop("none of the %zu checkpoints in %s/" CHECKPOINT_FOLDER " is whole", tried, options->out);
    }
    return is_restored;
}

int32_t resume_checkpoint(const pretrain_options *options, moco_context *context, moco_trainer *trainer,
                          run_progress *progress, char path[PATH_SIZE]) {
    if (strcmp(options->resume, "auto") == 0) {
        if (!resume_latest(options, trainer, path)) return 0;
    } else {
        if (snprintf(path, PATH_SIZE, "%s", options->resume) >= PATH_SIZE) stop("the name of --resume is too long");
        check_choice(moco_trainer_restore(trainer, path));
    }
    read_progress(options, context, path, progress);
    return 1;
}
