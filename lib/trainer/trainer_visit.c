/* The whole trainer's state, for visitors: its own, and that of each part. */
#include "core/config_fields.h"
#include "encoder/encoder_internal.h"
#include "encoder/momentum_encoder_internal.h"
#include "keys/queue_internal.h"
#include "loader/loader_internal.h"
#include "loss/loss_internal.h"
#include "optimizer/optimizer_internal.h"
#include "trainer/method.h"

static moco_status visit_settings(const moco_trainer *trainer, const moco_state *visitor) {
    static const char *const but[] = {NULL};
    const moco_state state = moco_state_in(visitor, "trainer"), schedule = moco_state_in(visitor, "schedule");
    MOCO_TRY(moco_state_setting(&state, "method", trainer->method->name));
    MOCO_TRY(moco_state_settings(&state, MOCO_CONFIG_TRAINER, &trainer->config, but));
    return moco_state_settings(&schedule, MOCO_CONFIG_SCHEDULE, &trainer->learning_rate, but);
}

static moco_status visit_own(moco_trainer *trainer, const moco_state *visitor) {
    const moco_state state = moco_state_in(visitor, "trainer");
    int64_t step_count = trainer->step_count;
    double momentum_start = trainer->momentum_start;
    MOCO_TRY(moco_state_number(&state, "step_count", &step_count));
    MOCO_TRY(moco_state_real(&state, "momentum_start", &momentum_start));
    MOCO_REQUIRE(momentum_start >= 0.0 && momentum_start <= 1.0, "momentum_start is %g; it must be in 0..1",
                 momentum_start);
    MOCO_TRY(moco_trainer_set_step_count(trainer, step_count));
    trainer->momentum_start = momentum_start;
    return MOCO_OK;
}

moco_status moco_trainer_visit(moco_trainer *trainer, const moco_state *visitor) {
    const moco_state query = moco_state_in(visitor, "query_encoder");
    if (visitor->writes && trainer->is_at_work) { /* the step's own undoing would not know of it */
        return moco_fail(MOCO_INVALID_STATE, "this trainer is in a step or run, from whose callback this call comes; "
                                             "restore it after that has returned");
    }
    MOCO_TRY(visit_settings(trainer, visitor));
    MOCO_TRY(visit_own(trainer, visitor));
    MOCO_TRY(moco_encoder_visit(trainer->query_encoder, &query));
    if (trainer->momentum_encoder != NULL) MOCO_TRY(moco_momentum_encoder_visit(trainer->momentum_encoder, visitor));
    if (trainer->queue != NULL) MOCO_TRY(moco_queue_visit(trainer->queue, visitor));
    if (trainer->loss != NULL) MOCO_TRY(moco_loss_visit(trainer->loss, visitor));
    MOCO_TRY(moco_optimizer_visit(trainer->optimizer, visitor));
    return trainer->loader == NULL ? MOCO_OK : moco_loader_visit(trainer->loader, visitor);
}
