/* A host's own network through <moco/sys/encoder_ops.h>: y = x W, with a counter as its buffer. Small enough to know
 * all results in closed form. */
#include "support/encoder_fixture.h"

#include <moco/momentum_encoder.h>
#include <moco/sys/encoder_ops.h>

#include "backend/backend_chain.h"
#include "encoder/encoder_internal.h"
#include "optimizer/optimizer_internal.h"

#define IN  12 /* 3 channels of 2 x 2 */
#define DIM 5
#define N   4

typedef struct linear_net {
    float weight[IN * DIM];
    float gradient[IN * DIM];
    float steps; /* a buffer: training forwards */
    float x[MOCO_ENCODER_PASSES][N * IN];
    int32_t spoil_steps; /* a training forward leaves the buffer not a number */
    int32_t fail_forward, fail_backward, fail_clone, fail_parameter;
    int32_t bad_name;
} linear_net;

static int alive; /* networks that were not destroyed */

static int32_t net_forward(void *self, int32_t mode, const float *images, int64_t n, int64_t h, int64_t w, float *y) {
    linear_net *net = (linear_net *) self;
    if (net->fail_forward || n > N || h * w != 4) return 1;
    if (mode == MOCO_MODE_TRAIN) memcpy(net->x[0], images, (size_t) (n * IN) * sizeof *images);
    if (mode != MOCO_MODE_EVALUATE) net->steps = net->spoil_steps ? NAN : net->steps + 1.0F;
    for (int64_t i = 0; i < n * DIM; ++i) {
        y[i] = 0.0F;
        for (int64_t c = 0; c < IN; ++c) y[i] += images[i / DIM * IN + c] * net->weight[c * DIM + i % DIM];
    }
    return 0;
}

static int32_t net_backward_pass(void *self, int32_t pass, const float *dy, int64_t n) {
    linear_net *net = (linear_net *) self;
    if (net->fail_backward) return 1;
    for (int64_t i = 0; i < n * DIM; ++i) {
        for (int64_t c = 0; c < IN; ++c) net->gradient[c * DIM + i % DIM] += net->x[pass][i / DIM * IN + c] * dy[i];
    }
    return 0;
}

static int32_t net_backward(void *self, const float *dy, int64_t n) {
    return net_backward_pass(self, 0, dy, n);
}

static int32_t net_forward_pass(void *self, int32_t pass, const float *images, int64_t n, int64_t h, int64_t w,
                                float *y) {
    linear_net *net = (linear_net *) self;
    if (net_forward(self, MOCO_MODE_TRAIN_KEY, images, n, h, w, y) != 0) return 1;
    memcpy(net->x[pass], images, (size_t) (n * IN) * sizeof *images);
    return 0;
}

static int64_t net_parameter_count(void *self) {
    (void) self;
    return 2;
}

static int32_t net_parameter(void *self, int64_t index, moco_parameter_span *out) {
    linear_net *net = (linear_net *) self;
    if (net->fail_parameter) return 1;
    const moco_parameter_span weight = {"weight", net->weight, net->gradient, MOCO_PARAMETER_LEARNABLE, 2, {IN, DIM}};
    const moco_parameter_span steps = {
        net->bad_name ? "weight" : "steps", &net->steps, NULL, MOCO_PARAMETER_BUFFER, 0, {0}};
    *out = index == 0 ? weight : steps;
    return 0;
}

static linear_net *make_net(void) {
    linear_net *net = (linear_net *) calloc(1, sizeof *net);
    for (int64_t i = 0; i < IN * DIM; ++i) net->weight[i] = (float) hashed(5, i);
    alive++;
    return net;
}

static int32_t net_clone(void *self, void **copy) {
    const linear_net *net = (const linear_net *) self;
    if (net->fail_clone) return 1;
    linear_net *cloned = make_net();
    memcpy(cloned->weight, net->weight, sizeof net->weight);
    cloned->steps = net->steps;
    *copy = cloned;
    return 0;
}

static void net_destroy(void *self) {
    alive--;
    free(self);
}

static int32_t net_features(void *self, const float *images, int64_t n, int64_t h, int64_t w, float *features) {
    (void) self;
    memcpy(features, images, (size_t) (n * 3 * h * w) * sizeof *images);
    return 0;
}

