/* moco_encoder_export: what is refused and how, what our own kind of file gives back, and that a failure leaves the file
 * of before. What the other kinds hold is read by tests/interop/check_exports.py. */
#include "support/encoder_fixture.h"

#include <math.h>
#include <moco/export_model.h>
#include <moco/sys/encoder_ops.h>
#include <sys/stat.h>

#include "support/reading_built_in.h"
#include "support/temporary_folder.h"

static temporary_folder folder;
static char path[TEST_PATH_SIZE];
static moco_context *context;

static int set_up(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    path_in(&folder, "model", path);
    return moco_context_create(&context, NULL) == MOCO_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void) state;
    moco_context_destroy(context);
    char file[2 * TEST_PATH_SIZE]; /* what is in the folder that TIMM makes */
    static const char *const names[] = {"model.safetensors", "head.safetensors", "config.json", "build_model.py"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        (void) remove(file);
    }
    remove_temporary_folder(&folder);
    return 0;
}

static moco_encoder *an_encoder(const char *architecture, int32_t head) {
    moco_encoder *encoder = NULL;
    moco_encoder_config config = small_config(architecture);
    config.head = head;
    config.stem = MOCO_STEM_IMAGENET;
    config.bn_eps = 1e-5;
    assert_ok(moco_encoder_create(&encoder, context, &config));
    return encoder;
}

static moco_export_config settings(int32_t kind) {
    moco_export_config config;
    assert_ok(moco_export_config_init(&config, sizeof config));
    config.kind = kind;
    return config;
}

static void assert_refused(const moco_encoder *encoder, const moco_export_config *config, moco_status expected,
                           const char *part_of_sentence) {
    assert_int_equal(moco_encoder_export(encoder, path, config), expected);
    if (strstr(moco_last_error(), part_of_sentence) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", moco_last_error(), part_of_sentence);
    }
    assert_int_equal(files_in(&folder), 0);
}

static void settings_are_checked(void **state) {
    (void) state;
    moco_encoder *encoder = an_encoder("cifar_resnet8", MOCO_HEAD_MLP);
    moco_augment_config view;
    assert_ok(moco_augment_config_init(&view, sizeof view, MOCO_AUGMENT_V1));
    static const char *const name_of_none[] = {NULL};
    const moco_export_config good = settings(MOCO_EXPORT_TORCH);
    moco_export_config config = good;
#define REFUSED(field, value, sentence)                                    \
    do {                                                                   \
        config.field = value;                                              \
        assert_refused(encoder, &config, MOCO_INVALID_ARGUMENT, sentence); \
        config = good;                                                     \
    } while (0)
    REFUSED(kind, -1, "kind is -1");
    REFUSED(kind, 6, "kind is 6");
    REFUSED(with_head, 2, "with_head is 2");
    REFUSED(fold_batch_norm, -1, "fold_batch_norm is -1");
    REFUSED(with_preprocess, 7, "with_preprocess is 7");
    REFUSED(with_preprocess, 1, "MOCO_EXPORT_ONNX");
    REFUSED(class_count, -1, "class_count is -1");
    REFUSED(class_count, 1, "class_names is NULL");
    REFUSED(epoch, -1, "epoch is -1");
    REFUSED(entry_count, -1, "entry_count is -1");
    REFUSED(entry_count, 2, "keys or values is NULL");
    config.class_names = name_of_none;
    REFUSED(class_count, 1, "class_names[0] is NULL");
#undef REFUSED
    config.kind = MOCO_EXPORT_SAFETENSORS;
    config.description = "\xFF";
    assert_refused(encoder, &config, MOCO_INVALID_ARGUMENT, "UTF-8");
    config = good;
    config.augment = &view;
    view.std[1] = 0;
    assert_refused(encoder, &config, MOCO_INVALID_ARGUMENT, "std[1] 0");
    view.std[1] = 1;
    view.height = 0;
    assert_refused(encoder, &config, MOCO_INVALID_ARGUMENT, "height is 0");
    assert_int_equal(moco_encoder_export(NULL, path, &good), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_encoder_export(encoder, NULL, &good), MOCO_INVALID_ARGUMENT);
    moco_encoder_destroy(encoder);
}

