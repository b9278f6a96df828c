/* Weights of any file as one list: safetensors and shards, torch's zip and legacy forms, what each refuses, conversions. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <sys/stat.h>

#include <moco/weights.h>

#include "io/weights_internal.h"
#include "support/counted_memory.h"
#include "support/reading_built_in.h"
#include "support/temporary_folder.h"
#include "support/torch_bytes.h"

static temporary_folder folder;
static char path[TEST_PATH_SIZE];

static int set_up(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    path_in(&folder, "weights", path);
    return 0;
}

static int tear_down(void **state) {
    (void) state;
    remove_temporary_folder(&folder);
    return 0;
}

static void assert_refused(const char *what, const torch_bytes *bytes, moco_status expected, const char *word) {
    moco_weights *weights = NULL;
    counted_memory memory = {0};
    moco_context *context = counted_context(&memory);
    write_whole_file(path, bytes->data, bytes->size);
    const moco_status status = moco_weights_open(&weights, context, path);
    if (status != expected) fail_msg("%s: status %d, %s", what, status, moco_last_error());
    assert_null(weights);
    if (strstr(moco_last_error(), word) == NULL || strstr(moco_last_error(), path) == NULL) {
        fail_msg("%s: \"%s\" does not say %s", what, moco_last_error(), word);
    }
    assert_true(memory.most < ((size_t) 160 << 20));
    moco_context_destroy(context);
    assert_int_equal(memory.now, 0);
}

#define PAIR STORAGE_OF("FloatStorage", "K\2")
/* {"k": a tensor of two floats} */
#define PICKLE PROTO_2 "}" TEXT_1 "k" TENSOR_OF(PAIR, "K\0", "K\2\x85", "K\1\x85") "s."

/* --- The zip form --- */

static const float two[2] = {1.5f, -2.0f};

/* An archive of up to three entries; a NULL name ends it. */
typedef struct archive_entry {
    const char *name;
    const void *data;
    size_t size;
} archive_entry;

static void make_archive(torch_bytes *out, const archive_entry entries[3]) {
    zip_maker maker = {0};
    for (int i = 0; i < 3 && entries[i].name != NULL; ++i) {
        zip_add(&maker, entries[i].name, entries[i].data, entries[i].size, NULL);
    }
    zip_finish(&maker, NULL);
    *out = maker.file;
}

#define PKL(name, literal) \
    { name, literal, sizeof(literal) - 1 }

