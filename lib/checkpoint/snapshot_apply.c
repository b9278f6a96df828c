/* Bringing a trainer back: one visit compares all of it with the snapshot and writes nothing, the next one writes. */
#include <stdio.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "checkpoint/setting_defaults.h"
#include "checkpoint/snapshot.h"

#define SENTENCE_SIZE 640

typedef struct apply {
    const moco_snapshot *snapshot;
    moco_context *context;
    uint8_t *seen; /* settings, then values: what the trainer has, too */
    int64_t next;  /* where the next value is looked for first: they come in about the same order */
    int32_t with_loader;
    /* What differs, as a sentence, in the words of settings and, which mostly follows from these, of values. */
    char settings[SENTENCE_SIZE];
    char values[SENTENCE_SIZE];
} apply;

/* --- Looking things up --- */

static const char *const loader_parts[] = {"loader", "augment"};
#define LOADER_PARTS (sizeof loader_parts / sizeof loader_parts[0])

static int32_t begins_with_part(const char *name, const char *part) {
    const size_t length = strlen(part);
    return strncmp(name, part, length) == 0 && name[length] == '.';
}

static int32_t is_of_loader(const char *name) {
    if (begins_with_part(name, "numbers") || begins_with_part(name, "reals")) name = strchr(name, '.') + 1;
    for (size_t i = 0; i < LOADER_PARTS; ++i) {
        if (begins_with_part(name, loader_parts[i])) return 1;
    }
    return 0;
}

/* What belongs to a loader counts only where both sides have one; else the place follows from the step count. */
static int32_t is_left_out(const apply *work, const char *part) {
    if (work->with_loader) return 0;
    for (size_t i = 0; i < LOADER_PARTS; ++i) {
        if (strcmp(part, loader_parts[i]) == 0) return 1;
    }
    return 0;
}

/* 1 if `whole` is "<sort><part>.<name>". */
static int32_t is_called(const char *whole, const char *sort, const char *part, const char *name) {
    const size_t sort_length = strlen(sort), part_length = strlen(part);
    return strncmp(whole, sort, sort_length) == 0 && strncmp(whole + sort_length, part, part_length) == 0 &&
           whole[sort_length + part_length] == '.' && strcmp(whole + sort_length + part_length + 1, name) == 0;
}

static int64_t find_value(apply *work, const char *sort, const char *part, const char *name) {
    const int64_t count = work->snapshot->value_count;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t at = (work->next + i) % count;
        if (!is_called(work->snapshot->values[at].name, sort, part, name)) continue;
        work->next = (at + 1) % count;
        return at;
    }
    return -1;
}

/* --- Differences --- */

/* Adds to the sentence as long as there is room, and " and more" at its end. */
static void add_difference(char *sentence, const char *difference) {
    static const char more[] = ", and more";
    const size_t used = strlen(sentence), length = strlen(difference), separator = used > 0 ? 2 : 0;
    if (used + separator + length + sizeof more < SENTENCE_SIZE) {
        snprintf(sentence + used, SENTENCE_SIZE - used, "%s%s", used > 0 ? ", " : "", difference);
    } else if (used < sizeof more || strcmp(sentence + used + 1 - sizeof more, more) != 0) {
        snprintf(sentence + used, SENTENCE_SIZE - used, "%s", more);
    }
}

static moco_status check_value(apply *work, const char *sort, const char *part, const char *name,
                               const moco_safetensors_entry *shape) {
    char difference[SENTENCE_SIZE / 2], found[MOCO_SNAPSHOT_SHAPE_SIZE], wanted[MOCO_SNAPSHOT_SHAPE_SIZE];
    if (is_left_out(work, part)) return MOCO_OK;
    const int64_t index = find_value(work, sort, part, name);
    if (index < 0) {
        snprintf(difference, sizeof difference, "without %s.%.128s", part, name);
        add_difference(work->values, difference);
        return MOCO_OK;
    }
    work->seen[work->snapshot->setting_count + index] = 1;
    const moco_safetensors_entry *entry = &work->snapshot->values[index].entry;
    if (entry->dtype != shape->dtype || entry->rank != shape->rank ||
        (shape->rank > 0 && memcmp(entry->dims, shape->dims, (size_t) shape->rank * sizeof *shape->dims) != 0)) {
        moco_snapshot_shape_text(entry, found);
        moco_snapshot_shape_text(shape, wanted);
        snprintf(difference, sizeof difference, "with %s.%.96s of %.64s, where this trainer has %.64s", part, name,
                 found, wanted);
        add_difference(work->values, difference);
    }
    return MOCO_OK;
}