/* What an ONNX graph can't be asked for. */
static void graphs_fit_their_images(void **state) {
    (void) state;
    moco_encoder_config network = small_config("cifar_resnet8");
    moco_encoder *grey = NULL;
    moco_encoder *flat = NULL;
    moco_augment_config view;
    assert_ok(moco_augment_config_init(&view, sizeof view, MOCO_AUGMENT_CIFAR));
    network.channels = 1;
    assert_ok(moco_encoder_create(&grey, context, &network));
    network.channels = 3;
    network.architecture = "mlp";
    network.mlp_input_dim = 3 * 32 * 31;
    assert_ok(moco_encoder_create(&flat, context, &network));
    moco_export_config config = settings(MOCO_EXPORT_ONNX);
    config.with_preprocess = 1;
    assert_refused(grey, &config, MOCO_INVALID_ARGUMENT, "augment, which has mean and std");
    config.augment = &view;
    assert_refused(grey, &config, MOCO_INVALID_ARGUMENT, "images have 1 channels");
    assert_refused(flat, &config, MOCO_INVALID_ARGUMENT, "3 x 32 x 32, but the encoder takes 2976 numbers");
    view.width = 31;
    assert_ok(moco_encoder_export(flat, path, &config));
    config.with_preprocess = 0;
    assert_ok(moco_encoder_export(grey, path, &config));
    moco_encoder_destroy(flat);
    moco_encoder_destroy(grey);
}

static void assert_same_features(moco_encoder *a, moco_encoder *b) {
    float images[2 * 3 * 16 * 16];
    float x[2 * 64];
    float y[2 * 64];
    for (size_t i = 0; i < sizeof images / sizeof images[0]; ++i) images[i] = sinf((float) i);
    assert_int_equal(moco_encoder_feature_dim(a), 64);
    assert_ok(moco_encoder_features(a, images, 2, 16, 16, x));
    assert_ok(moco_encoder_features(b, images, 2, 16, 16, y));
    assert_memory_equal(x, y, sizeof x);
}

/* Backbone and whole open again; what was said about the model is in the file. */
static void our_own_file_comes_back(void **state) {
    (void) state;
    if (!reading_is_built_in()) skip();
    static const char *const classes[] = {"cat", "dog \"Rex\"", "\xC3\xA9l\xC3\xA9phant"};
    static const char *const keys[] = {"mine"};
    static const char *const values[] = {"yes"};
    moco_encoder *encoder = an_encoder("cifar_resnet8", MOCO_HEAD_MLP);
    moco_augment_config view;
    assert_ok(moco_augment_config_init(&view, sizeof view, MOCO_AUGMENT_CIFAR));
    for (int32_t with_head = 0; with_head < 2; ++with_head) {
        moco_export_config config = settings(MOCO_EXPORT_SAFETENSORS);
        config.with_head = with_head;
        config.augment = &view;
        config.class_names = classes;
        config.class_count = 3;
        config.description = "a test";
        config.keys = keys;
        config.values = values;
        config.entry_count = 1;
        assert_ok(moco_encoder_export(encoder, path, &config));
        moco_encoder *opened = NULL;
        assert_ok(moco_encoder_open(&opened, context, path));
        assert_int_equal(moco_encoder_embedding_dim(opened), with_head ? moco_encoder_embedding_dim(encoder) : 64);
        assert_same_features(encoder, opened);
        moco_encoder_destroy(opened);
        char text[64];
        assert_ok(moco_file_metadata(context, path, "moco.view.mean", text, sizeof text, NULL));
        assert_string_equal(text, "0.4914/0.4822/0.4465");
        assert_ok(moco_file_metadata(context, path, "moco.view.height", text, sizeof text, NULL));
        assert_string_equal(text, "32");
        assert_ok(moco_file_metadata(context, path, "moco.description", text, sizeof text, NULL));
        assert_string_equal(text, "a test");
        assert_ok(moco_file_metadata(context, path, "mine", text, sizeof text, NULL));
        assert_string_equal(text, "yes");
    }
    char names[64];
    uint64_t length = 0;
    int64_t count = 0;
    assert_ok(moco_file_class_names(context, path, NULL, 0, &length, &count));
    assert_int_equal(count, 3);
    assert_int_equal(length, 4 + 10 + 11);
    assert_int_equal(moco_file_class_names(context, path, names, length - 1, NULL, &count), MOCO_INVALID_ARGUMENT);
    assert_ok(moco_file_class_names(context, path, names, length, NULL, &count));
    assert_memory_equal(names, "cat\0dog \"Rex\"\0\xC3\xA9l\xC3\xA9phant", (size_t) length);
    assert_ok(moco_encoder_save(encoder, path, NULL, NULL, 0));
    assert_int_equal(moco_file_class_names(context, path, names, sizeof names, NULL, &count), MOCO_NOT_FOUND);
    static const char *const class_key[] = {"moco.class_names"};
    static const char *const no_array[] = {"cat, dog"};
    assert_ok(moco_encoder_save(encoder, path, class_key, no_array, 1));
    assert_int_equal(moco_file_class_names(context, path, names, sizeof names, NULL, &count), MOCO_FORMAT);
    moco_encoder_destroy(encoder);
}

