#include "io/torch_file.h"

#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "io/heap_sort.h"
#include "io/pickle_opcodes.h"
#include "io/safetensors.h"
#include "io/zip_reader.h"

#define FIRST_WINDOW     ((size_t) 64 << 10) /* of a legacy pickle, whose length nothing says */
#define LEGACY_PROTOCOL  1001
#define LENGTH_BYTES     8
#define HIGHEST_PROTOCOL 5
#define PICKLE_NAME      "data.pkl"
#define MOST_SMALL       16 /* bytes of `version` and `byteorder` */
#define ENTRY_NAME_SIZE  2048

/* Where a storage's bytes are. */
typedef struct storage_place {
    const moco_pickle_storage *storage;
    uint64_t at;   /* in the source; of the zip form, in the entry: 0 */
    int64_t entry; /* of the archive */
} storage_place;

struct moco_torch_file {
    moco_context *context;
    const moco_byte_source *source;
    moco_zip *zip;       /* NULL: legacy */
    unsigned char *text; /* of the pickle */
    moco_pickle *pickle;
    storage_place *places; /* by the storages' addresses */
    int64_t count;
};

static moco_status refuse(const moco_torch_file *file, const char *what) {
    return moco_fail(MOCO_FORMAT, "%s is no file that torch.save wrote: %s", file->source->name, what);
}

static int32_t place_behind(const void *a, const void *b) {
    return (uintptr_t) ((const storage_place *) a)->storage > (uintptr_t) ((const storage_place *) b)->storage;
}

