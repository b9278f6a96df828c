#include "data/tar_scan.h"

#include <stdio.h>
#include <string.h>

#include "data/tar_places.h"
#include <moco/dataset.h>

void moco_tar_scan_init(moco_tar_scan *scan, moco_context *context) {
    memset(scan, 0, sizeof *scan);
    scan->context = context;
    scan->label_names.context = context;
    scan->labels.classes = &scan->label_names;
    moco_index_builder_init(&scan->images, context);
}

void moco_tar_scan_release(moco_tar_scan *scan) {
    moco_index_builder_release(&scan->images);
    moco_class_table_release(&scan->label_names);
}

/* --- One tar --- */

static int32_t leads_out(const char *name) {
    const size_t length = strlen(name);
    return strncmp(name, "../", 3) == 0 || strcmp(name, "..") == 0 || strstr(name, "/../") != NULL ||
           (length >= 3 && strcmp(name + length - 3, "/..") == 0);
}

static moco_status add_entry(moco_tar_scan *scan, moco_tar_part *part, moco_tar_entry *entry, int64_t *others) {
    size_t length = moco_tar_simplify_name(entry->name);
    if (leads_out(entry->name)) {
        enum { SHOWN = sizeof scan->outside_name - 1 };
        if (scan->outside++ == 0) snprintf(scan->outside_name, SHOWN + 1, "%.*s", SHOWN, entry->name);
        return MOCO_OK;
    }
    if (entry->kind == MOCO_TAR_HARD_LINK || entry->kind == MOCO_TAR_SYMLINK) {
        part->links++;
        return MOCO_OK;
    }
    if (!moco_tar_part_has(part, entry->name)) return MOCO_OK;
    if (entry->kind == MOCO_TAR_FILE) {
        const moco_tar_data data = {entry->data_at, entry->data_size,
                                    moco_has_image_signature(entry->first, entry->first_size)};
        return moco_tar_part_add_file(part, entry->name, &data);
    }
    if (entry->kind == MOCO_TAR_FOLDER) {
        if (entry->name[length - 1] == '/') entry->name[--length] = '\0';
        return moco_tar_part_add_folder(part, entry->name);
    }
    ++*others;
    return MOCO_OK;
}

static void tell_end(const moco_tar_part *part, const moco_tar_reader *reader, int64_t others) {
    if (reader->ended == MOCO_TAR_NO_END_MARK) {
        moco_log(part->context, MOCO_LOG_WARNING, "%s has no end mark: it may have been cut short after a whole entry",
                 part->path);
    }
    if (reader->joined > 0) {
        moco_log(part->context, MOCO_LOG_WARNING,
                 "%s is %lld tars one behind another; all of them are read, as by tar --ignore-zeros", part->path,
                 (long long) reader->joined + 1);
    }
    if (reader->trailing_at > 0) {
        moco_log(part->context, MOCO_LOG_WARNING,
                 "%s: behind the tar's end, from byte %llu on, are bytes that are no tar", part->path,
                 (unsigned long long) reader->trailing_at);
    }
    if (others > 0) {
        moco_log(part->context, MOCO_LOG_INFO, "%s: %lld sparse files, devices and the like are skipped", part->path,
                 (long long) others);
    }
}

static moco_status scan_entries(moco_tar_scan *scan, moco_tar_part *part) {
    moco_tar_entry *entry = (moco_tar_entry *) moco_allocate(scan->context, sizeof *entry);
    if (entry == NULL) return MOCO_OUT_OF_MEMORY;
    moco_tar_reader reader;
    int64_t others = 0;
    int32_t found = 0;
    moco_tar_read_file(&reader, part->descriptor, part->size, part->path);
    moco_status status;
    do {
        status = moco_tar_next(&reader, entry, &found);
        if (status == MOCO_OK && found) status = add_entry(scan, part, entry, &others);
    } while (status == MOCO_OK && found);
    moco_deallocate(scan->context, entry);
    if (status == MOCO_OK && !scan->folders_only) tell_end(part, &reader, others);
    return status;
}

/* The part's images behind those of the tars before it. */
static moco_status append(moco_tar_scan *scan, const moco_tar_part *part, int64_t number) {
    for (int64_t i = 0; i < part->images.count; ++i) {
        const moco_index_entry *entry = &part->images.entries[i];
        if (entry->flags & MOCO_INDEX_DROPPED) continue;
        const char *name = part->images.names + entry->name_at;
        MOCO_TRY(moco_index_builder_add(&scan->images, name, strlen(name), entry->label));
        moco_index_entry *added = &scan->images.entries[scan->images.count - 1];
        added->data_at = entry->data_at | (uint64_t) number << MOCO_TAR_NUMBER_AT;
        added->data_size = entry->data_size;
        added->flags = entry->flags;
    }
    return MOCO_OK;
}

moco_status moco_tar_scan_add(moco_tar_scan *scan, const char *path, const char *inner, int descriptor, uint64_t size,
                              int64_t number) {
    moco_tar_part part;
    if (size >> MOCO_TAR_NUMBER_AT != 0) return moco_fail(MOCO_FORMAT, "%s has more than 2^48 bytes", path);
    moco_tar_part_init(&part, scan->context, &scan->images.classes);
    part.path = path;
    part.inner = inner;
    part.descriptor = descriptor;
    part.size = size;
    moco_status status = scan_entries(scan, &part);
    if (scan->folders_only) {
        moco_tar_part_release(&part);
        return status;
    }
    if (status == MOCO_OK && part.links > 0) status = moco_tar_follow_links(&part);
    if (status == MOCO_OK) status = moco_index_builder_sort(&part.images);
    if (status == MOCO_OK) status = moco_tar_read_labels(scan, &part);
    if (status == MOCO_OK) status = append(scan, &part, number);
    moco_left_out_merge(&scan->left_out, &part.left_out);
    moco_tar_part_release(&part);
    return status;
}

/* --- All tars --- */

/* Samples' labels in place of the folders. */
static void take_labels(moco_tar_scan *scan, const char *shown) {
    int64_t in_folders = 0, without = 0;
    for (int64_t i = 0; i < scan->images.count; ++i) {
        moco_index_entry *entry = &scan->images.entries[i];
        if (entry->flags & MOCO_INDEX_LABELLED) continue;
        in_folders += entry->label != MOCO_NO_LABEL;
        without++;
        entry->label = MOCO_NO_LABEL;
    }
    const moco_class_table folders = scan->images.classes;
    scan->images.classes = scan->label_names;
    scan->label_names = folders;
    moco_log(scan->context, MOCO_LOG_INFO, "%s: labels are those in the samples' .cls and .json files", shown);
    if (without > 0) {
        moco_log(scan->context, MOCO_LOG_WARNING,
                 "%s: %lld of %lld images have no .cls or .json with a label beside them, and so none%s", shown,
                 (long long) without, (long long) scan->images.count,
                 in_folders > 0 ? "; folders are no classes where there are such files" : "");
    }
}

moco_status moco_tar_scan_finish(moco_tar_scan *scan, const char *shown, moco_image_index *index) {
    if (scan->outside > 0 && scan->images.count > 0) {
        moco_log(scan->context, MOCO_LOG_WARNING,
                 "%s: %lld entries are left out, as their names lead out of the tar, such as \"%s\"", shown,
                 (long long) scan->outside, scan->outside_name);
    }
    moco_left_out_tell(scan->context, shown, &scan->left_out);
    if (scan->labelled > 0) take_labels(scan, shown);
    return moco_index_builder_finish(&scan->images, 1, index);
}
