/* What an encoder refuses, and that a refusal changes nothing. */
#include "support/encoder_fixture.h"

#include "encoder/architecture.h"

static moco_context *context;

static int setup(void **state) {
    (void) state;
    context = make_context(NULL, 1);
    return 0;
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    return 0;
}

static void refuse(moco_status expected, const moco_encoder_config *config, const char *named) {
    moco_encoder *encoder = NULL;
    assert_status(expected, moco_encoder_create(&encoder, context, config));
    assert_null(encoder);
    if (strstr(moco_last_error(), named) == NULL) fail_msg("\"%s\" does not name %s", moco_last_error(), named);
}

#define REFUSE(expected, architecture_name, field, value)              \
    do {                                                               \
        moco_encoder_config config_ = small_config(architecture_name); \
        config_.field = (value);                                       \
        refuse(expected, &config_, #field);                            \
    } while (0)

static int warnings;

static void count_warnings(int32_t level, const char *message, void *user) {
    (void) user;
    if (level == MOCO_LOG_WARNING && strstr(message, "float32") != NULL) ++warnings;
}

/* No bfloat16 in the reference backend: fallen back to with a warning, or refused if asked to. */
static void bfloat16_where_there_is_none(void **state) {
    (void) state;
    moco_context_config context_config;
    moco_context *reference = NULL;
    moco_encoder *encoder = NULL;
    assert_ok(moco_context_config_init(&context_config, sizeof context_config));
    context_config.backend = "reference";
    context_config.log = count_warnings;
    assert_ok(moco_context_create(&reference, &context_config));
    moco_encoder_config config = small_config("cifar_resnet8");
    config.compute_dtype = MOCO_COMPUTE_BF16_REQUIRED;
    assert_status(MOCO_UNSUPPORTED, moco_encoder_create(&encoder, reference, &config));
    assert_non_null(strstr(moco_last_error(), "compute_dtype"));
    assert_null(encoder);
    config.compute_dtype = MOCO_COMPUTE_BF16;
    assert_ok(moco_encoder_create(&encoder, reference, &config));
    assert_int_equal(moco_encoder_compute_dtype(encoder), MOCO_COMPUTE_F32);
    assert_int_equal(warnings, 1);
    moco_encoder_destroy(encoder);
    moco_context_destroy(reference);
}

/* The list that the API gives and the one in the sentence are one, and whatever they name can be made. */
static void listed_architectures_are_built_in(void **state) {
    (void) state;
    moco_encoder_config config = small_config("none of them");
    moco_encoder *encoder = NULL;
    assert_status(MOCO_NOT_FOUND, moco_encoder_create(&encoder, context, &config));
    char sentence[1024];
    snprintf(sentence, sizeof sentence, "%s", moco_last_error());
    const char *rest = strstr(sentence, "built in are ");
    assert_non_null(rest);
    rest += strlen("built in are ");
    int64_t index = 0;
    for (const char *name; (name = moco_encoder_architecture_name(index)) != NULL; ++index) {
        assert_true(strncmp(rest, name, strlen(name)) == 0);
        rest += strlen(name);
        rest += strncmp(rest, ", ", 2) == 0 ? 2 : strncmp(rest, " and ", 5) == 0 ? 5 : 0;
        assert_true(strlen(moco_encoder_architecture_help(index)) > 5);
        config.architecture = strcmp(name, "cifar_resnetD") == 0 ? "cifar_resnet14" : name;
        moco_graph *graph = NULL; /* without the memory that an encoder takes */
        int64_t feature_dim, embedding_dim;
        assert_ok(moco_architecture_build(&graph, context, &config, &feature_dim, &embedding_dim));
        assert_true(feature_dim > 1 && embedding_dim == config.embedding_dim);
        moco_graph_destroy(graph);
    }
    assert_string_equal("", rest);
    assert_true(index >= 12);
    assert_null(moco_encoder_architecture_help(index));
    assert_null(moco_encoder_architecture_name(-1));
}

static void wrong_configurations(void **state) {
    (void) state;
    static const char *const unknown[] = {"",
                                          "resnet",
                                          "resnet19",
                                          "cifar_resnet",
                                          "Resnet18",
                                          "cifar_resnet21",
                                          "cifar_resnet1208",
                                          "cifar_resnet2",
                                          "cifar_resnet20x",
                                          "cifar_resnet020",
                                          "cifar_resnet99999999999999999999"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; ++i)
        REFUSE(MOCO_NOT_FOUND, unknown[i], architecture, unknown[i]);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", stem, 2);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", head, 3);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", head, -1);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", embedding_dim, 0);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", head_hidden_dim, -1);
    REFUSE(MOCO_INVALID_ARGUMENT, "cifar_resnet8", channels, 0);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", normalize, 2);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", bn_groups, 0);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", bn_layout, 2);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", zero_init_residual, 2);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", mlp_input_dim, 0);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", mlp_hidden_dim, 0);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", mlp_layers, 0);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", compute_dtype, -1);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", compute_dtype, 4);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", bn_momentum, NAN);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", bn_momentum, 1.5);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", bn_eps, 0.0);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", bn_eps, INFINITY);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", struct_size, 4);
    REFUSE(MOCO_INVALID_ARGUMENT, "mlp", struct_size, 0);

    moco_encoder_config huge = small_config("mlp"); /* 2^62 weights */
    moco_encoder *encoder = NULL;
    huge.mlp_input_dim = huge.mlp_hidden_dim = INT32_MAX;
    const moco_status status = moco_encoder_create(&encoder, context, &huge);
    assert_true(status == MOCO_OUT_OF_MEMORY || status == MOCO_INVALID_ARGUMENT);
    assert_null(encoder);
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create(NULL, context, NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_create(&encoder, NULL, NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_config_init(NULL, sizeof huge));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_config_init(&huge, 8));
}

