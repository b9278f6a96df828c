/* Which network of a file with several is taken: the one that was trained, not the average of it, whatever their order in
 * the file and however long their names are; and what is said of a file that has none that fits. libmoco's own training checkpoints are such files, too.
 */
#define _GNU_SOURCE
#include "support/encoder_fixture.h"

#include <moco/checkpoint.h>
#include <moco/weights.h>

#include "support/reading_built_in.h"
#include "support/torch_model.h"
#include "support/training_parts.h"

static temporary_folder folder;
static char path[TEST_PATH_SIZE];
static moco_context *context;

static int set_up(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    path_in(&folder, "weights", path);
    return moco_context_create(&context, NULL) == MOCO_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void) state;
    moco_context_destroy(context);
    remove_temporary_folder(&folder);
    return 0;
}

static moco_encoder *make_small(uint64_t seed) {
    moco_encoder_config config;
    moco_encoder *encoder = NULL;
    assert_ok(moco_encoder_config_init(&config, sizeof config));
    config.architecture = "cifar_resnet8";
    config.head = MOCO_HEAD_NONE;
    config.seed = seed;
    assert_ok(moco_encoder_create(&encoder, context, &config));
    return encoder;
}

/* --- Pairs --- */

static void the_trained_one_is_taken(void **state) {
    (void) state;
    static const struct {
        const char *trained;
        const char *average;
    } pairs[] = {
        {"module.encoder_q.", "module.encoder_k."}, /* official MoCo v1, v2 */
        {"encoder_q.", "encoder_k."},
        {"module.base_encoder.", "module.momentum_encoder."}, /* v3 */
        {"query_encoder.", "key_encoder."},                   /* ours; longer than the other */
        {"student.backbone.", "teacher.backbone."},           /* DINO */
        {"student_backbone.", "teacher_backbone."},
        {"backbone.", "backbone_momentum."}, /* lightly */
        {"backbone.", "momentum_backbone."}, /* solo-learn */
        {"state_dict.a_long_name_around.backbone.", "momentum_backbone."},
        {"online_encoder.", "target_encoder."}, /* BYOL's */
        {"model.", "ema."},
        {"a_longer_model.", "model_ema."},
        {"schema.", "ema."}, /* a part of a word is no word */
    };
    moco_encoder *trained = make_small(1);
    moco_encoder *average = make_small(2);
    assert_true(encoder_checksum(trained) != encoder_checksum(average));
    for (size_t i = 0; i < 2 * sizeof pairs / sizeof pairs[0]; ++i) {
        torch_model model = {0};
        moco_load_report report = {.struct_size = sizeof report};
        moco_encoder *target = make_small(3);
        torch_dict(&model);
        for (size_t j = 0; j < 2; ++j) { /* either first */
            const int is_trained = i % 2 == j;
            torch_state_dict(&model, is_trained ? trained : average,
                             is_trained ? pairs[i / 2].trained : pairs[i / 2].average, NULL, NULL);
        }
        torch_finish(&model, path);
        assert_ok(moco_encoder_load(target, path, NULL, &report));
        assert_string_equal(report.prefix, pairs[i / 2].trained);
        assert_true(encoder_checksum(target) == encoder_checksum(trained));
        moco_encoder_destroy(target);
    }
    moco_encoder_destroy(trained);
    moco_encoder_destroy(average);
}

/* --- A checkpoint of moco_trainer_save --- */

static void own_checkpoints(void **state) {
    (void) state;
    static const float bias[16] = {0.5F, -0.25F};
    training_parts parts, other;
    const training_configs configs = small_training("reference", 1);
    moco_load_report report = {.struct_size = sizeof report};
    moco_import_report import = {.struct_size = sizeof import};
    moco_encoder *opened = NULL;
    int64_t index = -1;
    if (!reading_is_built_in()) skip();
    assert_ok(training_create(&parts, &configs));
    assert_ok(training_create(&other, &configs));
    const uint64_t untouched = encoder_checksum(other.encoder);
    assert_ok(moco_encoder_find_parameter(parts.encoder, "bn1.bias", &index)); /* the key encoder keeps its zeros */
    assert_ok(moco_encoder_write_parameter(parts.encoder, index, bias));
    assert_true(encoder_checksum(parts.encoder) != untouched);
    assert_ok(moco_trainer_save(parts.trainer, path, NULL, NULL, 0));
    /* Its import is refused, by the name of what takes it, and changes nothing. */
    assert_status(MOCO_INVALID_ARGUMENT, moco_trainer_import(other.trainer, path, NULL, &import));
    assert_non_null(strstr(moco_last_error(), "moco_trainer_restore"));
    assert_non_null(strstr(moco_last_error(), path));
    assert_true(encoder_checksum(other.encoder) == untouched);
    /* Encoders take the query encoder. */
    assert_ok(moco_encoder_load(other.encoder, path, NULL, &report));
    assert_string_equal(report.prefix, "query_encoder.");
    assert_int_equal(report.missing, 0);
    assert_true(encoder_checksum(other.encoder) == encoder_checksum(parts.encoder));
    assert_ok(moco_encoder_open_as(&opened, context, path, &configs.encoder, NULL, &report));
    assert_string_equal(report.prefix, "query_encoder.");
    assert_true(encoder_checksum(opened) == encoder_checksum(parts.encoder));
    moco_encoder_destroy(opened);
    training_destroy(&parts);
    training_destroy(&other);
}

