/* What a pickle's globals, calls and persistent ids stand for: ordered dicts, storages and tensors, and nothing else. */
#include <string.h>

#include "core/checked.h"
#include "core/checksum.h"
#include "io/pickle_internal.h"
#include "io/pickle_opcodes.h"
#include "io/safetensors.h"

const char *moco_pickle_opcode_name(unsigned char opcode) {
    switch (opcode) {
#define MOCO_PICKLE_OPCODE_CASE(name, byte) \
    case byte:                              \
        return #name;
        MOCO_PICKLE_OPCODES(MOCO_PICKLE_OPCODE_CASE)
#undef MOCO_PICKLE_OPCODE_CASE
    default:
        return NULL;
    }
}

#define MOST_STORAGES 65536 /* of keys that somebody chose to share one slot, too */

/* --- Globals --- */

enum { GLOBAL_DICT, GLOBAL_TENSOR, GLOBAL_STORAGE };

static const struct {
    const char *module;
    const char *name;
    int32_t what; /* GLOBAL_* */
    int32_t dtype;
} globals[] = {
    {"collections", "OrderedDict", GLOBAL_DICT, 0},
    {"torch._utils", "_rebuild_tensor_v2", GLOBAL_TENSOR, 0},
    {"torch", "FloatStorage", GLOBAL_STORAGE, MOCO_SAFETENSORS_F32},
    {"torch", "HalfStorage", GLOBAL_STORAGE, MOCO_SAFETENSORS_F16},
    {"torch", "BFloat16Storage", GLOBAL_STORAGE, MOCO_SAFETENSORS_BF16},
    {"torch", "DoubleStorage", GLOBAL_STORAGE, MOCO_SAFETENSORS_F64},
    {"torch", "LongStorage", GLOBAL_STORAGE, MOCO_SAFETENSORS_I64},
    {"torch", "IntStorage", GLOBAL_STORAGE, MOCO_SAFETENSORS_I32},
    {"torch", "ShortStorage", GLOBAL_STORAGE, MOCO_SAFETENSORS_I16},
    {"torch", "CharStorage", GLOBAL_STORAGE, MOCO_SAFETENSORS_I8},
    {"torch", "ByteStorage", GLOBAL_STORAGE, MOCO_SAFETENSORS_U8},
    {"torch", "BoolStorage", GLOBAL_STORAGE, MOCO_SAFETENSORS_BOOL},
};
#define GLOBALS ((int64_t) (sizeof globals / sizeof globals[0]))

moco_status moco_pickle_global(moco_pickle *pickle, const char *module, const char *name, moco_pickle_node **out) {
    for (int64_t i = 0; i < GLOBALS; ++i) {
        if (strcmp(globals[i].module, module) != 0 || strcmp(globals[i].name, name) != 0) continue;
        MOCO_TRY(moco_pickle_node_make(pickle, MOCO_PICKLE_GLOBAL, out));
        (*out)->as.integer = i;
        return MOCO_OK;
    }
    return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED,
                              "names the global %s.%s; only tensors and plain values are read. Save the state_dict "
                              "alone, without it",
                              module, name);
}

static int32_t is_global(const moco_pickle_node *node, int32_t what) {
    return node->kind == MOCO_PICKLE_GLOBAL && globals[node->as.integer].what == what;
}

/* --- Storages --- */

static uint64_t hash_key(const moco_pickle_node *key) {
    return moco_checksum_add(MOCO_CHECKSUM_START, key->as.text, (size_t) key->count);
}

/* The slot of the hash table that has the key, or the empty one where it belongs. */
static int64_t find_slot(const moco_pickle *pickle, const moco_pickle_node *key) {
    const uint64_t mask = (uint64_t) pickle->slot_count - 1;
    for (uint64_t slot = hash_key(key) & mask;; slot = (slot + 1) & mask) {
        if (pickle->slots[slot] == 0) return (int64_t) slot;
        const moco_pickle_node *known = pickle->storage_list[pickle->slots[slot] - 1]->key;
        if (known->count == key->count && memcmp(known->as.text, key->as.text, (size_t) key->count) == 0) {
            return (int64_t) slot;
        }
    }
}

/* Room for one more storage: at most half of the slots are taken. */
static moco_status grow_storages(moco_pickle *pickle) {
    if (2 * (pickle->storages + 1) <= pickle->slot_count) return MOCO_OK;
    const int64_t slots = pickle->slot_count == 0 ? 256 : 2 * pickle->slot_count;
    const moco_pickle_storage **list =
        (const moco_pickle_storage **) moco_pickle_allocate(pickle, (size_t) slots / 2 * sizeof *list);
    pickle->slots = (int64_t *) moco_pickle_allocate(pickle, (size_t) slots * sizeof *pickle->slots);
    if (list == NULL || pickle->slots == NULL) return MOCO_OUT_OF_MEMORY;
    memset(pickle->slots, 0, (size_t) slots * sizeof *pickle->slots);
    if (pickle->storages > 0) memcpy(list, pickle->storage_list, (size_t) pickle->storages * sizeof *list);
    pickle->storage_list = list;
    pickle->slot_count = slots;
    for (int64_t i = 0; i < pickle->storages; ++i) pickle->slots[find_slot(pickle, list[i]->key)] = i + 1;
    return MOCO_OK;
}