static void the_defaults_are_the_papers(void **state) {
    (void) state;
    moco_encoder_config config;
    assert_ok(moco_encoder_config_init(&config, sizeof config));
    assert_string_equal("resnet50", config.architecture);
    assert_int_equal(MOCO_STEM_IMAGENET, config.stem);
    assert_int_equal(MOCO_HEAD_LINEAR, config.head);
    assert_int_equal(128, config.embedding_dim);
    assert_int_equal(1, config.normalize);
    assert_int_equal(1, config.bn_groups);
    assert_true(config.bn_momentum == 0.1 && config.bn_eps == 1e-5);
}

static void wrong_shapes(void **state) {
    (void) state;
    static float images[64 * 60];
    float out[64 * 64];
    moco_encoder_config config = small_config("mlp");
    moco_encoder *encoder = make_encoder(context, &config);
    for (int64_t i = 0; i < 64 * 60; ++i) images[i] = (float) hashed(1, i);
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 0, 4, 5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, -4, 4, 5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 4, 0, 5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 4, 4, -5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 4, 5, 5, out)); /* not mlp_input_dim */
    assert_non_null(strstr(moco_last_error(), "mlp_input_dim"));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, INT64_MAX, 4, 5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 2, INT64_MAX / 2, INT64_MAX / 2, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, NULL, 4, 4, 5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 4, 4, 5, NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(NULL, images, 4, 4, 5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_evaluate(encoder, images, 0, 4, 5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_features(encoder, images, 4, 5, 5, out));
    /* One value per channel has no variance: refused in training, fine in evaluation. */
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 1, 4, 5, out));
    assert_non_null(strstr(moco_last_error(), "layers.1"));
    assert_ok(moco_encoder_evaluate(encoder, images, 1, 4, 5, out));
    assert_int_equal(0, moco_encoder_batches_tracked(encoder));
    moco_encoder_destroy(encoder);

    config = small_config("cifar_resnet8");
    config.bn_groups = 4;
    encoder = make_encoder(context, &config);
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 3, 8, 8, out)); /* fewer than groups */
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 4, 1, 1, out)); /* one value each */
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 7, 4, 4, out)); /* in layer3 */
    assert_non_null(strstr(moco_last_error(), "layer3"));
    assert_ok(moco_encoder_forward(encoder, images, 8, 4, 4, out));
    assert_ok(moco_encoder_evaluate(encoder, images, 1, 1, 1, out));
    moco_encoder_destroy(encoder);
}

static void wrong_order_of_calls(void **state) {
    (void) state;
    static float images[64 * 60];
    float out[64 * 8], gradient[64 * 8] = {0.0F};
    moco_encoder_config config = small_config("mlp");
    moco_encoder *encoder = make_encoder(context, &config);
    for (int64_t i = 0; i < 64 * 60; ++i) images[i] = (float) hashed(1, i);
    assert_status(MOCO_INVALID_STATE, moco_encoder_backward(encoder, gradient, 4));
    assert_ok(moco_encoder_evaluate(encoder, images, 4, 4, 5, out));
    assert_status(MOCO_INVALID_STATE, moco_encoder_backward(encoder, gradient, 4));
    assert_ok(moco_encoder_forward(encoder, images, 4, 4, 5, out));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_backward(encoder, gradient, 5));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_backward(encoder, NULL, 4));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_backward(NULL, gradient, 4));
    /* A forward that was refused leaves the pending backward as it was. */
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_forward(encoder, images, 1, 4, 5, out));
    assert_ok(moco_encoder_backward(encoder, gradient, 4));
    assert_status(MOCO_INVALID_STATE, moco_encoder_backward(encoder, gradient, 4)); /* once */
    moco_encoder_destroy(encoder);
}

static void wrong_parameter_access(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    moco_encoder *encoder = make_encoder(context, &config);
    const int64_t count = moco_encoder_parameter_count(encoder);
    moco_parameter_info info = {.struct_size = sizeof info};
    float values[60 * 12];
    int64_t index = 77;
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_parameter_info(encoder, -1, &info));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_parameter_info(encoder, count, &info));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_parameter_info(encoder, 0, NULL));
    info.struct_size = 0;
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_parameter_info(encoder, 0, &info));
    assert_status(MOCO_NOT_FOUND, moco_encoder_find_parameter(encoder, "fc.weights", &index));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_find_parameter(encoder, NULL, &index));
    assert_int_equal(77, index);
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_read_parameter(encoder, count, values));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_read_parameter(encoder, 0, NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_write_parameter(encoder, INT64_MIN, values));
    assert_ok(moco_encoder_find_parameter(encoder, "layers.1.running_mean", &index));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_read_gradient(encoder, index, values)); /* a buffer */
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_zero_gradients(NULL));
    assert_int_equal(0, moco_encoder_parameter_count(NULL));
    assert_int_equal(0, moco_encoder_embedding_dim(NULL));
    assert_int_equal(0, moco_encoder_feature_dim(NULL));
    assert_int_equal(0, moco_encoder_channels(NULL));
    assert_int_equal(0, moco_encoder_learnable_elements(NULL));
    assert_int_equal(0, moco_encoder_batches_tracked(NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_set_batches_tracked(NULL, 1));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_set_batches_tracked(encoder, -1));
    moco_encoder_destroy(NULL);
    moco_encoder_destroy(encoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bfloat16_where_there_is_none),
        cmocka_unit_test(listed_architectures_are_built_in),
        cmocka_unit_test(wrong_configurations),
        cmocka_unit_test(the_defaults_are_the_papers),
        cmocka_unit_test(wrong_shapes),
        cmocka_unit_test(wrong_order_of_calls),
        cmocka_unit_test(wrong_parameter_access),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
