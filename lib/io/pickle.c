#include "io/pickle.h"

#include <string.h>

#include "core/checked.h"
#include "io/pickle_internal.h"
#include "io/pickle_opcodes.h"
#include "io/utf8.h"

#define PROTOCOL    2
#define MOST_GLOBAL 128 /* bytes of a module's or a global's name */

/* --- Opcodes --- */

static moco_status push_integer(moco_pickle *pickle, int64_t value) {
    moco_pickle_node *node = NULL;
    MOCO_TRY(moco_pickle_push_new(pickle, MOCO_PICKLE_INT, &node));
    node->as.integer = value;
    return MOCO_OK;
}

/* LONG1: a two's complement number of up to 255 bytes. */
static moco_status read_long(moco_pickle *pickle) {
    const unsigned char *bytes = NULL;
    MOCO_TRY(moco_pickle_take(pickle, 1, &bytes));
    const size_t count = bytes[0];
    MOCO_TRY(moco_pickle_take(pickle, count, &bytes));
    if (count > 8) {
        moco_pickle_node *node = NULL;
        MOCO_TRY(moco_pickle_push_new(pickle, MOCO_PICKLE_BIG_INT, &node));
        node->as.text = (const char *) bytes;
        node->count = (int64_t) count;
        return MOCO_OK;
    }
    uint64_t value = count > 0 && (bytes[count - 1] & 0x80) != 0 ? UINT64_MAX : 0;
    for (size_t i = count; i-- > 0;) value = value << 8 | bytes[i];
    return push_integer(pickle, (int64_t) value);
}

static moco_status read_float(moco_pickle *pickle) {
    const unsigned char *bytes = NULL;
    MOCO_TRY(moco_pickle_take(pickle, 8, &bytes));
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | bytes[i];
    moco_pickle_node *node = NULL;
    MOCO_TRY(moco_pickle_push_new(pickle, MOCO_PICKLE_FLOAT, &node));
    memcpy(&node->as.real, &bits, sizeof bits);
    return MOCO_OK;
}

static moco_status read_text(moco_pickle *pickle) {
    const unsigned char *bytes = NULL;
    uint32_t count = 0;
    MOCO_TRY(moco_pickle_take_number(pickle, 4, &count));
    MOCO_TRY(moco_pickle_take(pickle, count, &bytes));
    if (!moco_utf8_is_valid((const char *) bytes, count)) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "has a text that is not UTF-8");
    }
    moco_pickle_node *node = NULL;
    MOCO_TRY(moco_pickle_push_new(pickle, MOCO_PICKLE_TEXT, &node));
    node->as.text = (const char *) bytes;
    node->count = (int64_t) count;
    return MOCO_OK;
}

/* A line of GLOBAL's. */
static moco_status read_line(moco_pickle *pickle, char line[MOST_GLOBAL]) {
    for (size_t length = 0; length < MOST_GLOBAL; ++length) {
        const unsigned char *byte = NULL;
        MOCO_TRY(moco_pickle_take(pickle, 1, &byte));
        if (*byte == '\n') {
            line[length] = '\0';
            return MOCO_OK;
        }
        if (*byte < ' ' || *byte > '~') {
            return moco_pickle_refuse(pickle, MOCO_FORMAT, "names a global that has odd characters in its name");
        }
        line[length] = (char) *byte;
    }
    return moco_pickle_refuse(pickle, MOCO_FORMAT, "names a global of more than %d characters", MOST_GLOBAL - 1);
}

static moco_status read_global(moco_pickle *pickle) {
    char module[MOST_GLOBAL];
    char name[MOST_GLOBAL];
    moco_pickle_node *node = NULL;
    MOCO_TRY(read_line(pickle, module));
    MOCO_TRY(read_line(pickle, name));
    MOCO_TRY(moco_pickle_global(pickle, module, name, &node));
    return moco_pickle_push(pickle, node);
}

