#define _POSIX_C_SOURCE 200809L
#include "data/index_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/file_bytes.h"
#include "data/image_decoders.h"
#include "io/atomic_file.h"

/* Some file systems keep times to two seconds only. What was changed so shortly before it was read may have been
 * changed again afterwards under the same time. */
#define TIME_GRAIN_SECONDS 2

#define MAGIC "moco index 2\n" /* 2: other files are images, and samples have labels of their own */

typedef struct cache_header {
    char magic[16];
    uint64_t byte_order; /* 1 */
    int64_t read_seconds;
    uint64_t key_size; /* strings with their NUL */
    uint64_t guards, paths_size;
    uint64_t count, names_size;
    uint64_t classes, class_names_size; /* 0: labels are numbers, or there are none */
    uint64_t has_labels, has_data;
    uint64_t decoders; /* of the build that made it: what is an image depends on them */
    uint64_t checksum; /* of all else */
} cache_header;

enum { SECTIONS = 9 };

/* The file's parts after the header, in their order. */
static void measure_sections(const cache_header *h, uint64_t bytes[SECTIONS]) {
    bytes[0] = h->guards * sizeof(moco_index_guard);
    bytes[1] = h->count * sizeof(uint64_t);                        /* name_at */
    bytes[2] = h->has_data != 0 ? h->count * sizeof(uint64_t) : 0; /* data_at */
    bytes[3] = bytes[2];                                           /* data_size */
    bytes[4] = h->has_labels != 0 ? h->count * sizeof(int32_t) : 0;
    bytes[5] = h->key_size;
    bytes[6] = h->paths_size;
    bytes[7] = h->names_size;
    bytes[8] = h->class_names_size;
}

/* FNV-1a by words of 8 bytes, the last one filled up with zeros. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, uint64_t size) {
    const unsigned char *at = (const unsigned char *) bytes;
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * 1099511628211u;
        hash ^= hash >> 32; /* or high bits would never reach low ones */
    }
    uint64_t last = 0;
    if (size > 0) memcpy(&last, at, (size_t) size);
    return (hash ^ last) * 1099511628211u;
}

static uint64_t checksum(cache_header header, const void *const sections[SECTIONS]) {
    uint64_t bytes[SECTIONS], hash = 14695981039346656037u;
    measure_sections(&header, bytes);
    header.checksum = 0;
    hash = hash_bytes(hash, &header, sizeof header);
    for (int32_t i = 0; i < SECTIONS; ++i) hash = hash_bytes(hash, sections[i], bytes[i]);
    return hash;
}

/* --- Guards --- */

void moco_index_guards_init(moco_index_guards *guards, moco_context *context) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *guards = (moco_index_guards){.context = context, .read_seconds = (int64_t) now.tv_sec};
}

void moco_index_guards_release(moco_index_guards *guards) {
    moco_deallocate(guards->context, guards->items);
    moco_deallocate(guards->context, guards->paths);
    *guards = (moco_index_guards){.context = guards->context};
}

static moco_index_guard describe_file(const struct stat *info, int32_t with_size) {
    return (moco_index_guard){.seconds = (int64_t) info->st_mtim.tv_sec,
                              .nanoseconds = (int64_t) info->st_mtim.tv_nsec,
                              .inode = (uint64_t) info->st_ino,
                              .size = with_size ? (uint64_t) info->st_size : 0};
}

moco_status moco_index_guards_add(moco_index_guards *guards, int descriptor, const char *path, int32_t with_size) {
    struct stat info;
    if (fstat(descriptor, &info) != 0) return moco_file_failure("read", path);
    const size_t used = (size_t) guards->count * sizeof *guards->items, bytes = strlen(path) + 1;
    void *items = guards->items, *paths = guards->paths;
    MOCO_TRY(moco_grow(guards->context, &items, used, &guards->items_capacity, used + sizeof *guards->items));
    guards->items = (moco_index_guard *) items;
    MOCO_TRY(
        moco_grow(guards->context, &paths, guards->paths_size, &guards->paths_capacity, guards->paths_size + bytes));
    guards->paths = (char *) paths;
    guards->items[guards->count] = describe_file(&info, with_size);
    guards->items[guards->count++].path_at = guards->paths_size;
    memcpy(guards->paths + guards->paths_size, path, bytes);
    guards->paths_size += bytes;
    return MOCO_OK;
}

static int32_t guard_holds(const moco_index_guard *guard, const char *path, int64_t read_seconds, int descriptor) {
    struct stat info;
    const int failed = *path == '\0' ? fstat(descriptor, &info) : fstatat(descriptor, path, &info, 0);
    if (failed != 0 || guard->seconds > read_seconds - TIME_GRAIN_SECONDS) return 0;
    const moco_index_guard now = describe_file(&info, guard->size != 0);
    return now.seconds == guard->seconds && now.nanoseconds == guard->nanoseconds && now.inode == guard->inode &&
           now.size == guard->size;
}

/* --- Saving --- */

