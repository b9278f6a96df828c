/* What a backward pass tells of gradients that are final, as a host's communicator would use it: a recorder copies what
 * it is told of at once, and must have the final gradient, bit for bit, in the end. */
#include "support/encoder_fixture.h"

#include <moco/momentum_encoder.h>
#include <moco/sys/encoder_ops.h>

#include "encoder/encoder_internal.h"

#define N   6
#define DIM 8

typedef struct recorder {
    moco_encoder *encoder;
    float **gradients; /* [parameters], NULL: not told of yet */
    int64_t calls;
    int64_t told_from; /* the last range's first parameter */
    int64_t fail_at;   /* call; -1: none */
    int32_t replace;   /* 1: writes a gradient of its own over each that is ready */
    float *not_yet;    /* at the first call: the gradient of the parameter before the range */
    int64_t not_yet_index;
} recorder;

static moco_context *context;
static float *images;
static float *gradient;

static int setup(void **state) {
    (void) state;
    context = make_context(NULL, 1);
    images = hashed_floats(STREAM_IMAGES, 2 * N * 60, 1.0);
    gradient = hashed_floats(STREAM_GRADIENT, N * DIM, 1.0);
    return 0;
}

static int teardown(void **state) {
    (void) state;
    free(images);
    free(gradient);
    moco_context_destroy(context);
    return 0;
}

static moco_parameter_info info_of(const moco_encoder *encoder, int64_t index) {
    moco_parameter_info info = {.struct_size = sizeof info};
    assert_ok(moco_encoder_parameter_info(encoder, index, &info));
    return info;
}

static float *gradient_of(const moco_encoder *encoder, int64_t index) {
    float *values = (float *) malloc((size_t) info_of(encoder, index).elements * sizeof *values);
    assert_ok(moco_encoder_read_gradient(encoder, index, values));
    return values;
}

static int32_t record(int64_t first, int64_t end, void *user) {
    recorder *r = (recorder *) user;
    if (r->calls++ == r->fail_at) return 1;
    assert_true(first < end && end == r->told_from); /* from the end down, without a hole or an overlap */
    r->told_from = first;
    for (int64_t i = first; i < end; ++i) {
        if (info_of(r->encoder, i).kind != MOCO_PARAMETER_LEARNABLE) continue;
        assert_null(r->gradients[i]);
        r->gradients[i] = gradient_of(r->encoder, i);
        if (!r->replace) continue;
        const int64_t elements = info_of(r->encoder, i).elements;
        for (int64_t j = 0; j < elements; ++j) r->gradients[i][j] = (float) (i * 1000 + j);
        assert_ok(moco_encoder_write_gradient(r->encoder, i, r->gradients[i]));
    }
    int64_t before = first - 1;
    while (before >= 0 && info_of(r->encoder, before).kind != MOCO_PARAMETER_LEARNABLE) --before;
    if (r->not_yet == NULL && before >= 0) {
        r->not_yet = gradient_of(r->encoder, before);
        r->not_yet_index = before;
    }
    return 0;
}

static recorder start(moco_encoder *encoder) {
    const int64_t count = moco_encoder_parameter_count(encoder);
    const recorder r = {.encoder = encoder,
                        .gradients = (float **) calloc((size_t) count, sizeof(float *)),
                        .told_from = count,
                        .fail_at = -1};
    return r;
}

static void finish(recorder *r) {
    for (int64_t i = 0; i < moco_encoder_parameter_count(r->encoder); ++i) free(r->gradients[i]);
    free(r->gradients);
    free(r->not_yet);
}

/* Everything was told of, once, and as it is now. */
static void assert_complete(const recorder *r) {
    assert_int_equal(0, r->told_from);
    for (int64_t i = 0; i < moco_encoder_parameter_count(r->encoder); ++i) {
        const moco_parameter_info info = info_of(r->encoder, i);
        if (info.kind != MOCO_PARAMETER_LEARNABLE) continue;
        float *now = gradient_of(r->encoder, i);
        assert_non_null(r->gradients[i]);
        if (memcmp(now, r->gradients[i], (size_t) info.elements * sizeof *now) != 0) {
            fail_msg("the gradient of %s changed after it was said to be ready", info.name);
        }
        free(now);
    }
}

