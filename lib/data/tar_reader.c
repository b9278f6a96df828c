/* POSIX.1-2001 pax and ustar; GNU tar's manual, "Basic Tar Format" and "Storing Sparse Files". */
#include "data/tar_reader.h"

#include <string.h>

#include "data/file_bytes.h"
#include "data/tar_header.h"

#define MAX_PAX_BYTES (1u << 20) /* of one extended header */
#define MAX_RECORDS   8          /* extended headers before one entry: L, K, x, and as many again */

/* What the extended headers before an entry say of it. */
typedef struct extensions {
    char name[MOCO_TAR_MAX_NAME];
    char link[MOCO_TAR_MAX_NAME];
    int32_t has_name, has_link, has_size, is_sparse, is_pax;
    uint64_t size;
} extensions;

void moco_tar_read_file(moco_tar_reader *reader, int descriptor, uint64_t size, const char *shown) {
    *reader = (moco_tar_reader){.shown = shown, .descriptor = descriptor, .size = size};
}

void moco_tar_read_memory(moco_tar_reader *reader, const void *bytes, uint64_t size, const char *shown) {
    *reader = (moco_tar_reader){.shown = shown, .descriptor = -1, .bytes = (const uint8_t *) bytes, .size = size};
}

/* --- Bytes --- */

static moco_status fail_at(const moco_tar_reader *reader, uint64_t at, const char *what) {
    return moco_fail(MOCO_FORMAT, "%s, byte %llu: %s", reader->shown, (unsigned long long) at, what);
}

/* size bytes from `at`, which lie in the file; from the window where it holds them. */
static moco_status read_at(const moco_tar_reader *reader, uint64_t at, void *bytes, size_t size) {
    const uint64_t inside = at - reader->window_at;
    if (at >= reader->window_at && size <= reader->window_size && inside <= reader->window_size - size) {
        memcpy(bytes, reader->window + inside, size);
        return MOCO_OK;
    }
    if (reader->descriptor >= 0) return moco_file_read(reader->descriptor, bytes, size, at, reader->shown);
    memcpy(bytes, reader->bytes + at, size);
    return MOCO_OK;
}

/* The block at `at`, which lies in the file. What follows it comes along: extended headers and an entry's first bytes.
 */
static moco_status read_block(moco_tar_reader *reader, uint64_t at, const uint8_t **block) {
    const int32_t is_held = reader->window_size >= MOCO_TAR_BLOCK && at >= reader->window_at &&
                            at - reader->window_at <= reader->window_size - MOCO_TAR_BLOCK;
    if (!is_held) {
        const uint64_t rest = reader->size - at;
        const size_t want = rest < sizeof reader->window ? (size_t) rest : sizeof reader->window;
        reader->window_size = 0;
        MOCO_TRY(read_at(reader, at, reader->window, want));
        reader->window_at = at;
        reader->window_size = want;
    }
    *block = reader->window + (at - reader->window_at);
    return MOCO_OK;
}

/* --- Extended headers --- */

/* A GNU long name: the data is the name. */
static moco_status read_long_name(const moco_tar_reader *reader, uint64_t at, uint64_t size, char *name,
                                  int32_t *has_name) {
    if (size > MOCO_TAR_MAX_NAME) return fail_at(reader, at, "a name of more than 4095 bytes");
    MOCO_TRY(read_at(reader, at, name, (size_t) size));
    name[size < MOCO_TAR_MAX_NAME ? size : MOCO_TAR_MAX_NAME - 1] = '\0';
    *has_name = 1;
    return MOCO_OK;
}

/* The value of a PAX path; an empty one takes the path back. */
static moco_status take_path(const moco_tar_reader *reader, uint64_t at, const uint8_t *value, size_t length,
                             char *name, int32_t *has_name) {
    if (length >= MOCO_TAR_MAX_NAME || memchr(value, '\0', length) != NULL) {
        return fail_at(reader, at, "a PAX path with a NUL byte or of more than 4095 bytes");
    }
    memcpy(name, value, length);
    name[length] = '\0';
    *has_name = length > 0;
    return MOCO_OK;
}

