/* Training on pixels that the program makes: here rings and crosses, in yours frames of a video, tiles of a scan ... */
#include <moco.h>
#include <stdio.h>

enum { IMAGES = 256, SIZE = 24 };

/* The shape of image `index`; images may differ in size. Labels are for kNN alone. */
static int32_t describe(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user) {
    (void) user;
    *h = SIZE;
    *w = SIZE;
    *label = (int32_t) (index % 2);
    return 0;
}

/* Its pixels, channel after channel, in [0, 1]. Called by several loader threads at once. */
static int32_t paint(int64_t index, float *pixels, void *user) {
    (void) user;
    const int64_t x = SIZE / 4 + index * 7 % (SIZE / 2), y = SIZE / 4 + index * 11 % (SIZE / 2), radius = 3 + index % 4;
    for (int64_t i = 0; i < SIZE * SIZE; ++i) {
        const int64_t dx = i % SIZE - x, dy = i / SIZE - y, square = dx * dx + dy * dy;
        const int ring = square >= (radius - 1) * (radius - 1) && square <= radius * radius;
        const int cross = square <= radius * radius && (dx == 0 || dy == 0);
        for (int64_t channel = 0; channel < 3; ++channel) {
            const float ground = (float) (index * (channel + 3) % 17) / 34.0F;
            pixels[channel * SIZE * SIZE + i] = (index % 2 == 0 ? ring : cross) ? 1.0F : ground;
        }
    }
    return 0;
}

int main(void) {
    moco_context *context = NULL;
    moco_dataset *images = NULL;
    moco_recipe *recipe = NULL;
    moco_trainer *trainer = NULL;
    moco_status status = moco_context_create(&context, NULL);
    if (status == MOCO_OK) status = moco_dataset_create_callback(&images, context, IMAGES, 3, describe, paint, NULL);
    if (status == MOCO_OK)
        status = moco_recipe_create(&recipe, context, "quick:arch=cifar_resnet8,queue_size=128,epochs=2");
    if (status == MOCO_OK) status = moco_trainer_create_for(&trainer, images, recipe);
    if (status == MOCO_OK) status = moco_trainer_run(trainer, NULL, 0, 0, NULL, NULL);
    if (status == MOCO_OK) printf("%lld steps done\n", (long long) moco_trainer_step_count(trainer));
    if (status != MOCO_OK) fprintf(stderr, "own_images: %s\n", moco_last_error());
    moco_trainer_destroy(trainer);
    moco_recipe_destroy(recipe);
    moco_dataset_destroy(images);
    moco_context_destroy(context);
    return status != MOCO_OK;
}
