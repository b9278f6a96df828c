/* Weights of others in encoders: every layout that people have is found by its names, what doesn't fit is told, and a file
 * that fails leaves the encoder as it was.
 */
#define _GNU_SOURCE
#include "support/encoder_fixture.h"

#include <moco/sys/encoder_ops.h>
#include <moco/weights.h>

#include "io/safetensors.h"
#include "support/reading_built_in.h"
#include "support/torch_model.h"

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

static moco_encoder *make_small(int32_t head, uint64_t seed) {
    moco_encoder_config config;
    moco_encoder *encoder = NULL;
    assert_ok(moco_encoder_config_init(&config, sizeof config));
    config.architecture = "cifar_resnet8";
    config.head = head;
    config.embedding_dim = 6;
    config.seed = seed;
    assert_ok(moco_encoder_create(&encoder, context, &config));
    return encoder;
}

/* With a running_mean and a counter of its own, too. */
static moco_encoder *make_source(int32_t head) {
    moco_encoder *encoder = make_small(head, 7);
    float mean[16];
    int64_t index = -1;
    assert_ok(moco_encoder_find_parameter(encoder, "bn1.running_mean", &index));
    for (int i = 0; i < 16; ++i) mean[i] = 0.25F * (float) i;
    assert_ok(moco_encoder_write_parameter(encoder, index, mean));
    assert_ok(moco_encoder_set_batches_tracked(encoder, 1234));
    return encoder;
}

/* How many parameters differ. */
static int64_t differences(const moco_encoder *a, const moco_encoder *b) {
    int64_t count = 0;
    assert_int_equal(moco_encoder_parameter_count(a), moco_encoder_parameter_count(b));
    for (int64_t i = 0; i < moco_encoder_parameter_count(a); ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_ok(moco_encoder_parameter_info(a, i, &info));
        const size_t bytes = (size_t) info.elements * sizeof(float);
        float *x = (float *) malloc(bytes);
        float *y = (float *) malloc(bytes);
        assert_non_null(x);
        assert_non_null(y);
        assert_ok(moco_encoder_read_parameter(a, i, x));
        assert_ok(moco_encoder_read_parameter(b, i, y));
        count += memcmp(x, y, bytes) != 0;
        free(x);
        free(y);
    }
    return count;
}

/* --- Layouts --- */

static void every_layout_is_found(void **state) {
    (void) state;
    static const struct {
        const char *wrapper; /* a dict's key around the state_dict; NULL: none */
        const char *prefix;
        const char *head; /* what fc. is called */
        const char *found;
    } layouts[] = {
        {NULL, "", "fc.", ""}, /* torchvision, timm */
        {"state_dict", "module.encoder_q.", "fc.", "state_dict.module.encoder_q."},
        {"state_dict", "module.base_encoder.", "fc.", "state_dict.module.base_encoder."},
        {"model", "", "fc.", "model."},
        {"model_ema", "module.", "fc.", "model_ema.module."},
        {"state_dict_ema", "", "fc.", "state_dict_ema."},
        {"teacher", "backbone.", "head.", "teacher.backbone."},
        {"state_dict", "backbone.", "^projector.", "state_dict.backbone."}, /* solo-learn: beside it */
        {NULL, "backbone.", "^projection_head.", "backbone."},
        {"state_dict", "backbone.", "^projection_head.layers.", "state_dict.backbone."}, /* lightly */
        {NULL, "encoder_q.0.", "fc.", "encoder_q.0."},
        {NULL, "_orig_mod.", "fc.", "_orig_mod."},
        {"student", "module.backbone.", "projector.", "student.module.backbone."},
    };
    moco_encoder *source = make_source(MOCO_HEAD_MLP);
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; ++i) {
        torch_model model = {0};
        moco_load_report report = {.struct_size = sizeof report};
        moco_encoder *target = make_small(MOCO_HEAD_MLP, 8);
        torch_dict(&model);
        if (layouts[i].wrapper != NULL) {
            torch_text(&model, layouts[i].wrapper);
            torch_dict(&model);
        }
        torch_state_dict(&model, source, layouts[i].prefix, "fc.", layouts[i].head);
        if (layouts[i].wrapper != NULL) torch_set(&model);
        torch_finish(&model, path);
        if (moco_encoder_load(target, path, NULL, &report) != MOCO_OK) fail_msg("%zu: %s", i, moco_last_error());
        assert_string_equal(report.prefix, layouts[i].found);
        assert_int_equal(differences(source, target), 0);
        assert_int_equal(report.loaded, moco_encoder_parameter_count(source));
        assert_int_equal(report.missing, 0);
        assert_int_equal(report.kind, MOCO_WEIGHTS_TORCH_ZIP);
        assert_int_equal(report.batches_tracked, 1234);
        assert_int_equal(moco_encoder_batches_tracked(target), 1234);
        moco_encoder_destroy(target);
    }
    moco_encoder_destroy(source);
}

