#include "io/zip_reader.h"

#include <string.h>

#include "io/crc32.h"
#include "io/heap_sort.h"

#define LOCAL_HEADER      0x04034b50u
#define DIRECTORY_HEADER  0x02014b50u
#define DESCRIPTOR        0x08074b50u
#define END               0x06054b50u
#define END_64            0x06064b50u
#define LOCATOR_64        0x07064b50u
#define LOCAL_BYTES       30u
#define DIRECTORY_BYTES   46u
#define END_BYTES         22u
#define END_64_BYTES      56u
#define LOCATOR_BYTES     20u
#define MOST_DESCRIPTOR   24u
#define FLAG_DESCRIPTOR   0x0008
#define FLAG_UTF8         0x0800
#define FLAGS_ENCRYPTED   0x2041 /* encrypted, strongly so, with masked headers */
#define EXTRA_ZIP64       1
#define ELSEWHERE_16      0xffffu
#define ELSEWHERE_32      0xffffffffu /* the value is in the Zip64 extra field */
#define MOST_DIRECTORY    ((uint64_t) 64 << 20)
#define MOST_NAME         1024
#define UNIX_TYPE         0xf000u
#define UNIX_LINK         0xa000u
#define NAME_IN_SENTENCES "%.200s"

struct moco_zip {
    moco_context *context;
    const moco_byte_source *source;
    unsigned char *directory;
    char *names; /* each with its end, one after another */
    moco_zip_entry *entries;
    int64_t count;
    uint64_t directory_at;
    uint64_t directory_size;
};

typedef struct entry_sizes {
    uint64_t stored;
    uint64_t size;
    uint64_t header;
} entry_sizes;

/* --- The end of the archive says where the directory is --- */

static moco_status refuse(const moco_zip *zip, const char *what) {
    return moco_fail(MOCO_FORMAT, "%s is no zip archive that can be trusted: %s", zip->source->name, what);
}

static moco_status read_end_64(moco_zip *zip, uint64_t locator_at, uint64_t *entries, uint64_t *size, uint64_t *at,
                               uint64_t *end) {
    unsigned char locator[LOCATOR_BYTES];
    unsigned char record[END_64_BYTES];
    MOCO_TRY(moco_byte_source_read(zip->source, locator_at, locator, sizeof locator));
    if (locator_at < END_64_BYTES || moco_little_u32(locator + 4) != 0 || moco_little_u32(locator + 16) != 1 ||
        moco_little_u64(locator + 8) != locator_at - END_64_BYTES) {
        return refuse(zip, "its Zip64 locator does not point to the record before it");
    }
    *end = locator_at - END_64_BYTES;
    MOCO_TRY(moco_byte_source_read(zip->source, *end, record, sizeof record));
    if (moco_little_u32(record) != END_64 || moco_little_u64(record + 4) != END_64_BYTES - 12) {
        return refuse(zip, "its Zip64 end record is none");
    }
    if (moco_little_u32(record + 16) != 0 || moco_little_u32(record + 20) != 0 ||
        moco_little_u64(record + 24) != moco_little_u64(record + 32)) {
        return refuse(zip, "it is one of several disks");
    }
    const uint64_t found[3] = {moco_little_u64(record + 32), moco_little_u64(record + 40),
                               moco_little_u64(record + 48)};
    if ((*entries != ELSEWHERE_16 && *entries != found[0]) || (*size != ELSEWHERE_32 && *size != found[1]) ||
        (*at != ELSEWHERE_32 && *at != found[2])) {
        return refuse(zip, "its two end records contradict each other");
    }
    *entries = found[0];
    *size = found[1];
    *at = found[2];
    return MOCO_OK;
}

