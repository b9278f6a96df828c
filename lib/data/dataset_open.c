/* From a description to a dataset of its kind. */
#include <string.h>

#include "core/checked.h"
#include "core/config.h"
#include "data/dataset_internal.h"
#include "data/dataset_kinds.h"

/* What follows "kind:" (or an empty string after a bare "kind"), NULL if `description` is of another kind. */
static const char *rest_after(const char *description, const char *kind) {
    const size_t length = strlen(kind);
    if (strncmp(description, kind, length) != 0) return NULL;
    if (description[length] == ':') return description + length + 1;
    return description[length] == '\0' ? description + length : NULL;
}

static moco_image_dataset_config default_config(void) {
    const moco_image_limits limits = moco_image_default_limits();
    return (moco_image_dataset_config){.struct_size = sizeof(moco_image_dataset_config),
                                       .max_side = limits.max_side,
                                       .max_pixels = limits.max_pixels,
                                       .max_memory = limits.max_memory,
                                       .max_seconds = limits.max_seconds};
}

moco_status moco_image_dataset_config_init(moco_image_dataset_config *config, uint32_t struct_size) {
    const moco_image_dataset_config defaults = default_config();
    return moco_config_init(config, struct_size, &defaults, sizeof defaults, sizeof defaults,
                            "moco_image_dataset_config");
}

static moco_status read_options(const moco_image_dataset_config *config, moco_image_options *options) {
    moco_image_dataset_config wanted = default_config();
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&wanted, config, sizeof wanted, sizeof wanted, "moco_image_dataset_config"));
    }
    MOCO_REQUIRE(wanted.max_side >= 1 && wanted.max_side <= INT32_MAX, "max_side is %lld; it must be 1 to %d",
                 (long long) wanted.max_side, INT32_MAX);
    MOCO_REQUIRE(wanted.max_pixels >= 1, "max_pixels is %lld; it must be at least 1", (long long) wanted.max_pixels);
    MOCO_REQUIRE(wanted.max_memory >= 1, "max_memory is 0; it must be at least 1 byte");
    MOCO_REQUIRE(wanted.max_seconds >= 0.0, "max_seconds is %g; it must be 0 (no limit) or more", wanted.max_seconds);
    MOCO_REQUIRE(wanted.index_file == NULL || wanted.index_file[0] != '\0',
                 "index_file is empty; it must be NULL or name a file");
    /* Whatever the limits, a size_t holds the bytes of pixels that are within them. */
    options->limits =
        (moco_image_limits){.max_side = wanted.max_side,
                            .max_pixels = moco_min_i64(wanted.max_pixels, (int64_t) (SIZE_MAX / 16)),
                            .max_memory = wanted.max_memory < SIZE_MAX / 2 ? wanted.max_memory : SIZE_MAX / 2,
                            .max_seconds = wanted.max_seconds};
    options->index_file = wanted.index_file;
    return MOCO_OK;
}

typedef moco_status (*open_images_fn)(moco_dataset **out, moco_context *context, const char *path,
                                      const moco_image_options *options);

static const struct {
    const char *name;
    const char *path; /* what follows it, for a message */
    open_images_fn open;
} image_kinds[] = {
    {"folder", "DIR", moco_folder_open}, {"filelist", "FILE", moco_filelist_open}, {"tar", "FILE", moco_tar_open}};

static moco_status require_path(const char *description, const char *rest, const char *kind, const char *path) {
    MOCO_REQUIRE(rest[0] != '\0', "description is \"%.200s\"; the %s is missing: write \"%s:%s\"", description,
                 strcmp(path, "DIR") == 0 ? "folder" : "file", kind, path);
    return MOCO_OK;
}

/* Opens by one kind's function; *path is the part of the description that is one, or NULL. */
static moco_status open_kind(moco_dataset **out, moco_context *context, const char *description,
                             const moco_image_options *options, const char **path) {
    for (size_t kind = 0; kind < sizeof image_kinds / sizeof *image_kinds; ++kind) {
        const char *rest = rest_after(description, image_kinds[kind].name);
        if (rest == NULL) continue;
        MOCO_TRY(require_path(description, rest, image_kinds[kind].name, image_kinds[kind].path));
        *path = rest;
        return image_kinds[kind].open(out, context, rest, options);
    }
    MOCO_REQUIRE(options->index_file == NULL,
                 "index_file is \"%.200s\", but \"%.200s\" has no index to keep; only folder: and tar: have one",
                 options->index_file, description);
    const char *rest = rest_after(description, "synthetic");
    if (rest != NULL) return moco_synthetic_open(out, context, rest);
    for (int32_t kind = 0; kind < MOCO_CIFAR_KINDS; ++kind) {
        rest = rest_after(description, moco_cifar_kind_names[kind]);
        if (rest == NULL) continue;
        MOCO_TRY(require_path(description, rest, moco_cifar_kind_names[kind], "DIR"));
        *path = rest;
        return moco_cifar_open(out, context, kind, rest);
    }
    return moco_fail(MOCO_INVALID_ARGUMENT,
                     "description is \"%.200s\"; it must be synthetic[:key=value,...], cifar10:DIR, cifar10-test:DIR, "
                     "cifar100:DIR, cifar100-test:DIR, folder:DIR, filelist:FILE or tar:FILE",
                     description);
}

moco_status moco_dataset_open(moco_dataset **out, moco_context *context, const char *description) {
    return moco_dataset_open_with(out, context, description, NULL);
}

moco_status moco_dataset_open_with(moco_dataset **out, moco_context *context, const char *description,
                                   const moco_image_dataset_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    MOCO_REQUIRE_POINTER(description);
    moco_image_options options;
    MOCO_TRY(read_options(config, &options));
    moco_dataset *dataset = NULL;
    const char *path = NULL;
    moco_status status = open_kind(&dataset, context, description, &options, &path);
    if (status == MOCO_NOT_FOUND && path != NULL && path[0] == '~') {
        return moco_fail(status,
                         "%s; a shell puts your home folder in the place of ~ at the beginning of a word only: "
                         "write %.*s\"$HOME\"/...",
                         moco_last_error(), (int) (path - description), description);
    }
    MOCO_TRY(status);
    status = moco_dataset_describe(dataset, description, path);
    if (status != MOCO_OK) {
        moco_dataset_destroy(dataset);
        return status;
    }
    *out = dataset;
    return MOCO_OK;
}