/* Of two networks in a file, the one that is trained; the other by its prefix. */
static void query_before_key(void **state) {
    (void) state;
    static const char *const pairs[][2] = {{"module.encoder_k.", "module.encoder_q."},
                                           {"module.momentum_encoder.", "module.base_encoder."},
                                           {"teacher.backbone.", "student.backbone."},
                                           {"model_ema.", "model."}};
    moco_encoder *key = make_small(MOCO_HEAD_LINEAR, 1);
    moco_encoder *query = make_source(MOCO_HEAD_LINEAR);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; ++i) {
        torch_model model = {0};
        moco_encoder *target = make_small(MOCO_HEAD_LINEAR, 8);
        moco_load_options options;
        torch_dict(&model);
        torch_state_dict(&model, key, pairs[i][0], NULL, NULL);
        torch_state_dict(&model, query, pairs[i][1], NULL, NULL);
        torch_finish(&model, path);
        assert_ok(moco_encoder_load(target, path, NULL, NULL));
        assert_int_equal(differences(query, target), 0);
        assert_ok(moco_load_options_init(&options, sizeof options));
        options.prefix = pairs[i][0];
        assert_ok(moco_encoder_load(target, path, &options, NULL));
        assert_int_equal(differences(key, target), 0);
        moco_encoder_destroy(target);
    }
    moco_encoder_destroy(key);
    moco_encoder_destroy(query);
}

typedef struct told_items {
    int64_t count[3];
    char last[3][128];
} told_items;

static void note_item(int32_t what, const char *in_file, const char *parameter, void *user) {
    told_items *told = (told_items *) user;
    assert_true(what >= 0 && what < 3);
    told->count[what]++;
    snprintf(told->last[what], sizeof told->last[what], "%s=%s", in_file == NULL ? "" : in_file,
             parameter == NULL ? "" : parameter);
}

