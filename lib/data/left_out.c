#include "data/left_out.h"

#include <stdio.h>
#include <string.h>

#include "data/image_decoders.h"

#define NOT_READ (-1) /* a kind of images that is not read */

/* Endings of images, in lower case. */
static const struct {
    const char *ending;
    int32_t format; /* MOCO_FORMAT_*, or NOT_READ */
    int32_t is_raw; /* a camera's, which often is TIFF outside */
} endings[] = {
    {".jpg", MOCO_FORMAT_JPEG, 0},  {".jpeg", MOCO_FORMAT_JPEG, 0},
    {".png", MOCO_FORMAT_PNG, 0},   {".webp", MOCO_FORMAT_WEBP, 0},
    {".bmp", MOCO_FORMAT_BMP, 0},   {".tif", MOCO_FORMAT_TIFF, 0},
    {".tiff", MOCO_FORMAT_TIFF, 0}, {".ppm", MOCO_FORMAT_PNM, 0},
    {".pgm", MOCO_FORMAT_PNM, 0},   {".pbm", MOCO_FORMAT_PNM, 0},
    {".pnm", MOCO_FORMAT_PNM, 0},   {".gif", NOT_READ, 0},
    {".heic", NOT_READ, 0},         {".heif", NOT_READ, 0},
    {".avif", NOT_READ, 0},         {".jxl", NOT_READ, 0},
    {".jp2", NOT_READ, 0},          {".j2k", NOT_READ, 0},
    {".jpx", NOT_READ, 0},          {".jxr", NOT_READ, 0},
    {".jpe", NOT_READ, 0}, /* JPEG by another name: here only where the content is not */
    {".jfif", NOT_READ, 0},         {".dib", NOT_READ, 0},
    {".tga", NOT_READ, 0},          {".psd", NOT_READ, 0},
    {".xcf", NOT_READ, 0},          {".exr", NOT_READ, 0},
    {".hdr", NOT_READ, 0},          {".pfm", NOT_READ, 0},
    {".pam", NOT_READ, 0},          {".pcx", NOT_READ, 0},
    {".sgi", NOT_READ, 0},          {".ico", NOT_READ, 0},
    {".dds", NOT_READ, 0},          {".svg", NOT_READ, 0},
    {".dcm", NOT_READ, 0},          {".fits", NOT_READ, 0},
    {".dng", NOT_READ, 1},          {".nef", NOT_READ, 1},
    {".nrw", NOT_READ, 1},          {".cr2", NOT_READ, 1},
    {".cr3", NOT_READ, 1},          {".crw", NOT_READ, 1},
    {".arw", NOT_READ, 1},          {".sr2", NOT_READ, 1},
    {".srf", NOT_READ, 1},          {".srw", NOT_READ, 1},
    {".orf", NOT_READ, 1},          {".rw2", NOT_READ, 1},
    {".raf", NOT_READ, 1},          {".pef", NOT_READ, 1},
    {".3fr", NOT_READ, 1},          {".iiq", NOT_READ, 1},
    {".dcr", NOT_READ, 1},          {".kdc", NOT_READ, 1},
    {".raw", NOT_READ, 1},
};
enum { ENDINGS = (int) (sizeof endings / sizeof endings[0]) };

/* The name's ending in lower case; "" where it has none, or one so long that it tells nothing. */
static void read_ending(const char *name, size_t length, char ending[MOCO_LEFT_OUT_ENDING]) {
    size_t begin = length;
    ending[0] = '\0';
    while (begin > 0 && name[begin - 1] != '.' && name[begin - 1] != '/') --begin;
    if (begin < 2 || name[begin - 1] != '.' || name[begin - 2] == '/') return; /* none, or all of the name */
    const char *from = name + begin - 1;
    const size_t bytes = (size_t) (name + length - from);
    if (bytes < 2 || bytes >= MOCO_LEFT_OUT_ENDING) return;
    for (size_t i = 0; i < bytes; ++i) {
        const char byte = from[i];
        const int32_t is_plain = byte == '.' || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z');
        const int32_t is_upper = byte >= 'A' && byte <= 'Z';
        if (!is_plain && !is_upper) { /* a log line is no place for it */
            ending[0] = '\0';
            return;
        }
        ending[i] = is_upper ? (char) (byte - 'A' + 'a') : byte;
    }
    ending[bytes] = '\0';
}

/* The kind of images that the ending stands for, or -1. */
static int32_t find_ending(const char *ending) {
    for (int32_t i = 0; i < ENDINGS; ++i) {
        if (strcmp(ending, endings[i].ending) == 0) return i;
    }
    return -1;
}

