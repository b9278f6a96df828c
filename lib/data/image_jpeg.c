/* JPEG by libjpeg-turbo: reduced in the DCT domain, and only the window's blocks. What is held has the bits of the same
 * part of a full decode at the same reduction.
 *
 * libjpeg leaves by longjmp. So the state that outlives it is in a jpeg_reader, owned by moco_jpeg_decode, and the
 * function that calls setjmp changes no variable of its own.
 */
#include "data/image_decoders.h"

#ifdef MOCO_HAVE_JPEG

#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "core/checked.h"
#include "data/image_jpeg_scan.h"

enum {
    MAX_SCANS = 500, /* of a progressive file; more than any encoder makes, fewer than a bomb wants */
    /* Chroma is interpolated from its neighbours, which at the sides of what is decoded are not there: so many columns
     * more make the window's own exact. */
    MARGIN = 8,
    SKIP_ROWS = 512, /* between two looks at the clock */
};

typedef struct jpeg_reader {
    moco_image_job *job;
    uint8_t *strip; /* rows on their way into the image */
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    moco_status status;  /* why it escaped */
    unsigned components; /* bit c: component c has been in a scan */
    int32_t has_begun;   /* the first scan */
    int32_t left_over;   /* bytes behind a scan, before a marker */
} jpeg_reader;

/* --- libjpeg's callbacks --- */

static _Noreturn void escape_with(jpeg_reader *reader, moco_status status) {
    reader->status = status;
    longjmp(reader->escape, 1);
}

static _Noreturn void on_error(j_common_ptr info) {
    jpeg_reader *reader = (jpeg_reader *) info->client_data;
    const int code = info->err->msg_code;
    if (code == JERR_NO_BACKING_STORE) {
        escape_with(reader, moco_fail(MOCO_FORMAT, "decoding this JPEG takes more memory than the limit of %.0f MiB",
                                      (double) reader->job->limits->max_memory / 1048576.0));
    }
    if (code == JERR_OUT_OF_MEMORY) escape_with(reader, moco_fail(MOCO_OUT_OF_MEMORY, "libjpeg is out of memory"));
    char reason[JMSG_LENGTH_MAX];
    info->err->format_message(info, reason);
    escape_with(reader, moco_fail(MOCO_FORMAT, "the JPEG file is damaged or not supported: %s", reason));
}

/* Level -1 is a warning. Nearly all of them say that pixels were made up where data is damaged. Bytes before a marker are
 * passed over: before the first scan they are of no account, behind one moco_jpeg_check_scans has to say. */
static void on_message(j_common_ptr info, int level) {
    jpeg_reader *reader = (jpeg_reader *) info->client_data;
    const int code = info->err->msg_code, marker = info->err->msg_parm.i[1];
    if (level >= 0 || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM) return;
    if (code == JWRN_EXTRANEOUS_DATA && (marker < JPEG_RST0 || marker > JPEG_RST0 + 7)) {
        if (reader->has_begun) reader->left_over = 1;
        return;
    }
    on_error(info);
}

static void on_output(j_common_ptr info) {
    (void) info;
}

static void note_components(jpeg_reader *reader) {
    for (int i = 0; i < reader->info.comps_in_scan; ++i) {
        reader->components |= 1u << reader->info.cur_comp_info[i]->component_index;
    }
}

static void check_time(jpeg_reader *reader) {
    if (moco_image_is_late(reader->job)) escape_with(reader, moco_image_fail_late(reader->job));
}

/* Called for each row of blocks, in each scan. */
static void on_progress(j_common_ptr info) {
    jpeg_reader *reader = (jpeg_reader *) info->client_data;
    if (reader->info.input_scan_number > MAX_SCANS) {
        escape_with(reader, moco_fail(MOCO_FORMAT, "the JPEG file has more than %d scans", MAX_SCANS));
    }
    note_components(reader);
    check_time(reader);
}

/* --- Decoding --- */

/* Reads rows into the strip. */
static void read_rows(jpeg_reader *reader, int64_t rows, size_t stride) {
    for (int64_t y = 0; y < rows; ++y) {
        JSAMPROW row = reader->strip + (size_t) y * stride;
        if (jpeg_read_scanlines(&reader->info, &row, 1) != 1) {
            escape_with(reader, moco_fail(MOCO_FORMAT, "the JPEG file has fewer rows than its header says"));
        }
    }
}

