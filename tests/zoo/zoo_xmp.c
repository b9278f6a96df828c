/* JPEG, PNG and WebP files that are turned as XMP says, or EXIF in a PNG's text; and such data of odd or hostile forms. */
#include "zoo/zoo_xmp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <webp/encode.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_exif.h"
#include "zoo/zoo_jpeg_writer.h"
#include "zoo/zoo_picture.h"
#include "zoo/zoo_png_writer.h"

static const struct {
    const char *form;
    int holds; /* the orientation counts */
} packets[ZOO_XMP_KINDS] = {
    {"<?xpacket begin=\"\"?><x:xmpmeta><rdf:Description tiff:Make=\"A\" tiff:Orientation=\"%d\"/></x:xmpmeta>", 1},
    {"<rdf:Description><tiff:Orientation>%d</tiff:Orientation></rdf:Description>", 1},
    {"<rdf:Description tiff:Orientation = '%d' />", 1},
    {"<rdf:Description><tiff:Orientation >\n  %d\n </tiff:Orientation></rdf:Description>", 1},
    {"<a tiff:Orientation=\"\"/><b><tiff:OrientationOfAll/><tiff:Orientation>%d</tiff:Orientation></b>", 1},
    {"<rdf:Description tiff:Orientation=\"%d0\"/>", 0},
    {"<rdf:Description tiff:Orientation=\"9%d\"/>", 0},
    {"<rdf:Description tiff:Orientation=\"%d", 0},
    {"<rdf:Description tiff:Orientation=%d/>", 0},
    {"<rdf:Description exif:Orientation=\"%d\"/>", 0},
    {"<tiff:Orientation><rdf:Seq><rdf:li>%d</rdf:li></rdf:Seq>", 0},
    {"tiff:Orientation", 0},
    {"", 0},
};

int zoo_append_xmp(zoo_bytes *out, int kind, int orientation) {
    char text[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, packets[kind].form, orientation);
#pragma GCC diagnostic pop
    zoo_append_text(out, text);
    return packets[kind].holds;
}

/* --- Where it is --- */

enum { IN_JPEG, IN_JPEG_AFTER_EXIF, IN_WEBP, IN_PNG, IN_PNG_DEFLATED, IN_PNG_AT_END, PLACES };

static void append_jpeg(zoo_bytes *out, int place, const zoo_bytes *packet, int turned) {
    const zoo_jpeg_options stored = {.orientation = turned, .exif_kind = ZOO_EXIF_LOOP};
    zoo_bytes segment = {0};
    zoo_append_jpeg(out, &stored);
    const size_t at = 2 + zoo_jpeg_segment_size(out, 2);
    if (place == IN_JPEG) { /* in place of the EXIF data that only turned the picture */
        const size_t exif = zoo_jpeg_find(out, JPEG_APP1, 0);
        zoo_remove(out, exif, zoo_jpeg_segment_size(out, exif));
    }
    zoo_append_big_endian(&segment, 0xff00u | JPEG_APP1, 2);
    zoo_append_big_endian(&segment, 2 + 29 + packet->size, 2);
    zoo_append(&segment, "http://ns.adobe.com/xap/1.0/", 29);
    zoo_append(&segment, packet->data, packet->size);
    zoo_insert(out, at, segment.data, segment.size);
    zoo_bytes_free(&segment);
}

static void append_png(zoo_bytes *out, const char *type, const zoo_bytes *content, const char *before, int turned,
                       int exif_kind) {
    const zoo_png_options stored = {.colour = PNG_RGB, .orientation = turned, .exif_kind = exif_kind};
    zoo_bytes chunk = {0};
    zoo_append_png(out, &stored);
    zoo_append_png_chunk(&chunk, type, content->data, content->size);
    zoo_insert(out, zoo_png_find(out, before, 0), chunk.data, chunk.size);
    zoo_bytes_free(&chunk);
}

static void append_webp(zoo_bytes *out, const zoo_bytes *packet, int turned) {
    int h = 0, w = 0, y = 0, x = 0;
    zoo_bytes pixels = {0};
    uint8_t *still = NULL;
    zoo_stored_size(turned, ZOO_H, ZOO_W, &h, &w);
    for (int i = 0; i < h * w; ++i) {
        uint8_t rgba[4];
        zoo_upright_of(turned, ZOO_H, ZOO_W, i / w, i % w, &y, &x);
        zoo_colour(zoo_quadrant(y, x, ZOO_H, ZOO_W), rgba);
        zoo_append(&pixels, rgba, 3);
    }
    const size_t size = WebPEncodeLosslessRGB(pixels.data, w, h, 3 * w, &still);
    if (size == 0) abort();
    zoo_append(out, "RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x04\0\0\0", 24);
    zoo_append_little_endian(out, (uint64_t) w - 1, 3);
    zoo_append_little_endian(out, (uint64_t) h - 1, 3);
    zoo_append(out, still + 12, size - 12);
    zoo_append_text(out, "XMP ");
    zoo_append_little_endian(out, packet->size, 4);
    zoo_append(out, packet->data, packet->size);
    zoo_append_repeated(out, 0, packet->size % 2);
    zoo_put_little_endian(out, 4, out->size - 8, 4);
    WebPFree(still);
    zoo_bytes_free(&pixels);
}

