/* A training that goes on where it was when the process ended, however that came: the same numbers as without a pause.
 * Start it again and again with one checkpoint's file; without one it uses a file of its own and shows a pause by itself.
 */
#include <inttypes.h>
#include <moco.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 12, STEPS_BETWEEN_SAVES = 5 };

typedef struct training {
    moco_trainer *trainer;
    moco_checkpoint *checkpoint; /* writes in the background */
    const char *file;
} training;

static int32_t after_step(const moco_step_stats *stats, void *user) {
    training *t = (training *) user;
    printf("step %2lld  loss %.4f\n", (long long) stats->step, stats->loss);
    if ((stats->step + 1) % STEPS_BETWEEN_SAVES != 0) return 0;
    /* Copies the state and returns; a thread writes it. What the save before it failed with is told here, too. */
    if (moco_checkpoint_save(t->checkpoint, t->trainer, t->file, NULL, NULL, 0) != MOCO_OK) {
        fprintf(stderr, "no checkpoint: %s\n", moco_last_error()); /* a full disk need not end the training */
    }
    return 0;
}

/* Trains to step `until`, from the file's state where there is one. */
static moco_status train(const char *file, int64_t until, uint64_t *sum) {
    moco_context *context = NULL;
    moco_dataset *dataset = NULL;
    moco_recipe *recipe = NULL;
    training t = {.file = file};
    moco_status status = moco_context_create(&context, NULL);
    if (status == MOCO_OK) status = moco_dataset_open(&dataset, context, "synthetic:count=256,size=16");
    if (status == MOCO_OK)
        status = moco_recipe_create(&recipe, context, "quick:arch=cifar_resnet8,batch_size=32,epochs=4");
    if (status == MOCO_OK) status = moco_trainer_create_for(&t.trainer, dataset, recipe);
    if (status == MOCO_OK) status = moco_checkpoint_create(&t.checkpoint, context);
    if (status == MOCO_OK && access(file, F_OK) == 0) {
        status = moco_trainer_restore(t.trainer, file); /* refuses a file of other settings, and a damaged one */
        if (status == MOCO_OK) printf("goes on after step %lld\n", (long long) moco_trainer_step_count(t.trainer));
    }
    if (status == MOCO_OK) status = moco_trainer_run(t.trainer, NULL, 0, until, after_step, &t);
    if (status == MOCO_OK) status = moco_checkpoint_wait(t.checkpoint); /* whether the last one was written */
    if (status == MOCO_OK) status = moco_trainer_checksum(t.trainer, sum);
    moco_checkpoint_destroy(t.checkpoint);
    moco_trainer_destroy(t.trainer);
    moco_recipe_destroy(recipe);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
    return status;
}

int main(int argc, char **argv) {
    const char *file = argc > 1 ? argv[1] : "resumed_run.checkpoint";
    uint64_t paused = 0, whole = 0;
    if (argc < 2) (void) remove(file);
    moco_status status = train(file, argc > 1 ? STEPS : STEPS / 2, &paused);
    if (status == MOCO_OK && argc < 2) {
        status = train(file, STEPS, &paused); /* as another process would, from step 5 on */
        if (status == MOCO_UNSUPPORTED && strstr(moco_last_error(), "Jansson") != NULL) return 0; /* can't read files */
        (void) remove(file);
        if (status == MOCO_OK) status = train(file, STEPS, &whole);
        printf("with a pause %016" PRIx64 ", without %016" PRIx64 "\n", paused, whole);
    }
    if (status != MOCO_OK) fprintf(stderr, "%s\n", moco_last_error());
    return status != MOCO_OK || (argc < 2 && paused != whole);
}
