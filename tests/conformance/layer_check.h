/* One layer case of the conformance suite: the backend under test, with 1 and with 3 threads, against the float64
 * reference.
 */
#ifndef MOCO_TEST_LAYER_CHECK_H
#define MOCO_TEST_LAYER_CHECK_H

#include <math.h>
#include <stdio.h>

#include "support/layer_harness.h"

/* More than there are; an array by kind has a place for each. */
#define LAYER_KINDS 64

/* Largest error of a layer, in units of error_scale(): of a float32 one, and of one whose results are rounded to
 * bfloat16's 8 bits. Those that no backend computes in bfloat16 stay as they are. */
static const double float32_tolerances[] = {2e-5, 1e-5, 5e-6, 0.0, 1e-6, 1e-6, 2e-6};
static const double bfloat16_tolerances[] = {4e-3, 1e-5, 4e-3, 0.0, 8e-3, 4e-3, 2e-6};

static double tolerance_of(int32_t kind) {
    if (kind >= MOCO_LAYER_REORDER) return 2e-6; /* no backend computes later kinds in bfloat16 */
    return offered_compute_dtype == MOCO_DTYPE_BF16 ? bfloat16_tolerances[kind] : float32_tolerances[kind];
}

static struct {
    const char *name;
    moco_context *tested;
    moco_context *tested_threads;
    moco_context *oracle;
    int64_t seeds;
    int32_t (*bits_by_threads)(const image_layer *); /* 1: may have other bits with another number of threads */
    int64_t cases[LAYER_KINDS];
    int64_t declined[LAYER_KINDS];
} suite;

static double greatest(const double *values, int64_t count) {
    double result = 0.0;
    for (int64_t i = 0; i < count; ++i) result = fmax(result, fabs(values[i]));
    return result;
}

static int32_t bn_group_of(const image_layer *desc, int64_t sample) {
    const int64_t groups = desc->bn_groups;
    if (desc->bn_strided) return (int32_t) (sample % groups);
    int64_t g = 0;
    while ((g + 1) * desc->n / groups <= sample) ++g;
    return (int32_t) g;
}

/* The largest 1 / sqrt(var + eps) of any channel and group: what BatchNorm multiplies rounding errors by. */
static double greatest_rstd(const image_layer *desc, const layer_data *data, int32_t mode) {
    double least = INFINITY;
    for (int64_t c = 0; c < desc->c; ++c) {
        if (mode == 2) {
            least = fmin(least, data->values[RUNNING_VAR][c]);
            continue;
        }
        for (int32_t g = 0; g < desc->bn_groups; ++g) {
            double sum = 0.0, squares = 0.0, count = 0.0;
            for (int64_t n = 0; n < desc->n; ++n) {
                if (bn_group_of(desc, n) != g) continue;
                const double *x = data->values[X] + (n * desc->c + c) * desc->h * desc->w;
                for (int64_t i = 0; i < desc->h * desc->w; ++i, count += 1.0) {
                    sum += x[i];
                    squares += x[i] * x[i];
                }
            }
            least = fmin(least, squares / count - sum / count * (sum / count));
        }
    }
    return 1.0 / sqrt(fmax(least, 0.0) + desc->bn_eps);
}

static double least_row_norm(const image_layer *desc, const layer_data *data) {
    double least = INFINITY;
    for (int64_t n = 0; n < desc->n; ++n) {
        double squares = 0.0;
        for (int64_t c = 0; c < desc->c; ++c) squares += pow(data->values[X][n * desc->c + c], 2.0);
        least = fmin(least, sqrt(squares));
    }
    return fmax(least, 1e-12);
}

/* The size that tensor `t`'s error is measured by: its own largest value, or where terms cancel, as in the
 * normalizations, that of the terms. */
