/* The updates of the conformance suite: momentum update, SGD, and both in one pass, as operators of their own and as update
 * rules; and norms. */
#ifndef MOCO_TEST_UPDATE_CASES_H
#define MOCO_TEST_UPDATE_CASES_H

#include "conformance/layer_check.h"

static const int64_t vector_sizes[] = {1, 7, 64, 1000, 70001, 262147};
#define VECTOR_SIZES ((int) (sizeof vector_sizes / sizeof *vector_sizes))

/* A tensor 64 bytes into a buffer with 64 more bytes behind it; both ends must stay as they are. */
static moco_tensor guarded_tensor(moco_context *context, int32_t dtype, const double *values, int64_t elements) {
    moco_tensor tensor = nan_tensor(context, dtype, elements + 32, 0);
    tensor.offset = 64;
    tensor.dims[0] = elements;
    upload_values(context, &tensor, values);
    return tensor;
}

static void guarded_close(moco_context *context, moco_tensor *tensor, double *values) {
    unsigned char ends[64];
    const uint64_t after = tensor->offset + moco_tensor_bytes(tensor);
    for (int i = 0; i < 2; ++i) {
        const moco_tensor end = moco_tensor_1d(tensor->buffer, i == 0 ? 0 : after, MOCO_DTYPE_I64, 8);
        assert_ok(moco_tensor_download(context, &end, ends));
        for (int byte = 0; byte < 64; ++byte) assert_int_equal(ends[byte], 0xFF);
    }
    download_values(context, tensor, values);
    moco_buffer_destroy(context, tensor->buffer);
}

static double *normal_vector(moco_random *random, int64_t count) {
    double *values = (double *) malloc(((size_t) count + 1) * sizeof(double));
    assert_non_null(values);
    fill_normal(random, values, count, 0.0, 1.0);
    return values;
}

static void assert_near(const double *actual, const double *expected, int64_t count, double tolerance,
                        const char *what) {
    for (int64_t i = 0; i < count; ++i) {
        if (fabs(actual[i] - expected[i]) <= tolerance) continue;
        fail_msg("%s[%lld] is %.9g, the reference has %.9g", what, (long long) i, actual[i], expected[i]);
    }
}

/* --- Momentum update --- */

static void run_momentum(moco_context *context, int32_t dtype, const double *target, const double *source, double m,
                         int64_t count, double *result) {
    moco_tensor k = guarded_tensor(context, dtype, target, count), q = guarded_tensor(context, dtype, source, count);
    assert_ok(moco_momentum_update(context, &k, &q, m));
    guarded_close(context, &q, result);
    assert_near(result, source, count, 0.0, "source");
    guarded_close(context, &k, result);
}

static void test_momentum_update(void **state) {
    (void) state;
    static const double momenta[] = {0.999, 0.0, 1.0, 0.5, 0.99999};
    moco_random random = suite_random(20, 0);
    for (int s = 0; s < VECTOR_SIZES; ++s) {
        const int64_t count = vector_sizes[s];
        double *k = normal_vector(&random, count), *q = normal_vector(&random, count);
        double *expected = normal_vector(&random, count), *actual = normal_vector(&random, count);
        double *threads = normal_vector(&random, count);
        for (size_t i = 0; i < sizeof momenta / sizeof *momenta; ++i) {
            run_momentum(suite.oracle, MOCO_DTYPE_F64, k, q, momenta[i], count, expected);
            run_momentum(suite.tested, MOCO_DTYPE_F32, k, q, momenta[i], count, actual);
            run_momentum(suite.tested_threads, MOCO_DTYPE_F32, k, q, momenta[i], count, threads);
            assert_near(actual, expected, count, momenta[i] == 0.0 || momenta[i] == 1.0 ? 0.0 : 1e-6, "target");
            assert_memory_equal(actual, threads, (size_t) count * sizeof(double));
            run_momentum(suite.tested, MOCO_DTYPE_F64, k, q, momenta[i], count, actual);
            assert_near(actual, expected, count, 1e-15, "float64 target");
        }
        free(k);
        free(q);
        free(expected);
        free(actual);
        free(threads);
    }
}

/* --- SGD --- */

typedef struct sgd_state {
    double *parameter;
    double *gradient;
    double *velocity;
} sgd_state;

/* Two steps, as the optimizer makes them; the first one finds garbage in the velocity. */
static void run_sgd(moco_context *context, int32_t dtype, const moco_sgd_args *settings, const sgd_state *start,
                    int64_t count, double *parameter, double *velocity) {
    moco_sgd_args args = *settings;
    args.parameter = guarded_tensor(context, dtype, start->parameter, count);
    args.gradient = guarded_tensor(context, dtype, start->gradient, count);
    args.velocity = guarded_tensor(context, dtype, start->velocity, count);
    args.first_step = 1;
    assert_ok(moco_sgd_update(context, &args));
    args.first_step = 0;
    assert_ok(moco_sgd_update(context, &args));
    guarded_close(context, &args.gradient, parameter);
    assert_near(parameter, start->gradient, count, 0.0, "gradient");
    guarded_close(context, &args.parameter, parameter);
    guarded_close(context, &args.velocity, velocity);
}