/* A supervised network's classifier, and a head that the file lacks. */
static void heads_that_are_others(void **state) {
    (void) state;
    static const int64_t classes[2] = {10, 64};
    static float classifier[640];
    moco_encoder *source = make_source(MOCO_HEAD_LINEAR);
    moco_encoder *mlp = make_small(MOCO_HEAD_MLP, 8);
    moco_encoder *linear = make_small(MOCO_HEAD_LINEAR, 8);
    moco_load_report report = {.struct_size = sizeof report};
    moco_load_options options;
    told_items told = {0};
    torch_model model = {0};
    torch_dict(&model);
    torch_state_dict(&model, source, "", "fc.", NULL);
    torch_text(&model, "fc.weight");
    torch_tensor(&model, 2, classes, classifier);
    torch_set(&model);
    torch_finish(&model, path);
    assert_ok(moco_load_options_init(&options, sizeof options));
    options.on_item = note_item;
    options.user = &told;
    assert_ok(moco_encoder_load(mlp, path, &options, &report));
    assert_int_equal(report.missing, 4);
    assert_int_equal(report.unexpected, 1);
    assert_int_equal(report.loaded, moco_encoder_parameter_count(mlp) - 4);
    assert_int_equal(told.count[MOCO_ITEM_LOADED], report.loaded);
    assert_int_equal(told.count[MOCO_ITEM_MISSING], 4);
    assert_int_equal(told.count[MOCO_ITEM_UNEXPECTED], 1);
    assert_string_equal(told.last[MOCO_ITEM_MISSING], "=fc.2.bias");
    assert_string_equal(told.last[MOCO_ITEM_UNEXPECTED], "fc.weight=");
    options.may_miss = MOCO_MAY_MISS_NOTHING;
    assert_status(MOCO_NOT_FOUND, moco_encoder_load(mlp, path, &options, &report));
    assert_non_null(strstr(moco_last_error(), "fc.0.weight"));
    /* A linear head of another size is an error; without the head it loads. */
    options.may_miss = MOCO_MAY_MISS_HEAD;
    assert_status(MOCO_FORMAT, moco_encoder_load(linear, path, &options, &report));
    assert_non_null(strstr(moco_last_error(), "\"fc.weight\" has shape [10, 64]; this encoder's is [6, 64]"));
    assert_non_null(strstr(moco_last_error(), "MOCO_LOAD_BACKBONE"));
    options.parts = MOCO_LOAD_BACKBONE;
    assert_ok(moco_encoder_load(linear, path, &options, &report));
    assert_int_equal(report.missing, 0);
    assert_int_equal(report.loaded, moco_encoder_parameter_count(linear) - 2);
    assert_int_equal(differences(source, linear), 2);
    moco_encoder_destroy(source);
    moco_encoder_destroy(mlp);
    moco_encoder_destroy(linear);
}

/* --- What fails changes nothing --- */

static void put_model(const moco_encoder *source, const char *but, int rank, const int64_t *dims, const float *values) {
    torch_model model = {0};
    torch_dict(&model);
    torch_text(&model, "state_dict");
    torch_dict(&model);
    torch_state_dict(&model, source, "module.", but, NULL);
    if (values != NULL) {
        char name[128];
        snprintf(name, sizeof name, "module.%s", but);
        torch_text(&model, name);
        torch_tensor(&model, rank, dims, values);
        torch_set(&model);
    }
    torch_set(&model);
    torch_finish(&model, path);
}

static void nothing_is_half_loaded(void **state) {
    (void) state;
    static float values[64 * 64 * 9];
    static const int64_t transposed[4] = {32, 64, 3, 3};
    static const int64_t right[4] = {64, 64, 3, 3};
    static const int64_t flat[1] = {64 * 64 * 9};
    static const char *const last = "layer3.0.conv2.weight";
    moco_encoder *source = make_source(MOCO_HEAD_LINEAR);
    moco_encoder *target = make_small(MOCO_HEAD_LINEAR, 8);
    moco_encoder *same = make_small(MOCO_HEAD_LINEAR, 8);
    moco_load_options options;
    put_model(source, last, 4, transposed, values);
    assert_status(MOCO_FORMAT, moco_encoder_load(target, path, NULL, NULL));
    assert_non_null(strstr(moco_last_error(), "[32, 64, 3, 3]; this encoder's is [64, 64, 3, 3]"));
    put_model(source, last, 1, flat, values);
    assert_status(MOCO_FORMAT, moco_encoder_load(target, path, NULL, NULL));
    put_model(source, last, 0, NULL, NULL);
    assert_status(MOCO_NOT_FOUND, moco_encoder_load(target, path, NULL, NULL));
    assert_non_null(strstr(moco_last_error(), "state_dict.module.layer3.0.conv2.weight"));
    values[64 * 64 * 9 - 1] = NAN;
    put_model(source, last, 4, right, values);
    assert_status(MOCO_FORMAT, moco_encoder_load(target, path, NULL, NULL));
    assert_non_null(strstr(moco_last_error(), "not finite"));
    torch_model other = {0}; /* a network of other names */
    torch_dict(&other);
    torch_text(&other, "blocks.0.attn.qkv.weight");
    torch_tensor(&other, 4, right, values);
    torch_set(&other);
    torch_finish(&other, path);
    assert_status(MOCO_NOT_FOUND, moco_encoder_load(target, path, NULL, NULL));
    assert_non_null(strstr(moco_last_error(), "blocks.0.attn.qkv.weight"));
    torch_dict(&other); /* and no network at all */
    torch_finish(&other, path);
    assert_status(MOCO_NOT_FOUND, moco_encoder_load(target, path, NULL, NULL));
    assert_status(MOCO_NOT_FOUND, moco_encoder_load(target, "/no/such/file", NULL, NULL));
    assert_int_equal(differences(same, target), 0);
    assert_int_equal(moco_encoder_batches_tracked(target), 0);
    /* What may be missing keeps its value. */
    put_model(source, last, 0, NULL, NULL);
    assert_ok(moco_load_options_init(&options, sizeof options));
    options.may_miss = MOCO_MAY_MISS_ANYTHING;
    assert_ok(moco_encoder_load(target, path, &options, NULL));
    assert_int_equal(differences(source, target), 1);
    options.prefix = "module."; /* where nothing is */
    assert_status(MOCO_NOT_FOUND, moco_encoder_load(target, path, &options, NULL));
    options.parts = 2;
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_load(target, path, &options, NULL));
    options.parts = 0;
    options.may_miss = -1;
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_load(target, path, &options, NULL));
    moco_load_report report = {0};
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_load(target, path, NULL, &report));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_load(NULL, path, NULL, NULL));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_load(target, NULL, NULL, NULL));
    assert_int_equal(differences(source, target), 1);
    moco_encoder_destroy(source);
    moco_encoder_destroy(target);
    moco_encoder_destroy(same);
}

