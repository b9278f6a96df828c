/* A zip archive whose entries are stored as they are, the data of each at a multiple of 64 bytes, as torch.save makes
 * them. The same entries give the same bytes: the archive holds no times. It appears whole or not at all.
 */
#ifndef MOCO_IO_ZIP_WRITER_H
#define MOCO_IO_ZIP_WRITER_H

#include "core/context_internal.h"

typedef struct moco_zip_writer moco_zip_writer;

moco_status moco_zip_writer_open(moco_zip_writer **out, moco_context *context, const char *path);

/* Writes an entry. Names must be distinct; "/" parts folders. UNSUPPORTED: more than 65535 entries, or 4 GiB or more in
 * all, for which the archive would need Zip64. */
moco_status moco_zip_writer_add(moco_zip_writer *zip, const char *name, const void *bytes, size_t size);

/* Writes the directory and puts the file in place. Ends `zip`, whether it succeeds or fails. */
moco_status moco_zip_writer_commit(moco_zip_writer *zip);
/* Ends `zip` and leaves the target as it was; NULL is a no-op. */
void moco_zip_writer_discard(moco_zip_writer *zip);

#endif
