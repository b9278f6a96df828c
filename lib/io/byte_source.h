/* The bytes that a reader reads: a file's, or some in memory. Files are read by pread alone, never mapped: one that shrinks
 * or can't be read on is a status, where a mapping would kill the host's process with SIGBUS; and as a reader takes a
 * tensor's bytes straight to where they go, no more memory is used.
 */
#ifndef MOCO_IO_BYTE_SOURCE_H
#define MOCO_IO_BYTE_SOURCE_H

#include "core/context_internal.h"

typedef struct moco_byte_source {
    moco_context *context;
    char *name;        /* in sentences: the path; owned */
    const void *bytes; /* NULL: a file */
    int descriptor;
    int32_t reserved;
    uint64_t size;
} moco_byte_source;

/* Opens a regular file. Errors: NOT_FOUND, IO (a FIFO is refused, and does not hang), OUT_OF_MEMORY. */
moco_status moco_byte_source_open(moco_byte_source *source, moco_context *context, const char *path);
/* `bytes` stay the caller's. */
moco_status moco_byte_source_memory(moco_byte_source *source, moco_context *context, const char *name,
                                    const void *bytes, size_t size);
void moco_byte_source_close(moco_byte_source *source); /* of a zeroed one: nothing */

/* FORMAT where the source has not that many bytes there, or the file became shorter. */
moco_status moco_byte_source_read(const moco_byte_source *source, uint64_t at, void *target, size_t size);

/* Little-endian numbers of a file. */
static inline uint16_t moco_little_u16(const unsigned char *bytes) {
    return (uint16_t) (bytes[0] | bytes[1] << 8);
}
static inline uint32_t moco_little_u32(const unsigned char *bytes) {
    return (uint32_t) moco_little_u16(bytes) | (uint32_t) moco_little_u16(bytes + 2) << 16;
}
static inline uint64_t moco_little_u64(const unsigned char *bytes) {
    return (uint64_t) moco_little_u32(bytes) | (uint64_t) moco_little_u32(bytes + 4) << 32;
}

#endif