/* A tuple of all things from `first` on. */
static moco_status make_tuple(moco_pickle *pickle, int64_t first) {
    moco_pickle_node *tuple = NULL;
    MOCO_TRY(moco_pickle_node_make(pickle, MOCO_PICKLE_TUPLE, &tuple));
    for (int64_t i = first; i < pickle->depth; ++i) {
        if (pickle->stack[i] == NULL) return moco_pickle_refuse(pickle, MOCO_FORMAT, "makes a tuple across a mark");
        MOCO_TRY(moco_pickle_add_item(pickle, tuple, i - first, pickle->stack[i]));
    }
    tuple->count = pickle->depth - first;
    pickle->depth = first;
    return moco_pickle_push(pickle, tuple);
}

static moco_status tuple_of(moco_pickle *pickle, int64_t count) {
    if (pickle->depth < count) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "takes something from an empty stack");
    }
    return make_tuple(pickle, pickle->depth - count);
}

static moco_status tuple_from_mark(moco_pickle *pickle) {
    int64_t first = 0;
    MOCO_TRY(moco_pickle_find_mark(pickle, &first));
    for (int64_t i = first; i < pickle->depth; ++i) pickle->stack[i - 1] = pickle->stack[i];
    pickle->depth--;
    return make_tuple(pickle, first - 1);
}

/* Adds all things from `first` on to the list or dict of `kind` below them (and below their mark, if any). */
static moco_status add_to_container(moco_pickle *pickle, int32_t kind, int64_t first, int64_t marks) {
    const int32_t is_dict = kind == MOCO_PICKLE_DICT;
    const int64_t below = first - marks - 1;
    moco_pickle_node *target = below < 0 ? NULL : pickle->stack[below];
    if (target == NULL || target->kind != kind) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT,
                                  is_dict ? "sets items of something that is no dict"
                                          : "appends to something that is no list");
    }
    if (is_dict && (pickle->depth - first) % 2 != 0) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "sets items of a dict with a key that has no value");
    }
    for (int64_t i = first; i < pickle->depth; ++i) {
        const moco_pickle_node *item = pickle->stack[i];
        if (item == NULL) return moco_pickle_refuse(pickle, MOCO_FORMAT, "adds items across a mark");
        if (is_dict && (i - first) % 2 == 0 && item->kind != MOCO_PICKLE_TEXT && item->kind != MOCO_PICKLE_INT) {
            return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED,
                                      "has a dict with a key that is neither text nor number");
        }
        const int64_t place = is_dict ? 2 * target->count + (i - first) % 2 : target->count;
        MOCO_TRY(moco_pickle_add_item(pickle, target, place, item));
        target->count += !is_dict || (i - first) % 2 == 1;
    }
    pickle->depth = below + 1;
    return MOCO_OK;
}

static moco_status add_from_mark(moco_pickle *pickle, int32_t kind) {
    int64_t first = 0;
    MOCO_TRY(moco_pickle_find_mark(pickle, &first));
    return add_to_container(pickle, kind, first, 1);
}

static moco_status add_top(moco_pickle *pickle, int32_t kind, int64_t count) {
    return pickle->depth <= count ? moco_pickle_refuse(pickle, MOCO_FORMAT, "takes something from an empty stack")
                                  : add_to_container(pickle, kind, pickle->depth - count, 0);
}

static moco_status reduce(moco_pickle *pickle) {
    moco_pickle_node *arguments = NULL, *function = NULL, *result = NULL;
    MOCO_TRY(moco_pickle_pop(pickle, &arguments));
    MOCO_TRY(moco_pickle_pop(pickle, &function));
    if (function->kind != MOCO_PICKLE_GLOBAL || arguments->kind != MOCO_PICKLE_TUPLE) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "calls something that is no function, or without a tuple");
    }
    MOCO_TRY(moco_pickle_call(pickle, function, arguments, &result));
    return moco_pickle_push(pickle, result);
}

