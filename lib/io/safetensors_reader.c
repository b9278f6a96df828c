#include <string.h>

#include "core/checked.h"
#include "io/byte_source.h"
#include "io/heap_sort.h"
#include "io/safetensors.h"

#ifdef MOCO_HAVE_JANSSON
#include <jansson.h>

#define LENGTH_BYTES 8
#define METADATA_KEY "__metadata__"

typedef struct tensor_place {
    moco_safetensors_entry entry; /* its name belongs to `header` */
    int64_t begin;                /* in bytes from the start of the data */
    int64_t end;
} tensor_place;

struct moco_safetensors {
    moco_context *context;
    moco_byte_source source;
    const char *path;   /* the source's name */
    int64_t data_start; /* in the file */
    int64_t data_bytes;
    json_t *header;
    const json_t *metadata; /* borrowed from `header`; NULL without */
    int64_t count;
    tensor_place *tensors; /* by `begin` */
};

/* --- The header --- */

/* An object, behind what JSON calls white space, which some writers put there; no byte order mark. */
static int32_t begins_with_object(const char *text, size_t length) {
    size_t i = 0;
    while (i < length && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r')) ++i;
    return i < length && text[i] == '{';
}

/* Length, then JSON: file->header, data_start and data_bytes. */
static moco_status read_header(moco_safetensors *file, int64_t size) {
    unsigned char length_bytes[LENGTH_BYTES];
    if (size < LENGTH_BYTES) {
        return moco_fail(MOCO_FORMAT, "%s has %lld bytes; a safetensors file has more than 8", file->path,
                         (long long) size);
    }
    MOCO_TRY(moco_byte_source_read(&file->source, 0, length_bytes, sizeof length_bytes));
    const uint64_t length = moco_little_u64(length_bytes);
    if (length > MOCO_SAFETENSORS_MAX_HEADER) {
        return moco_fail(MOCO_FORMAT, "%s claims a header of %llu bytes; at most %d are allowed", file->path,
                         (unsigned long long) length, MOCO_SAFETENSORS_MAX_HEADER);
    }
    if ((int64_t) length > size - LENGTH_BYTES) {
        return moco_fail(MOCO_FORMAT, "%s claims a header of %llu bytes but has only %lld after its length: is it cut?",
                         file->path, (unsigned long long) length, (long long) (size - LENGTH_BYTES));
    }
    char *text = (char *) moco_allocate(file->context, (size_t) length);
    if (text == NULL) return MOCO_OUT_OF_MEMORY;
    json_error_t error = {0};
    moco_status status = moco_byte_source_read(&file->source, LENGTH_BYTES, text, (size_t) length);
    if (status == MOCO_OK && !begins_with_object(text, (size_t) length)) {
        status = moco_fail(MOCO_FORMAT, "%s: the header does not begin with '{'", file->path);
    }
    if (status == MOCO_OK) {
        file->header = json_loadb(text, (size_t) length, JSON_REJECT_DUPLICATES, &error);
        if (file->header == NULL) {
            status = json_error_code(&error) == json_error_out_of_memory
                         ? moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: the header of %s", file->path)
                         : moco_fail(MOCO_FORMAT, "%s: the header is no valid JSON: %s at byte %d", file->path,
                                     error.text, error.position);
        }
    }
    moco_deallocate(file->context, text);
    file->data_start = LENGTH_BYTES + (int64_t) length;
    file->data_bytes = size - file->data_start;
    return status;
}

/* --- The header's content --- */

static moco_status check_metadata(const moco_safetensors *file) {
    if (file->metadata == NULL) return MOCO_OK;
    if (!json_is_object(file->metadata)) {
        return moco_fail(MOCO_FORMAT, "%s: " METADATA_KEY " is no object", file->path);
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *) file->metadata, key, value) {
        if (!json_is_string(value)) {
            return moco_fail(MOCO_FORMAT, "%s: metadata entry \"%s\" is no string", file->path, key);
        }
    }
    return MOCO_OK;
}

static moco_status read_dtype(const moco_safetensors *file, const json_t *value, moco_safetensors_entry *entry) {
    /* The format has them; their elements are no whole bytes, scales without numbers, or complex. */
    static const char *const others[] = {"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"};
    if (!json_is_string(value)) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" has no dtype that is a string", file->path, entry->name);
    }
    for (int32_t dtype = 0; dtype < MOCO_SAFETENSORS_DTYPE_COUNT; ++dtype) {
        if (strcmp(json_string_value(value), moco_safetensors_dtype_name(dtype)) == 0) {
            entry->dtype = dtype;
            return MOCO_OK;
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; ++i) {
        if (strcmp(json_string_value(value), others[i]) == 0) {
            return moco_fail(MOCO_UNSUPPORTED, "%s: tensor \"%s\" is %s, a dtype that is not supported", file->path,
                             entry->name, others[i]);
        }
    }
    return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" has the unknown dtype \"%.32s\"", file->path, entry->name,
                     json_string_value(value));
}

