/* Official MoCo checkpoints in a trainer. */
#include <string.h>

#include "checkpoint/official_run.h"
#include "checkpoint/snapshot.h"
#include "checkpoint/weights_stage.h"
#include "core/checked.h"
#include "core/config.h"
#include "trainer/trainer_internal.h"

#define OLDEST_REPORT (offsetof(moco_import_report, weight_decay) + sizeof(double))

typedef struct import_work {
    moco_trainer *trainer;
    moco_encoder *key_encoder; /* NULL: the method has none */
    const char *path;
    moco_stage query;
    moco_stage key;
    int32_t has_key;
    int32_t reserved;
    moco_official_run run;
    int64_t step_count;
} import_work;

/* --- Reading, which changes nothing --- */

static moco_status check_trainer(const moco_trainer *trainer) {
    const int64_t steps = moco_trainer_step_count(trainer);
    if (steps == 0 && moco_optimizer_step_count(trainer->optimizer) == 0) return MOCO_OK;
    return moco_fail(MOCO_INVALID_STATE, "the trainer has taken %lld steps; a checkpoint is imported into a new one",
                     (long long) steps);
}

/* libmoco's own checkpoint holds more than is read here. */
static moco_status check_origin(const moco_weights *weights, const char *path) {
    if (moco_weights_kind(weights) != MOCO_WEIGHTS_SAFETENSORS ||
        moco_weights_find_note(weights, "moco.checkpoint") == NULL) {
        return MOCO_OK;
    }
    return moco_fail(MOCO_INVALID_ARGUMENT,
                     "path is %s, a checkpoint that moco_trainer_save wrote; moco_trainer_restore goes on with it",
                     path);
}

/* The steps of the epochs that the file says were done, if its optimizer is there to go on with. */
static moco_status count_steps(import_work *work) {
    const moco_trainer *trainer = work->trainer;
    const int64_t per_epoch =
        trainer->loader != NULL ? moco_loader_batches_per_epoch(trainer->loader) : trainer->config.steps_per_epoch;
    work->step_count = 0;
    if (!work->run.has_optimizer || work->run.epoch < 0) return MOCO_OK;
    if (moco_checked_multiply(work->run.epoch, per_epoch, "the steps of all epochs", &work->step_count) == MOCO_OK) {
        return MOCO_OK;
    }
    return moco_fail(MOCO_FORMAT, "%s: \"epoch\" is %lld, more than can be counted", work->path,
                     (long long) work->run.epoch);
}

static moco_status read_all(import_work *work, const moco_weights *weights, const moco_load_options *options) {
    const moco_trainer *trainer = work->trainer;
    moco_load_options key_options = *options;
    MOCO_TRY(moco_official_run_read(&work->run, weights, work->path, work->query.match.prefix, trainer->query_encoder,
                                    moco_queue_dim(trainer->queue), moco_queue_capacity(trainer->queue)));
    moco_status status = MOCO_OK;
    if (work->key_encoder != NULL && work->run.key_prefix[0] != '\0') {
        key_options.prefix = work->run.key_prefix;
        key_options.on_item = NULL;
        status = moco_stage_read(&work->key, weights, work->key_encoder, work->path, &key_options);
        work->has_key = status == MOCO_OK;
    }
    if (status == MOCO_OK) status = count_steps(work);
    if (status != MOCO_OK) {
        if (work->has_key) moco_stage_release(&work->key);
        moco_official_run_release(&work->run);
    }
    return status;
}

/* --- Writing --- */

static moco_status write_optimizer(const import_work *work) {
    const moco_official_run *run = &work->run;
    moco_optimizer *optimizer = work->trainer->optimizer;
    if (run->learning_rate >= 0.0) MOCO_TRY(moco_optimizer_set_learning_rate(optimizer, run->learning_rate));
    if (!run->has_optimizer) return MOCO_OK;
    for (int64_t i = 0; i < run->velocity_count; ++i) {
        if (run->velocities[i] != NULL) MOCO_TRY(moco_optimizer_write_state(optimizer, i, run->velocities[i]));
    }
    /* Of an optimizer that has taken no step, the velocities don't count. */
    return moco_optimizer_set_step_count(optimizer, moco_max_i64(1, work->step_count));
}