static double error_scale(const image_layer *desc, const layer_data *input, const layer_data *expected, int t,
                          int32_t mode) {
    const double own = greatest(expected->values[t], expected->elements[t]);
    if (desc->kind == MOCO_LAYER_L2_NORMALIZE && t == DX) {
        return fmax(own, greatest(input->values[DY], input->elements[DY]) / least_row_norm(desc, input));
    }
    if (desc->kind != MOCO_LAYER_BATCH_NORM) return own;
    const double x = greatest(input->values[X], input->elements[X]);
    const double dy = greatest(input->values[DY], input->elements[DY]);
    const double weight = greatest(input->values[WEIGHT], input->elements[WEIGHT]);
    const double rstd = greatest_rstd(desc, input, mode);
    const double terms = sqrt((double) (desc->n * desc->h * desc->w));
    switch (t) {
    case Y:
        return fmax(own, weight * rstd * x);
    case DX:
        return fmax(own, weight * rstd * dy * (1.0 + rstd * x));
    case DWEIGHT:
        return fmax(own, dy * (1.0 + rstd * x) * terms);
    case DBIAS:
        return fmax(own, dy * terms);
    default:
        return own;
    }
}

static const char *describe(const image_layer *d, const layer_run *run) {
    static char text[512];
    snprintf(text, sizeof text,
             "%s %lldx%lldx%lldx%lld -> %lldx%lldx%lld, kernel %d stride %d padding %d groups %d relu %d residual %d "
             "bn_groups %d strided %d training %d skip %d; mode %d accumulate %d dx %d in_place %d between %d stale %d",
             moco_layer_kind_of(d->kind)->name, (long long) d->n, (long long) d->c, (long long) d->h, (long long) d->w,
             (long long) d->out_c, (long long) d->out_h, (long long) d->out_w, d->kernel, d->stride, d->padding,
             d->groups, d->relu, d->residual, d->bn_groups, d->bn_strided, d->training, d->skip_input_gradient,
             run->mode, run->accumulate, run->accumulate_dx, run->in_place, run->evaluate_between, run->stale_weights);
    return text;
}

/* Clears dy where a relu's argument is so near 0 that float32 may see the other sign. */
static void avoid_kinks(const image_layer *desc, const layer_run *run, layer_data *data) {
    if (!desc->relu) return;
    image_layer linear = *desc;
    linear.relu = 0;
    linear.training = 0;
    linear.dtype = MOCO_DTYPE_F64;
    layer_data copy = layer_data_copy(desc, data);
    const layer_run forward = {.mode = run->mode == 2 ? 2 : 1};
    run_layer(suite.oracle, &linear, &forward, &copy);
    const double near = 1e-4 * error_scale(&linear, data, &copy, Y, run->mode);
    for (int64_t i = 0; i < data->elements[DY]; ++i) {
        if (fabs(copy.values[Y][i]) < near) data->values[DY][i] = 0.0;
    }
    layer_data_free(&copy);
}

/* Whether a backend may take a convolution for Winograd's algorithm: the oneDNN one does. */
static int32_t may_be_winograd(const image_layer *desc) {
    const int64_t tile = offered_compute_dtype == MOCO_DTYPE_BF16 ? 2 : 4;
    const int64_t tiles = (desc->h + tile - 1) / tile * ((desc->w + tile - 1) / tile);
    return desc->kind == MOCO_LAYER_CONV2D && desc->kernel == 3 && desc->stride == 1 && desc->padding == 1 &&
           desc->groups == 1 && desc->c % 64 == 0 && desc->out_c % 64 == 0 && desc->n * desc->h * desc->w >= desc->c &&
           5 * (tile + 2) * (tile + 2) * tiles <= 4 * (3 * desc->h - 2) * (3 * desc->w - 2);
}

/* In bfloat16 that rounds the factors once more. */
static double winograd_factor(const image_layer *desc) {
    return offered_compute_dtype == MOCO_DTYPE_BF16 && may_be_winograd(desc) ? 2.0 : 1.0;
}