/* key=value of a PAX record; the keys that matter here. */
static moco_status take_record(const moco_tar_reader *reader, uint64_t at, const uint8_t *text, size_t length,
                               extensions *extra) {
    const uint8_t *equals = (const uint8_t *) memchr(text, '=', length);
    if (equals == NULL) return fail_at(reader, at, "a PAX record without \"=\"");
    const size_t key = (size_t) (equals - text), value = length - key - 1;
    if (key == 4 && memcmp(text, "path", 4) == 0) {
        return take_path(reader, at, equals + 1, value, extra->name, &extra->has_name);
    } else if (key == 8 && memcmp(text, "linkpath", 8) == 0) {
        return take_path(reader, at, equals + 1, value, extra->link, &extra->has_link);
    } else if (key == 4 && memcmp(text, "size", 4) == 0) {
        extra->has_size = value > 0;
        if (value > 0 && !moco_tar_parse_decimal(equals + 1, value, &extra->size)) {
            return fail_at(reader, at, "a PAX size that is no number");
        }
    } else if (key > 11 && memcmp(text, "GNU.sparse.", 11) == 0) {
        extra->is_sparse = 1;
    }
    return MOCO_OK;
}

/* The record at `done` of `left` bytes in piece[held]; *length is 0 where its length is no valid one. */
static size_t record_start(const uint8_t *piece, size_t held, uint64_t left, uint64_t *length) {
    size_t digits = 0;
    while (digits < held && piece[digits] >= '0' && piece[digits] <= '9') ++digits;
    const int32_t is_valid = digits > 0 && digits < held && piece[digits] == ' ' &&
                             moco_tar_parse_decimal(piece, digits, length) && *length > digits + 2 && *length <= left;
    if (!is_valid) *length = 0;
    return digits + 1;
}

/* Records "LENGTH key=value\n", where LENGTH counts all of it. Of a value that is longer than any path (an access list,
 * say) only the start is read. */
static moco_status read_pax(const moco_tar_reader *reader, uint64_t at, uint64_t size, extensions *extra) {
    uint8_t piece[MOCO_TAR_MAX_NAME + 64];
    if (size > MAX_PAX_BYTES) return fail_at(reader, at, "a PAX header of more than 1 MiB");
    extra->is_pax = 1;
    for (uint64_t done = 0, length = 0; done < size; done += length) {
        const uint64_t left = size - done;
        const size_t held = left < sizeof piece ? (size_t) left : sizeof piece;
        MOCO_TRY(read_at(reader, at + done, piece, held));
        const size_t start = record_start(piece, held, left, &length);
        if (length == 0) {
            if (piece[0] == '\0') return MOCO_OK; /* some writers fill the header up with NULs */
            return fail_at(reader, at + done, "a PAX record of a wrong length");
        }
        if (length <= held) {
            if (piece[length - 1] != '\n') return fail_at(reader, at + done, "a PAX record that does not end its line");
            MOCO_TRY(take_record(reader, at + done, piece + start, (size_t) length - start - 1, extra));
        } else if (memcmp(piece + start, "path=", 5) == 0 || memcmp(piece + start, "linkpath=", 9) == 0) {
            return fail_at(reader, at + done, "a PAX path of more than 4095 bytes");
        }
    }
    return MOCO_OK;
}

/* --- Entries --- */

/* Links, devices and folders have no data, whatever their size says; but pax lets a hard link have some, which shows in
 * what follows. */
static moco_status link_has_data(moco_tar_reader *reader, uint64_t at, int32_t *has_data) {
    const uint8_t *block = NULL;
    *has_data = 0;
    if (at > reader->size - MOCO_TAR_BLOCK) return MOCO_OK;
    MOCO_TRY(read_block(reader, at, &block));
    *has_data = !moco_tar_is_zero(block) && !moco_tar_has_right_checksum(block);
    return MOCO_OK;
}

/* The blocks that an old GNU sparse file's map takes before the data. */
static moco_status skip_sparse_map(moco_tar_reader *reader, int32_t more, uint64_t *at) {
    while (more) {
        const uint8_t *block = NULL;
        if (reader->size - *at < MOCO_TAR_BLOCK)
            return fail_at(reader, *at, "the file ends within a sparse file's map");
        MOCO_TRY(read_block(reader, *at, &block));
        more = block[MORE_EXTENDED_AT] != 0;
        *at += MOCO_TAR_BLOCK;
    }
    return MOCO_OK;
}