static moco_status read_shape(const moco_safetensors *file, const json_t *value, moco_safetensors_entry *entry) {
    if (!json_is_array(value)) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" has no shape that is an array", file->path, entry->name);
    }
    const size_t rank = json_array_size(value);
    if (rank > MOCO_SAFETENSORS_MAX_RANK) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" has %zu dimensions; at most %d are read", file->path,
                         entry->name, rank, MOCO_SAFETENSORS_MAX_RANK);
    }
    entry->rank = (int32_t) rank;
    for (size_t i = 0; i < rank; ++i) {
        const json_t *dim = json_array_get(value, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0) {
            return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" has a shape with something else than counts", file->path,
                             entry->name);
        }
        entry->dims[i] = (int64_t) json_integer_value(dim);
    }
    return MOCO_OK;
}

static moco_status read_offsets(const moco_safetensors *file, const json_t *value, tensor_place *tensor) {
    const char *name = tensor->entry.name;
    if (!json_is_array(value) || json_array_size(value) != 2 || !json_is_integer(json_array_get(value, 0)) ||
        !json_is_integer(json_array_get(value, 1))) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" has no data_offsets that are two integers", file->path, name);
    }
    tensor->begin = (int64_t) json_integer_value(json_array_get(value, 0));
    tensor->end = (int64_t) json_integer_value(json_array_get(value, 1));
    if (tensor->begin < 0 || tensor->end < tensor->begin) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" has the data_offsets %lld .. %lld, which are no range",
                         file->path, name, (long long) tensor->begin, (long long) tensor->end);
    }
    if (tensor->end > file->data_bytes) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" ends at byte %lld of the data, which has %lld: is it cut?",
                         file->path, name, (long long) tensor->end, (long long) file->data_bytes);
    }
    return MOCO_OK;
}

static moco_status read_tensor(const moco_safetensors *file, const json_t *object, tensor_place *tensor) {
    moco_safetensors_entry *entry = &tensor->entry;
    if (!json_is_object(object)) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" is no object", file->path, entry->name);
    }
    MOCO_TRY(read_dtype(file, json_object_get(object, "dtype"), entry));
    MOCO_TRY(read_shape(file, json_object_get(object, "shape"), entry));
    MOCO_TRY(read_offsets(file, json_object_get(object, "data_offsets"), tensor));
    int64_t elements;
    size_t bytes;
    if (moco_safetensors_entry_size(entry, &elements, &bytes) != MOCO_OK) {
        return moco_fail(MOCO_FORMAT, "%s: the shape of tensor \"%s\" overflows", file->path, entry->name);
    }
    if ((int64_t) bytes != tensor->end - tensor->begin) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" has %lld elements of %s but %lld bytes", file->path,
                         entry->name, (long long) elements, moco_safetensors_dtype_name(entry->dtype),
                         (long long) (tensor->end - tensor->begin));
    }
    return MOCO_OK;
}

/* --- The order of the data --- */

static int32_t lies_behind(const void *first, const void *second) {
    const tensor_place *a = (const tensor_place *) first;
    const tensor_place *b = (const tensor_place *) second;
    return a->begin != b->begin ? a->begin > b->begin : a->end > b->end;
}

/* No gap, no overlap, nothing left over: else bytes could hide in the file. */
static moco_status check_coverage(const moco_safetensors *file) {
    int64_t expected = 0;
    for (int64_t i = 0; i < file->count; ++i) {
        const tensor_place *tensor = &file->tensors[i];
        if (tensor->begin != expected) {
            return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" begins at byte %lld of the data, not at %lld: %s",
                             file->path, tensor->entry.name, (long long) tensor->begin, (long long) expected,
                             tensor->begin < expected ? "it overlaps another" : "there is a gap before it");
        }
        expected = tensor->end;
    }
    if (expected != file->data_bytes) {
        return moco_fail(MOCO_FORMAT, "%s: the tensors end at byte %lld of the data, which has %lld", file->path,
                         (long long) expected, (long long) file->data_bytes);
    }
    return MOCO_OK;
}

static moco_status read_tensors(moco_safetensors *file) {
    const size_t entries = json_object_size(file->header);
    file->tensors = (tensor_place *) moco_allocate_zeroed(file->context, entries, sizeof *file->tensors);
    if (file->tensors == NULL) return MOCO_OUT_OF_MEMORY;
    const char *name;
    json_t *value;
    json_object_foreach(file->header, name, value) {
        if (strcmp(name, METADATA_KEY) == 0) continue;
        file->tensors[file->count].entry.name = name;
        MOCO_TRY(read_tensor(file, value, &file->tensors[file->count]));
        file->count++;
    }
    moco_heap_sort(file->tensors, (size_t) file->count, sizeof *file->tensors, lies_behind);
    return check_coverage(file);
}

