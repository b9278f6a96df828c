/* Tensors as values: a buffer, where in it, and a shape. Nothing here touches the memory. */
#ifndef MOCO_BACKEND_TENSOR_H
#define MOCO_BACKEND_TENSOR_H

#include <moco/sys/backend.h>
#include <stddef.h>

/* A dense tensor over `buffer`; unused dims are 1. */
moco_tensor moco_tensor_1d(void *buffer, uint64_t offset, int32_t dtype, int64_t elements);
moco_tensor moco_tensor_2d(void *buffer, uint64_t offset, int32_t dtype, int64_t rows, int64_t columns);
moco_tensor moco_tensor_4d(void *buffer, uint64_t offset, int32_t dtype, int64_t n, int64_t c, int64_t h, int64_t w);
moco_tensor moco_tensor_none(void);
int64_t moco_tensor_elements(const moco_tensor *tensor);
size_t moco_dtype_size(int32_t dtype);
/* Elements * dtype size of a PLAIN tensor. */
uint64_t moco_tensor_bytes(const moco_tensor *tensor);

#endif