/* The same encoder gives the same bytes, in every kind of file. */
static void bytes_repeat(void **state) {
    (void) state;
    moco_encoder *encoder = an_encoder("cifar_resnet8", MOCO_HEAD_MLP);
    static const int32_t kinds[] = {MOCO_EXPORT_SAFETENSORS, MOCO_EXPORT_TORCH, MOCO_EXPORT_TORCH_MOCO,
                                    MOCO_EXPORT_ONNX};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
        const moco_export_config config = settings(kinds[i]);
        size_t size[2] = {0, 0};
        unsigned char *bytes[2];
        for (int run = 0; run < 2; ++run) {
            assert_ok(moco_encoder_export(encoder, path, &config));
            bytes[run] = read_whole_file(path, &size[run]);
            assert_non_null(bytes[run]);
        }
        assert_int_equal(size[0], size[1]);
        assert_memory_equal(bytes[0], bytes[1], size[0]);
        free(bytes[0]);
        free(bytes[1]);
    }
    moco_encoder_destroy(encoder);
}

static int32_t is_in_folder(const char *name) {
    char file[2 * TEST_PATH_SIZE];
    struct stat info;
    snprintf(file, sizeof file, "%s/%s", path, name);
    return stat(file, &info) == 0;
}

/* A folder says how to build one network: never that of an earlier export. */
static void folders_hold_one_network(void **state) {
    (void) state;
    moco_encoder *known = an_encoder("resnet18", MOCO_HEAD_MLP);
    moco_encoder *unknown = an_encoder("cifar_resnet8", MOCO_HEAD_MLP);
    moco_export_config config = settings(MOCO_EXPORT_TIMM);
    config.with_head = 1;
    assert_ok(moco_encoder_export(unknown, path, &config));
    assert_true(is_in_folder("build_model.py") && is_in_folder("head.safetensors") && !is_in_folder("config.json"));
    assert_ok(moco_encoder_export(unknown, path, &config));
    assert_int_equal(moco_encoder_export(known, path, &config), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "build_model.py"));
    config.with_head = 0;
    assert_int_equal(moco_encoder_export(unknown, path, &config), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "head.safetensors"));
    static const char *const names[] = {"build_model.py", "head.safetensors"};
    for (int i = 0; i < 2; ++i) {
        char file[2 * TEST_PATH_SIZE];
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        assert_int_equal(remove(file), 0);
    }
    assert_ok(moco_encoder_export(known, path, &config));
    assert_true(is_in_folder("config.json") && !is_in_folder("build_model.py") && !is_in_folder("head.safetensors"));
    assert_int_equal(moco_encoder_export(unknown, path, &config), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "config.json"));
    moco_encoder_destroy(unknown);
    moco_encoder_destroy(known);
}

/* --- A caller's own network --- */

typedef struct own_network {
    float weight[6];
    float mean[2];
} own_network;

