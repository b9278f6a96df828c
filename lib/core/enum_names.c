/* The names of all enum values, in one table by kind. tests/abi/check_enum_names.cmake holds it beside the headers. */
#include <moco/augment.h>
#include <moco/dataset.h>
#include <moco/encoder.h>
#include <moco/evaluation.h>
#include <moco/export_model.h>
#include <moco/loader.h>
#include <moco/momentum_encoder.h>
#include <moco/names.h>
#include <moco/optimizer.h>
#include <moco/queue.h>
#include <moco/schedule.h>
#include <moco/weights.h>
#include <string.h>

#include "core/status_internal.h"
#include "core/text_list.h"

/* clang-format off */
static const char *const log_level[] = {
    [MOCO_LOG_ERROR] = "error", [MOCO_LOG_WARNING] = "warning", [MOCO_LOG_INFO] = "info", [MOCO_LOG_DEBUG] = "debug",
};
static const char *const stem[] = {[MOCO_STEM_IMAGENET] = "imagenet", [MOCO_STEM_CIFAR] = "cifar"};
static const char *const head[] = {[MOCO_HEAD_NONE] = "none", [MOCO_HEAD_LINEAR] = "linear", [MOCO_HEAD_MLP] = "mlp"};
static const char *const compute[] = {
    [MOCO_COMPUTE_F32] = "f32",
    [MOCO_COMPUTE_BF16] = "bf16",
    [MOCO_COMPUTE_BF16_REQUIRED] = "bf16-required",
    [MOCO_COMPUTE_F32_DIRECT] = "f32-direct",
};
static const char *const bn_layout[] = {[MOCO_BN_CONTIGUOUS] = "contiguous", [MOCO_BN_STRIDED] = "strided"};
static const char *const bn_buffers[] = {
    [MOCO_BN_BUFFERS_OWN] = "own", [MOCO_BN_BUFFERS_COPY] = "copy", [MOCO_BN_BUFFERS_AVERAGE] = "average",
};
static const char *const parameter[] = {
    [MOCO_PARAMETER_LEARNABLE] = "learnable", [MOCO_PARAMETER_BUFFER] = "buffer",
};
static const char *const queue_start[] = {[MOCO_QUEUE_START_RANDOM] = "random", [MOCO_QUEUE_START_EMPTY] = "empty"};
static const char *const queue_storage[] = {[MOCO_QUEUE_STORAGE_F32] = "f32", [MOCO_QUEUE_STORAGE_BF16] = "bf16"};
static const char *const optimizer[] = {[MOCO_OPTIMIZER_SGD] = "sgd"};
static const char *const schedule[] = {
    [MOCO_SCHEDULE_CONSTANT] = "constant", [MOCO_SCHEDULE_STEP] = "step", [MOCO_SCHEDULE_COSINE] = "cosine",
};
static const char *const schedule_unit[] = {
    [MOCO_SCHEDULE_PER_EPOCH] = "per-epoch", [MOCO_SCHEDULE_PER_STEP] = "per-step",
};
static const char *const augment[] = {
    [MOCO_AUGMENT_V1] = "v1", [MOCO_AUGMENT_V2] = "v2", [MOCO_AUGMENT_CIFAR] = "cifar",
    [MOCO_AUGMENT_PLAIN] = "plain", [MOCO_AUGMENT_V3] = "v3", [MOCO_AUGMENT_CUSTOM] = "custom",
};
static const char *const augment_part[] = {
    [MOCO_PART_NONE] = "none", [MOCO_PART_FLIP] = "flip", [MOCO_PART_JITTER] = "jitter",
    [MOCO_PART_GREY] = "grey", [MOCO_PART_BLUR] = "blur", [MOCO_PART_SOLARIZE] = "solarize",
};
static const char *const interpolation[] = {
    [MOCO_INTERPOLATION_BILINEAR] = "bilinear", [MOCO_INTERPOLATION_BICUBIC] = "bicubic",
};
static const char *const cache[] = {[MOCO_CACHE_ENCODED] = "encoded", [MOCO_CACHE_DECODED] = "decoded"};
static const char *const pixels[] = {[MOCO_PIXELS_FLOAT32] = "float32", [MOCO_PIXELS_UINT8] = "uint8"};
static const char *const output[] = {
    [MOCO_OUTPUT_FEATURES] = "features", [MOCO_OUTPUT_EMBEDDINGS] = "embeddings", [MOCO_OUTPUT_PIXELS] = "pixels",
};
static const char *const knn_stage[] = {[MOCO_KNN_STAGE_ENCODE] = "encode", [MOCO_KNN_STAGE_COMPARE] = "compare"};
static const char *const export_kind[] = {
    [MOCO_EXPORT_SAFETENSORS] = "safetensors", [MOCO_EXPORT_TIMM] = "timm", [MOCO_EXPORT_TORCH] = "torch",
    [MOCO_EXPORT_TORCH_MOCO] = "torch-moco", [MOCO_EXPORT_DETECTRON2] = "detectron2", [MOCO_EXPORT_ONNX] = "onnx",
};
static const char *const weights_kind[] = {
    [MOCO_WEIGHTS_SAFETENSORS] = "safetensors", [MOCO_WEIGHTS_SHARDS] = "shards",
    [MOCO_WEIGHTS_TORCH_ZIP] = "torch-zip", [MOCO_WEIGHTS_TORCH_LEGACY] = "torch-legacy",
};
static const char *const load[] = {[MOCO_LOAD_ALL] = "all", [MOCO_LOAD_BACKBONE] = "backbone"};
static const char *const may_miss[] = {
    [MOCO_MAY_MISS_HEAD] = "head", [MOCO_MAY_MISS_NOTHING] = "nothing", [MOCO_MAY_MISS_ANYTHING] = "anything",
};
static const char *const load_item[] = {
    [MOCO_ITEM_LOADED] = "loaded", [MOCO_ITEM_MISSING] = "missing", [MOCO_ITEM_UNEXPECTED] = "unexpected",
};
/* clang-format on */