/* --- Files without metadata, and halves --- */

static void opened_by_a_configuration(void **state) {
    (void) state;
    moco_encoder *source = make_source(MOCO_HEAD_LINEAR);
    moco_encoder *opened = NULL;
    moco_encoder_config config;
    moco_load_report report = {.struct_size = sizeof report};
    put_model(source, NULL, 0, NULL, NULL);
    assert_status(MOCO_NOT_FOUND, moco_encoder_open(&opened, context, path));
    assert_non_null(strstr(moco_last_error(), "moco.architecture"));
    assert_null(opened);
    assert_ok(moco_encoder_config_init(&config, sizeof config));
    config.architecture = "cifar_resnet8";
    config.embedding_dim = 6;
    assert_ok(moco_encoder_open_as(&opened, context, path, &config, NULL, &report));
    assert_int_equal(differences(source, opened), 0);
    assert_int_equal(report.batches_tracked, 1234);
    moco_encoder_destroy(opened);
    opened = NULL;
    config.architecture = "cifar_resnet14";
    assert_status(MOCO_NOT_FOUND, moco_encoder_open_as(&opened, context, path, &config, NULL, &report));
    assert_null(opened);
    moco_encoder_destroy(source);
}

/* float16 and bfloat16 of 1.5, which both hold exactly, and float64. */
static void other_dtypes_are_converted(void **state) {
    (void) state;
    static const struct {
        const char *type;
        size_t size;
        unsigned char value[8];
    } kinds[] = {{"HalfStorage", 2, {0x00, 0x3e}},
                 {"BFloat16Storage", 2, {0xc0, 0x3f}},
                 {"DoubleStorage", 8, {0, 0, 0, 0, 0, 0, 0xf8, 0x3f}}};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; ++k) {
        torch_model model = {0};
        unsigned char bytes[16 * 8];
        float mean[16];
        int64_t index = -1;
        static const int64_t dims[1] = {16};
        moco_load_options options;
        moco_encoder *target = make_small(MOCO_HEAD_NONE, 8);
        for (size_t i = 0; i < 16; ++i) memcpy(bytes + i * kinds[k].size, kinds[k].value, kinds[k].size);
        torch_dict(&model);
        torch_text(&model, "bn1.running_mean");
        torch_tensor_of(&model, kinds[k].type, kinds[k].size, 1, dims, bytes);
        torch_set(&model);
        torch_finish(&model, path);
        assert_ok(moco_load_options_init(&options, sizeof options));
        options.may_miss = MOCO_MAY_MISS_ANYTHING;
        assert_ok(moco_encoder_load(target, path, &options, NULL));
        assert_ok(moco_encoder_find_parameter(target, "bn1.running_mean", &index));
        assert_ok(moco_encoder_read_parameter(target, index, mean));
        for (int i = 0; i < 16; ++i) assert_true(mean[i] == 1.5F);
        moco_encoder_destroy(target);
    }
}

