/* The layer shapes of the conformance suite: fixed odd ones, then random ones. */
#ifndef MOCO_TEST_LAYER_CASES_H
#define MOCO_TEST_LAYER_CASES_H

#include "conformance/layer_check.h"

static image_layer conv_desc(int64_t n, int64_t c, int64_t h, int64_t w, int64_t out_c, int32_t kernel, int32_t stride,
                             int32_t padding, int32_t groups) {
    image_layer desc = layer_desc(MOCO_LAYER_CONV2D, n, c, h, w);
    desc.out_c = out_c;
    desc.groups = groups;
    set_window(&desc, kernel, stride, padding);
    return desc;
}

static void test_convolution(void **state) {
    (void) state;
    const image_layer fixed[] = {
        conv_desc(1, 1, 1, 1, 1, 1, 1, 0, 1),     /* a single product */
        conv_desc(1, 3, 1, 1, 5, 3, 1, 1, 1),     /* only the kernel's middle meets the image */
        conv_desc(3, 3, 9, 7, 5, 3, 2, 1, 1),     /* stride 2 over odd sizes */
        conv_desc(2, 3, 15, 13, 8, 7, 2, 3, 1),   /* the ImageNet stem */
        conv_desc(2, 16, 7, 7, 24, 1, 2, 0, 1),   /* a downsampling shortcut */
        conv_desc(5, 8, 5, 5, 16, 1, 1, 0, 1),    /* pointwise */
        conv_desc(1, 64, 6, 6, 64, 3, 1, 1, 32),  /* ResNeXt */
        conv_desc(2, 64, 5, 5, 128, 3, 2, 1, 32), /* ResNeXt, stride 2 */
        conv_desc(2, 12, 5, 4, 12, 3, 1, 1, 12),  /* depthwise */
        conv_desc(2, 6, 4, 6, 9, 3, 1, 1, 3),     conv_desc(1, 256, 3, 3, 96, 3, 1, 1, 1),  /* many channels */
        conv_desc(1, 512, 2, 2, 300, 1, 1, 0, 1), conv_desc(2, 16, 16, 16, 16, 3, 1, 1, 1), /* CIFAR ResNet */
        conv_desc(1, 2, 5, 5, 3, 5, 1, 0, 1), /* the kernel is the image */
        conv_desc(1, 2, 4, 4, 3, 2, 3, 0, 1), /* inputs that no output reads */
        conv_desc(2, 2, 6, 5, 3, 3, 1, 4, 1), /* padding beyond the kernel */
    };
    for (int64_t seed = 0; seed < suite.seeds; ++seed) {
        moco_random random = suite_random(1, seed);
        for (size_t i = 0; i < sizeof fixed / sizeof *fixed; ++i) check_layer_all_ways(&fixed[i], &random, 0.0);
        for (int i = 0; i < 12; ++i) {
            const int32_t kernel = (int32_t) random_between(&random, 1, 5),
                          groups = (int32_t) random_between(&random, 1, 4);
            const int32_t padding = (int32_t) random_between(&random, 0, kernel - 1);
            const int64_t least = kernel > 2 * padding ? kernel - 2 * padding : 1;
            const image_layer desc =
                conv_desc(random_between(&random, 1, 4), groups * random_between(&random, 1, 9),
                          random_between(&random, least, least + 9), random_between(&random, least, least + 9),
                          groups * random_between(&random, 1, 9), kernel, (int32_t) random_between(&random, 1, 3),
                          padding, groups);
            check_layer_all_ways(&desc, &random, 0.0);
        }
    }
}

static image_layer linear_desc(int64_t n, int64_t c, int64_t out_c, int32_t relu) {
    image_layer desc = layer_desc(MOCO_LAYER_LINEAR, n, c, 1, 1);
    desc.out_c = out_c;
    desc.relu = relu;
    return desc;
}