static const moco_encoder_ops net_ops = {
    .struct_size = sizeof net_ops,
    .abi_version = MOCO_ENCODER_OPS_VERSION,
    .forward = net_forward,
    .backward = net_backward,
    .parameter_count = net_parameter_count,
    .parameter = net_parameter,
    .clone = net_clone,
    .destroy = net_destroy,
};

static moco_encoder *make_custom(moco_context *context, const moco_encoder_ops *ops, linear_net *net, int32_t normalize,
                                 int32_t feature_dim, int32_t bn_groups) {
    moco_encoder_custom_config config;
    moco_encoder *encoder = NULL;
    assert_ok(moco_encoder_custom_config_init(&config, sizeof config));
    config.embedding_dim = DIM;
    config.normalize = normalize;
    config.feature_dim = feature_dim;
    config.bn_groups = bn_groups;
    assert_ok(moco_encoder_create_custom(&encoder, context, ops, net, &config));
    return encoder;
}

/* Against the chain rule of y = x W / ||x W||, in double. */
static void normalizes_and_differentiates(void **state) {
    (void) state;
    for (int32_t normalize = 0; normalize < 2; ++normalize) {
        moco_context *context = make_context(NULL, 1);
        linear_net *net = make_net();
        moco_encoder *encoder = make_custom(context, &net_ops, net, normalize, 0, 1);
        float *images = hashed_floats(STREAM_IMAGES, N * IN, 1.0), *d = hashed_floats(STREAM_GRADIENT, N * DIM, 1.0);
        float out[N * DIM], ignored[N * DIM];
        double expected[IN * DIM] = {0.0};
        assert_ok(moco_encoder_forward(encoder, images, N, 2, 2, out));
        assert_ok(moco_encoder_evaluate(encoder, images, 2, 2, 2, ignored)); /* a pending backward stays valid */
        assert_ok(moco_encoder_backward(encoder, d, N));
        for (int64_t i = 0; i < N; ++i) {
            double raw[DIM], norm = 0.0, along = 0.0;
            for (int64_t j = 0; j < DIM; ++j) {
                raw[j] = 0.0;
                for (int64_t c = 0; c < IN; ++c)
                    raw[j] += (double) images[i * IN + c] * (double) net->weight[c * DIM + j];
                norm += raw[j] * raw[j];
            }
            norm = normalize ? sqrt(norm) : 1.0;
            for (int64_t j = 0; j < DIM; ++j) along += normalize ? raw[j] / norm * (double) d[i * DIM + j] : 0.0;
            for (int64_t j = 0; j < DIM; ++j) {
                const double y = raw[j] / norm;
                assert_true(fabs((double) out[i * DIM + j] - y) < 1e-5);
                const double d_raw = ((double) d[i * DIM + j] - along * y) / norm;
                for (int64_t c = 0; c < IN; ++c) expected[c * DIM + j] += (double) images[i * IN + c] * d_raw;
            }
        }
        float gradient[IN * DIM];
        assert_ok(moco_encoder_read_gradient(encoder, 0, gradient));
        for (int64_t i = 0; i < IN * DIM; ++i) assert_true(fabs((double) gradient[i] - expected[i]) < 1e-5);
        /* The host sees zeroed gradients at once, and a second backward adds. */
        assert_ok(moco_encoder_zero_gradients(encoder));
        for (int64_t i = 0; i < IN * DIM; ++i) assert_true(net->gradient[i] == 0.0F);
        for (int round = 0; round < 2; ++round) {
            assert_ok(moco_encoder_forward(encoder, images, N, 2, 2, out));
            assert_ok(moco_encoder_backward(encoder, d, N));
        }
        for (int64_t i = 0; i < IN * DIM; ++i) assert_true(fabs((double) net->gradient[i] - 2.0 * expected[i]) < 2e-5);
        assert_int_equal(3, moco_encoder_batches_tracked(encoder));
        free(images), free(d);
        moco_context_destroy(context);
        moco_encoder_destroy(encoder);
        assert_int_equal(0, alive);
    }
}

