#include "checkpoint/checkpoint_file.h"

#include <moco/checkpoint.h>
#include <moco/version.h>
#include <stdio.h>
#include <string.h>

#include "core/digest.h"
#include "core/number_text.h"

#define VERSION_KEY   "moco.checkpoint"
#define SETTINGS_KEY  "moco.settings"
#define CHECKSUM_KEY  "moco.checksum"
#define FORMAT_KEY    "format" /* what PyTorch's reader looks for */
#define FORMAT        "pt"
#define OWN_ENTRIES   4
#define NOTE_PREFIX   MOCO_SNAPSHOT_NOTE "."
#define DIGEST_DIGITS 16
#define DIGEST_SIZE   (DIGEST_DIGITS + 1)

static void digest_text(uint64_t digest, char text[DIGEST_SIZE]) {
    snprintf(text, DIGEST_SIZE, "%016llx", (unsigned long long) digest);
}

static int32_t is_note(const char *name) {
    return strncmp(name, NOTE_PREFIX, sizeof NOTE_PREFIX - 1) == 0;
}

static const char *note_key(const char *name) {
    return name + sizeof NOTE_PREFIX - 1;
}

/* --- The checksum --- */

static uint64_t digest_of_text(const char *text, uint64_t digest) {
    return moco_digest(text, strlen(text), digest);
}

static uint64_t digest_start(const char *version, const char *settings) {
    return digest_of_text(settings, digest_of_text(version, 0));
}

/* Of a value as the file has it, its name and shape included. */
static uint64_t digest_value(const moco_safetensors_entry *entry, int64_t elements, size_t bytes, void *values,
                             uint64_t digest) {
    char shape[MOCO_SNAPSHOT_SHAPE_SIZE];
    moco_snapshot_shape_text(entry, shape);
    const size_t element_size = moco_safetensors_dtype_size(entry->dtype);
    digest = digest_of_text(shape, digest_of_text(entry->name, digest));
    moco_safetensors_swap(values, elements, element_size);
    digest = moco_digest(values, bytes, digest);
    moco_safetensors_swap(values, elements, element_size);
    return digest;
}

/* --- Notes --- */

moco_status moco_checkpoint_add_notes(moco_snapshot *snapshot, const char *const *keys, const char *const *values,
                                      int64_t count) {
    MOCO_REQUIRE(count >= 0 && count <= MOCO_SAFETENSORS_MAX_HEADER, "count is %lld; it must be 0 to %d",
                 (long long) count, MOCO_SAFETENSORS_MAX_HEADER);
    MOCO_REQUIRE(count == 0 || (keys != NULL && values != NULL),
                 "keys or values is NULL but count is %lld; both must hold count strings", (long long) count);
    for (int64_t i = 0; i < count; ++i) {
        MOCO_REQUIRE(keys[i] != NULL && values[i] != NULL, "keys[%lld] or values[%lld] is NULL; both must be strings",
                     (long long) i, (long long) i);
        MOCO_REQUIRE(strcmp(keys[i], FORMAT_KEY) != 0 && strncmp(keys[i], "moco.", 5) != 0,
                     "keys[%lld] is \"%s\"; \"format\" and what begins with \"moco.\" are the file's own",
                     (long long) i, keys[i]);
        MOCO_REQUIRE(keys[i][0] != '\0' && strpbrk(keys[i], "\n=") == NULL,
                     "keys[%lld] is \"%s\"; a key must have a character, and neither a line break nor '='",
                     (long long) i, keys[i]);
        MOCO_TRY(moco_snapshot_add_setting(snapshot, MOCO_SNAPSHOT_NOTE, keys[i], values[i]));
    }
    return MOCO_OK;
}

/* --- Writing --- */

typedef struct writing {
    const moco_snapshot *snapshot;
    moco_context *context;
    moco_safetensors_entry *entries;
    int64_t *order; /* of the values, as the file has them */
    const void **values;
    char *settings;
    const char **keys, **texts;
    int64_t metadata_count;
} writing;

/* Large elements first, so that all are aligned. */
static moco_status order_values(writing *work) {
    const moco_snapshot *snapshot = work->snapshot;
    const size_t count = (size_t) snapshot->value_count;
    work->entries = (moco_safetensors_entry *) moco_allocate_zeroed(work->context, count, sizeof *work->entries);
    work->order = (int64_t *) moco_allocate_zeroed(work->context, count, sizeof *work->order);
    work->values = (const void **) moco_allocate_zeroed(work->context, count, sizeof *work->values);
    if (work->entries == NULL || work->order == NULL || work->values == NULL) return MOCO_OUT_OF_MEMORY;
    int64_t placed = 0;
    for (size_t size = 8; size > 0; size /= 2) {
        for (int64_t i = 0; i < snapshot->value_count; ++i) {
            const moco_safetensors_entry *entry = &snapshot->values[i].entry;
            if (moco_safetensors_dtype_size(entry->dtype) != size) continue;
            work->entries[placed] = *entry;
            work->values[placed] = moco_snapshot_bytes(snapshot, i);
            work->order[placed++] = i;
        }
    }
    return MOCO_OK;
}

