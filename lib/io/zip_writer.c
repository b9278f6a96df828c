#include "io/zip_writer.h"

#include <string.h>

#include "io/atomic_file.h"
#include "io/byte_buffer.h"
#include "io/crc32.h"

/* PKWARE's APPNOTE.TXT 4.3.7, 4.3.12 and 4.3.16. */
#define LOCAL_SIGNATURE    0x04034B50u
#define CENTRAL_SIGNATURE  0x02014B50u
#define END_SIGNATURE      0x06054B50u
#define LOCAL_HEADER_BYTES 30
#define VERSION            20     /* 2.0: folders in names */
#define DATE               0x0021 /* 1 January 1980, the first that there is */
#define ALIGNMENT          64
#define PADDING_ID         0x4246 /* "FB", the extra field that torch.save pads with */
#define PADDING_HEADER     4
#define MOST_ENTRIES       65535
#define MOST_BYTES         UINT64_C(0xFFFFFFFE)
#define CRC_POLYNOMIAL     0xEDB88320u
#define CRC_SLICES         8

struct moco_zip_writer {
    moco_context *context;
    moco_atomic_file *file;
    moco_byte_buffer directory;
    uint64_t offset; /* where the next byte comes */
    int64_t entries;
};

/* --- Entries --- */

moco_status moco_zip_writer_open(moco_zip_writer **out, moco_context *context, const char *path) {
    moco_zip_writer *zip = (moco_zip_writer *) moco_allocate_zeroed(context, 1, sizeof *zip);
    if (zip == NULL) return MOCO_OUT_OF_MEMORY;
    zip->context = context;
    moco_byte_buffer_init(&zip->directory, context);
    const moco_status status = moco_atomic_file_open(&zip->file, context, path);
    if (status != MOCO_OK) {
        moco_deallocate(context, zip);
        return status;
    }
    *out = zip;
    return MOCO_OK;
}

/* The fields that local header and directory share, from the version needed on. */
static void append_shared(moco_byte_buffer *header, uint32_t crc, size_t size, size_t name_length, size_t extra) {
    moco_append_little(header, VERSION, 2);
    moco_append_little(header, 0, 2); /* flags */
    moco_append_little(header, 0, 2); /* stored */
    moco_append_little(header, 0, 2); /* time */
    moco_append_little(header, DATE, 2);
    moco_append_little(header, crc, 4);
    moco_append_little(header, size, 4);
    moco_append_little(header, size, 4);
    moco_append_little(header, name_length, 2);
    moco_append_little(header, extra, 2);
}

static moco_status add_local(moco_zip_writer *zip, moco_byte_buffer *header, const char *name, uint32_t crc,
                             size_t size) {
    const size_t name_length = strlen(name);
    const uint64_t begin = zip->offset + LOCAL_HEADER_BYTES + name_length + PADDING_HEADER;
    const size_t padding = (size_t) (ALIGNMENT - begin % ALIGNMENT) % ALIGNMENT;
    moco_append_little(header, LOCAL_SIGNATURE, 4);
    append_shared(header, crc, size, name_length, PADDING_HEADER + padding);
    moco_append_text(header, name);
    moco_append_little(header, PADDING_ID, 2);
    moco_append_little(header, padding, 2);
    for (size_t i = 0; i < padding; ++i) moco_append_byte(header, 'Z');
    MOCO_TRY(header->status);
    return moco_atomic_file_write(zip->file, header->bytes, header->size);
}

static moco_status add_to_directory(moco_zip_writer *zip, const char *name, uint32_t crc, size_t size) {
    moco_byte_buffer *directory = &zip->directory;
    moco_append_little(directory, CENTRAL_SIGNATURE, 4);
    moco_append_little(directory, VERSION, 2);
    append_shared(directory, crc, size, strlen(name), 0);
    moco_append_little(directory, 0, 2); /* comment */
    moco_append_little(directory, 0, 2); /* disk */
    moco_append_little(directory, 0, 2); /* attributes */
    moco_append_little(directory, 0, 4);
    moco_append_little(directory, zip->offset, 4);
    moco_append_text(directory, name);
    return directory->status;
}

moco_status moco_zip_writer_add(moco_zip_writer *zip, const char *name, const void *bytes, size_t size) {
    const size_t name_length = strlen(name);
    MOCO_REQUIRE(name_length > 0 && name_length <= UINT16_MAX, "a zip entry's name has %zu bytes; it must have 1 to %d",
                 name_length, UINT16_MAX);
    /* What this entry and, later, the end of the directory take at most. */
    const uint64_t around = 2 * name_length + zip->directory.size + 512;
    if (zip->entries == MOST_ENTRIES || size > MOST_BYTES - around || zip->offset > MOST_BYTES - around - size) {
        return moco_fail(MOCO_UNSUPPORTED,
                         "a zip archive of %lld entries and %llu bytes has no room for \"%s\" of %zu bytes: it would "
                         "need Zip64, which is not written. A safetensors file has no such limit",
                         (long long) zip->entries, (unsigned long long) zip->offset, name, size);
    }
    const uint32_t crc = moco_crc32(0, bytes, size);
    moco_byte_buffer header;
    moco_byte_buffer_init(&header, zip->context);
    moco_status status = add_local(zip, &header, name, crc, size);
    if (status == MOCO_OK) status = add_to_directory(zip, name, crc, size);
    if (status == MOCO_OK) status = moco_atomic_file_write(zip->file, bytes, size);
    zip->offset += header.size + size;
    zip->entries++;
    moco_byte_buffer_release(&header);
    return status;
}

/* --- End --- */

static void release(moco_zip_writer *zip) {
    moco_byte_buffer_release(&zip->directory);
    moco_deallocate(zip->context, zip);
}

moco_status moco_zip_writer_commit(moco_zip_writer *zip) {
    moco_byte_buffer *directory = &zip->directory;
    const size_t size = directory->size;
    moco_append_little(directory, END_SIGNATURE, 4);
    moco_append_little(directory, 0, 2); /* disks */
    moco_append_little(directory, 0, 2);
    moco_append_little(directory, (uint64_t) zip->entries, 2);
    moco_append_little(directory, (uint64_t) zip->entries, 2);
    moco_append_little(directory, size, 4);
    moco_append_little(directory, zip->offset, 4);
    moco_append_little(directory, 0, 2); /* comment */
    moco_status status = directory->status;
    if (status == MOCO_OK) status = moco_atomic_file_write(zip->file, directory->bytes, directory->size);
    if (status == MOCO_OK) {
        status = moco_atomic_file_commit(zip->file);
    } else {
        moco_atomic_file_discard(zip->file);
    }
    release(zip);
    return status;
}

void moco_zip_writer_discard(moco_zip_writer *zip) {
    if (zip == NULL) return;
    moco_atomic_file_discard(zip->file);
    release(zip);
}
