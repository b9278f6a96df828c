/* Whether the scans of a JPEG are whole, where bytes are left over behind them: Huffman codes are walked, nothing is made
 * of them.
 *
 * Bytes between the end of a scan and the next marker may have been put there, and the picture is whole; or damage made
 * the decoder come to its last block too early, and they are the rest of the picture. Two signs tell these cases apart.
 * An encoder fills the last byte of a scan with ones, which is where the decoder has to be. And the rest of a picture can
 * be walked on, block for block, to ones before the next marker; other bytes can't.
 */
#include "data/image_jpeg_scan.h"

#include <string.h>

#include "core/checked.h"

enum { MAX_COMPONENTS = 4, TABLES = 4 };

typedef struct huffman {
    int32_t first_code[17], codes[17], first_symbol[17]; /* by length */
    uint8_t symbols[256];
} huffman;

typedef struct component {
    int32_t id, h, v;     /* sampling factors */
    int64_t down, across; /* blocks with pixels of the image in them */
    int32_t dc, ac;       /* tables, in the scan at hand */
    uint64_t *nonzero;    /* [down x across], bit k: coefficient k is not 0; of progressive files */
} component;

typedef struct walker {
    const moco_image_job *job;
    const uint8_t *bytes;
    size_t size;
    /* The file's tables and frame. */
    huffman dc[TABLES], ac[TABLES];
    component components[MAX_COMPONENTS];
    int32_t count, is_progressive;
    int64_t mcus_down, mcus_across; /* of scans with several components */
    int64_t interval;               /* MCUs between restarts; 0: none */
    /* The scan at hand. */
    component *in_scan[MAX_COMPONENTS];
    int32_t scanned;
    int32_t first, last, high; /* coefficients; of those that are refined, the bit they had before */
    /* Where the walk is. */
    size_t at;
    uint32_t held; /* of the last byte taken */
    int32_t bits;  /* of it that are still to be read */
    int32_t skip;  /* blocks that have nothing more in this scan */
} walker;

static uint32_t u16(const uint8_t *bytes) {
    return (uint32_t) bytes[0] << 8 | bytes[1];
}

/* --- Bits. All of these answer -1 where the data end, or are none --- */

static int32_t is_at_marker(const walker *w) {
    return w->size - w->at < 2 || (w->bytes[w->at] == 0xff && w->bytes[w->at + 1] != 0);
}

static int32_t read_bit(walker *w) {
    if (w->bits == 0) {
        if (is_at_marker(w)) return -1;
        w->held = w->bytes[w->at];
        w->at += w->held == 0xff ? 2 : 1;
        w->bits = 8;
    }
    return (int32_t) (w->held >> --w->bits & 1);
}

static int32_t read_bits(walker *w, int32_t count) {
    int32_t value = 0;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t bit = read_bit(w);
        if (bit < 0) return -1;
        value = value << 1 | bit;
    }
    return value;
}

static int32_t read_symbol(walker *w, const huffman *table) {
    int32_t code = 0;
    for (int32_t length = 1; length <= 16; ++length) {
        const int32_t bit = read_bit(w);
        if (bit < 0) return -1;
        code = code << 1 | bit;
        const int32_t offset = code - table->first_code[length];
        if (offset >= 0 && offset < table->codes[length]) return table->symbols[table->first_symbol[length] + offset];
    }
    return -1;
}

static int32_t is_padded(const walker *w) {
    const uint32_t mask = (1u << w->bits) - 1;
    return (w->held & mask) == mask;
}

/* --- Blocks: 1, or 0 where the data end or are damaged --- */

static int32_t walk_sequential(walker *w, const component *c) {
    const int32_t size = read_symbol(w, &w->dc[c->dc]);
    if (size < 0 || size > 16 || read_bits(w, size) < 0) return 0;
    for (int32_t k = 1; k < 64; ++k) {
        const int32_t symbol = read_symbol(w, &w->ac[c->ac]), run = symbol >> 4, bits = symbol & 15;
        if (symbol < 0) return 0;
        if (bits == 0 && run != 15) return 1;
        k += run;
        if (read_bits(w, bits) < 0) return 0;
    }
    return 1;
}

/* How many blocks have nothing more, from this one on. */
static int32_t read_skip(walker *w, int32_t run) {
    const int32_t more = read_bits(w, run);
    if (more < 0) return 0;
    w->skip = (1 << run) + more;
    return 1;
}

static int32_t walk_first(walker *w, const component *c, uint64_t *nonzero) {
    if (w->skip > 0) {
        --w->skip;
        return 1;
    }
    for (int32_t k = w->first; k <= w->last; ++k) {
        const int32_t symbol = read_symbol(w, &w->ac[c->ac]), run = symbol >> 4, bits = symbol & 15;
        if (symbol < 0) return 0;
        if (bits == 0 && run != 15) {
            if (!read_skip(w, run)) return 0;
            --w->skip;
            return 1;
        }
        k += run;
        if (read_bits(w, bits) < 0) return 0;
        if (bits > 0 && k < 64) *nonzero |= UINT64_C(1) << k;
    }
    return 1;
}

