/* Taking a snapshot: one visit lists what there is, a second one copies it. */
#include "checkpoint/snapshot.h"

#include <stdio.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "core/checked.h"

#define ALIGNMENT  64
#define FIRST_ROOM 64

void moco_snapshot_init(moco_snapshot *snapshot, moco_context *context) {
    memset(snapshot, 0, sizeof *snapshot);
    snapshot->context = context;
}

void moco_snapshot_clear(moco_snapshot *snapshot) {
    for (int64_t i = 0; i < snapshot->value_count; ++i) {
        const moco_snapshot_value *value = &snapshot->values[i];
        if (value->borrowed != NULL) moco_buffer_unmap(snapshot->context, value->buffer, value->borrowed);
        moco_deallocate(snapshot->context, value->name);
    }
    for (int64_t i = 0; i < snapshot->setting_count; ++i) {
        moco_deallocate(snapshot->context, snapshot->settings[i].name);
        moco_deallocate(snapshot->context, snapshot->settings[i].text);
    }
    snapshot->value_count = 0;
    snapshot->setting_count = 0;
    snapshot->used = 0;
}

void moco_snapshot_release(moco_snapshot *snapshot) {
    moco_snapshot_clear(snapshot);
    moco_deallocate(snapshot->context, snapshot->values);
    moco_deallocate(snapshot->context, snapshot->settings);
    moco_deallocate(snapshot->context, snapshot->bytes);
    moco_snapshot_init(snapshot, snapshot->context);
}

/* --- Lists --- */

/* Room for one more item behind `count`. */
static moco_status grow(moco_context *context, void **items, int64_t count, int64_t *room, size_t size) {
    if (count < *room) return MOCO_OK;
    const int64_t wanted = *room == 0 ? FIRST_ROOM : 2 * *room;
    void *larger = moco_allocate_zeroed(context, (size_t) wanted, size);
    if (larger == NULL) return MOCO_OUT_OF_MEMORY;
    if (count > 0) memcpy(larger, *items, (size_t) count * size);
    moco_deallocate(context, *items);
    *items = larger;
    *room = wanted;
    return MOCO_OK;
}

/* "<sort><part>.<name>"; NULL without memory. */
static char *joined(moco_context *context, const char *sort, const char *part, const char *name) {
    const size_t bytes = strlen(sort) + strlen(part) + strlen(name) + 2;
    char *text = (char *) moco_allocate(context, bytes);
    if (text != NULL) snprintf(text, bytes, "%s%s.%s", sort, part, name);
    return text;
}

moco_status moco_snapshot_add_value(moco_snapshot *snapshot, const char *sort, const char *part, const char *name,
                                    const moco_safetensors_entry *shape) {
    moco_snapshot_value value = {.entry = *shape};
    value.entry.name = name;
    MOCO_TRY(moco_safetensors_entry_size(&value.entry, &value.elements, &value.bytes));
    void *items = snapshot->values;
    MOCO_TRY(grow(snapshot->context, &items, snapshot->value_count, &snapshot->value_room, sizeof value));
    snapshot->values = (moco_snapshot_value *) items;
    value.name =
        part == NULL ? moco_duplicate_string(snapshot->context, name) : joined(snapshot->context, sort, part, name);
    if (value.name == NULL) return MOCO_OUT_OF_MEMORY;
    value.entry.name = value.name;
    snapshot->values[snapshot->value_count++] = value;
    return MOCO_OK;
}

moco_status moco_snapshot_add_setting(moco_snapshot *snapshot, const char *part, const char *name, const char *text) {
    void *items = snapshot->settings;
    moco_snapshot_setting setting = {NULL, NULL};
    MOCO_TRY(grow(snapshot->context, &items, snapshot->setting_count, &snapshot->setting_room, sizeof setting));
    snapshot->settings = (moco_snapshot_setting *) items;
    setting.name = joined(snapshot->context, "", part, name);
    setting.text = setting.name == NULL ? NULL : moco_duplicate_string(snapshot->context, text);
    if (setting.text == NULL) {
        moco_deallocate(snapshot->context, setting.name);
        return MOCO_OUT_OF_MEMORY;
    }
    snapshot->settings[snapshot->setting_count++] = setting;
    return MOCO_OK;
}

const char *moco_snapshot_setting_text(const moco_snapshot *snapshot, const char *name) {
    for (int64_t i = 0; i < snapshot->setting_count; ++i) {
        if (strcmp(snapshot->settings[i].name, name) == 0) return snapshot->settings[i].text;
    }
    return NULL;
}

