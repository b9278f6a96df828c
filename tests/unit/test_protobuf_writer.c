/* Protocol Buffers' wire format: the examples of its "Encoding" guide, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "io/protobuf_writer.h"

static void assert_bytes(moco_byte_buffer *message, const char *expected, size_t size) {
    assert_int_equal(message->status, MOCO_OK);
    assert_int_equal(message->size, size);
    assert_memory_equal(message->bytes, expected, size);
    moco_byte_buffer_release(message);
}

static void the_guides_examples(void **state) {
    (void) state;
    moco_byte_buffer message;
    moco_byte_buffer part;
    moco_byte_buffer_init(&message, NULL);
    moco_byte_buffer_init(&part, NULL);
    moco_protobuf_integer(&message, 1, 150);
    assert_bytes(&message, "\x08\x96\x01", 3);
    moco_protobuf_text(&message, 2, "testing");
    assert_bytes(&message, "\x12\x07testing", 9);
    moco_protobuf_integer(&part, 1, 150);
    moco_protobuf_message(&message, 3, &part);
    assert_bytes(&message, "\x1a\x03\x08\x96\x01", 5);
    moco_protobuf_integer(&message, 1, -2);
    assert_bytes(&message, "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    moco_byte_buffer_release(&part);
}

static void the_rest(void **state) {
    (void) state;
    moco_byte_buffer message;
    moco_byte_buffer_init(&message, NULL);
    moco_protobuf_integer(&message, 20, 0); /* a field above 15 has a tag of two bytes */
    assert_bytes(&message, "\xa0\x01\x00", 3);
    moco_protobuf_integer(&message, 1, INT64_MAX);
    assert_bytes(&message, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10);
    moco_protobuf_float(&message, 2, 1.0F);
    assert_bytes(&message, "\x15\x00\x00\x80\x3f", 5);
    moco_protobuf_double(&message, 1, -2.0);
    assert_bytes(&message, "\x09\x00\x00\x00\x00\x00\x00\x00\xc0", 9);
    moco_protobuf_begin(&message, 9, UINT64_C(300));
    assert_bytes(&message, "\x4a\xac\x02", 3);
    moco_protobuf_text(&message, 2, "");
    assert_bytes(&message, "\x12\x00", 2);
}

/* A message that could not be made makes the one around it fail. */
static void failures_are_kept(void **state) {
    (void) state;
    moco_byte_buffer message;
    moco_byte_buffer part;
    moco_byte_buffer_init(&message, NULL);
    moco_byte_buffer_init(&part, NULL);
    part.status = MOCO_OUT_OF_MEMORY;
    moco_protobuf_integer(&message, 1, 1);
    moco_protobuf_message(&message, 2, &part);
    moco_protobuf_integer(&message, 3, 1);
    assert_int_equal(message.status, MOCO_OUT_OF_MEMORY);
    assert_int_equal(message.size, 2);
    moco_byte_buffer_release(&message);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guides_examples),
        cmocka_unit_test(the_rest),
        cmocka_unit_test(failures_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