static moco_status check_in_file(const moco_tar_reader *reader, uint64_t header_at, uint64_t data_at, uint64_t size) {
    if (data_at <= reader->size && size <= reader->size - data_at) return MOCO_OK;
    return moco_fail(MOCO_FORMAT,
                     "%s is cut short or damaged: the entry at byte %llu has %llu bytes of data, and the file ends at "
                     "byte %llu",
                     reader->shown, (unsigned long long) header_at, (unsigned long long) size,
                     (unsigned long long) reader->size);
}

/* The header after `at`'s data; never beyond the file's end, where the last block may lack its filling. */
static uint64_t after_data(const moco_tar_reader *reader, uint64_t data_at, uint64_t size) {
    const uint64_t rest = reader->size - data_at;
    const uint64_t filled = (size + MOCO_TAR_BLOCK - 1) / MOCO_TAR_BLOCK * MOCO_TAR_BLOCK;
    return data_at + (filled < rest ? filled : rest);
}

/* Behind the blocks of zeros at reader->at, which end a tar: another tar may follow (cat a.tar b.tar), whose first
 * header is then at reader->at, or bytes that are none. */
static moco_status skip_end_mark(moco_tar_reader *reader, const uint8_t **block, int32_t *found) {
    uint64_t at = reader->at;
    *found = 0;
    while (reader->size - at >= MOCO_TAR_BLOCK) {
        MOCO_TRY(read_block(reader, at, block));
        if (!moco_tar_is_zero(*block)) break;
        at += MOCO_TAR_BLOCK;
    }
    if (reader->size - at >= MOCO_TAR_BLOCK && moco_tar_has_right_checksum(*block)) {
        reader->at = at;
        reader->joined++;
        *found = 1;
        return MOCO_OK;
    }
    uint8_t rest[MOCO_TAR_BLOCK] = {0};
    const uint64_t left = reader->size - at;
    MOCO_TRY(read_at(reader, at, rest, left < sizeof rest ? (size_t) left : sizeof rest));
    if (!moco_tar_is_zero(rest)) reader->trailing_at = at;
    reader->ended = MOCO_TAR_END_MARK;
    return MOCO_OK;
}

/* A verified header at reader->at, or the end; `is_first`: no extended header was before it. */
static moco_status read_header(moco_tar_reader *reader, int32_t is_first, uint8_t header[MOCO_TAR_BLOCK],
                               int32_t *found) {
    const uint8_t *block = NULL;
    *found = 0;
    const uint64_t at = reader->at, left = reader->size - at;
    if (reader->size == 0) return moco_fail(MOCO_FORMAT, "%s is empty", reader->shown);
    if (left == 0) {
        reader->ended = MOCO_TAR_NO_END_MARK;
        return MOCO_OK;
    }
    if (left < MOCO_TAR_BLOCK) {
        uint8_t start[MOCO_TAR_BLOCK];
        MOCO_TRY(read_at(reader, at, start, (size_t) left));
        if (at == 0) return moco_tar_refuse_first_block(reader->shown, start, (size_t) left);
        return fail_at(reader, at, "the file is cut short within a header");
    }
    MOCO_TRY(read_block(reader, at, &block));
    if (moco_tar_is_zero(block)) {
        int32_t goes_on = 0;
        reader->ended = MOCO_TAR_END_MARK;
        if (!is_first) return MOCO_OK;
        reader->ended = 0;
        MOCO_TRY(skip_end_mark(reader, &block, &goes_on));
        if (!goes_on) return MOCO_OK;
    }
    if (!moco_tar_has_right_checksum(block)) {
        if (at == 0) return moco_tar_refuse_first_block(reader->shown, block, MOCO_TAR_BLOCK);
        return fail_at(reader, at, "a damaged header, whose checksum is wrong");
    }
    memcpy(header, block, MOCO_TAR_BLOCK);
    *found = 1;
    return MOCO_OK;
}

