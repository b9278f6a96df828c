/* What the functions of <moco/encoder.h> promise, on small built-in networks. */
#include "support/encoder_fixture.h"

#include "backend/backend_chain.h"
#include "encoder/encoder_internal.h"

#define N   6
#define H   4
#define W   5
#define DIM 8

static moco_context *context;
static float *images;
static float *gradient;

static int setup(void **state) {
    (void) state;
    context = make_context(NULL, 1);
    images = hashed_floats(STREAM_IMAGES, 64 * 3 * 8 * 8, 1.0);
    gradient = hashed_floats(STREAM_GRADIENT, 64 * DIM, 1.0);
    return 0;
}

static int teardown(void **state) {
    (void) state;
    free(images);
    free(gradient);
    moco_context_destroy(context);
    return 0;
}

static void assert_same(const float *a, const float *b, int64_t count) {
    assert_memory_equal(a, b, (size_t) count * sizeof *a);
}

/* --- Initialisation --- */

static void check_start(const moco_encoder *encoder, int64_t index, int32_t zero_last) {
    moco_parameter_info info = {.struct_size = sizeof info};
    assert_ok(moco_encoder_parameter_info(encoder, index, &info));
    float *values = (float *) malloc((size_t) info.elements * sizeof *values);
    assert_ok(moco_encoder_read_parameter(encoder, index, values));
    double sum = 0.0, squares = 0.0, largest = 0.0;
    for (int64_t i = 0; i < info.elements; ++i) {
        sum += (double) values[i];
        squares += (double) values[i] * (double) values[i];
        largest = fmax(largest, fabs((double) values[i]));
    }
    const double count = (double) info.elements;
    const double mean = sum / count, deviation = sqrt(squares / count - mean * mean);
    if (info.rank == 4) { /* kaiming_normal_, fan_out */
        const double expected = sqrt(2.0 / (double) (info.dims[0] * info.dims[2] * info.dims[3]));
        assert_true(fabs(mean) < 5.0 * expected / sqrt(count));
        assert_true(fabs(deviation / expected - 1.0) < 5.0 / sqrt(2.0 * count));
        assert_true(largest > 2.0 * expected);
    } else if (strncmp(info.name, "fc", 2) == 0) { /* U(+- 1 / sqrt(fan_in)); fan_in is 64 here */
        assert_true(largest <= 1.0 / 8.0 && largest > 0.5 / 8.0);
        if (info.rank == 2) assert_true(fabs(deviation * sqrt(3.0) * 8.0 - 1.0) < 0.1);
    } else if (zero_last && strstr(info.name, "bn2.weight") != NULL) {
        assert_true(largest == 0.0);
    } else {
        const int32_t ones = ends_with(info.name, "weight") || ends_with(info.name, "running_var");
        assert_true(deviation < 1e-6 && mean == (ones ? 1.0 : 0.0));
    }
    free(values);
}

static void starts_as_torchvision_does(void **state) {
    (void) state;
    for (int32_t zero_last = 0; zero_last < 2; ++zero_last) {
        moco_encoder_config config = small_config("cifar_resnet8");
        config.head = MOCO_HEAD_MLP;
        config.zero_init_residual = zero_last;
        moco_encoder *encoder = make_encoder(context, &config);
        for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) check_start(encoder, i, zero_last);
        moco_encoder_destroy(encoder);
    }
}

static void seed_decides_the_start(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    moco_encoder *first = make_encoder(context, &config), *second = make_encoder(context, &config);
    config.seed = 8;
    moco_encoder *other = make_encoder(context, &config);
    int64_t count;
    float *a = read_all(first, 0, &count), *b = read_all(second, 0, &count), *c = read_all(other, 0, &count);
    assert_same(a, b, count);
    assert_memory_not_equal(a, c, (size_t) count * sizeof *a);
    free(a), free(b), free(c);
    moco_encoder_destroy(first), moco_encoder_destroy(second), moco_encoder_destroy(other);
}

/* --- Forward, backward, evaluation --- */

