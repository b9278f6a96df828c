/* Encoders in files: every bit comes back, the names are torchvision's, wrong files are refused with a sentence. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <moco/encoder.h>

#include "core/random.h"
#include "encoder/encoder_internal.h"
#include "io/safetensors.h"
#include "support/reading_built_in.h"
#include "support/temporary_folder.h"

#define assert_ok(expression)                                                                         \
    do {                                                                                              \
        const moco_status status_ = (expression);                                                     \
        if (status_ != MOCO_OK) fail_msg("%s gives %d: %s", #expression, status_, moco_last_error()); \
    } while (0)

static temporary_folder folder;
static char path[TEST_PATH_SIZE];
static moco_context *context;

static int set_up(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    path_in(&folder, "encoder.safetensors", path);
    return moco_context_create(&context, NULL) == MOCO_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void) state;
    moco_context_destroy(context);
    remove_temporary_folder(&folder);
    return 0;
}

static moco_encoder *make_encoder(const moco_encoder_config *config) {
    moco_encoder *encoder = NULL;
    assert_ok(moco_encoder_create(&encoder, context, config));
    return encoder;
}

static moco_encoder_config small_config(void) {
    moco_encoder_config config;
    assert_ok(moco_encoder_config_init(&config, sizeof config));
    config.architecture = "cifar_resnet8";
    config.head = MOCO_HEAD_MLP;
    config.embedding_dim = 7;
    config.head_hidden_dim = 5;
    config.bn_groups = 2;
    config.bn_layout = MOCO_BN_STRIDED;
    config.bn_momentum = 1.0 / 3;
    config.bn_eps = 1.1e-5;
    config.seed = UINT64_MAX;
    return config;
}

/* Values of every size and sign, subnormal ones too, so that no rounding goes unseen. */
static void scramble(moco_encoder *encoder) {
    moco_random random;
    moco_random_init(&random, 7, MOCO_RANDOM_TEST, 0, 0);
    for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_ok(moco_encoder_parameter_info(encoder, i, &info));
        float *values = (float *) malloc((size_t) info.elements * sizeof *values);
        assert_non_null(values);
        for (int64_t j = 0; j < info.elements; ++j) {
            do {
                const uint32_t bits = moco_random_u32(&random);
                memcpy(&values[j], &bits, sizeof bits);
            } while (!isfinite(values[j]));
        }
        assert_ok(moco_encoder_write_parameter(encoder, i, values));
        free(values);
    }
}

static void assert_same_parameters(const moco_encoder *a, const moco_encoder *b) {
    assert_int_equal(moco_encoder_parameter_count(a), moco_encoder_parameter_count(b));
    for (int64_t i = 0; i < moco_encoder_parameter_count(a); ++i) {
        moco_parameter_info x = {.struct_size = sizeof x};
        moco_parameter_info y = {.struct_size = sizeof y};
        assert_ok(moco_encoder_parameter_info(a, i, &x));
        assert_ok(moco_encoder_parameter_info(b, i, &y));
        assert_string_equal(x.name, y.name);
        assert_int_equal(x.elements, y.elements);
        float *values = (float *) malloc(2 * (size_t) x.elements * sizeof *values);
        assert_non_null(values);
        assert_ok(moco_encoder_read_parameter(a, i, values));
        assert_ok(moco_encoder_read_parameter(b, i, values + x.elements));
        assert_memory_equal(values, values + x.elements, (size_t) x.elements * sizeof *values);
        free(values);
    }
}

static void round_trip(const moco_encoder_config *config) {
    moco_encoder *encoder = make_encoder(config);
    scramble(encoder);
    assert_ok(moco_encoder_set_batches_tracked(encoder, 123456789012));
    assert_ok(moco_encoder_save(encoder, path, NULL, NULL, 0));
    moco_encoder *opened = NULL;
    assert_ok(moco_encoder_open(&opened, context, path));
    assert_same_parameters(encoder, opened);
    assert_true(moco_encoder_batches_tracked(opened) == 123456789012);
    const moco_encoder_config *a = moco_encoder_configuration(encoder);
    const moco_encoder_config *b = moco_encoder_configuration(opened);
    assert_string_equal(a->architecture, b->architecture);
    moco_encoder_config copy = *b;
    copy.architecture = a->architecture;
    assert_memory_equal(a, &copy, sizeof copy);
    moco_encoder_destroy(opened);
    moco_encoder_destroy(encoder);
}

