/* The zoo's picture as a JPEG file. */
#include "zoo/zoo_jpeg_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_exif.h"
#include "zoo/zoo_picture.h"

static void say_nothing(j_common_ptr cinfo, int level) { /* coarse tables are what some files are about */
    (void) cinfo;
    (void) level;
}

/* Row r of the stored picture in the colours that libjpeg is given. */
static void make_row(const zoo_jpeg_options *options, int h, int w, int r, int stored_w, uint8_t *row) {
    for (int c = 0; c < stored_w; ++c) {
        int y, x;
        uint8_t rgba[4], grey, alpha;
        zoo_upright_of(options->orientation, h, w, r, c, &y, &x);
        const int quadrant = zoo_quadrant(y, x, h, w);
        zoo_colour(quadrant, rgba);
        zoo_grey(quadrant, &grey, &alpha);
        switch (options->space) {
        case ZOO_JPEG_GREY:
            row[c] = grey;
            break;
        case ZOO_JPEG_CMYK:
        case ZOO_JPEG_YCCK: /* Adobe's: 255 means no ink */
            memcpy(row + 4 * c, rgba, 3);
            row[4 * c + 3] = 255;
            break;
        default:
            memcpy(row + 3 * c, rgba, 3);
        }
    }
}

static void write_application_markers(j_compress_ptr cinfo, const zoo_jpeg_options *options) {
    if (options->orientation > 0) {
        zoo_bytes exif = {0};
        zoo_append(&exif, "Exif\0", 6);
        zoo_append_exif(&exif, options->exif_kind, options->orientation);
        jpeg_write_marker(cinfo, JPEG_APP0 + 1, exif.data, (unsigned) exif.size);
        zoo_bytes_free(&exif);
    }
    if (options->comment > 0) {
        zoo_bytes comment = {0};
        zoo_append_noise(&comment, (size_t) options->comment);
        jpeg_write_marker(cinfo, JPEG_COM, comment.data, (unsigned) comment.size);
        zoo_bytes_free(&comment);
    }
}

void zoo_append_jpeg(zoo_bytes *out, const zoo_jpeg_options *options) {
    static const J_COLOR_SPACE given[] = {JCS_RGB, JCS_GRAYSCALE, JCS_RGB, JCS_CMYK, JCS_CMYK};
    static const J_COLOR_SPACE stored[] = {JCS_YCbCr, JCS_GRAYSCALE, JCS_RGB, JCS_CMYK, JCS_YCCK};
    const int h = options->h > 0 ? options->h : ZOO_H, w = options->w > 0 ? options->w : ZOO_W;
    int stored_h, stored_w;
    zoo_stored_size(options->orientation, h, w, &stored_h, &stored_w);

    struct jpeg_compress_struct cinfo;
    struct jpeg_error_mgr errors;
    unsigned char *file = NULL;
    unsigned long file_size = 0;
    cinfo.err = jpeg_std_error(&errors); /* ends the program, which is right for a maker of test files */
    errors.emit_message = say_nothing;
    jpeg_create_compress(&cinfo);
    jpeg_mem_dest(&cinfo, &file, &file_size);
    cinfo.image_height = (JDIMENSION) stored_h;
    cinfo.image_width = (JDIMENSION) stored_w;
    cinfo.in_color_space = given[options->space];
    cinfo.input_components = options->space == ZOO_JPEG_GREY ? 1 : options->space >= ZOO_JPEG_CMYK ? 4 : 3;
    jpeg_set_defaults(&cinfo);
    jpeg_set_colorspace(&cinfo, stored[options->space]);
    jpeg_set_quality(&cinfo, options->quality > 0 ? options->quality : 90, options->wide_tables ? FALSE : TRUE);
    if (options->space != ZOO_JPEG_GREY) {
        for (int i = 0; i < cinfo.num_components; ++i) {
            const int luma = i == 0 || i == 3;
            cinfo.comp_info[i].v_samp_factor = luma && options->chroma_h > 0 ? options->chroma_h : 1;
            cinfo.comp_info[i].h_samp_factor = luma && options->chroma_w > 0 ? options->chroma_w : 1;
        }
    }
    cinfo.arith_code = options->arithmetic ? TRUE : FALSE;
    cinfo.optimize_coding = options->optimised ? TRUE : FALSE;
    cinfo.restart_interval = (unsigned) options->restart_blocks;
    jpeg_scan_info scans[4];
    if (options->progressive) {
        jpeg_simple_progression(&cinfo);
    } else if (options->non_interleaved) {
        for (int i = 0; i < cinfo.num_components; ++i) scans[i] = (jpeg_scan_info){1, {i}, 0, 63, 0, 0};
        cinfo.scan_info = scans;
        cinfo.num_scans = cinfo.num_components;
    }
    if (options->no_container) {
        cinfo.write_JFIF_header = FALSE;
        cinfo.write_Adobe_marker = FALSE;
    }
    jpeg_start_compress(&cinfo, TRUE);
    write_application_markers(&cinfo, options);
    uint8_t *row = (uint8_t *) malloc(4 * (size_t) stored_w);
    if (row == NULL) abort();
    for (int r = 0; r < stored_h; ++r) {
        make_row(options, h, w, r, stored_w, row);
        JSAMPROW rows[1] = {row};
        jpeg_write_scanlines(&cinfo, rows, 1);
    }
    jpeg_finish_compress(&cinfo);
    jpeg_destroy_compress(&cinfo);
    zoo_append(out, file, file_size);
    free(row);
    free(file);
}

/* --- Finding one's way --- */

static int has_no_length(int marker) {
    return marker == JPEG_SOI || marker == JPEG_EOI || (marker >= JPEG_RST0 && marker < JPEG_SOI);
}

size_t zoo_jpeg_segment_size(const zoo_bytes *jpeg, size_t at) {
    if (at + 4 > jpeg->size || has_no_length(jpeg->data[at + 1])) return 2;
    return 2 + 256 * (size_t) jpeg->data[at + 2] + jpeg->data[at + 3];
}

/* From a scan's data to the marker that ends it, or to the next restart marker. */
static size_t skip_scan_data(const zoo_bytes *jpeg, size_t at) {
    while (at + 1 < jpeg->size && (jpeg->data[at] != 0xff || jpeg->data[at + 1] == 0)) ++at;
    return at;
}

size_t zoo_jpeg_find(const zoo_bytes *jpeg, int marker, int occurrence) {
    for (size_t at = 0; at + 1 < jpeg->size;) {
        const int here = jpeg->data[at + 1];
        if (jpeg->data[at] != 0xff) abort();
        if (here == marker && occurrence-- == 0) return at;
        at += zoo_jpeg_segment_size(jpeg, at);
        if (here == JPEG_SOS || (here >= JPEG_RST0 && here < JPEG_SOI)) at = skip_scan_data(jpeg, at);
    }
    abort();
}

size_t zoo_jpeg_scan_data(const zoo_bytes *jpeg, int scan) {
    const size_t at = zoo_jpeg_find(jpeg, JPEG_SOS, scan);
    return at + zoo_jpeg_segment_size(jpeg, at);
}