static void compare_tensor(const image_layer *desc, const layer_run *run, const layer_data *input,
                           const layer_data *expected, const layer_data *actual, int t) {
    const double scale = error_scale(desc, input, expected, t, run->mode);
    const double limit = tolerance_of(desc->kind) * winograd_factor(desc) * scale + 1e-37;
    for (int64_t i = 0; i < expected->elements[t]; ++i) {
        const double error = fabs(actual->values[t][i] - expected->values[t][i]);
        if (error <= limit) continue;
        fail_msg("%s[%lld] is %.9g, the reference has %.9g; error %.3g, at most %.3g is allowed; %s",
                 layer_tensor_names[t], (long long) i, actual->values[t][i], expected->values[t][i], error, limit,
                 describe(desc, run));
    }
}

static void check_filled_layer(const image_layer *desc, const layer_run *run, layer_data *input) {
    avoid_kinks(desc, run, input);
    layer_data expected = layer_data_copy(desc, input), actual = layer_data_copy(desc, input),
               threads = layer_data_copy(desc, input);
    image_layer oracle = *desc;
    oracle.dtype = MOCO_DTYPE_F64;
    const layer_run plain = {.mode = run->mode, .accumulate = run->accumulate, .accumulate_dx = run->accumulate_dx};
    run_layer(suite.oracle, &oracle, &plain, &expected);
    const char *name = run_layer(suite.tested, desc, run, &actual);
    run_layer(suite.tested_threads, desc, run, &threads);
    suite.cases[desc->kind]++;
    suite.declined[desc->kind] += strcmp(name, suite.name) != 0;
    for (int t = RUNNING_MEAN; t < LAYER_TENSORS; ++t) {
        if (t == DY || (t >= DX && (run->mode != 0 || !desc->training))) continue;
        compare_tensor(desc, run, input, &expected, &actual, t);
        if ((suite.bits_by_threads == NULL || !suite.bits_by_threads(desc)) &&
            memcmp(actual.values[t], threads.values[t], (size_t) actual.elements[t] * sizeof(double)) != 0) {
            fail_msg("%s has other bits with 3 threads than with 1; %s", layer_tensor_names[t], describe(desc, run));
        }
        if (run->mode == 2 && t <= RUNNING_VAR && greatest(input->values[t], input->elements[t]) > 0.0) {
            assert_memory_equal(actual.values[t], input->values[t], (size_t) actual.elements[t] * sizeof(double));
        }
    }
    layer_data_free(&expected);
    layer_data_free(&actual);
    layer_data_free(&threads);
}

static void check_layer(const image_layer *desc, const layer_run *run, moco_random *random, double x_mean) {
    layer_data input = layer_data_create(desc);
    layer_data_fill(random, &input, x_mean, 1.0);
    check_filled_layer(desc, run, &input);
    layer_data_free(&input);
}

/* All the ways that a layer is used: a training pass of each flavour, the momentum encoder's, evaluation. */
static void check_layer_all_ways(const image_layer *desc, moco_random *random, double x_mean) {
    const int32_t elementwise =
        desc->kind == MOCO_LAYER_RELU || desc->kind == MOCO_LAYER_BATCH_NORM || desc->kind > MOCO_LAYER_REORDER;
    const layer_run plain = {0};
    const layer_run busy = {.accumulate = 1,
                            .accumulate_dx = !elementwise,
                            .in_place = elementwise,
                            .evaluate_between = desc->kind != MOCO_LAYER_L2_NORMALIZE,
                            .stale_weights = 1};
    const layer_run key = {.mode = 1}, evaluate = {.mode = 2};
    check_layer(desc, &plain, random, x_mean);
    check_layer(desc, &busy, random, x_mean);
    image_layer changed = *desc;
    changed.skip_input_gradient = 1;
    check_layer(&changed, &plain, random, x_mean);
    changed.training = 0;
    check_layer(&changed, &key, random, x_mean);
    check_layer(&changed, &evaluate, random, x_mean);
}

static moco_random suite_random(uint64_t test, int64_t seed) {
    moco_random random;
    moco_random_init(&random, (uint64_t) seed, MOCO_RANDOM_TEST, 0, test);
    return random;
}

static int64_t random_between(moco_random *random, int64_t low, int64_t high) {
    return low + (int64_t) moco_random_below(random, (uint64_t) (high - low + 1));
}

#endif