static void rows_have_unit_norm_exactly_where_asked(void **state) {
    (void) state;
    for (int32_t normalize = 0; normalize < 2; ++normalize) {
        moco_encoder_config config = small_config("mlp");
        config.normalize = normalize;
        moco_encoder *encoder = make_encoder(context, &config);
        float out[N * DIM];
        double off = 0.0;
        assert_ok(moco_encoder_forward(encoder, images, N, H, W, out));
        for (int64_t i = 0; i < N; ++i) {
            double square = 0.0;
            for (int64_t j = 0; j < DIM; ++j) square += (double) out[i * DIM + j] * (double) out[i * DIM + j];
            off = fmax(off, fabs(square - 1.0));
        }
        assert_true(normalize ? off < 1e-5 : off > 0.01);
        moco_encoder_destroy(encoder);
    }
}

static void head_decides_the_dims(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    const int64_t expected[3] = {64, 8, 8};
    for (int32_t head = 0; head < 3; ++head) {
        config.head = head;
        config.head_hidden_dim = 24;
        moco_encoder *encoder = make_encoder(context, &config);
        assert_int_equal(expected[head], moco_encoder_embedding_dim(encoder));
        assert_int_equal(64, moco_encoder_feature_dim(encoder));
        assert_int_equal(3, moco_encoder_channels(encoder));
        int64_t index = -1;
        if (head == MOCO_HEAD_MLP) {
            moco_parameter_info info = {.struct_size = sizeof info};
            assert_ok(moco_encoder_find_parameter(encoder, "fc.2.weight", &index));
            assert_ok(moco_encoder_parameter_info(encoder, index, &info));
            assert_int_equal(8, info.dims[0]);
            assert_int_equal(24, info.dims[1]);
        }
        float features[N * 64], embeddings[N * 64];
        assert_ok(moco_encoder_features(encoder, images, N, H, W, features));
        assert_ok(moco_encoder_evaluate(encoder, images, N, H, W, embeddings));
        if (head == MOCO_HEAD_NONE) { /* the embedding is the normalized feature vector */
            double square = 0.0;
            for (int64_t j = 0; j < 64; ++j) square += (double) features[j] * (double) features[j];
            for (int64_t j = 0; j < 64; ++j) {
                assert_true(fabs((double) embeddings[j] - (double) features[j] / sqrt(square)) < 1e-6);
            }
        }
        moco_encoder_destroy(encoder);
    }
}

static void evaluating_changes_nothing(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config), *twin = make_encoder(context, &config);
    int64_t count;
    float out[N * 64], again[N * 64];
    assert_ok(moco_encoder_forward(encoder, images, N, H, W, out));
    assert_ok(moco_encoder_forward(twin, images, N, H, W, out));
    float *before = read_all(encoder, 0, &count);
    /* Other shapes, too, while a backward is pending. */
    for (int64_t n = 1; n < 12; ++n) {
        assert_ok(moco_encoder_evaluate(encoder, images, n, 4, 3, out));
        assert_ok(moco_encoder_features(encoder, images, n % 6 + 1, 8, 8, out));
    }
    float *after = read_all(encoder, 0, &count);
    assert_same(before, after, count);
    assert_int_equal(1, moco_encoder_batches_tracked(encoder));
    assert_ok(moco_encoder_backward(encoder, gradient, N));
    assert_ok(moco_encoder_backward(twin, gradient, N));
    float *gradients = read_all(encoder, 1, &count), *expected = read_all(twin, 1, &count);
    assert_same(expected, gradients, count);
    /* Evaluation uses no batch statistics: a sample's row does not depend on the others. */
    assert_ok(moco_encoder_evaluate(encoder, images, 4, H, W, out));
    assert_ok(moco_encoder_evaluate(encoder, images, 1, H, W, again));
    for (int64_t j = 0; j < DIM; ++j) assert_true(fabsf(out[j] - again[j]) < 1e-5F);
    free(before), free(after), free(gradients), free(expected);
    moco_encoder_destroy(encoder), moco_encoder_destroy(twin);
}

