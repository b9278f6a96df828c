/* The direct convolutions of the blocked layouts, pass by pass and with each of the kernels that this processor runs,
 * against sums in double over plain loops. Whole networks use them through the backend's list, where other ways come
 * first; here nothing does.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/cpu/convolution/convolution_list.h"
#include "core/context_internal.h"
#include "support/passive_threads.h"

#define TOLERANCE 2e-5 /* of the largest value of the result */

/* Channels are in blocks (of a group); an image has so many of its own. */
typedef struct convolution_case {
    int64_t n, blocks, h, w, out_blocks;
    int32_t kernel, stride, padding, groups;
    int64_t image_channels;
    int64_t group_channels; /* in and out, where they are no whole block */
} convolution_case;

/* clang-format off */
static const convolution_case shapes[] = {
    {2, 4, 6, 9, 3, 1, 1, 0, 1, 0, 0},      /* 1 x 1, an odd number of blocks of results */
    {1, 2, 29, 15, 4, 1, 1, 0, 1, 0, 0},    /* several units a sample */
    {9, 2, 3, 2, 4, 1, 1, 0, 1, 0, 0},      /* several samples a unit, the last with fewer */
    {1, 40, 15, 14, 2, 1, 1, 0, 1, 0, 0},   /* several chunks of blocks */
    {2, 1, 110, 115, 16, 1, 1, 0, 1, 0, 0}, /* results past the cache */
    {2, 2, 8, 7, 4, 1, 2, 0, 1, 0, 0},      /* 1 x 1 with a stride: three phases of four without a gradient */
    {2, 1, 7, 7, 2, 1, 3, 0, 1, 0, 0},
    {2, 1, 5, 6, 1, 1, 1, 1, 1, 0, 0},      /* 1 x 1 with padding */
    {2, 1, 9, 8, 2, 3, 1, 1, 1, 0, 0},
    {2, 3, 14, 14, 2, 3, 1, 1, 1, 0, 0},
    {3, 2, 4, 4, 4, 3, 1, 1, 1, 0, 0},      /* rows so short that four blocks are made at once */
    {1, 20, 30, 9, 1, 3, 1, 1, 1, 0, 0},    /* chunks with a window */
    {2, 2, 11, 8, 3, 3, 2, 1, 1, 0, 0},
    {5, 1, 8, 8, 2, 3, 2, 1, 1, 0, 0},
    {2, 1, 9, 13, 1, 5, 3, 2, 1, 0, 0},
    {1, 1, 12, 10, 2, 7, 2, 3, 1, 0, 0},
    {1, 1, 10, 10, 1, 3, 4, 0, 1, 0, 0},    /* a stride past the window */
    {1, 1, 6, 5, 1, 2, 2, 3, 1, 0, 0},      /* results that see only padding */
    {2, 1, 9, 7, 1, 3, 1, 1, 3, 0, 0},      /* groups */
    {2, 2, 8, 8, 4, 3, 2, 1, 2, 0, 0},
    {2, 0, 9, 7, 0, 3, 1, 1, 8, 0, 4},      /* groups that share a block */
    {1, 0, 12, 11, 0, 3, 2, 1, 16, 0, 2},
    {2, 0, 5, 6, 0, 1, 1, 0, 48, 0, 1},
    {3, 0, 17, 13, 2, 3, 1, 1, 1, 3, 0},    /* images */
    {2, 0, 30, 33, 4, 7, 2, 3, 1, 3, 0},
    {1, 0, 9, 12, 1, 1, 1, 0, 1, 1, 0},
    {1, 0, 8, 8, 1, 8, 8, 0, 1, 2, 0},
};
/* clang-format on */
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* --- Tensors --- */

static moco_context *context;

typedef struct values {
    int64_t count;
    float *of;
} values;

static values make(int64_t count) {
    const values made = {count, (float *) moco_allocate(context, (size_t) count * sizeof(float))};
    assert_non_null(made.of);
    return made;
}

static values make_random(int64_t count, uint64_t seed) {
    const values made = make(count);
    uint64_t state = seed * 2654435761u + 88172645463325252u;
    for (int64_t i = 0; i < count; ++i) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        made.of[i] = (float) ((double) (state >> 11) / 9007199254740992.0 - 0.4);
    }
    return made;
}

static void fill(values target, float value) {
    for (int64_t i = 0; i < target.count; ++i) target.of[i] = value;
}

/* n x c x h x w into n x (c / block) x h x w x block, and back. */
static values to_blocks(values plain, int64_t planes, int64_t area, int64_t block) {
    const values made = make(plain.count);
    for (int64_t plane = 0; plane < planes; ++plane)
        for (int64_t i = 0; i < area; ++i) {
            made.of[(plane / block * area + i) * block + plane % block] = plain.of[plane * area + i];
        }
    return made;
}