static moco_status read_end(moco_zip *zip) {
    unsigned char end[END_BYTES];
    unsigned char locator[4];
    if (zip->source->size < END_BYTES) return refuse(zip, "it is shorter than an empty archive: is it cut?");
    uint64_t end_at = zip->source->size - END_BYTES;
    MOCO_TRY(moco_byte_source_read(zip->source, end_at, end, sizeof end));
    if (moco_little_u32(end) != END || moco_little_u16(end + 20) != 0) {
        return refuse(zip, "it does not end with an end record without a comment: is it cut?");
    }
    if (moco_little_u16(end + 4) != 0 || moco_little_u16(end + 6) != 0 ||
        moco_little_u16(end + 8) != moco_little_u16(end + 10)) {
        return refuse(zip, "it is one of several disks");
    }
    uint64_t entries = moco_little_u16(end + 10);
    uint64_t size = moco_little_u32(end + 12);
    uint64_t at = moco_little_u32(end + 16);
    if (end_at >= LOCATOR_BYTES) {
        MOCO_TRY(moco_byte_source_read(zip->source, end_at - LOCATOR_BYTES, locator, sizeof locator));
        if (moco_little_u32(locator) == LOCATOR_64) {
            MOCO_TRY(read_end_64(zip, end_at - LOCATOR_BYTES, &entries, &size, &at, &end_at));
        }
    }
    if (size > end_at || at != end_at - size) return refuse(zip, "its directory does not lie right before its end");
    if (size > MOST_DIRECTORY) return refuse(zip, "its directory is larger than 64 MiB");
    if (entries > size / DIRECTORY_BYTES) return refuse(zip, "it claims more entries than its directory has room for");
    zip->directory_at = at;
    zip->directory_size = size;
    zip->count = (int64_t) entries;
    return MOCO_OK;
}

/* --- An entry of the directory --- */

static moco_status refuse_entry(const moco_zip *zip, const moco_zip_entry *entry, const char *what) {
    return moco_fail(MOCO_FORMAT, "%s: the entry \"" NAME_IN_SENTENCES "\" %s", zip->source->name, entry->name, what);
}

