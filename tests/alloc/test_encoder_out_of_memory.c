/* Each allocation of an encoder's life failed once, in turn: OUT_OF_MEMORY every time, nothing leaked, nothing half
 * changed, and the same calls succeed afterwards. */
#include "support/encoder_fixture.h"

#include <moco/momentum_encoder.h>

#define N   4
#define DIM 8

typedef struct counter {
    int64_t calls;
    int64_t fail_at; /* 0-based; -1: never */
    int64_t alive;
} counter;

static void *counting_allocate(uint64_t size, uint64_t alignment, void *user) {
    counter *count = (counter *) user;
    if (count->calls++ == count->fail_at) return NULL;
    void *memory = aligned_alloc((size_t) alignment, (size_t) size);
    if (memory != NULL) count->alive++;
    return memory;
}

static void counting_deallocate(void *memory, void *user) {
    ((counter *) user)->alive--;
    free(memory);
}

static float images[N * 3 * 4 * 5];
static float gradient[N * DIM];

static moco_context *counted_context(counter *count) {
    moco_context_config config;
    moco_context *context = NULL;
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.threads = 1;
    config.allocate = counting_allocate;
    config.deallocate = counting_deallocate;
    config.allocator_user = count;
    count->fail_at = -1;
    assert_ok(moco_context_create(&context, &config));
    return context;
}

static moco_status whole_life(moco_context *context, const moco_encoder_config *config) {
    moco_encoder *encoder = NULL;
    moco_momentum_encoder *f_k = NULL;
    float q[N * DIM], k[N * DIM];
    moco_status status = moco_encoder_create(&encoder, context, config);
    if (status != MOCO_OK) assert_null(encoder);
    if (status == MOCO_OK) status = moco_momentum_encoder_create(&f_k, encoder, NULL);
    if (status == MOCO_OK) status = moco_encoder_forward(encoder, images, N, 4, 5, q);
    if (status == MOCO_OK) status = moco_encoder_forward_pass(encoder, 1, images, N, 4, 5, q);
    if (status == MOCO_OK) status = moco_momentum_encoder_update(f_k);
    if (status == MOCO_OK) status = moco_momentum_encoder_encode(f_k, images, N, 4, 5, k);
    if (status == MOCO_OK) status = moco_encoder_evaluate(encoder, images, N - 1, 4, 5, k);
    if (status == MOCO_OK) status = moco_encoder_backward(encoder, gradient, N);
    if (status == MOCO_OK) status = moco_encoder_backward_pass(encoder, 1, gradient, N);
    moco_momentum_encoder_destroy(f_k);
    moco_encoder_destroy(encoder);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void) state;
    static const char *const architectures[] = {"cifar_resnet8", "mlp"};
    for (int a = 0; a < 2; ++a) {
        moco_encoder_config config = small_config(architectures[a]);
        config.bn_groups = 2;
        counter count = {0};
        moco_context *context = counted_context(&count);
        const int64_t base = count.alive;
        count.calls = 0;
        assert_ok(whole_life(context, &config));
        const int64_t calls = count.calls;
        assert_true(calls > 20);
        for (int64_t i = 0; i < calls; ++i) {
            count.calls = 0;
            count.fail_at = i;
            const moco_status status = whole_life(context, &config);
            if (status != MOCO_OUT_OF_MEMORY)
                fail_msg("allocation %d of %s: status %d", (int) i, config.architecture, status);
            assert_int_equal(base, count.alive);
        }
        count.fail_at = -1;
        assert_ok(whole_life(context, &config));
        moco_context_destroy(context);
        assert_int_equal(0, count.alive);
    }
}