/* libjpeg-turbo skips rows exactly, what the next one needs of them is decoded; but not in damaged files of arithmetic
 * coding, whose rows are read instead. */
static void skip_rows(jpeg_reader *reader, int64_t rows, size_t stride) {
    const int64_t most = reader->info.arith_code ? MOCO_PLACE_ROWS : SKIP_ROWS;
    while (rows > 0) {
        const int64_t some = moco_min_i64(rows, most);
        if (reader->info.arith_code) {
            read_rows(reader, some, stride);
        } else if (jpeg_skip_scanlines(&reader->info, (JDIMENSION) some) != (JDIMENSION) some) {
            escape_with(reader, moco_fail(MOCO_FORMAT, "the JPEG file has fewer rows than its header says"));
        }
        rows -= some;
        check_time(reader);
    }
}

/* Bytes of the coefficients, which a file with several scans keeps all at once. */
static uint64_t coefficient_bytes(struct jpeg_decompress_struct *info) {
    uint64_t bytes = 0;
    if (!jpeg_has_multiple_scans(info)) return 0;
    for (int c = 0; c < info->num_components; ++c) {
        const jpeg_component_info *component = &info->comp_info[c];
        const uint64_t across = component->width_in_blocks + (uint64_t) component->h_samp_factor;
        const uint64_t down = component->height_in_blocks + (uint64_t) component->v_samp_factor;
        bytes += across * down * (DCTSIZE2 * sizeof(JCOEF) + 8); /* 8: moco_jpeg_check_scans */
    }
    return bytes;
}

/* What libjpeg would take in silence: steps of zero, which leave nothing of the picture. */
static moco_status check_tables(struct jpeg_decompress_struct *info) {
    for (int t = 0; t < NUM_QUANT_TBLS; ++t) {
        const JQUANT_TBL *table = info->quant_tbl_ptrs[t];
        for (int i = 0; table != NULL && i < DCTSIZE2; ++i) {
            if (table->quantval[i] == 0) {
                return moco_fail(MOCO_FORMAT, "the JPEG file is damaged: quantization table %d has a zero", t);
            }
        }
    }
    return MOCO_OK;
}

/* A file that lost all scans of a component, or its progressive scans' averages, but not the marker of its end. */
static moco_status check_scans(const jpeg_reader *reader) {
    const struct jpeg_decompress_struct *info = &reader->info;
    for (int c = 0; c < info->num_components; ++c) {
        if ((reader->components >> c & 1u) == 0 || (info->coef_bits != NULL && info->coef_bits[c][0] < 0)) {
            return moco_fail(MOCO_FORMAT, "the JPEG file is cut short: component %d of %d is missing", c + 1,
                             info->num_components);
        }
    }
    return MOCO_OK;
}

#if JPEG_LIB_VERSION >= 70
#define SCALED_SIZE(component) ((component)->DCT_h_scaled_size)
#define MIN_SCALED_SIZE(info)  ((info)->min_DCT_h_scaled_size)
#else
#define SCALED_SIZE(component) ((component)->DCT_scaled_size)
#define MIN_SCALED_SIZE(info)  ((info)->min_DCT_scaled_size)
#endif

/* Whether columns can be left out. libjpeg-turbo miscounts those of a component (4:1:0's chroma at one half, say) that
 * is enlarged in part by the DCT and in part afterwards. */
static int can_crop(struct jpeg_decompress_struct *info) {
    for (int c = 0; c < info->num_components; ++c) {
        const jpeg_component_info *component = &info->comp_info[c];
        const int size = SCALED_SIZE(component), smallest = MIN_SCALED_SIZE(info);
        const int enlarged_by_dct = size != smallest;
        const int enlarged_afterwards = component->h_samp_factor * size != info->max_h_samp_factor * smallest ||
                                        component->v_samp_factor * size != info->max_v_samp_factor * smallest;
        if (enlarged_by_dct && enlarged_afterwards) return 0;
    }
    return 1;
}

