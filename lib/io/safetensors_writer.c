#include <string.h>

#include "core/checked.h"
#include "io/atomic_file.h"
#include "io/json_writer.h"
#include "io/safetensors.h"

#define LENGTH_BYTES     8
#define HEADER_ALIGNMENT 8
#define METADATA_KEY     "__metadata__"

/* --- Types and sizes --- */

static const struct {
    const char *name;
    size_t size;
} dtypes[MOCO_SAFETENSORS_DTYPE_COUNT] = {
#define MOCO_SAFETENSORS_ROW(name, size) {#name, size},
    MOCO_SAFETENSORS_DTYPES(MOCO_SAFETENSORS_ROW)
#undef MOCO_SAFETENSORS_ROW
};

const char *moco_safetensors_dtype_name(int32_t dtype) {
    return dtype >= 0 && dtype < MOCO_SAFETENSORS_DTYPE_COUNT ? dtypes[dtype].name : "unknown";
}

size_t moco_safetensors_dtype_size(int32_t dtype) {
    return dtype >= 0 && dtype < MOCO_SAFETENSORS_DTYPE_COUNT ? dtypes[dtype].size : 0;
}

moco_status moco_safetensors_entry_size(const moco_safetensors_entry *entry, int64_t *elements, size_t *bytes) {
    MOCO_REQUIRE(entry->dtype >= 0 && entry->dtype < MOCO_SAFETENSORS_DTYPE_COUNT,
                 "tensor \"%s\" has dtype %d; it must be a MOCO_SAFETENSORS_* value", entry->name, entry->dtype);
    MOCO_REQUIRE(entry->rank >= 0 && entry->rank <= MOCO_SAFETENSORS_MAX_RANK,
                 "tensor \"%s\" has rank %d; it must be 0 to %d", entry->name, entry->rank, MOCO_SAFETENSORS_MAX_RANK);
    MOCO_TRY(moco_checked_product(entry->dims, entry->rank, entry->name, elements));
    return moco_checked_bytes(*elements, dtypes[entry->dtype].size, entry->name, bytes);
}

void moco_safetensors_swap(void *values, int64_t elements, size_t element_size) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    unsigned char *bytes = (unsigned char *) values;
    for (int64_t i = 0; i < elements; ++i, bytes += element_size) {
        for (size_t low = 0, high = element_size - 1; low < high; ++low, --high) {
            const unsigned char byte = bytes[low];
            bytes[low] = bytes[high];
            bytes[high] = byte;
        }
    }
#else
    (void) values;
    (void) elements;
    (void) element_size;
#endif
}

/* --- Checks --- */

/* Restores the heap below `root` in names[0 .. count), greatest first. */
static void sift_down(const char **names, int64_t root, int64_t count) {
    for (int64_t child = 2 * root + 1; child < count; root = child, child = 2 * root + 1) {
        if (child + 1 < count && strcmp(names[child + 1], names[child]) > 0) ++child;
        if (strcmp(names[root], names[child]) >= 0) return;
        const char *name = names[root];
        names[root] = names[child];
        names[child] = name;
    }
}

static void sort_names(const char **names, int64_t count) {
    for (int64_t root = count / 2 - 1; root >= 0; --root) sift_down(names, root, count);
    for (int64_t end = count - 1; end > 0; --end) {
        const char *name = names[0];
        names[0] = names[end];
        names[end] = name;
        sift_down(names, 0, end);
    }
}

/* Every reader refuses a name that comes twice, so writing one would lose the file. Sorts `names`. */
static moco_status require_distinct(const char **names, int64_t count, const char *what) {
    sort_names(names, count);
    for (int64_t i = 1; i < count; ++i) {
        MOCO_REQUIRE(strcmp(names[i - 1], names[i]) != 0, "%s \"%s\" is given twice; it must be unique", what,
                     names[i]);
    }
    return MOCO_OK;
}

