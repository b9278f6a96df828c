#define _DEFAULT_SOURCE /* d_type */
#define _POSIX_C_SOURCE 200809L
#include "data/folder_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/checked.h"
#include "data/file_bytes.h"
#include "data/left_out.h"
#include <moco/dataset.h>

#define MAX_COMPLAINTS 20 /* log lines about what can't be read, before they are only counted */
#define FIRST_SLOTS    64u
#define SNIFF_GRAIN    64 /* files per task */

/* Device and inode of the folders read since the last first-level folder began. */
typedef struct visited_set {
    uint64_t *slots; /* pairs; inode 0: free */
    size_t slot_count, count;
} visited_set;

typedef struct folder_scan {
    moco_context *context;
    const char *shown;
    int root;
    moco_index_builder *builder;
    moco_index_guards *guards;
    visited_set visited;
    int64_t complaints;
    moco_left_out left_out;
    char path[MOCO_MAX_NAME]; /* of what is being read, relative to the root */
    size_t length;
} folder_scan;

enum { KIND_FILE, KIND_FOLDER, KIND_OTHER };

/* One folder's names: a byte with the d_type and the name. */
typedef struct listing {
    char *text;
    size_t size, capacity;
    moco_named *items;
    int64_t count;
} listing;

static void complain(folder_scan *scan, const char *what, const char *reason) {
    if (++scan->complaints > MAX_COMPLAINTS) return;
    moco_log(scan->context, MOCO_LOG_WARNING, "%s/%s %s: %s", scan->shown, scan->path, what, reason);
}

static void complain_errno(folder_scan *scan, int error) {
    errno = error;
    moco_file_failure("read", "it");
    complain(scan, "is left out", moco_last_error());
}

/* --- Folders that have been read --- */

static size_t find_visited(const visited_set *set, uint64_t device, uint64_t inode) {
    size_t slot = (size_t) ((inode ^ device << 40) * 0x9E3779B97F4A7C15u >> 20) & (set->slot_count - 1);
    while (set->slots[2 * slot + 1] != 0 && (set->slots[2 * slot] != device || set->slots[2 * slot + 1] != inode)) {
        slot = (slot + 1) & (set->slot_count - 1);
    }
    return slot;
}

static moco_status grow_visited(moco_context *context, visited_set *set) {
    const visited_set old = *set;
    set->slot_count = old.slot_count == 0 ? FIRST_SLOTS : 2 * old.slot_count;
    set->slots = (uint64_t *) moco_allocate_zeroed(context, 2 * set->slot_count, sizeof *set->slots);
    if (set->slots == NULL) {
        *set = old;
        return MOCO_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < old.slot_count; ++i) {
        if (old.slots[2 * i + 1] == 0) continue;
        const size_t slot = find_visited(set, old.slots[2 * i], old.slots[2 * i + 1]);
        memcpy(set->slots + 2 * slot, old.slots + 2 * i, 2 * sizeof *set->slots);
    }
    moco_deallocate(context, old.slots);
    return MOCO_OK;
}

static moco_status visit(moco_context *context, visited_set *set, const struct stat *info, int32_t *is_new) {
    if (set->count >= set->slot_count / 2) MOCO_TRY(grow_visited(context, set));
    const uint64_t device = (uint64_t) info->st_dev, inode = (uint64_t) info->st_ino + 1; /* 0 marks free slots */
    const size_t slot = find_visited(set, device, inode);
    *is_new = set->slots[2 * slot + 1] == 0;
    set->slots[2 * slot] = device;
    set->slots[2 * slot + 1] = inode;
    set->count += (size_t) *is_new;
    return MOCO_OK;
}

static void forget_visited(visited_set *set) {
    if (set->count > 0) memset(set->slots, 0, 2 * set->slot_count * sizeof *set->slots);
    set->count = 0;
}

/* --- One folder's names --- */

static moco_status append_name(moco_context *context, listing *names, const struct dirent *entry) {
    const size_t bytes = strlen(entry->d_name) + 1;
    void *text = names->text;
    const moco_status status = moco_grow(context, &text, names->size, &names->capacity, names->size + 1 + bytes);
    names->text = (char *) text;
    MOCO_TRY(status);
    names->text[names->size] = (char) entry->d_type;
    memcpy(names->text + names->size + 1, entry->d_name, bytes);
    names->size += 1 + bytes;
    names->count++;
    return MOCO_OK;
}

