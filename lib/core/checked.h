/* Sizes that cannot overflow unnoticed. */
#ifndef MOCO_CORE_CHECKED_H
#define MOCO_CORE_CHECKED_H

#include <stdint.h>

#include "core/status_internal.h"

/* *out = a * b; INVALID_ARGUMENT naming `what` if negative or over INT64_MAX. */
moco_status moco_checked_multiply(int64_t a, int64_t b, const char *what, int64_t *out);
/* The product of `rank` dims, each >= 0. */
moco_status moco_checked_product(const int64_t *dims, int32_t rank, const char *what, int64_t *out);
/* Bytes of `count` elements of `element_size` as size_t. */
moco_status moco_checked_bytes(int64_t count, size_t element_size, const char *what, size_t *out);

static inline int64_t moco_min_i64(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t moco_max_i64(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static inline int64_t moco_ceil_divide(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}
/* The least multiple of `multiple` that is at least `value`. */
static inline int64_t moco_round_up(int64_t value, int64_t multiple) {
    return moco_ceil_divide(value, multiple) * multiple;
}

#endif
