#include "io/pickle_writer.h"

#include <string.h>

#include "io/pickle_opcodes.h"

void moco_pickle_begin(moco_byte_buffer *pickle) {
    moco_append_byte(pickle, MOCO_OPCODE_PROTO);
    moco_append_byte(pickle, 2);
}

void moco_pickle_end(moco_byte_buffer *pickle) {
    moco_append_byte(pickle, MOCO_OPCODE_STOP);
}

static void append_global(moco_byte_buffer *pickle, const char *module_and_name) {
    moco_append_byte(pickle, MOCO_OPCODE_GLOBAL);
    moco_append_text(pickle, module_and_name);
}

static void append_ordered_dict(moco_byte_buffer *pickle) {
    append_global(pickle, "collections\nOrderedDict\n");
    moco_append_byte(pickle, MOCO_OPCODE_EMPTY_TUPLE);
    moco_append_byte(pickle, MOCO_OPCODE_REDUCE);
}

void moco_pickle_dict_begin(moco_byte_buffer *pickle, int32_t kind) {
    if (kind == MOCO_DICT_ORDERED) {
        append_ordered_dict(pickle);
    } else {
        moco_append_byte(pickle, MOCO_OPCODE_EMPTY_DICT);
    }
    moco_append_byte(pickle, MOCO_OPCODE_MARK);
}

void moco_pickle_dict_end(moco_byte_buffer *pickle) {
    moco_append_byte(pickle, MOCO_OPCODE_SETITEMS);
}

void moco_pickle_text_after(moco_byte_buffer *pickle, const char *prefix, const char *text) {
    const size_t before = strlen(prefix);
    const size_t length = strlen(text);
    if ((before > INT32_MAX || length > INT32_MAX - before) && pickle->status == MOCO_OK) {
        pickle->status =
            moco_fail(MOCO_INVALID_ARGUMENT, "a text has %zu bytes; a pickle takes up to %d", length, INT32_MAX);
    }
    moco_append_byte(pickle, MOCO_OPCODE_BINUNICODE);
    moco_append_little(pickle, before + length, 4);
    moco_append_bytes(pickle, prefix, before);
    moco_append_bytes(pickle, text, length);
}

void moco_pickle_text(moco_byte_buffer *pickle, const char *text) {
    moco_pickle_text_after(pickle, "", text);
}

void moco_pickle_integer(moco_byte_buffer *pickle, int64_t value) {
    if (value >= 0 && value <= UINT8_MAX) {
        moco_append_byte(pickle, MOCO_OPCODE_BININT1);
        moco_append_byte(pickle, (unsigned) value);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        moco_append_byte(pickle, MOCO_OPCODE_BININT);
        moco_append_little(pickle, (uint64_t) value, 4);
    } else {
        moco_append_byte(pickle, MOCO_OPCODE_LONG1);
        moco_append_byte(pickle, 8);
        moco_append_little(pickle, (uint64_t) value, 8);
    }
}

void moco_pickle_true(moco_byte_buffer *pickle) {
    moco_append_byte(pickle, MOCO_OPCODE_NEWTRUE);
}

static void append_tuple(moco_byte_buffer *pickle, int32_t count, const int64_t *values) {
    if (count == 0) {
        moco_append_byte(pickle, MOCO_OPCODE_EMPTY_TUPLE);
        return;
    }
    moco_append_byte(pickle, MOCO_OPCODE_MARK);
    for (int32_t i = 0; i < count; ++i) moco_pickle_integer(pickle, values[i]);
    moco_append_byte(pickle, MOCO_OPCODE_TUPLE);
}

/* torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks) */
void moco_pickle_tensor(moco_byte_buffer *pickle, int32_t storage, const char *key, int32_t rank, const int64_t *dims) {
    int64_t strides[8] = {0};
    int64_t elements = 1;
    for (int32_t i = rank - 1; i >= 0; --i) {
        strides[i] = elements;
        elements *= dims[i];
    }
    append_global(pickle, "torch._utils\n_rebuild_tensor_v2\n");
    moco_append_byte(pickle, MOCO_OPCODE_MARK);
    moco_append_byte(pickle, MOCO_OPCODE_MARK);
    moco_pickle_text(pickle, "storage");
    append_global(pickle, storage == MOCO_STORAGE_LONG ? "torch\nLongStorage\n" : "torch\nFloatStorage\n");
    moco_pickle_text(pickle, key);
    moco_pickle_text(pickle, "cpu");
    moco_pickle_integer(pickle, elements);
    moco_append_byte(pickle, MOCO_OPCODE_TUPLE);
    moco_append_byte(pickle, MOCO_OPCODE_BINPERSID);
    moco_pickle_integer(pickle, 0);
    append_tuple(pickle, rank, dims);
    append_tuple(pickle, rank, strides);
    moco_append_byte(pickle, MOCO_OPCODE_NEWFALSE);
    append_ordered_dict(pickle);
    moco_append_byte(pickle, MOCO_OPCODE_TUPLE);
    moco_append_byte(pickle, MOCO_OPCODE_REDUCE);
}