static void test_sgd_update(void **state) {
    (void) state;
    static const moco_sgd_args settings[] = {
        {.learning_rate = 0.03, .momentum = 0.9, .weight_decay = 1e-4},
        {.learning_rate = 0.03, .momentum = 0.9, .weight_decay = 0.1, .nesterov = 1},
        {.learning_rate = 0.5, .momentum = 0.8, .dampening = 0.3, .weight_decay = 0.01},
        {.learning_rate = 0.5, .weight_decay = 0.01},
        {.learning_rate = 0.0, .momentum = 0.9},
    };
    moco_random random = suite_random(21, 0);
    for (int s = 0; s < VECTOR_SIZES; ++s) {
        const int64_t count = vector_sizes[s];
        sgd_state start = {normal_vector(&random, count), normal_vector(&random, count), normal_vector(&random, count)};
        for (int64_t i = 0; i < count; ++i) start.velocity[i] = NAN;
        double *out[6];
        for (int i = 0; i < 6; ++i) out[i] = normal_vector(&random, count);
        for (size_t i = 0; i < sizeof settings / sizeof *settings; ++i) {
            run_sgd(suite.oracle, MOCO_DTYPE_F64, &settings[i], &start, count, out[0], out[1]);
            run_sgd(suite.tested, MOCO_DTYPE_F32, &settings[i], &start, count, out[2], out[3]);
            run_sgd(suite.tested_threads, MOCO_DTYPE_F32, &settings[i], &start, count, out[4], out[5]);
            assert_near(out[2], out[0], count, 2e-6, "parameter");
            assert_memory_equal(out[2], out[4], (size_t) count * sizeof(double));
            if (settings[i].momentum == 0.0) continue; /* no velocity then */
            assert_near(out[3], out[1], count, 2e-6, "velocity");
            assert_memory_equal(out[3], out[5], (size_t) count * sizeof(double));
        }
        for (int i = 0; i < 6; ++i) free(out[i]);
        free(start.parameter);
        free(start.gradient);
        free(start.velocity);
    }
}

/* One pass for both updates has the bits of two, whatever the kind of step, and of any number of threads. */
static void test_sgd_momentum_update(void **state) {
    (void) state;
    static const moco_sgd_args settings[] = {
        {.learning_rate = 0.03, .momentum = 0.9, .weight_decay = 1e-4},
        {.learning_rate = 0.03, .momentum = 0.9, .weight_decay = 1e-4, .first_step = 1},
        {.learning_rate = 0.03, .momentum = 0.9, .weight_decay = 0.1, .nesterov = 1},
        {.learning_rate = 0.5, .momentum = 0.8, .dampening = 0.3, .weight_decay = 0.01},
        {.learning_rate = 0.5, .weight_decay = 0.01, .first_step = 1},
    };
    static const double momenta[] = {0.999, 0.0, 1.0, 0.99, 0.5};
    moco_context *const contexts[] = {suite.tested, suite.tested, suite.tested_threads};
    moco_random random = suite_random(23, 0);
    for (int s = 0; s < VECTOR_SIZES; ++s) {
        const int64_t count = vector_sizes[s];
        const size_t bytes = (size_t) count * sizeof(double);
        double *start[4], *out[3][4];
        for (int i = 0; i < 4; ++i) {
            start[i] = normal_vector(&random, count);
            for (int run = 0; run < 3; ++run) out[run][i] = normal_vector(&random, count);
        }
        for (size_t i = 0; i < sizeof settings / sizeof *settings; ++i) {
            for (int run = 0; run < 3; ++run) { /* two passes; one; one with threads */
                moco_context *context = contexts[run];
                moco_sgd_args args = settings[i];
                moco_tensor tensors[4];
                for (int t = 0; t < 4; ++t) tensors[t] = guarded_tensor(context, MOCO_DTYPE_F32, start[t], count);
                args.parameter = tensors[0];
                args.gradient = tensors[1];
                args.velocity = tensors[2];
                if (run == 0) {
                    assert_ok(moco_sgd_update(context, &args));
                    assert_ok(moco_momentum_update(context, &tensors[3], &tensors[0], momenta[i]));
                } else {
                    assert_ok(moco_sgd_momentum_update(context, &args, &tensors[3], momenta[i]));
                }
                for (int t = 0; t < 4; ++t) {
                    guarded_close(context, &tensors[t], out[run][t]);
                    assert_memory_equal(out[run][t], out[0][t], bytes);
                }
            }
        }
        for (int i = 0; i < 4; ++i) {
            free(start[i]);
            for (int run = 0; run < 3; ++run) free(out[run][i]);
        }
    }
}

/* --- Update rules and norms --- */

