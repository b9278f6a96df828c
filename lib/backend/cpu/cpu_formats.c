#include "backend/cpu/cpu_backend.h"
#include "core/checked.h"

const cpu_format *moco_cpu_format_of(const cpu_backend *backend, const image_layer *desc) {
    const cpu_format *bf16 = backend->bf16.kernels == NULL ? NULL : &backend->bf16;
    if (desc->input_layout == backend->f32.layout) return &backend->f32;
    if (bf16 != NULL && desc->input_layout == bf16->layout) return bf16;
    if (desc->input_layout != MOCO_LAYOUT_PLAIN) return NULL;
    return bf16 != NULL && desc->compute_dtype == MOCO_DTYPE_BF16 ? bf16 : &backend->f32;
}

moco_status moco_cpu_bytes(int32_t dtype, int64_t n, int64_t c, int64_t h, int64_t w, uint64_t *bytes) {
    const int64_t dims[5] = {n, c, h, w, (int64_t) moco_dtype_size(dtype)};
    int64_t product;
    MOCO_TRY(moco_checked_product(dims, 5, "a layer's output", &product));
    *bytes = (uint64_t) product;
    return MOCO_OK;
}

int64_t moco_cpu_grain(int64_t elements_each) {
    return moco_max_i64(1, 16384 / moco_max_i64(1, elements_each));
}
