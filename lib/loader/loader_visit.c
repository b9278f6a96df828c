/* The loader's state, for visitors: its place in the epoch, and how many of the epoch's samples were replaced, which
 * decides when it gives up. What was made ahead is made again. */
#include "core/config_fields.h"
#include "loader/loader_state.h"

typedef struct loader_place {
    int64_t running; /* 1: an epoch has begun, and the rest counts */
    int64_t epoch;
    int64_t batch;    /* given next */
    int64_t replaced; /* of the samples given in this epoch */
} loader_place;

static loader_place read_place(moco_loader *loader) {
    pthread_mutex_lock(&loader->mutex);
    const loader_place place = {loader->running, loader->epoch, loader->next_batch, loader->given_replaced};
    pthread_mutex_unlock(&loader->mutex);
    return place;
}

/* Goes where a visitor has written. Samples given before count as those of a run that came here without stopping. */
static moco_status go_to(moco_loader *loader, const loader_place *place) {
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
    loader_place place = read_place(loader);
    MOCO_TRY(moco_augment_visit(loader->augment, visitor));
    MOCO_TRY(moco_state_settings(&state, MOCO_CONFIG_LOADER, &loader->config, but));
    MOCO_TRY(moco_state_setting_number(&state, "images", loader->dataset->count));
    MOCO_TRY(moco_state_number(&state, "running", &place.running));
    MOCO_TRY(moco_state_number(&state, "epoch", &place.epoch));
    MOCO_TRY(moco_state_number(&state, "batch", &place.batch));
    MOCO_TRY(moco_state_number(&state, "replaced", &place.replaced));
    return state.writes ? go_to(loader, &place) : MOCO_OK;
}
