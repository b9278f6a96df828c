/* Zip archives of stored entries (PKWARE's APPNOTE 6.3), as torch.save writes them: Zip64 and data descriptors, too.
 * Strict: an archive is taken only where there is one way to read it. Refused, with the reason: compressed and encrypted
 * entries, a comment, several disks, names twice or such as ../x, entries that overlap or leave bytes between them, local
 * headers that say something else than the directory.
 */
#ifndef MOCO_IO_ZIP_READER_H
#define MOCO_IO_ZIP_READER_H

#include "io/byte_source.h"

typedef struct moco_zip moco_zip;

typedef struct moco_zip_entry {
    const char *name;
    uint64_t header; /* where its local header is */
    uint64_t data;   /* where its bytes are in the source: all of these lie inside */
    uint64_t size;   /* how many */
    uint32_t crc;
    int32_t flags;
} moco_zip_entry;

/* 1 where the source begins as a zip archive does. */
int32_t moco_zip_looks_so(const moco_byte_source *source);

/* Checks all of the archive's structure; the source must outlive it. Memory: some 100 bytes for each entry and the
 * directory, which may be 64 MiB. Errors: IO, FORMAT, UNSUPPORTED (an entry that is compressed or encrypted),
 * OUT_OF_MEMORY. */
moco_status moco_zip_open(moco_zip **out, moco_context *context, const moco_byte_source *source);
void moco_zip_close(moco_zip *zip); /* NULL is a no-op */

int64_t moco_zip_count(const moco_zip *zip);
/* In the order of their names. Lives as long as `zip`; NULL outside of 0 .. count - 1. */
const moco_zip_entry *moco_zip_get(const moco_zip *zip, int64_t index);
/* The index of a name, -1 if it is none. */
int64_t moco_zip_find(const moco_zip *zip, const char *name);
/* `size` bytes of an entry, from its byte `at` on. If these are all, its checksum must be right; but a checksum of 0, which
 * torch.serialization.set_crc32_options(False) leaves, is none. */
moco_status moco_zip_read(const moco_zip *zip, int64_t index, uint64_t at, void *target, size_t size);

#endif
