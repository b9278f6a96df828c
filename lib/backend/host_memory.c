#include "backend/host_memory.h"

#include <math.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "core/checked.h"

static moco_context *context_of(void *self) {
    return ((moco_host_backend *) self)->context;
}

moco_status moco_host_buffer_create(void *self, uint64_t bytes, void **buffer) {
    moco_context *context = context_of(self);
    MOCO_REQUIRE(bytes <= SIZE_MAX / 2, "a buffer of %llu bytes is more than this machine can address",
                 (unsigned long long) bytes);
    moco_host_buffer *created = (moco_host_buffer *) moco_allocate(context, sizeof *created);
    if (created == NULL) return MOCO_OUT_OF_MEMORY;
    created->base = (char *) moco_allocate_lasting(context, (size_t) bytes);
    if (created->base == NULL) {
        moco_deallocate(context, created);
        return MOCO_OUT_OF_MEMORY;
    }
    created->bytes = bytes;
    created->owned = 1;
    *buffer = created;
    return MOCO_OK;
}

moco_status moco_host_buffer_wrap(void *self, void *memory, uint64_t bytes, void **buffer) {
    moco_host_buffer *created = (moco_host_buffer *) moco_allocate(context_of(self), sizeof *created);
    if (created == NULL) return MOCO_OUT_OF_MEMORY;
    created->base = (char *) memory;
    created->bytes = bytes;
    created->owned = 0;
    *buffer = created;
    return MOCO_OK;
}

void moco_host_buffer_destroy(void *self, void *buffer) {
    moco_host_buffer *destroyed = (moco_host_buffer *) buffer;
    if (destroyed == NULL) return;
    if (destroyed->owned) moco_deallocate(context_of(self), destroyed->base);
    moco_deallocate(context_of(self), destroyed);
}

/* The layers above compute their ranges; one that leaves the buffer is a bug in them, caught before it writes. */
static moco_status check_range(const moco_host_buffer *buffer, uint64_t offset, uint64_t bytes) {
    if (offset > buffer->bytes || bytes > buffer->bytes - offset) {
        return moco_fail(MOCO_INTERNAL, "bytes %llu + %llu lie outside a buffer of %llu", (unsigned long long) offset,
                         (unsigned long long) bytes, (unsigned long long) buffer->bytes);
    }
    return MOCO_OK;
}

moco_status moco_host_map(void *self, void *buffer, uint64_t offset, uint64_t bytes, void **address) {
    (void) self;
    const moco_host_buffer *mapped = (const moco_host_buffer *) buffer;
    MOCO_TRY(check_range(mapped, offset, bytes));
    *address = mapped->base + offset;
    return MOCO_OK;
}

moco_status moco_host_upload(void *self, void *buffer, uint64_t offset, const void *source, uint64_t bytes) {
    (void) self;
    moco_host_buffer *target = (moco_host_buffer *) buffer;
    MOCO_TRY(check_range(target, offset, bytes));
    if (bytes > 0) memcpy(target->base + offset, source, (size_t) bytes);
    return MOCO_OK;
}

moco_status moco_host_download(void *self, const void *buffer, uint64_t offset, void *target, uint64_t bytes) {
    (void) self;
    const moco_host_buffer *source = (const moco_host_buffer *) buffer;
    MOCO_TRY(check_range(source, offset, bytes));
    if (bytes > 0) memcpy(target, source->base + offset, (size_t) bytes);
    return MOCO_OK;
}

#define COPY_GRAIN 65536 /* bytes; as the other loops over memory have it, so that a thread finds what it has copied */

typedef struct copied {
    char *to;
    const char *from;
} copied;

static void copy_range(void *argument, int64_t begin, int64_t end) {
    const copied *work = (const copied *) argument;
    memcpy(work->to + begin, work->from + begin, (size_t) (end - begin));
}

moco_status moco_host_copy(void *self, void *target, uint64_t target_offset, const void *source, uint64_t source_offset,
                           uint64_t bytes) {
    moco_host_buffer *to = (moco_host_buffer *) target;
    const moco_host_buffer *from = (const moco_host_buffer *) source;
    MOCO_TRY(check_range(to, target_offset, bytes));
    MOCO_TRY(check_range(from, source_offset, bytes));
    copied work = {to->base + target_offset, from->base + source_offset};
    const uintptr_t to_address = (uintptr_t) work.to, from_address = (uintptr_t) work.from;
    const uintptr_t apart = to_address < from_address ? from_address - to_address : to_address - from_address;
    if (bytes >= 4 * COPY_GRAIN && apart >= bytes) {
        moco_parallel_range(context_of(self), (int64_t) bytes, COPY_GRAIN, copy_range, &work);
    } else if (bytes > 0) {
        memmove(work.to, work.from, (size_t) bytes);
    }
    return MOCO_OK;
}