static void parameters_are_the_hosts_memory(void **state) {
    (void) state;
    moco_context *context = make_context(NULL, 1);
    linear_net *net = make_net();
    moco_encoder *encoder = make_custom(context, &net_ops, net, 1, 0, 1);
    moco_parameter_info info = {.struct_size = sizeof info};
    float values[IN * DIM];
    int64_t index;
    assert_int_equal(2, moco_encoder_parameter_count(encoder));
    assert_int_equal(IN * DIM, moco_encoder_learnable_elements(encoder));
    assert_ok(moco_encoder_find_parameter(encoder, "steps", &index));
    assert_int_equal(1, index);
    assert_ok(moco_encoder_parameter_info(encoder, 1, &info));
    assert_int_equal(MOCO_PARAMETER_BUFFER, info.kind);
    assert_int_equal(1, info.elements);
    assert_ok(moco_encoder_read_parameter(encoder, 0, values));
    assert_memory_equal(net->weight, values, sizeof values);
    values[7] = 42.0F;
    assert_ok(moco_encoder_write_parameter(encoder, 0, values));
    assert_true(net->weight[7] == 42.0F);
    assert_null(moco_encoder_configuration(encoder));
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
}

static void features_are_its_own_or_the_embeddings(void **state) {
    (void) state;
    moco_context *context = make_context(NULL, 1);
    moco_encoder_ops with_features = net_ops;
    with_features.features = net_features;
    moco_encoder *encoder = make_custom(context, &with_features, make_net(), 1, IN, 1);
    moco_encoder *without = make_custom(context, &net_ops, make_net(), 1, 0, 1);
    float *images = hashed_floats(STREAM_IMAGES, N * IN, 1.0);
    float features[N * IN], embeddings[N * DIM];
    assert_int_equal(IN, moco_encoder_feature_dim(encoder));
    assert_ok(moco_encoder_features(encoder, images, N, 2, 2, features));
    assert_memory_equal(images, features, sizeof features);
    assert_int_equal(DIM, moco_encoder_feature_dim(without));
    assert_ok(moco_encoder_features(without, images, N, 2, 2, features));
    assert_ok(moco_encoder_evaluate(without, images, N, 2, 2, embeddings));
    assert_memory_equal(embeddings, features, sizeof embeddings);
    free(images);
    moco_encoder_destroy(encoder);
    moco_encoder_destroy(without);
    moco_context_destroy(context);
}

static void the_momentum_encoder_works_on_it(void **state) {
    (void) state;
    moco_context *context = make_context(NULL, 1);
    linear_net *net = make_net();
    moco_encoder *query = make_custom(context, &net_ops, net, 1, 0, 2);
    moco_momentum_encoder *f_k = NULL;
    moco_momentum_encoder_config config;
    assert_ok(moco_momentum_encoder_config_for(&config, sizeof config, query));
    assert_int_equal(1, config.shuffle);
    config.momentum = 0.5;
    config.bn_buffers = MOCO_BN_BUFFERS_COPY;
    assert_ok(moco_momentum_encoder_create(&f_k, query, &config));
    assert_int_equal(0, moco_encoder_shares_workspace(query, moco_momentum_encoder_key_encoder(f_k)));
    float *images = hashed_floats(STREAM_IMAGES, N * IN, 1.0);
    float q[N * DIM], k[N * DIM], before[IN * DIM], after[IN * DIM];
    assert_ok(moco_encoder_forward(query, images, N, 2, 2, q));
    assert_ok(moco_momentum_encoder_encode(f_k, images, N, 2, 2, k));
    for (int64_t i = 0; i < N * DIM; ++i) assert_true(fabsf(q[i] - k[i]) < 1e-6F); /* shuffled and restored */
    assert_ok(moco_encoder_read_parameter(moco_momentum_encoder_key_encoder(f_k), 0, before));
    for (int64_t i = 0; i < IN * DIM; ++i) net->weight[i] += 1.0F;
    net->steps = 9.0F;
    assert_ok(moco_momentum_encoder_update(f_k));
    assert_ok(moco_encoder_read_parameter(moco_momentum_encoder_key_encoder(f_k), 0, after));
    for (int64_t i = 0; i < IN * DIM; ++i) assert_true(fabsf(after[i] - before[i] - 0.5F) < 1e-6F);
    assert_ok(moco_encoder_read_parameter(moco_momentum_encoder_key_encoder(f_k), 1, after));
    assert_true(after[0] == 9.0F);
    free(images);
    moco_encoder_destroy(query);
    moco_context_destroy(context);
    moco_momentum_encoder_destroy(f_k);
    assert_int_equal(0, alive);
}

