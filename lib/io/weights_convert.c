/* Values of any dtype as float32 or int64. */
#include <math.h>
#include <string.h>

#include "io/weights_internal.h"

/* IEEE's half precision; exact. */
static float half_to_float(uint16_t half) {
    const uint32_t sign = (uint32_t) (half & 0x8000u) << 16;
    const uint32_t exponent = half >> 10 & 31u;
    const uint32_t fraction = half & 1023u;
    float value;
    if (exponent == 0) {
        value = ldexpf((float) fraction, -24);
        return sign != 0 ? -value : value;
    }
    const uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float bfloat16_to_float(uint16_t half) {
    const uint32_t bits = (uint32_t) half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define EACH(type, expression)                                             \
    for (int64_t i = 0; i < count; ++i) {                                  \
        type x;                                                            \
        memcpy(&x, (const char *) from + (size_t) i * sizeof x, sizeof x); \
        values[i] = (expression);                                          \
    }                                                                      \
    return MOCO_OK

moco_status moco_weights_to_floats(int32_t dtype, const void *from, int64_t count, const char *name, float *values) {
    switch (dtype) {
    case MOCO_SAFETENSORS_F32:
        EACH(float, x);
    case MOCO_SAFETENSORS_F64:
        EACH(double, (float) x);
    case MOCO_SAFETENSORS_F16:
        EACH(uint16_t, half_to_float(x));
    case MOCO_SAFETENSORS_BF16:
        EACH(uint16_t, bfloat16_to_float(x));
    case MOCO_SAFETENSORS_BOOL:
        EACH(uint8_t, x != 0 ? 1.0f : 0.0f);
    case MOCO_SAFETENSORS_U8:
        EACH(uint8_t, (float) x);
    case MOCO_SAFETENSORS_I8:
        EACH(int8_t, (float) x);
    case MOCO_SAFETENSORS_U16:
        EACH(uint16_t, (float) x);
    case MOCO_SAFETENSORS_I16:
        EACH(int16_t, (float) x);
    case MOCO_SAFETENSORS_U32:
        EACH(uint32_t, (float) x);
    case MOCO_SAFETENSORS_I32:
        EACH(int32_t, (float) x);
    case MOCO_SAFETENSORS_U64:
        EACH(uint64_t, (float) x);
    case MOCO_SAFETENSORS_I64:
        EACH(int64_t, (float) x);
    default:
        break;
    }
    return moco_fail(MOCO_UNSUPPORTED, "tensor \"%s\" is %s, which is not converted to float32", name,
                     moco_safetensors_dtype_name(dtype));
}

moco_status moco_weights_to_integers(int32_t dtype, const void *from, int64_t count, const char *name,
                                     int64_t *values) {
    switch (dtype) {
    case MOCO_SAFETENSORS_BOOL:
        EACH(uint8_t, x != 0);
    case MOCO_SAFETENSORS_U8:
        EACH(uint8_t, x);
    case MOCO_SAFETENSORS_I8:
        EACH(int8_t, x);
    case MOCO_SAFETENSORS_U16:
        EACH(uint16_t, x);
    case MOCO_SAFETENSORS_I16:
        EACH(int16_t, x);
    case MOCO_SAFETENSORS_U32:
        EACH(uint32_t, x);
    case MOCO_SAFETENSORS_I32:
        EACH(int32_t, x);
    case MOCO_SAFETENSORS_I64:
        EACH(int64_t, x);
    case MOCO_SAFETENSORS_U64:
        for (int64_t i = 0; i < count; ++i) {
            uint64_t x;
            memcpy(&x, (const char *) from + (size_t) i * sizeof x, sizeof x);
            if (x > INT64_MAX) {
                return moco_fail(MOCO_FORMAT, "tensor \"%s\" has the value %llu, which is more than 2^63 - 1", name,
                                 (unsigned long long) x);
            }
        }
        EACH(uint64_t, (int64_t) x);
    default:
        break;
    }
    return moco_fail(MOCO_UNSUPPORTED, "tensor \"%s\" is %s; its values are no integers", name,
                     moco_safetensors_dtype_name(dtype));
}