static uint64_t class_names_size(const moco_image_index *index) {
    uint64_t size = 0;
    for (int64_t i = 0; index->class_names != NULL && i < index->classes; ++i)
        size += strlen(index->class_names[i]) + 1;
    return size;
}

static moco_status write_cache(moco_context *context, const char *path, const cache_header *header,
                               const void *const sections[SECTIONS]) {
    moco_atomic_file *file = NULL;
    uint64_t bytes[SECTIONS];
    measure_sections(header, bytes);
    MOCO_TRY(moco_atomic_file_open(&file, context, path));
    moco_status status = moco_atomic_file_write(file, header, sizeof *header);
    for (int32_t i = 0; i < SECTIONS && status == MOCO_OK; ++i) {
        status = moco_atomic_file_write(file, sections[i], (size_t) bytes[i]);
    }
    if (status == MOCO_OK) return moco_atomic_file_commit(file);
    moco_atomic_file_discard(file);
    return status;
}

moco_status moco_index_cache_save(moco_context *context, const char *file, const char *key,
                                  const moco_index_guards *guards, const moco_image_index *index) {
    cache_header header = {.magic = MAGIC,
                           .byte_order = 1,
                           .read_seconds = guards->read_seconds,
                           .key_size = strlen(key) + 1,
                           .guards = (uint64_t) guards->count,
                           .paths_size = guards->paths_size,
                           .count = (uint64_t) index->count,
                           .names_size = index->names_size,
                           .classes = (uint64_t) index->classes,
                           .class_names_size = class_names_size(index),
                           .has_labels = index->labels != NULL,
                           .has_data = index->data_at != NULL,
                           .decoders = moco_image_decoders()};
    char *class_names = (char *) moco_allocate(context, (size_t) header.class_names_size);
    if (class_names == NULL) return MOCO_OUT_OF_MEMORY;
    char *end = class_names;
    for (int64_t i = 0; header.class_names_size > 0 && i < index->classes; ++i) {
        const size_t bytes = strlen(index->class_names[i]) + 1;
        memcpy(end, index->class_names[i], bytes);
        end += bytes;
    }
    const void *const sections[SECTIONS] = {guards->items,    index->name_at, index->data_at,
                                            index->data_size, index->labels,  key,
                                            guards->paths,    index->names,   class_names};
    header.checksum = checksum(header, sections);
    const moco_status status = write_cache(context, file, &header, sections);
    moco_deallocate(context, class_names);
    if (status == MOCO_OK) {
        moco_log(context, MOCO_LOG_INFO, "the index of %lld images is kept in %s", (long long) index->count, file);
    } else if (status != MOCO_OUT_OF_MEMORY) {
        moco_log(context, MOCO_LOG_WARNING, "the index is not kept for the next time: %s", moco_last_error());
        return MOCO_OK;
    }
    return status;
}

/* --- Loading --- */

typedef struct cache_file {
    unsigned char *bytes;
    uint64_t size;
    const cache_header *header;
    const void *sections[SECTIONS];
} cache_file;

static moco_status read_cache(moco_context *context, const char *path, cache_file *cache) {
    int descriptor = -1;
    MOCO_TRY(moco_file_open(AT_FDCWD, path, path, &descriptor, &cache->size));
    moco_status status = MOCO_FORMAT;
    if (cache->size >= sizeof(cache_header) && cache->size < SIZE_MAX / 2) {
        cache->bytes = (unsigned char *) moco_allocate(context, (size_t) cache->size);
        status = cache->bytes == NULL ? MOCO_OUT_OF_MEMORY
                                      : moco_file_read(descriptor, cache->bytes, (size_t) cache->size, 0, path);
    } else {
        moco_fail(MOCO_FORMAT, "%s has %llu bytes", path, (unsigned long long) cache->size);
    }
    close(descriptor);
    return status;
}

/* A pool of `size` bytes that ends with a NUL, holding the string that begins at `at`. */
static int32_t string_lies_in(const char *pool, uint64_t size, uint64_t at) {
    return at < size && pool[size - 1] == '\0';
}

static int64_t count_strings(const char *pool, uint64_t size) {
    int64_t count = 0;
    for (uint64_t i = 0; i < size; ++i) count += pool[i] == '\0';
    return size > 0 && pool[size - 1] != '\0' ? -1 : count;
}

