/* The loader's state, for visitors: its place in the epoch, and how many of the epoch's samples were replaced, which
 * decides when it gives up. What was made ahead is made again. */
#include "core/config_fields.h"
#include "loader/loader_state.h"

moco_loader_place moco_loader_read_place(moco_loader *loader) {
    pthread_mutex_lock(&loader->mutex);
    const moco_loader_place place = {loader->running, loader->epoch, loader->next_batch, loader->given_replaced};
    pthread_mutex_unlock(&loader->mutex);
    return place;
}

/* Samples given before count as those of a run that came here without stopping. */
moco_status moco_loader_go_to(moco_loader *loader, const moco_loader_place *place) {
    MOCO_REQUIRE(place->running == 0 || place->running == 1, "running is %lld; it must be 0 or 1",
                 (long long) place->running);
    if (!place->running) {
        moco_loader_leave_epoch(loader);
        return MOCO_OK;
    }
    const int64_t given = place->batch <= loader->batches ? place->batch * loader->config.batch_size : 0;
    MOCO_REQUIRE(place->replaced >= 0 && place->replaced <= given,
                 "replaced is %lld; before batch %lld it must be 0 to %lld", (long long) place->replaced,
                 (long long) place->batch, (long long) given);
    return moco_loader_resume_at(loader, place->epoch, place->batch, place->replaced);
}

moco_status moco_loader_visit(moco_loader *loader, const moco_state *visitor) {
    static const char *const but[] = {NULL};
    const moco_state state = moco_state_in(visitor, "loader");
    moco_loader_place place = moco_loader_read_place(loader);
    MOCO_TRY(moco_augment_visit(loader->augment, visitor));
    MOCO_TRY(moco_state_settings(&state, MOCO_CONFIG_LOADER, &loader->config, but));
    MOCO_TRY(moco_state_setting_number(&state, "images", loader->dataset->count));
    MOCO_TRY(moco_state_number(&state, "running", &place.running));
    MOCO_TRY(moco_state_number(&state, "epoch", &place.epoch));
    MOCO_TRY(moco_state_number(&state, "batch", &place.batch));
    MOCO_TRY(moco_state_number(&state, "replaced", &place.replaced));
    return state.writes ? moco_loader_go_to(loader, &place) : MOCO_OK;
}