static moco_status write_all(const import_work *work) {
    moco_trainer *trainer = work->trainer;
    MOCO_TRY(moco_stage_write(&work->query, trainer->query_encoder));
    if (work->key_encoder != NULL) {
        MOCO_TRY(moco_stage_write(work->has_key ? &work->key : &work->query, work->key_encoder));
    }
    if (work->run.has_queue) {
        MOCO_TRY(moco_queue_restore(trainer->queue, work->run.keys, NULL, work->run.position,
                                    moco_queue_capacity(trainer->queue)));
    }
    MOCO_TRY(write_optimizer(work));
    if (trainer->momentum_encoder != NULL) {
        MOCO_TRY(moco_momentum_encoder_set_encode_count(trainer->momentum_encoder, work->step_count));
    }
    return moco_trainer_set_step_count(trainer, work->step_count);
}

/* All of it, or, if the backend or memory fails in between, nothing. */
static moco_status write_or_leave(const import_work *work) {
    moco_snapshot before;
    moco_snapshot_init(&before, work->trainer->context);
    moco_status status = moco_snapshot_capture(&before, work->trainer);
    if (status == MOCO_OK) {
        status = write_all(work);
        if (status != MOCO_OK) (void) moco_snapshot_apply(&before, work->trainer); /* its own state, which fits */
    }
    moco_snapshot_release(&before);
    return status;
}

/* --- Telling --- */

static moco_status tell(const import_work *work, const moco_load_options *options, moco_import_report *report) {
    const moco_official_run *run = &work->run;
    moco_context *context = work->trainer->context;
    MOCO_TRY(moco_load_tell(&work->query.match, work->path, options, NULL));
    moco_log(context, MOCO_LOG_INFO, "%s: key encoder: %s; queue: %s; optimizer: %s; training goes on at step %lld",
             work->path, work->has_key ? "the file's" : "a copy of the query encoder",
             run->has_queue ? "the file's" : "new", run->has_optimizer ? "the file's" : "new",
             (long long) work->step_count);
    if (report == NULL) return MOCO_OK;
    const moco_import_report values = {.struct_size = sizeof values,
                                       .key_encoder = work->has_key,
                                       .queue = run->has_queue,
                                       .optimizer = run->has_optimizer,
                                       .loaded = work->query.match.loaded,
                                       .missing = work->query.match.missing,
                                       .unexpected = work->query.match.unexpected,
                                       .epoch = run->epoch,
                                       .step_count = work->step_count,
                                       .learning_rate = run->learning_rate,
                                       .momentum = run->momentum,
                                       .weight_decay = run->weight_decay};
    return moco_output_write(report, &values, sizeof values, OLDEST_REPORT, "moco_import_report");
}

static moco_status check_report(moco_import_report *report) {
    moco_import_report same = {0};
    if (report == NULL) return MOCO_OK;
    memcpy(&same, report, report->struct_size < sizeof same ? report->struct_size : sizeof same);
    return moco_output_write(report, &same, sizeof same, OLDEST_REPORT, "moco_import_report");
}

moco_status moco_trainer_import(moco_trainer *trainer, const char *path, const moco_load_options *options,
                                moco_import_report *report) {
    MOCO_REQUIRE_POINTER(trainer);
    MOCO_REQUIRE_POINTER(path);
    moco_load_options wanted;
    moco_weights *weights = NULL;
    import_work work = {.trainer = trainer, .path = path};
    work.key_encoder = moco_momentum_encoder_key_encoder(trainer->momentum_encoder);
    MOCO_TRY(moco_load_options_take(&wanted, options));
    MOCO_TRY(check_report(report));
    MOCO_TRY(check_trainer(trainer));
    MOCO_TRY(moco_weights_open(&weights, trainer->context, path));
    moco_status status = check_origin(weights, path);
    if (status == MOCO_OK) {
        status = moco_stage_read(&work.query, weights, trainer->query_encoder, path, &wanted);
    }
    if (status == MOCO_OK) {
        status = read_all(&work, weights, &wanted);
        if (status == MOCO_OK) {
            status = write_or_leave(&work);
            if (status == MOCO_OK) status = tell(&work, &wanted, report);
            if (work.has_key) moco_stage_release(&work.key);
            moco_official_run_release(&work.run);
        }
        moco_stage_release(&work.query);
    }
    moco_weights_close(weights);
    return status;
}