static values from_blocks(values blocked, int64_t planes, int64_t area, int64_t block) {
    const values made = make(blocked.count);
    for (int64_t plane = 0; plane < planes; ++plane)
        for (int64_t i = 0; i < area; ++i) {
            made.of[plane * area + i] = blocked.of[(plane / block * area + i) * block + plane % block];
        }
    return made;
}

/* --- The oracle --- */

typedef struct sums {
    double *of;
    int64_t count;
} sums;

static sums make_sums(int64_t count) {
    const sums made = {(double *) calloc((size_t) count, sizeof(double)), count};
    assert_non_null(made.of);
    return made;
}

/* All three passes at once: every product of an x, a weight and, for the gradients, a dy. */
static void convolve(const image_layer *desc, values x, values weight, values dy, sums y, sums dx, sums dweight) {
    const int64_t k = desc->kernel, in = desc->c / desc->groups, out = desc->out_c / desc->groups;
    for (int64_t sample = 0; sample < desc->n; ++sample)
        for (int64_t o = 0; o < desc->out_c; ++o)
            for (int64_t r = 0; r < desc->out_h; ++r)
                for (int64_t q = 0; q < desc->out_w; ++q) {
                    const int64_t at = ((sample * desc->out_c + o) * desc->out_h + r) * desc->out_w + q;
                    for (int64_t c = 0; c < in; ++c)
                        for (int64_t t = 0; t < k * k; ++t) {
                            const int64_t i = r * desc->stride + t / k - desc->padding;
                            const int64_t j = q * desc->stride + t % k - desc->padding;
                            if (i < 0 || i >= desc->h || j < 0 || j >= desc->w) continue;
                            const int64_t from = ((sample * desc->c + o / out * in + c) * desc->h + i) * desc->w + j;
                            const int64_t w = (o * in + c) * k * k + t;
                            y.of[at] += (double) x.of[from] * (double) weight.of[w];
                            dx.of[from] += (double) dy.of[at] * (double) weight.of[w];
                            dweight.of[w] += (double) dy.of[at] * (double) x.of[from];
                        }
                }
}

/* `base` is what was there before and has been added to. */
static void check(const char *what, const image_layer *desc, sums wanted, values got, float base) {
    double largest = 0.0, worst = 0.0;
    for (int64_t i = 0; i < got.count; ++i) {
        const double error = fabs((double) got.of[i] - (double) base - wanted.of[i]);
        largest = fmax(largest, fabs(wanted.of[i]) + fabs((double) base));
        worst = isnan(error) ? INFINITY : fmax(worst, error);
    }
    if (worst > TOLERANCE * largest) {
        fail_msg("%s of %lld x %lld x %lld x %lld to %lld, kernel %d, stride %d, padding %d, groups %d: error %g of %g",
                 what, (long long) desc->n, (long long) desc->c, (long long) desc->h, (long long) desc->w,
                 (long long) desc->out_c, desc->kernel, desc->stride, desc->padding, desc->groups, worst, largest);
    }
}

/* --- Running a pass --- */

static moco_tensor tensor_of(cpu_backend *backend, values of) {
    moco_tensor tensor = {.dtype = MOCO_DTYPE_F32, .rank = 1, .dims = {of.count}};
    assert_int_equal(moco_host_buffer_wrap(backend, of.of, (uint64_t) of.count * sizeof(float), &tensor.buffer),
                     MOCO_OK);
    return tensor;
}

static void run_pass(cpu_backend *backend, const cpu_convolution *way, const image_layer *desc, moco_layer_args *args) {
    void *plan = NULL;
    cpu_convolution_info info = {0};
    assert_true(way->supports(backend, desc));
    assert_int_equal(way->plan(backend, desc, &plan, &info), MOCO_OK);
    const values scratch = make((int64_t) (info.scratch_bytes / sizeof(float)) + 16);
    fill(scratch, NAN);
    args->scratch = tensor_of(backend, scratch);
    assert_int_equal(way->run(backend, desc, plan, args), MOCO_OK);
    for (int64_t i = scratch.count - 16; i < scratch.count; ++i) assert_true(isnan(scratch.of[i]));
    moco_host_buffer_destroy(backend, args->scratch.buffer);
    moco_deallocate(context, scratch.of);
    way->release(backend, plan);
}