static void ranges_are_final_and_cover_everything_once(void **state) {
    (void) state;
    static const char *const architectures[] = {"cifar_resnet8", "resnet50", "mlp"};
    static const int64_t least_calls[] = {15, 80, 5};
    for (int a = 0; a < 3; ++a) {
        moco_encoder_config config = small_config(architectures[a]);
        config.head = MOCO_HEAD_MLP;
        config.head_hidden_dim = 16;
        moco_encoder *encoder = make_encoder(context, &config);
        int64_t frozen;
        assert_ok(moco_encoder_find_parameter(encoder, "fc.2.weight", &frozen));
        assert_ok(moco_encoder_set_parameter_flags(encoder, frozen, MOCO_PARAMETER_FROZEN));
        for (int round = 0; round < 3; ++round) { /* cleared, summed, and cleared when there are sums */
            if (round == 2) assert_ok(moco_encoder_zero_gradients(encoder));
            recorder r = start(encoder);
            float out[N * DIM];
            assert_ok(moco_encoder_set_gradient_hook(encoder, record, &r));
            assert_ok(moco_encoder_forward(encoder, images, N, 4, 5, out));
            assert_int_equal(0, r.calls);
            assert_ok(moco_encoder_backward(encoder, gradient, N));
            assert_complete(&r);
            assert_true(r.calls >= least_calls[a]);
            /* It is told early: what was not told of was not final. */
            float *now = gradient_of(encoder, r.not_yet_index);
            const size_t bytes = (size_t) info_of(encoder, r.not_yet_index).elements * sizeof *now;
            assert_memory_not_equal(now, r.not_yet, bytes);
            free(now);
            finish(&r);
        }
        moco_encoder_destroy(encoder);
    }
}

/* The caller arms it for the last of two passes, or leaves it out. */
static void of_two_passes_the_last_is_final(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config);
    recorder r = start(encoder);
    float out[N * DIM];
    for (int32_t pass = 0; pass < 2; ++pass) {
        assert_ok(moco_encoder_forward_pass(encoder, pass, images + pass * N * 60, N, 4, 5, out));
    }
    assert_ok(moco_encoder_backward_pass(encoder, 0, gradient, N));
    assert_ok(moco_encoder_set_gradient_hook(encoder, record, &r));
    assert_ok(moco_encoder_backward_pass(encoder, 1, gradient, N));
    assert_complete(&r);
    const int64_t calls = r.calls;
    assert_ok(moco_encoder_set_gradient_hook(encoder, NULL, NULL));
    assert_ok(moco_encoder_forward(encoder, images, N, 4, 5, out));
    assert_ok(moco_encoder_backward(encoder, gradient, N));
    assert_int_equal(calls, r.calls);
    finish(&r);
    moco_encoder_destroy(encoder);
}

static void gradients_can_be_replaced_as_they_come(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config);
    recorder r = start(encoder);
    float out[N * DIM];
    r.replace = 1;
    assert_ok(moco_encoder_set_gradient_hook(encoder, record, &r));
    assert_ok(moco_encoder_forward(encoder, images, N, 4, 5, out));
    assert_ok(moco_encoder_backward(encoder, gradient, N));
    assert_complete(&r); /* against what was written */
    finish(&r);
    /* Outside of a hook, and while the others count as zero. */
    int64_t index, count, nonzero = 0;
    assert_ok(moco_encoder_zero_gradients(encoder));
    assert_ok(moco_encoder_find_parameter(encoder, "fc.bias", &index));
    assert_ok(moco_encoder_write_gradient(encoder, index, gradient));
    float *all = read_all(encoder, 1, &count);
    for (int64_t i = 0; i < count; ++i) nonzero += all[i] != 0.0F;
    assert_int_equal(DIM, nonzero);
    assert_memory_equal(gradient, all + count - DIM, DIM * sizeof *all); /* fc.bias is the last */
    free(all);
    assert_ok(moco_encoder_set_parameter_flags(encoder, index, MOCO_PARAMETER_FROZEN));
    assert_status(MOCO_INVALID_STATE, moco_encoder_write_gradient(encoder, index, gradient));
    assert_ok(moco_encoder_find_parameter(encoder, "bn1.running_var", &index));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_write_gradient(encoder, index, gradient));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_write_gradient(encoder, -1, gradient));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_write_gradient(encoder, 0, NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_write_gradient(NULL, 0, gradient));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_set_gradient_hook(NULL, record, &r));
    moco_encoder_destroy(encoder);
}

static void a_hook_may_stop_the_pass(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config), *twin = make_encoder(context, &config);
    for (int64_t fail_at = 0; fail_at < 9; fail_at += 4) {
        recorder r = start(encoder);
        float out[N * DIM];
        int64_t count;
        r.fail_at = fail_at;
        assert_ok(moco_encoder_set_gradient_hook(encoder, record, &r));
        assert_ok(moco_encoder_forward(encoder, images, N, 4, 5, out));
        assert_status(MOCO_CALLBACK, moco_encoder_backward(encoder, gradient, N));
        assert_int_equal(fail_at + 1, r.calls);
        assert_status(MOCO_INVALID_STATE, moco_encoder_backward(encoder, gradient, N));
        finish(&r);
        /* The next step is as if nothing had been. */
        moco_encoder *const nets[2] = {encoder, twin};
        assert_ok(moco_encoder_set_gradient_hook(encoder, NULL, NULL));
        for (int i = 0; i < 2; ++i) {
            assert_ok(moco_encoder_zero_gradients(nets[i]));
            assert_ok(moco_encoder_forward(nets[i], images, N, 4, 5, out));
            assert_ok(moco_encoder_backward(nets[i], gradient, N));
        }
        float *ours = read_all(encoder, 1, &count), *theirs = read_all(twin, 1, &count);
        assert_memory_equal(theirs, ours, (size_t) count * sizeof *ours);
        free(ours), free(theirs);
    }
    moco_encoder_destroy(encoder);
    moco_encoder_destroy(twin);
}

