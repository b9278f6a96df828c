#include "io/json_strings.h"

#include <string.h>

#include "io/byte_buffer.h"

/* Appends `code` as UTF-8. */
static void append_code(moco_byte_buffer *out, uint32_t code) {
    if (code < 0x80) {
        moco_append_byte(out, code);
    } else if (code < 0x800) {
        moco_append_byte(out, 0xC0u | code >> 6);
        moco_append_byte(out, 0x80u | (code & 0x3Fu));
    } else if (code < 0x10000) {
        moco_append_byte(out, 0xE0u | code >> 12);
        moco_append_byte(out, 0x80u | (code >> 6 & 0x3Fu));
        moco_append_byte(out, 0x80u | (code & 0x3Fu));
    } else {
        moco_append_byte(out, 0xF0u | code >> 18);
        moco_append_byte(out, 0x80u | (code >> 12 & 0x3Fu));
        moco_append_byte(out, 0x80u | (code >> 6 & 0x3Fu));
        moco_append_byte(out, 0x80u | (code & 0x3Fu));
    }
}

/* Four hexadecimal digits at `at`; 1 and their value, or 0. */
static int32_t read_unit(const char *at, uint32_t *unit) {
    *unit = 0;
    for (int i = 0; i < 4; ++i) {
        const char digit = at[i];
        uint32_t value;
        if (digit >= '0' && digit <= '9') {
            value = (uint32_t) (digit - '0');
        } else if ((digit >= 'a' && digit <= 'f') || (digit >= 'A' && digit <= 'F')) {
            value = (uint32_t) ((digit | 0x20) - 'a') + 10;
        } else {
            return 0; /* the terminating NUL, too */
        }
        *unit = *unit << 4 | value;
    }
    return 1;
}

/* What stands behind a backslash at `at`; answers where it ends, NULL where it is none. */
static const char *read_escape(const char *at, moco_byte_buffer *out) {
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *letter = *at == '\0' ? NULL : strchr(letters, *at);
    if (letter != NULL) {
        moco_append_byte(out, (unsigned char) meanings[letter - letters]);
        return at + 1;
    }
    uint32_t code;
    if (*at != 'u' || !read_unit(at + 1, &code) || code == 0) return NULL;
    at += 5;
    if (code >= 0xD800 && code <= 0xDFFF) {
        uint32_t low;
        if (code > 0xDBFF || at[0] != '\\' || at[1] != 'u' || !read_unit(at + 2, &low)) return NULL;
        if (low < 0xDC00 || low > 0xDFFF) return NULL;
        code = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
        at += 6;
    }
    append_code(out, code);
    return at;
}

/* The string whose first quote is before `at`; answers where it ends, NULL where it is none. */
static const char *read_string(const char *at, moco_byte_buffer *out) {
    while (at != NULL && *at != '"') {
        if ((unsigned char) *at < 0x20) return NULL;
        if (*at == '\\') {
            at = read_escape(at + 1, out);
        } else {
            moco_append_byte(out, (unsigned char) *at++);
        }
    }
    moco_append_byte(out, 0);
    return at == NULL ? NULL : at + 1;
}

static const char *skip_blanks(const char *at) {
    return at == NULL ? NULL : at + strspn(at, " \t\r\n");
}

/* 1 and how many strings, or 0 where `text` is no array of them. */
static int32_t read_array(const char *text, moco_byte_buffer *out, int64_t *count) {
    *count = 0;
    const char *at = skip_blanks(text);
    if (*at != '[') return 0;
    at = skip_blanks(at + 1);
    if (*at != ']') {
        for (;;) {
            if (*at != '"') return 0;
            at = skip_blanks(read_string(at + 1, out));
            if (at == NULL) return 0;
            ++*count;
            if (*at == ']') break;
            if (*at != ',') return 0;
            at = skip_blanks(at + 1);
        }
    }
    return *skip_blanks(at + 1) == '\0';
}

moco_status moco_json_parse_strings(moco_context *context, const char *text, char **strings, size_t *bytes,
                                    int64_t *count) {
    moco_byte_buffer out;
    int64_t found;
    moco_byte_buffer_init(&out, context);
    const int32_t is_array = read_array(text, &out, &found);
    moco_status status = out.status;
    if (status == MOCO_OK && !is_array)
        status = moco_fail(MOCO_FORMAT, "is \"%.64s\"; it must be a JSON array of strings", text);
    if (status != MOCO_OK) {
        moco_byte_buffer_release(&out);
        return status;
    }
    *strings = (char *) out.bytes;
    *bytes = out.size;
    *count = found;
    return MOCO_OK;
}