moco_status moco_host_fill_zero(void *self, void *buffer, uint64_t offset, uint64_t bytes) {
    (void) self;
    moco_host_buffer *target = (moco_host_buffer *) buffer;
    MOCO_TRY(check_range(target, offset, bytes));
    if (bytes > 0) memset(target->base + offset, 0, (size_t) bytes);
    return MOCO_OK;
}

moco_status moco_host_gather_rows(void *self, const moco_tensor *target, const moco_tensor *source, const int64_t *rows,
                                  int64_t n) {
    (void) self;
    if (n == 0) return MOCO_OK;
    const int64_t row_elements = moco_tensor_elements(source) / source->dims[0];
    const size_t row_bytes = (size_t) row_elements * moco_dtype_size(source->dtype);
    const char *from = (const char *) moco_host_address(source);
    char *to = (char *) moco_host_address(target);
    for (int64_t i = 0; i < n; ++i) {
        if (rows[i] < 0 || rows[i] >= source->dims[0]) {
            return moco_fail(MOCO_INTERNAL, "row %lld of a tensor of %lld rows", (long long) rows[i],
                             (long long) source->dims[0]);
        }
        memcpy(to + (size_t) i * row_bytes, from + (size_t) rows[i] * row_bytes, row_bytes);
    }
    return MOCO_OK;
}

/* A float is finite exactly if x - x is 0; the sum of such differences is NaN once one is not. Blocks keep the common
 * case a plain vector loop and find the first culprit only when there is one. */
#define FINITE_BLOCK 4096
#define DEFINE_FIRST_NOT_FINITE(type, name)                                                                     \
    static int64_t name(const type *values, int64_t count) {                                                    \
        for (int64_t begin = 0; begin < count; begin += FINITE_BLOCK) {                                         \
            const int64_t end = moco_min_i64(begin + FINITE_BLOCK, count);                                      \
            type differences[16] = {0};                                                                         \
            int64_t i = begin;                                                                                  \
            for (; i + 16 <= end; i += 16)                                                                      \
                for (int lane = 0; lane < 16; ++lane) differences[lane] += values[i + lane] - values[i + lane]; \
            for (; i < end; ++i) differences[0] += values[i] - values[i];                                       \
            type sum = 0;                                                                                       \
            for (int lane = 0; lane < 16; ++lane) sum += differences[lane];                                     \
            if (isfinite(sum)) continue;                                                                        \
            for (i = begin; i < end; ++i)                                                                       \
                if (!isfinite(values[i])) return i;                                                             \
        }                                                                                                       \
        return -1;                                                                                              \
    }
DEFINE_FIRST_NOT_FINITE(float, first_not_finite_float)
DEFINE_FIRST_NOT_FINITE(double, first_not_finite_double)

/* An exponent of ones, the eight bits below the sign, is an infinity or a NaN. */
static int64_t first_not_finite_bf16(const uint16_t *values, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
        if ((values[i] & 0x7F80u) == 0x7F80u) return i;
    return -1;
}

moco_status moco_host_all_finite(void *self, const moco_tensor *tensor, int32_t *finite, int64_t *first) {
    (void) self;
    const int64_t count = moco_tensor_elements(tensor);
    const void *values = moco_host_address(tensor);
    int64_t culprit = -1;
    if (tensor->dtype == MOCO_DTYPE_F32) {
        culprit = first_not_finite_float((const float *) values, count);
    } else if (tensor->dtype == MOCO_DTYPE_F64) {
        culprit = first_not_finite_double((const double *) values, count);
    } else if (tensor->dtype == MOCO_DTYPE_BF16) {
        culprit = first_not_finite_bf16((const uint16_t *) values, count);
    } else {
        return moco_fail(MOCO_UNSUPPORTED, "all_finite takes float32, float64 and bfloat16, not dtype %d",
                         tensor->dtype);
    }
    *finite = culprit < 0;
    if (first != NULL && culprit >= 0) *first = culprit;
    return MOCO_OK;
}