static moco_status check_names(const char **names, const moco_safetensors_entry *entries, int64_t count,
                               const char *const *keys, const char *const *values, int64_t metadata_count) {
    for (int64_t i = 0; i < count; ++i) {
        MOCO_REQUIRE(entries[i].name != NULL, "tensor %lld has no name", (long long) i);
        MOCO_REQUIRE(strcmp(entries[i].name, METADATA_KEY) != 0,
                     "a tensor is named " METADATA_KEY "; the format keeps that name for itself");
        names[i] = entries[i].name;
    }
    MOCO_TRY(require_distinct(names, count, "tensor"));
    for (int64_t i = 0; i < metadata_count; ++i) {
        MOCO_REQUIRE(keys[i] != NULL && values[i] != NULL, "metadata entry %lld has a NULL key or value",
                     (long long) i);
        names[i] = keys[i];
    }
    return require_distinct(names, metadata_count, "metadata key");
}

static moco_status require_distinct_names(moco_context *context, const moco_safetensors_entry *entries, int64_t count,
                                          const char *const *keys, const char *const *values, int64_t metadata_count) {
    const char **names =
        (const char **) moco_allocate_zeroed(context, (size_t) moco_max_i64(count, metadata_count), sizeof *names);
    if (names == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_status status = check_names(names, entries, count, keys, values, metadata_count);
    moco_deallocate(context, (void *) names);
    return status;
}

/* --- Header --- */

static moco_status write_entry(moco_json_writer *json, const moco_safetensors_entry *entry, int64_t *offset) {
    int64_t elements;
    size_t bytes;
    MOCO_TRY(moco_safetensors_entry_size(entry, &elements, &bytes));
    MOCO_REQUIRE((int64_t) bytes <= INT64_MAX - *offset, "the tensors together need more than 2^63 - 1 bytes");
    moco_json_key(json, entry->name);
    moco_json_begin_object(json);
    moco_json_key(json, "dtype");
    moco_json_string(json, moco_safetensors_dtype_name(entry->dtype));
    moco_json_key(json, "shape");
    moco_json_begin_array(json);
    for (int32_t i = 0; i < entry->rank; ++i) moco_json_integer(json, entry->dims[i]);
    moco_json_end_array(json);
    moco_json_key(json, "data_offsets");
    moco_json_begin_array(json);
    moco_json_integer(json, *offset);
    *offset += (int64_t) bytes;
    moco_json_integer(json, *offset);
    moco_json_end_array(json);
    moco_json_end_object(json);
    return MOCO_OK;
}

static moco_status write_header(moco_json_writer *json, const moco_safetensors_entry *entries, int64_t count,
                                const char *const *keys, const char *const *values, int64_t metadata_count) {
    moco_json_begin_object(json);
    if (metadata_count > 0) {
        moco_json_key(json, METADATA_KEY);
        moco_json_begin_object(json);
        for (int64_t i = 0; i < metadata_count; ++i) {
            moco_json_key(json, keys[i]);
            moco_json_string(json, values[i]);
        }
        moco_json_end_object(json);
    }
    int64_t offset = 0;
    for (int64_t i = 0; i < count; ++i) MOCO_TRY(write_entry(json, &entries[i], &offset));
    moco_json_end_object(json);
    /* Blanks, so that the tensors begin at a multiple of 8 bytes. */
    while (json->status == MOCO_OK && json->length % HEADER_ALIGNMENT != 0) moco_json_raw(json, ' ');
    MOCO_TRY(moco_json_finish(json));
    MOCO_REQUIRE(json->length <= MOCO_SAFETENSORS_MAX_HEADER,
                 "names, shapes and metadata take %zu bytes; the format allows %d", json->length,
                 MOCO_SAFETENSORS_MAX_HEADER);
    return MOCO_OK;
}

/* --- File --- */

/* Where the values come from: a function, or memory. */
typedef struct value_source {
    moco_safetensors_fill_fn fill;
    void *user;
    const void *const *values; /* instead of `fill` */
} value_source;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define VALUES_ARE_WRITTEN_AS_THEY_ARE 0
#else
#define VALUES_ARE_WRITTEN_AS_THEY_ARE 1
#endif

static moco_status write_tensor(moco_atomic_file *file, const moco_safetensors_entry *entry, int64_t index,
                                const value_source *source, void *room) {
    int64_t elements;
    size_t bytes;
    MOCO_TRY(moco_safetensors_entry_size(entry, &elements, &bytes));
    if (source->values != NULL && VALUES_ARE_WRITTEN_AS_THEY_ARE) {
        return moco_atomic_file_write(file, source->values[index], bytes);
    }
    if (source->values != NULL) {
        memcpy(room, source->values[index], bytes);
    } else {
        MOCO_TRY(source->fill(index, room, source->user));
    }
    moco_safetensors_swap(room, elements, moco_safetensors_dtype_size(entry->dtype));
    return moco_atomic_file_write(file, room, bytes);
}

static moco_status write_tensors(moco_context *context, moco_atomic_file *file, const moco_safetensors_entry *entries,
                                 int64_t count, const value_source *source) {
    int64_t elements;
    size_t bytes;
    size_t largest = 0;
    const int32_t needs_room = source->values == NULL || !VALUES_ARE_WRITTEN_AS_THEY_ARE;
    for (int64_t i = 0; i < count && needs_room; ++i) {
        MOCO_TRY(moco_safetensors_entry_size(&entries[i], &elements, &bytes));
        if (bytes > largest) largest = bytes;
    }
    void *room = moco_allocate(context, largest);
    if (room == NULL) return MOCO_OUT_OF_MEMORY;
    moco_status status = MOCO_OK;
    for (int64_t i = 0; i < count && status == MOCO_OK; ++i) status = write_tensor(file, &entries[i], i, source, room);
    moco_deallocate(context, room);
    return status;
}

static moco_status write_content(moco_context *context, moco_atomic_file *file, const moco_json_writer *header,
                                 const moco_safetensors_entry *entries, int64_t count, const value_source *source) {
    unsigned char length[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; ++i) length[i] = (unsigned char) ((uint64_t) header->length >> (8 * i));
    MOCO_TRY(moco_atomic_file_write(file, length, sizeof length));
    MOCO_TRY(moco_atomic_file_write(file, header->text, header->length));
    return write_tensors(context, file, entries, count, source);
}

static moco_status write_file(moco_context *context, const char *path, const moco_safetensors_entry *entries,
                              int64_t count, const char *const *keys, const char *const *values, int64_t metadata_count,
                              const value_source *source) {
    MOCO_TRY(require_distinct_names(context, entries, count, keys, values, metadata_count));
    moco_json_writer header;
    moco_json_init(&header, context);
    moco_atomic_file *file = NULL;
    moco_status status;
    MOCO_TRY_GOTO(status, done, write_header(&header, entries, count, keys, values, metadata_count));
    MOCO_TRY_GOTO(status, done, moco_atomic_file_open(&file, context, path));
    MOCO_TRY_GOTO(status, done, write_content(context, file, &header, entries, count, source));
    status = moco_atomic_file_commit(file);
    file = NULL;
done:
    moco_atomic_file_discard(file);
    moco_json_release(&header);
    return status;
}

moco_status moco_safetensors_write(moco_context *context, const char *path, const moco_safetensors_entry *entries,
                                   int64_t count, const char *const *keys, const char *const *values,
                                   int64_t metadata_count, moco_safetensors_fill_fn fill, void *user) {
    const value_source source = {.fill = fill, .user = user};
    return write_file(context, path, entries, count, keys, values, metadata_count, &source);
}

moco_status moco_safetensors_write_values(moco_context *context, const char *path,
                                          const moco_safetensors_entry *entries, const void *const *tensor_values,
                                          int64_t count, const char *const *keys, const char *const *values,
                                          int64_t metadata_count) {
    const value_source source = {.values = tensor_values};
    return write_file(context, path, entries, count, keys, values, metadata_count, &source);
}
