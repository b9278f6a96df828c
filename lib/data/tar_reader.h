/* Reads the headers of an uncompressed tar in place: ustar, GNU long names, PAX paths and sizes.
 *
 * Nothing in the file is trusted: checksums are verified, sizes must lie in the file, and each call moves on by at
 * least one block of 512 bytes.
 */
#ifndef MOCO_TAR_READER_H
#define MOCO_TAR_READER_H

#include <stddef.h>
#include <stdint.h>

#include "core/status_internal.h"

#define MOCO_TAR_BLOCK    512
#define MOCO_TAR_MAX_NAME 4096 /* with its NUL */

enum {
    MOCO_TAR_FILE = 0,
    MOCO_TAR_FOLDER = 1,
    MOCO_TAR_OTHER = 2,     /* devices, sparse files: nothing that could be read in place */
    MOCO_TAR_HARD_LINK = 3, /* to a file of the tar by its name */
    MOCO_TAR_SYMLINK = 4
};

enum { MOCO_TAR_END_MARK = 1, MOCO_TAR_NO_END_MARK = 2 };

typedef struct moco_tar_entry {
    char name[MOCO_TAR_MAX_NAME]; /* as in the tar */
    char link[MOCO_TAR_MAX_NAME]; /* where a link leads, as in the tar; else empty */
    int32_t kind;                 /* MOCO_TAR_* */
    uint64_t header_at;           /* of the entry's own header */
    uint64_t data_at;
    uint64_t data_size;
    uint8_t first[16]; /* of the data, where there is so much */
    size_t first_size;
} moco_tar_entry;

typedef struct moco_tar_reader {
    const char *shown; /* the file in messages */
    int descriptor;    /* -1: the tar is in memory */
    const uint8_t *bytes;
    uint64_t size;
    uint64_t at;          /* the next header */
    int64_t joined;       /* tars that followed another one's end mark, so far */
    uint64_t trailing_at; /* where bytes begin behind the last end mark that are no tar; 0: there are none */
    int32_t ended;        /* MOCO_TAR_* END_MARK: blocks of zeros; NO_END_MARK: just the file's end; 0: not yet */
    uint8_t window[4 * MOCO_TAR_BLOCK]; /* the bytes at window_at */
    uint64_t window_at;
    size_t window_size;
} moco_tar_reader;

void moco_tar_read_file(moco_tar_reader *reader, int descriptor, uint64_t size, const char *shown);
void moco_tar_read_memory(moco_tar_reader *reader, const void *bytes, uint64_t size, const char *shown);

/* The next entry; *found is 0 at the end, which is where no other tar follows an end mark. FORMAT where the file is no tar, compressed, damaged or cut short, with the
 * place; IO where it can't be read. */
moco_status moco_tar_next(moco_tar_reader *reader, moco_tar_entry *entry, int32_t *found);

#endif