/* Its buffers are brought back after a forward that spoils them, unless they were of that kind before. */
static void its_buffers_stay_finite(void **state) {
    (void) state;
    for (int32_t normalize = 0; normalize < 2; ++normalize) {
        moco_context *context = make_context(NULL, 1);
        linear_net *net = make_net();
        moco_encoder *encoder = make_custom(context, &net_ops, net, normalize, 0, 1);
        float *images = hashed_floats(STREAM_IMAGES, N * IN, 1.0), out[N * DIM] = {3.0F};
        net->steps = 2.0F;
        net->spoil_steps = 1;
        assert_status(MOCO_INVALID_STATE, moco_encoder_forward(encoder, images, N, 2, 2, out));
        assert_non_null(strstr(moco_last_error(), "steps"));
        assert_true(net->steps == 2.0F && out[0] == 3.0F && moco_encoder_batches_tracked(encoder) == 0);
        net->steps = NAN; /* as its network means it, since it came so */
        assert_ok(moco_encoder_forward(encoder, images, N, 2, 2, out));
        assert_true(out[0] != 3.0F);
        free(images);
        moco_encoder_destroy(encoder);
        moco_context_destroy(context);
    }
    assert_int_equal(0, alive);
}

/* Two views pending at once, their gradients taken in either order: bit for bit what one after the other gives. */
static void two_passes_wait_side_by_side(void **state) {
    (void) state;
    moco_encoder_ops two = net_ops;
    two.forward_pass = net_forward_pass;
    two.backward_pass = net_backward_pass;
    moco_context *context = make_context(NULL, 1);
    float *images[2] = {hashed_floats(STREAM_IMAGES, N * IN, 1.0), hashed_floats(STREAM_PATTERN, N * IN, 1.0)};
    float *d = hashed_floats(STREAM_GRADIENT, N * DIM, 1.0);
    for (int32_t first = 0; first < 2; ++first) {
        linear_net *ours = make_net(), *theirs = make_net();
        moco_encoder *encoder = make_custom(context, &two, ours, 1, 0, 1);
        moco_encoder *twin = make_custom(context, &net_ops, theirs, 1, 0, 1);
        float out[N * DIM], expected[N * DIM];
        for (int32_t pass = 0; pass < 2; ++pass) {
            assert_ok(moco_encoder_forward_pass(encoder, pass, images[pass], N - pass, 2, 2, out));
            assert_ok(moco_encoder_evaluate(twin, images[pass], N - pass, 2, 2, expected));
            assert_memory_equal(expected, out, (size_t) ((N - pass) * DIM) * sizeof *out);
        }
        for (int32_t i = 0; i < 2; ++i) {
            const int32_t pass = i == 0 ? first : 1 - first;
            assert_ok(moco_encoder_backward_pass(encoder, pass, d, N - pass));
            assert_status(MOCO_INVALID_STATE, moco_encoder_backward_pass(encoder, pass, d, N - pass));
            assert_ok(moco_encoder_forward(twin, images[pass], N - pass, 2, 2, out));
            assert_ok(moco_encoder_backward(twin, d, N - pass));
        }
        assert_memory_equal(theirs->gradient, ours->gradient, sizeof ours->gradient);
        assert_int_equal(2, moco_encoder_batches_tracked(encoder));
        ours->fail_forward = 1;
        assert_status(MOCO_CALLBACK, moco_encoder_forward_pass(encoder, 1, images[1], N, 2, 2, out));
        moco_encoder_destroy(encoder);
        /* A network with one pass only says so, and its one pass goes on. */
        assert_ok(moco_encoder_forward(twin, images[0], N, 2, 2, out));
        assert_status(MOCO_UNSUPPORTED, moco_encoder_forward_pass(twin, 1, images[1], N, 2, 2, out));
        assert_status(MOCO_INVALID_STATE, moco_encoder_backward_pass(twin, 1, d, N));
        assert_ok(moco_encoder_backward(twin, d, N));
        moco_encoder_destroy(twin);
    }
    free(images[0]), free(images[1]), free(d);
    moco_context_destroy(context);
    assert_int_equal(0, alive);
}