static moco_status check_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    const moco_safetensors_entry shape = moco_snapshot_tensor_shape(tensor);
    return check_value((apply *) self, MOCO_SNAPSHOT_TENSOR, part, name, &shape);
}

static moco_status check_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    const moco_safetensors_entry shape = {.dtype = MOCO_SAFETENSORS_I64, .rank = 1, .dims = {count}};
    (void) values;
    return check_value((apply *) self, MOCO_SNAPSHOT_NUMBERS, part, name, &shape);
}

static moco_status check_real(void *self, const char *part, const char *name, double *value) {
    const moco_safetensors_entry shape = {.dtype = MOCO_SAFETENSORS_F64};
    (void) value;
    return check_value((apply *) self, MOCO_SNAPSHOT_REAL, part, name, &shape);
}

/* A setting that the file's libmoco did not have yet passes at its default, with which nothing else is computed. */
static moco_status is_default(const moco_snapshot *snapshot, const char *part, const char *name, const char *text,
                              int32_t *answer) {
    char buffer[MOCO_FIELD_TEXT_SIZE];
    const char *usual = NULL;
    *answer = 0;
    MOCO_TRY(moco_setting_default(snapshot, part, name, buffer, &usual));
    *answer = usual != NULL && strcmp(usual, text) == 0;
    return MOCO_OK;
}

static moco_status check_setting(void *self, const char *part, const char *name, const char *text) {
    apply *work = (apply *) self;
    char difference[SENTENCE_SIZE / 2];
    if (is_left_out(work, part)) return MOCO_OK;
    for (int64_t i = 0; i < work->snapshot->setting_count; ++i) {
        const moco_snapshot_setting *setting = &work->snapshot->settings[i];
        if (!is_called(setting->name, "", part, name)) continue;
        work->seen[i] = 1;
        if (strcmp(setting->text, text) == 0) return MOCO_OK;
        /* The key encoder is a copy of the query encoder, of which it was said already. */
        if (strcmp(part, "key_encoder") == 0 && strstr(work->settings, "query_encoder.") != NULL) return MOCO_OK;
        snprintf(difference, sizeof difference, "with %s.%s = %.96s, where this trainer has %.96s", part, name,
                 setting->text, text);
        add_difference(work->settings, difference);
        return MOCO_OK;
    }
    int32_t usual;
    MOCO_TRY(is_default(work->snapshot, part, name, text, &usual));
    if (usual) return MOCO_OK;
    snprintf(difference, sizeof difference, "without %s.%s, where this trainer has %.96s", part, name, text);
    add_difference(work->settings, difference);
    return MOCO_OK;
}

/* What the snapshot has beyond this trainer. */
static void check_rest(apply *work) {
    const moco_snapshot *snapshot = work->snapshot;
    char difference[SENTENCE_SIZE / 2];
    for (int64_t i = 0; i < snapshot->setting_count; ++i) {
        const moco_snapshot_setting *setting = &snapshot->settings[i];
        if (work->seen[i] || begins_with_part(setting->name, MOCO_SNAPSHOT_RUN) ||
            begins_with_part(setting->name, MOCO_SNAPSHOT_NOTE) ||
            (!work->with_loader && is_of_loader(setting->name))) {
            continue;
        }
        snprintf(difference, sizeof difference, "with %.96s = %.96s, which this trainer doesn't have", setting->name,
                 setting->text);
        add_difference(work->settings, difference);
    }
    for (int64_t i = 0; i < snapshot->value_count; ++i) {
        const char *name = snapshot->values[i].name;
        if (work->seen[snapshot->setting_count + i] || (!work->with_loader && is_of_loader(name))) continue;
        snprintf(difference, sizeof difference, "with %.160s, which this trainer doesn't have", name);
        add_difference(work->values, difference);
    }
}