static int32_t own_forward(void *self, int32_t mode, const float *images, int64_t n, int64_t h, int64_t w, float *y) {
    (void) self, (void) mode, (void) images, (void) h, (void) w;
    memset(y, 0, 2 * (size_t) n * sizeof *y);
    return 0;
}
static int32_t own_backward(void *self, const float *dy, int64_t n) {
    (void) self, (void) dy, (void) n;
    return 0;
}
static int64_t own_parameter_count(void *self) {
    (void) self;
    return 2;
}
static int32_t own_parameter(void *self, int64_t index, moco_parameter_span *out) {
    static float gradients[6];
    own_network *net = (own_network *) self;
    *out = index == 0 ? (moco_parameter_span){.name = "fc.weight",
                                              .values = net->weight,
                                              .gradients = gradients,
                                              .kind = MOCO_PARAMETER_LEARNABLE,
                                              .rank = 2,
                                              .dims = {2, 3, 1, 1}}
                      : (moco_parameter_span){.name = "norm.running_mean",
                                              .values = net->mean,
                                              .kind = MOCO_PARAMETER_BUFFER,
                                              .rank = 1,
                                              .dims = {2, 1, 1, 1}};
    return 0;
}
static int32_t own_clone(void *self, void **copy) {
    (void) self, (void) copy;
    return 1;
}
static void own_destroy(void *self) {
    (void) self;
}

static void own_networks(void **state) {
    (void) state;
    static const moco_encoder_ops ops = {.struct_size = sizeof ops,
                                         .abi_version = MOCO_ENCODER_OPS_VERSION,
                                         .forward = own_forward,
                                         .backward = own_backward,
                                         .parameter_count = own_parameter_count,
                                         .parameter = own_parameter,
                                         .clone = own_clone,
                                         .destroy = own_destroy};
    own_network net = {.weight = {1, 2, 3, 4, 5, 6}};
    moco_encoder_custom_config custom;
    moco_encoder *encoder = NULL;
    assert_ok(moco_encoder_custom_config_init(&custom, sizeof custom));
    custom.embedding_dim = 2;
    assert_ok(moco_encoder_create_custom(&encoder, context, &ops, &net, &custom));
    moco_export_config config = settings(MOCO_EXPORT_TIMM);
    assert_refused(encoder, &config, MOCO_UNSUPPORTED, "own network");
    config.kind = MOCO_EXPORT_ONNX;
    assert_refused(encoder, &config, MOCO_UNSUPPORTED, "own network");
    config.kind = MOCO_EXPORT_DETECTRON2;
    assert_refused(encoder, &config, MOCO_UNSUPPORTED, "own network");
    config.kind = MOCO_EXPORT_TORCH;
    assert_ok(moco_encoder_export(encoder, path, &config));
    config.kind = MOCO_EXPORT_TORCH_MOCO;
    assert_ok(moco_encoder_export(encoder, path, &config));
    config.kind = MOCO_EXPORT_SAFETENSORS; /* all of it: no part is known as a head */
    assert_ok(moco_encoder_export(encoder, path, &config));
    size_t size = 0;
    unsigned char *before = read_whole_file(path, &size);
    assert_non_null(before);
    assert_non_null(strstr((const char *) before + 8, "\"fc.weight\""));
    assert_non_null(strstr((const char *) before + 8, "\"norm.num_batches_tracked\""));

    net.weight[4] = NAN; /* refused by all, and the file of before is left */
    static const int32_t kinds[] = {MOCO_EXPORT_SAFETENSORS, MOCO_EXPORT_TORCH, MOCO_EXPORT_TORCH_MOCO};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
        config.kind = kinds[i];
        assert_int_equal(moco_encoder_export(encoder, path, &config), MOCO_INVALID_STATE);
        assert_non_null(strstr(moco_last_error(), "element 4 of fc.weight is not finite"));
    }
    assert_int_equal(moco_encoder_save(encoder, path, NULL, NULL, 0), MOCO_INVALID_STATE);
    size_t size_after = 0;
    unsigned char *after = read_whole_file(path, &size_after);
    assert_int_equal(size, size_after);
    assert_memory_equal(before, after, size);
    assert_int_equal(files_in(&folder), 1);
    free(before);
    free(after);
    moco_encoder_destroy(encoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(settings_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(graphs_fit_their_images, set_up, tear_down),
        cmocka_unit_test_setup_teardown(our_own_file_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_repeat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_hold_one_network, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_networks, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