static void every_bit_comes_back(void **state) {
    (void) state;
    if (!reading_is_built_in()) skip();
    moco_encoder_config config = small_config();
    round_trip(&config);
    config.head = MOCO_HEAD_NONE;
    config.normalize = 0;
    config.zero_init_residual = 1;
    round_trip(&config);
    config.head = MOCO_HEAD_LINEAR;
    config.architecture = "mlp";
    config.mlp_input_dim = 11;
    config.mlp_hidden_dim = 13;
    config.mlp_layers = 3;
    round_trip(&config);
    config = small_config();
    config.architecture = "resnet18";
    config.stem = MOCO_STEM_CIFAR;
    config.channels = 1;
    round_trip(&config);
}

/* An opened encoder computes what the saved one did. */
static void embeddings_come_back(void **state) {
    (void) state;
    if (!reading_is_built_in()) skip();
    moco_encoder_config config = small_config();
    moco_encoder *encoder = make_encoder(&config);
    moco_encoder *opened = NULL;
    float images[4 * 3 * 16 * 16];
    float a[4 * 7];
    float b[4 * 7];
    moco_random random;
    moco_random_init(&random, 3, MOCO_RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < sizeof images / sizeof images[0]; ++i) images[i] = moco_random_float(&random);
    assert_ok(moco_encoder_forward(encoder, images, 4, 16, 16, a)); /* moves the running statistics */
    assert_ok(moco_encoder_save(encoder, path, NULL, NULL, 0));
    assert_ok(moco_encoder_open(&opened, context, path));
    assert_int_equal(moco_encoder_batches_tracked(opened), 1);
    assert_ok(moco_encoder_evaluate(encoder, images, 4, 16, 16, a));
    assert_ok(moco_encoder_evaluate(opened, images, 4, 16, 16, b));
    assert_memory_equal(a, b, sizeof a);
    moco_encoder_destroy(opened);
    moco_encoder_destroy(encoder);
}

static void names_types_and_metadata(void **state) {
    (void) state;
    if (!reading_is_built_in()) skip();
    moco_encoder_config config = small_config();
    moco_encoder *encoder = make_encoder(&config);
    const char *const keys[] = {"recipe", "empty"};
    const char *const values[] = {"v2 \"quoted\"", ""};
    assert_ok(moco_encoder_save(encoder, path, keys, values, 2));
    moco_safetensors *file = NULL;
    assert_ok(moco_safetensors_open(&file, context, path));
    int64_t trackers = 0;
    for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_ok(moco_encoder_parameter_info(encoder, i, &info));
        const int64_t place = moco_safetensors_find(file, info.name);
        assert_true(place >= 0);
        const moco_safetensors_entry *entry = moco_safetensors_get(file, place);
        assert_int_equal(entry->dtype, MOCO_SAFETENSORS_F32);
        assert_int_equal(entry->rank, info.rank);
        assert_memory_equal(entry->dims, info.dims, (size_t) info.rank * sizeof info.dims[0]);
        if (strstr(info.name, ".running_mean") == NULL && strncmp(info.name, "running_mean", 12) != 0) continue;
        char name[256];
        snprintf(name, sizeof name, "%.*snum_batches_tracked", (int) (strlen(info.name) - strlen("running_mean")),
                 info.name);
        const int64_t tracker = moco_safetensors_find(file, name);
        assert_true(tracker >= 0);
        assert_int_equal(moco_safetensors_get(file, tracker)->dtype, MOCO_SAFETENSORS_I64);
        assert_int_equal(moco_safetensors_get(file, tracker)->rank, 0);
        trackers++;
    }
    assert_true(trackers > 0);
    assert_int_equal(moco_safetensors_count(file), moco_encoder_parameter_count(encoder) + trackers);
    assert_true(moco_safetensors_find(file, "bn1.num_batches_tracked") >= 0);
    assert_string_equal(moco_safetensors_metadata(file, "format"), "pt");
    assert_string_equal(moco_safetensors_metadata(file, "moco.head"), "mlp");
    assert_string_equal(moco_safetensors_metadata(file, "moco.bn_layout"), "strided");
    assert_string_equal(moco_safetensors_metadata(file, "moco.seed"), "18446744073709551615");
    moco_safetensors_close(file);

    char value[32];
    uint64_t length = 0;
    assert_ok(moco_file_metadata(context, path, "recipe", value, sizeof value, &length));
    assert_string_equal(value, values[0]);
    assert_int_equal(length, strlen(values[0]));
    assert_ok(moco_file_metadata(context, path, "empty", value, 1, &length));
    assert_int_equal(length, 0);
    assert_int_equal(moco_file_metadata(context, path, "recipe", value, strlen(values[0]), &length),
                     MOCO_INVALID_ARGUMENT);
    assert_int_equal(length, strlen(values[0])); /* told, so that the caller can make room */
    assert_int_equal(moco_file_metadata(context, path, "none", value, sizeof value, NULL), MOCO_NOT_FOUND);
    assert_non_null(strstr(moco_last_error(), "none"));
    moco_encoder_destroy(encoder);
}