/* The key encoder, another handle, borrows memory that the backward pass is at work in. */
static int32_t evaluate_key(int64_t first, int64_t end, void *user) {
    (void) first, (void) end;
    float out[N * DIM];
    return moco_encoder_evaluate((moco_encoder *) user, images, N, 4, 5, out) != MOCO_OK;
}

static void another_encoder_may_run_inside(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config), *twin = make_encoder(context, &config);
    moco_momentum_encoder *momentum_encoder = NULL;
    float out[N * DIM];
    int64_t count;
    assert_ok(moco_momentum_encoder_create(&momentum_encoder, encoder, NULL));
    moco_encoder *key = moco_momentum_encoder_key_encoder(momentum_encoder);
    assert_ok(moco_encoder_set_gradient_hook(encoder, evaluate_key, key));
    assert_ok(moco_encoder_forward(encoder, images, N, 4, 5, out));
    assert_ok(moco_encoder_backward(encoder, gradient, N));
    assert_ok(moco_encoder_forward(twin, images, N, 4, 5, out));
    assert_ok(moco_encoder_backward(twin, gradient, N));
    float *ours = read_all(encoder, 1, &count), *theirs = read_all(twin, 1, &count);
    assert_memory_equal(theirs, ours, (size_t) count * sizeof *ours);
    free(ours), free(theirs);
    moco_momentum_encoder_destroy(momentum_encoder);
    moco_encoder_destroy(encoder);
    moco_encoder_destroy(twin);
}

/* --- A caller's own network: y[i] = scale * the first DIM pixels of image i --- */

static float scale[1] = {2.0F};
static float d_scale[1];
static float kept[N * DIM];

static int32_t scale_forward(void *self, int32_t mode, const float *x, int64_t n, int64_t h, int64_t w, float *y) {
    (void) self, (void) mode;
    for (int64_t i = 0; i < n * DIM; ++i) kept[i] = x[i / DIM * 3 * h * w + i % DIM];
    for (int64_t i = 0; i < n * DIM; ++i) y[i] = scale[0] * kept[i];
    return 0;
}

static int32_t scale_backward(void *self, const float *dy, int64_t n) {
    (void) self;
    for (int64_t i = 0; i < n * DIM; ++i) d_scale[0] += dy[i] * kept[i];
    return 0;
}

static int64_t scale_count(void *self) {
    (void) self;
    return 1;
}

static int32_t scale_parameter(void *self, int64_t index, moco_parameter_span *out) {
    (void) self, (void) index;
    const moco_parameter_span span = {"scale", scale, d_scale, MOCO_PARAMETER_LEARNABLE, 0, {0}};
    *out = span;
    return 0;
}

static int32_t scale_clone(void *self, void **copy) {
    (void) self, (void) copy;
    return 1;
}

static void scale_destroy(void *self) {
    (void) self;
}

static void a_custom_network_has_one_range(void **state) {
    (void) state;
    const moco_encoder_ops ops = {.struct_size = sizeof ops,
                                  .abi_version = MOCO_ENCODER_OPS_VERSION,
                                  .forward = scale_forward,
                                  .backward = scale_backward,
                                  .parameter_count = scale_count,
                                  .parameter = scale_parameter,
                                  .clone = scale_clone,
                                  .destroy = scale_destroy};
    moco_encoder_custom_config config;
    moco_encoder *encoder = NULL;
    float out[N * DIM];
    assert_ok(moco_encoder_custom_config_init(&config, sizeof config));
    config.embedding_dim = DIM;
    config.normalize = 0;
    assert_ok(moco_encoder_create_custom(&encoder, context, &ops, scale, &config));
    for (int64_t fail_at = -1; fail_at < 1; ++fail_at) {
        recorder r = start(encoder);
        r.fail_at = fail_at;
        assert_ok(moco_encoder_set_gradient_hook(encoder, record, &r));
        assert_ok(moco_encoder_forward(encoder, images, N, 4, 5, out));
        assert_int_equal(fail_at < 0 ? MOCO_OK : MOCO_CALLBACK, moco_encoder_backward(encoder, gradient, N));
        assert_int_equal(1, r.calls);
        if (fail_at < 0) assert_complete(&r);
        finish(&r);
    }
    moco_encoder_destroy(encoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_final_and_cover_everything_once),
        cmocka_unit_test(of_two_passes_the_last_is_final),
        cmocka_unit_test(gradients_can_be_replaced_as_they_come),
        cmocka_unit_test(a_hook_may_stop_the_pass),
        cmocka_unit_test(another_encoder_may_run_inside),
        cmocka_unit_test(a_custom_network_has_one_range),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