static int32_t has_loader(const moco_snapshot *snapshot) {
    for (int64_t i = 0; i < snapshot->setting_count; ++i) {
        if (begins_with_part(snapshot->settings[i].name, loader_parts[0])) return 1;
    }
    return 0;
}

static apply begin(const moco_snapshot *snapshot, const moco_trainer *trainer) {
    const apply work = {.snapshot = snapshot,
                        .context = trainer->context,
                        .with_loader = trainer->loader != NULL && has_loader(snapshot)};
    return work;
}

moco_status moco_snapshot_check(const moco_snapshot *snapshot, moco_trainer *trainer, const char *path) {
    static const moco_state_ops checking = {check_tensor, check_numbers, check_real, check_setting};
    const size_t things = (size_t) (snapshot->setting_count + snapshot->value_count);
    apply work = begin(snapshot, trainer);
    work.seen = (uint8_t *) moco_allocate_zeroed(work.context, things, 1);
    if (work.seen == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_state visitor = {.ops = &checking, .self = &work, .part = ""};
    moco_status status = moco_trainer_visit(trainer, &visitor);
    if (status == MOCO_OK) check_rest(&work);
    moco_deallocate(work.context, work.seen);
    MOCO_TRY(status);
    const char *differences = work.settings[0] != '\0' ? work.settings : work.values;
    MOCO_REQUIRE(differences[0] == '\0', "%s is of another trainer: saved %s", path, differences);
    return MOCO_OK;
}

/* --- Writing --- */

static moco_status find_checked(apply *work, const char *sort, const char *part, const char *name, size_t bytes,
                                const void **values) {
    const int64_t index = find_value(work, sort, part, name);
    if (index < 0 || work->snapshot->values[index].bytes != bytes) {
        return moco_fail(MOCO_INTERNAL, "%s.%s of a snapshot is not what was checked", part, name);
    }
    *values = moco_snapshot_bytes(work->snapshot, index);
    return MOCO_OK;
}

static moco_status write_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    apply *work = (apply *) self;
    const void *values;
    if (is_left_out(work, part)) return MOCO_OK;
    MOCO_TRY(find_checked(work, MOCO_SNAPSHOT_TENSOR, part, name, (size_t) moco_tensor_bytes(tensor), &values));
    return moco_tensor_upload(work->context, tensor, values);
}

static moco_status write_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    apply *work = (apply *) self;
    const size_t bytes = (size_t) count * sizeof *values;
    const void *saved;
    if (is_left_out(work, part)) return MOCO_OK;
    MOCO_TRY(find_checked(work, MOCO_SNAPSHOT_NUMBERS, part, name, bytes, &saved));
    memcpy(values, saved, bytes);
    return MOCO_OK;
}

static moco_status write_real(void *self, const char *part, const char *name, double *value) {
    apply *work = (apply *) self;
    const void *saved;
    if (is_left_out(work, part)) return MOCO_OK;
    MOCO_TRY(find_checked(work, MOCO_SNAPSHOT_REAL, part, name, sizeof *value, &saved));
    memcpy(value, saved, sizeof *value);
    return MOCO_OK;
}

static moco_status pass_setting(void *self, const char *part, const char *name, const char *text) {
    (void) self, (void) part, (void) name, (void) text;
    return MOCO_OK;
}

moco_status moco_snapshot_apply(const moco_snapshot *snapshot, moco_trainer *trainer) {
    static const moco_state_ops writing = {write_tensor, write_numbers, write_real, pass_setting};
    apply work = begin(snapshot, trainer);
    const moco_state visitor = {.ops = &writing, .self = &work, .part = "", .writes = 1};
    return moco_trainer_visit(trainer, &visitor);
}