moco_status moco_snapshot_place_values(moco_snapshot *snapshot) {
    size_t used = 0;
    for (int64_t i = 0; i < snapshot->value_count; ++i) {
        const size_t bytes = snapshot->values[i].borrowed != NULL ? 0 : snapshot->values[i].bytes;
        if (bytes > SIZE_MAX / 2 - used) {
            return moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: the state needs more bytes than can be addressed");
        }
        snapshot->values[i].offset = used;
        used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    if (used > snapshot->room) {
        moco_deallocate(snapshot->context, snapshot->bytes);
        snapshot->room = 0;
        snapshot->bytes = (char *) moco_allocate(snapshot->context, used);
        if (snapshot->bytes == NULL) return MOCO_OUT_OF_MEMORY;
        snapshot->room = used;
    }
    snapshot->used = used;
    return MOCO_OK;
}

/* --- The visits --- */

typedef struct capture {
    moco_snapshot *snapshot;
    int64_t next; /* of the values, when they are copied */
} capture;

static int32_t file_dtype(int32_t dtype) {
    if (dtype == MOCO_DTYPE_F64) return MOCO_SAFETENSORS_F64;
    if (dtype == MOCO_DTYPE_BF16) return MOCO_SAFETENSORS_BF16;
    return dtype == MOCO_DTYPE_I64 ? MOCO_SAFETENSORS_I64 : MOCO_SAFETENSORS_F32;
}

moco_safetensors_entry moco_snapshot_tensor_shape(const moco_tensor *tensor) {
    moco_safetensors_entry shape = {.dtype = file_dtype(tensor->dtype), .rank = tensor->rank};
    memcpy(shape.dims, tensor->dims, (size_t) tensor->rank * sizeof *shape.dims);
    return shape;
}

void moco_snapshot_shape_text(const moco_safetensors_entry *entry, char text[MOCO_SNAPSHOT_SHAPE_SIZE]) {
    size_t used = (size_t) snprintf(text, MOCO_SNAPSHOT_SHAPE_SIZE, "%s [", moco_safetensors_dtype_name(entry->dtype));
    for (int32_t i = 0; i < entry->rank; ++i) { /* 20 digits each at most */
        used += (size_t) snprintf(text + used, MOCO_SNAPSHOT_SHAPE_SIZE - used, i == 0 ? "%lld" : ", %lld",
                                  (long long) entry->dims[i]);
    }
    snprintf(text + used, MOCO_SNAPSHOT_SHAPE_SIZE - used, "]");
}

static moco_status list_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    const moco_safetensors_entry shape = moco_snapshot_tensor_shape(tensor);
    return moco_snapshot_add_value(((capture *) self)->snapshot, MOCO_SNAPSHOT_TENSOR, part, name, &shape);
}

/* What is written to files is little-endian, and is turned round where it lies: elsewhere it must be a copy. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define CAN_BORROW 0
#else
#define CAN_BORROW 1
#endif

static moco_status borrow_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    moco_snapshot *snapshot = ((capture *) self)->snapshot;
    void *address = NULL;
    MOCO_TRY(list_tensor(self, part, name, tensor));
    if (!CAN_BORROW || moco_buffer_map(snapshot->context, tensor->buffer, tensor->offset, moco_tensor_bytes(tensor),
                                       &address) != MOCO_OK) {
        return MOCO_OK; /* it is copied */
    }
    moco_snapshot_value *value = &snapshot->values[snapshot->value_count - 1];
    value->borrowed = address;
    value->buffer = tensor->buffer;
    return MOCO_OK;
}

static moco_status list_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    const moco_safetensors_entry shape = {.dtype = MOCO_SAFETENSORS_I64, .rank = 1, .dims = {count}};
    (void) values;
    return moco_snapshot_add_value(((capture *) self)->snapshot, MOCO_SNAPSHOT_NUMBERS, part, name, &shape);
}

static moco_status list_real(void *self, const char *part, const char *name, double *value) {
    const moco_safetensors_entry shape = {.dtype = MOCO_SAFETENSORS_F64};
    (void) value;
    return moco_snapshot_add_value(((capture *) self)->snapshot, MOCO_SNAPSHOT_REAL, part, name, &shape);
}

static moco_status list_setting(void *self, const char *part, const char *name, const char *text) {
    return moco_snapshot_add_setting(((capture *) self)->snapshot, part, name, text);
}

static moco_status copy_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    capture *work = (capture *) self;
    (void) part, (void) name;
    const int64_t index = work->next++;
    if (work->snapshot->values[index].borrowed != NULL) return MOCO_OK;
    return moco_tensor_download(work->snapshot->context, tensor, moco_snapshot_bytes(work->snapshot, index));
}

static moco_status copy_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    capture *work = (capture *) self;
    (void) part, (void) name;
    memcpy(moco_snapshot_bytes(work->snapshot, work->next++), values, (size_t) count * sizeof *values);
    return MOCO_OK;
}

static moco_status copy_real(void *self, const char *part, const char *name, double *value) {
    capture *work = (capture *) self;
    (void) part, (void) name;
    memcpy(moco_snapshot_bytes(work->snapshot, work->next++), value, sizeof *value);
    return MOCO_OK;
}

static moco_status pass_setting(void *self, const char *part, const char *name, const char *text) {
    (void) self, (void) part, (void) name, (void) text;
    return MOCO_OK;
}

static moco_status take(moco_snapshot *snapshot, moco_trainer *trainer, const moco_state_ops *listing) {
    static const moco_state_ops copying = {copy_tensor, copy_numbers, copy_real, pass_setting};
    capture work = {.snapshot = snapshot};
    const moco_state list = {.ops = listing, .self = &work, .part = ""};
    const moco_state copy = {.ops = &copying, .self = &work, .part = ""};
    moco_snapshot_clear(snapshot);
    MOCO_TRY(moco_trainer_visit(trainer, &list));
    MOCO_TRY(moco_snapshot_place_values(snapshot));
    return moco_trainer_visit(trainer, &copy);
}

moco_status moco_snapshot_capture(moco_snapshot *snapshot, moco_trainer *trainer) {
    static const moco_state_ops listing = {list_tensor, list_numbers, list_real, list_setting};
    return take(snapshot, trainer, &listing);
}

moco_status moco_snapshot_borrow(moco_snapshot *snapshot, moco_trainer *trainer) {
    static const moco_state_ops listing = {borrow_tensor, list_numbers, list_real, list_setting};
    return take(snapshot, trainer, &listing);
}
