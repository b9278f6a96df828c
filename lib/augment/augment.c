#include "augment/augment_internal.h"
#include "augment/augment_recipes.h"
#include "core/config.h"

moco_status moco_augment_create(moco_augment **out, moco_context *context, const moco_augment_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    moco_augment_config wanted;
    MOCO_TRY(moco_augment_config_resolve(config, &wanted));
    moco_augment *augment = (moco_augment *) moco_allocate(context, sizeof *augment);
    if (augment == NULL) return MOCO_OUT_OF_MEMORY;
    moco_references_init(&augment->references, 1);
    moco_context_retain(context);
    augment->context = context;
    augment->config = wanted;
    *out = augment;
    return MOCO_OK;
}

void moco_augment_retain(moco_augment *augment) {
    moco_references_retain(&augment->references);
}

static void dispose(moco_augment *augment) {
    moco_context *context = augment->context;
    moco_deallocate(context, augment);
    moco_context_destroy(context);
}

void moco_augment_release(moco_augment *augment) {
    if (augment != NULL && moco_references_release(&augment->references)) dispose(augment);
}

void moco_augment_destroy(moco_augment *augment) {
    if (augment != NULL && moco_references_destroy(&augment->references)) dispose(augment);
}

moco_context *moco_augment_context(const moco_augment *augment) {
    return augment->context;
}

void moco_augment_scratch_release(const moco_augment *augment, moco_augment_scratch *scratch) {
    moco_deallocate(augment->context, scratch->memory);
    *scratch = (moco_augment_scratch){0};
}

moco_status moco_augment_read_config(const moco_augment *augment, moco_augment_config *config) {
    MOCO_REQUIRE_POINTER(augment);
    return moco_output_write(config, &augment->config, sizeof augment->config, MOCO_AUGMENT_OLDEST_SIZE,
                             "moco_augment_config");
}

int32_t moco_augment_height(const moco_augment *augment) {
    return augment == NULL ? 0 : augment->config.height;
}

int32_t moco_augment_width(const moco_augment *augment) {
    return augment == NULL ? 0 : augment->config.width;
}