/* Fills in the entry of this header, which is no extended one, and moves on. */
static moco_status finish_entry(moco_tar_reader *reader, const uint8_t *header, uint64_t size, const extensions *extra,
                                moco_tar_entry *entry) {
    const char type = (char) header[TYPE_AT];
    entry->header_at = reader->at;
    entry->data_at = reader->at + MOCO_TAR_BLOCK;
    if (extra->has_name) {
        memcpy(entry->name, extra->name, strlen(extra->name) + 1);
    } else {
        moco_tar_header_name(header, entry->name);
    }
    const size_t length = strlen(entry->name);
    entry->kind = MOCO_TAR_OTHER;
    if (type == '0' || type == '\0' || type == '7') entry->kind = MOCO_TAR_FILE;
    if (type == '5' || (type == '\0' && length > 0 && entry->name[length - 1] == '/')) entry->kind = MOCO_TAR_FOLDER;
    if (extra->is_sparse && entry->kind == MOCO_TAR_FILE) entry->kind = MOCO_TAR_OTHER;

    int32_t has_data = entry->kind == MOCO_TAR_FILE || type < '1' || type > '6';
    if (type == '1' && size > 0 && extra->is_pax) MOCO_TRY(link_has_data(reader, entry->data_at, &has_data));
    entry->link[0] = '\0';
    if (type == '1' || type == '2') {
        entry->kind = type == '2' ? MOCO_TAR_SYMLINK : has_data ? MOCO_TAR_FILE : MOCO_TAR_HARD_LINK;
        if (extra->has_link) {
            memcpy(entry->link, extra->link, strlen(extra->link) + 1);
        } else {
            moco_tar_header_link(header, entry->link);
        }
    }
    if (type == 'S') MOCO_TRY(skip_sparse_map(reader, header[GNU_EXTENDED_AT] != 0, &entry->data_at));
    entry->data_size = has_data && entry->kind != MOCO_TAR_FOLDER ? size : 0;
    MOCO_TRY(check_in_file(reader, entry->header_at, entry->data_at, entry->data_size));

    entry->first_size = 0;
    if (entry->kind == MOCO_TAR_FILE && entry->data_size > 0) {
        const uint64_t bytes = entry->data_size < sizeof entry->first ? entry->data_size : sizeof entry->first;
        MOCO_TRY(read_at(reader, entry->data_at, entry->first, (size_t) bytes));
        entry->first_size = (size_t) bytes;
    }
    reader->at = after_data(reader, entry->data_at, entry->data_size);
    return MOCO_OK;
}

moco_status moco_tar_next(moco_tar_reader *reader, moco_tar_entry *entry, int32_t *found) {
    extensions extra; /* not cleared as a whole: its name is large */
    extra.has_name = extra.has_link = extra.has_size = extra.is_sparse = extra.is_pax = 0;
    *found = 0;
    for (int32_t records = 0; !reader->ended; ++records) {
        uint8_t header[MOCO_TAR_BLOCK];
        int32_t is_header = 0;
        uint64_t size = 0;
        MOCO_TRY(read_header(reader, records == 0, header, &is_header));
        if (!is_header) {
            if (records > 0) return fail_at(reader, reader->at, "the file ends after an extended header");
            break;
        }
        if (!moco_tar_parse_number(header + SIZE_AT, NUMBER_BYTES, &size)) {
            return fail_at(reader, reader->at, "a header whose size is no number, or too large");
        }
        const char type = (char) header[TYPE_AT];
        const int32_t is_extension = type == 'x' || type == 'X' || type == 'g' || type == 'L' || type == 'K';
        if (!is_extension) {
            if (extra.has_size) size = extra.size;
            MOCO_TRY(finish_entry(reader, header, size, &extra, entry));
            *found = 1;
            break;
        }
        if (records >= MAX_RECORDS) return fail_at(reader, reader->at, "too many extended headers in a row");
        const uint64_t data_at = reader->at + MOCO_TAR_BLOCK;
        MOCO_TRY(check_in_file(reader, reader->at, data_at, size));
        if (type == 'L') MOCO_TRY(read_long_name(reader, data_at, size, extra.name, &extra.has_name));
        if (type == 'K') MOCO_TRY(read_long_name(reader, data_at, size, extra.link, &extra.has_link));
        if (type == 'x' || type == 'X') MOCO_TRY(read_pax(reader, data_at, size, &extra));
        reader->at = after_data(reader, data_at, size);
    }
    return MOCO_OK;
}
