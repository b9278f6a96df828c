/* The loss's state, for visitors: its temperature, which a caller may change as training goes on. */
#include "core/config_fields.h"
#include "loss/loss_internal.h"

moco_status moco_loss_visit(moco_loss *loss, const moco_state *visitor) {
    static const char *const but[] = {"temperature", NULL};
    const moco_state state = moco_state_in(visitor, "loss");
    double temperature = loss->config.temperature;
    MOCO_TRY(moco_state_settings(&state, MOCO_CONFIG_LOSS, &loss->config, but));
    MOCO_TRY(moco_state_real(&state, "temperature", &temperature));
    return moco_loss_set_temperature(loss, temperature);
}