static moco_status read_pixels(jpeg_reader *reader) {
    moco_image_job *job = reader->job;
    struct jpeg_decompress_struct *info = &reader->info;
    jpeg_create_decompress(info);
    info->progress = &reader->progress;
    jpeg_mem_src(info, job->bytes, (unsigned long) job->size);
    jpeg_read_header(info, TRUE);
    reader->has_begun = 1;
    if (info->image_height != job->header.h || info->image_width != job->header.w) {
        return moco_fail(MOCO_FORMAT, "the JPEG file is damaged: it has two frame headers");
    }
    if (info->num_components != 1 && info->num_components != 3 && info->num_components != 4) {
        return moco_fail(MOCO_FORMAT, "a JPEG file of %d components is not supported; 1, 3 and 4 are",
                         info->num_components);
    }
    MOCO_TRY(check_tables(info));
    const int32_t channels = info->num_components == 4 ? 4 : 3;
    info->out_color_space = channels == 4 ? JCS_CMYK : JCS_RGB;
    info->scale_num = 1;
    info->scale_denom = (unsigned) job->max_reduction;
    /* Where a progressive file ends without its finer coefficients, libjpeg would guess them from neighbouring blocks,
     * two to each side: a window would differ from the same part of the whole. */
    info->do_block_smoothing = FALSE;

    const size_t strip_bytes = (size_t) job->header.w * 4 * MOCO_PLACE_ROWS; /* at most */
    const uint64_t coefficients = coefficient_bytes(info);
    MOCO_TRY(moco_image_begin(job, job->max_reduction, coefficients + strip_bytes));
    const uint64_t room = job->room + coefficients;
    info->mem->max_memory_to_use = room > LONG_MAX ? LONG_MAX : room == 0 ? 1 : (long) room; /* 0 is no limit */

    jpeg_start_decompress(info);
    note_components(reader);
    if (jpeg_has_multiple_scans(info)) MOCO_TRY(check_scans(reader));
    const moco_image_window *part = &job->part;
    int64_t left = part->left;
    if (part->w < (int64_t) info->output_width && can_crop(info)) {
        JDIMENSION offset = (JDIMENSION) moco_max_i64(part->left - MARGIN, 0);
        JDIMENSION width = (JDIMENSION) moco_min_i64(part->left + part->w + MARGIN, info->output_width) - offset;
        jpeg_crop_scanline(info, &offset, &width); /* moves the left edge to a whole block */
        left = part->left - offset;
    }
    const size_t stride = (size_t) info->output_width * (size_t) channels;
    reader->strip = (uint8_t *) moco_allocate(job->context, stride * MOCO_PLACE_ROWS);
    if (reader->strip == NULL) return MOCO_OUT_OF_MEMORY;

    skip_rows(reader, part->top, stride);
    for (int64_t row = 0; row < part->h; row += MOCO_PLACE_ROWS) {
        const int64_t rows = moco_min_i64(MOCO_PLACE_ROWS, part->h - row);
        read_rows(reader, rows, stride);
        if (channels == 4) {
            /* Pillow takes every file with four components for Adobe's. */
            for (int64_t y = 0; y < rows; ++y) {
                moco_image_convert_inks(reader->strip + (size_t) y * stride, info->output_width);
            }
        }
        moco_image_place(job, row, rows, reader->strip + left * 3, stride, MOCO_RGB);
    }
    const int64_t below = (int64_t) info->output_height - (int64_t) info->output_scanline;
    if (job->check_all && below > 0) { /* to skip the last row would be not to look at any of them */
        skip_rows(reader, below - 1, stride);
        read_rows(reader, 1, stride);
    }
    /* Behind the last row: damage shows as data that is left over. */
    if (info->output_scanline == info->output_height) jpeg_finish_decompress(info);
    return reader->left_over ? moco_jpeg_check_scans(job) : MOCO_OK;
}

static moco_status read_or_escape(jpeg_reader *reader) {
    if (setjmp(reader->escape) != 0) return reader->status;
    return read_pixels(reader);
}

moco_status moco_jpeg_decode(moco_image_job *job) {
    jpeg_reader reader = {.job = job};
    reader.info.err = jpeg_std_error(&reader.errors);
    reader.info.client_data = &reader;
    reader.errors.error_exit = on_error;
    reader.errors.emit_message = on_message;
    reader.errors.output_message = on_output;
    reader.progress.progress_monitor = on_progress;
    const moco_status status = read_or_escape(&reader);
    jpeg_destroy_decompress(&reader.info);
    moco_deallocate(job->context, reader.strip);
    return status;
}

#else

moco_status moco_jpeg_decode(moco_image_job *job) {
    return moco_image_require_decoder(job->header.format);
}

#endif
