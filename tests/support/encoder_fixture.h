/* Small encoders filled by a formula that make_architecture_goldens.py knows too. */
#ifndef MOCO_TEST_ENCODER_FIXTURE_H
#define MOCO_TEST_ENCODER_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <moco/encoder.h>

#ifndef assert_ok
#define assert_ok(expression)                                                                         \
    do {                                                                                              \
        const moco_status status_ = (expression);                                                     \
        if (status_ != MOCO_OK) fail_msg("%s gives %d: %s", #expression, status_, moco_last_error()); \
    } while (0)
#endif

#define assert_status(expected, expression)                                             \
    do {                                                                                \
        const moco_status status_ = (expression);                                       \
        if (status_ != (expected)) {                                                    \
            fail_msg("%s gives %d instead of %d: %s", #expression, status_, (expected), \
                     status_ == MOCO_OK ? "" : moco_last_error());                      \
        }                                                                               \
        assert_true(strlen(moco_last_error()) > 10);                                    \
    } while (0)

enum { STREAM_IMAGES = 1000001, STREAM_GRADIENT = 1000002, STREAM_PATTERN = 1000003, STREAM_OFF = 2000000 };

/* Pseudo-random in [-1, 1), a pure function of (stream, element). */
static inline double hashed(uint32_t stream, int64_t element) {
    uint32_t h = stream * 0x9E3779B1u + (uint32_t) element * 0x85EBCA77u;
    h ^= h >> 15;
    h *= 0x2C1B3C6Du;
    h ^= h >> 12;
    h *= 0x297A2D39u;
    h ^= h >> 15;
    return (double) h / 2147483648.0 - 1.0;
}

static inline int32_t ends_with(const char *string, const char *end) {
    const size_t length = strlen(string);
    return length >= strlen(end) && strcmp(string + length - strlen(end), end) == 0;
}

/* 5 where BatchNorm's bias keeps ReLU's kink away, -5 for the channels that it switches off, 0 elsewhere. */
static inline double bias_offset(const char *name, int64_t index, int64_t element) {
    if (ends_with(name, "bn1.bias")) return hashed((uint32_t) (index + STREAM_OFF), element) < -0.5 ? -5.0 : 5.0;
    return ends_with(name, "bn2.bias") || ends_with(name, "bn3.bias") || ends_with(name, "downsample.1.bias") ? 5.0
                                                                                                              : 0.0;
}

/* The golden networks' parameters; why `kinks` is a choice, make_architecture_goldens.py tells. */
static inline void fill_encoder(moco_encoder *encoder, int32_t kinks) {
    for (int64_t index = 0; index < moco_encoder_parameter_count(encoder); ++index) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_ok(moco_encoder_parameter_info(encoder, index, &info));
        float *values = (float *) malloc((size_t) info.elements * sizeof *values);
        const int32_t around_one =
            info.rank == 1 && (ends_with(info.name, "running_var") || ends_with(info.name, "weight"));
        const double scale = info.rank >= 2 ? sqrt(6.0 / (double) (info.elements / info.dims[0])) : 0.1;
        for (int64_t i = 0; i < info.elements; ++i) {
            const double u = hashed((uint32_t) index, i);
            const double offset = kinks ? 0.0 : bias_offset(info.name, index, i);
            values[i] = (float) (around_one ? 1.0 + 0.2 * u : u * scale + offset);
        }
        assert_ok(moco_encoder_write_parameter(encoder, index, values));
        free(values);
    }
}

static inline float *hashed_floats(uint32_t stream, int64_t count, double scale) {
    float *values = (float *) malloc((size_t) count * sizeof *values);
    for (int64_t i = 0; i < count; ++i) values[i] = (float) (scale * hashed(stream, i));
    return values;
}

/* `backend` NULL: "auto"; threads 0: one per processor. */
static inline moco_context *make_context(const char *backend, int32_t threads) {
    moco_context_config config;
    moco_context *context = NULL;
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.backend = backend;
    config.threads = threads;
    assert_ok(moco_context_create(&context, &config));
    return context;
}

/* A small network by name: CIFAR stem, dim 8; "mlp": inputs of 3 x 4 x 5, hidden layers of 12. */
static inline moco_encoder_config small_config(const char *architecture) {
    moco_encoder_config config;
    assert_ok(moco_encoder_config_init(&config, sizeof config));
    config.architecture = architecture;
    config.stem = MOCO_STEM_CIFAR;
    config.embedding_dim = 8;
    config.mlp_input_dim = 3 * 4 * 5;
    config.mlp_hidden_dim = 12;
    config.seed = 7;
    return config;
}

static inline moco_encoder *make_encoder(moco_context *context, const moco_encoder_config *config) {
    moco_encoder *encoder = NULL;
    assert_ok(moco_encoder_create(&encoder, context, config));
    return encoder;
}

/* All parameters (buffers too), or all gradients of learnable ones, one after the other; freed by the caller. */
static inline float *read_all(const moco_encoder *encoder, int32_t gradients, int64_t *count) {
    int64_t total = 0;
    const int64_t parameters = moco_encoder_parameter_count(encoder);
    for (int64_t i = 0; i < parameters; ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_ok(moco_encoder_parameter_info(encoder, i, &info));
        if (!gradients || info.kind == MOCO_PARAMETER_LEARNABLE) total += info.elements;
    }
    float *values = (float *) malloc((size_t) total * sizeof *values);
    int64_t position = 0;
    for (int64_t i = 0; i < parameters; ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_ok(moco_encoder_parameter_info(encoder, i, &info));
        if (gradients && info.kind != MOCO_PARAMETER_LEARNABLE) continue;
        assert_ok(gradients ? moco_encoder_read_gradient(encoder, i, values + position)
                            : moco_encoder_read_parameter(encoder, i, values + position));
        position += info.elements;
    }
    *count = total;
    return values;
}

#endif