/* A program built with the table's first version, which ends after `features`. */
static void a_shorter_table_has_one_pass(void **state) {
    (void) state;
    moco_encoder_ops older = net_ops;
    older.struct_size = (uint32_t) offsetof(moco_encoder_ops, forward_pass);
    older.forward_pass = net_forward_pass; /* memory behind the older struct */
    older.backward_pass = net_backward_pass;
    moco_context *context = make_context(NULL, 1);
    moco_encoder *encoder = make_custom(context, &older, make_net(), 1, 0, 1);
    float *images = hashed_floats(STREAM_IMAGES, N * IN, 1.0), out[N * DIM];
    assert_ok(moco_encoder_forward(encoder, images, N, 2, 2, out));
    assert_status(MOCO_UNSUPPORTED, moco_encoder_forward_pass(encoder, 1, images, N, 2, 2, out));
    free(images);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
}

static void its_frozen_parameters_get_no_gradient(void **state) {
    (void) state;
    moco_context *context = make_context(NULL, 1);
    linear_net *net = make_net();
    moco_encoder *encoder = make_custom(context, &net_ops, net, 1, 0, 1);
    moco_parameter_info info = {.struct_size = sizeof info};
    float *images = hashed_floats(STREAM_IMAGES, N * IN, 1.0), out[N * DIM];
    net->gradient[3] = 7.0F;
    assert_ok(moco_encoder_set_parameter_flags(encoder, 0, MOCO_PARAMETER_FROZEN));
    assert_true(net->gradient[3] == 0.0F);
    assert_ok(moco_encoder_parameter_info(encoder, 0, &info));
    assert_int_equal(MOCO_PARAMETER_FROZEN, info.flags);
    assert_ok(moco_encoder_forward(encoder, images, N, 2, 2, out));
    assert_ok(moco_encoder_backward(encoder, images, N));
    for (int64_t i = 0; i < IN * DIM; ++i) assert_true(net->gradient[i] == 0.0F);
    free(images);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
}

static void its_failures_are_callback_failures(void **state) {
    (void) state;
    moco_context *context = make_context(NULL, 1);
    linear_net *net = make_net();
    moco_encoder *encoder = make_custom(context, &net_ops, net, 1, 0, 1), *copy = NULL;
    float *images = hashed_floats(STREAM_IMAGES, N * IN, 1.0);
    float out[N * DIM];
    assert_status(MOCO_INVALID_STATE, moco_encoder_backward(encoder, images, N));
    net->fail_forward = 1;
    assert_status(MOCO_CALLBACK, moco_encoder_forward(encoder, images, N, 2, 2, out));
    assert_status(MOCO_INVALID_STATE, moco_encoder_backward(encoder, images, N));
    net->fail_forward = 0;
    net->fail_backward = 1;
    assert_ok(moco_encoder_forward(encoder, images, N, 2, 2, out));
    assert_status(MOCO_CALLBACK, moco_encoder_backward(encoder, images, N));
    net->fail_clone = 1;
    assert_status(MOCO_CALLBACK, moco_encoder_clone(&copy, encoder));
    assert_null(copy);
    assert_int_equal(1, moco_encoder_batches_tracked(encoder));
    free(images);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
}

static void wrong_networks_stay_the_callers(void **state) {
    (void) state;
    moco_context *context = make_context(NULL, 1);
    linear_net *net = make_net();
    moco_encoder *encoder = NULL;
    moco_encoder_ops ops = net_ops;
    moco_encoder_custom_config config;
    assert_ok(moco_encoder_custom_config_init(&config, sizeof config));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create_custom(&encoder, context, &ops, net, &config)); /* dim 0 */
    config.embedding_dim = DIM;
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create_custom(&encoder, context, &ops, net, NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create_custom(&encoder, context, NULL, net, &config));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create_custom(&encoder, NULL, &ops, net, &config));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create_custom(NULL, context, &ops, net, &config));
    ops.clone = NULL;
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create_custom(&encoder, context, &ops, net, &config));
    ops = net_ops;
    ops.forward_pass = net_forward_pass; /* without backward_pass */
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create_custom(&encoder, context, &ops, net, &config));
    ops = net_ops;
    ops.abi_version = 2;
    assert_status(MOCO_UNSUPPORTED, moco_encoder_create_custom(&encoder, context, &ops, net, &config));
    ops = net_ops;
    config.feature_dim = 7; /* without ops.features */
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create_custom(&encoder, context, &ops, net, &config));
    config.feature_dim = 0;
    net->fail_parameter = 1;
    assert_status(MOCO_CALLBACK, moco_encoder_create_custom(&encoder, context, &ops, net, &config));
    net->fail_parameter = 0;
    net->bad_name = 1;
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create_custom(&encoder, context, &ops, net, &config));
    assert_null(encoder);
    assert_int_equal(1, alive); /* not destroyed by the failures */
    net_destroy(net);
    moco_context_destroy(context);
}

