/* Pickles that want something done, or want much: each is refused with a sentence that names the trouble, nothing is
 * executed, and memory stays in bounds.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "io/pickle.h"
#include "support/counted_memory.h"
#include "support/torch_bytes.h"

#define MOST_MEMORY ((size_t) 160 << 20) /* whatever a pickle says: its limits on values and items, in bytes */

static moco_pickle *pickle;

static moco_status parse(moco_context *context, const void *bytes, size_t size) {
    size_t used = 0;
    return moco_pickle_parse(&pickle, context, "hostile.pt", bytes, size, &used, NULL);
}

static void assert_refused(const char *what, const void *bytes, size_t size, moco_status expected, const char *word) {
    /* A copy without a byte to spare, so that AddressSanitizer sees every step too far. */
    void *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    pickle = NULL;
    counted_memory memory = {0};
    moco_context *context = counted_context(&memory);
    const moco_status status = parse(context, copy, size);
    if (status != expected || pickle != NULL) fail_msg("%s: status %d, %s", what, status, moco_last_error());
    if (strstr(moco_last_error(), word) == NULL || strstr(moco_last_error(), "hostile.pt") == NULL) {
        fail_msg("%s: \"%s\" does not say %s", what, moco_last_error(), word);
    }
    assert_true(memory.most < MOST_MEMORY);
    moco_context_destroy(context);
    assert_int_equal(memory.now, 0);
    free(copy);
}

#define ARGUMENT  "X\x0d\0\0\0touch CANARY!" /* the text of a command */
#define F(n)      "K" n                      /* a small number */
#define FLOATS    STORAGE_OF("FloatStorage", F("\x08"))
#define TWO(a, b) F(a) F(b) "\x86"

typedef struct hostile_case {
    const char *what;
    const char *bytes;
    size_t size;
    moco_status status;
    const char *word;
} hostile_case;
#define CASE(what, bytes, status, word) \
    { what, bytes, sizeof(bytes) - 1, status, word }

