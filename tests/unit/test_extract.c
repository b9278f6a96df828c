/* Extraction of a dataset's outputs: each row is what encoder and augment give for that image alone, whatever the batch
 * size and the number of threads; failures of an image reach the caller.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <moco/evaluation.h>
#include <stdlib.h>
#include <string.h>

#define assert_ok(expression)                                                                         \
    do {                                                                                              \
        const moco_status status_ = (expression);                                                     \
        if (status_ != MOCO_OK) fail_msg("%s gives %d: %s", #expression, status_, moco_last_error()); \
    } while (0)

enum { COUNT = 23, SIDE = 8, VIEW = 3 * SIDE * SIDE, DIM = 6 };

/* Images of changing sizes; image i fails where `failing` is i. */
typedef struct pictures {
    int64_t failing;
    int64_t also_failing;
} pictures;

static int32_t picture_info(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user) {
    (void) user;
    *h = SIDE + index % 5;
    *w = SIDE + index % 3;
    *label = (int32_t) (index % 4) - 1;
    return 0;
}

static int32_t read_picture(int64_t index, float *pixels, void *user) {
    const pictures *all = (const pictures *) user;
    if (index == all->failing || index == all->also_failing) return 1;
    const int64_t elements = 3 * (SIDE + index % 5) * (SIDE + index % 3);
    for (int64_t i = 0; i < elements; ++i) pixels[i] = (float) ((index * 37 + i * 11) % 101) / 100;
    return 0;
}

typedef struct fixture {
    moco_context *context;
    moco_dataset *dataset;
    moco_augment *augment;
    moco_encoder *encoder;
    pictures images;
} fixture;

static void make_fixture(fixture *f, int32_t threads, const char *architecture) {
    *f = (fixture){.images = {-1, -1}};
    moco_context_config context_config;
    assert_ok(moco_context_config_init(&context_config, sizeof context_config));
    context_config.threads = threads;
    assert_ok(moco_context_create(&f->context, &context_config));
    assert_ok(moco_dataset_create_callback(&f->dataset, f->context, COUNT, 3, picture_info, read_picture, &f->images));
    moco_augment_config augment_config;
    assert_ok(moco_augment_config_init(&augment_config, sizeof augment_config, MOCO_AUGMENT_CIFAR));
    augment_config.height = SIDE;
    augment_config.width = SIDE;
    assert_ok(moco_augment_create(&f->augment, f->context, &augment_config));
    moco_encoder_config encoder_config;
    assert_ok(moco_encoder_config_init(&encoder_config, sizeof encoder_config));
    encoder_config.architecture = architecture;
    encoder_config.embedding_dim = DIM;
    encoder_config.mlp_input_dim = VIEW;
    encoder_config.mlp_hidden_dim = 10;
    assert_ok(moco_encoder_create(&f->encoder, f->context, &encoder_config));
}

static void destroy_fixture(fixture *f) {
    moco_encoder_destroy(f->encoder);
    moco_augment_destroy(f->augment);
    moco_dataset_destroy(f->dataset);
    moco_context_destroy(f->context);
}

/* One image, by the public functions alone. */
static void expected_row(fixture *f, int32_t output, int64_t index, float *row) {
    float pixels[3 * (SIDE + 4) * (SIDE + 2)];
    float view[VIEW];
    int64_t h;
    int64_t w;
    assert_ok(moco_dataset_info(f->dataset, index, &h, &w, NULL));
    assert_ok(moco_dataset_read(f->dataset, index, pixels, (int64_t) (sizeof pixels / sizeof pixels[0])));
    assert_ok(moco_augment_evaluate(f->augment, pixels, h, w, view));
    if (output == MOCO_OUTPUT_PIXELS) {
        memcpy(row, view, sizeof view);
    } else if (output == MOCO_OUTPUT_FEATURES) {
        assert_ok(moco_encoder_features(f->encoder, view, 1, SIDE, SIDE, row));
    } else {
        assert_ok(moco_encoder_evaluate(f->encoder, view, 1, SIDE, SIDE, row));
    }
}