/* --- A caller's own network: what moco_encoder_save wrote comes back --- */

typedef struct own_net {
    float weight[6];
    float gradient[6];
    float mean[2];
} own_net;

static int32_t own_forward(void *self, int32_t mode, const float *images, int64_t n, int64_t h, int64_t w, float *y) {
    (void) self, (void) mode, (void) images, (void) h, (void) w;
    for (int64_t i = 0; i < 2 * n; ++i) y[i] = 1;
    return 0;
}
static int32_t own_backward(void *self, const float *dy, int64_t n) {
    (void) self, (void) dy, (void) n;
    return 0;
}
static int64_t own_count(void *self) {
    (void) self;
    return 2;
}
static int32_t own_parameter(void *self, int64_t index, moco_parameter_span *out) {
    own_net *net = (own_net *) self;
    const moco_parameter_span spans[2] = {
        {"proj.weight", net->weight, net->gradient, MOCO_PARAMETER_LEARNABLE, 2, {2, 3}},
        {"norm.running_mean", net->mean, NULL, MOCO_PARAMETER_BUFFER, 1, {2}},
    };
    *out = spans[index];
    return 0;
}
static int32_t own_clone(void *self, void **copy) {
    *copy = malloc(sizeof(own_net));
    if (*copy == NULL) return 1;
    memcpy(*copy, self, sizeof(own_net));
    return 0;
}

static moco_encoder *make_own(float first) {
    const moco_encoder_ops ops = {.struct_size = sizeof ops,
                                  .abi_version = MOCO_ENCODER_OPS_VERSION,
                                  .forward = own_forward,
                                  .backward = own_backward,
                                  .parameter_count = own_count,
                                  .parameter = own_parameter,
                                  .clone = own_clone,
                                  .destroy = free};
    moco_encoder_custom_config config;
    moco_encoder *encoder = NULL;
    own_net *net = (own_net *) calloc(1, sizeof *net);
    assert_non_null(net);
    for (int i = 0; i < 6; ++i) net->weight[i] = first + (float) i;
    net->mean[1] = first;
    assert_ok(moco_encoder_custom_config_init(&config, sizeof config));
    config.embedding_dim = 2;
    assert_ok(moco_encoder_create_custom(&encoder, context, &ops, net, &config));
    return encoder;
}

static void an_own_network_comes_back(void **state) {
    (void) state;
    moco_encoder *source = make_own(3);
    moco_encoder *target = make_own(100);
    moco_load_report report = {.struct_size = sizeof report};
    assert_ok(moco_encoder_set_batches_tracked(source, 77));
    assert_ok(moco_encoder_save(source, path, NULL, NULL, 0));
    if (reading_is_built_in()) {
        assert_ok(moco_encoder_load(target, path, NULL, &report));
        assert_int_equal(differences(source, target), 0);
        assert_int_equal(report.kind, MOCO_WEIGHTS_SAFETENSORS);
        assert_int_equal(moco_encoder_batches_tracked(target), 77);
    } else {
        assert_status(MOCO_UNSUPPORTED, moco_encoder_load(target, path, NULL, &report));
    }
    /* Nothing of it counts as a head: all must be there. */
    torch_model model = {0};
    torch_dict(&model);
    torch_text(&model, "net.proj.weight");
    torch_parameter(&model, source, 0);
    torch_set(&model);
    torch_finish(&model, path);
    assert_status(MOCO_NOT_FOUND, moco_encoder_load(target, path, NULL, &report));
    assert_non_null(strstr(moco_last_error(), "net.norm.running_mean"));
    moco_encoder_destroy(source);
    moco_encoder_destroy(target);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_layout_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(query_before_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(heads_that_are_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_half_loaded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(opened_by_a_configuration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_dtypes_are_converted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_own_network_comes_back, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