/* Takes over `descriptor`. A failure of readdir is a complaint; what was read before it stays. */
static moco_status read_names(folder_scan *scan, int descriptor, listing *names) {
    DIR *folder = fdopendir(descriptor);
    if (folder == NULL) {
        complain_errno(scan, errno);
        close(descriptor);
        return MOCO_OK;
    }
    moco_status status = MOCO_OK;
    while (status == MOCO_OK) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL && errno != 0) complain_errno(scan, errno);
        if (entry == NULL) break;
        if (entry->d_name[0] != '.') status = append_name(scan->context, names, entry);
    }
    closedir(folder);
    MOCO_TRY(status);
    names->items = (moco_named *) moco_allocate(scan->context, (size_t) names->count * sizeof *names->items);
    if (names->items == NULL) return MOCO_OUT_OF_MEMORY;
    const char *at = names->text;
    for (int64_t i = 0; i < names->count; ++i, at += strlen(at) + 1) {
        names->items[i] = (moco_named){at + 1, (unsigned char) at[0]};
        ++at;
    }
    return moco_sort_names(scan->context, names->items, names->count);
}

/* --- The walk --- */

/* What `scan->path` is, asking the file system only where readdir did not say. */
static int32_t kind_of(folder_scan *scan, int64_t type, const char *name) {
    if (type == DT_REG) return KIND_FILE;
    if (type == DT_DIR) return KIND_FOLDER;
    if (type != DT_LNK && type != DT_UNKNOWN) return KIND_OTHER;
    struct stat info;
    if (fstatat(scan->root, scan->path, &info, 0) != 0) {
        /* A link to nothing stays if its name is an image's: it is told when it is loaded. */
        if (moco_has_readable_name(name, strlen(name))) return KIND_FILE;
        complain_errno(scan, errno);
        return KIND_OTHER;
    }
    return S_ISREG(info.st_mode) ? KIND_FILE : S_ISDIR(info.st_mode) ? KIND_FOLDER : KIND_OTHER;
}

static moco_status scan_folder(folder_scan *scan, int32_t label);

static moco_status scan_entry(folder_scan *scan, const char *name, int64_t type, int32_t label, int32_t is_root) {
    const int32_t kind = kind_of(scan, type, name);
    if (kind == KIND_FILE) {
        const size_t length = strlen(name);
        if (!moco_may_be_sniffed(name, length)) {
            moco_left_out_note(&scan->left_out, name, length);
            return MOCO_OK;
        }
        MOCO_TRY(moco_index_builder_add(scan->builder, scan->path, scan->length, label));
        if (!moco_has_readable_name(name, length)) {
            scan->builder->entries[scan->builder->count - 1].flags = MOCO_INDEX_SNIFF;
        }
    } else if (kind == KIND_FOLDER) {
        if (is_root) {
            forget_visited(&scan->visited);
            MOCO_TRY(moco_class_table_add(&scan->builder->classes, name, strlen(name), &label));
        }
        return scan_folder(scan, label);
    }
    return MOCO_OK;
}

/* Opens the folder `scan->path`; *descriptor is -1 where it is not to be read (again). */
static moco_status enter_folder(folder_scan *scan, int *descriptor) {
    *descriptor = openat(scan->root, scan->length == 0 ? "." : scan->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*descriptor < 0) {
        complain_errno(scan, errno);
        return MOCO_OK;
    }
    struct stat info, root;
    int32_t is_new = 0;
    moco_status status = MOCO_OK;
    if (fstat(*descriptor, &info) != 0 || fstat(scan->root, &root) != 0) {
        complain_errno(scan, errno);
    } else {
        status = visit(scan->context, &scan->visited, &root, &is_new); /* it may have been forgotten */
        if (status == MOCO_OK && scan->length > 0) status = visit(scan->context, &scan->visited, &info, &is_new);
        if (scan->length == 0) is_new = 1;
        if (status == MOCO_OK && !is_new) {
            complain(scan, "is skipped", "it leads to a folder that has been read already");
        }
    }
    if (status == MOCO_OK && is_new) status = moco_index_guards_add(scan->guards, *descriptor, scan->path, 0);
    if (status != MOCO_OK || !is_new) {
        close(*descriptor);
        *descriptor = -1;
    }
    return status;
}