static moco_status write_settings(writing *work) {
    const moco_snapshot *snapshot = work->snapshot;
    size_t bytes = 1;
    for (int64_t i = 0; i < snapshot->setting_count; ++i) {
        const moco_snapshot_setting *setting = &snapshot->settings[i];
        bytes += strlen(setting->name) + 2 + (is_note(setting->name) ? DIGEST_DIGITS : strlen(setting->text));
    }
    char *at = work->settings = (char *) moco_allocate(work->context, bytes);
    if (at == NULL) return MOCO_OUT_OF_MEMORY;
    *at = '\0';
    for (int64_t i = 0; i < snapshot->setting_count; ++i) {
        const moco_snapshot_setting *setting = &snapshot->settings[i];
        char digest[DIGEST_SIZE];
        digest_text(digest_of_text(setting->text, 0), digest);
        const char *text = is_note(setting->name) ? digest : setting->text;
        at += snprintf(at, bytes - (size_t) (at - work->settings), "%s=%s\n", setting->name, text);
    }
    return MOCO_OK;
}

static void add_metadata(writing *work, const char *key, const char *text) {
    work->keys[work->metadata_count] = key;
    work->texts[work->metadata_count++] = text;
}

static moco_status write_metadata(writing *work, const char *version, const char *checksum) {
    const moco_snapshot *snapshot = work->snapshot;
    const size_t most = (size_t) snapshot->setting_count + OWN_ENTRIES;
    work->keys = (const char **) moco_allocate_zeroed(work->context, most, sizeof *work->keys);
    work->texts = (const char **) moco_allocate_zeroed(work->context, most, sizeof *work->texts);
    if (work->keys == NULL || work->texts == NULL) return MOCO_OUT_OF_MEMORY;
    add_metadata(work, FORMAT_KEY, FORMAT);
    add_metadata(work, VERSION_KEY, version);
    add_metadata(work, CHECKSUM_KEY, checksum);
    add_metadata(work, SETTINGS_KEY, work->settings);
    for (int64_t i = 0; i < snapshot->setting_count; ++i) {
        const moco_snapshot_setting *setting = &snapshot->settings[i];
        if (is_note(setting->name)) add_metadata(work, note_key(setting->name), setting->text);
    }
    return MOCO_OK;
}

static moco_status write_all(writing *work, const char *path) {
    const moco_snapshot *snapshot = work->snapshot;
    char version[MOCO_NUMBER_TEXT_SIZE], checksum[DIGEST_SIZE];
    snprintf(version, sizeof version, "%d", MOCO_CHECKPOINT_VERSION);
    MOCO_TRY(order_values(work));
    MOCO_TRY(write_settings(work));
    uint64_t digest = digest_start(version, work->settings);
    for (int64_t i = 0; i < snapshot->value_count; ++i) {
        const moco_snapshot_value *value = &snapshot->values[work->order[i]];
        digest = digest_value(&value->entry, value->elements, value->bytes,
                              moco_snapshot_bytes(snapshot, work->order[i]), digest);
    }
    digest_text(digest, checksum);
    MOCO_TRY(write_metadata(work, version, checksum));
    return moco_safetensors_write_values(work->context, path, work->entries, work->values, snapshot->value_count,
                                         work->keys, work->texts, work->metadata_count);
}

moco_status moco_checkpoint_write(const moco_snapshot *snapshot, const char *path) {
    writing work = {.snapshot = snapshot, .context = snapshot->context};
    const moco_status status = write_all(&work, path);
    moco_deallocate(work.context, work.entries);
    moco_deallocate(work.context, work.order);
    moco_deallocate(work.context, (void *) work.values);
    moco_deallocate(work.context, work.settings);
    moco_deallocate(work.context, (void *) work.keys);
    moco_deallocate(work.context, (void *) work.texts);
    return status;
}

/* --- Reading --- */

static moco_status find_metadata(const moco_safetensors *file, const char *path, const char *key, const char **text) {
    *text = moco_safetensors_metadata(file, key);
    if (*text != NULL) return MOCO_OK;
    return moco_fail(MOCO_FORMAT,
                     "%s is no checkpoint of a trainer: it has no metadata entry %s, as moco_trainer_save writes", path,
                     key);
}

