/* A first training: images, a recipe, a trainer, and the encoder that it made as a file. */
#include <moco.h>
#include <stdio.h>

static int32_t report(const moco_step_stats *stats, void *user) {
    (void) user;
    if (stats->step % 8 == 0)
        printf("step %3lld  loss %.3f  top-1 %.2f\n", (long long) stats->step, stats->loss, stats->top1);
    return 0; /* anything else stops the run */
}

int main(void) {
    moco_context *context = NULL;
    moco_dataset *images = NULL; /* "folder:DIR", "cifar10:DIR", ... or your own: moco/dataset.h */
    moco_recipe *recipe = NULL;  /* "v1", "v2", "cifar-demo", ...: moco/recipe.h */
    moco_trainer *trainer = NULL;
    moco_status status = moco_context_create(&context, NULL);
    if (status == MOCO_OK) status = moco_dataset_open(&images, context, "synthetic:count=1024");
    if (status == MOCO_OK) status = moco_recipe_create(&recipe, context, "quick:epochs=4");
    if (status == MOCO_OK) status = moco_trainer_create_for(&trainer, images, recipe);
    if (status == MOCO_OK) status = moco_trainer_run(trainer, NULL, 0, 0, report, NULL);
    if (status == MOCO_OK)
        status = moco_encoder_save(moco_trainer_encoder(trainer), "first.safetensors", NULL, NULL, 0);
    if (status != MOCO_OK) fprintf(stderr, "first_training: %s\n", moco_last_error());
    moco_trainer_destroy(trainer);
    moco_recipe_destroy(recipe);
    moco_dataset_destroy(images);
    moco_context_destroy(context);
    return status != MOCO_OK;
}