static void zip_files_that_are_wrong(void **state) {
    (void) state;
    static const struct {
        const char *what;
        archive_entry entries[3];
        moco_status status;
        const char *word;
    } cases[] = {
        {"nothing", {{NULL, NULL, 0}}, MOCO_FORMAT, "no entry data.pkl"},
        {"no pickle", {PKL("a/version", "3\n")}, MOCO_FORMAT, "no entry data.pkl"},
        {"another name", {PKL("a/mydata.pkl", PICKLE)}, MOCO_FORMAT, "no entry data.pkl"},
        {"two pickles", {PKL("a/data.pkl", PICKLE), PKL("b/data.pkl", PICKLE)}, MOCO_FORMAT, "two entries data.pkl"},
        {"no storage", {PKL("a/data.pkl", PICKLE)}, MOCO_FORMAT, "no entry for its storage \"k\""},
        {"another's storage",
         {PKL("a/data.pkl", PICKLE), {"b/data/k", two, 8}},
         MOCO_FORMAT,
         "no entry for its storage"},
        {"a short storage",
         {PKL("a/data.pkl", PICKLE), {"a/data/k", two, 7}},
         MOCO_FORMAT,
         "should have 8 bytes but has 7"},
        {"a storage of nothing", {PKL("a/data.pkl", PICKLE), {"a/data/k", two, 0}}, MOCO_FORMAT, "should have 8 bytes"},
        {"big-endian",
         {PKL("a/data.pkl", PICKLE), {"a/data/k", two, 8}, PKL("a/byteorder", "big")},
         MOCO_UNSUPPORTED,
         "big-endian"},
        {"an unknown order",
         {PKL("a/data.pkl", PICKLE), {"a/data/k", two, 8}, PKL("a/byteorder", "pdp")},
         MOCO_UNSUPPORTED,
         "unknown"},
        {"a long order",
         {PKL("a/data.pkl", PICKLE), PKL("a/byteorder", "little little little")},
         MOCO_FORMAT,
         "byteorder is too long"},
        {"bytes behind the pickle", {PKL("a/data.pkl", PICKLE "}"), {"a/data/k", two, 8}}, MOCO_FORMAT, "bytes follow"},
        {"a pickle that wants to run",
         {PKL("a/data.pkl", PROTO_2 "cos\nsystem\nX\2\0\0\0id\x85R.")},
         MOCO_UNSUPPORTED,
         "os.system"},
        {"an empty pickle", {PKL("a/data.pkl", "")}, MOCO_FORMAT, "ends in the middle"},
        {"a key that leaves the folder",
         {PKL("a/data.pkl", PROTO_2 "(X\7\0\0\0storagectorch\nFloatStorage\nX\7\0\0\0../../kX\3\0\0\0cpuK\2tQ.")},
         MOCO_FORMAT,
         "no entry for its storage"},
        {"a key twice in a dict",
         {PKL("a/data.pkl", PROTO_2 "}(" TEXT_1 "k" TENSOR_OF(PAIR, "K\0", ")", ")") TEXT_1
              "k" TENSOR_OF(PAIR, "K\0", ")", ")") "u."),
          {"a/data/k", two, 8}},
         MOCO_FORMAT,
         "two tensors called \"k\""},
        {"a name that two paths make",
         {PKL("a/data.pkl", PROTO_2 "}(X\3\0\0\0a.b" TENSOR_OF(PAIR, "K\0", ")", ")") TEXT_1
              "a}" TEXT_1 "b" TENSOR_OF(PAIR, "K\0", ")", ")") "su."),
          {"a/data/k", two, 8}},
         MOCO_FORMAT,
         "two tensors called \"a.b\""},
        {"a zero in a key", {PKL("a/data.pkl", PROTO_2 "}X\2\0\0\0a\0Ns.")}, MOCO_FORMAT, "a zero in it"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        torch_bytes bytes;
        make_archive(&bytes, cases[i].entries);
        assert_refused(cases[i].what, &bytes, cases[i].status, cases[i].word);
        free(bytes.data);
    }
}

static void trees_without_end(void **state) {
    (void) state;
    torch_bytes pickle = {0};
    torch_bytes bytes;
    PUT(&pickle, PROTO_2 "N"); /* 2^50 paths to nothing */
    for (int i = 0; i < 50; ++i) {
        const char put_get[] = {'q', (char) i, 'h', (char) i, '\x86'};
        put_bytes(&pickle, put_get, sizeof put_get);
    }
    PUT(&pickle, ".");
    const archive_entry bomb[3] = {{"a/data.pkl", pickle.data, pickle.size}};
    make_archive(&bytes, bomb);
    assert_refused("a memo bomb", &bytes, MOCO_FORMAT, "more than 1048576 paths");
    free(bytes.data);
    pickle.size = 0;
    PUT(&pickle, PROTO_2 "X\0\0\1\0"); /* a text of 64 KiB, 2048 times */
    put_repeated(&pickle, "x", 1, 65536);
    PUT(&pickle, "q\0](");
    put_repeated(&pickle, "h\0", 2, 2048);
    PUT(&pickle, "e\x86.");
    const archive_entry texts[3] = {{"a/data.pkl", pickle.data, pickle.size}};
    make_archive(&bytes, texts);
    assert_refused("much text", &bytes, MOCO_FORMAT, "more than 64 MiB");
    free(bytes.data);
    pickle.size = 0;
    PUT(&pickle, PROTO_2 "](");
    put_repeated(&pickle, "K\1", 2, 270000);
    PUT(&pickle, "e.");
    const archive_entry numbers[3] = {{"a/data.pkl", pickle.data, pickle.size}};
    make_archive(&bytes, numbers);
    assert_refused("many numbers", &bytes, MOCO_FORMAT, "more than 262144");
    free(bytes.data);
    free(pickle.data);
}

/* --- The legacy form --- */

#define KEYS PROTO_2 "]" TEXT_1 "ka."

static void legacy_files_that_are_wrong(void **state) {
    (void) state;
    static const struct {
        const char *what;
        const char *bytes;
        size_t size;
        int64_t elements; /* of the storage behind them; -1: none */
        size_t data;
        moco_status status;
        const char *word;
    } cases[] = {
#define LEGACY(what, bytes, elements, data, status, word) {what, bytes, sizeof(bytes) - 1, elements, data, status, word}
        LEGACY("another pickle", PROTO_2 "}.", -1, 0, MOCO_FORMAT, "does not begin with the number"),
        LEGACY("another number", PROTO_2 "\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x18.", -1, 0, MOCO_FORMAT,
               "does not begin with the number"),
        LEGACY("protocol 4", "\x80\x04\x95\0\0\0\0\0\0\0\0}.", -1, 0, MOCO_UNSUPPORTED, "PROTO 2"),
        LEGACY("the magic alone", LEGACY_MAGIC, -1, 0, MOCO_FORMAT, "ends in the middle"),
        LEGACY("another version", LEGACY_MAGIC PROTO_2 "M\xea\x03.", -1, 0, MOCO_FORMAT, "1001"),
        LEGACY("no byte order", LEGACY_MAGIC LEGACY_PROTOCOL PROTO_2 "}.", -1, 0, MOCO_FORMAT, "byte order"),
        LEGACY("big-endian", LEGACY_MAGIC LEGACY_PROTOCOL PROTO_2 "}X\x0d\0\0\0little_endian\x89s.", -1, 0,
               MOCO_UNSUPPORTED, "big-endian"),
        LEGACY("no keys", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE, -1, 0, MOCO_FORMAT, "ends in the middle"),
        LEGACY("no list of keys", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE PROTO_2 "}.", 2, 8, MOCO_FORMAT,
               "list of storages"),
        LEGACY("an empty list", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE PROTO_2 "].", 2, 8, MOCO_FORMAT,
               "list of storages"),
        LEGACY("another key", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE PROTO_2 "]" TEXT_1 "la.", 2, 8,
               MOCO_FORMAT, "list of storages"),
        LEGACY("a key twice", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE PROTO_2 "](" TEXT_1 "k" TEXT_1 "ke.", 2,
               8, MOCO_FORMAT, "list of storages"),
        LEGACY("a key that is a number", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE PROTO_2 "]K\1a.", 2, 8,
               MOCO_FORMAT, "list of storages"),
        LEGACY("no storage", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE KEYS, -1, 0, MOCO_FORMAT, "cut"),
        LEGACY("one element more", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE KEYS, 3, 12, MOCO_FORMAT,
               "another length"),
        LEGACY("-1 elements", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE KEYS, -2, 8, MOCO_FORMAT,
               "another length"),
        LEGACY("a storage that is cut", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE KEYS, 2, 7, MOCO_FORMAT,
               "cut"),
        LEGACY("bytes behind it", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PICKLE KEYS, 2, 9, MOCO_FORMAT,
               "bytes follow"),
        LEGACY("a pickle that wants to run", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PROTO_2 "cposix\nsystem\n.", -1,
               0, MOCO_UNSUPPORTED, "posix.system"),
        LEGACY("a view of a storage",
               LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PROTO_2 "(X\7\0\0\0storagectorch\nFloatStorage\n" TEXT_1
                                                                  "kX\3\0\0\0cpuK\2(" TEXT_1 "lK\0K\2ttQ.",
               -1, 0, MOCO_UNSUPPORTED, "view of another"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        torch_bytes bytes = {0};
        put_bytes(&bytes, cases[i].bytes, cases[i].size);
        if (cases[i].elements != -1) put_number(&bytes, (uint64_t) cases[i].elements, 8);
        put_repeated(&bytes, "\0", 1, cases[i].data);
        assert_refused(cases[i].what, &bytes, cases[i].status, cases[i].word);
        free(bytes.data);
    }
}

/* A pickle longer than what is read of it at first, and every cut of the file. */
static void a_long_legacy_file(void **state) {
    (void) state;
    torch_bytes bytes = {0};
    moco_weights *weights = NULL;
    float values[2] = {0};
    PUT(&bytes, LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM PROTO_2 "](X\0\0\4\0");
    put_repeated(&bytes, "y", 1, 4 << 16);
    PUT(&bytes, TENSOR_OF(PAIR, "K\0", "K\2\x85", "K\1\x85") "e." KEYS);
    put_number(&bytes, 2, 8);
    put_bytes(&bytes, two, sizeof two);
    write_whole_file(path, bytes.data, bytes.size);
    if (moco_weights_open(&weights, NULL, path) != MOCO_OK) fail_msg("%s", moco_last_error());
    assert_int_equal(moco_weights_kind(weights), MOCO_WEIGHTS_TORCH_LEGACY);
    assert_int_equal(moco_weights_read(weights, 0, values), MOCO_OK);
    assert_memory_equal(values, two, sizeof two);
    const char *value = NULL;
    assert_string_equal(moco_weights_note(weights, 0, &value), "0");
    assert_int_equal(strlen(value), 4 << 16);
    assert_null(moco_weights_note(weights, 1, &value));
    moco_weights_close(weights);
    weights = NULL;
    /* Of one byte or none, only the reader of safetensors knows what is wrong. */
    size_t size = reading_is_built_in() ? 0 : 2;
    while (size < bytes.size) {
        write_whole_file(path, bytes.data, size);
        assert_int_equal(moco_weights_open(&weights, NULL, path), MOCO_FORMAT);
        size += size > 200 && size + 200 < bytes.size ? 9973 : 1;
    }
    free(bytes.data);
}

/* --- Safetensors --- */

static moco_status fill_ones(int64_t index, void *values, void *user) {
    const moco_safetensors_entry *entries = (const moco_safetensors_entry *) user;
    int64_t elements;
    size_t bytes;
    MOCO_TRY(moco_safetensors_entry_size(&entries[index], &elements, &bytes));
    for (size_t i = 0; i < bytes; ++i) ((unsigned char *) values)[i] = (unsigned char) (16 * index + (int64_t) i);
    return MOCO_OK;
}

static void write_shard(const char *name, const moco_safetensors_entry *entries, int64_t count) {
    char shard[TEST_PATH_SIZE];
    const char *const keys[] = {"format"};
    const char *const values[] = {"pt"};
    assert_int_equal(moco_safetensors_write(NULL, path_in(&folder, name, shard), entries, count, keys, values, 1,
                                            fill_ones, (void *) (uintptr_t) entries),
                     MOCO_OK);
}

static void a_safetensors_file(void **state) {
    (void) state;
    static const moco_safetensors_entry entries[] = {{"b.weight", MOCO_SAFETENSORS_U8, 2, {2, 3}},
                                                     {"a", MOCO_SAFETENSORS_F8_E4M3, 1, {2}},
                                                     {"n", MOCO_SAFETENSORS_U64, 0, {0}}};
    moco_weights *weights = NULL;
    moco_weights_tensor info = {.struct_size = sizeof info};
    float values[6];
    int64_t integers[6];
    int64_t index = -1;
    write_shard("weights", entries, 3);
    if (!reading_is_built_in()) {
        assert_int_equal(moco_weights_open(&weights, NULL, path), MOCO_UNSUPPORTED);
        skip();
    }
    assert_int_equal(moco_weights_open(&weights, NULL, path), MOCO_OK);
    assert_int_equal(moco_weights_kind(weights), MOCO_WEIGHTS_SAFETENSORS);
    assert_string_equal(moco_weights_find_note(weights, "format"), "pt");
    assert_null(moco_weights_find_note(weights, "epoch"));
    assert_int_equal(moco_weights_info(weights, 0, &info), MOCO_OK);
    assert_string_equal(info.name, "b.weight");
    assert_string_equal(info.dtype, "U8");
    assert_int_equal(info.rank, 2);
    assert_int_equal(info.dims[1], 3);
    assert_int_equal(info.elements, 6);
    assert_int_equal(moco_weights_info(weights, 3, &info), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_weights_find(weights, "b.weight", &index), MOCO_OK);
    assert_int_equal(index, 0);
    assert_int_equal(moco_weights_find(weights, "b", &index), MOCO_NOT_FOUND);
    assert_int_equal(moco_weights_read(weights, 0, values), MOCO_OK);
    assert_int_equal(moco_weights_read_integers(weights, 0, integers), MOCO_OK);
    for (int i = 0; i < 6; ++i) assert_true(values[i] == (float) i && integers[i] == i);
    assert_int_equal(moco_weights_read(weights, 1, values), MOCO_UNSUPPORTED);
    assert_non_null(strstr(moco_last_error(), "F8_E4M3"));
    assert_int_equal(moco_weights_read_integers(weights, 2, integers), MOCO_OK);
    assert_true(integers[0] == 0x2726252423222120);
    moco_weights_close(weights);
}

static void write_text(const char *text) {
    write_whole_file(path, text, strlen(text));
}

static void shards(void **state) {
    (void) state;
    static const moco_safetensors_entry first[] = {{"a", MOCO_SAFETENSORS_U8, 1, {2}},
                                                   {"b", MOCO_SAFETENSORS_U8, 1, {2}}};
    static const moco_safetensors_entry second[] = {{"c", MOCO_SAFETENSORS_U8, 1, {3}}};
    static const struct {
        const char *index;
        moco_status status;
        const char *word;
    } wrong[] = {
        {"{\"metadata\":{}}", MOCO_FORMAT, "weight_map"},
        {"{\"weight_map\":[1]}                 ", MOCO_FORMAT, "weight_map"},
        {"{\"weight_map\":{\"a\":1}}", MOCO_FORMAT, "names of files"},
        {"{\"weight_map\":{\"a\":\"../one\"}}", MOCO_FORMAT, "no file beside it"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", MOCO_FORMAT, "no file beside it"},
        {"{\"weight_map\":{\"a\":\".hidden\"}}", MOCO_FORMAT, "no file beside it"},
        {"{\"weight_map\":{\"a\":\"\"}}", MOCO_FORMAT, "no file beside it"},
        {"{\"weight_map\":{\"a\":\"three\"}}", MOCO_NOT_FOUND, "three"},
        {"{\"weight_map\":{\"a\":\"one\",\"b\":\"one\",\"c\":\"one\"}}", MOCO_FORMAT, "lists 3 tensors"},
        {"{\"weight_map\":{\"a\":\"one\",\"b\":\"two\",\"c\":\"two\"}}", MOCO_FORMAT,
         "says that tensor \"b\" is in two"},
        {"{\"weight_map\":{\"a\":\"one\",\"b\":\"one\",\"d\":\"two\"}}", MOCO_FORMAT, "in no file"},
        {"{\"weight_map\":{\"a\":\"one\",\"a\":\"two\"}}", MOCO_FORMAT, "duplicate"},
        {"{\"weight_map\":{\"a\":\"one\"}", MOCO_FORMAT, "no index"},
        {"{\"weight_map\":{\"a\":\"weights\"}}", MOCO_FORMAT, "header"}, /* itself, which is no safetensors file */
    };
    moco_weights *weights = NULL;
    float values[3];
    int64_t index = -1;
    if (!reading_is_built_in()) skip();
    write_shard("one", first, 2);
    write_shard("two", second, 1);
    write_text("{\"metadata\":{\"total_size\":7},\"weight_map\":{\"c\":\"two\",\"a\":\"one\",\"b\":\"one\"}}");
    if (moco_weights_open(&weights, NULL, path) != MOCO_OK) fail_msg("%s", moco_last_error());
    assert_int_equal(moco_weights_kind(weights), MOCO_WEIGHTS_SHARDS);
    assert_int_equal(moco_weights_count(weights), 3);
    assert_int_equal(moco_weights_find(weights, "b", &index), MOCO_OK);
    assert_int_equal(moco_weights_read(weights, index, values), MOCO_OK);
    assert_true(values[0] == 16 && values[1] == 17);
    assert_int_equal(moco_weights_find(weights, "c", &index), MOCO_OK);
    assert_int_equal(moco_weights_read(weights, index, values), MOCO_OK);
    assert_true(values[2] == 2);
    moco_weights_close(weights);
    weights = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
        write_text(wrong[i].index);
        const moco_status status = moco_weights_open(&weights, NULL, path);
        if (status != wrong[i].status || strstr(moco_last_error(), wrong[i].word) == NULL) {
            fail_msg("%s: status %d, %s", wrong[i].index, status, moco_last_error());
        }
    }
    assert_null(weights);
}

/* Every half: by the definition of the format, with doubles. */
static void halves_are_exact(void **state) {
    (void) state;
    for (int half = 0; half < 65536; ++half) {
        const uint16_t bits = (uint16_t) half;
        float value = 0;
        const int exponent = half >> 10 & 31;
        const double fraction = half & 1023;
        const double magnitude = exponent == 0    ? fraction * pow(2, -24)
                                 : exponent == 31 ? (fraction == 0 ? (double) INFINITY : (double) NAN)
                                                  : (1 + fraction / 1024) * pow(2, exponent - 15);
        assert_int_equal(moco_weights_to_floats(MOCO_SAFETENSORS_F16, &bits, 1, "x", &value), MOCO_OK);
        if (isnan(magnitude)) {
            assert_true(isnan(value));
        } else {
            assert_true((double) value == (half & 0x8000 ? -magnitude : magnitude));
            assert_int_equal(signbit(value) != 0, half >> 15);
        }
    }
}

static void arguments_are_checked(void **state) {
    (void) state;
    moco_weights *weights = NULL;
    assert_int_equal(moco_weights_open(NULL, NULL, path), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_weights_open(&weights, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_weights_open(&weights, NULL, path), MOCO_NOT_FOUND);
    assert_int_equal(moco_weights_open(&weights, NULL, folder.path), MOCO_IO);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(moco_weights_open(&weights, NULL, path), MOCO_IO);
    assert_int_equal(moco_weights_count(NULL), 0);
    assert_null(moco_weights_note(NULL, 0, NULL));
    moco_weights_close(NULL);
    assert_null(weights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(zip_files_that_are_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trees_without_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(legacy_files_that_are_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_legacy_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_safetensors_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shards, set_up, tear_down),
        cmocka_unit_test(halves_are_exact),
        cmocka_unit_test_setup_teardown(arguments_are_checked, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