/* Each training forward moves the running statistics: with bn_momentum 1 they are the last batch's. */
static void training_updates_running_statistics(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    config.bn_momentum = 1.0;
    config.mlp_layers = 1;
    config.normalize = 0;
    moco_encoder *encoder = make_encoder(context, &config);
    float weight[12 * 60], bias[12], mean[12], var[12], out[N * DIM];
    int64_t index;
    assert_ok(moco_encoder_forward(encoder, images, N, H, W, out));
    assert_ok(moco_encoder_find_parameter(encoder, "layers.0.weight", &index));
    assert_ok(moco_encoder_read_parameter(encoder, index, weight));
    assert_ok(moco_encoder_find_parameter(encoder, "layers.0.bias", &index));
    assert_ok(moco_encoder_read_parameter(encoder, index, bias));
    assert_ok(moco_encoder_find_parameter(encoder, "layers.1.running_mean", &index));
    assert_ok(moco_encoder_read_parameter(encoder, index, mean));
    assert_ok(moco_encoder_find_parameter(encoder, "layers.1.running_var", &index));
    assert_ok(moco_encoder_read_parameter(encoder, index, var));
    for (int64_t c = 0; c < 12; ++c) {
        double sum = 0.0, squares = 0.0;
        for (int64_t i = 0; i < N; ++i) {
            double x = (double) bias[c];
            for (int64_t j = 0; j < 60; ++j) x += (double) images[i * 60 + j] * (double) weight[c * 60 + j];
            sum += x;
            squares += x * x;
        }
        assert_true(fabs((double) mean[c] - sum / N) < 1e-5);
        assert_true(fabs((double) var[c] - (squares - sum * sum / N) / (N - 1)) < 1e-5);
    }
    assert_int_equal(1, moco_encoder_batches_tracked(encoder));
    moco_encoder_destroy(encoder);
}

/* --- Gradients --- */

static void gradients_add_up_until_zeroed(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config);
    int64_t count;
    float out[N * DIM];
    float *zero = read_all(encoder, 1, &count);
    for (int64_t i = 0; i < count; ++i) assert_true(zero[i] == 0.0F);

    assert_ok(moco_encoder_forward(encoder, images, N, H, W, out));
    assert_ok(moco_encoder_backward(encoder, gradient, N));
    float *once = read_all(encoder, 1, &count);
    assert_ok(moco_encoder_forward(encoder, images, N, H, W, out));
    assert_ok(moco_encoder_backward(encoder, gradient, N));
    float *twice = read_all(encoder, 1, &count);
    double norm = 0.0, off = 0.0;
    for (int64_t i = 0; i < count; ++i) {
        norm += (double) once[i] * (double) once[i];
        off = fmax(off, fabs(2.0 * (double) once[i] - (double) twice[i]));
    }
    assert_true(norm > 0.0 && off < 1e-5 * sqrt(norm));

    assert_ok(moco_encoder_zero_gradients(encoder));
    float *cleared = read_all(encoder, 1, &count);
    assert_same(zero, cleared, count);
    assert_ok(moco_encoder_forward(encoder, images, N, H, W, out));
    assert_ok(moco_encoder_backward(encoder, gradient, N));
    float *anew = read_all(encoder, 1, &count);
    assert_same(once, anew, count);

    /* Without a backward since, the memory itself is cleared for who reads it directly. */
    assert_ok(moco_encoder_zero_gradients(encoder));
    assert_ok(moco_encoder_settle_gradients(encoder));
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    assert_int_equal(1, table->learnable_runs);
    float *run = (float *) malloc((size_t) table->learnable[0].gradient.dims[0] * sizeof *run);
    assert_ok(moco_tensor_download(context, &table->learnable[0].gradient, run));
    for (int64_t i = 0; i < table->learnable[0].gradient.dims[0]; ++i) assert_true(run[i] == 0.0F);
    free(zero), free(once), free(twice), free(cleared), free(anew), free(run);
    moco_encoder_destroy(encoder);
}