/* variant: orientation + 10 * form + 1000 * place */
static void make_xmp(zoo_bytes *out, int variant) {
    const int orientation = variant % 10, form = variant / 10 % 100, place = variant / 1000;
    zoo_bytes packet = {0}, content = {0};
    const int turned = zoo_append_xmp(&packet, form, orientation) ? orientation : 1;
    const int is_deflated = place == IN_PNG_DEFLATED;
    switch (place) {
    case IN_JPEG:
    case IN_JPEG_AFTER_EXIF:
        append_jpeg(out, place, &packet, turned);
        break;
    case IN_WEBP:
        append_webp(out, &packet, turned);
        break;
    default:
        zoo_append(&content, is_deflated ? "XML:com.adobe.xmp\0\1\0en\0XMP\0" : "XML:com.adobe.xmp\0\0\0\0\0",
                   is_deflated ? 27 : 22);
        if (is_deflated) {
            zoo_append_deflated(&content, packet.data, packet.size, 9);
        } else {
            zoo_append(&content, packet.data, packet.size);
        }
        append_png(out, "iTXt", &content, place == IN_PNG_AT_END ? "IEND" : "IDAT", turned, ZOO_EXIF_LOOP);
    }
    zoo_bytes_free(&packet);
    zoo_bytes_free(&content);
}

/* EXIF has the right orientation, XMP another. */
static void make_exif_wins(zoo_bytes *out, int is_png) {
    zoo_bytes packet = {0}, content = {0};
    zoo_append_xmp(&packet, 0, 3);
    if (is_png) {
        zoo_append(&content, "XML:com.adobe.xmp\0\0\0\0\0", 22);
        zoo_append(&content, packet.data, packet.size);
        append_png(out, "iTXt", &content, "IDAT", 6, ZOO_EXIF_BIG_ENDIAN);
    } else {
        const zoo_jpeg_options stored = {.orientation = 6};
        zoo_append_jpeg(out, &stored);
        zoo_append_big_endian(&content, 0xff00u | JPEG_APP1, 2);
        zoo_append_big_endian(&content, 2 + 29 + packet.size, 2);
        zoo_append(&content, "http://ns.adobe.com/xap/1.0/", 29);
        zoo_append(&content, packet.data, packet.size);
        zoo_insert(out, 2 + zoo_jpeg_segment_size(out, 2), content.data, content.size);
    }
    zoo_bytes_free(&packet);
    zoo_bytes_free(&content);
}

/* --- ImageMagick's texts --- */

enum {
    EXIF_DEFLATED,
    EXIF_PLAIN,
    APP1_EXIF,
    APP1_XMP,
    CUT_DIGITS,
    ODD_DIGITS,
    HUGE_LENGTH,
    NO_LINES,
    NOT_DEFLATED,
    BOMB
};