/* Past `run` coefficients that are still zero, from `k` on; a bit is read for each that is not. -1 where they end. */
static int32_t pass_refined(walker *w, const uint64_t *nonzero, int32_t k, int32_t run) {
    for (; k <= w->last; ++k) {
        if (*nonzero >> k & 1) {
            if (read_bit(w) < 0) return -1;
        } else if (run-- == 0) {
            break;
        }
    }
    return k;
}

static int32_t walk_refined(walker *w, const component *c, uint64_t *nonzero) {
    int32_t k = w->first;
    while (w->skip == 0 && k <= w->last) {
        const int32_t symbol = read_symbol(w, &w->ac[c->ac]), run = symbol >> 4, bits = symbol & 15;
        if (symbol < 0) return 0;
        if (bits == 0 && run != 15) {
            if (!read_skip(w, run)) return 0;
            break;
        }
        if (bits > 0 && read_bit(w) < 0) return 0; /* the new one's sign */
        k = pass_refined(w, nonzero, k, run);
        if (k < 0) return 0;
        if (bits > 0 && k < 64) *nonzero |= UINT64_C(1) << k;
        ++k;
    }
    if (w->skip > 0) {
        if (k <= w->last && pass_refined(w, nonzero, k, 64) < 0) return 0;
        --w->skip;
    }
    return 1;
}

static int32_t walk_block(walker *w, component *c, int64_t block) {
    if (!w->is_progressive) return walk_sequential(w, c);
    if (w->first == 0) {
        if (w->high > 0) return read_bit(w) >= 0;
        const int32_t size = read_symbol(w, &w->dc[c->dc]);
        return size >= 0 && size <= 16 && read_bits(w, size) >= 0;
    }
    return w->high == 0 ? walk_first(w, c, &c->nonzero[block]) : walk_refined(w, c, &c->nonzero[block]);
}

static int32_t walk_mcu(walker *w, int64_t mcu) {
    if (w->scanned == 1) return walk_block(w, w->in_scan[0], mcu);
    for (int32_t i = 0; i < w->scanned; ++i) {
        for (int32_t b = 0; b < w->in_scan[i]->h * w->in_scan[i]->v; ++b) {
            if (!walk_block(w, w->in_scan[i], 0)) return 0; /* only scans of one component ask which block it is */
        }
    }
    return 1;
}

/* --- Scans --- */

static moco_status fail_left_over(const walker *w) {
    return moco_fail(MOCO_FORMAT,
                     "the JPEG file is damaged: bytes are left over behind a scan that ends before byte %zu", w->at);
}

static int32_t walk_restart(walker *w, int64_t number) {
    if (!is_padded(w) || w->size - w->at < 2 || w->bytes[w->at] != 0xff ||
        w->bytes[w->at + 1] != 0xd0 + (int32_t) (number % 8)) {
        return 0;
    }
    w->at += 2;
    w->bits = 0;
    w->skip = 0;
    return 1;
}

/* Whether what is left over is more of the picture, to its last bit. */
static int32_t goes_on(walker *w) {
    walker rest = *w;
    if (w->is_progressive || is_at_marker(w)) return 0;
    while (walk_mcu(&rest, 0)) {
        if (is_at_marker(&rest) && is_padded(&rest)) return 1;
    }
    return 0;
}

static moco_status walk_scan(walker *w) {
    const component *alone = w->scanned == 1 ? w->in_scan[0] : NULL;
    const int64_t mcus = alone != NULL ? alone->down * alone->across : w->mcus_down * w->mcus_across;
    w->bits = w->skip = 0;
    for (int64_t mcu = 0; mcu < mcus; ++mcu) {
        if (w->interval > 0 && mcu > 0 && mcu % w->interval == 0 && !walk_restart(w, mcu / w->interval - 1)) {
            return fail_left_over(w);
        }
        if (!walk_mcu(w, mcu)) return fail_left_over(w);
        if (mcu % 4096 == 0 && moco_image_is_late(w->job)) return moco_image_fail_late(w->job);
    }
    return is_padded(w) && !goes_on(w) ? MOCO_OK : fail_left_over(w);
}

/* --- Segments. libjpeg has taken them all, so that what is odd here is only passed by --- */

static void read_tables(walker *w, const uint8_t *content, size_t length) {
    while (length >= 17) {
        const int32_t number = content[0] & 15;
        huffman table = {0};
        int32_t symbols = 0, code = 0;
        for (int32_t bits = 1; bits <= 16; ++bits) {
            table.first_code[bits] = code;
            table.first_symbol[bits] = symbols;
            table.codes[bits] = content[bits];
            symbols += content[bits];
            code = (code + content[bits]) << 1;
        }
        if (number >= TABLES || symbols > 256 || length < 17 + (size_t) symbols) return;
        memcpy(table.symbols, content + 17, (size_t) symbols);
        if (content[0] >> 4 == 0) {
            w->dc[number] = table;
        } else {
            w->ac[number] = table;
        }
        content += 17 + symbols;
        length -= 17 + (size_t) symbols;
    }
}