/* --- Files that don't fit --- */

typedef struct damage {
    const char *drop;      /* the name of a tensor to leave out */
    const char *reshape;   /* of one whose first dim is to be doubled, its last halved */
    const char *retype;    /* of one to call I32 */
    const char *poison;    /* of one to begin with NaN, or a counter to be negative */
    const char *metadata;  /* a metadata key to change */
    const char *new_value; /* to this; NULL: to leave out */
    const char *extra;     /* the name of a tensor to add */
} damage;

typedef struct copying {
    const moco_safetensors *source;
    const damage *change;
    moco_safetensors_entry entries[256];
    int64_t places[256];
} copying;

static moco_status copy_tensor(int64_t index, void *values, void *user) {
    const copying *work = (const copying *) user;
    if (work->places[index] < 0) {
        memset(values, 0, sizeof(float));
        return MOCO_OK;
    }
    MOCO_TRY(moco_safetensors_read(work->source, work->places[index], values));
    if (work->change->poison != NULL && strcmp(work->entries[index].name, work->change->poison) == 0) {
        memset(values, 0xff, 4);
        if (work->entries[index].dtype == MOCO_SAFETENSORS_I64) memset(values, 0xff, 8);
    }
    return MOCO_OK;
}

static const char *const config_keys[] = {
    "moco.architecture",  "moco.stem",           "moco.head",       "moco.embedding_dim", "moco.head_hidden_dim",
    "moco.channels",      "moco.normalize",      "moco.bn_groups",  "moco.bn_layout",     "moco.zero_init_residual",
    "moco.mlp_input_dim", "moco.mlp_hidden_dim", "moco.mlp_layers", "moco.bn_momentum",   "moco.bn_eps",
    "moco.seed",
};
#define CONFIG_KEYS (sizeof config_keys / sizeof config_keys[0])

/* A copy of `path` with one thing changed. */
static void write_damaged(const char *target, const damage *change) {
    static copying work;
    memset(&work, 0, sizeof work);
    moco_safetensors *file = NULL;
    assert_ok(moco_safetensors_open(&file, context, path));
    work.source = file;
    work.change = change;
    int64_t count = 0;
    for (int64_t i = 0; i < moco_safetensors_count(file); ++i) {
        moco_safetensors_entry entry = *moco_safetensors_get(file, i);
        if (change->drop != NULL && strcmp(entry.name, change->drop) == 0) continue;
        if (change->reshape != NULL && strcmp(entry.name, change->reshape) == 0) {
            entry.dims[0] *= 2;
            entry.dims[entry.rank] = 1;
            entry.dims[1] /= 2;
        }
        if (change->retype != NULL && strcmp(entry.name, change->retype) == 0) entry.dtype = MOCO_SAFETENSORS_I32;
        work.places[count] = i;
        work.entries[count++] = entry;
    }
    if (change->extra != NULL) {
        work.places[count] = -1;
        work.entries[count].name = change->extra;
        work.entries[count++].dtype = MOCO_SAFETENSORS_F32;
    }
    const char *keys[CONFIG_KEYS];
    const char *values[CONFIG_KEYS];
    int64_t metadata = 0;
    for (size_t i = 0; i < CONFIG_KEYS; ++i) {
        const char *value = moco_safetensors_metadata(file, config_keys[i]);
        if (change->metadata != NULL && strcmp(change->metadata, config_keys[i]) == 0) value = change->new_value;
        if (value == NULL) continue;
        keys[metadata] = config_keys[i];
        values[metadata++] = value;
    }
    assert_ok(moco_safetensors_write(context, target, work.entries, count, keys, values, metadata, copy_tensor, &work));
    moco_safetensors_close(file);
}

