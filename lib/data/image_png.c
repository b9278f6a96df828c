/* PNG by libpng: any depth and colour type to 8 bits (of 16, the high ones), alpha kept for the placement, interlaced
 * or not. An APNG's default picture is what it decodes to.
 *
 * libpng leaves by longjmp, as libjpeg does: see image_jpeg.c.
 */
#include "data/image_decoders.h"

#ifdef MOCO_HAVE_PNG

#include <setjmp.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

#include "core/checked.h"

typedef struct png_reader {
    moco_image_job *job;
    uint8_t *rows; /* on their way into the image: all of them where interlaced */
    png_structp png;
    png_infop info;
    size_t at;           /* in the file */
    jmp_buf escape;      /* ours: libpng's own may be of another size */
    moco_status status;  /* why it escaped */
    uint64_t memory;     /* that libpng holds */
    uint64_t max_memory; /* that it may hold */
} png_reader;

/* --- libpng's callbacks --- */

static _Noreturn void escape_with(png_reader *reader, moco_status status) {
    reader->status = status;
    longjmp(reader->escape, 1);
}

static _Noreturn void on_error(png_structp png, png_const_charp reason) {
    png_reader *reader = (png_reader *) png_get_error_ptr(png);
    if (reader->status == MOCO_OK) { /* else the allocator knows better */
        reader->status = moco_fail(MOCO_FORMAT, "the PNG file is damaged or not supported: %s", reason);
    }
    longjmp(reader->escape, 1);
}

static void on_warning(png_structp png, png_const_charp reason) {
    (void) png;
    (void) reason;
}

/* Each block is led by its size. */
enum { BLOCK_HEAD = 64 };

static png_voidp on_allocate(png_structp png, png_alloc_size_t size) {
    png_reader *reader = (png_reader *) png_get_mem_ptr(png);
    if (size > reader->max_memory - reader->memory) {
        reader->status = moco_fail(MOCO_FORMAT, "decoding this PNG takes more memory than the limit of %.0f MiB",
                                   (double) reader->job->limits->max_memory / 1048576.0);
        return NULL;
    }
    uint8_t *block = (uint8_t *) moco_allocate(reader->job->context, (size_t) size + BLOCK_HEAD);
    if (block == NULL) {
        reader->status = MOCO_OUT_OF_MEMORY;
        return NULL;
    }
    reader->memory += size;
    memcpy(block, &size, sizeof size);
    return block + BLOCK_HEAD;
}

static void on_free(png_structp png, png_voidp memory) {
    if (memory == NULL) return;
    png_reader *reader = (png_reader *) png_get_mem_ptr(png);
    uint8_t *block = (uint8_t *) memory - BLOCK_HEAD;
    png_alloc_size_t size = 0;
    memcpy(&size, block, sizeof size);
    reader->memory -= size;
    moco_deallocate(reader->job->context, block);
}

static void on_read(png_structp png, png_bytep bytes, size_t count) {
    png_reader *reader = (png_reader *) png_get_io_ptr(png);
    if (count > reader->job->size - reader->at) png_error(png, "it ends too early");
    memcpy(bytes, reader->job->bytes + reader->at, count);
    reader->at += count;
}

/* --- Decoding --- */

/* Every chunk's checksum, before pixels are trusted: libpng would compare that of the last pixels only after they have
 * been read, and a window does not read so far. */
static moco_status check_sums(const moco_image_job *job) {
    const uint8_t *bytes = job->bytes;
    for (size_t at = 8; job->size - at >= 12;) { /* as moco_png_walk did, which has checked the lengths */
        const size_t length = png_get_uint_32(bytes + at);
        const uLong sum = crc32(crc32(0, NULL, 0), bytes + at + 4, (uInt) (length + 4));
        if (sum != png_get_uint_32(bytes + at + 8 + length)) {
            return moco_fail(MOCO_FORMAT, "the PNG file is damaged: the CRC of its chunk at byte %zu is wrong", at);
        }
        if (memcmp(bytes + at + 4, "IEND", 4) == 0) break;
        at += length + 12;
    }
    return MOCO_OK;
}

static void check_time(png_reader *reader) {
    if (moco_image_is_late(reader->job)) escape_with(reader, moco_image_fail_late(reader->job));
}