/* --- Handle --- */

void moco_safetensors_close(moco_safetensors *file) {
    if (file == NULL) return;
    json_decref(file->header);
    moco_deallocate(file->context, file->tensors);
    moco_byte_source_close(&file->source);
    moco_deallocate(file->context, file);
}

moco_status moco_safetensors_open(moco_safetensors **out, moco_context *context, const char *path) {
    MOCO_REQUIRE_POINTER(path);
    moco_safetensors *file = (moco_safetensors *) moco_allocate_zeroed(context, 1, sizeof *file);
    if (file == NULL) return MOCO_OUT_OF_MEMORY;
    file->context = context;
    moco_status status = moco_byte_source_open(&file->source, context, path);
    file->path = file->source.name;
    if (status == MOCO_OK) status = read_header(file, (int64_t) file->source.size);
    if (status == MOCO_OK) {
        file->metadata = json_object_get(file->header, METADATA_KEY);
        status = check_metadata(file);
    }
    if (status == MOCO_OK) status = read_tensors(file);
    if (status != MOCO_OK) {
        moco_safetensors_close(file);
        return status;
    }
    *out = file;
    return MOCO_OK;
}

int64_t moco_safetensors_count(const moco_safetensors *file) {
    return file->count;
}

const moco_safetensors_entry *moco_safetensors_get(const moco_safetensors *file, int64_t index) {
    return index >= 0 && index < file->count ? &file->tensors[index].entry : NULL;
}

int64_t moco_safetensors_find(const moco_safetensors *file, const char *name) {
    for (int64_t i = 0; i < file->count; ++i) {
        if (strcmp(file->tensors[i].entry.name, name) == 0) return i;
    }
    return -1;
}

moco_status moco_safetensors_read(const moco_safetensors *file, int64_t index, void *values) {
    MOCO_REQUIRE(index >= 0 && index < file->count, "index is %lld; it must be 0 to %lld", (long long) index,
                 (long long) file->count - 1);
    const tensor_place *tensor = &file->tensors[index];
    const size_t bytes = (size_t) (tensor->end - tensor->begin);
    const size_t element_size = moco_safetensors_dtype_size(tensor->entry.dtype);
    MOCO_TRY(moco_byte_source_read(&file->source, (uint64_t) (file->data_start + tensor->begin), values, bytes));
    moco_safetensors_swap(values, (int64_t) (bytes / element_size), element_size);
    return MOCO_OK;
}

const char *moco_safetensors_metadata(const moco_safetensors *file, const char *key) {
    return file->metadata == NULL ? NULL : json_string_value(json_object_get(file->metadata, key));
}

const char *moco_safetensors_metadata_next(const moco_safetensors *file, void **place, const char **value) {
    json_t *metadata = (json_t *) (uintptr_t) file->metadata; /* only looked at */
    *place = *place == NULL ? json_object_iter(metadata) : json_object_iter_next(metadata, *place);
    if (*place == NULL) return NULL;
    *value = json_string_value(json_object_iter_value(*place));
    return json_object_iter_key(*place);
}

#else /* without Jansson */

moco_status moco_safetensors_open(moco_safetensors **out, moco_context *context, const char *path) {
    (void) out;
    (void) context;
    MOCO_REQUIRE_POINTER(path);
    return moco_fail(MOCO_UNSUPPORTED,
                     "cannot read %s: this libmoco was built without Jansson; build it with MOCO_WITH_JANSSON=ON",
                     path);
}

void moco_safetensors_close(moco_safetensors *file) {
    (void) file;
}

int64_t moco_safetensors_count(const moco_safetensors *file) {
    (void) file;
    return 0;
}

const moco_safetensors_entry *moco_safetensors_get(const moco_safetensors *file, int64_t index) {
    (void) file;
    (void) index;
    return NULL;
}

int64_t moco_safetensors_find(const moco_safetensors *file, const char *name) {
    (void) file;
    (void) name;
    return -1;
}

moco_status moco_safetensors_read(const moco_safetensors *file, int64_t index, void *values) {
    (void) file;
    (void) index;
    (void) values;
    return moco_fail(MOCO_UNSUPPORTED, "this libmoco was built without Jansson (MOCO_WITH_JANSSON)");
}

const char *moco_safetensors_metadata(const moco_safetensors *file, const char *key) {
    (void) file;
    (void) key;
    return NULL;
}

const char *moco_safetensors_metadata_next(const moco_safetensors *file, void **place, const char **value) {
    (void) file;
    (void) place;
    (void) value;
    return NULL;
}

#endif
