#include "core/checked.h"

moco_status moco_checked_multiply(int64_t a, int64_t b, const char *what, int64_t *out) {
    int64_t product;
    MOCO_REQUIRE(a >= 0 && b >= 0, "%s has a negative factor (%lld x %lld)", what, (long long) a, (long long) b);
    MOCO_REQUIRE(!__builtin_mul_overflow(a, b, &product), "%s overflows: %lld x %lld is more than 2^63 - 1", what,
                 (long long) a, (long long) b);
    *out = product;
    return MOCO_OK;
}

moco_status moco_checked_product(const int64_t *dims, int32_t rank, const char *what, int64_t *out) {
    int64_t product = 1;
    for (int32_t i = 0; i < rank; ++i) MOCO_TRY(moco_checked_multiply(product, dims[i], what, &product));
    *out = product;
    return MOCO_OK;
}

moco_status moco_checked_bytes(int64_t count, size_t element_size, const char *what, size_t *out) {
    int64_t bytes = 0;
    MOCO_TRY(moco_checked_multiply(count, (int64_t) element_size, what, &bytes));
    MOCO_REQUIRE((uint64_t) bytes <= SIZE_MAX / 2, "%s needs %lld bytes, more than this machine can address", what,
                 (long long) bytes);
    *out = (size_t) bytes;
    return MOCO_OK;
}