/* One storage for each key, however often it is named. */
static moco_status find_storage(moco_pickle *pickle, const moco_pickle_storage *wanted, moco_pickle_node *node) {
    if (pickle->storages >= MOST_STORAGES) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "has more than %d storages", MOST_STORAGES);
    }
    MOCO_TRY(grow_storages(pickle));
    const int64_t slot = find_slot(pickle, wanted->key);
    if (pickle->slots[slot] != 0) {
        const moco_pickle_storage *known = pickle->storage_list[pickle->slots[slot] - 1];
        if (known->dtype != wanted->dtype || known->elements != wanted->elements) {
            return moco_pickle_refuse(pickle, MOCO_FORMAT, "names the storage \"%.*s\" with two dtypes or sizes",
                                      (int) wanted->key->count, wanted->key->as.text);
        }
        node->as.storage = known;
        return MOCO_OK;
    }
    moco_pickle_storage *made = (moco_pickle_storage *) moco_pickle_allocate(pickle, sizeof *made);
    if (made == NULL) return MOCO_OUT_OF_MEMORY;
    *made = *wanted;
    pickle->storage_list[pickle->storages++] = made;
    pickle->slots[slot] = pickle->storages;
    node->as.storage = made;
    return MOCO_OK;
}

/* ('storage', class, key, location, elements), and in the legacy form None behind it. */
moco_status moco_pickle_persistent(moco_pickle *pickle, const moco_pickle_node *id, moco_pickle_node **out) {
    const int32_t is_tuple = id->kind == MOCO_PICKLE_TUPLE && (id->count == 5 || id->count == 6);
    const moco_pickle_node **part = is_tuple ? id->as.items : NULL;
    if (!is_tuple || !moco_pickle_is_text(part[0], "storage") || !is_global(part[1], GLOBAL_STORAGE) ||
        part[2]->kind != MOCO_PICKLE_TEXT || part[3]->kind != MOCO_PICKLE_TEXT || part[4]->kind != MOCO_PICKLE_INT) {
        return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED, "has a persistent id that is no storage");
    }
    if (id->count == 6 && part[5]->kind != MOCO_PICKLE_NONE) {
        return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED, "has a storage that is a view of another");
    }
    const moco_pickle_storage storage = {
        .key = part[2], .dtype = globals[part[1]->as.integer].dtype, .elements = part[4]->as.integer};
    int64_t bytes;
    if (storage.key->count == 0 || storage.key->count > 64) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "has a storage whose key has %lld bytes; it must have 1 to 64",
                                  (long long) storage.key->count);
    }
    if (storage.elements < 0 ||
        moco_checked_multiply(storage.elements, (int64_t) moco_safetensors_dtype_size(storage.dtype), "a storage",
                              &bytes) != MOCO_OK) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "has a storage of %lld elements", (long long) storage.elements);
    }
    MOCO_TRY(moco_pickle_node_make(pickle, MOCO_PICKLE_STORAGE, out));
    return find_storage(pickle, &storage, *out);
}

/* --- Tensors --- */

/* A tuple of numbers >= 0; how many, -1 if it is none. */
static int32_t read_numbers(const moco_pickle_node *tuple, int64_t numbers[MOCO_PICKLE_MAX_RANK]) {
    if (tuple->kind != MOCO_PICKLE_TUPLE || tuple->count > MOCO_PICKLE_MAX_RANK) return -1;
    for (int64_t i = 0; i < tuple->count; ++i) {
        if (tuple->as.items[i]->kind != MOCO_PICKLE_INT || tuple->as.items[i]->as.integer < 0) return -1;
        numbers[i] = tuple->as.items[i]->as.integer;
    }
    return (int32_t) tuple->count;
}

static moco_status check_range(const moco_pickle *pickle, const moco_pickle_tensor *tensor) {
    int64_t elements = 1;
    int64_t last = tensor->offset;
    int32_t fits = 1;
    for (int32_t i = 0; i < tensor->rank; ++i) {
        int64_t reach;
        if (__builtin_mul_overflow(elements, tensor->dims[i], &elements)) fits = 0;
        if (tensor->dims[i] == 0) continue;
        if (__builtin_mul_overflow(tensor->dims[i] - 1, tensor->strides[i], &reach) ||
            __builtin_add_overflow(last, reach, &last)) {
            fits = 0;
        }
    }
    int64_t bytes;
    if (__builtin_mul_overflow(elements, (int64_t) sizeof(double), &bytes)) fits = 0;
    const int64_t end = tensor->storage->elements;
    for (int32_t i = 0; i < tensor->rank && fits; ++i) {
        if (tensor->dims[i] == 0)
            return tensor->offset <= end
                       ? MOCO_OK
                       : moco_pickle_refuse(pickle, MOCO_FORMAT, "has a tensor that begins outside of its storage");
    }
    if (!fits || last >= end) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT,
                                  "has a tensor that reaches outside of its storage \"%.*s\" of %lld elements",
                                  (int) tensor->storage->key->count, tensor->storage->key->as.text, (long long) end);
    }
    return MOCO_OK;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks[, metadata]) */
