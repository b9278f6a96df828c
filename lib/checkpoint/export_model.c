/* Exporting an encoder: the settings' checks, and the kind that is our own file. Each other kind has its file. */
#include <math.h>
#include <moco/export_model.h>
#include <string.h>

#include "checkpoint/encoder_file.h"
#include "checkpoint/export_job.h"
#include "core/config.h"
#include "io/safetensors.h"

#define OLDEST_SIZE      sizeof(moco_export_config)
#define OLDEST_VIEW_SIZE offsetof(moco_augment_config, solarize_p)

static const moco_export_config default_config = {.struct_size = sizeof(moco_export_config)};

moco_status moco_export_config_init(moco_export_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, OLDEST_SIZE,
                            "moco_export_config");
}

/* --- Checks --- */

static moco_status require_flag(const char *name, int32_t value) {
    MOCO_REQUIRE(value == 0 || value == 1, "%s is %d; it must be 0 or 1", name, value);
    return MOCO_OK;
}

static moco_status check_config(const moco_export_config *config) {
    MOCO_REQUIRE(config->kind >= MOCO_EXPORT_SAFETENSORS && config->kind <= MOCO_EXPORT_ONNX,
                 "kind is %d; it must be a MOCO_EXPORT_*, %d to %d", config->kind, MOCO_EXPORT_SAFETENSORS,
                 MOCO_EXPORT_ONNX);
    MOCO_TRY(require_flag("with_head", config->with_head));
    MOCO_TRY(require_flag("fold_batch_norm", config->fold_batch_norm));
    MOCO_TRY(require_flag("with_preprocess", config->with_preprocess));
    MOCO_REQUIRE(config->class_count >= 0, "class_count is %d; it must be at least 0", config->class_count);
    MOCO_REQUIRE(config->class_count == 0 || config->class_names != NULL,
                 "class_names is NULL but class_count is %d; it must hold so many strings", config->class_count);
    for (int32_t i = 0; i < config->class_count; ++i) {
        MOCO_REQUIRE(config->class_names[i] != NULL, "class_names[%d] is NULL; it must be a string", i);
    }
    MOCO_REQUIRE(config->epoch >= 0, "epoch is %lld; it must be at least 0", (long long) config->epoch);
    MOCO_REQUIRE(config->entry_count >= 0 && config->entry_count <= MOCO_SAFETENSORS_MAX_HEADER,
                 "entry_count is %lld; it must be 0 to %d", (long long) config->entry_count,
                 MOCO_SAFETENSORS_MAX_HEADER);
    MOCO_REQUIRE(config->entry_count == 0 || (config->keys != NULL && config->values != NULL),
                 "keys or values is NULL but entry_count is %lld; both must hold so many strings",
                 (long long) config->entry_count);
    if (config->with_preprocess && (config->kind != MOCO_EXPORT_ONNX || config->augment == NULL)) {
        return moco_fail(MOCO_INVALID_ARGUMENT,
                         "with_preprocess is 1; that needs the kind MOCO_EXPORT_ONNX, whose graph it is part of, and "
                         "augment, which has mean and std");
    }
    return MOCO_OK;
}

static moco_status check_view(const moco_augment_config *view) {
    MOCO_REQUIRE(view->height >= 1 && view->width >= 1,
                 "augment's height is %d and its width %d; both must be at least 1", view->height, view->width);
    MOCO_REQUIRE(isfinite(view->eval_resize) && view->eval_resize > 0,
                 "augment's eval_resize is %g; it must be above 0", view->eval_resize);
    for (int32_t c = 0; c < 3; ++c) {
        MOCO_REQUIRE(isfinite(view->mean[c]) && isfinite(view->std[c]) && view->std[c] > 0,
                     "augment's mean[%d] is %g and its std[%d] %g; they must be finite, std above 0", c, view->mean[c],
                     c, view->std[c]);
    }
    return MOCO_OK;
}

/* --- Job --- */

static moco_status read_settings(moco_export_job *job, const moco_export_config *config) {
    static const moco_augment_config unknown = {.struct_size = sizeof unknown,
                                                .height = 224,
                                                .width = 224,
                                                .mean = {0.485, 0.456, 0.406},
                                                .std = {0.229, 0.224, 0.225},
                                                .eval_resize = 256.0 / 224.0};
    job->config = default_config;
    job->view = unknown;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&job->config, config, sizeof job->config, OLDEST_SIZE, "moco_export_config"));
    }
    MOCO_TRY(check_config(&job->config));
    if (job->config.augment != NULL) {
        MOCO_TRY(moco_config_read(&job->view, job->config.augment, sizeof job->view, OLDEST_VIEW_SIZE,
                                  "moco_augment_config"));
    }
    job->part = job->config.with_head ? MOCO_TENSORS_ALL : MOCO_TENSORS_BACKBONE;
    return check_view(&job->view);
}

/* Where the head is not in the file, or in one of its own, the configuration is that of an encoder that has none. */
static moco_status list_metadata(moco_export_job *job) {
    moco_metadata *metadata = &job->metadata;
    if (job->config.kind != MOCO_EXPORT_ONNX)
        moco_metadata_add(metadata, "format", "pt"); /* PyTorch's readers want it */
    if (job->network != NULL) {
        moco_encoder_config config = *job->network;
        if (!job->config.with_head || job->config.kind == MOCO_EXPORT_TIMM) config.head = MOCO_HEAD_NONE;
        moco_metadata_add_encoder(metadata, &config);
    }
    if (job->config.augment != NULL) moco_metadata_add_view(metadata, &job->view);
    moco_metadata_add_class_names(metadata, job->config.class_names, job->config.class_count);
    if (job->config.description != NULL) moco_metadata_add(metadata, MOCO_DESCRIPTION_KEY, job->config.description);
    moco_metadata_add_all(metadata, job->config.keys, job->config.values, job->config.entry_count);
    return metadata->status;
}

static moco_status run(const moco_export_job *job) {
    switch (job->config.kind) {
    case MOCO_EXPORT_SAFETENSORS:
        return moco_encoder_write_file(job->encoder, job->path, job->part, &job->metadata);
    case MOCO_EXPORT_TIMM:
        return moco_export_timm(job);
    case MOCO_EXPORT_ONNX:
        return moco_export_onnx(job);
    default:
        return moco_export_torch(job);
    }
}

moco_status moco_encoder_export(const moco_encoder *encoder, const char *path, const moco_export_config *config) {
    moco_export_job job;
    MOCO_REQUIRE_POINTER(encoder);
    MOCO_REQUIRE_POINTER(path);
    memset(&job, 0, sizeof job);
    MOCO_TRY(read_settings(&job, config));
    MOCO_TRY(moco_require_finite(encoder));
    job.encoder = encoder;
    job.context = moco_encoder_context(encoder);
    job.network = moco_encoder_configuration(encoder);
    job.path = path;
    moco_metadata_init(&job.metadata, job.context);
    moco_status status = list_metadata(&job);
    if (status == MOCO_OK) status = run(&job);
    moco_metadata_release(&job.metadata);
    return status;
}
