#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"

const cpu_format *moco_cpu_format_of(const cpu_backend *backend, const image_layer *desc) {
    /* Only oneDNN has bfloat16 convolutions of all kinds. */
    const int32_t has_bf16 = backend->bf16.block != 0 && backend->onednn != NULL;
    const cpu_format *f32 = &backend->f32, *bf16 = has_bf16 ? &backend->bf16 : NULL;
    if (f32->block == 0) return NULL;
    if (desc->input_layout == f32->layout) return f32;
    if (bf16 != NULL && desc->input_layout == bf16->layout) return bf16;
    if (desc->input_layout != MOCO_LAYOUT_PLAIN) return NULL;
    return bf16 != NULL && desc->compute_dtype == MOCO_DTYPE_BF16 ? bf16 : f32;
}

const cpu_format *moco_cpu_blocked_input(const cpu_backend *backend, const image_layer *desc) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    if (format == NULL || desc->input_layout != format->layout || desc->c % format->block != 0 ||
        (desc->residual && desc->residual_layout != format->layout)) {
        return NULL;
    }
    return format;
}

moco_status moco_cpu_bytes(int32_t dtype, int64_t n, int64_t c, int64_t h, int64_t w, uint64_t *bytes) {
    const int64_t dims[5] = {n, c, h, w, (int64_t) moco_dtype_size(dtype)};
    int64_t product;
    MOCO_TRY(moco_checked_product(dims, 5, "a layer's output", &product));
    *bytes = (uint64_t) product;
    return MOCO_OK;
}

int64_t moco_cpu_grain(int64_t elements_each) {
    return moco_max_i64(1, CPU_RANGE_VALUES / moco_max_i64(1, elements_each));
}
