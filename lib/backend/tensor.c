#include "backend/tensor.h"

static moco_tensor dense(void *buffer, uint64_t offset, int32_t dtype, int32_t rank, int64_t d0, int64_t d1, int64_t d2,
                         int64_t d3) {
    const moco_tensor tensor = {buffer, offset, dtype, rank, {d0, d1, d2, d3}, MOCO_LAYOUT_PLAIN};
    return tensor;
}

moco_tensor moco_tensor_1d(void *buffer, uint64_t offset, int32_t dtype, int64_t elements) {
    return dense(buffer, offset, dtype, 1, elements, 1, 1, 1);
}

moco_tensor moco_tensor_2d(void *buffer, uint64_t offset, int32_t dtype, int64_t rows, int64_t columns) {
    return dense(buffer, offset, dtype, 2, rows, columns, 1, 1);
}

moco_tensor moco_tensor_4d(void *buffer, uint64_t offset, int32_t dtype, int64_t n, int64_t c, int64_t h, int64_t w) {
    return dense(buffer, offset, dtype, 4, n, c, h, w);
}

moco_tensor moco_tensor_none(void) {
    return dense(NULL, 0, MOCO_DTYPE_F32, 0, 1, 1, 1, 1);
}

int64_t moco_tensor_elements(const moco_tensor *tensor) {
    return tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

size_t moco_dtype_size(int32_t dtype) {
    switch (dtype) {
    case MOCO_DTYPE_F64:
    case MOCO_DTYPE_I64:
        return 8;
    case MOCO_DTYPE_BF16:
        return 2;
    default:
        return 4;
    }
}

uint64_t moco_tensor_bytes(const moco_tensor *tensor) {
    return (uint64_t) moco_tensor_elements(tensor) * moco_dtype_size(tensor->dtype);
}