/* --- Files of other architectures say so --- */

static moco_encoder *make_cifar(const char *architecture) {
    moco_encoder_config config;
    moco_encoder *encoder = NULL;
    assert_ok(moco_encoder_config_init(&config, sizeof config));
    config.architecture = architecture;
    config.head = MOCO_HEAD_NONE;
    assert_ok(moco_encoder_create(&encoder, context, &config));
    return encoder;
}

/* All of a ResNet-8's tensors are a ResNet-20's, too, which has two blocks more in each of its layers. */
static void another_architecture(void **state) {
    (void) state;
    moco_encoder *small = make_cifar("cifar_resnet8");
    moco_encoder *large = make_cifar("cifar_resnet20");
    moco_load_options options;
    char fit[128];
    torch_model model = {0};
    const uint64_t before = encoder_checksum(large);
    torch_dict(&model);
    torch_state_dict(&model, small, "module.", NULL, NULL);
    torch_finish(&model, path);
    assert_status(MOCO_NOT_FOUND, moco_encoder_load(large, path, NULL, NULL));
    snprintf(fit, sizeof fit, "%lld of %lld tensors fit: is the file of another architecture?",
             (long long) moco_encoder_parameter_count(small), (long long) moco_encoder_parameter_count(large));
    if (strstr(moco_last_error(), fit) == NULL) fail_msg("%s", moco_last_error());
    /* No dot behind the network's name: the inner blocks' names end alike, but none is the network. */
    torch_dict(&model);
    torch_state_dict(&model, small, "encoder_q", NULL, NULL);
    torch_finish(&model, path);
    assert_status(MOCO_NOT_FOUND, moco_encoder_load(small, path, NULL, NULL));
    if (strstr(moco_last_error(), "another architecture") == NULL) fail_msg("%s", moco_last_error());
    assert_non_null(strstr(moco_last_error(), "encoder_qconv1.weight"));
    assert_null(strstr(moco_last_error(), "encoder_qlayer1.0.layer1"));
    /* A caller who knows says so. */
    assert_ok(moco_load_options_init(&options, sizeof options));
    options.prefix = "encoder_q";
    assert_ok(moco_encoder_load(small, path, &options, NULL));
    assert_true(encoder_checksum(large) == before);
    moco_encoder_destroy(small);
    moco_encoder_destroy(large);
}

/* A shape in the middle of a network, as resnet18d's downsample.1.weight is a convolution's. */
static void another_shape(void **state) {
    (void) state;
    static const int64_t dims[4] = {16, 16, 1, 1};
    static const float values[256];
    moco_encoder *small = make_cifar("cifar_resnet8");
    char fit[128];
    torch_model model = {0};
    torch_dict(&model);
    torch_state_dict(&model, small, "", "layer1.0.bn1.weight", NULL);
    torch_text(&model, "layer1.0.bn1.weight");
    torch_tensor(&model, 4, dims, values);
    torch_set(&model);
    torch_finish(&model, path);
    assert_status(MOCO_FORMAT, moco_encoder_load(small, path, NULL, NULL));
    snprintf(fit, sizeof fit, "%lld of %lld tensors fit: is the file of another architecture?",
             (long long) moco_encoder_parameter_count(small) - 1, (long long) moco_encoder_parameter_count(small));
    assert_non_null(strstr(moco_last_error(), fit));
    assert_non_null(
        strstr(moco_last_error(), "\"layer1.0.bn1.weight\" has shape [16, 16, 1, 1]; this encoder's is [16]"));
    moco_encoder_destroy(small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_trained_one_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_checkpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_architecture, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_shape, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