/* --- Its state, as visitors see it --- */

enum { MOST_SEEN = 1024 };

/* Notes what is visited; tensors are doubled on the way where `doubles` is 1. */
typedef struct noter {
    moco_context *context;
    char seen[MOST_SEEN];
    int32_t doubles;
} noter;

static void note(noter *n, const char *part, const char *name, int64_t value) {
    const size_t used = strlen(n->seen);
    snprintf(n->seen + used, MOST_SEEN - used, "%s.%s=%lld ", part, name, (long long) value);
}

static moco_status note_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    noter *n = (noter *) self;
    float values[IN * DIM];
    note(n, part, name, moco_tensor_elements(tensor));
    if (!n->doubles) return MOCO_OK;
    assert_ok(moco_tensor_download(n->context, tensor, values));
    for (int64_t i = 0; i < moco_tensor_elements(tensor); ++i) values[i] *= 2.0F;
    return moco_tensor_upload(n->context, tensor, values);
}

static moco_status note_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    (void) count;
    note((noter *) self, part, name, values[0]);
    return MOCO_OK;
}

static moco_status note_real(void *self, const char *part, const char *name, double *value) {
    note((noter *) self, part, name, (int64_t) (*value * 1000.0));
    return MOCO_OK;
}

static moco_status note_setting(void *self, const char *part, const char *name, const char *text) {
    note((noter *) self, part, name, atoll(text));
    return MOCO_OK;
}

static void its_state_is_visited(void **state) {
    (void) state;
    static const moco_state_ops ops = {note_tensor, note_numbers, note_real, note_setting};
    moco_context *context = make_context(NULL, 1);
    linear_net *net = make_net();
    moco_encoder *encoder = make_custom(context, &net_ops, net, 0, 0, 1);
    moco_optimizer *optimizer = NULL;
    assert_ok(moco_optimizer_create(&optimizer, encoder, NULL));
    assert_ok(moco_encoder_set_batches_tracked(encoder, 4));
    net->steps = 3.0F;
    noter n = {.context = context, .doubles = 1};
    const moco_state visitor = {.ops = &ops, .self = &n, .part = "f", .writes = 1};
    assert_ok(moco_encoder_visit(encoder, &visitor));
    assert_string_equal(n.seen, "f.architecture=0 f.channels=3 f.embedding_dim=5 f.feature_dim=5 f.bn_groups=1 "
                                "f.batches_tracked=4 f.flags=0 f.weight=60 f.steps=1 ");
    assert_true(net->steps == 6.0F); /* the caller's own memory */
    assert_true(net->weight[7] == 2.0F * (float) hashed(5, 7));

    memset(n.seen, 0, sizeof n.seen);
    n.doubles = 0;
    assert_ok(moco_optimizer_visit(optimizer, &visitor));
    assert_non_null(strstr(n.seen, "optimizer.step_count=0 optimizer.learning_rate=30 "));
    assert_non_null(strstr(n.seen, "optimizer.velocity.weight=60 "));
    assert_null(strstr(n.seen, "velocity.steps"));
    moco_optimizer_destroy(optimizer);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
    assert_int_equal(alive, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalizes_and_differentiates),
        cmocka_unit_test(parameters_are_the_hosts_memory),
        cmocka_unit_test(features_are_its_own_or_the_embeddings),
        cmocka_unit_test(the_momentum_encoder_works_on_it),
        cmocka_unit_test(its_failures_are_callback_failures),
        cmocka_unit_test(wrong_networks_stay_the_callers),
        cmocka_unit_test(two_passes_wait_side_by_side),
        cmocka_unit_test(a_shorter_table_has_one_pass),
        cmocka_unit_test(its_buffers_stay_finite),
        cmocka_unit_test(its_frozen_parameters_get_no_gradient),
        cmocka_unit_test(its_state_is_visited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