static moco_status read_frame(walker *w, int32_t marker, const uint8_t *content, size_t length) {
    int64_t most_h = 1, most_v = 1;
    if (w->count > 0 || length < 6 || content[5] == 0 || content[5] > MAX_COMPONENTS ||
        length < 6 + 3 * (size_t) content[5] || marker > 0xc2) {
        return fail_left_over(w);
    }
    w->count = content[5];
    w->is_progressive = marker == 0xc2;
    const int64_t h = u16(content + 1), width = u16(content + 3);
    for (int32_t i = 0; i < w->count; ++i) {
        component *c = &w->components[i];
        const uint8_t *from = content + 6 + 3 * i;
        *c = (component){.id = from[0], .h = from[1] >> 4, .v = from[1] & 15};
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4) return fail_left_over(w);
        most_h = moco_max_i64(most_h, c->h);
        most_v = moco_max_i64(most_v, c->v);
    }
    w->mcus_across = moco_ceil_divide(width, 8 * most_h);
    w->mcus_down = moco_ceil_divide(h, 8 * most_v);
    for (int32_t i = 0; i < w->count; ++i) {
        component *c = &w->components[i];
        c->across = moco_ceil_divide(moco_ceil_divide(width * c->h, most_h), 8);
        c->down = moco_ceil_divide(moco_ceil_divide(h * c->v, most_v), 8);
        if (!w->is_progressive) continue;
        c->nonzero =
            (uint64_t *) moco_allocate_zeroed(w->job->context, (size_t) (c->across * c->down), sizeof *c->nonzero);
        if (c->nonzero == NULL) return MOCO_OUT_OF_MEMORY;
    }
    return MOCO_OK;
}

static component *find_component(walker *w, int32_t id) {
    for (int32_t i = 0; i < w->count; ++i) {
        if (w->components[i].id == id) return &w->components[i];
    }
    return NULL;
}

static moco_status read_scan(walker *w, const uint8_t *content, size_t length) {
    const int32_t count = length > 0 ? content[0] : 0;
    if (count < 1 || count > w->count || length < 4 + 2 * (size_t) count) return fail_left_over(w);
    for (int32_t i = 0; i < count; ++i) {
        component *c = find_component(w, content[1 + 2 * i]);
        if (c == NULL) return fail_left_over(w);
        c->dc = content[2 + 2 * i] >> 4 & (TABLES - 1);
        c->ac = content[2 + 2 * i] & (TABLES - 1);
        w->in_scan[i] = c;
    }
    const uint8_t *rest = content + 1 + 2 * count;
    w->scanned = count;
    w->first = rest[0];
    w->last = rest[1];
    w->high = rest[2] >> 4;
    if (w->is_progressive && (w->last > 63 || (w->first > 0 && count > 1))) return fail_left_over(w);
    return walk_scan(w);
}

/* Past what stands before the next marker, and the marker; 0 where the file ends. */
static int32_t find_marker(walker *w) {
    while (w->at < w->size) {
        while (w->at < w->size && w->bytes[w->at] != 0xff) ++w->at;
        while (w->at < w->size && w->bytes[w->at] == 0xff) ++w->at;
        if (w->at >= w->size) return 0;
        const int32_t marker = w->bytes[w->at++];
        if (marker > 1 && (marker < 0xd0 || marker > 0xd7)) return marker;
    }
    return 0;
}

static moco_status walk_file(walker *w) {
    w->at = 2;
    for (;;) {
        const int32_t marker = find_marker(w);
        if (marker == 0xd9) return MOCO_OK;
        if (marker == 0 || w->size - w->at < 2) return fail_left_over(w);
        const size_t length = u16(w->bytes + w->at);
        if (length < 2 || length > w->size - w->at) return fail_left_over(w);
        const uint8_t *content = w->bytes + w->at + 2;
        w->at += length;
        if (marker == 0xc4) {
            read_tables(w, content, length - 2);
        } else if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc8) {
            MOCO_TRY(read_frame(w, marker, content, length - 2)); /* 0xcc is arithmetic coding's, and refused */
        } else if (marker == 0xdd && length >= 4) {
            w->interval = u16(content);
        } else if (marker == 0xda) {
            MOCO_TRY(read_scan(w, content, length - 2));
        }
    }
}

moco_status moco_jpeg_check_scans(const moco_image_job *job) {
    walker *w = (walker *) moco_allocate_zeroed(job->context, 1, sizeof *w);
    if (w == NULL) return MOCO_OUT_OF_MEMORY;
    w->job = job;
    w->bytes = job->bytes;
    w->size = job->size;
    const moco_status status = walk_file(w);
    for (int32_t i = 0; i < MAX_COMPONENTS; ++i) moco_deallocate(job->context, w->components[i].nonzero);
    moco_deallocate(job->context, w);
    return status;
}
