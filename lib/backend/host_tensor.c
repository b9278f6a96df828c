#include "backend/host_tensor.h"

#include <string.h>

#include "backend/backend_chain.h"
#include "core/checked.h"

moco_status moco_check_image_shape(int64_t n, int64_t c, int64_t h, int64_t w) {
    MOCO_REQUIRE(n >= 1, "n is %lld; it must be at least 1", (long long) n);
    MOCO_REQUIRE(h >= 1 && w >= 1, "h is %lld and w is %lld; both must be at least 1", (long long) h, (long long) w);
    const int64_t dims[4] = {c, h, w, n};
    int64_t elements;
    size_t bytes;
    MOCO_TRY(moco_checked_product(dims, 4, "the number of pixels (channels, h, w, n)", &elements));
    return moco_checked_bytes(elements, sizeof(float), "the batch of images", &bytes);
}

static moco_status over_host(moco_host_tensor *out, moco_context *context, float *host, const int64_t dims[4]) {
    memset(out, 0, sizeof *out);
    moco_tensor tensor = moco_tensor_4d(NULL, 0, MOCO_DTYPE_F32, dims[0], dims[1], dims[2], dims[3]);
    moco_status status = moco_buffer_wrap(context, host, moco_tensor_bytes(&tensor), &tensor.buffer);
    if (status == MOCO_UNSUPPORTED) {
        out->copied = 1;
        status = moco_buffer_create(context, moco_tensor_bytes(&tensor), &tensor.buffer);
    }
    MOCO_TRY(status);
    out->tensor = tensor;
    return MOCO_OK;
}

moco_status moco_host_tensor_input(moco_host_tensor *out, moco_context *context, const float *host,
                                   const int64_t dims[4]) {
    MOCO_TRY(over_host(out, context, (float *) (uintptr_t) host, dims)); /* only read */
    if (!out->copied) return MOCO_OK;
    const moco_status status = moco_tensor_upload(context, &out->tensor, host);
    if (status != MOCO_OK) moco_host_tensor_release(out, context);
    return status;
}

moco_status moco_host_tensor_output(moco_host_tensor *out, moco_context *context, float *host, const int64_t dims[4]) {
    return over_host(out, context, host, dims);
}

moco_status moco_host_tensor_fetch(const moco_host_tensor *tensor, moco_context *context, float *host) {
    return tensor->copied ? moco_tensor_download(context, &tensor->tensor, host) : MOCO_OK;
}

void moco_host_tensor_release(moco_host_tensor *tensor, moco_context *context) {
    moco_buffer_destroy(context, tensor->tensor.buffer);
    memset(tensor, 0, sizeof *tensor);
}