static void files_that_do_not_fit(void **state) {
    (void) state;
    if (!reading_is_built_in()) skip();
    static const struct {
        damage change;
        moco_status status;
        const char *word;
    } cases[] = {
        {{.extra = NULL}, MOCO_OK, ""},
        {{.extra = "unused"}, MOCO_OK, ""},
        {{.drop = "fc.2.bias"}, MOCO_NOT_FOUND, "fc.2.bias"},
        {{.drop = "bn1.running_var"}, MOCO_NOT_FOUND, "bn1.running_var"},
        {{.drop = "bn1.num_batches_tracked"}, MOCO_NOT_FOUND, "bn1.num_batches_tracked"},
        {{.reshape = "layer2.0.conv1.weight"}, MOCO_FORMAT, "layer2.0.conv1.weight"},
        {{.retype = "fc.0.bias"}, MOCO_FORMAT, "I32"},
        {{.poison = "conv1.weight"}, MOCO_FORMAT, "finite"},
        {{.poison = "bn1.num_batches_tracked"}, MOCO_FORMAT, "-1"},
        {{.metadata = "moco.architecture"}, MOCO_NOT_FOUND, "moco.architecture"},
        {{.metadata = "moco.bn_eps"}, MOCO_NOT_FOUND, "moco.bn_eps"},
        {{.metadata = "moco.architecture", .new_value = "resnet19"}, MOCO_NOT_FOUND, "resnet19"},
        {{.metadata = "moco.architecture", .new_value = "cifar_resnet14"}, MOCO_NOT_FOUND, "layer1.1"},
        {{.metadata = "moco.head", .new_value = "MLP"}, MOCO_FORMAT, "\"MLP\""},
        {{.metadata = "moco.embedding_dim", .new_value = "7.0"}, MOCO_FORMAT, "\"7.0\""},
        {{.metadata = "moco.embedding_dim", .new_value = "4294967303"}, MOCO_FORMAT, "4294967303"},
        {{.metadata = "moco.embedding_dim", .new_value = "8"}, MOCO_FORMAT, "fc.2.weight"},
        {{.metadata = "moco.embedding_dim", .new_value = "-7"}, MOCO_FORMAT, "embedding_dim"},
        {{.metadata = "moco.bn_momentum", .new_value = "nan"}, MOCO_FORMAT, "bn_momentum"},
        {{.metadata = "moco.seed", .new_value = "-1"}, MOCO_FORMAT, "moco.seed"},
    };
    moco_encoder_config config = small_config();
    moco_encoder *encoder = make_encoder(&config);
    assert_ok(moco_encoder_save(encoder, path, NULL, NULL, 0));
    moco_encoder_destroy(encoder);
    char target[TEST_PATH_SIZE];
    path_in(&folder, "damaged.safetensors", target);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        write_damaged(target, &cases[i].change);
        moco_encoder *opened = NULL;
        const moco_status status = moco_encoder_open(&opened, context, target);
        if (status != cases[i].status) fail_msg("case %zu gives %d: %s", i, status, moco_last_error());
        if (status == MOCO_OK) {
            moco_encoder_destroy(opened);
            continue;
        }
        assert_null(opened);
        if (strstr(moco_last_error(), cases[i].word) == NULL) {
            fail_msg("case %zu: \"%s\" does not say %s", i, moco_last_error(), cases[i].word);
        }
    }
}

static void arguments_are_checked(void **state) {
    (void) state;
    moco_encoder_config config = small_config();
    moco_encoder *encoder = make_encoder(&config);
    moco_encoder *opened = NULL;
    const char *const keys[] = {"moco.seed"};
    const char *const values[] = {"1"};
    char value[8];
    assert_int_equal(moco_encoder_save(NULL, path, NULL, NULL, 0), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_encoder_save(encoder, NULL, NULL, NULL, 0), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_encoder_save(encoder, path, NULL, NULL, 1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_encoder_save(encoder, path, keys, values, -1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_encoder_save(encoder, path, keys, values, INT64_MAX), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_encoder_save(encoder, path, keys, values, 1), MOCO_INVALID_ARGUMENT); /* ours already */
    const char *const no_values[] = {NULL};
    assert_int_equal(moco_encoder_save(encoder, path, keys, no_values, 1), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "values[0]"));
    assert_int_equal(moco_encoder_save(encoder, "/no/such/folder/file", NULL, NULL, 0), MOCO_IO);
    assert_int_equal(files_in(&folder), 0);
    assert_int_equal(moco_encoder_open(NULL, context, path), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_encoder_open(&opened, NULL, path), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_encoder_open(&opened, context, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_file_metadata(context, path, NULL, value, 8, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_file_metadata(context, path, "k", NULL, 8, NULL), MOCO_INVALID_ARGUMENT);
    assert_null(opened);
    moco_encoder_destroy(encoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_bit_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(embeddings_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_types_and_metadata, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_that_do_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arguments_are_checked, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
