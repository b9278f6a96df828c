#include "core/state.h"

#include <stdio.h>
#include <string.h>

#include "core/config_fields.h"

moco_status moco_state_setting_number(const moco_state *state, const char *name, int64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long) value);
    return moco_state_setting(state, name, text);
}

static int32_t is_named(const char *const *names, const char *name) {
    for (; *names != NULL; ++names) {
        if (strcmp(*names, name) == 0) return 1;
    }
    return 0;
}

moco_status moco_state_settings(const moco_state *state, int32_t section, const void *config, const char *const *but) {
    const moco_config_section *known = &moco_config_sections[section];
    for (int32_t i = 0; i < known->count; ++i) {
        const moco_config_field *field = &known->fields[i];
        if (field->of_run || is_named(but, field->name)) continue;
        char buffer[MOCO_FIELD_TEXT_SIZE];
        const char *text = NULL;
        MOCO_TRY(moco_config_field_text(field, field->name, config, buffer, &text));
        MOCO_TRY(moco_state_setting(state, field->name, text));
    }
    return MOCO_OK;
}
