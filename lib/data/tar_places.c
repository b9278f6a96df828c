#include "data/tar_places.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/image_index.h"

#define MOST_GROUPS 8 /* braces in one name */

size_t moco_tar_simplify_name(char *name) {
    const char *from = name;
    char *to = name;
    while (*from != '\0') {
        const size_t length = strcspn(from, "/");
        const int32_t has_slash = from[length] == '/';
        if (length > 0 && !(length == 1 && from[0] == '.')) {
            memmove(to, from, length + (size_t) has_slash);
            to += length + (size_t) has_slash;
        }
        from += length + (size_t) has_slash;
    }
    *to = '\0';
    return (size_t) (to - name);
}

void moco_tar_places_release(moco_tar_places *places) {
    for (int64_t i = 0; i < places->count; ++i) {
        moco_deallocate(places->context, places->items[i].path);
        moco_deallocate(places->context, places->items[i].inner);
    }
    moco_deallocate(places->context, places->items);
    *places = (moco_tar_places){.context = places->context};
}

static int32_t is_file(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* The length of the longest beginning of `text` that is a file, where only whole names are cut off; 0: none is. */
static size_t file_length(char *text) {
    size_t length = strlen(text);
    while (length > 0) {
        const char kept = text[length];
        text[length] = '\0';
        const int32_t found = is_file(text);
        text[length] = kept;
        if (found) return length;
        do --length;
        while (length > 0 && text[length] != '/');
    }
    return 0;
}

/* The tar and the folder of `text`; where there is no such file, all of it is the tar, which the message is then about.
 */
static moco_status add_place(moco_tar_places *places, const char *text) {
    moco_context *context = places->context;
    const size_t used = (size_t) places->count * sizeof *places->items;
    void *items = places->items;
    if (places->count == MOCO_MOST_TARS) {
        return moco_fail(MOCO_INVALID_ARGUMENT, "more than %d tars; join some of them", MOCO_MOST_TARS);
    }
    MOCO_TRY(moco_grow(context, &items, used, &places->items_capacity, used + sizeof *places->items));
    places->items = (moco_tar_place *) items;
    char *path = moco_duplicate_string(context, text);
    char *inner = path == NULL ? NULL : (char *) moco_allocate(context, strlen(text) + 2);
    if (inner == NULL) {
        moco_deallocate(context, path);
        return MOCO_OUT_OF_MEMORY;
    }
    size_t length = file_length(path);
    if (length == 0) length = strlen(path);
    memcpy(inner, path + length, strlen(path + length) + 1);
    path[length] = '\0';
    length = moco_tar_simplify_name(inner);
    if (length > 0 && inner[length - 1] != '/') memcpy(inner + length, "/", 2);
    places->items[places->count++] = (moco_tar_place){path, inner};
    return MOCO_OK;
}

/* --- Braces --- */

/* The alternatives between two braces: numbers from .. to, or texts with commas between them. */
typedef struct brace_group {
    const char *content;
    size_t length;
    int32_t is_range;
    int64_t first, last;
    int width;
} brace_group;

static int32_t read_digits(const char *text, size_t length, int64_t *number) {
    *number = 0;
    if (length == 0 || length > 9) return 0;
    for (size_t i = 0; i < length; ++i) {
        if (text[i] < '0' || text[i] > '9') return 0;
        *number = 10 * *number + (text[i] - '0');
    }
    return 1;
}

/* {000..099} or {a,b}; others are a part of the name. */
static int32_t read_group(const char *open, brace_group *group) {
    const char *close = strchr(open, '}');
    if (close == NULL) return 0;
    *group = (brace_group){.content = open + 1, .length = (size_t) (close - open) - 1};
    for (size_t i = 0; i + 1 < group->length; ++i) {
        if (group->content[i] != '.' || group->content[i + 1] != '.') continue;
        const size_t rest = group->length - i - 2;
        group->is_range =
            read_digits(group->content, i, &group->first) && read_digits(group->content + i + 2, rest, &group->last);
        /* As in a shell, a leading zero asks for numbers of one width. */
        if (group->content[0] == '0' || group->content[i + 2] == '0') group->width = (int) (i > rest ? i : rest);
        return group->is_range;
    }
    return memchr(group->content, ',', group->length) != NULL;
}

static moco_status expand(moco_tar_places *places, const char *text, size_t from, int32_t groups);

/* The name with one alternative in place of the group that begins at `open`. */
static moco_status expand_one(moco_tar_places *places, const char *text, size_t open, const brace_group *group,
                              const char *alternative, size_t length, int32_t groups) {
    const char *behind = group->content + group->length + 1;
    char *name = (char *) moco_allocate(places->context, open + length + strlen(behind) + 1);
    if (name == NULL) return MOCO_OUT_OF_MEMORY;
    memcpy(name, text, open);
    memcpy(name + open, alternative, length);
    memcpy(name + open + length, behind, strlen(behind) + 1);
    const moco_status status = expand(places, name, open + length, groups + 1);
    moco_deallocate(places->context, name);
    return status;
}

static moco_status expand_range(moco_tar_places *places, const char *text, size_t open, const brace_group *group,
                                int32_t groups) {
    char number[32];
    MOCO_REQUIRE(group->first <= group->last, "\"%.200s\" has the range {%.*s}; it must go from less to more", text,
                 (int) group->length, group->content);
    MOCO_REQUIRE(group->last - group->first < MOCO_MOST_TARS, "\"%.200s\" names more than %d tars; join some of them",
                 text, MOCO_MOST_TARS);
    for (int64_t i = group->first; i <= group->last; ++i) {
        const int length = snprintf(number, sizeof number, "%0*lld", group->width, (long long) i);
        MOCO_TRY(expand_one(places, text, open, group, number, (size_t) length, groups));
    }
    return MOCO_OK;
}

/* All names that `text` stands for, whose braces before `from` have been dealt with. */
static moco_status expand(moco_tar_places *places, const char *text, size_t from, int32_t groups) {
    brace_group group;
    size_t open = from;
    do open += strcspn(text + open, "{");
    while (text[open] != '\0' && !read_group(text + open, &group) && text[++open] != '\0');
    if (text[open] == '\0') return add_place(places, text);
    MOCO_REQUIRE(groups < MOST_GROUPS, "\"%.200s\" has more than %d braces", text, MOST_GROUPS);
    if (group.is_range) return expand_range(places, text, open, &group, groups);
    for (size_t begin = 0; begin <= group.length;) {
        size_t end = begin;
        while (end < group.length && group.content[end] != ',') ++end;
        MOCO_TRY(expand_one(places, text, open, &group, group.content + begin, end - begin, groups));
        begin = end + 1;
    }
    return MOCO_OK;
}

/* --- All of them --- */

static moco_status add_part(moco_tar_places *places, char *part) {
    MOCO_REQUIRE(part[0] != '\0', "a tar's path is empty; write tar:FILE::FILE");
    const size_t length = file_length(part);
    return length > 0 && strchr(part + length, '{') == NULL ? add_place(places, part) : expand(places, part, length, 0);
}

moco_status moco_tar_find_places(moco_tar_places *places, const char *text) {
    char *copy = moco_duplicate_string(places->context, text);
    if (copy == NULL) return MOCO_OUT_OF_MEMORY;
    moco_status status = MOCO_OK;
    const size_t file = file_length(copy);
    if (file > 0 && strstr(copy + file, "::") == NULL) {
        status = add_part(places, copy);
    } else {
        char *part = copy;
        while (status == MOCO_OK && part != NULL) {
            char *separator = strstr(part, "::");
            if (separator != NULL) *separator = '\0';
            status = add_part(places, part);
            part = separator == NULL ? NULL : separator + 2;
        }
    }
    moco_deallocate(places->context, copy);
    for (int64_t i = 0; status == MOCO_OK && i < places->count; ++i) {
        const size_t length = strlen(places->items[i].path) + strlen(places->items[i].inner);
        if (length + 2 > MOCO_MAX_NAME) {
            status = moco_fail(MOCO_INVALID_ARGUMENT, "the tar's path has %zu bytes; that is too long", length);
        }
    }
    return status;
}

moco_status moco_tar_places_enter(moco_tar_places *places, const char *name) {
    for (int64_t i = 0; i < places->count; ++i) {
        moco_tar_place *place = &places->items[i];
        const size_t length = strlen(place->inner), added = strlen(name);
        char *inner = (char *) moco_allocate(places->context, length + added + 2);
        if (inner == NULL) return MOCO_OUT_OF_MEMORY;
        memcpy(inner, place->inner, length);
        memcpy(inner + length, name, added);
        memcpy(inner + length + added, "/", 2);
        moco_deallocate(places->context, place->inner);
        place->inner = inner;
    }
    return MOCO_OK;
}
