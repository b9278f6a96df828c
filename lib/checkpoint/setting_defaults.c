#include "checkpoint/setting_defaults.h"

#include <moco/names.h>
#include <string.h>

#include "loader/loader_internal.h"
#include "loss/loss_internal.h"
#include "optimizer/optimizer_internal.h"

/* The parts of a visit whose settings are a configuration's. */
static const struct {
    const char *part;
    int32_t section;
} parts[] = {
    {"trainer", MOCO_CONFIG_TRAINER},       {"schedule", MOCO_CONFIG_SCHEDULE},
    {"query_encoder", MOCO_CONFIG_ENCODER}, {"key_encoder", MOCO_CONFIG_ENCODER},
    {"queue", MOCO_CONFIG_QUEUE},           {"loss", MOCO_CONFIG_LOSS},
    {"optimizer", MOCO_CONFIG_OPTIMIZER},   {"momentum_encoder", MOCO_CONFIG_MOMENTUM_ENCODER},
    {"loader", MOCO_CONFIG_LOADER},         {"augment", MOCO_CONFIG_AUGMENT},
};

typedef union any_config {
    moco_loader_config loader;
    moco_augment_config augment;
    moco_encoder_config encoder;
    moco_momentum_encoder_config momentum_encoder;
    moco_queue_config queue;
    moco_loss_config loss;
    moco_optimizer_config optimizer;
    moco_schedule schedule;
    moco_trainer_config trainer;
} any_config;

static moco_status init_augment(const moco_snapshot *snapshot, moco_augment_config *config) {
    const char *recipe = moco_snapshot_setting_text(snapshot, "augment.recipe");
    int32_t value = MOCO_AUGMENT_V1;
    if (recipe != NULL) MOCO_TRY(moco_enum_value("augment", recipe, &value));
    return moco_augment_config_init(config, sizeof *config, value);
}

static moco_status init_config(const moco_snapshot *snapshot, int32_t section, any_config *config) {
    switch (section) {
    case MOCO_CONFIG_LOADER:
        return moco_loader_config_init(&config->loader, sizeof config->loader);
    case MOCO_CONFIG_AUGMENT:
        return init_augment(snapshot, &config->augment);
    case MOCO_CONFIG_ENCODER:
        return moco_encoder_config_init(&config->encoder, sizeof config->encoder);
    case MOCO_CONFIG_MOMENTUM_ENCODER:
        return moco_momentum_encoder_config_init(&config->momentum_encoder, sizeof config->momentum_encoder);
    case MOCO_CONFIG_QUEUE:
        return moco_queue_config_init(&config->queue, sizeof config->queue);
    case MOCO_CONFIG_LOSS:
        return moco_loss_config_init(&config->loss, sizeof config->loss);
    case MOCO_CONFIG_OPTIMIZER:
        return moco_optimizer_config_init(&config->optimizer, sizeof config->optimizer);
    case MOCO_CONFIG_SCHEDULE:
        return moco_schedule_init(&config->schedule, sizeof config->schedule);
    default:
        return moco_trainer_config_init(&config->trainer, sizeof config->trainer);
    }
}

moco_status moco_setting_default(const moco_snapshot *snapshot, const char *part, const char *name,
                                 char buffer[MOCO_FIELD_TEXT_SIZE], const char **text) {
    *text = NULL;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
        if (strcmp(parts[i].part, part) != 0) continue;
        const moco_config_field *field = moco_config_find_field(parts[i].section, name);
        if (field == NULL) return MOCO_OK;
        any_config config;
        MOCO_TRY(init_config(snapshot, parts[i].section, &config));
        return moco_config_field_text(field, field->name, &config, buffer, text);
    }
    return MOCO_OK;
}