typedef struct enum_kind {
    const char *kind;
    const char *const *names; /* by value */
    int32_t count;
} enum_kind;

static const enum_kind kinds[] = {
#define KIND(name, names) \
    { name, names, (int32_t) (sizeof names / sizeof names[0]) }
    KIND("log-level", log_level),
    KIND("stem", stem),
    KIND("head", head),
    KIND("compute", compute),
    KIND("bn-layout", bn_layout),
    KIND("bn-buffers", bn_buffers),
    KIND("parameter", parameter),
    KIND("queue-start", queue_start),
    KIND("queue-storage", queue_storage),
    KIND("optimizer", optimizer),
    KIND("schedule", schedule),
    KIND("schedule-unit", schedule_unit),
    KIND("augment", augment),
    KIND("augment-part", augment_part),
    KIND("interpolation", interpolation),
    KIND("cache", cache),
    KIND("pixels", pixels),
    KIND("output", output),
    KIND("knn-stage", knn_stage),
    KIND("export", export_kind),
    KIND("weights", weights_kind),
    KIND("load", load),
    KIND("may-miss", may_miss),
    KIND("load-item", load_item),
#undef KIND
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const enum_kind *find_kind(const char *kind) {
    for (int32_t i = 0; kind != NULL && i < KINDS; ++i) {
        if (strcmp(kinds[i].kind, kind) == 0) return &kinds[i];
    }
    return NULL;
}

const char *moco_enum_kind(int32_t index) {
    return index >= 0 && index < KINDS ? kinds[index].kind : NULL;
}

const char *moco_enum_name(const char *kind, int32_t value) {
    const enum_kind *found = find_kind(kind);
    return found != NULL && value >= 0 && value < found->count ? found->names[value] : NULL;
}

moco_status moco_enum_value(const char *kind, const char *name, int32_t *value) {
    MOCO_REQUIRE_POINTER(kind);
    MOCO_REQUIRE_POINTER(name);
    MOCO_REQUIRE_POINTER(value);
    char list[512] = "";
    const enum_kind *found = find_kind(kind);
    if (found == NULL) {
        for (int32_t i = 0; i < KINDS; ++i) moco_text_list_add(list, sizeof list, kinds[i].kind, i == KINDS - 1);
        return moco_fail(MOCO_INVALID_ARGUMENT, "kind is \"%.64s\"; it must be %s", kind, list);
    }
    for (int32_t i = 0; i < found->count; ++i) {
        if (strcmp(found->names[i], name) == 0) {
            *value = i;
            return MOCO_OK;
        }
    }
    for (int32_t i = 0; i < found->count; ++i) {
        moco_text_list_add(list, sizeof list, found->names[i], i == found->count - 1);
    }
    return moco_fail(MOCO_INVALID_ARGUMENT, "\"%.64s\" is no %s; it must be %s", name, kind, list);
}