static void make_profile(zoo_bytes *out, int variant) {
    static const char digits[] = "0123456789abcdef";
    zoo_bytes profile = {0}, text = {0}, content = {0};
    char head[64];
    const int is_app1 = variant == APP1_EXIF || variant == APP1_XMP;
    const int holds = variant <= APP1_XMP || variant == ODD_DIGITS || variant == HUGE_LENGTH;
    if (variant == APP1_XMP) {
        zoo_append(&profile, "http://ns.adobe.com/xap/1.0/", 29);
        zoo_append_xmp(&profile, 0, 6);
    } else {
        zoo_append(&profile, "Exif\0", 6);
        zoo_append_exif(&profile, ZOO_EXIF_BIG_ENDIAN, 6);
    }
    snprintf(head, sizeof head, "\n%s\n%8lu\n", is_app1 ? "APP1" : "exif",
             variant == HUGE_LENGTH ? 4000000000ul : (unsigned long) profile.size);
    if (variant != NO_LINES) zoo_append_text(&text, head);
    for (size_t i = 0; i < profile.size; ++i) {
        if (i % 36 == 0 && i > 0) zoo_append_text(&text, "\n");
        if (variant == CUT_DIGITS && i == 12) break;
        zoo_append(&text, digits + (profile.data[i] >> 4), 1);
        zoo_append(&text, digits + (profile.data[i] & 15), 1);
    }
    if (variant == ODD_DIGITS) zoo_append_text(&text, "A\nxyz");
    zoo_append_text(&content, is_app1 ? "Raw profile type APP1" : "Raw profile type exif");
    zoo_append_repeated(&content, 0, 1);
    if (variant == BOMB) {
        const size_t size = (size_t) 48 << 20;
        void *zeros = calloc(size, 1);
        if (zeros == NULL) abort();
        zoo_append_repeated(&content, 0, 1);
        zoo_append_deflated(&content, zeros, size, 9);
        free(zeros);
    } else if (variant == EXIF_PLAIN || variant == APP1_EXIF) {
        zoo_append(&content, text.data, text.size);
    } else {
        zoo_append_repeated(&content, 0, 1);
        zoo_append_deflated(&content, text.data, text.size, 9);
        if (variant == NOT_DEFLATED) memset(content.data + 23, 0x77, content.size - 23);
    }
    append_png(out, variant == EXIF_PLAIN || variant == APP1_EXIF ? "tEXt" : "zTXt", &content, "IDAT", holds ? 6 : 1,
               ZOO_EXIF_LOOP);
    zoo_bytes_free(&profile);
    zoo_bytes_free(&text);
    zoo_bytes_free(&content);
}

#define XMP(name, place, form, orientation) \
    { name, make_xmp, (place) *1000 + (form) *10 + (orientation), ZOO_H, ZOO_W, ZOO_COLOURS, NULL }
#define PROFILE(name, variant) \
    { "png-profile-" name ".png", make_profile, variant, ZOO_H, ZOO_W, ZOO_COLOURS, NULL }
static const zoo_entry entries[] = {
    XMP("jpeg-xmp-2.jpg", IN_JPEG, 0, 2),
    XMP("jpeg-xmp-3.jpg", IN_JPEG, 1, 3),
    XMP("jpeg-xmp-4.jpg", IN_JPEG, 2, 4),
    XMP("jpeg-xmp-5.jpg", IN_JPEG, 3, 5),
    XMP("jpeg-xmp-6.jpg", IN_JPEG, 4, 6),
    XMP("jpeg-xmp-7.jpg", IN_JPEG, 0, 7),
    XMP("jpeg-xmp-8.jpg", IN_JPEG, 1, 8),
    XMP("jpeg-xmp-60.jpg", IN_JPEG, 5, 6),
    XMP("jpeg-xmp-96.jpg", IN_JPEG, 6, 6),
    XMP("jpeg-xmp-cut.jpg", IN_JPEG, 7, 6),
    XMP("jpeg-xmp-without-quotes.jpg", IN_JPEG, 8, 6),
    XMP("jpeg-xmp-other-prefix.jpg", IN_JPEG, 9, 6),
    XMP("jpeg-xmp-list.jpg", IN_JPEG, 10, 6),
    XMP("jpeg-xmp-name-alone.jpg", IN_JPEG, 11, 6),
    XMP("jpeg-xmp-empty.jpg", IN_JPEG, 12, 6),
    XMP("jpeg-xmp-exif-says-nothing.jpg", IN_JPEG_AFTER_EXIF, 0, 6),
    XMP("png-xmp-6.png", IN_PNG, 0, 6),
    XMP("png-xmp-8-deflated.png", IN_PNG_DEFLATED, 1, 8),
    XMP("png-xmp-5-at-end.png", IN_PNG_AT_END, 0, 5),
    XMP("png-xmp-cut.png", IN_PNG, 7, 6),
    XMP("webp-xmp-6.webp", IN_WEBP, 0, 6),
    XMP("webp-xmp-3.webp", IN_WEBP, 1, 3),
    XMP("webp-xmp-empty.webp", IN_WEBP, 12, 3),
    {"jpeg-xmp-and-exif.jpg", make_exif_wins, 0, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
    {"png-xmp-and-exif.png", make_exif_wins, 1, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
    PROFILE("exif-deflated", EXIF_DEFLATED),
    PROFILE("exif-plain", EXIF_PLAIN),
    PROFILE("app1-exif", APP1_EXIF),
    PROFILE("app1-xmp", APP1_XMP),
    PROFILE("cut-digits", CUT_DIGITS),
    PROFILE("odd-digits", ODD_DIGITS),
    PROFILE("huge-length", HUGE_LENGTH),
    PROFILE("no-lines", NO_LINES),
    PROFILE("not-deflated", NOT_DEFLATED),
    PROFILE("bomb", BOMB),
};
const zoo_table zoo_xmp_all = {entries, (int) (sizeof entries / sizeof entries[0])};
