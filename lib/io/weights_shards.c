/* Safetensors files as weights: one, or those that an index names. */
#include <string.h>

#include "io/weights_internal.h"

#define MOST_SHARDS 256

moco_status moco_weights_open_safetensors(moco_weights *weights, const char *path) {
    moco_safetensors **file = &weights->files[weights->file_count];
    MOCO_TRY(moco_safetensors_open(file, weights->context, path));
    weights->file_count++;
    for (int64_t i = 0; i < moco_safetensors_count(*file); ++i) {
        const moco_safetensors_entry *entry = moco_safetensors_get(*file, i);
        moco_weights_item *item = NULL;
        size_t bytes;
        MOCO_TRY(moco_weights_add(weights, &item));
        item->name = entry->name;
        item->file = weights->file_count - 1;
        item->dtype = entry->dtype;
        item->index = i;
        item->rank = entry->rank;
        memcpy(item->dims, entry->dims, sizeof item->dims);
        MOCO_TRY(moco_safetensors_entry_size(entry, &item->elements, &bytes));
    }
    const char *value = NULL;
    void *place = NULL;
    if (weights->file_count > 1) return MOCO_OK; /* the first one's metadata speak for all */
    for (const char *key; (key = moco_safetensors_metadata_next(*file, &place, &value)) != NULL;) {
        MOCO_TRY(moco_weights_add_note(weights, key, value));
    }
    return MOCO_OK;
}

#ifdef MOCO_HAVE_JANSSON
#include <jansson.h>

#define MOST_INDEX ((uint64_t) MOCO_SAFETENSORS_MAX_HEADER)

static moco_status refuse(const moco_weights *weights, const char *what) {
    return moco_fail(MOCO_FORMAT, "%s is no index of safetensors files: %s", weights->path, what);
}

/* The name of a file beside the index, and of no other place. */
static moco_status check_name(const moco_weights *weights, const json_t *value) {
    const char *name = json_string_value(value);
    if (name == NULL) return refuse(weights, "its weight_map has something else than names of files");
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL || strchr(name, '\\') != NULL) {
        return moco_fail(MOCO_FORMAT, "%s names \"%.100s\", which is no file beside it", weights->path, name);
    }
    return MOCO_OK;
}

static moco_status open_beside(moco_weights *weights, const char *name) {
    const char *slash = strrchr(weights->path, '/');
    const size_t folder = slash == NULL ? 0 : (size_t) (slash - weights->path) + 1;
    const size_t bytes = folder + strlen(name) + 1;
    char *path = (char *) moco_allocate(weights->context, bytes);
    if (path == NULL) return MOCO_OUT_OF_MEMORY;
    memcpy(path, weights->path, folder);
    memcpy(path + folder, name, bytes - folder);
    const moco_status status = moco_weights_open_safetensors(weights, path);
    moco_deallocate(weights->context, path);
    return status;
}

/* Every tensor of the files must be where the map says, and every one of the map there. */
static moco_status check_map(const moco_weights *weights, const json_t *map, const char *const *names) {
    if ((int64_t) json_object_size(map) != weights->count) {
        return moco_fail(MOCO_FORMAT, "%s lists %llu tensors, but its files have %lld", weights->path,
                         (unsigned long long) json_object_size(map), (long long) weights->count);
    }
    for (int64_t i = 0; i < weights->count; ++i) {
        const moco_weights_item *item = &weights->items[i];
        const char *file = json_string_value(json_object_get(map, item->name));
        if (file == NULL || strcmp(file, names[item->file]) != 0) {
            return moco_fail(MOCO_FORMAT, "%s says that tensor \"%s\" is in %s, but it is in %s", weights->path,
                             item->name, file == NULL ? "no file" : file, names[item->file]);
        }
    }
    return MOCO_OK;
}

static moco_status open_map(moco_weights *weights, const json_t *map) {
    const char *names[MOST_SHARDS];
    const char *key;
    json_t *value;
    if (!json_is_object(map)) return refuse(weights, "it has no object weight_map");
    json_object_foreach((json_t *) map, key, value) {
        int32_t known = 0;
        MOCO_TRY(check_name(weights, value));
        while (known < weights->file_count && strcmp(names[known], json_string_value(value)) != 0) ++known;
        if (known < weights->file_count) continue;
        if (known == MOST_SHARDS) return refuse(weights, "it names more than 256 files");
        names[known] = json_string_value(value);
        MOCO_TRY(open_beside(weights, names[known]));
    }
    return check_map(weights, map, names);
}

moco_status moco_weights_open_shards(moco_weights *weights) {
    json_error_t error = {0};
    const uint64_t size = weights->source.size;
    if (size > MOST_INDEX) return refuse(weights, "it is larger than 100 MB");
    weights->files = (moco_safetensors **) moco_allocate_zeroed(weights->context, MOST_SHARDS, sizeof *weights->files);
    char *text = (char *) moco_allocate(weights->context, (size_t) size);
    json_t *index = NULL;
    moco_status status = text == NULL || weights->files == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    if (status == MOCO_OK) status = moco_byte_source_read(&weights->source, 0, text, (size_t) size);
    if (status == MOCO_OK) {
        index = json_loadb(text, (size_t) size, JSON_REJECT_DUPLICATES, &error);
        if (index == NULL) status = refuse(weights, error.text);
    }
    moco_deallocate(weights->context, text);
    if (status == MOCO_OK) status = open_map(weights, json_object_get(index, "weight_map"));
    json_decref(index);
    return status;
}

#else

moco_status moco_weights_open_shards(moco_weights *weights) {
    return moco_fail(MOCO_UNSUPPORTED,
                     "cannot read %s: this libmoco was built without Jansson; build it with MOCO_WITH_JANSSON=ON",
                     weights->path);
}

#endif