static void test_linear(void **state) {
    (void) state;
    const image_layer fixed[] = {
        linear_desc(1, 1, 1, 0),  linear_desc(1, 1, 1, 1),      linear_desc(1, 7, 1, 1),  linear_desc(33, 1, 5, 0),
        linear_desc(2, 17, 3, 1), linear_desc(5, 2048, 128, 0), linear_desc(3, 64, 9, 1), linear_desc(65, 31, 33, 1),
    };
    for (int64_t seed = 0; seed < suite.seeds; ++seed) {
        moco_random random = suite_random(2, seed);
        for (size_t i = 0; i < sizeof fixed / sizeof *fixed; ++i) check_layer_all_ways(&fixed[i], &random, 0.0);
        for (int i = 0; i < 12; ++i) {
            const image_layer desc = linear_desc(random_between(&random, 1, 40), random_between(&random, 1, 90),
                                                 random_between(&random, 1, 70), i % 2);
            check_layer_all_ways(&desc, &random, 0.0);
        }
    }
}

static image_layer norm_desc(int64_t n, int64_t c, int64_t h, int64_t w, int32_t groups, int32_t strided, int32_t relu,
                             int32_t residual) {
    image_layer desc = layer_desc(MOCO_LAYER_BATCH_NORM, n, c, h, w);
    desc.bn_groups = groups;
    desc.bn_strided = strided;
    desc.relu = relu;
    desc.residual = residual;
    return desc;
}

static void check_batch_norms(uint64_t test, double x_mean) {
    static const int64_t shapes[][4] = {
        {1, 3, 2, 1}, {16, 5, 1, 1}, {8, 1, 1, 2}, {13, 7, 3, 5}, {9, 16, 4, 4}, {10, 130, 1, 3}, {17, 2, 11, 9},
    };
    static const int32_t groups[] = {1, 2, 3, 8};
    for (int64_t seed = 0; seed < suite.seeds; ++seed) {
        moco_random random = suite_random(test, seed);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
            for (size_t g = 0; g < sizeof groups / sizeof *groups; ++g) {
                const int64_t *s = shapes[i];
                if (s[0] / groups[g] * s[2] * s[3] < 2) continue;
                const int32_t options = (int32_t) random_between(&random, 0, 3);
                for (int32_t strided = 0; strided <= (groups[g] > 1); ++strided) {
                    image_layer desc = norm_desc(s[0], s[1], s[2], s[3], groups[g], strided, options & 1, options >> 1);
                    desc.bn_momentum = i % 2 ? 0.1 : 0.37;
                    check_layer_all_ways(&desc, &random, x_mean);
                }
            }
        }
        for (int32_t options = 0; options < 4; ++options) {
            const image_layer desc = norm_desc(6, 4, 3, 3, 2, 0, options & 1, options >> 1);
            check_layer_all_ways(&desc, &random, x_mean);
        }
    }
}

static void test_batch_norm(void **state) {
    (void) state;
    check_batch_norms(3, 0.0);
}

/* mean^2 is 10^4 times the variance: E[x^2] - E[x]^2 in float32 fails here. */
static void test_batch_norm_far_from_zero(void **state) {
    (void) state;
    check_batch_norms(4, 100.0);
}

static void check_shapes(int32_t kind, uint64_t test, int64_t largest) {
    static const int64_t shapes[][4] = {{1, 1, 1, 1}, {1, 5, 1, 3}, {3, 17, 7, 7}, {2, 2, 9, 33}, {7, 100, 2, 1}};
    for (int64_t seed = 0; seed < suite.seeds; ++seed) {
        moco_random random = suite_random(test, seed);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes + 8; ++i) {
            int64_t s[4];
            for (int d = 0; d < 4; ++d) {
                const int64_t drawn = random_between(&random, 1, largest);
                s[d] = i < sizeof shapes / sizeof *shapes ? shapes[i][d] : drawn;
            }
            const image_layer desc = layer_desc(kind, s[0], s[1], s[2], s[3]);
            check_layer_all_ways(&desc, &random, 0.0);
        }
    }
}

static void test_relu(void **state) {
    (void) state;
    check_shapes(MOCO_LAYER_RELU, 5, 20);
}

