/* The folder that timm (timm/models/_hub.py, "local-dir:") and transformers (TimmWrapper) open. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "checkpoint/encoder_file.h"
#include "checkpoint/export_job.h"
#include "core/system_error.h"
#include "io/atomic_file.h"
#include "io/json_writer.h"

#define WEIGHTS_FILE "model.safetensors"
#define HEAD_FILE    "head.safetensors"
#define CONFIG_FILE  "config.json"
#define BUILD_FILE   "build_model.py"
#define FOLDER_MODE  0777 /* less the umask */

/* --- Files of a folder --- */

/* folder/name, to be freed; NULL without memory. */
static char *path_in_folder(const moco_export_job *job, const char *name) {
    const size_t bytes = strlen(job->path) + strlen(name) + 2;
    char *path = (char *) moco_allocate(job->context, bytes);
    if (path != NULL) snprintf(path, bytes, "%s/%s", job->path, name);
    return path;
}

static moco_status make_folder(const char *path) {
    struct stat info;
    if (mkdir(path, FOLDER_MODE) == 0) return MOCO_OK;
    const int error = errno;
    if (error == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return MOCO_OK;
    char text[MOCO_SYSTEM_ERROR_SIZE];
    return moco_fail(MOCO_IO, "cannot make the folder %s: %s", path, moco_system_error(error, text));
}

static moco_status write_text(const moco_export_job *job, const char *name, const void *text, size_t size) {
    moco_atomic_file *file = NULL;
    char *path = path_in_folder(job, name);
    if (path == NULL) return MOCO_OUT_OF_MEMORY;
    moco_status status = moco_atomic_file_open(&file, job->context, path);
    moco_deallocate(job->context, path);
    MOCO_TRY(status);
    status = moco_atomic_file_write(file, text, size);
    if (status == MOCO_OK) return moco_atomic_file_commit(file);
    moco_atomic_file_discard(file);
    return status;
}

static moco_status write_tensors(const moco_export_job *job, const char *name, int32_t part,
                                 const moco_metadata *metadata) {
    char *path = path_in_folder(job, name);
    if (path == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_status status = moco_encoder_write_file(job->encoder, path, part, metadata);
    moco_deallocate(job->context, path);
    return status;
}

/* The other of CONFIG_FILE and BUILD_FILE, left by an earlier export, would describe another network. */
static moco_status refuse_stale(const moco_export_job *job, const char *name) {
    struct stat info;
    char *path = path_in_folder(job, name);
    if (path == NULL) return MOCO_OUT_OF_MEMORY;
    const int32_t exists = lstat(path, &info) == 0;
    moco_deallocate(job->context, path);
    MOCO_REQUIRE(!exists, "%s holds %s, which is another network's; export into a folder of its own", job->path, name);
    return MOCO_OK;
}

/* --- config.json --- */

/* timm's name of the network; NULL where it can't build it. The arguments `model_args` needs are in `shape`, if
 * *with_groups is 1. */
static const char *timm_name(const moco_export_job *job, const moco_resnet_shape *shape, int32_t *with_groups) {
    static const struct {
        const char *name;
        int32_t bottleneck;
        int64_t blocks[MOCO_RESNET_STAGES];
    } known[] = {
        {"resnet18", 0, {2, 2, 2, 2}},   {"resnet34", 0, {3, 4, 6, 3}},   {"resnet50", 1, {3, 4, 6, 3}},
        {"resnet101", 1, {3, 4, 23, 3}}, {"resnet152", 1, {3, 8, 36, 3}},
    };
    *with_groups = shape->groups != 1 || shape->width_per_group != 64;
    if (shape->stages != MOCO_RESNET_STAGES || shape->stem_kernel != 7 || shape->stem != 64 || shape->channels != 3 ||
        job->network->bn_eps != (double) 1e-5 /* not x87's */) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i) {
        if (known[i].bottleneck == shape->bottleneck &&
            memcmp(known[i].blocks, shape->blocks, sizeof shape->blocks) == 0) {
            return known[i].name;
        }
    }
    return NULL;
}

static void add_string(moco_json_writer *json, const char *key, const char *value) {
    moco_json_key(json, key);
    moco_json_string(json, value);
}

static void add_integer(moco_json_writer *json, const char *key, int64_t value) {
    moco_json_key(json, key);
    moco_json_integer(json, value);
}

static void add_flag(moco_json_writer *json, const char *key, int32_t value) {
    moco_json_key(json, key);
    moco_json_boolean(json, value);
}

static void add_integers(moco_json_writer *json, const char *key, int32_t count, const int64_t *values) {
    moco_json_key(json, key);
    moco_json_begin_array(json);
    for (int32_t i = 0; i < count; ++i) moco_json_integer(json, values[i]);
    moco_json_end_array(json);
}

static void add_numbers(moco_json_writer *json, const char *key, const double values[3]) {
    moco_json_key(json, key);
    moco_json_begin_array(json);
    for (int32_t i = 0; i < 3; ++i) moco_json_number(json, values[i]);
    moco_json_end_array(json);
}

static void add_pretrained(moco_json_writer *json, const moco_augment_config *view) {
    const int64_t input[3] = {3, view->height, view->width};
    const int64_t pool[2] = {(view->height + 31) / 32, (view->width + 31) / 32};
    const double crop = 1 / view->eval_resize;
    moco_json_key(json, "pretrained_cfg");
    moco_json_begin_object(json);
    add_string(json, "tag", "libmoco");
    add_flag(json, "custom_load", 0);
    add_integers(json, "input_size", 3, input);
    add_flag(json, "fixed_input_size", 0);
    add_string(json, "interpolation", view->interpolation == MOCO_INTERPOLATION_BICUBIC ? "bicubic" : "bilinear");
    moco_json_key(json, "crop_pct");
    moco_json_number(json, crop < 1 ? crop : 1);
    add_string(json, "crop_mode", "center");
    add_numbers(json, "mean", view->mean);
    add_numbers(json, "std", view->std);
    add_integer(json, "num_classes", 0);
    add_integers(json, "pool_size", 2, pool);
    add_string(json, "first_conv", "conv1");
    add_string(json, "classifier", "fc");
    moco_json_end_object(json);
}

/* What else the model's file says: class names, description. Neither timm nor transformers look at it. */
static void add_notes(moco_json_writer *json, const moco_export_config *config) {
    moco_json_key(json, "libmoco");
    moco_json_begin_object(json);
    if (config->description != NULL) add_string(json, "description", config->description);
    moco_json_key(json, "class_names");
    moco_json_begin_array(json);
    for (int32_t i = 0; i < config->class_count; ++i) moco_json_lossy_string(json, config->class_names[i]);
    moco_json_end_array(json);
    moco_json_end_object(json);
}

static moco_status write_config(const moco_export_job *job, const char *name, int32_t with_groups,
                                const moco_resnet_shape *shape) {
    moco_json_writer json;
    moco_json_init(&json, job->context);
    moco_json_begin_object(&json);
    add_string(&json, "architecture", name);
    add_integer(&json, "num_classes", 0);
    add_integer(&json, "num_features", moco_encoder_feature_dim(job->encoder));
    add_string(&json, "global_pool", "avg");
    moco_json_key(&json, "model_args");
    moco_json_begin_object(&json);
    if (with_groups) {
        add_integer(&json, "cardinality", shape->groups);
        add_integer(&json, "base_width", shape->width_per_group);
    }
    moco_json_end_object(&json);
    add_pretrained(&json, &job->view);
    if (job->config.class_count > 0 || job->config.description != NULL) add_notes(&json, &job->config);
    moco_json_end_object(&json);
    moco_json_raw(&json, '\n');
    moco_status status = moco_json_finish(&json);
    if (status == MOCO_OK) status = write_text(job, CONFIG_FILE, json.text, json.length);
    moco_json_release(&json);
    return status;
}

static moco_status write_build_file(const moco_export_job *job, const moco_resnet_shape *shape) {
    moco_byte_buffer text;
    moco_byte_buffer_init(&text, job->context);
    moco_status status = moco_build_model_text(job, shape, &text);
    if (status == MOCO_OK) status = write_text(job, BUILD_FILE, text.bytes, text.size);
    moco_byte_buffer_release(&text);
    return status;
}

static moco_status write_head(const moco_export_job *job) {
    moco_metadata plain;
    moco_metadata_init(&plain, job->context);
    moco_metadata_add(&plain, "format", "pt");
    const moco_status status = write_tensors(job, HEAD_FILE, MOCO_TENSORS_HEAD, &plain);
    moco_metadata_release(&plain);
    return status;
}

moco_status moco_export_timm(const moco_export_job *job) {
    moco_resnet_shape shape;
    if (job->network == NULL) {
        return moco_fail(
            MOCO_UNSUPPORTED,
            "timm can't build the caller's own network; MOCO_EXPORT_SAFETENSORS and MOCO_EXPORT_TORCH keep "
            "its tensors");
    }
    int32_t with_groups;
    const int32_t is_resnet = moco_resnet_shape_of(job->encoder, &shape);
    const char *name = timm_name(job, &shape, &with_groups);
    MOCO_TRY(make_folder(job->path));
    MOCO_TRY(refuse_stale(job, name != NULL ? BUILD_FILE : CONFIG_FILE));
    const int32_t with_head = job->config.with_head && job->network->head != MOCO_HEAD_NONE;
    if (!with_head) MOCO_TRY(refuse_stale(job, HEAD_FILE));
    MOCO_TRY(write_tensors(job, WEIGHTS_FILE, MOCO_TENSORS_BACKBONE, &job->metadata));
    if (with_head) MOCO_TRY(write_head(job));
    return name != NULL ? write_config(job, name, with_groups, &shape)
                        : write_build_file(job, is_resnet ? &shape : NULL);
}