static moco_status check_version(const moco_safetensors *file, const char *path, const char **text) {
    int64_t version;
    MOCO_TRY(find_metadata(file, path, VERSION_KEY, text));
    if (!moco_text_to_i64(*text, &version) || version < 1) {
        return moco_fail(MOCO_FORMAT,
                         "%s: the metadata entry " VERSION_KEY " is \"%.32s\"; it must be a number from 1 on", path,
                         *text);
    }
    if (version <= MOCO_CHECKPOINT_VERSION) return MOCO_OK;
    return moco_fail(MOCO_UNSUPPORTED,
                     "%s is a checkpoint of version %lld; this libmoco, %s, reads versions up to %d: use a newer one",
                     path, (long long) version, MOCO_VERSION_STRING, MOCO_CHECKPOINT_VERSION);
}

static moco_status fail_damaged(const char *path, const char *what) {
    return moco_fail(MOCO_FORMAT, "%s is damaged: %s; restore an older checkpoint", path, what);
}

/* One line NAME=TEXT, which ends in '\n' and is cut into its two strings. */
static moco_status read_setting(moco_snapshot *snapshot, const moco_safetensors *file, const char *path, char *line) {
    char *text = strchr(line, '=');
    if (text == NULL) return fail_damaged(path, "a line of its settings has no '='");
    *text++ = '\0';
    char *name = strchr(line, '.');
    if (name == NULL) return fail_damaged(path, "a setting's name has no part");
    const int32_t noted = is_note(line);
    *name++ = '\0';
    if (!noted) return moco_snapshot_add_setting(snapshot, line, name, text);
    const char *note = moco_safetensors_metadata(file, name);
    char digest[DIGEST_SIZE];
    if (note != NULL) digest_text(digest_of_text(note, 0), digest);
    if (note == NULL || strcmp(digest, text) != 0) return fail_damaged(path, "an entry of its metadata was changed");
    return moco_snapshot_add_setting(snapshot, line, name, note);
}

static moco_status read_settings(moco_snapshot *snapshot, const moco_safetensors *file, const char *path,
                                 const char *settings) {
    char *copy = moco_duplicate_string(snapshot->context, settings);
    if (copy == NULL) return MOCO_OUT_OF_MEMORY;
    moco_status status = MOCO_OK;
    for (char *line = copy; *line != '\0' && status == MOCO_OK;) {
        char *end = strchr(line, '\n');
        if (end == NULL) {
            status = fail_damaged(path, "its settings are cut");
            break;
        }
        *end = '\0';
        status = read_setting(snapshot, file, path, line);
        line = end + 1;
    }
    moco_deallocate(snapshot->context, copy);
    return status;
}

static moco_status read_values(moco_snapshot *snapshot, const moco_safetensors *file, uint64_t *digest) {
    for (int64_t i = 0; i < moco_safetensors_count(file); ++i) {
        const moco_safetensors_entry *entry = moco_safetensors_get(file, i);
        MOCO_TRY(moco_snapshot_add_value(snapshot, "", NULL, entry->name, entry));
    }
    MOCO_TRY(moco_snapshot_place_values(snapshot));
    for (int64_t i = 0; i < snapshot->value_count; ++i) {
        const moco_snapshot_value *value = &snapshot->values[i];
        void *bytes = moco_snapshot_bytes(snapshot, i);
        MOCO_TRY(moco_safetensors_read(file, i, bytes));
        *digest = digest_value(&value->entry, value->elements, value->bytes, bytes, *digest);
    }
    return MOCO_OK;
}

static moco_status read_all(moco_snapshot *snapshot, const moco_safetensors *file, const char *path) {
    const char *version, *settings, *checksum;
    char found[DIGEST_SIZE];
    MOCO_TRY(check_version(file, path, &version));
    MOCO_TRY(find_metadata(file, path, SETTINGS_KEY, &settings));
    MOCO_TRY(find_metadata(file, path, CHECKSUM_KEY, &checksum));
    const char *format = moco_safetensors_metadata(file, FORMAT_KEY);
    if (format == NULL || strcmp(format, FORMAT) != 0)
        return fail_damaged(path, "its metadata entry " FORMAT_KEY " is not " FORMAT);
    uint64_t digest = digest_start(version, settings);
    MOCO_TRY(read_values(snapshot, file, &digest));
    digest_text(digest, found);
    if (strcmp(found, checksum) != 0) return fail_damaged(path, "its checksum is another than its content's");
    return read_settings(snapshot, file, path, settings);
}

moco_status moco_checkpoint_read(moco_snapshot *snapshot, const char *path) {
    moco_safetensors *file = NULL;
    MOCO_TRY(moco_safetensors_open(&file, snapshot->context, path));
    const moco_status status = read_all(snapshot, file, path);
    moco_safetensors_close(file);
    return status;
}
