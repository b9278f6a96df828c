#include "core/config_fields.h"

#include <math.h>
#include <moco/augment.h>
#include <moco/encoder.h>
#include <moco/loader.h>
#include <moco/loss.h>
#include <moco/momentum_encoder.h>
#include <moco/optimizer.h>
#include <moco/queue.h>
#include <moco/schedule.h>
#include <moco/trainer.h>
#include <string.h>

#define ANY INFINITY /* no limit but being finite */
#define I32 2147483647.0
#define I64 9007199254740992.0 /* 2^53, up to which every whole number is a double */

/* clang-format off */
#define AT(member)               .key = SECTION "." #member, .name = #member, .offset = offsetof(CONFIG, member)
#define TEXT(member)             {AT(member), .kind = MOCO_FIELD_TEXT}
#define ENUM(member, enumeration) {AT(member), .kind = MOCO_FIELD_ENUM, .enum_kind = enumeration}
#define INT32(member, low, high) {AT(member), .kind = MOCO_FIELD_I32, .least = low, .most = high}
#define INT64(member, low, high) {AT(member), .kind = MOCO_FIELD_I64, .least = low, .most = high}
#define UINT64(member)           {AT(member), .kind = MOCO_FIELD_U64}
#define REAL(member, low, high)  {AT(member), .kind = MOCO_FIELD_F64, .least = low, .most = high}
#define REALS(member, entries, low, high) \
    {AT(member), .kind = MOCO_FIELD_F64_LIST, .length = entries, .least = low, .most = high}
#define COUNTED_REALS(member, entries, how_many, low, high) \
    {AT(member), .kind = MOCO_FIELD_F64_LIST, .length = entries, .count = offsetof(CONFIG, how_many), .least = low, \
     .most = high}
#define ENUMS(member, entries, enumeration) \
    {AT(member), .kind = MOCO_FIELD_ENUM_LIST, .length = entries, .enum_kind = enumeration}

