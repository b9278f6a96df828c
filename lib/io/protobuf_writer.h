/* Protocol Buffers' wire format, appended to a moco_byte_buffer: one field of a message with each call. A message within a
 * message is made in a buffer of its own first, since its length comes before it.
 */
#ifndef MOCO_IO_PROTOBUF_WRITER_H
#define MOCO_IO_PROTOBUF_WRITER_H

#include "io/byte_buffer.h"

/* int32, int64, uint64, enum and bool; a negative number takes ten bytes, as the format has it. */
void moco_protobuf_integer(moco_byte_buffer *message, int32_t field, int64_t value);
void moco_protobuf_float(moco_byte_buffer *message, int32_t field, float value);
void moco_protobuf_double(moco_byte_buffer *message, int32_t field, double value);
void moco_protobuf_text(moco_byte_buffer *message, int32_t field, const char *text);
/* `part` is another message, whose failure becomes this one's. */
void moco_protobuf_message(moco_byte_buffer *message, int32_t field, const moco_byte_buffer *part);
/* The beginning of a string, bytes or message of `size` bytes, which the caller writes behind it. */
void moco_protobuf_begin(moco_byte_buffer *message, int32_t field, uint64_t size);

#endif