static const hostile_case hostile[] = {
    /* --- Code --- */
    CASE("os.system", PROTO_2 "cos\nsystem\n" ARGUMENT "\x85R.", MOCO_UNSUPPORTED, "os.system"),
    CASE("posix.system", PROTO_2 "cposix\nsystem\n" ARGUMENT "\x85R.", MOCO_UNSUPPORTED, "posix.system"),
    CASE("builtins.eval", PROTO_2 "cbuiltins\neval\n" ARGUMENT "\x85R.", MOCO_UNSUPPORTED, "builtins.eval"),
    CASE("__builtin__.exec", PROTO_2 "c__builtin__\nexec\n" ARGUMENT "\x85R.", MOCO_UNSUPPORTED, "__builtin__.exec"),
    CASE("subprocess.Popen", PROTO_2 "csubprocess\nPopen\n" ARGUMENT "\x85R.", MOCO_UNSUPPORTED, "subprocess.Popen"),
    CASE("getattr", PROTO_2 "cbuiltins\ngetattr\n.", MOCO_UNSUPPORTED, "builtins.getattr"),
    CASE("a global that is not used", PROTO_2 "}" TEXT_1 "acos\nsystem\ns.", MOCO_UNSUPPORTED, "os.system"),
    CASE("a global that the memo keeps", PROTO_2 "cos\nsystem\nq\0}.", MOCO_UNSUPPORTED, "os.system"),
    CASE("torch.load", PROTO_2 "ctorch\nload\n" ARGUMENT "\x85R.", MOCO_UNSUPPORTED, "torch.load"),
    CASE("a dotted name", PROTO_2 "ctorch\n_utils._rebuild_tensor_v2\n.", MOCO_UNSUPPORTED,
         "torch._utils._rebuild_tensor_v2"),
    CASE("a name that begins like ours", PROTO_2 "ccollections\nOrderedDictionary\n)R.", MOCO_UNSUPPORTED,
         "OrderedDictionary"),
    CASE("the empty global", PROTO_2 "c\n\n.", MOCO_UNSUPPORTED, "the global ."),
    CASE("argparse.Namespace", PROTO_2 "cargparse\nNamespace\n)R.", MOCO_UNSUPPORTED, "argparse.Namespace"),
    CASE("numpy's scalars", PROTO_2 "cnumpy.core.multiarray\nscalar\n.", MOCO_UNSUPPORTED,
         "numpy.core.multiarray.scalar"),
    CASE("a parameter", PROTO_2 "ctorch._utils\n_rebuild_parameter\n.", MOCO_UNSUPPORTED, "_rebuild_parameter"),
    CASE("another storage", PROTO_2 "ctorch\nComplexFloatStorage\n.", MOCO_UNSUPPORTED, "ComplexFloatStorage"),
    CASE("INST", PROTO_2 "(" ARGUMENT "ios\nsystem\n.", MOCO_UNSUPPORTED, "INST"),
    CASE("OBJ", PROTO_2 "(ccollections\nOrderedDict\no.", MOCO_UNSUPPORTED, "OBJ"),
    CASE("NEWOBJ", PROTO_2 "ccollections\nOrderedDict\n)\x81.", MOCO_UNSUPPORTED, "NEWOBJ"),
    CASE("NEWOBJ_EX", PROTO_2 "ccollections\nOrderedDict\n)}\x92.", MOCO_UNSUPPORTED, "NEWOBJ_EX"),
    CASE("STACK_GLOBAL", PROTO_2 "X\x02\0\0\0osX\x06\0\0\0system\x93.", MOCO_UNSUPPORTED, "STACK_GLOBAL"),
    CASE("EXT1", PROTO_2 "\x82\x01.", MOCO_UNSUPPORTED, "EXT1"),
    CASE("EXT2", PROTO_2 "\x83\x01\0.", MOCO_UNSUPPORTED, "EXT2"),
    CASE("EXT4", PROTO_2 "\x84\x01\0\0\0.", MOCO_UNSUPPORTED, "EXT4"),
    CASE("PERSID", PROTO_2 "Pos.system\n.", MOCO_UNSUPPORTED, "PERSID"),
    CASE("BUILD of a list", PROTO_2 "]}b.", MOCO_UNSUPPORTED, "BUILD on something that is no OrderedDict"),
    CASE("BUILD of a tensor", PROTO_2 TENSOR_OF(FLOATS, F("\0"), F("\x02") "\x85", F("\x01") "\x85") "}b.",
         MOCO_UNSUPPORTED, "BUILD on something that is no OrderedDict"),
    CASE("BUILD with __setstate__", PROTO_2 ORDERED_DICT "}X\x0c\0\0\0__setstate__" TEXT_1 "xsb.", MOCO_UNSUPPORTED,
         "\"__setstate__\""),
    CASE("BUILD with __class__", PROTO_2 ORDERED_DICT "}X\x09\0\0\0__class__" TEXT_1 "xsb.", MOCO_UNSUPPORTED,
         "\"__class__\""),
    CASE("BUILD with slots",
         PROTO_2 ORDERED_DICT "N}\x86"
                              "b.",
         MOCO_UNSUPPORTED, "no dict of attributes"),
    CASE("BUILD of nothing", PROTO_2 "}b.", MOCO_FORMAT, "empty stack"),
    CASE("REDUCE of a text", PROTO_2 TEXT_1 "a)R.", MOCO_FORMAT, "no function"),
    CASE("REDUCE of a dict", PROTO_2 ORDERED_DICT ")R.", MOCO_FORMAT, "no function"),
    CASE("REDUCE with a list", PROTO_2 "ccollections\nOrderedDict\n]R.", MOCO_FORMAT, "without a tuple"),
    CASE("REDUCE of a storage class", PROTO_2 "ctorch\nFloatStorage\nK\x08\x85R.", MOCO_UNSUPPORTED,
         "calls torch.FloatStorage"),
    CASE("OrderedDict of items", PROTO_2 "ccollections\nOrderedDict\n]\x85R.", MOCO_UNSUPPORTED, "other arguments"),
    CASE("a class as a value", PROTO_2 "ccollections\nOrderedDict\n.", MOCO_UNSUPPORTED, "keeps a class or a function"),
    CASE("a function in a dict", PROTO_2 "}" TEXT_1 "actorch._utils\n_rebuild_tensor_v2\ns.", MOCO_UNSUPPORTED,
         "keeps a class or a function"),
    /* --- Opcodes of other protocols, and bytes that are none --- */
    CASE("protocol 4", "\x80\x04}.", MOCO_UNSUPPORTED, "PROTO 2"),
    CASE("no protocol", "(dp0\n.", MOCO_UNSUPPORTED, "PROTO 2"),
    CASE("PROTO again", PROTO_2 "\x80\x02}.", MOCO_UNSUPPORTED, "PROTO"),
    CASE("FRAME", PROTO_2 "\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", MOCO_UNSUPPORTED, "FRAME"),
    CASE("MEMOIZE", PROTO_2 "}\x94.", MOCO_UNSUPPORTED, "MEMOIZE"),
    CASE("BINUNICODE8 of 2^63", PROTO_2 "\x8d\0\0\0\0\0\0\0\x80.", MOCO_UNSUPPORTED, "BINUNICODE8"),
    CASE("BINBYTES8 of 2^63", PROTO_2 "\x8e\0\0\0\0\0\0\0\x80.", MOCO_UNSUPPORTED, "BINBYTES8"),
    CASE("BYTEARRAY8", PROTO_2 "\x96\0\0\0\0\0\0\0\x80.", MOCO_UNSUPPORTED, "BYTEARRAY8"),
    CASE("LONG4 of 2^31", PROTO_2 "\x8b\0\0\0\x80.", MOCO_UNSUPPORTED, "LONG4"),
    CASE("a number as text", PROTO_2 "I99999999999999999999\n.", MOCO_UNSUPPORTED, "INT"),
    CASE("Python 2's strings",
         PROTO_2 "U\x01"
                 "a.",
         MOCO_UNSUPPORTED, "SHORT_BINSTRING"),
    CASE("DUP", PROTO_2 "]2a.", MOCO_UNSUPPORTED, "DUP"),
    CASE("POP", PROTO_2 "]]0.", MOCO_UNSUPPORTED, "POP"),
    CASE("EMPTY_SET", PROTO_2 "\x8f.", MOCO_UNSUPPORTED, "EMPTY_SET"),
    CASE("NEXT_BUFFER", PROTO_2 "\x97.", MOCO_UNSUPPORTED, "NEXT_BUFFER"),
    CASE("a byte that is no opcode", PROTO_2 "\xff.", MOCO_FORMAT, "0xff"),
    /* --- Structure --- */
    CASE("nothing", "", MOCO_FORMAT, "ends in the middle"),
    CASE("no end", PROTO_2 "}", MOCO_FORMAT, "ends in the middle"),
    CASE("no value", PROTO_2 ".", MOCO_FORMAT, "empty stack"),
    CASE("two values", PROTO_2 "}}.", MOCO_FORMAT, "more than one value"),
    CASE("a mark alone", PROTO_2 "(.", MOCO_FORMAT, "empty stack"),
    CASE("a text longer than the rest",
         PROTO_2 "X\xff\xff\xff\xff"
                 "a.",
         MOCO_FORMAT, "4294967295 more bytes"),
    CASE("a text that is not UTF-8", PROTO_2 TEXT_1 "\xff.", MOCO_FORMAT, "UTF-8"),
    CASE("a surrogate", PROTO_2 "X\x03\0\0\0\xed\xa0\x80.", MOCO_FORMAT, "UTF-8"),
    CASE("a number that is cut", PROTO_2 "\x8a\xff\x01", MOCO_FORMAT, "ends in the middle"),
    CASE("a global without an end", PROTO_2 "ccollections", MOCO_FORMAT, "ends in the middle"),
    CASE("a global with a zero", PROTO_2 "ccollections\0x\nOrderedDict\n.", MOCO_FORMAT, "odd characters"),
    CASE("TUPLE without a mark", PROTO_2 "}t.", MOCO_FORMAT, "mark"),
    CASE("TUPLE2 of one", PROTO_2 "}\x86.", MOCO_FORMAT, "empty stack"),
    CASE("TUPLE2 across a mark", PROTO_2 "(}\x86.", MOCO_FORMAT, "mark"),
    CASE("APPEND to a dict", PROTO_2 "}Na.", MOCO_FORMAT, "no list"),
    CASE("APPEND to a tuple", PROTO_2 ")Na.", MOCO_FORMAT, "no list"),
    CASE("APPEND to nothing", PROTO_2 "Na.", MOCO_FORMAT, "empty stack"),
    CASE("APPENDS to nothing", PROTO_2 "(Ne.", MOCO_FORMAT, "no list"),
    CASE("SETITEM of a list", PROTO_2 "]NNs.", MOCO_FORMAT, "no dict"),
    CASE("SETITEMS without a value", PROTO_2 "}(" TEXT_1 "au.", MOCO_FORMAT, "no value"),
    CASE("a key that is a list", PROTO_2 "}]Ns.", MOCO_UNSUPPORTED, "neither text nor number"),
    CASE("a key that is a tuple", PROTO_2 "}(]tNs.", MOCO_UNSUPPORTED, "neither text nor number"),
    CASE("a memo that was never put", PROTO_2 "h\x07.", MOCO_FORMAT, "memo number 7"),
    CASE("memo number 2^32 - 1", PROTO_2 "}r\xff\xff\xff\xff.", MOCO_FORMAT, "memo number 4294967295"),
    CASE("memo number 2^32 - 1, fetched", PROTO_2 "j\xff\xff\xff\xff.", MOCO_FORMAT, "memo number 4294967295"),
    CASE("a list in itself", PROTO_2 "]q\0h\0a.", MOCO_FORMAT, "contains itself"),
    CASE("a dict in itself", PROTO_2 "}q\0" TEXT_1 "ah\0s.", MOCO_FORMAT, "contains itself"),
    CASE("a list in a tuple in itself",
         PROTO_2 "]q\0h\0\x85"
                 "a.",
         MOCO_FORMAT, "contains itself"),
    /* --- Storages and tensors --- */
    CASE("a persistent id that is text", PROTO_2 ARGUMENT "Q.", MOCO_UNSUPPORTED, "persistent id"),
    CASE("a persistent id of a module", PROTO_2 "(X\x06\0\0\0moduleNNNNtQ.", MOCO_UNSUPPORTED, "persistent id"),
    CASE("a storage of no class", PROTO_2 "(X\x07\0\0\0storageN" TEXT_1 "k" TEXT_1 "cK\x01tQ.", MOCO_UNSUPPORTED,
         "persistent id"),
    CASE("a storage without a key", PROTO_2 "(X\x07\0\0\0storagectorch\nFloatStorage\nX\0\0\0\0" TEXT_1 "cK\x01tQ.",
         MOCO_FORMAT, "whose key has 0 bytes"),
    CASE("a storage of -1", PROTO_2 STORAGE_OF("FloatStorage", "J\xff\xff\xff\xff") ".", MOCO_FORMAT, "-1 elements"),
    CASE("a storage of 2^62", PROTO_2 STORAGE_OF("FloatStorage", "\x8a\x08\0\0\0\0\0\0\0\x40") ".", MOCO_FORMAT,
         "4611686018427387904 elements"),
    CASE("a storage of 2^63", PROTO_2 STORAGE_OF("FloatStorage", "\x8a\x09\0\0\0\0\0\0\0\x80\0") ".", MOCO_UNSUPPORTED,
         "persistent id"),
    CASE("a storage with two sizes", PROTO_2 "]" FLOATS STORAGE_OF("FloatStorage", F("\x09")) "\x86.", MOCO_FORMAT,
         "two dtypes or sizes"),
    CASE("a storage with two dtypes", PROTO_2 FLOATS STORAGE_OF("LongStorage", F("\x08")) "\x86.", MOCO_FORMAT,
         "two dtypes or sizes"),
    CASE("a negative stride", PROTO_2 TENSOR_OF(FLOATS, F("\x07"), F("\x02") "\x85", "J\xff\xff\xff\xff\x85") ".",
         MOCO_FORMAT, "strides"),
    CASE("a negative size", PROTO_2 TENSOR_OF(FLOATS, F("\0"), "J\xff\xff\xff\xff\x85", F("\x01") "\x85") ".",
         MOCO_FORMAT, "size"),
    CASE("a negative offset", PROTO_2 TENSOR_OF(FLOATS, "J\xff\xff\xff\xff", F("\x01") "\x85", F("\x01") "\x85") ".",
         MOCO_FORMAT, "offset"),
    CASE("a tensor behind its storage", PROTO_2 TENSOR_OF(FLOATS, F("\x08"), ")", ")") ".", MOCO_FORMAT,
         "outside of its storage"),
    CASE("one element too many", PROTO_2 TENSOR_OF(FLOATS, F("\0"), F("\x09") "\x85", F("\x01") "\x85") ".",
         MOCO_FORMAT, "outside of its storage"),
    CASE("a stride too large", PROTO_2 TENSOR_OF(FLOATS, F("\0"), TWO("\x02", "\x02"), TWO("\x07", "\x01")) ".",
         MOCO_FORMAT, "outside of its storage"),
    CASE("a stride that overflows",
         PROTO_2 TENSOR_OF(FLOATS, F("\x01"), F("\x03") "\x85", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85") ".",
         MOCO_FORMAT, "outside of its storage"),
    CASE("sizes that overflow",
         PROTO_2 TENSOR_OF(FLOATS, F("\0"), "\x8a\x05\0\0\0\0\x01\x8a\x05\0\0\0\0\x01\x86", TWO("\0", "\0")) ".",
         MOCO_FORMAT, "outside of its storage"),
    CASE("an empty tensor far away", PROTO_2 TENSOR_OF(FLOATS, F("\x09"), F("\0") "\x85", F("\x01") "\x85") ".",
         MOCO_FORMAT, "outside of its storage"),
    CASE("more strides than sizes", PROTO_2 TENSOR_OF(FLOATS, F("\0"), F("\x02") "\x85", TWO("\x01", "\x01")) ".",
         MOCO_FORMAT, "strides"),
    CASE("a size that is a list", PROTO_2 TENSOR_OF(FLOATS, F("\0"), "]", ")") ".", MOCO_FORMAT, "size"),
    CASE("nine dimensions",
         PROTO_2 TENSOR_OF(FLOATS, F("\0"), "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t") ".",
         MOCO_FORMAT, "at most 8"),
    CASE("a tensor of a tensor", PROTO_2 TENSOR_OF(TENSOR_OF(FLOATS, F("\0"), ")", ")"), F("\0"), ")", ")") ".",
         MOCO_FORMAT, "something else than its parts"),
    CASE("a tensor of nothing", PROTO_2 "ctorch._utils\n_rebuild_tensor_v2\n)R.", MOCO_FORMAT,
         "something else than its parts"),
    CASE("a tensor with hooks",
         PROTO_2 "ctorch._utils\n_rebuild_tensor_v2\n(" FLOATS "K\0))\x89"
                 "}" TEXT_1 "hNstR.",
         MOCO_UNSUPPORTED, "hooks"),
    CASE("a tensor with metadata",
         PROTO_2 "ctorch._utils\n_rebuild_tensor_v2\n(" FLOATS "K\0))\x89" ORDERED_DICT "}X\x04\0\0\0conj\x88stR.",
         MOCO_UNSUPPORTED, "metadata"),
};
#define HOSTILE (sizeof hostile / sizeof hostile[0])

static void hostile_pickles_are_refused(void **state) {
    (void) state;
    assert_true(HOSTILE >= 60);
    for (size_t i = 0; i < HOSTILE; ++i) {
        assert_refused(hostile[i].what, hostile[i].bytes, hostile[i].size, hostile[i].status, hostile[i].word);
    }
    assert_int_not_equal(access("CANARY!", F_OK), 0);
}

/* The table's near neighbours that are right, so that it refuses for the right reasons. */
static void harmless_pickles_are_read(void **state) {
    (void) state;
    static const hostile_case good[] = {
        CASE("a dict", PROTO_2 "}.", MOCO_OK, ""),
        CASE("an OrderedDict", PROTO_2 ORDERED_DICT ".", MOCO_OK, ""),
        CASE("_metadata", PROTO_2 ORDERED_DICT "}X\x09\0\0\0_metadata" ORDERED_DICT "sb.", MOCO_OK, ""),
        CASE("a tensor", PROTO_2 TENSOR_OF(FLOATS, F("\0"), F("\x08") "\x85", F("\x01") "\x85") ".", MOCO_OK, ""),
        CASE("its last element", PROTO_2 TENSOR_OF(FLOATS, F("\x07"), ")", ")") ".", MOCO_OK, ""),
        CASE("strides to the end", PROTO_2 TENSOR_OF(FLOATS, F("\0"), TWO("\x02", "\x02"), TWO("\x06", "\x01")) ".",
             MOCO_OK, ""),
        CASE("no elements at the end", PROTO_2 TENSOR_OF(FLOATS, F("\x08"), F("\0") "\x85", F("\x01") "\x85") ".",
             MOCO_OK, ""),
        CASE("the same list twice", PROTO_2 "]q\0h\0\x86.", MOCO_OK, ""),
        CASE("a long of 255 bytes", PROTO_2 "\x8a\x01\xff.", MOCO_OK, ""),
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; ++i) {
        pickle = NULL;
        if (parse(NULL, good[i].bytes, good[i].size) != MOCO_OK) fail_msg("%s: %s", good[i].what, moco_last_error());
        moco_pickle_free(pickle);
    }
}

/* --- Those that want much --- */

static void assert_large_refused(const char *what, torch_bytes *bytes, const char *word) {
    assert_refused(what, bytes->data, bytes->size, MOCO_FORMAT, word);
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}

static void pickles_that_want_much(void **state) {
    (void) state;
    torch_bytes bytes = {0};
    const size_t nodes = (size_t) MOCO_PICKLE_MAX_NODES;
    PUT(&bytes, PROTO_2); /* [[[[ ... ]]]] */
    put_repeated(&bytes, "]", 1, 100000);
    put_repeated(&bytes, "a", 1, 99999);
    PUT(&bytes, ".");
    assert_large_refused("depth", &bytes, "nested more than 64");
    PUT(&bytes, PROTO_2 "N"); /* ((((None,),),),) by TUPLE1 */
    put_repeated(&bytes, "\x85", 1, 65);
    PUT(&bytes, ".");
    assert_large_refused("tuples", &bytes, "nested more than 64");
    /* A deep part that was seen before at a harmless depth. */
    PUT(&bytes, PROTO_2 "]N");
    put_repeated(&bytes, "\x85", 1, 40);
    PUT(&bytes, "q\0ah\0");
    put_repeated(&bytes, "\x85", 1, 40);
    PUT(&bytes, "a.");
    assert_large_refused("depth by the memo", &bytes, "nested more than 64");
    PUT(&bytes, PROTO_2);
    put_repeated(&bytes, "]", 1, nodes + 1);
    assert_large_refused("values", &bytes, "more than 1048576 values");
    PUT(&bytes, PROTO_2);
    put_repeated(&bytes, "(", 1, nodes + 1);
    assert_large_refused("marks", &bytes, "a stack of 1048576");
    PUT(&bytes, PROTO_2 "]q\0");
    for (int i = 0; i < 3; ++i) { /* one list with 3 x 2^20 times nothing */
        PUT(&bytes, "(");
        put_repeated(&bytes, "h\0", 2, nodes - 8);
        PUT(&bytes, "e");
    }
    assert_large_refused("items", &bytes, "more than 2097152 items");
    PUT(&bytes, PROTO_2 "c");
    put_repeated(&bytes, "a", 1, 100000);
    assert_large_refused("a long global", &bytes, "more than 127 characters");
    PUT(&bytes, PROTO_2);
    for (int i = 0; i < 66000; ++i) {
        char key[16];
        snprintf(key, sizeof key, "%08x", i);
        PUT(&bytes, "(X\x07\0\0\0storagectorch\nFloatStorage\nX\x08\0\0\0");
        put_bytes(&bytes, key, 8);
        PUT(&bytes, TEXT_1 "cK\x01tQ");
    }
    assert_large_refused("storages", &bytes, "more than 65536 storages");
}

/* A memo bomb, as "a billion laughs": every list holds the one before twice. By reference it is small; whoever walks the
 * tree has to count. */
static void a_memo_bomb_stays_small(void **state) {
    (void) state;
    torch_bytes bytes = {0};
    PUT(&bytes, PROTO_2 "N");
    for (int i = 0; i < 60; ++i) {
        const char put_get[] = {'q', (char) i, 'h', (char) i, '\x86'};
        put_bytes(&bytes, put_get, sizeof put_get);
    }
    PUT(&bytes, ".");
    counted_memory memory = {0};
    moco_context *context = counted_context(&memory);
    assert_int_equal(parse(context, bytes.data, bytes.size), MOCO_OK);
    assert_true(memory.most < 200000);
    assert_int_equal(moco_pickle_root(pickle)->count, 2);
    moco_pickle_free(pickle);
    moco_context_destroy(context);
    free(bytes.data);
}

/* Every prefix of a good pickle says that it was cut, and every changed byte does no harm. */
static void damage_does_no_harm(void **state) {
    (void) state;
    static const char good[] = PROTO_2 "}(" TEXT_1 "a" TENSOR_OF(FLOATS, F("\0"), TWO("\x02", "\x02"),
                                                                 TWO("\x06", "\x01")) TEXT_1 "bG?\xf0\0\0\0\0\0\0u.";
    for (size_t size = 0; size + 1 < sizeof good; ++size) {
        size_t used = 0;
        int32_t cut = 0;
        char *copy = (char *) malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy, good, size);
        assert_int_equal(moco_pickle_parse(&pickle, NULL, "cut.pt", copy, size, &used, &cut), MOCO_FORMAT);
        assert_int_equal(cut, 1);
        free(copy);
    }
    for (size_t i = 0; i + 1 < sizeof good; ++i) {
        for (int byte = 0; byte < 256; ++byte) {
            char changed[sizeof good];
            memcpy(changed, good, sizeof good);
            changed[i] = (char) byte;
            pickle = NULL;
            (void) parse(NULL, changed, sizeof good - 1);
            moco_pickle_free(pickle);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_pickles_are_refused), cmocka_unit_test(harmless_pickles_are_read),
        cmocka_unit_test(pickles_that_want_much),      cmocka_unit_test(a_memo_bomb_stays_small),
        cmocka_unit_test(damage_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
