/* Files of torch.save: the zip form, and the legacy stream of pickles with the storages behind them. */
#ifndef MOCO_IO_TORCH_FILE_H
#define MOCO_IO_TORCH_FILE_H

#include "io/byte_source.h"
#include "io/pickle.h"

typedef struct moco_torch_file moco_torch_file;

/* 1 where the source begins as one of the two. */
int32_t moco_torch_looks_so(const moco_byte_source *source);

/* Reads the pickles and checks that every storage that they name is there in full; the source must outlive the file.
 * Memory: the pickles and their trees (pickle.h has the limits). Errors: IO, FORMAT, UNSUPPORTED (what is no plain value,
 * by its name; big-endian data; a compressed archive), OUT_OF_MEMORY. */
moco_status moco_torch_open(moco_torch_file **out, moco_context *context, const moco_byte_source *source);
void moco_torch_close(moco_torch_file *file); /* NULL is a no-op */

int32_t moco_torch_is_legacy(const moco_torch_file *file);
/* What torch.load would return. */
const moco_pickle_node *moco_torch_root(const moco_torch_file *file);
/* All elements of a tensor of this file in row-major order, in the machine's own byte order and the storage's dtype; any
 * strides are followed. Memory beside `values`: for strided ones, the part of the storage that they span. */
moco_status moco_torch_read(const moco_torch_file *file, const moco_pickle_tensor *tensor, void *values);

#endif
