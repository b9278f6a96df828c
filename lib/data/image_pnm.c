/* PBM, PGM and PPM (P1 to P6): bits, greys and colours as text or as bytes. Samples are scaled by the largest one that the
 * header names, rounded as Pillow does. Of several pictures in a file the first is read.
 */
#include "core/checked.h"
#include "data/image_decoders.h"

enum { MAX_DIGITS = 10, LOOK_EVERY = 16384 /* pixels of text between two looks at the clock */ };

typedef struct pnm_layout {
    int64_t h, w;
    int32_t kind;     /* 1 .. 6 */
    int32_t channels; /* 1 or 3 */
    uint32_t most;    /* the largest sample, 1 .. 65535 */
    size_t pixels_at;
    uint64_t stride; /* of a row of bytes */
} pnm_layout;

static int is_white(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

/* White space, and comments to the end of their line. */
static size_t skip_white(const uint8_t *bytes, size_t size, size_t at) {
    while (at < size && (is_white(bytes[at]) || bytes[at] == '#')) {
        if (bytes[at] == '#') {
            while (at < size && bytes[at] != '\n' && bytes[at] != '\r') ++at;
        } else {
            ++at;
        }
    }
    return at;
}

static moco_status read_number(const uint8_t *bytes, size_t size, size_t *at, const char *what, int64_t *number) {
    *at = skip_white(bytes, size, *at);
    const size_t begin = *at;
    *number = 0;
    while (*at < size && is_digit(bytes[*at]) && *at - begin < MAX_DIGITS)
        *number = 10 * *number + bytes[(*at)++] - '0';
    if (*at >= size && *at == begin) return moco_image_fail_short("PNM", "before its pixels");
    if (*at == begin || (*at < size && is_digit(bytes[*at]))) {
        return moco_fail(MOCO_FORMAT, "the PNM file is damaged: no %s at byte %zu, where it must be", what, begin);
    }
    return MOCO_OK;
}

static int is_text(const pnm_layout *layout) {
    return layout->kind <= 3;
}

static moco_status read_layout(const uint8_t *bytes, size_t size, pnm_layout *layout) {
    *layout = (pnm_layout){.kind = bytes[1] - '0', .most = 1};
    size_t at = 2;
    int64_t most = 1;
    MOCO_TRY(read_number(bytes, size, &at, "width", &layout->w));
    MOCO_TRY(read_number(bytes, size, &at, "height", &layout->h));
    if (layout->kind != 1 && layout->kind != 4) MOCO_TRY(read_number(bytes, size, &at, "largest sample", &most));
    if (layout->h == 0 || layout->w == 0) return moco_image_fail_empty("PNM", layout->h, layout->w);
    if (most < 1 || most > 65535) {
        return moco_fail(MOCO_FORMAT, "the PNM file is damaged: its largest sample is %lld; it must be 1 to 65535",
                         (long long) most);
    }
    layout->most = (uint32_t) most;
    layout->channels = layout->kind == 3 || layout->kind == 6 ? 3 : 1;
    if (at >= size) return moco_image_fail_short("PNM", "before its pixels");
    if (!is_white(bytes[at])) return moco_fail(MOCO_FORMAT, "the PNM file is damaged: no white space at byte %zu", at);
    layout->pixels_at = at + 1;
    const uint64_t samples = (uint64_t) layout->w * (uint64_t) layout->channels; /* below 10^11 */
    uint64_t least = layout->kind == 1 ? samples : 2 * samples; /* of text: a digit and what parts it from the next */
    if (!is_text(layout)) {
        layout->stride = layout->kind == 4 ? (samples + 7) / 8 : samples * (most > 255 ? 2 : 1);
        least = layout->stride;
    }
    const uint64_t room = size - layout->pixels_at + (is_text(layout) && layout->kind != 1 ? 1 : 0);
    if (room / least < (uint64_t) layout->h) return moco_image_fail_short("PNM", "inside its pixels");
    return MOCO_OK;
}

moco_status moco_pnm_walk(const uint8_t *bytes, size_t size, moco_stored_header *header) {
    pnm_layout layout;
    header->format = MOCO_FORMAT_PNM;
    MOCO_TRY(read_layout(bytes, size, &layout));
    header->h = layout.h;
    header->w = layout.w;
    return MOCO_OK;
}

/* --- Pixels --- */

/* value * 255 / most, rounded to the nearest, halves to the even one. */
static uint8_t scaled(uint32_t value, uint32_t most) {
    if (most == 255) return (uint8_t) value;
    const uint32_t twice = 2 * 255 * value + most, quotient = twice / (2 * most);
    return (uint8_t) (twice % (2 * most) == 0 && quotient % 2 != 0 ? quotient - 1 : quotient);
}

static void store(const pnm_layout *layout, uint8_t *to, int64_t sample, uint8_t value) {
    if (layout->channels == 3) {
        to[sample] = value;
    } else {
        to[3 * sample] = to[3 * sample + 1] = to[3 * sample + 2] = value;
    }
}

/* Samples [first, end) of a stored row of bytes; those above the largest are taken for it. */
static void convert_row(const pnm_layout *layout, const uint8_t *row, int64_t first, int64_t end, uint8_t *to) {
    for (int64_t i = first; i < end; ++i) {
        uint32_t value = 0;
        if (layout->kind == 4) {
            value = (row[i / 8] >> (7 - i % 8) & 1) == 0; /* 1 is black */
        } else {
            value = layout->most > 255 ? (uint32_t) row[2 * i] << 8 | row[2 * i + 1] : row[i];
        }
        store(layout, to, i - first, scaled(value > layout->most ? layout->most : value, layout->most));
    }
}

static moco_status read_sample(const moco_image_job *job, const pnm_layout *layout, size_t *at, uint32_t *value) {
    if (layout->kind == 1) { /* single digits, with or without white space between */
        *at = skip_white(job->bytes, job->size, *at);
        if (*at >= job->size) return moco_image_fail_short("PNM", "inside its pixels");
        const uint8_t digit = job->bytes[(*at)++];
        if (digit != '0' && digit != '1') {
            return moco_fail(MOCO_FORMAT, "the PNM file is damaged: no 0 or 1 at byte %zu, where it must be", *at - 1);
        }
        *value = digit == '0';
        return MOCO_OK;
    }
    int64_t number = 0;
    MOCO_TRY(read_number(job->bytes, job->size, at, "sample", &number));
    if (*at < job->size && !is_white(job->bytes[*at]) && job->bytes[*at] != '#') {
        return moco_fail(MOCO_FORMAT, "the PNM file is damaged: no white space at byte %zu", *at);
    }
    *value = number > UINT32_MAX ? UINT32_MAX : (uint32_t) number;
    if (*value <= layout->most) return MOCO_OK;
    return moco_fail(MOCO_FORMAT, "the PNM file is damaged: it has a sample of %u; its largest is %u", *value,
                     layout->most);
}

/* All of the picture, whose length is only known by reading it; what is inside the window is placed. */
static moco_status read_text(const moco_image_job *job, const pnm_layout *layout, uint8_t *row) {
    const moco_image_window *part = &job->part;
    const int64_t first = part->left * layout->channels, end = (part->left + part->w) * layout->channels;
    size_t at = layout->pixels_at;
    int64_t since = 0;
    for (int64_t y = 0; y < layout->h; ++y) {
        const int is_wanted = y >= part->top && y < part->top + part->h;
        for (int64_t i = 0; i < layout->w * layout->channels; ++i) {
            uint32_t value = 0;
            MOCO_TRY(read_sample(job, layout, &at, &value));
            if (is_wanted && i >= first && i < end) store(layout, row, i - first, scaled(value, layout->most));
            if (++since % LOOK_EVERY == 0 && moco_image_is_late(job)) return moco_image_fail_late(job);
        }
        if (is_wanted) moco_image_place(job, y - part->top, 1, row, (size_t) (3 * part->w), MOCO_RGB);
        if (moco_image_is_late(job)) return moco_image_fail_late(job);
    }
    return MOCO_OK;
}

static moco_status read_bytes(const moco_image_job *job, const pnm_layout *layout, uint8_t *rows) {
    const moco_image_window *part = &job->part;
    const int64_t first = part->left * layout->channels, end = (part->left + part->w) * layout->channels;
    const size_t stride = (size_t) (3 * part->w);
    const uint8_t *stored = job->bytes + layout->pixels_at + (size_t) part->top * (size_t) layout->stride;
    for (int64_t row = 0; row < part->h; row += MOCO_PLACE_ROWS) {
        const int64_t some = moco_min_i64(MOCO_PLACE_ROWS, part->h - row);
        for (int64_t y = 0; y < some; ++y) {
            convert_row(layout, stored + (size_t) (row + y) * (size_t) layout->stride, first, end,
                        rows + (size_t) y * stride);
        }
        moco_image_place(job, row, some, rows, stride, MOCO_RGB);
        if (moco_image_is_late(job)) return moco_image_fail_late(job);
    }
    return MOCO_OK;
}

moco_status moco_pnm_decode(moco_image_job *job) {
    pnm_layout layout;
    MOCO_TRY(read_layout(job->bytes, job->size, &layout));
    const uint64_t strip = (uint64_t) moco_image_counted(job).w * 3 * MOCO_PLACE_ROWS;
    MOCO_TRY(moco_image_begin(job, 1, strip));
    uint8_t *rows = (uint8_t *) moco_allocate(job->context, (size_t) strip);
    if (rows == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_status status = is_text(&layout) ? read_text(job, &layout, rows) : read_bytes(job, &layout, rows);
    moco_deallocate(job->context, rows);
    return status;
}