static void read_in_passes(png_reader *reader, int passes, size_t stride) {
    for (int pass = 0; pass < passes; ++pass) {
        for (int64_t y = 0; y < reader->job->header.h; ++y) {
            png_read_row(reader->png, reader->rows + (size_t) y * stride, NULL);
            if (y % MOCO_PLACE_ROWS == 0) check_time(reader);
        }
    }
}

static void read_in_order(png_reader *reader, size_t stride, size_t offset, int32_t channels) {
    const moco_image_window *part = &reader->job->part;
    for (int64_t y = 0; y < part->top; ++y) {
        png_read_row(reader->png, reader->rows, NULL);
        if (y % MOCO_PLACE_ROWS == 0) check_time(reader);
    }
    for (int64_t row = 0; row < part->h; row += MOCO_PLACE_ROWS) {
        const int64_t rows = moco_min_i64(MOCO_PLACE_ROWS, part->h - row);
        for (int64_t y = 0; y < rows; ++y) png_read_row(reader->png, reader->rows + (size_t) y * stride, NULL);
        moco_image_place(reader->job, row, rows, reader->rows + offset, stride, channels);
        check_time(reader);
    }
    for (int64_t y = part->top + part->h; reader->job->check_all && y < reader->job->header.h; ++y) {
        png_read_row(reader->png, reader->rows, NULL);
        if (y % MOCO_PLACE_ROWS == 0) check_time(reader);
    }
}

static moco_status read_pixels(png_reader *reader) {
    moco_image_job *job = reader->job;
    MOCO_TRY(check_sums(job));
    reader->max_memory = job->limits->max_memory;
    reader->png =
        png_create_read_struct_2(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning, reader, on_allocate, on_free);
    if (reader->png != NULL) reader->info = png_create_info_struct(reader->png);
    if (reader->info == NULL) {
        return reader->status != MOCO_OK ? reader->status : moco_fail(MOCO_OUT_OF_MEMORY, "libpng is out of memory");
    }
    png_structp png = reader->png;
    png_infop info = reader->info;
    png_set_read_fn(png, reader, on_read);
    png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE); /* all are checked */
#ifdef PNG_SET_USER_LIMITS_SUPPORTED
    png_set_user_limits(png, (png_uint_32) job->header.w, (png_uint_32) job->header.h);
#endif
#ifdef PNG_SET_UNKNOWN_CHUNKS_SUPPORTED
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* texts, profiles */
#endif
    png_read_info(png, info);
    png_set_expand(png); /* palette, few bits and tRNS to 8-bit channels */
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const int32_t channels = png_get_channels(png, info);
    if ((channels != MOCO_RGB && channels != MOCO_RGBA) || png_get_bit_depth(png, info) != 8) {
        return moco_fail(MOCO_FORMAT, "libpng gives %d channels of %d bits", channels, png_get_bit_depth(png, info));
    }

    const size_t stride = (size_t) job->header.w * (size_t) channels; /* at most 2^31 * 4 */
    const size_t offset = (size_t) job->window.left * (size_t) channels;
    const int64_t held = job->header.interlaced ? job->header.h : moco_min_i64(MOCO_PLACE_ROWS, job->header.h);
    const uint64_t extra = stride * (uint64_t) held; /* max_pixels is checked, so this is below 2^64 */
    MOCO_TRY(moco_image_begin(job, 1, extra));
    reader->max_memory = job->room > reader->memory ? job->room : reader->memory;
    reader->rows = (uint8_t *) moco_allocate(job->context, (size_t) extra);
    if (reader->rows == NULL) return MOCO_OUT_OF_MEMORY;
    if (job->header.interlaced) {
        read_in_passes(reader, passes, stride);
        moco_image_place(job, 0, job->part.h, reader->rows + (size_t) job->part.top * stride + offset, stride,
                         channels);
    } else {
        read_in_order(reader, stride, offset, channels);
    }
    return MOCO_OK;
}

static moco_status read_or_escape(png_reader *reader) {
    if (setjmp(reader->escape) != 0) return reader->status;
    return read_pixels(reader);
}

moco_status moco_png_decode(moco_image_job *job) {
    png_reader reader = {.job = job};
    const moco_status status = read_or_escape(&reader);
    png_destroy_read_struct(&reader.png, &reader.info, NULL);
    moco_deallocate(job->context, reader.rows);
    return status;
}

#else

moco_status moco_png_decode(moco_image_job *job) {
    return moco_image_require_decoder(job->header.format);
}

#endif