/* No name that a program could take for another place than one below a folder of its own. */
static moco_status check_name(const moco_zip *zip, const moco_zip_entry *entry) {
    const char *part = entry->name;
    for (const char *at = entry->name;; ++at) {
        const unsigned char byte = (unsigned char) *at;
        if (byte == '\\' || byte == ':' || (byte < ' ' && byte != '\0') || byte == 127) {
            return refuse_entry(zip, entry, "has a character in its name that no such name has");
        }
        if (byte != '/' && byte != '\0') continue;
        const size_t length = (size_t) (at - part);
        if (length == 0) return refuse_entry(zip, entry, "is a folder, or a path with an empty part");
        if ((length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.')) {
            return refuse_entry(zip, entry, "is a path with a part . or ..");
        }
        if (byte == '\0') return MOCO_OK;
        part = at + 1;
    }
}

/* What the 32-bit fields leave to the Zip64 extra field, which has them in this order. */
static moco_status read_extra(const moco_zip *zip, const moco_zip_entry *entry, const unsigned char *extra,
                              size_t length, entry_sizes *sizes) {
    int32_t found = 0;
    uint64_t *const fields[3] = {&sizes->size, &sizes->stored, &sizes->header};
    while (length > 0) {
        const size_t bytes = length < 4 ? 0 : moco_little_u16(extra + 2);
        if (length < 4 || bytes > length - 4) return refuse_entry(zip, entry, "has an extra field that is cut");
        if (moco_little_u16(extra) == EXTRA_ZIP64) {
            const unsigned char *value = extra + 4;
            if (found++) return refuse_entry(zip, entry, "has two Zip64 fields");
            for (int i = 0; i < 3; ++i) {
                if (*fields[i] != ELSEWHERE_32) continue;
                if ((size_t) (value - extra) + 8 > bytes + 4) {
                    return refuse_entry(zip, entry, "has a Zip64 field that is too short");
                }
                *fields[i] = moco_little_u64(value);
                value += 8;
            }
        }
        extra += 4 + bytes;
        length -= 4 + bytes;
    }
    if (!found && (sizes->size == ELSEWHERE_32 || sizes->stored == ELSEWHERE_32 || sizes->header == ELSEWHERE_32)) {
        return refuse_entry(zip, entry, "has sizes that point to a Zip64 field, which it lacks");
    }
    return MOCO_OK;
}

static moco_status check_method(const moco_zip *zip, const moco_zip_entry *entry, int32_t method, uint32_t attributes) {
    if ((entry->flags & FLAGS_ENCRYPTED) != 0) {
        return moco_fail(MOCO_UNSUPPORTED, "%s: the entry \"" NAME_IN_SENTENCES "\" is encrypted", zip->source->name,
                         entry->name);
    }
    if (method != 0) {
        return moco_fail(MOCO_UNSUPPORTED,
                         "%s: the entry \"" NAME_IN_SENTENCES "\" is compressed (method %d%s); only stored entries are "
                         "read, which torch.save writes",
                         zip->source->name, entry->name, method, method == 8 ? ", deflate" : "");
    }
    if ((entry->flags & ~(FLAG_DESCRIPTOR | FLAG_UTF8)) != 0) {
        return refuse_entry(zip, entry, "has flags that no stored entry has");
    }
    if ((attributes >> 16 & UNIX_TYPE) == UNIX_LINK) return refuse_entry(zip, entry, "is a symbolic link");
    return MOCO_OK;
}

/* The entry at `*at` of the directory; its name goes to `*names`. Both move on. */
static moco_status read_entry(moco_zip *zip, moco_zip_entry *entry, uint64_t *at, char **names) {
    const unsigned char *header = zip->directory + *at;
    const uint64_t left = zip->directory_size - *at;
    if (left < DIRECTORY_BYTES || moco_little_u32(header) != DIRECTORY_HEADER) {
        return refuse(zip, "its directory has something else than entries, or fewer of them than it claims");
    }
    const size_t name = moco_little_u16(header + 28);
    const size_t extra = moco_little_u16(header + 30);
    const size_t comment = moco_little_u16(header + 32);
    if (name + extra + comment > left - DIRECTORY_BYTES) return refuse(zip, "an entry of its directory is cut");
    if (name == 0 || name > MOST_NAME || memchr(header + DIRECTORY_BYTES, '\0', name) != NULL) {
        return refuse(zip, "an entry has a name that is empty, longer than 1024 bytes, or has a zero in it");
    }
    memcpy(*names, header + DIRECTORY_BYTES, name);
    (*names)[name] = '\0';
    entry->name = *names;
    *names += name + 1;
    *at += DIRECTORY_BYTES + name + extra + comment;
    entry->flags = moco_little_u16(header + 8);
    entry->crc = moco_little_u32(header + 16);
    MOCO_TRY(check_name(zip, entry));
    MOCO_TRY(check_method(zip, entry, moco_little_u16(header + 10), moco_little_u32(header + 38)));
    if (moco_little_u16(header + 34) != 0) return refuse_entry(zip, entry, "is on another disk");
    entry_sizes sizes = {moco_little_u32(header + 20), moco_little_u32(header + 24), moco_little_u32(header + 42)};
    MOCO_TRY(read_extra(zip, entry, header + DIRECTORY_BYTES + name, extra, &sizes));
    if (sizes.stored != sizes.size) return refuse_entry(zip, entry, "is stored, but its two sizes differ");
    entry->size = sizes.size;
    entry->header = sizes.header;
    return MOCO_OK;
}

/* --- Its local header must say the same --- */

static moco_status check_local(moco_zip *zip, moco_zip_entry *entry) {
    unsigned char header[LOCAL_BYTES + MOST_NAME];
    const size_t name = strlen(entry->name);
    if (entry->header > zip->directory_at || zip->directory_at - entry->header < LOCAL_BYTES + name) {
        return refuse_entry(zip, entry, "begins behind the entries");
    }
    MOCO_TRY(moco_byte_source_read(zip->source, entry->header, header, LOCAL_BYTES + name));
    if (moco_little_u32(header) != LOCAL_HEADER) return refuse_entry(zip, entry, "has no local header");
    const uint32_t crc = moco_little_u32(header + 14);
    const uint32_t stored = moco_little_u32(header + 18);
    const uint32_t size = moco_little_u32(header + 22);
    const int32_t later = (entry->flags & FLAG_DESCRIPTOR) != 0 && crc == 0 && stored == 0 && size == 0;
    const uint32_t expected = entry->size >= ELSEWHERE_32 ? ELSEWHERE_32 : (uint32_t) entry->size;
    const int32_t agrees = crc == entry->crc && (stored == expected || stored == ELSEWHERE_32) &&
                           (size == expected || size == ELSEWHERE_32);
    if (moco_little_u16(header + 6) != entry->flags || moco_little_u16(header + 8) != 0 || (!later && !agrees) ||
        moco_little_u16(header + 26) != name || memcmp(header + LOCAL_BYTES, entry->name, name) != 0) {
        return refuse_entry(zip, entry, "has a local header that contradicts the directory");
    }
    const uint64_t room = zip->directory_at - entry->header - LOCAL_BYTES - name;
    const uint64_t extra = moco_little_u16(header + 28);
    if (extra > room || entry->size > room - extra) return refuse_entry(zip, entry, "runs into the directory");
    entry->data = entry->header + LOCAL_BYTES + name + extra;
    return MOCO_OK;
}

/* The bytes from the end of an entry to the next: none, or its data descriptor. */
static moco_status check_gap(const moco_zip *zip, const moco_zip_entry *entry, uint64_t end) {
    unsigned char bytes[MOST_DESCRIPTOR];
    const uint64_t at = entry->data + entry->size;
    if (end < at) return refuse_entry(zip, entry, "overlaps the next one");
    if (end == at) return MOCO_OK;
    const size_t gap = (size_t) (end - at);
    const size_t head = gap == 12 || gap == 20 ? 0 : 4; /* its signature may be left out */
    const int32_t fits = end - at <= MOST_DESCRIPTOR && (gap == 12 || gap == 16 || gap == 20 || gap == 24);
    if (!fits || (entry->flags & FLAG_DESCRIPTOR) == 0) {
        return refuse_entry(zip, entry, "is followed by bytes that belong to nothing");
    }
    MOCO_TRY(moco_byte_source_read(zip->source, at, bytes, gap));
    const int32_t wide = gap - head == 20;
    const unsigned char *sizes = bytes + head + 4;
    const uint64_t stored = wide ? moco_little_u64(sizes) : moco_little_u32(sizes);
    const uint64_t size = wide ? moco_little_u64(sizes + 8) : moco_little_u32(sizes + 4);
    if ((head == 4 && moco_little_u32(bytes) != DESCRIPTOR) || moco_little_u32(bytes + head) != entry->crc ||
        stored != entry->size || size != entry->size) {
        return refuse_entry(zip, entry, "has a data descriptor that contradicts the directory");
    }
    return MOCO_OK;
}

/* --- All of them --- */

static int32_t name_behind(const void *a, const void *b) {
    return strcmp(((const moco_zip_entry *) a)->name, ((const moco_zip_entry *) b)->name) > 0;
}

static int32_t header_behind(const void *a, const void *b) {
    return ((const moco_zip_entry *) a)->header > ((const moco_zip_entry *) b)->header;
}

static moco_status read_directory(moco_zip *zip) {
    const size_t count = (size_t) zip->count;
    zip->directory = (unsigned char *) moco_allocate(zip->context, (size_t) zip->directory_size);
    zip->names = (char *) moco_allocate(zip->context, (size_t) zip->directory_size + count);
    zip->entries = (moco_zip_entry *) moco_allocate_zeroed(zip->context, count, sizeof *zip->entries);
    if (zip->directory == NULL || zip->names == NULL || zip->entries == NULL) return MOCO_OUT_OF_MEMORY;
    MOCO_TRY(moco_byte_source_read(zip->source, zip->directory_at, zip->directory, (size_t) zip->directory_size));
    uint64_t at = 0;
    char *names = zip->names;
    for (size_t i = 0; i < count; ++i) MOCO_TRY(read_entry(zip, &zip->entries[i], &at, &names));
    if (at != zip->directory_size) return refuse(zip, "its directory has more than the entries it claims");
    return MOCO_OK;
}

static moco_status check_entries(moco_zip *zip) {
    const size_t count = (size_t) zip->count;
    for (size_t i = 0; i < count; ++i) MOCO_TRY(check_local(zip, &zip->entries[i]));
    moco_heap_sort(zip->entries, count, sizeof *zip->entries, header_behind);
    const uint64_t first = count == 0 ? zip->directory_at : zip->entries[0].header;
    if (first != 0) return refuse(zip, "it has bytes before its first entry");
    for (size_t i = 0; i < count; ++i) {
        const uint64_t end = i + 1 < count ? zip->entries[i + 1].header : zip->directory_at;
        MOCO_TRY(check_gap(zip, &zip->entries[i], end));
    }
    moco_heap_sort(zip->entries, count, sizeof *zip->entries, name_behind);
    for (size_t i = 1; i < count; ++i) {
        if (strcmp(zip->entries[i - 1].name, zip->entries[i].name) == 0) {
            return refuse_entry(zip, &zip->entries[i], "is there twice");
        }
    }
    return MOCO_OK;
}

int32_t moco_zip_looks_so(const moco_byte_source *source) {
    unsigned char bytes[4];
    if (source->size < sizeof bytes || moco_byte_source_read(source, 0, bytes, sizeof bytes) != MOCO_OK) return 0;
    return moco_little_u32(bytes) == LOCAL_HEADER || moco_little_u32(bytes) == END;
}

moco_status moco_zip_open(moco_zip **out, moco_context *context, const moco_byte_source *source) {
    moco_zip *zip = (moco_zip *) moco_allocate_zeroed(context, 1, sizeof *zip);
    if (zip == NULL) return MOCO_OUT_OF_MEMORY;
    zip->context = context;
    zip->source = source;
    moco_status status = read_end(zip);
    if (status == MOCO_OK) status = read_directory(zip);
    if (status == MOCO_OK) status = check_entries(zip);
    moco_deallocate(context, zip->directory);
    zip->directory = NULL;
    if (status != MOCO_OK) {
        moco_zip_close(zip);
        return status;
    }
    *out = zip;
    return MOCO_OK;
}

void moco_zip_close(moco_zip *zip) {
    if (zip == NULL) return;
    moco_deallocate(zip->context, zip->entries);
    moco_deallocate(zip->context, zip->names);
    moco_deallocate(zip->context, zip);
}

int64_t moco_zip_count(const moco_zip *zip) {
    return zip->count;
}

const moco_zip_entry *moco_zip_get(const moco_zip *zip, int64_t index) {
    return index >= 0 && index < zip->count ? &zip->entries[index] : NULL;
}

int64_t moco_zip_find(const moco_zip *zip, const char *name) {
    int64_t low = 0;
    for (int64_t high = zip->count; low < high;) {
        const int64_t middle = low + (high - low) / 2;
        const int order = strcmp(zip->entries[middle].name, name);
        if (order == 0) return middle;
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return -1;
}

moco_status moco_zip_read(const moco_zip *zip, int64_t index, uint64_t at, void *target, size_t size) {
    const moco_zip_entry *entry = moco_zip_get(zip, index);
    MOCO_REQUIRE(entry != NULL, "index is %lld; it must be 0 to %lld", (long long) index, (long long) zip->count - 1);
    if (at > entry->size || size > entry->size - at) return refuse_entry(zip, entry, "is shorter than it should be");
    MOCO_TRY(moco_byte_source_read(zip->source, entry->data + at, target, size));
    if (size == entry->size && entry->crc != 0 && moco_crc32(0, target, size) != entry->crc) {
        return refuse_entry(zip, entry, "is damaged: its checksum is another");
    }
    return MOCO_OK;
}