/* MOCO_UPDATE_SGD has the bits of sgd_update, and with an average those of momentum_update after it. */
static void test_update(void **state) {
    (void) state;
    static const moco_update_args settings[] = {
        {.step = 0, .learning_rate = 0.03, .momentum = 0.9, .weight_decay = 1e-4, .average_momentum = 0.99},
        {.step = 3, .learning_rate = 0.03, .momentum = 0.9, .weight_decay = 0.1, .nesterov = 1},
        {.step = 1, .learning_rate = 0.5, .momentum = 0.8, .dampening = 0.3, .weight_decay = 0.01},
        {.step = 5, .learning_rate = 0.5, .weight_decay = 0.01, .dampening = 0.3, .average_momentum = 0.5},
    };
    moco_random random = suite_random(24, 0);
    for (int s = 0; s < VECTOR_SIZES; ++s) {
        const int64_t count = vector_sizes[s];
        double *start[4], *out[3][4];
        for (int i = 0; i < 4; ++i) {
            start[i] = normal_vector(&random, count);
            for (int run = 0; run < 3; ++run) out[run][i] = normal_vector(&random, count);
        }
        for (size_t i = 0; i < 2 * (sizeof settings / sizeof *settings); ++i) {
            const int averages = i % 2 == 0;
            for (int run = 0; run < 3; ++run) { /* the single operators; update; update with threads */
                moco_context *context = run == 2 ? suite.tested_threads : suite.tested;
                moco_tensor tensors[4];
                for (int t = 0; t < 4; ++t) tensors[t] = guarded_tensor(context, MOCO_DTYPE_F32, start[t], count);
                moco_update_args args = settings[i / 2];
                args.struct_size = sizeof args;
                args.rule = MOCO_UPDATE_SGD;
                args.parameter = tensors[0];
                args.gradient = tensors[1];
                args.states[0] = tensors[2];
                if (averages) args.average = tensors[3];
                if (run > 0) {
                    assert_ok(moco_update(context, &args));
                } else {
                    const moco_sgd_args sgd = {
                        .parameter = tensors[0],
                        .gradient = tensors[1],
                        .velocity = tensors[2],
                        .first_step = args.step == 0,
                        .nesterov = args.nesterov,
                        .learning_rate = args.learning_rate,
                        .momentum = args.momentum,
                        .dampening = args.dampening,
                        .weight_decay = args.weight_decay,
                    };
                    assert_ok(moco_sgd_update(context, &sgd));
                    if (averages) {
                        assert_ok(moco_momentum_update(context, &tensors[3], &tensors[0], args.average_momentum));
                    }
                }
                for (int t = 0; t < 4; ++t) {
                    guarded_close(context, &tensors[t], out[run][t]);
                    assert_memory_equal(out[run][t], out[0][t], (size_t) count * sizeof(double));
                }
            }
        }
        for (int i = 0; i < 4; ++i) {
            free(start[i]);
            for (int run = 0; run < 3; ++run) free(out[run][i]);
        }
    }
    moco_update_args unknown = {.struct_size = sizeof unknown, .rule = 1000};
    assert_int_equal(moco_update(suite.tested, &unknown), MOCO_UNSUPPORTED);
}

static void test_norms(void **state) {
    (void) state;
    static const double scales[] = {1.0, 1e-25, 1e25}; /* whose squares float32 doesn't hold */
    moco_random random = suite_random(25, 0);
    for (size_t scale = 0; scale < sizeof scales / sizeof *scales; ++scale) {
        double *values[VECTOR_SIZES], *copy[VECTOR_SIZES], expected[VECTOR_SIZES];
        for (int s = 0; s < VECTOR_SIZES; ++s) {
            values[s] = normal_vector(&random, vector_sizes[s]);
            copy[s] = normal_vector(&random, vector_sizes[s]);
            double sum = 0.0;
            for (int64_t i = 0; i < vector_sizes[s]; ++i) {
                values[s][i] = (double) (float) (values[s][i] * scales[scale]);
                sum += values[s][i] * values[s][i];
            }
            expected[s] = sqrt(sum);
        }
        double norms[2][VECTOR_SIZES];
        for (int run = 0; run < 2; ++run) {
            moco_context *context = run == 0 ? suite.tested : suite.tested_threads;
            moco_tensor tensors[VECTOR_SIZES];
            for (int s = 0; s < VECTOR_SIZES; ++s) {
                tensors[s] = guarded_tensor(context, MOCO_DTYPE_F32, values[s], vector_sizes[s]);
            }
            assert_ok(moco_norms(context, tensors, VECTOR_SIZES, norms[run]));
            for (int s = 0; s < VECTOR_SIZES; ++s) {
                guarded_close(context, &tensors[s], copy[s]);
                assert_near(copy[s], values[s], vector_sizes[s], 0.0, "a tensor whose norm was taken");
                if (!(fabs(norms[run][s] - expected[s]) <= 1e-12 * expected[s])) {
                    fail_msg("the norm of %lld values is %.17g; it should be %.17g", (long long) vector_sizes[s],
                             norms[run][s], expected[s]);
                }
            }
        }
        assert_memory_equal(norms[0], norms[1], sizeof norms[0]);
        for (int s = 0; s < VECTOR_SIZES; ++s) {
            free(values[s]);
            free(copy[s]);
        }
    }
}

#endif