static void test_average_pool(void **state) {
    (void) state;
    check_shapes(MOCO_LAYER_AVERAGE_POOL, 6, 20);
}

static void test_max_pool(void **state) {
    (void) state;
    static const int64_t shapes[][7] = {
        /* n, c, h, w, kernel, stride, padding */
        {1, 1, 1, 1, 1, 1, 0}, {1, 1, 1, 1, 3, 2, 1}, {2, 3, 7, 9, 3, 2, 1},  {2, 5, 8, 8, 3, 2, 1},
        {1, 4, 6, 5, 2, 2, 0}, {3, 2, 5, 5, 3, 1, 1}, {2, 17, 4, 4, 4, 4, 0}, {1, 2, 5, 4, 2, 3, 1},
    };
    for (int64_t seed = 0; seed < suite.seeds; ++seed) {
        moco_random random = suite_random(7, seed);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
            const int64_t *s = shapes[i];
            image_layer desc = layer_desc(MOCO_LAYER_MAX_POOL, s[0], s[1], s[2], s[3]);
            set_window(&desc, (int32_t) s[4], (int32_t) s[5], (int32_t) s[6]);
            check_layer_all_ways(&desc, &random, 0.0);
            check_layer_all_ways(&desc, &random, -10.0); /* padding never wins, not even against negative values */
        }
    }
}

static void test_l2_normalize(void **state) {
    (void) state;
    static const int64_t shapes[][2] = {{1, 1}, {1, 128}, {5, 3}, {33, 17}, {64, 128}, {2, 2048}};
    static const double sizes[] = {1.0, 1e-9, 1e4, 1e-20, 1e25, 0.0}; /* 1e-20 and 0 are below the bound of 1e-12 */
    for (int64_t seed = 0; seed < suite.seeds; ++seed) {
        moco_random random = suite_random(8, seed);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
            const image_layer desc = layer_desc(MOCO_LAYER_L2_NORMALIZE, shapes[i][0], shapes[i][1], 1, 1);
            check_layer_all_ways(&desc, &random, 0.0);
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; ++s) {
                const layer_run run = {.mode = 0};
                layer_data input = layer_data_create(&desc);
                layer_data_fill(&random, &input, 0.0, sizes[s]);
                check_filled_layer(&desc, &run, &input);
                layer_data_free(&input);
            }
        }
    }
}

/* Each kind of the table behind REORDER. */
static void test_later_kinds(void **state) {
    (void) state;
    for (int32_t kind = MOCO_LAYER_REORDER + 1; kind < moco_layer_kind_count(); ++kind) {
        static const int64_t rows[][2] = {{1, 1}, {1, 128}, {5, 3}, {33, 17}, {64, 96}, {2, 1030}};
        moco_random random = suite_random(30 + (uint64_t) kind, 0);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
            const image_layer desc = layer_desc(kind, rows[i][0], rows[i][1], 1, 1);
            check_layer_all_ways(&desc, &random, 0.25);
        }
        if (!moco_layer_kind_of(kind)->of_rows) check_shapes(kind, 60 + (uint64_t) kind, 12);
    }
}

/* As PyTorch: a group with one value per channel has no variance to train on. */
static void test_small_groups_refused(void **state) {
    (void) state;
    const image_layer refused[] = {norm_desc(1, 4, 1, 1, 1, 0, 0, 0), norm_desc(3, 4, 1, 1, 2, 0, 0, 0),
                                   norm_desc(3, 4, 1, 1, 2, 1, 0, 0), norm_desc(2, 4, 5, 5, 3, 0, 0, 0)};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
        moco_planned_layer layer;
        assert_int_equal(plan_image_layer(suite.tested, &refused[i], &layer), MOCO_INVALID_ARGUMENT);
    }
}

