/* The labels of a tar's samples: files beside the images, of the same key. */
#include <stdio.h>
#include <string.h>

#include "data/file_bytes.h"
#include "data/sample_label.h"
#include "data/tar_scan.h"
#include <moco/dataset.h>

#define MAX_COMPLAINTS 20

/* A sample's label, and room to read it. */
typedef struct sample_reader {
    moco_tar_scan *scan;
    const moco_tar_part *part;
    char key[MOCO_MAX_NAME]; /* of the sample that was read last */
    int32_t has_key;
    int32_t label; /* MOCO_NO_LABEL: it has none */
    char text[MOCO_LABEL_BYTES];
    char bytes[MOCO_LARGEST_JSON];
} sample_reader;

/* A sample's file whose key is `key`, or NULL. */
static const moco_index_entry *find_file(const moco_index_builder *files, const char *key) {
    int64_t low = 0, high = files->count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const int32_t order = moco_compare_names(files->names + files->entries[middle].name_at, key);
        if (order == 0) {
            /* Of several, the last is the one that extracting the tar would leave. */
            int64_t last = middle;
            while (files->entries[last].flags & MOCO_INDEX_DROPPED) ++last;
            return &files->entries[last];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static void complain(sample_reader *reader, const char *ending) {
    if (++reader->scan->complaints > MAX_COMPLAINTS) return;
    char reason[512];
    snprintf(reason, sizeof reason, "%s", moco_last_error());
    moco_log(reader->scan->context, MOCO_LOG_WARNING, "%s/%s%s has no label that can be read: %s", reader->part->path,
             reader->key, ending, reason);
}

static moco_status refuse_mixed(const sample_reader *reader, const char *ending) {
    const char *first = reader->scan->first_label;
    return moco_fail(MOCO_FORMAT, "%s/%s%s: the label \"%.200s\" is no number from 0 to %d (or -1 for none)%s%s%s",
                     reader->part->path, reader->key, ending, reader->text, MOCO_LARGEST_LABEL,
                     first[0] == '\0' ? "; a class's name is no number with a sign, nor several numbers"
                                      : ", as that of ",
                     first, first[0] == '\0' ? "" : " is");
}

/* The label in one file; *has_label is 0 where there is none, or none that can be read. */
static moco_status read_file(sample_reader *reader, const moco_index_entry *file, int32_t kind, int32_t *has_label) {
    moco_tar_scan *scan = reader->scan;
    const char *ending = kind == MOCO_SAMPLE_CLS ? ".cls" : ".json";
    const uint64_t most = kind == MOCO_SAMPLE_CLS ? MOCO_LARGEST_CLS : MOCO_LARGEST_JSON;
    size_t length = 0;
    int32_t fits = 0;
    *has_label = 0;
    if (file->data_size > most) {
        moco_fail(MOCO_FORMAT, "%llu bytes, more than %llu", (unsigned long long) file->data_size,
                  (unsigned long long) most);
        complain(reader, ending);
        return MOCO_OK;
    }
    MOCO_TRY(moco_file_read(reader->part->descriptor, reader->bytes, (size_t) file->data_size, file->data_at,
                            reader->part->path));
    const moco_status status = moco_sample_label(kind, reader->bytes, (size_t) file->data_size, reader->text, &length);
    if (status == MOCO_UNSUPPORTED && !scan->told_json) {
        scan->told_json = 1;
        moco_log(scan->context, MOCO_LOG_WARNING, "%s: if its .json files have labels, they are not read: %s",
                 reader->part->path, moco_last_error());
    } else if (status == MOCO_FORMAT) {
        complain(reader, ending);
    }
    if (status == MOCO_UNSUPPORTED || status == MOCO_FORMAT) return MOCO_OK;
    MOCO_TRY(status);
    if (length == 0) return MOCO_OK;
    MOCO_TRY(moco_label_read(&scan->labels, reader->text, length, &reader->label, &fits));
    if (!fits) return refuse_mixed(reader, ending);
    if (scan->first_label[0] == '\0') {
        snprintf(scan->first_label, sizeof scan->first_label, "%.240s%s", reader->key, ending);
    }
    *has_label = 1;
    return MOCO_OK;
}

/* Reads the sample that the image called `name` belongs to, if it is another one than before. */
static moco_status read_sample(sample_reader *reader, const char *name, int32_t *has_label) {
    const size_t length = moco_sample_key(name);
    *has_label = reader->has_key > 1;
    if (reader->has_key && strncmp(reader->key, name, length) == 0 && reader->key[length] == '\0') return MOCO_OK;
    memcpy(reader->key, name, length);
    reader->key[length] = '\0';
    reader->label = MOCO_NO_LABEL;
    *has_label = 0;
    const moco_index_entry *cls = find_file(&reader->part->cls, reader->key);
    const moco_index_entry *json = find_file(&reader->part->json, reader->key);
    if (cls != NULL) MOCO_TRY(read_file(reader, cls, MOCO_SAMPLE_CLS, has_label));
    if (json != NULL && !*has_label) MOCO_TRY(read_file(reader, json, MOCO_SAMPLE_JSON, has_label));
    reader->has_key = *has_label ? 2 : 1;
    return MOCO_OK;
}

static moco_status read_labels(sample_reader *reader, moco_tar_part *part) {
    for (int64_t i = 0; i < part->images.count; ++i) {
        moco_index_entry *entry = &part->images.entries[i];
        int32_t has_label = 0;
        if (entry->flags & MOCO_INDEX_DROPPED) continue;
        MOCO_TRY(read_sample(reader, part->images.names + entry->name_at, &has_label));
        if (!has_label) continue;
        entry->label = reader->label;
        entry->flags |= MOCO_INDEX_LABELLED;
        reader->scan->labelled++;
    }
    return MOCO_OK;
}

moco_status moco_tar_read_labels(moco_tar_scan *scan, moco_tar_part *part) {
    if (part->cls.count == 0 && part->json.count == 0) return MOCO_OK;
    MOCO_TRY(moco_index_builder_sort(&part->cls));
    MOCO_TRY(moco_index_builder_sort(&part->json));
    sample_reader *reader = (sample_reader *) moco_allocate(scan->context, sizeof *reader);
    if (reader == NULL) return MOCO_OUT_OF_MEMORY;
    reader->scan = scan;
    reader->part = part;
    reader->has_key = 0;
    reader->label = MOCO_NO_LABEL;
    const moco_status status = read_labels(reader, part);
    moco_deallocate(scan->context, reader);
    if (status == MOCO_OK && scan->complaints > MAX_COMPLAINTS) {
        moco_log(scan->context, MOCO_LOG_WARNING, "%s: %lld samples so far have no label that can be read", part->path,
                 (long long) scan->complaints);
    }
    return status;
}