static void rows_are_the_images_own(void **state) {
    (void) state;
    static const char *const architectures[] = {"cifar_resnet8", "mlp"};
    static const int64_t batches[] = {1, 4, COUNT, 1000};
    for (int a = 0; a < 2; ++a) {
        fixture f;
        make_fixture(&f, 2, architectures[a]);
        for (int32_t output = MOCO_OUTPUT_FEATURES; output <= MOCO_OUTPUT_PIXELS; ++output) {
            const int64_t dim = moco_extract_dim(f.encoder, f.augment, output);
            assert_true(dim >= 1 && dim <= VIEW);
            for (int b = 0; b < 4; ++b) {
                static float rows[COUNT * VIEW];
                int32_t labels[COUNT];
                memset(rows, 0xff, sizeof rows);
                assert_ok(
                    moco_extract(f.encoder, f.dataset, f.augment, output, 2, COUNT - 3, batches[b], rows, labels));
                for (int64_t i = 0; i < COUNT - 3; ++i) {
                    float row[VIEW];
                    expected_row(&f, output, i + 2, row);
                    for (int64_t c = 0; c < dim; ++c) {
                        if (!(fabsf(rows[i * dim + c] - row[c]) <= 1e-5f * (1 + fabsf(row[c])))) {
                            fail_msg("%s, output %d, batch %lld: row %lld, %lld is %g, not %g", architectures[a],
                                     output, (long long) batches[b], (long long) i, (long long) c,
                                     (double) rows[i * dim + c], (double) row[c]);
                        }
                    }
                    assert_int_equal(labels[i], (i + 2) % 4 - 1);
                }
                uint32_t untouched;
                memcpy(&untouched, &rows[(COUNT - 3) * dim], sizeof untouched);
                assert_true(untouched == UINT32_MAX); /* nothing written beyond the rows */
            }
        }
        destroy_fixture(&f);
    }
}

static void dims(void **state) {
    (void) state;
    fixture f;
    make_fixture(&f, 1, "cifar_resnet8");
    assert_int_equal(moco_extract_dim(f.encoder, f.augment, MOCO_OUTPUT_FEATURES), 64);
    assert_int_equal(moco_extract_dim(f.encoder, f.augment, MOCO_OUTPUT_EMBEDDINGS), DIM);
    assert_int_equal(moco_extract_dim(NULL, f.augment, MOCO_OUTPUT_PIXELS), VIEW);
    assert_int_equal(moco_extract_dim(NULL, f.augment, MOCO_OUTPUT_FEATURES), 0);
    assert_int_equal(moco_extract_dim(f.encoder, NULL, MOCO_OUTPUT_PIXELS), 0);
    assert_int_equal(moco_extract_dim(f.encoder, f.augment, 7), 0);
    destroy_fixture(&f);
}

/* A host's own tensors, of any channels, shape and range, go in as they are where there is no augment. */
static void tensors_need_no_augment(void **state) {
    (void) state;
    enum { N = 11, C = 2, H = 3, W = 5, SIZE = C * H * W };
    static float pixels[N * SIZE], rows[N * SIZE], expected[N * SIZE];
    fixture f;
    moco_dataset *tensors = NULL;
    moco_encoder *encoder = NULL;
    moco_encoder_config config;
    int32_t labels[N], seen[N];
    make_fixture(&f, 3, "mlp");
    for (int i = 0; i < N * SIZE; ++i) pixels[i] = (float) (i * 29 % 101) - 50;
    for (int i = 0; i < N; ++i) labels[i] = i % 4 - 1;
    assert_ok(moco_dataset_create_memory(&tensors, f.context, pixels, MOCO_PIXELS_FLOAT32, labels, N, C, H, W, 0));
    assert_ok(moco_encoder_config_init(&config, sizeof config));
    config.architecture = "mlp";
    config.channels = C;
    config.embedding_dim = DIM;
    config.mlp_input_dim = SIZE;
    config.mlp_hidden_dim = 10;
    assert_ok(moco_encoder_create(&encoder, f.context, &config));
    assert_ok(moco_extract(NULL, tensors, NULL, MOCO_OUTPUT_PIXELS, 2, N - 3, 4, rows, seen));
    assert_memory_equal(rows, pixels + 2 * SIZE, (N - 3) * SIZE * sizeof *rows);
    assert_memory_equal(seen, labels + 2, (N - 3) * sizeof *seen);
    assert_int_equal(moco_extract_dim(NULL, NULL, MOCO_OUTPUT_PIXELS), 0);
    assert_int_equal(moco_extract_dim(encoder, NULL, MOCO_OUTPUT_EMBEDDINGS), DIM);
    assert_ok(moco_encoder_evaluate(encoder, pixels, N, H, W, expected));
    assert_ok(moco_extract(encoder, tensors, NULL, MOCO_OUTPUT_EMBEDDINGS, 0, N, N, rows, NULL));
    assert_memory_equal(rows, expected, N * DIM * sizeof *rows);
    moco_encoder_destroy(encoder);
    moco_dataset_destroy(tensors);
    destroy_fixture(&f);
}

static void threads_change_nothing(void **state) {
    (void) state;
    static float rows[3][COUNT * 64];
    for (int32_t i = 0; i < 3; ++i) {
        fixture f;
        make_fixture(&f, 1 << i, "cifar_resnet8");
        assert_ok(moco_extract(f.encoder, f.dataset, f.augment, MOCO_OUTPUT_FEATURES, 0, COUNT, 8, rows[i], NULL));
        destroy_fixture(&f);
    }
    assert_memory_equal(rows[0], rows[1], sizeof rows[0]);
    assert_memory_equal(rows[0], rows[2], sizeof rows[0]);
}