/* More shapes than plans are kept, in turn: each gives what it gave the first time. */
static void changing_shapes_are_planned_anew(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config);
    float first[20][6 * DIM], out[6 * DIM];
    float *first_gradients[20];
    int64_t count;
    for (int round = 0; round < 2; ++round) {
        for (int shape = 0; shape < 20; ++shape) {
            const int64_t n = 2 + shape % 5, h = 2 + shape / 5, w = 5 - shape / 5;
            assert_ok(moco_encoder_zero_gradients(encoder));
            assert_ok(moco_encoder_forward(encoder, images, n, h, w, out));
            assert_ok(moco_encoder_backward(encoder, gradient, n));
            float *gradients = read_all(encoder, 1, &count);
            if (round == 0) {
                memcpy(first[shape], out, sizeof out);
                first_gradients[shape] = gradients;
            } else {
                assert_same(first[shape], out, n * DIM);
                assert_same(first_gradients[shape], gradients, count);
                free(gradients);
            }
        }
    }
    for (int shape = 0; shape < 20; ++shape) free(first_gradients[shape]);
    moco_encoder_destroy(encoder);
}

/* --- Clones and parameters --- */

static void a_clone_is_equal_and_independent(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    moco_encoder *encoder = make_encoder(context, &config), *copy = NULL;
    float out[N * DIM], theirs[N * DIM];
    int64_t count;
    assert_ok(moco_encoder_forward(encoder, images, N, H, W, out)); /* buffers of its own */
    assert_ok(moco_encoder_clone(&copy, encoder));
    float *a = read_all(encoder, 0, &count), *b = read_all(copy, 0, &count);
    assert_same(a, b, count);
    assert_int_equal(1, moco_encoder_batches_tracked(copy));
    assert_string_equal("mlp", moco_encoder_configuration(copy)->architecture);
    assert_ok(moco_encoder_evaluate(encoder, images, N, H, W, out));
    fill_encoder(copy, 1);
    assert_ok(moco_encoder_evaluate(encoder, images, N, H, W, theirs));
    assert_same(out, theirs, N * DIM);
    moco_encoder_destroy(encoder); /* in any order */
    assert_ok(moco_encoder_evaluate(copy, images, N, H, W, theirs));
    assert_memory_not_equal(out, theirs, sizeof out);
    free(a), free(b);
    moco_encoder_release(copy);
}

static void written_parameters_are_used(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    config.normalize = 0;
    moco_encoder *encoder = make_encoder(context, &config);
    int64_t index;
    float bias[DIM], before[N * DIM], after[N * DIM];
    assert_ok(moco_encoder_evaluate(encoder, images, N, H, W, before));
    assert_ok(moco_encoder_find_parameter(encoder, "fc.bias", &index));
    assert_ok(moco_encoder_read_parameter(encoder, index, bias));
    for (int64_t j = 0; j < DIM; ++j) bias[j] += 2.0F;
    assert_ok(moco_encoder_write_parameter(encoder, index, bias));
    assert_ok(moco_encoder_evaluate(encoder, images, N, H, W, after));
    for (int64_t i = 0; i < N * DIM; ++i) assert_true(fabsf(after[i] - before[i] - 2.0F) < 1e-5F);
    bias[3] = NAN;
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_write_parameter(encoder, index, bias));
    bias[3] = INFINITY;
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_write_parameter(encoder, index, bias));
    assert_ok(moco_encoder_evaluate(encoder, images, N, H, W, before));
    assert_same(after, before, N * DIM);
    moco_encoder_destroy(encoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_as_torchvision_does),
        cmocka_unit_test(seed_decides_the_start),
        cmocka_unit_test(rows_have_unit_norm_exactly_where_asked),
        cmocka_unit_test(head_decides_the_dims),
        cmocka_unit_test(evaluating_changes_nothing),
        cmocka_unit_test(training_updates_running_statistics),
        cmocka_unit_test(gradients_add_up_until_zeroed),
        cmocka_unit_test(changing_shapes_are_planned_anew),
        cmocka_unit_test(a_clone_is_equal_and_independent),
        cmocka_unit_test(written_parameters_are_used),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