static void check_shape(cpu_backend *backend, const convolution_case *shape, uint64_t seed) {
    const int64_t block = backend->f32.block;
    image_layer desc = {
        .kind = MOCO_LAYER_CONV2D,
        .training = 1,
        .n = shape->n,
        .c = shape->image_channels > 0 ? shape->image_channels : shape->blocks * block * shape->groups,
        .h = shape->h,
        .w = shape->w,
        .out_c = shape->out_blocks * block * shape->groups,
        .kernel = shape->kernel,
        .stride = shape->stride,
        .padding = shape->padding,
        .groups = shape->groups,
        .input_layout = shape->image_channels > 0 ? MOCO_LAYOUT_PLAIN : backend->f32.layout,
    };
    if (shape->group_channels > 0) desc.c = desc.out_c = shape->group_channels * shape->groups;
    desc.out_h = (desc.h + 2 * desc.padding - desc.kernel) / desc.stride + 1;
    desc.out_w = (desc.w + 2 * desc.padding - desc.kernel) / desc.stride + 1;
    const int32_t image = shape->image_channels > 0;
    const int64_t area = desc.h * desc.w, out_area = desc.out_h * desc.out_w;
    const values x = make_random(desc.n * desc.c * area, 3 * seed),
                 dy = make_random(desc.n * desc.out_c * out_area, 3 * seed + 1);
    const values weight = make_random(desc.out_c * desc.c / desc.groups * desc.kernel * desc.kernel, 3 * seed + 2);
    const sums y_sum = make_sums(dy.count), dx_sum = make_sums(x.count), dweight_sum = make_sums(weight.count);
    convolve(&desc, x, weight, dy, y_sum, dx_sum, dweight_sum);

    const values x_in = image ? x : to_blocks(x, desc.n * desc.c, area, block);
    const values dy_in = to_blocks(dy, desc.n * desc.out_c, out_area, block);
    const values y = make(dy.count), dx = make(x.count), dweight = make(weight.count);
    moco_layer_args args;
    memset(&args, 0, sizeof args);
    args.inputs[MOCO_INPUT] = tensor_of(backend, x_in);
    args.y = tensor_of(backend, y);
    args.dy = tensor_of(backend, dy_in);
    args.parameters[MOCO_WEIGHT] = tensor_of(backend, weight);
    args.d_inputs[MOCO_INPUT] = tensor_of(backend, dx);
    args.d_parameters[MOCO_WEIGHT] = tensor_of(backend, dweight);

    fill(y, NAN);
    run_pass(backend, &moco_direct_forward, &desc, &args);
    const values y_plain = from_blocks(y, desc.n * desc.out_c, out_area, block);
    check("forward", &desc, y_sum, y_plain, 0.0f);
    moco_deallocate(context, y_plain.of);
    for (int32_t adds = 0; adds < 2; ++adds) {
        const float base = adds ? 0.75f : 0.0f;
        args.accumulate = adds;
        args.accumulate_inputs = adds ? 1 << MOCO_INPUT : 0;
        fill(dweight, adds ? base : NAN);
        run_pass(backend, &moco_direct_weight_gradient, &desc, &args);
        check(adds ? "added gradient of the weights" : "gradient of the weights", &desc, dweight_sum, dweight, base);
        if (image) {
            assert_false(moco_direct_input_gradient.supports(backend, &desc));
            continue;
        }
        fill(dx, adds ? base : NAN);
        run_pass(backend, &moco_direct_input_gradient, &desc, &args);
        const values dx_plain = from_blocks(dx, desc.n * desc.c, area, block);
        check(adds ? "added gradient of the input" : "gradient of the input", &desc, dx_sum, dx_plain, base);
        moco_deallocate(context, dx_plain.of);
    }
    moco_host_buffer_destroy(backend, args.inputs[MOCO_INPUT].buffer);
    moco_host_buffer_destroy(backend, args.y.buffer);
    moco_host_buffer_destroy(backend, args.dy.buffer);
    moco_host_buffer_destroy(backend, args.parameters[MOCO_WEIGHT].buffer);
    moco_host_buffer_destroy(backend, args.d_inputs[MOCO_INPUT].buffer);
    moco_host_buffer_destroy(backend, args.d_parameters[MOCO_WEIGHT].buffer);
    if (!image) moco_deallocate(context, x_in.of);
    const values all[] = {x, dy, weight, dy_in, y, dx, dweight};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) moco_deallocate(context, all[i].of);
    free(y_sum.of);
    free(dx_sum.of);
    free(dweight_sum.of);
}

static void check_all(int32_t threads) {
    moco_context_config config;
    moco_context_config_init(&config, sizeof config);
    config.threads = threads;
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    for (const direct_kernels *const *kernels = moco_cpu_direct_kernels(); *kernels != NULL; ++kernels) {
        cpu_backend backend;
        memset(&backend, 0, sizeof backend);
        backend.host.context = context;
        backend.f32.block = (*kernels)->block;
        backend.f32.layout = (*kernels)->block == 16 ? CPU_LAYOUT_BLOCKED_16 : CPU_LAYOUT_BLOCKED_8;
        backend.f32.dtype = MOCO_DTYPE_F32;
        backend.f32.direct = *kernels;
        for (uint64_t i = 0; i < SHAPES; ++i) check_shape(&backend, &shapes[i], i + 1);
    }
    moco_context_destroy(context);
}

static void test_one_thread(void **state) {
    (void) state;
    check_all(1);
}

static void test_threads(void **state) {
    (void) state;
    check_all(3);
}

int main(int argc, char **argv) {
    (void) argc;
    let_waiting_threads_sleep(argv);
    if (moco_cpu_direct_kernels()[0] == NULL) {
        puts("skipped: this processor has no registers for a block");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
