/* Checkpoints in the background: the state is copied by the caller, and a thread of its own writes the copy. */
#include <moco/checkpoint.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "checkpoint/checkpoint_file.h"
#include "checkpoint/trainer_snapshot.h"
#include "core/threads.h"

enum { SENTENCE_SIZE = 1024 };

struct moco_checkpoint {
    moco_context *context;
    moco_snapshot snapshot; /* the thread's, as long as it is at work */
    char *path;
    pthread_t thread;
    int32_t started;    /* 1: the thread is to be joined */
    atomic_int done;    /* 1: it has written, or failed */
    moco_status status; /* of the last write, until a call has told it */
    char sentence[SENTENCE_SIZE];
};

static void write_file(moco_checkpoint *checkpoint) {
    checkpoint->status = moco_checkpoint_write(&checkpoint->snapshot, checkpoint->path);
    if (checkpoint->status != MOCO_OK) {
        strncpy(checkpoint->sentence, moco_last_error(), SENTENCE_SIZE - 1); /* the last byte stays 0 */
    }
}

static void *work(void *argument) {
    moco_checkpoint *checkpoint = (moco_checkpoint *) argument;
    write_file(checkpoint);
    atomic_store(&checkpoint->done, 1);
    return NULL;
}

/* Without a thread to spare, the caller writes. */
static void start(moco_checkpoint *checkpoint) {
    sigset_t all, before; /* the host's signals are for the host's own threads */
    atomic_store(&checkpoint->done, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    checkpoint->started = moco_startable_beside_team(checkpoint->context->threads, 1) == 1 &&
                          pthread_create(&checkpoint->thread, NULL, work, checkpoint) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!checkpoint->started) write_file(checkpoint);
}

static void finish(moco_checkpoint *checkpoint) {
    if (checkpoint->started) pthread_join(checkpoint->thread, NULL);
    checkpoint->started = 0;
    moco_deallocate(checkpoint->context, checkpoint->path);
    checkpoint->path = NULL;
}

moco_status moco_checkpoint_create(moco_checkpoint **out, moco_context *context) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    moco_checkpoint *checkpoint = (moco_checkpoint *) moco_allocate_zeroed(context, 1, sizeof *checkpoint);
    if (checkpoint == NULL) return MOCO_OUT_OF_MEMORY;
    moco_context_retain(context);
    checkpoint->context = context;
    moco_snapshot_init(&checkpoint->snapshot, context);
    atomic_init(&checkpoint->done, 0);
    *out = checkpoint;
    return MOCO_OK;
}

moco_status moco_checkpoint_wait(moco_checkpoint *checkpoint) {
    MOCO_REQUIRE_POINTER(checkpoint);
    finish(checkpoint);
    const moco_status status = checkpoint->status;
    checkpoint->status = MOCO_OK;
    return status == MOCO_OK ? MOCO_OK : moco_fail_with(status, checkpoint->sentence);
}

moco_status moco_checkpoint_save(moco_checkpoint *checkpoint, moco_trainer *trainer, const char *path,
                                 const char *const *keys, const char *const *values, int64_t count) {
    MOCO_REQUIRE_POINTER(checkpoint);
    MOCO_REQUIRE_POINTER(trainer);
    MOCO_REQUIRE_POINTER(path);
    MOCO_REQUIRE(trainer->context == checkpoint->context,
                 "checkpoint was made from another context than the trainer; both must share one");
    MOCO_TRY(moco_checkpoint_wait(checkpoint));
    MOCO_TRY(moco_trainer_snapshot(&checkpoint->snapshot, trainer, moco_snapshot_capture, keys, values, count));
    checkpoint->path = moco_duplicate_string(checkpoint->context, path);
    if (checkpoint->path == NULL) return MOCO_OUT_OF_MEMORY;
    start(checkpoint);
    if (checkpoint->started) return MOCO_OK;
    return moco_checkpoint_wait(checkpoint);
}

int32_t moco_checkpoint_busy(moco_checkpoint *checkpoint) {
    return checkpoint != NULL && checkpoint->started && !atomic_load(&checkpoint->done);
}

void moco_checkpoint_destroy(moco_checkpoint *checkpoint) {
    if (checkpoint == NULL) return;
    finish(checkpoint);
    moco_context *context = checkpoint->context;
    if (checkpoint->status != MOCO_OK) {
        moco_log(context, MOCO_LOG_ERROR, "a checkpoint could not be written: %s", checkpoint->sentence);
    }
    moco_snapshot_release(&checkpoint->snapshot);
    moco_deallocate(context, checkpoint);
    moco_context_destroy(context);
}
