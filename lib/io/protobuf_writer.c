#include "io/protobuf_writer.h"

#include <string.h>

/* developers' guide "Encoding": what follows a field's number. */
enum { WIRE_VARINT = 0, WIRE_64_BITS = 1, WIRE_LENGTH = 2, WIRE_32_BITS = 5 };

static void append_varint(moco_byte_buffer *message, uint64_t value) {
    for (; value >= 0x80; value >>= 7) moco_append_byte(message, 0x80u | (unsigned) (value & 0x7Fu));
    moco_append_byte(message, (unsigned) value);
}

static void append_tag(moco_byte_buffer *message, int32_t field, uint32_t wire) {
    append_varint(message, (uint64_t) field << 3 | wire);
}

void moco_protobuf_integer(moco_byte_buffer *message, int32_t field, int64_t value) {
    append_tag(message, field, WIRE_VARINT);
    append_varint(message, (uint64_t) value);
}

void moco_protobuf_float(moco_byte_buffer *message, int32_t field, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    append_tag(message, field, WIRE_32_BITS);
    moco_append_little(message, bits, 4);
}

void moco_protobuf_double(moco_byte_buffer *message, int32_t field, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    append_tag(message, field, WIRE_64_BITS);
    moco_append_little(message, bits, 8);
}

void moco_protobuf_begin(moco_byte_buffer *message, int32_t field, uint64_t size) {
    append_tag(message, field, WIRE_LENGTH);
    append_varint(message, size);
}

void moco_protobuf_text(moco_byte_buffer *message, int32_t field, const char *text) {
    moco_protobuf_begin(message, field, strlen(text));
    moco_append_text(message, text);
}

void moco_protobuf_message(moco_byte_buffer *message, int32_t field, const moco_byte_buffer *part) {
    if (message->status == MOCO_OK) message->status = part->status;
    moco_protobuf_begin(message, field, part->size);
    moco_append_bytes(message, part->bytes, part->size);
}
