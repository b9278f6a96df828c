/* Saving and restoring a trainer. */
#include <moco/checkpoint.h>
#include <moco/names.h>
#include <moco/version.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/checkpoint_file.h"
#include "checkpoint/trainer_snapshot.h"
#include "encoder/encoder_internal.h"

/* How the state was computed, which decides nothing that is compared, but whether the bits will be the same. */
static moco_status add_run(moco_snapshot *snapshot, const moco_trainer *trainer) {
    const char *dtype = moco_enum_name("compute", moco_encoder_compute_dtype(trainer->query_encoder));
    char threads[16];
    snprintf(threads, sizeof threads, "%d", moco_context_threads(trainer->context));
    MOCO_TRY(moco_snapshot_add_setting(snapshot, MOCO_SNAPSHOT_RUN, "version", moco_version_string()));
    MOCO_TRY(moco_snapshot_add_setting(snapshot, MOCO_SNAPSHOT_RUN, "backend", moco_context_backend(trainer->context)));
    MOCO_TRY(moco_snapshot_add_setting(snapshot, MOCO_SNAPSHOT_RUN, "threads", threads));
    return moco_snapshot_add_setting(snapshot, MOCO_SNAPSHOT_RUN, "compute_dtype", dtype == NULL ? "" : dtype);
}

moco_status moco_trainer_snapshot(moco_snapshot *snapshot, moco_trainer *trainer,
                                  moco_status (*take)(moco_snapshot *, moco_trainer *), const char *const *keys,
                                  const char *const *values, int64_t count) {
    MOCO_TRY(take(snapshot, trainer));
    MOCO_TRY(add_run(snapshot, trainer));
    return moco_checkpoint_add_notes(snapshot, keys, values, count);
}

moco_status moco_trainer_save(moco_trainer *trainer, const char *path, const char *const *keys,
                              const char *const *values, int64_t count) {
    MOCO_REQUIRE_POINTER(trainer);
    MOCO_REQUIRE_POINTER(path);
    moco_snapshot snapshot;
    moco_snapshot_init(&snapshot, trainer->context);
    moco_status status = moco_trainer_snapshot(&snapshot, trainer, moco_snapshot_borrow, keys, values, count);
    if (status == MOCO_OK) status = moco_checkpoint_write(&snapshot, path);
    moco_snapshot_release(&snapshot);
    return status;
}

/* --- Restoring --- */

static void warn_of_another(const moco_snapshot *saved, const moco_trainer *trainer, const char *path, const char *name,
                            const char *what, const char *now) {
    const char *before = moco_snapshot_setting_text(saved, name);
    if (before == NULL || now == NULL || strcmp(before, now) == 0) return;
    moco_log(trainer->context, MOCO_LOG_WARNING,
             "%s was saved by a trainer that computes %s %s, and this one computes %s %s: training goes on, but not to "
             "the same bits",
             path, what, before, what, now);
}

/* oneDNN divides its sums among the threads; all else of ours doesn't. */
static void warn_of_other_bits(const moco_snapshot *saved, const moco_trainer *trainer, const char *path) {
    const char *backend = moco_context_backend(trainer->context);
    char threads[16];
    snprintf(threads, sizeof threads, "%d", moco_context_threads(trainer->context));
    warn_of_another(saved, trainer, path, MOCO_SNAPSHOT_RUN ".compute_dtype", "in",
                    moco_enum_name("compute", moco_encoder_compute_dtype(trainer->query_encoder)));
    warn_of_another(saved, trainer, path, MOCO_SNAPSHOT_RUN ".backend", "on backend", backend);
    if (strstr(backend, "onednn") == NULL) return;
    warn_of_another(saved, trainer, path, MOCO_SNAPSHOT_RUN ".threads", "with a thread count of", threads);
}

static moco_status apply(const moco_snapshot *saved, moco_snapshot *before, moco_trainer *trainer, const char *path) {
    MOCO_TRY(moco_snapshot_capture(before, trainer));
    const moco_status status = moco_snapshot_apply(saved, trainer);
    if (status == MOCO_OK) return MOCO_OK;
    (void) moco_snapshot_apply(before, trainer); /* its own state, which fits */
    if (status != MOCO_INVALID_ARGUMENT) return status;
    return moco_fail(MOCO_FORMAT, "%s holds a state that can't be: %s", path, moco_last_error());
}

moco_status moco_trainer_restore(moco_trainer *trainer, const char *path) {
    MOCO_REQUIRE_POINTER(trainer);
    MOCO_REQUIRE_POINTER(path);
    moco_snapshot saved, before;
    moco_snapshot_init(&saved, trainer->context);
    moco_snapshot_init(&before, trainer->context);
    moco_status status = moco_checkpoint_read(&saved, path);
    if (status == MOCO_OK) status = moco_snapshot_check(&saved, trainer, path);
    if (status == MOCO_OK) status = apply(&saved, &before, trainer, path);
    if (status == MOCO_OK) warn_of_other_bits(&saved, trainer, path);
    moco_snapshot_release(&saved);
    moco_snapshot_release(&before);
    return status;
}
