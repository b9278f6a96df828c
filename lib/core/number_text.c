#define _POSIX_C_SOURCE 200809L
#include "core/number_text.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* printf and strtod follow the thread's locale, whose decimal point may be a comma. glibc and musl give the "C" locale
 * without allocating; where it can't be had, the thread's own is used. */
static locale_t enter_c_locale(locale_t *c_locale) {
    *c_locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
    return *c_locale == (locale_t) 0 ? (locale_t) 0 : uselocale(*c_locale);
}

static void leave_c_locale(locale_t c_locale, locale_t previous) {
    if (c_locale == (locale_t) 0) return;
    uselocale(previous);
    freelocale(c_locale);
}

void moco_double_to_text(double value, char text[MOCO_NUMBER_TEXT_SIZE]) {
    locale_t c_locale;
    const locale_t previous = enter_c_locale(&c_locale);
    for (int digits = 1; digits <= 17; ++digits) {
        snprintf(text, MOCO_NUMBER_TEXT_SIZE, "%.*g", digits, value);
        if (!isfinite(value) || strtod(text, NULL) == value) break; /* 17 digits always do */
    }
    leave_c_locale(c_locale, previous);
}

/* A number begins with a digit, a sign or a point: not with the blanks, "inf" and "0x" that strtod takes too. */
static int32_t is_plain(const char *text) {
    if (*text == '\0') return 0;
    for (; *text != '\0'; ++text) {
        const char c = *text;
        if (!((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E')) return 0;
    }
    return 1;
}

int32_t moco_text_to_double(const char *text, double *value) {
    if (!is_plain(text)) return 0;
    locale_t c_locale;
    const locale_t previous = enter_c_locale(&c_locale);
    char *end;
    const double parsed = strtod(text, &end);
    leave_c_locale(c_locale, previous);
    if (end == text || *end != '\0' || !isfinite(parsed)) return 0;
    *value = parsed;
    return 1;
}

int32_t moco_text_to_i64(const char *text, int64_t *value) {
    if (!is_plain(text)) return 0;
    char *end;
    errno = 0;
    const long long parsed = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0) return 0;
    *value = (int64_t) parsed;
    return 1;
}

int32_t moco_text_to_u64(const char *text, uint64_t *value) {
    if (!is_plain(text) || *text == '-') return 0;
    char *end;
    errno = 0;
    const unsigned long long parsed = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0) return 0;
    *value = (uint64_t) parsed;
    return 1;
}