/* BUILD sets attributes. An OrderedDict may have some (state_dict() leaves _metadata there), which we don't need. */
static moco_status build(moco_pickle *pickle) {
    moco_pickle_node *attributes = NULL, *object = NULL;
    MOCO_TRY(moco_pickle_pop(pickle, &attributes));
    MOCO_TRY(moco_pickle_top(pickle, &object));
    if (object->kind != MOCO_PICKLE_DICT) {
        return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED, "uses BUILD on something that is no OrderedDict");
    }
    if (attributes->kind != MOCO_PICKLE_DICT) {
        return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED, "uses BUILD with something that is no dict of attributes");
    }
    for (int64_t i = 0; i < attributes->count; ++i) {
        if (moco_pickle_is_text(attributes->as.items[2 * i], "_metadata")) continue;
        const moco_pickle_node *key = attributes->as.items[2 * i];
        const int32_t is_text = key->kind == MOCO_PICKLE_TEXT;
        return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED,
                                  "uses BUILD to set the attribute \"%.*s\"; a state_dict's has _metadata alone",
                                  is_text ? (int) moco_min_i64(key->count, 64) : 1, is_text ? key->as.text : "?");
    }
    return MOCO_OK;
}

static moco_status put(moco_pickle *pickle, size_t bytes) {
    moco_pickle_node *node = NULL;
    uint32_t index = 0;
    MOCO_TRY(moco_pickle_take_number(pickle, bytes, &index));
    MOCO_TRY(moco_pickle_top(pickle, &node));
    MOCO_TRY(moco_pickle_grow(pickle, &pickle->memo, &pickle->memo_count, (int64_t) index, "memo number"));
    pickle->memo[index] = node;
    return MOCO_OK;
}

static moco_status get(moco_pickle *pickle, size_t bytes) {
    uint32_t index = 0;
    MOCO_TRY(moco_pickle_take_number(pickle, bytes, &index));
    if ((int64_t) index >= pickle->memo_count || pickle->memo[index] == NULL) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "fetches memo number %lu, which was never put",
                                  (unsigned long) index);
    }
    return moco_pickle_push(pickle, pickle->memo[index]);
}

static moco_status read_integer(moco_pickle *pickle, size_t bytes) {
    uint32_t value = 0;
    MOCO_TRY(moco_pickle_take_number(pickle, bytes, &value));
    return push_integer(pickle, bytes == 4 ? (int32_t) value : (int64_t) value);
}

static moco_status push_constant(moco_pickle *pickle, int32_t kind, int64_t value) {
    moco_pickle_node *node = NULL;
    MOCO_TRY(moco_pickle_push_new(pickle, kind, &node));
    node->as.integer = value;
    return MOCO_OK;
}

static moco_status persistent(moco_pickle *pickle) {
    moco_pickle_node *id = NULL, *result = NULL;
    MOCO_TRY(moco_pickle_pop(pickle, &id));
    MOCO_TRY(moco_pickle_persistent(pickle, id, &result));
    return moco_pickle_push(pickle, result);
}