int32_t moco_has_readable_name(const char *name, size_t length) {
    char ending[MOCO_LEFT_OUT_ENDING];
    read_ending(name, length, ending);
    const int32_t kind = find_ending(ending);
    return kind >= 0 && endings[kind].format >= 0 && moco_image_has_decoder(endings[kind].format);
}

int32_t moco_may_be_sniffed(const char *name, size_t length) {
    char ending[MOCO_LEFT_OUT_ENDING];
    read_ending(name, length, ending);
    const int32_t kind = find_ending(ending);
    return kind < 0 || !endings[kind].is_raw;
}

static void add(moco_left_out *left_out, const char *ending, int64_t count) {
    int32_t at = 0;
    while (at < left_out->count && strcmp(left_out->kinds[at].ending, ending) != 0) ++at;
    if (at == MOCO_LEFT_OUT_KINDS) {
        left_out->others += count;
        return;
    }
    if (at == left_out->count) {
        snprintf(left_out->kinds[at].ending, sizeof left_out->kinds[at].ending, "%s", ending);
        left_out->kinds[at].count = 0;
        left_out->count++;
    }
    left_out->kinds[at].count += count;
}

void moco_left_out_note(moco_left_out *left_out, const char *name, size_t length) {
    char ending[MOCO_LEFT_OUT_ENDING];
    read_ending(name, length, ending);
    add(left_out, ending, 1);
}

void moco_left_out_merge(moco_left_out *to, const moco_left_out *from) {
    for (int32_t i = 0; i < from->count; ++i) add(to, from->kinds[i].ending, from->kinds[i].count);
    to->others += from->others;
}

/* Images first, the most frequent first. */
static int32_t comes_before(const moco_left_out *left_out, int32_t a, int32_t b) {
    const int32_t image_a = find_ending(left_out->kinds[a].ending) >= 0;
    const int32_t image_b = find_ending(left_out->kinds[b].ending) >= 0;
    if (image_a != image_b) return image_a;
    if (left_out->kinds[a].count != left_out->kinds[b].count) {
        return left_out->kinds[a].count > left_out->kinds[b].count;
    }
    return strcmp(left_out->kinds[a].ending, left_out->kinds[b].ending) < 0;
}

static void append(char *text, size_t capacity, const char *part) {
    const size_t used = strlen(text);
    snprintf(text + used, capacity - used, "%s", part);
}

/* "12 .gif", and the endings of formats that another build would read, such as ".png (MOCO_WITH_PNG)". */
static void append_kind(const moco_left_out *left_out, int32_t at, char *text, size_t capacity, char *missing,
                        size_t missing_capacity) {
    char part[64];
    const char *ending = left_out->kinds[at].ending;
    snprintf(part, sizeof part, "%lld %s", (long long) left_out->kinds[at].count,
             ending[0] == '\0' ? "(no ending)" : ending);
    append(text, capacity, part);
    const int32_t kind = find_ending(ending);
    if (kind < 0 || endings[kind].format < 0 || moco_image_has_decoder(endings[kind].format)) return;
    snprintf(part, sizeof part, "%s%s", missing[0] == '\0' ? "" : ", ", ending);
    append(missing, missing_capacity, part);
}

void moco_left_out_tell(moco_context *context, const char *shown, const moco_left_out *left_out) {
    char text[MOCO_LEFT_OUT_KINDS * 40 + 64] = "", missing[128] = "", last[64];
    int32_t order[MOCO_LEFT_OUT_KINDS], images = 0;
    int64_t files = left_out->others;
    if (left_out->count == 0) return;
    for (int32_t i = 0; i < left_out->count; ++i) { /* by insertion: there are few */
        int32_t at = i;
        for (; at > 0 && comes_before(left_out, i, order[at - 1]); --at) order[at] = order[at - 1];
        order[at] = i;
        images += find_ending(left_out->kinds[i].ending) >= 0;
        files += left_out->kinds[i].count;
    }
    for (int32_t i = 0; i < left_out->count; ++i) {
        const int32_t is_last = i + 1 == left_out->count && left_out->others == 0;
        if (i > 0) append(text, sizeof text, is_last ? " and " : ", ");
        append_kind(left_out, order[i], text, sizeof text, missing, sizeof missing);
    }
    if (left_out->others > 0) {
        snprintf(last, sizeof last, " and %lld other", (long long) left_out->others);
        append(text, sizeof text, last);
    }
    moco_log(context, images > 0 ? MOCO_LOG_WARNING : MOCO_LOG_INFO, "%s: left out %s %s not read here%s%s%s", shown,
             text, files == 1 ? "file, which is" : "files, which are",
             missing[0] == '\0' ? "" : " (this libmoco was built without a decoder for ", missing,
             missing[0] == '\0' ? "" : ")");
}