static storage_place *find_place(const moco_torch_file *file, const moco_pickle_storage *storage) {
    int64_t low = 0;
    for (int64_t high = file->count; low < high;) {
        const int64_t middle = low + (high - low) / 2;
        if ((uintptr_t) file->places[middle].storage < (uintptr_t) storage) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < file->count && file->places[low].storage == storage ? &file->places[low] : NULL;
}

static moco_status list_storages(moco_torch_file *file) {
    const int64_t count = moco_pickle_storage_count(file->pickle);
    file->places = (storage_place *) moco_allocate_zeroed(file->context, (size_t) count, sizeof *file->places);
    if (file->places == NULL) return MOCO_OUT_OF_MEMORY;
    for (; file->count < count; ++file->count) {
        file->places[file->count].storage = moco_pickle_storage_get(file->pickle, file->count);
        file->places[file->count].entry = -1;
    }
    return MOCO_OK;
}

static uint64_t storage_bytes(const moco_pickle_storage *storage) {
    return (uint64_t) storage->elements * moco_safetensors_dtype_size(storage->dtype);
}

/* --- The zip form: <any prefix>/data.pkl, <prefix>/data/<key> ... --- */

/* The length of the prefix, with its slash, of the one data.pkl. */
static moco_status find_prefix(const moco_torch_file *file, size_t *prefix, int64_t *pickle) {
    *pickle = -1;
    for (int64_t i = 0; i < moco_zip_count(file->zip); ++i) {
        const char *name = moco_zip_get(file->zip, i)->name;
        const size_t length = strlen(name);
        const size_t tail = sizeof PICKLE_NAME - 1;
        if (length < tail || strcmp(name + length - tail, PICKLE_NAME) != 0) continue;
        if (length > tail && name[length - tail - 1] != '/') continue;
        if (*pickle >= 0) return refuse(file, "its archive has two entries " PICKLE_NAME);
        *pickle = i;
        *prefix = length - tail;
    }
    return *pickle >= 0 ? MOCO_OK : refuse(file, "its archive has no entry " PICKLE_NAME);
}

/* The entry <prefix><name>; -1 without. */
static int64_t find_entry(const moco_torch_file *file, const char *prefix, size_t prefix_length, const char *folder,
                          const char *name, size_t name_length) {
    char full[ENTRY_NAME_SIZE];
    const int length =
        snprintf(full, sizeof full, "%.*s%s%.*s", (int) prefix_length, prefix, folder, (int) name_length, name);
    if (length < 0 || (size_t) length >= sizeof full) return -1;
    return moco_zip_find(file->zip, full);
}

/* `byteorder` is there since PyTorch 2.1. */
static moco_status check_byte_order(const moco_torch_file *file, const char *prefix, size_t prefix_length) {
    char text[MOST_SMALL + 1] = {0};
    const int64_t entry = find_entry(file, prefix, prefix_length, "", "byteorder", strlen("byteorder"));
    if (entry < 0) return MOCO_OK;
    const uint64_t size = moco_zip_get(file->zip, entry)->size;
    if (size > MOST_SMALL) return refuse(file, "its entry byteorder is too long");
    MOCO_TRY(moco_zip_read(file->zip, entry, 0, text, (size_t) size));
    if (strcmp(text, "little") == 0) return MOCO_OK;
    return moco_fail(MOCO_UNSUPPORTED, "%s: its byteorder is %s; only little-endian files are read", file->source->name,
                     strcmp(text, "big") == 0 ? "big-endian" : "unknown");
}

static moco_status find_zip_storages(moco_torch_file *file, const char *prefix, size_t prefix_length) {
    for (int64_t i = 0; i < file->count; ++i) {
        storage_place *place = &file->places[i];
        const moco_pickle_node *key = place->storage->key;
        if (memchr(key->as.text, '\0', (size_t) key->count) != NULL) return refuse(file, "a storage's key has a zero");
        place->entry = find_entry(file, prefix, prefix_length, "data/", key->as.text, (size_t) key->count);
        if (place->entry < 0) {
            return moco_fail(MOCO_FORMAT, "%s has no entry for its storage \"%.*s\"", file->source->name,
                             (int) key->count, key->as.text);
        }
        const uint64_t size = moco_zip_get(file->zip, place->entry)->size;
        if (size != storage_bytes(place->storage)) {
            return moco_fail(MOCO_FORMAT, "%s: the storage \"%.*s\" should have %llu bytes but has %llu",
                             file->source->name, (int) key->count, key->as.text,
                             (unsigned long long) storage_bytes(place->storage), (unsigned long long) size);
        }
    }
    return MOCO_OK;
}

static moco_status open_zip(moco_torch_file *file) {
    size_t prefix_length = 0;
    int64_t entry = -1;
    size_t used = 0;
    MOCO_TRY(moco_zip_open(&file->zip, file->context, file->source));
    MOCO_TRY(find_prefix(file, &prefix_length, &entry));
    const char *prefix = moco_zip_get(file->zip, entry)->name;
    const uint64_t size = moco_zip_get(file->zip, entry)->size;
    MOCO_TRY(check_byte_order(file, prefix, prefix_length));
    if (size > MOCO_PICKLE_MAX_BYTES) return refuse(file, "its pickle is larger than 64 MiB");
    file->text = (unsigned char *) moco_allocate(file->context, (size_t) size);
    if (file->text == NULL) return MOCO_OUT_OF_MEMORY;
    MOCO_TRY(moco_zip_read(file->zip, entry, 0, file->text, (size_t) size));
    MOCO_TRY(
        moco_pickle_parse(&file->pickle, file->context, file->source->name, file->text, (size_t) size, &used, NULL));
    if (used != size) return refuse(file, "bytes follow its pickle");
    MOCO_TRY(list_storages(file));
    return find_zip_storages(file, prefix, prefix_length);
}

/* --- The legacy form: five pickles, then for each storage its length and its bytes --- */

/* The pickle at `*at`, which moves behind it. What it says may point into *text, which the caller frees. */
static moco_status next_pickle(moco_torch_file *file, uint64_t *at, unsigned char **text, moco_pickle **pickle) {
    const uint64_t left = file->source->size - *at;
    const size_t most = left < MOCO_PICKLE_MAX_BYTES ? (size_t) left : MOCO_PICKLE_MAX_BYTES;
    size_t window = most < FIRST_WINDOW ? most : FIRST_WINDOW;
    for (;; window = window > most / 4 ? most : 4 * window) {
        size_t used = 0;
        int32_t cut = 0;
        *text = (unsigned char *) moco_allocate(file->context, window);
        if (*text == NULL) return MOCO_OUT_OF_MEMORY;
        MOCO_TRY(moco_byte_source_read(file->source, *at, *text, window));
        const moco_status status =
            moco_pickle_parse(pickle, file->context, file->source->name, *text, window, &used, &cut);
        if (status == MOCO_OK) *at += used;
        if (status == MOCO_OK || !cut || window == most) return status;
        moco_deallocate(file->context, *text);
        *text = NULL;
    }
}

enum { IS_MAGIC, IS_PROTOCOL, IS_SYSTEM };

static moco_status check_head(const moco_torch_file *file, int32_t which, const moco_pickle_node *root) {
    static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"; /* 0x1950a86a20f9469cfc6c */
    if (which == IS_MAGIC) {
        const int32_t fits = root->kind == MOCO_PICKLE_BIG_INT && root->count == sizeof magic - 1 &&
                             memcmp(root->as.text, magic, sizeof magic - 1) == 0;
        return fits ? MOCO_OK
                    : refuse(file, "it is a pickle, but does not begin with the number that torch.save writes");
    }
    if (which == IS_PROTOCOL) {
        const int32_t fits = root->kind == MOCO_PICKLE_INT && root->as.integer == LEGACY_PROTOCOL;
        return fits ? MOCO_OK : refuse(file, "its protocol version is not 1001");
    }
    const moco_pickle_node *little = moco_pickle_find(root, "little_endian");
    if (little == NULL || little->kind != MOCO_PICKLE_BOOL) return refuse(file, "it does not say its byte order");
    if (little->as.integer) return MOCO_OK;
    return moco_fail(MOCO_UNSUPPORTED, "%s: its byteorder is big-endian; only little-endian files are read",
                     file->source->name);
}

static moco_status read_head(moco_torch_file *file, uint64_t *at) {
    for (int32_t which = IS_MAGIC; which <= IS_SYSTEM; ++which) {
        unsigned char *text = NULL;
        moco_pickle *pickle = NULL;
        moco_status status = next_pickle(file, at, &text, &pickle);
        if (status == MOCO_OK) status = check_head(file, which, moco_pickle_root(pickle));
        moco_pickle_free(pickle);
        moco_deallocate(file->context, text);
        MOCO_TRY(status);
    }
    return MOCO_OK;
}

static int compare_keys(const moco_pickle_node *a, const moco_pickle_node *b) {
    const int64_t common = moco_min_i64(a->count, b->count);
    const int order = memcmp(a->as.text, b->as.text, (size_t) common);
    return order != 0 ? order : (a->count > b->count) - (a->count < b->count);
}

static int32_t key_behind(const void *a, const void *b) {
    return compare_keys(((const storage_place *) a)->storage->key, ((const storage_place *) b)->storage->key) > 0;
}

/* Among places in the order of their keys; NULL without. */
static storage_place *find_key(const moco_torch_file *file, const moco_pickle_node *key) {
    int64_t low = 0;
    for (int64_t high = file->count; low < high;) {
        const int64_t middle = low + (high - low) / 2;
        const int order = compare_keys(file->places[middle].storage->key, key);
        if (order == 0) return &file->places[middle];
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* The storages' bytes follow in the order of the list. */
static moco_status find_legacy_storages(moco_torch_file *file, const moco_pickle_node *keys, uint64_t at) {
    static const char another[] = "its list of storages is not the one that its pickle names";
    if (keys->kind != MOCO_PICKLE_LIST || keys->count != file->count) return refuse(file, another);
    moco_heap_sort(file->places, (size_t) file->count, sizeof *file->places, key_behind);
    for (int64_t i = 0; i < keys->count; ++i) {
        const moco_pickle_node *key = keys->as.items[i];
        unsigned char length[LENGTH_BYTES];
        storage_place *place = key->kind == MOCO_PICKLE_TEXT ? find_key(file, key) : NULL;
        if (place == NULL || place->entry >= 0) return refuse(file, another);
        MOCO_TRY(moco_byte_source_read(file->source, at, length, sizeof length));
        if (moco_little_u64(length) != (uint64_t) place->storage->elements) {
            return refuse(file, "a storage has another length than its pickle says");
        }
        at += LENGTH_BYTES;
        place->at = at;
        place->entry = 0; /* found */
        if (storage_bytes(place->storage) > file->source->size - at) return refuse(file, "a storage is cut");
        at += storage_bytes(place->storage);
    }
    return at == file->source->size ? MOCO_OK : refuse(file, "bytes follow its last storage");
}

static moco_status open_legacy(moco_torch_file *file) {
    uint64_t at = 0;
    unsigned char *text = NULL;
    moco_pickle *keys = NULL;
    MOCO_TRY(read_head(file, &at));
    MOCO_TRY(next_pickle(file, &at, &file->text, &file->pickle));
    MOCO_TRY(list_storages(file));
    moco_status status = next_pickle(file, &at, &text, &keys);
    if (status == MOCO_OK) status = find_legacy_storages(file, moco_pickle_root(keys), at);
    moco_pickle_free(keys);
    moco_deallocate(file->context, text);
    return status;
}

/* --- Either --- */

int32_t moco_torch_looks_so(const moco_byte_source *source) {
    unsigned char bytes[2];
    if (moco_zip_looks_so(source)) return 1;
    if (source->size < sizeof bytes || moco_byte_source_read(source, 0, bytes, sizeof bytes) != MOCO_OK) return 0;
    return bytes[0] == MOCO_OPCODE_PROTO && bytes[1] <= HIGHEST_PROTOCOL;
}

moco_status moco_torch_open(moco_torch_file **out, moco_context *context, const moco_byte_source *source) {
    moco_torch_file *file = (moco_torch_file *) moco_allocate_zeroed(context, 1, sizeof *file);
    if (file == NULL) return MOCO_OUT_OF_MEMORY;
    file->context = context;
    file->source = source;
    const moco_status status = moco_zip_looks_so(source) ? open_zip(file) : open_legacy(file);
    if (status != MOCO_OK) {
        moco_torch_close(file);
        return status;
    }
    moco_heap_sort(file->places, (size_t) file->count, sizeof *file->places, place_behind);
    *out = file;
    return MOCO_OK;
}

void moco_torch_close(moco_torch_file *file) {
    if (file == NULL) return;
    moco_pickle_free(file->pickle);
    moco_deallocate(file->context, file->text);
    moco_deallocate(file->context, file->places);
    moco_zip_close(file->zip);
    moco_deallocate(file->context, file);
}

int32_t moco_torch_is_legacy(const moco_torch_file *file) {
    return file->zip == NULL;
}

const moco_pickle_node *moco_torch_root(const moco_torch_file *file) {
    return moco_pickle_root(file->pickle);
}

/* --- Tensors --- */

/* Bytes of a storage. */
static moco_status read_part(const moco_torch_file *file, const storage_place *place, uint64_t at, void *target,
                             size_t size) {
    return file->zip != NULL ? moco_zip_read(file->zip, place->entry, at, target, size)
                             : moco_byte_source_read(file->source, place->at + at, target, size);
}

/* Elements of `span`, which begins with the tensor's first, in row-major order. */
static void gather(const moco_pickle_tensor *tensor, size_t size, int64_t elements, const unsigned char *span,
                   unsigned char *values) {
    int64_t index[MOCO_PICKLE_MAX_RANK] = {0};
    int64_t at = 0;
    for (int64_t i = 0; i < elements; ++i) {
        memcpy(values + (size_t) i * size, span + (size_t) at * size, size);
        for (int32_t d = tensor->rank - 1; d >= 0; --d) {
            at += tensor->strides[d];
            if (++index[d] < tensor->dims[d]) break;
            at -= tensor->strides[d] * tensor->dims[d];
            index[d] = 0;
        }
    }
}

moco_status moco_torch_read(const moco_torch_file *file, const moco_pickle_tensor *tensor, void *values) {
    const storage_place *place = find_place(file, tensor->storage);
    if (place == NULL) return moco_fail(MOCO_INTERNAL, "a tensor belongs to another file than %s", file->source->name);
    const size_t size = moco_safetensors_dtype_size(tensor->storage->dtype);
    int64_t elements;
    int64_t span = 1; /* elements from the first to the last */
    int32_t in_order = 1;
    MOCO_TRY(moco_checked_product(tensor->dims, tensor->rank, "a tensor", &elements));
    if (elements == 0) return MOCO_OK;
    int64_t inside = 1; /* elements below one step of this dimension */
    for (int32_t d = tensor->rank - 1; d >= 0; --d) {
        if (tensor->dims[d] != 1 && tensor->strides[d] != inside) in_order = 0;
        span += (tensor->dims[d] - 1) * tensor->strides[d];
        inside *= tensor->dims[d];
    }
    const uint64_t at = (uint64_t) tensor->offset * size;
    if (in_order) {
        MOCO_TRY(read_part(file, place, at, values, (size_t) elements * size));
    } else {
        unsigned char *bytes = (unsigned char *) moco_allocate(file->context, (size_t) span * size);
        if (bytes == NULL) return MOCO_OUT_OF_MEMORY;
        const moco_status status = read_part(file, place, at, bytes, (size_t) span * size);
        if (status == MOCO_OK) gather(tensor, size, elements, bytes, (unsigned char *) values);
        moco_deallocate(file->context, bytes);
        MOCO_TRY(status);
    }
    moco_safetensors_swap(values, elements, size);
    return MOCO_OK;
}