static void the_encoder_is_not_changed(void **state) {
    (void) state;
    fixture f;
    make_fixture(&f, 2, "cifar_resnet8");
    float before[64];
    float after[64];
    float rows[COUNT * 64];
    int64_t mean;
    assert_ok(moco_encoder_find_parameter(f.encoder, "bn1.running_mean", &mean));
    assert_ok(moco_encoder_read_parameter(f.encoder, mean, before));
    assert_ok(moco_extract(f.encoder, f.dataset, f.augment, MOCO_OUTPUT_FEATURES, 0, COUNT, 5, rows, NULL));
    assert_ok(moco_encoder_read_parameter(f.encoder, mean, after));
    assert_memory_equal(before, after, 16 * sizeof(float));
    assert_int_equal(moco_encoder_batches_tracked(f.encoder), 0);
    destroy_fixture(&f);
}

static void a_failing_image_stops_it(void **state) {
    (void) state;
    fixture f;
    make_fixture(&f, 4, "cifar_resnet8");
    float rows[COUNT * 64];
    f.images.failing = 17;
    f.images.also_failing = 9;
    for (int64_t batch = 1; batch <= COUNT; batch += 11) {
        assert_int_equal(
            moco_extract(f.encoder, f.dataset, f.augment, MOCO_OUTPUT_FEATURES, 0, COUNT, batch, rows, NULL),
            MOCO_CALLBACK);
        if (strstr(moco_last_error(), "9") == NULL) fail_msg("\"%s\" does not say 9", moco_last_error());
    }
    assert_ok(moco_extract(f.encoder, f.dataset, f.augment, MOCO_OUTPUT_FEATURES, 0, 9, 4, rows, NULL));
    destroy_fixture(&f);
}

static void refused(moco_status status, const char *word) {
    assert_int_equal(status, MOCO_INVALID_ARGUMENT);
    if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" does not say %s", moco_last_error(), word);
}

static void arguments_are_checked(void **state) {
    (void) state;
    fixture f;
    make_fixture(&f, 1, "cifar_resnet8");
    float rows[64];
    const int32_t features = MOCO_OUTPUT_FEATURES;
    refused(moco_extract(NULL, f.dataset, f.augment, features, 0, 1, 1, rows, NULL), "encoder");
    refused(moco_extract(f.encoder, NULL, f.augment, features, 0, 1, 1, rows, NULL), "dataset");
    refused(
        moco_extract(f.encoder, f.dataset, NULL, features, 0, 2, 1, rows, NULL),
        "augment is NULL, so that images are taken as they are, but image 1 has 9 x 9 pixels and others have 8 x 8");
    refused(moco_extract(f.encoder, f.dataset, f.augment, 3, 0, 1, 1, rows, NULL), "output");
    refused(moco_extract(f.encoder, f.dataset, f.augment, features, -1, 1, 1, rows, NULL), "first");
    refused(moco_extract(f.encoder, f.dataset, f.augment, features, 0, COUNT + 1, 1, rows, NULL), "count");
    refused(moco_extract(f.encoder, f.dataset, f.augment, features, COUNT, 1, 1, rows, NULL), "count");
    refused(moco_extract(f.encoder, f.dataset, f.augment, features, INT64_MAX, INT64_MAX, 1, rows, NULL), "first");
    refused(moco_extract(f.encoder, f.dataset, f.augment, features, 0, 1, 0, rows, NULL), "batch_size");
    refused(moco_extract(f.encoder, f.dataset, f.augment, features, 0, 1, 1, NULL, NULL), "rows");
    assert_ok(moco_extract(f.encoder, f.dataset, f.augment, features, COUNT, 0, 1, NULL, NULL));
    assert_ok(moco_extract(f.encoder, f.dataset, f.augment, features, 0, 1, INT64_MAX, rows, NULL));
    const float grey[2 * 4 * 4] = {0};
    moco_dataset *one_channel = NULL;
    assert_ok(moco_dataset_create_memory(&one_channel, f.context, grey, MOCO_PIXELS_FLOAT32, NULL, 2, 1, 4, 4, 1));
    refused(moco_extract(f.encoder, one_channel, f.augment, features, 0, 1, 1, rows, NULL), "1 channels");
    refused(moco_extract(f.encoder, one_channel, NULL, features, 0, 1, 1, rows, NULL),
            "1 channels; the encoder takes 3");
    moco_dataset_destroy(one_channel);
    destroy_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_images_own), cmocka_unit_test(dims),
        cmocka_unit_test(threads_change_nothing),  cmocka_unit_test(the_encoder_is_not_changed),
        cmocka_unit_test(tensors_need_no_augment), cmocka_unit_test(a_failing_image_stops_it),
        cmocka_unit_test(arguments_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