static moco_status rebuild_tensor(moco_pickle *pickle, const moco_pickle_node *arguments, moco_pickle_node **out) {
    const moco_pickle_node **part = arguments->as.items;
    if (arguments->count < 6 || arguments->count > 7 || part[0]->kind != MOCO_PICKLE_STORAGE ||
        part[1]->kind != MOCO_PICKLE_INT || part[4]->kind != MOCO_PICKLE_BOOL) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "rebuilds a tensor from something else than its parts");
    }
    if (part[5]->kind != MOCO_PICKLE_DICT || part[5]->count != 0) {
        return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED, "has a tensor with hooks");
    }
    if (arguments->count == 7 && part[6]->kind != MOCO_PICKLE_NONE &&
        (part[6]->kind != MOCO_PICKLE_DICT || part[6]->count != 0)) {
        return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED,
                                  "has a tensor with metadata (a conjugate or negative view)");
    }
    moco_pickle_tensor tensor = {.storage = part[0]->as.storage, .offset = part[1]->as.integer};
    tensor.rank = read_numbers(part[2], tensor.dims);
    if (tensor.offset < 0 || tensor.rank < 0 || read_numbers(part[3], tensor.strides) != tensor.rank) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT,
                                  "has a tensor whose offset, size and strides are not whole numbers of at least 0, at "
                                  "most %d and as many strides as sizes",
                                  MOCO_PICKLE_MAX_RANK);
    }
    MOCO_TRY(check_range(pickle, &tensor));
    moco_pickle_tensor *made = (moco_pickle_tensor *) moco_pickle_allocate(pickle, sizeof *made);
    if (made == NULL) return MOCO_OUT_OF_MEMORY;
    *made = tensor;
    MOCO_TRY(moco_pickle_node_make(pickle, MOCO_PICKLE_TENSOR, out));
    (*out)->as.tensor = made;
    return MOCO_OK;
}

moco_status moco_pickle_call(moco_pickle *pickle, const moco_pickle_node *function, const moco_pickle_node *arguments,
                             moco_pickle_node **out) {
    if (is_global(function, GLOBAL_TENSOR)) return rebuild_tensor(pickle, arguments, out);
    if (is_global(function, GLOBAL_DICT) && arguments->count == 0) {
        return moco_pickle_node_make(pickle, MOCO_PICKLE_DICT, out);
    }
    return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED, "calls %s.%s with other arguments than a state_dict needs",
                              globals[function->as.integer].module, globals[function->as.integer].name);
}

/* --- The finished tree --- */

enum { BEING_CHECKED = -1 };

/* Every node is looked at once, whatever shares it; its height is kept. */
static moco_status check_node(const moco_pickle *pickle, moco_pickle_node *node, int32_t depth) {
    if (node->height == BEING_CHECKED)
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "has something that contains itself");
    if (depth + node->height > MOCO_PICKLE_MAX_DEPTH) {
        return moco_pickle_refuse(pickle, MOCO_FORMAT, "is nested more than %d deep", MOCO_PICKLE_MAX_DEPTH);
    }
    if (node->kind == MOCO_PICKLE_GLOBAL) {
        return moco_pickle_refuse(pickle, MOCO_UNSUPPORTED, "keeps a class or a function, %s.%s, as a value",
                                  globals[node->as.integer].module, globals[node->as.integer].name);
    }
    const int32_t is_container =
        node->kind == MOCO_PICKLE_TUPLE || node->kind == MOCO_PICKLE_LIST || node->kind == MOCO_PICKLE_DICT;
    if (node->height > 0 || !is_container) return MOCO_OK;
    const int64_t items = node->kind == MOCO_PICKLE_DICT ? 2 * node->count : node->count;
    int32_t height = 1;
    node->height = BEING_CHECKED;
    for (int64_t i = 0; i < items; ++i) {
        moco_pickle_node *item = (moco_pickle_node *) (uintptr_t) node->as.items[i]; /* the pickle's own, writable */
        MOCO_TRY(check_node(pickle, item, depth + 1));
        height = item->height + 1 > height ? item->height + 1 : height;
    }
    node->height = height;
    return MOCO_OK;
}

moco_status moco_pickle_check_tree(const moco_pickle *pickle, const moco_pickle_node *root) {
    return check_node(pickle, (moco_pickle_node *) (uintptr_t) root, 0);
}