/* --- Conversion --- */

#define CONVERT_GRAIN 65536

typedef struct conversion {
    void *target;
    const void *source;
} conversion;

/* Rounding carries into the exponent as it should, but for the step to infinity: the largest bfloat16 stays there. */
static uint16_t bf16_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t size = bits & 0x7FFFFFFFu;
    const uint32_t rounded = (size + 0x7FFFu + ((size >> 16) & 1u)) >> 16;
    const uint32_t finite = rounded < 0x7F80u ? rounded : 0x7F7Fu;
    const uint32_t not_finite = size > 0x7F800000u ? 0x7FC0u : 0x7F80u;
    return (uint16_t) ((bits >> 31 << 15) | (size < 0x7F800000u ? finite : not_finite));
}

static void narrow(void *argument, int64_t begin, int64_t end) {
    const conversion *work = (const conversion *) argument;
    uint16_t *restrict target = (uint16_t *) work->target;
    const float *restrict source = (const float *) work->source;
    for (int64_t i = begin; i < end; ++i) target[i] = bf16_of_float(source[i]);
}

static void widen(void *argument, int64_t begin, int64_t end) {
    const conversion *work = (const conversion *) argument;
    float *restrict target = (float *) work->target;
    const uint16_t *restrict source = (const uint16_t *) work->source;
    for (int64_t i = begin; i < end; ++i) target[i] = moco_float_of_bf16(source[i]);
}

moco_status moco_host_convert(void *self, const moco_tensor *target, const moco_tensor *source) {
    const int32_t narrows = source->dtype == MOCO_DTYPE_F32 && target->dtype == MOCO_DTYPE_BF16;
    const int32_t widens = source->dtype == MOCO_DTYPE_BF16 && target->dtype == MOCO_DTYPE_F32;
    const int64_t elements = moco_tensor_elements(source);
    if (!narrows && !widens) {
        return moco_fail(MOCO_UNSUPPORTED, "convert goes from float32 to bfloat16 and back, not from dtype %d to %d",
                         source->dtype, target->dtype);
    }
    if (moco_tensor_elements(target) != elements) {
        return moco_fail(MOCO_INTERNAL, "converting %lld elements to %lld", (long long) elements,
                         (long long) moco_tensor_elements(target));
    }
    MOCO_TRY(check_range((const moco_host_buffer *) target->buffer, target->offset, moco_tensor_bytes(target)));
    MOCO_TRY(check_range((const moco_host_buffer *) source->buffer, source->offset, moco_tensor_bytes(source)));
    conversion work = {moco_host_address(target), moco_host_address(source)};
    moco_parallel_range(context_of(self), elements, CONVERT_GRAIN, narrows ? narrow : widen, &work);
    return MOCO_OK;
}

/* --- Addition --- */

#define ADD_GRAIN 65536

typedef struct addition {
    void *target;
    const void *source;
} addition;

static void add_f32(void *argument, int64_t begin, int64_t end) {
    const addition *sum = (const addition *) argument;
    float *restrict target = (float *) sum->target;
    const float *restrict source = (const float *) sum->source;
    for (int64_t i = begin; i < end; ++i) target[i] += source[i];
}

static void add_f64(void *argument, int64_t begin, int64_t end) {
    const addition *sum = (const addition *) argument;
    double *restrict target = (double *) sum->target;
    const double *restrict source = (const double *) sum->source;
    for (int64_t i = begin; i < end; ++i) target[i] += source[i];
}

moco_status moco_host_add(void *self, const moco_tensor *target, const moco_tensor *source) {
    const int64_t elements = moco_tensor_elements(target);
    if (source->dtype != target->dtype || moco_tensor_elements(source) != elements) {
        return moco_fail(MOCO_INTERNAL, "adding %lld elements of dtype %d to %lld of dtype %d",
                         (long long) moco_tensor_elements(source), source->dtype, (long long) elements, target->dtype);
    }
    if (target->dtype != MOCO_DTYPE_F32 && target->dtype != MOCO_DTYPE_F64) {
        return moco_fail(MOCO_UNSUPPORTED, "add has no dtype %d", target->dtype);
    }
    addition sum = {moco_host_address(target), moco_host_address(source)};
    moco_parallel_range(context_of(self), elements, ADD_GRAIN, target->dtype == MOCO_DTYPE_F32 ? add_f32 : add_f64,
                        &sum);
    return MOCO_OK;
}