/* A chain computes float64 somewhere: at the latest in its reference. */
static void test_float64_layers(void **state) {
    (void) state;
    moco_random random = suite_random(9, 0);
    image_layer desc = conv_desc(2, 4, 5, 5, 6, 3, 2, 1, 2);
    desc.dtype = MOCO_DTYPE_F64;
    const layer_run run = {.mode = 0};
    layer_data expected = layer_data_create(&desc);
    layer_data_fill(&random, &expected, 0.0, 1.0);
    layer_data actual = layer_data_copy(&desc, &expected);
    run_layer(suite.oracle, &desc, &run, &expected);
    run_layer(suite.tested, &desc, &run, &actual);
    for (int t = Y; t < LAYER_TENSORS; ++t) {
        for (int64_t i = 0; i < expected.elements[t]; ++i) {
            assert_true(fabs(expected.values[t][i] - actual.values[t][i]) < 1e-13);
        }
    }
    layer_data_free(&expected);
    layer_data_free(&actual);
}

/* Convolutions with half the kernel for padding. */
static void check_same_convolutions(const int64_t shapes[][8], size_t count, moco_random *random) {
    for (size_t i = 0; i < count; ++i) {
        const int64_t *shape = shapes[i];
        image_layer desc = layer_desc(MOCO_LAYER_CONV2D, shape[0], shape[1], shape[2], shape[3]);
        desc.out_c = shape[4];
        desc.groups = (int32_t) shape[7];
        set_window(&desc, (int32_t) shape[5], (int32_t) shape[6], (int32_t) shape[5] / 2);
        check_layer_all_ways(&desc, random, 0.0);
    }
}

/* Whole blocks of 16 channels, where a backend may have a layout of its own. */
static void test_blocked_layers(void **state) {
    (void) state;
    moco_random random = suite_random(20, 0);
    static const int64_t convolutions[][8] = {
        /* n, c, h, w, out_c, kernel, stride, groups */
        {3, 16, 9, 7, 16, 3, 1, 1},   {2, 16, 8, 8, 32, 3, 2, 1},   {2, 64, 5, 5, 48, 1, 1, 1},
        {1, 32, 7, 6, 64, 1, 2, 1},   {2, 64, 1, 1, 64, 3, 1, 1},   {2, 3, 9, 11, 16, 7, 2, 1},
        {2, 3, 8, 8, 32, 3, 1, 1},    {2, 128, 6, 6, 128, 3, 1, 8}, {2, 256, 4, 4, 256, 3, 2, 32},
        {5, 32, 12, 12, 16, 3, 1, 1}, {3, 64, 14, 11, 64, 3, 1, 1}, {1, 64, 1, 259, 64, 3, 1, 1},
    };
    check_same_convolutions(convolutions, sizeof convolutions / sizeof convolutions[0], &random);
    for (int32_t relu = 0; relu <= 1; ++relu) {
        for (int32_t residual = 0; residual <= 1; ++residual) {
            image_layer desc = layer_desc(MOCO_LAYER_BATCH_NORM, 7, 16 * (1 + relu + residual), 5, 3);
            desc.relu = relu;
            desc.residual = residual;
            desc.bn_groups = 1 + 2 * residual;
            desc.bn_strided = relu;
            check_layer_all_ways(&desc, &random, 0.5);
            check_layer_all_ways(&desc, &random, 100.0);
        }
    }
    /* 12 MiB, which are streamed past the cache, and gone through in three parts. */
    image_layer large =
        layer_desc(MOCO_LAYER_BATCH_NORM, offered_compute_dtype == MOCO_DTYPE_BF16 ? 6 : 3, 48, 149, 149);
    large.relu = large.residual = 1;
    const layer_run once = {0};
    check_layer(&large, &once, &random, 0.5);
    image_layer pool = layer_desc(MOCO_LAYER_MAX_POOL, 3, 32, 9, 12);
    set_window(&pool, 3, 2, 1);
    check_layer_all_ways(&pool, &random, 0.0);
    const image_layer average = layer_desc(MOCO_LAYER_AVERAGE_POOL, 3, 48, 7, 5);
    check_layer_all_ways(&average, &random, 0.0);
}

#endif