/* A forward of a new shape that finds no memory leaves the pending backward and all parameters as they were. */
static void a_failed_forward_changes_nothing(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    counter count = {0};
    moco_context *context = counted_context(&count);
    moco_encoder *encoder = make_encoder(context, &config), *twin = make_encoder(context, &config);
    float out[N * DIM];
    int64_t elements;
    assert_ok(moco_encoder_forward(encoder, images, 2, 4, 5, out));
    assert_ok(moco_encoder_forward(twin, images, 2, 4, 5, out));
    float *before = read_all(encoder, 0, &elements);
    int64_t failures = 0;
    for (;; ++failures) {
        count.calls = 0;
        count.fail_at = failures;
        const moco_status status = moco_encoder_forward(encoder, images, N, 4, 5, out);
        count.fail_at = -1;
        if (status == MOCO_OK) break;
        assert_int_equal(MOCO_OUT_OF_MEMORY, status);
        float *after = read_all(encoder, 0, &elements);
        assert_memory_equal(before, after, (size_t) elements * sizeof *after);
        assert_int_equal(1, moco_encoder_batches_tracked(encoder));
        free(after);
        if (failures != 5) continue;
        /* Here, in the middle, the backward pass goes through; later failures find none pending. */
        assert_ok(moco_encoder_backward(encoder, gradient, 2));
        assert_ok(moco_encoder_backward(twin, gradient, 2));
        float *ours = read_all(encoder, 1, &elements), *theirs = read_all(twin, 1, &elements);
        assert_memory_equal(theirs, ours, (size_t) elements * sizeof *ours);
        free(ours), free(theirs);
    }
    assert_true(failures > 10);
    free(before);
    moco_encoder_destroy(encoder);
    moco_encoder_destroy(twin);
    moco_context_destroy(context);
    assert_int_equal(0, count.alive);
}

/* Pass 1 takes memory at its first forward, once. Where there is none, pass 0 and an earlier forward of pass 1 stay. */
static void a_failed_second_pass_leaves_the_first(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    counter count = {0};
    moco_context *context = counted_context(&count);
    moco_encoder *encoder = make_encoder(context, &config), *twin = make_encoder(context, &config);
    float out[N * DIM];
    int64_t elements;
    for (int i = 0; i < 2; ++i) assert_ok(moco_encoder_forward(i == 0 ? encoder : twin, images, N, 4, 5, out));
    const int64_t with_one_pass = count.alive;
    int64_t failures = 0;
    for (moco_status status = MOCO_OUT_OF_MEMORY; status != MOCO_OK; ++failures) {
        count.calls = 0;
        count.fail_at = failures;
        status = moco_encoder_forward_pass(encoder, 1, images, N, 4, 5, out);
        count.fail_at = -1;
        assert_true(status == MOCO_OK || status == MOCO_OUT_OF_MEMORY);
    }
    assert_true(failures > 3);
    /* The workspace, its buffer and the buffer's memory; the plan for this shape there is already. */
    assert_int_equal(with_one_pass + 3, count.alive);
    assert_ok(moco_encoder_forward_pass(encoder, 1, images, N, 4, 5, out));
    assert_int_equal(with_one_pass + 3, count.alive);
    count.calls = 0;
    count.fail_at = 0; /* another shape, whose plan finds no memory */
    assert_status(MOCO_OUT_OF_MEMORY, moco_encoder_forward_pass(encoder, 1, images, 2, 4, 5, out));
    count.fail_at = -1;

    assert_ok(moco_encoder_backward(encoder, gradient, N));
    assert_ok(moco_encoder_backward_pass(encoder, 1, gradient, N));
    assert_ok(moco_encoder_backward(twin, gradient, N));
    assert_ok(moco_encoder_forward(twin, images, N, 4, 5, out));
    assert_ok(moco_encoder_backward(twin, gradient, N));
    float *ours = read_all(encoder, 1, &elements), *theirs = read_all(twin, 1, &elements);
    assert_memory_equal(theirs, ours, (size_t) elements * sizeof *ours);
    free(ours), free(theirs);
    moco_encoder_destroy(encoder);
    moco_encoder_destroy(twin);
    moco_context_destroy(context);
    assert_int_equal(0, count.alive);
}

int main(void) {
    for (int64_t i = 0; i < N * 60; ++i) images[i] = (float) hashed(STREAM_IMAGES, i);
    for (int64_t i = 0; i < N * DIM; ++i) gradient[i] = (float) hashed(STREAM_GRADIENT, i);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_failed_forward_changes_nothing),
        cmocka_unit_test(a_failed_second_pass_leaves_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
