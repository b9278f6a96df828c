#include "backend/tensor_checks.h"

#include "backend/backend_chain.h"
#include "core/checked.h"

moco_status moco_require_image_shape(int64_t n, int64_t c, int64_t h, int64_t w) {
    MOCO_REQUIRE(n >= 1, "n is %lld; it must be at least 1", (long long) n);
    MOCO_REQUIRE(h >= 1 && w >= 1, "h is %lld and w is %lld; both must be at least 1", (long long) h, (long long) w);
    const int64_t dims[4] = {c, h, w, n};
    int64_t elements;
    size_t bytes;
    MOCO_TRY(moco_checked_product(dims, 4, "the number of pixels (channels, h, w, n)", &elements));
    return moco_checked_bytes(elements, sizeof(float), "the batch of images", &bytes);
}

moco_status moco_require_matrix(const moco_tensor *tensor, int64_t n, int64_t dim, const char *name) {
    MOCO_REQUIRE(tensor->buffer != NULL && tensor->rank == 2 && tensor->dtype == MOCO_DTYPE_F32 &&
                     tensor->layout == MOCO_LAYOUT_PLAIN && tensor->dims[0] == n && tensor->dims[1] == dim,
                 "%s is no float32 matrix of %lld rows and %lld columns", name, (long long) n, (long long) dim);
    return MOCO_OK;
}

moco_status moco_require_finite_rows(moco_context *context, const moco_tensor *rows, const char *name) {
    int32_t finite = 0;
    int64_t first = 0;
    MOCO_TRY(moco_all_finite(context, rows, &finite, &first));
    MOCO_REQUIRE(finite, "%s holds a NaN or an infinity in row %lld, column %lld; every value must be finite", name,
                 (long long) (first / rows->dims[1]), (long long) (first % rows->dims[1]));
    return MOCO_OK;
}