#define CONFIG  moco_loader_config
#define SECTION "loader"
static const moco_config_field loader_fields[] = {
    INT64(batch_size, 1, I64),
    {AT(workers), .kind = MOCO_FIELD_I32, .least = 0, .most = 256, .of_run = 1},
    {AT(prefetch), .kind = MOCO_FIELD_I32, .least = 1, .most = 1024, .of_run = 1},
    INT32(shuffle, 0, 1),
    INT32(drop_last, 0, 1),
    INT32(views, 0, 2),
    UINT64(seed),
    INT32(rank, 0, I32),
    INT32(world_size, 1, I32),
    ENUM(output, "pixels"),
    ENUM(cache, "cache"),
    {AT(cache_bytes), .kind = MOCO_FIELD_U64, .of_run = 1},
    REAL(max_broken_fraction, 0, 1),
};
#undef CONFIG
#undef SECTION
#define CONFIG  moco_augment_config
#define SECTION "augment"
static const moco_config_field augment_fields[] = {
    ENUM(recipe, "augment"), /* first: in a recipe it sets all that follow */
    INT32(height, 0, 16384),
    INT32(width, 0, 16384),
    REAL(crop_min, 0, 1),
    REAL(crop_max, 0, 1),
    REAL(ratio_min, 0, 1e6),
    REAL(ratio_max, 0, 1e6),
    REAL(flip_p, 0, 1),
    REAL(jitter_p, 0, 1),
    REAL(brightness, 0, 1e6),
    REAL(contrast, 0, 1e6),
    REAL(saturation, 0, 1e6),
    REAL(hue, 0, 0.5),
    REAL(grey_p, 0, 1),
    REAL(blur_p, 0, 1),
    REAL(blur_sigma_min, 0, ANY),
    REAL(blur_sigma_max, 0, ANY),
    REALS(mean, 3, -ANY, ANY),
    REALS(std, 3, 0, ANY),
    REAL(eval_resize, 0, 16),
    UINT64(seed),
    REAL(solarize_p, 0, 1),
    REAL(solarize_threshold, 0, 1),
    REAL(key_blur_p, -1, 1),
    REAL(key_solarize_p, -1, 1),
    ENUM(interpolation, "interpolation"),
    ENUMS(order, MOCO_AUGMENT_ORDER, "augment-part"),
    INT32(reduced_decoding, 0, 1),
};
#undef CONFIG
#undef SECTION
#define CONFIG  moco_encoder_config
#define SECTION "encoder"
static const moco_config_field encoder_fields[] = {
    TEXT(architecture),
    ENUM(stem, "stem"),
    ENUM(head, "head"),
    INT32(embedding_dim, -I32, I32), /* where a head or network needs this or one of the MLP's, it checks it */
    INT32(head_hidden_dim, 0, I32),
    INT32(channels, 1, I32),
    INT32(normalize, 0, 1),
    INT32(bn_groups, 1, I32),
    ENUM(bn_layout, "bn-layout"),
    INT32(zero_init_residual, 0, 1),
    INT32(mlp_input_dim, -I32, I32),
    INT32(mlp_hidden_dim, -I32, I32),
    INT32(mlp_layers, -I32, I32),
    REAL(bn_momentum, 0, 1),
    REAL(bn_eps, 0, ANY),
    UINT64(seed),
    {AT(compute_dtype), .kind = MOCO_FIELD_ENUM, .enum_kind = "compute", .of_run = 1},
};
#undef CONFIG
#undef SECTION
#define CONFIG  moco_momentum_encoder_config
#define SECTION "momentum_encoder"
static const moco_config_field momentum_encoder_fields[] = {
    REAL(momentum, 0, 1),
    ENUM(bn_buffers, "bn-buffers"),
    INT32(shuffle, -1, 1),
    UINT64(seed),
};
#undef CONFIG
#undef SECTION
#define CONFIG  moco_queue_config
#define SECTION "queue"
static const moco_config_field queue_fields[] = {
    INT64(capacity, 1, I64),
    INT64(dim, 0, I64), /* 0: in a recipe, the encoder's */
    ENUM(start, "queue-start"),
    ENUM(storage, "queue-storage"),
    UINT64(seed),
};
#undef CONFIG
#undef SECTION
#define CONFIG  moco_loss_config
#define SECTION "loss"
static const moco_config_field loss_fields[] = {
    REAL(temperature, -ANY, ANY),
    INT32(mask_same_id, 0, 1),
};
#undef CONFIG
#undef SECTION
#define CONFIG  moco_optimizer_config
#define SECTION "optimizer"
static const moco_config_field optimizer_fields[] = {
    REAL(learning_rate, 0, ANY),
    REAL(momentum, 0, 1),
    REAL(dampening, -ANY, ANY),
    REAL(weight_decay, 0, ANY),
    INT32(nesterov, 0, 1),
    ENUM(kind, "optimizer"),
};
#undef CONFIG
#undef SECTION
#define CONFIG  moco_schedule
#define SECTION "schedule"
static const moco_config_field schedule_fields[] = {
    ENUM(kind, "schedule"),
    ENUM(unit, "schedule-unit"),
    REAL(base, 0, ANY),
    REAL(epochs, 0, ANY),
    REAL(warmup_epochs, 0, ANY),
    REAL(gamma, 0, ANY),
    COUNTED_REALS(milestone_epochs, MOCO_SCHEDULE_MAX_MILESTONES, milestones, -ANY, ANY),
};
#undef CONFIG
#undef SECTION
#define CONFIG  moco_trainer_config
#define SECTION "trainer"
static const moco_config_field trainer_fields[] = {
    INT32(use_learning_rate_schedule, 0, 1),
    REAL(momentum_end, 0, 1),
    INT64(steps_per_epoch, 1, I64), /* where no loader tells */
};
#undef CONFIG
#undef SECTION

#define ROWS(name, type, fields) {name, sizeof(type), fields, (int32_t) (sizeof fields / sizeof fields[0])}
const moco_config_section moco_config_sections[MOCO_CONFIG_SECTIONS] = {
    [MOCO_CONFIG_LOADER] = ROWS("loader", moco_loader_config, loader_fields),
    [MOCO_CONFIG_AUGMENT] = ROWS("augment", moco_augment_config, augment_fields),
    [MOCO_CONFIG_ENCODER] = ROWS("encoder", moco_encoder_config, encoder_fields),
    [MOCO_CONFIG_MOMENTUM_ENCODER] = ROWS("momentum_encoder", moco_momentum_encoder_config, momentum_encoder_fields),
    [MOCO_CONFIG_QUEUE] = ROWS("queue", moco_queue_config, queue_fields),
    [MOCO_CONFIG_LOSS] = ROWS("loss", moco_loss_config, loss_fields),
    [MOCO_CONFIG_OPTIMIZER] = ROWS("optimizer", moco_optimizer_config, optimizer_fields),
    [MOCO_CONFIG_SCHEDULE] = ROWS("schedule", moco_schedule, schedule_fields),
    [MOCO_CONFIG_TRAINER] = ROWS("trainer", moco_trainer_config, trainer_fields),
};
/* clang-format on */

const moco_config_field *moco_config_find_field(int32_t section, const char *name) {
    const moco_config_section *known = &moco_config_sections[section];
    for (int32_t i = 0; i < known->count; ++i) {
        if (strcmp(known->fields[i].name, name) == 0) return &known->fields[i];
    }
    return NULL;
}