static moco_status run_opcode(moco_pickle *pickle, unsigned char opcode) {
    switch (opcode) {
    case MOCO_OPCODE_GLOBAL:
        return read_global(pickle);
    case MOCO_OPCODE_REDUCE:
        return reduce(pickle);
    case MOCO_OPCODE_BUILD:
        return build(pickle);
    case MOCO_OPCODE_BINPERSID:
        return persistent(pickle);
    case MOCO_OPCODE_BINUNICODE:
        return read_text(pickle);
    case MOCO_OPCODE_LONG1:
        return read_long(pickle);
    case MOCO_OPCODE_BINFLOAT:
        return read_float(pickle);
    case MOCO_OPCODE_BININT1:
        return read_integer(pickle, 1);
    case MOCO_OPCODE_BININT2:
        return read_integer(pickle, 2);
    case MOCO_OPCODE_BININT:
        return read_integer(pickle, 4);
    case MOCO_OPCODE_BINPUT:
        return put(pickle, 1);
    case MOCO_OPCODE_LONG_BINPUT:
        return put(pickle, 4);
    case MOCO_OPCODE_BINGET:
        return get(pickle, 1);
    case MOCO_OPCODE_LONG_BINGET:
        return get(pickle, 4);
    case MOCO_OPCODE_MARK:
        return moco_pickle_push(pickle, NULL);
    case MOCO_OPCODE_NONE:
        return push_constant(pickle, MOCO_PICKLE_NONE, 0);
    case MOCO_OPCODE_NEWFALSE:
        return push_constant(pickle, MOCO_PICKLE_BOOL, 0);
    case MOCO_OPCODE_NEWTRUE:
        return push_constant(pickle, MOCO_PICKLE_BOOL, 1);
    case MOCO_OPCODE_EMPTY_DICT:
        return push_constant(pickle, MOCO_PICKLE_DICT, 0);
    case MOCO_OPCODE_EMPTY_LIST:
        return push_constant(pickle, MOCO_PICKLE_LIST, 0);
    case MOCO_OPCODE_EMPTY_TUPLE:
        return push_constant(pickle, MOCO_PICKLE_TUPLE, 0);
    case MOCO_OPCODE_TUPLE:
        return tuple_from_mark(pickle);
    case MOCO_OPCODE_TUPLE1:
        return tuple_of(pickle, 1);
    case MOCO_OPCODE_TUPLE2:
        return tuple_of(pickle, 2);
    case MOCO_OPCODE_TUPLE3:
        return tuple_of(pickle, 3);
    case MOCO_OPCODE_APPEND:
        return add_top(pickle, MOCO_PICKLE_LIST, 1);
    case MOCO_OPCODE_APPENDS:
        return add_from_mark(pickle, MOCO_PICKLE_LIST);
    case MOCO_OPCODE_SETITEM:
        return add_top(pickle, MOCO_PICKLE_DICT, 2);
    case MOCO_OPCODE_SETITEMS:
        return add_from_mark(pickle, MOCO_PICKLE_DICT);
    default:
        break;
    }
    const char *name = moco_pickle_opcode_name(opcode);
    if (name == NULL) return moco_pickle_refuse(pickle, MOCO_FORMAT, "has the byte 0x%02x, which is no opcode", opcode);
    return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED, "uses %s, which no state_dict saved by protocol 2 needs", name);
}

/* --- All of it --- */

static moco_status run(moco_pickle *pickle) {
    const unsigned char *bytes = NULL;
    MOCO_TRY(moco_pickle_take(pickle, 2, &bytes));
    if (bytes[0] != MOCO_OPCODE_PROTO || bytes[1] != PROTOCOL) {
        return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED,
                                  "does not begin with PROTO %d, torch.save's default protocol, which alone is read",
                                  PROTOCOL);
    }
    for (;;) {
        MOCO_TRY(moco_pickle_take(pickle, 1, &bytes));
        if (bytes[0] == MOCO_OPCODE_STOP) break;
        MOCO_TRY(run_opcode(pickle, bytes[0]));
    }
    moco_pickle_node *root = NULL;
    MOCO_TRY(moco_pickle_pop(pickle, &root));
    if (pickle->depth != 0) return moco_pickle_refuse(pickle, MOCO_FORMAT, "ends with more than one value");
    MOCO_TRY(moco_pickle_check_tree(pickle, root));
    pickle->root = root;
    return MOCO_OK;
}

moco_status moco_pickle_parse(moco_pickle **out, moco_context *context, const char *name, const void *bytes,
                              size_t size, size_t *used, int32_t *cut) {
    moco_pickle *pickle = (moco_pickle *) moco_allocate_zeroed(context, 1, sizeof *pickle);
    if (cut != NULL) *cut = 0;
    if (pickle == NULL) return MOCO_OUT_OF_MEMORY;
    pickle->context = context;
    pickle->name = name;
    pickle->bytes = (const unsigned char *) bytes;
    pickle->size = size;
    moco_status status = MOCO_OK;
    if (size > MOCO_PICKLE_MAX_BYTES) {
        status =
            moco_pickle_refuse(pickle, MOCO_FORMAT, "has %zu bytes; at most %zu are read", size, MOCO_PICKLE_MAX_BYTES);
    }
    if (status == MOCO_OK) status = run(pickle);
    moco_deallocate(context, (void *) pickle->stack);
    moco_deallocate(context, (void *) pickle->memo);
    pickle->stack = NULL;
    pickle->memo = NULL;
    if (status != MOCO_OK) {
        if (cut != NULL) *cut = pickle->cut;
        moco_pickle_free(pickle);
        return status;
    }
    *used = pickle->at;
    *out = pickle;
    return MOCO_OK;
}
