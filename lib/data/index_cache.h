/* An image index kept in a file, so that opening a large folder or tar a second time costs a look at the folders'
 * times.
 *
 * The file holds the index, what it was made from (the key) and the guards: each folder that was read (or the tar) with
 * its modification time. It is used only where all of these are as they were; else, as when it is damaged, it is made
 * anew. Native byte order: a cache, not a format for exchange.
 */
#ifndef MOCO_INDEX_CACHE_H
#define MOCO_INDEX_CACHE_H

#include "data/image_index.h"

/* A folder or tar as it was when it was read. */
typedef struct moco_index_guard {
    int64_t seconds, nanoseconds; /* last modified */
    uint64_t inode;
    uint64_t size;    /* of a tar; 0 for folders */
    uint64_t path_at; /* in `paths`; relative to the descriptor that is given when it is checked; "" is that itself */
} moco_index_guard;

typedef struct moco_index_guards {
    moco_context *context;
    moco_index_guard *items;
    size_t items_capacity; /* bytes */
    int64_t count;
    char *paths;
    size_t paths_size, paths_capacity;
    int64_t read_seconds; /* the clock before the first was read */
} moco_index_guards;

/* Notes the time and forgets all guards. */
void moco_index_guards_init(moco_index_guards *guards, moco_context *context);
/* `descriptor` is open on what lies at `path`. */
moco_status moco_index_guards_add(moco_index_guards *guards, int descriptor, const char *path, int32_t with_size);
void moco_index_guards_release(moco_index_guards *guards);

/* 1 and *index where `file` holds the index for `key` and all is as it was below `descriptor`; else 0, with the reason
 * logged as information. OUT_OF_MEMORY is the only failure. */
moco_status moco_index_cache_load(moco_context *context, const char *file, const char *key, int descriptor,
                                  moco_image_index *index, int32_t *loaded);
/* A file that can't be written is a warning. OUT_OF_MEMORY is the only failure. */
moco_status moco_index_cache_save(moco_context *context, const char *file, const char *key,
                                  const moco_index_guards *guards, const moco_image_index *index);

#endif