/* NULL, or what is wrong with the bytes: after this they are safe to use, whoever wrote them. */
static const char *find_damage(cache_file *cache) {
    const cache_header *h = (const cache_header *) (const void *) cache->bytes;
    uint64_t bytes[SECTIONS], at = sizeof *h;
    cache->header = h;
    if (memcmp(h->magic, MAGIC, sizeof MAGIC) != 0 || h->byte_order != 1) return "it is none, or another version's";
    if (h->decoders != moco_image_decoders()) return "the libmoco that made it reads other formats";
    const uint64_t most = cache->size; /* no count of anything is larger, so no product below overflows */
    if (h->key_size > most || h->guards > most || h->paths_size > most || h->count > most || h->names_size > most ||
        h->class_names_size > most || most > UINT64_MAX / 1024 || h->classes > INT32_MAX) {
        return "its sizes are wrong";
    }
    measure_sections(h, bytes);
    for (int32_t i = 0; i < SECTIONS; ++i) {
        cache->sections[i] = cache->bytes + at;
        if (bytes[i] > cache->size - at) return "it is cut short";
        at += bytes[i];
    }
    if (at != cache->size) return "it is too long";
    if (checksum(*h, cache->sections) != h->checksum) return "its checksum is wrong";

    const moco_index_guard *guards = (const moco_index_guard *) cache->sections[0];
    const uint64_t *name_at = (const uint64_t *) cache->sections[1];
    const int32_t *labels = (const int32_t *) cache->sections[4];
    const char *const key = (const char *) cache->sections[5], *const names = (const char *) cache->sections[7];
    int32_t sound = h->count > 0 && string_lies_in(key, h->key_size, 0);
    for (uint64_t i = 0; i < h->guards; ++i) {
        sound &= string_lies_in((const char *) cache->sections[6], h->paths_size, guards[i].path_at);
    }
    for (uint64_t i = 0; i < h->count; ++i) {
        sound &= string_lies_in(names, h->names_size, name_at[i]);
        if (h->has_labels) sound &= labels[i] >= -1 && labels[i] < (int64_t) h->classes;
    }
    if (h->class_names_size > 0) {
        sound &= count_strings((const char *) cache->sections[8], h->class_names_size) == (int64_t) h->classes;
    }
    return sound ? NULL : "its content is wrong";
}

static void *copy_section(moco_context *context, const cache_file *cache, int32_t section, uint64_t bytes) {
    void *copy = moco_allocate(context, (size_t) bytes);
    if (copy != NULL) memcpy(copy, cache->sections[section], (size_t) bytes);
    return copy;
}

static moco_status copy_index(moco_context *context, const cache_file *cache, moco_image_index *index) {
    const cache_header *h = cache->header;
    moco_image_index made = {.count = (int64_t) h->count, .names_size = h->names_size, .classes = (int64_t) h->classes};
    uint64_t bytes[SECTIONS];
    measure_sections(h, bytes);
    made.name_at = (uint64_t *) copy_section(context, cache, 1, bytes[1]);
    made.names = (char *) copy_section(context, cache, 7, bytes[7]);
    int32_t complete = made.name_at != NULL && made.names != NULL;
    if (h->has_data) {
        made.data_at = (uint64_t *) copy_section(context, cache, 2, bytes[2]);
        made.data_size = (uint64_t *) copy_section(context, cache, 3, bytes[3]);
        complete &= made.data_at != NULL && made.data_size != NULL;
    }
    if (h->has_labels) {
        made.labels = (int32_t *) copy_section(context, cache, 4, bytes[4]);
        complete &= made.labels != NULL;
    }
    if (h->class_names_size > 0) {
        const size_t pointer_bytes = (size_t) h->classes * sizeof(char *);
        char *block = (char *) moco_allocate(context, pointer_bytes + (size_t) bytes[8]);
        complete &= block != NULL;
        if (block != NULL) {
            const char **pointers = (const char **) (void *) block;
            char *name = block + pointer_bytes;
            memcpy(name, cache->sections[8], (size_t) bytes[8]);
            for (uint64_t i = 0; i < h->classes; ++i, name += strlen(name) + 1) pointers[i] = name;
            made.class_names = pointers;
        }
    }
    if (!complete) {
        moco_image_index_release(context, &made);
        return MOCO_OUT_OF_MEMORY;
    }
    *index = made;
    return MOCO_OK;
}

/* NULL, or why the cache does not tell how things are now. */
static const char *find_change(const cache_file *cache, const char *key, int descriptor) {
    const moco_index_guard *guards = (const moco_index_guard *) cache->sections[0];
    const char *paths = (const char *) cache->sections[6];
    if (strcmp((const char *) cache->sections[5], key) != 0) return "it is that of something else";
    for (uint64_t i = 0; i < cache->header->guards; ++i) {
        if (!guard_holds(&guards[i], paths + guards[i].path_at, cache->header->read_seconds, descriptor)) {
            return "something has changed since, or had just changed then";
        }
    }
    return NULL;
}

moco_status moco_index_cache_load(moco_context *context, const char *file, const char *key, int descriptor,
                                  moco_image_index *index, int32_t *loaded) {
    cache_file cache = {0};
    *loaded = 0;
    moco_status status = read_cache(context, file, &cache);
    if (status == MOCO_OK) {
        const char *reason = find_damage(&cache);
        if (reason == NULL) reason = find_change(&cache, key, descriptor);
        if (reason == NULL) {
            status = copy_index(context, &cache, index);
            *loaded = status == MOCO_OK;
        } else {
            moco_log(context, MOCO_LOG_INFO, "the index in %s is not used: %s", file, reason);
        }
    } else if (status != MOCO_OUT_OF_MEMORY) {
        moco_log(context, MOCO_LOG_INFO, "no index is at hand: %s", moco_last_error());
        status = MOCO_OK;
    }
    moco_deallocate(context, cache.bytes);
    return status;
}