/* Reads `scan->path`, and what lies below it with one open descriptor at a time. */
static moco_status scan_folder(folder_scan *scan, int32_t label) {
    listing names = {0};
    int descriptor = -1;
    MOCO_TRY(enter_folder(scan, &descriptor));
    if (descriptor < 0) return MOCO_OK;
    moco_status status = read_names(scan, descriptor, &names);
    const size_t length = scan->length;
    for (int64_t i = 0; i < names.count && status == MOCO_OK; ++i) {
        const char *name = names.items[i].name;
        const size_t bytes = strlen(name), begin = length == 0 ? 0 : length + 1;
        if (begin + bytes >= sizeof scan->path) {
            complain(scan, "holds a path that is too long", name);
            continue;
        }
        if (length > 0) scan->path[length] = '/';
        memcpy(scan->path + begin, name, bytes + 1);
        scan->length = begin + bytes;
        status = scan_entry(scan, name, names.items[i].number, label, length == 0);
        scan->length = length;
        scan->path[length] = '\0';
    }
    moco_deallocate(scan->context, names.items);
    moco_deallocate(scan->context, names.text);
    return status;
}

/* --- Content --- */

/* Files whose name does not say that they are images: looks at the first bytes. data_at keeps errno for later. */
static void sniff_files(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const folder_scan *scan = (const folder_scan *) argument;
    const int64_t end = moco_min_i64(scan->builder->count, (task + 1) * SNIFF_GRAIN);
    for (int64_t i = task * SNIFF_GRAIN; i < end; ++i) {
        moco_index_entry *entry = &scan->builder->entries[i];
        if (!(entry->flags & MOCO_INDEX_SNIFF)) continue;
        uint8_t bytes[MOCO_SIGNATURE_BYTES];
        const char *name = scan->builder->names + entry->name_at;
        const int file = openat(scan->root, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        const ssize_t got = file < 0 ? -1 : moco_file_read_some(file, bytes, sizeof bytes, 0);
        if (got < 0) entry->data_at = (uint64_t) errno;
        if (file >= 0) close(file);
        if (got < 0 || !moco_has_image_signature(bytes, (size_t) got)) entry->flags |= MOCO_INDEX_DROPPED;
    }
}

static void tell_left_out(folder_scan *scan) {
    for (int64_t i = 0; i < scan->builder->count; ++i) {
        const moco_index_entry *entry = &scan->builder->entries[i];
        const char *name = scan->builder->names + entry->name_at;
        if (!(entry->flags & MOCO_INDEX_DROPPED)) continue;
        if (entry->data_at == 0) {
            moco_left_out_note(&scan->left_out, name, strlen(name));
            continue;
        }
        memcpy(scan->path, name, strlen(name) + 1);
        complain_errno(scan, (int) entry->data_at);
    }
    if (scan->complaints > MAX_COMPLAINTS) {
        moco_log(scan->context, MOCO_LOG_WARNING, "%s: %lld more files and folders are left out", scan->shown,
                 (long long) scan->complaints - MAX_COMPLAINTS);
    }
    moco_left_out_tell(scan->context, scan->shown, &scan->left_out);
}

moco_status moco_folder_scan(moco_context *context, int descriptor, const char *shown, moco_index_builder *builder,
                             moco_index_guards *guards) {
    folder_scan *scan = (folder_scan *) moco_allocate_zeroed(context, 1, sizeof *scan);
    if (scan == NULL) return MOCO_OUT_OF_MEMORY;
    scan->context = context;
    scan->shown = shown;
    scan->root = descriptor;
    scan->builder = builder;
    scan->guards = guards;
    const moco_status status = scan_folder(scan, MOCO_NO_LABEL);
    if (status == MOCO_OK) {
        moco_parallel_for(context, moco_ceil_divide(builder->count, SNIFF_GRAIN), sniff_files, scan);
        tell_left_out(scan);
    }
    moco_deallocate(context, scan->visited.slots);
    moco_deallocate(context, scan);
    return status;
}
