#include "data/class_table.h"

#include <string.h>

#define FIRST_SLOTS    64u
#define FIRST_CAPACITY 4096

moco_status moco_grow(moco_context *context, void **memory, size_t used, size_t *capacity, size_t needed) {
    if (needed <= *capacity) return MOCO_OK;
    size_t wanted = *capacity < FIRST_CAPACITY ? FIRST_CAPACITY : *capacity;
    while (wanted < needed) {
        if (wanted > SIZE_MAX / 2) return moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: %zu bytes", needed);
        wanted *= 2;
    }
    void *larger = moco_allocate(context, wanted);
    if (larger == NULL) return MOCO_OUT_OF_MEMORY;
    if (used > 0) memcpy(larger, *memory, used);
    moco_deallocate(context, *memory);
    *memory = larger;
    *capacity = wanted;
    return MOCO_OK;
}

/* --- Sorting --- */

int32_t moco_compare_names(const char *a, const char *b) {
    while (*a == *b && *a != '\0') ++a, ++b;
    const int32_t left = *a == '/' ? 1 : (unsigned char) *a * 2, right = *b == '/' ? 1 : (unsigned char) *b * 2;
    return left - right;
}

static int32_t is_sorted(const moco_named *items, int64_t count) {
    for (int64_t i = 1; i < count; ++i) {
        if (moco_compare_names(items[i - 1].name, items[i].name) > 0) return 0;
    }
    return 1;
}

/* [begin, middle) and [middle, end) of `from`, each sorted, into `to`. */
static void merge(const moco_named *from, moco_named *to, int64_t begin, int64_t middle, int64_t end) {
    int64_t left = begin, right = middle;
    for (int64_t i = begin; i < end; ++i) {
        const int32_t take_left =
            right == end || (left < middle && moco_compare_names(from[left].name, from[right].name) <= 0);
        to[i] = take_left ? from[left++] : from[right++];
    }
}

moco_status moco_sort_names(moco_context *context, moco_named *items, int64_t count) {
    if (is_sorted(items, count)) return MOCO_OK;
    moco_named *other = (moco_named *) moco_allocate(context, (size_t) count * sizeof *other);
    if (other == NULL) return MOCO_OUT_OF_MEMORY;
    moco_named *from = items, *to = other;
    for (int64_t run = 1; run < count; run *= 2) {
        for (int64_t begin = 0; begin < count; begin += 2 * run) {
            const int64_t middle = begin + run < count ? begin + run : count;
            const int64_t end = begin + 2 * run < count ? begin + 2 * run : count;
            merge(from, to, begin, middle, end);
        }
        moco_named *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) memcpy(items, from, (size_t) count * sizeof *items);
    moco_deallocate(context, other);
    return MOCO_OK;
}

/* --- The table --- */

/* FNV-1a. */
static uint32_t hash_name(const char *name, size_t length) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; ++i) hash = (hash ^ (unsigned char) name[i]) * 16777619u;
    return hash;
}

/* The slot that holds the name, or the free one where it belongs. */
static uint32_t find_slot(const moco_class_table *table, const char *name, size_t length) {
    uint32_t slot = hash_name(name, length) & (table->slot_count - 1);
    for (; table->slots[slot] != 0; slot = (slot + 1) & (table->slot_count - 1)) {
        const char *there = table->names + table->name_at[table->slots[slot] - 1];
        if (strncmp(there, name, length) == 0 && there[length] == '\0') break;
    }
    return slot;
}

static moco_status grow_slots(moco_class_table *table) {
    const uint32_t slot_count = table->slot_count == 0 ? FIRST_SLOTS : 2 * table->slot_count;
    int32_t *slots = (int32_t *) moco_allocate_zeroed(table->context, slot_count, sizeof *slots);
    if (slots == NULL) return MOCO_OUT_OF_MEMORY;
    moco_deallocate(table->context, table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    for (int32_t i = 0; i < table->count; ++i) {
        const char *name = table->names + table->name_at[i];
        slots[find_slot(table, name, strlen(name))] = i + 1;
    }
    return MOCO_OK;
}

moco_status moco_class_table_add(moco_class_table *table, const char *name, size_t length, int32_t *number) {
    if (table->slot_count == 0) MOCO_TRY(grow_slots(table));
    uint32_t slot = find_slot(table, name, length);
    if (table->slots[slot] == 0) {
        if (table->count >= INT32_MAX / 4) return moco_fail(MOCO_FORMAT, "more than %d classes", table->count);
        if ((uint32_t) table->count >= table->slot_count / 2) {
            MOCO_TRY(grow_slots(table));
            slot = find_slot(table, name, length);
        }
        const size_t used = (size_t) table->count * sizeof *table->name_at;
        void *names = table->names, *name_at = table->name_at;
        moco_status status = moco_grow(table->context, &names, table->names_size, &table->names_capacity,
                                       table->names_size + length + 1);
        table->names = (char *) names;
        if (status == MOCO_OK) {
            status = moco_grow(table->context, &name_at, used, &table->name_at_capacity, used + sizeof *table->name_at);
            table->name_at = (size_t *) name_at;
        }
        MOCO_TRY(status);
        memcpy(table->names + table->names_size, name, length);
        table->names[table->names_size + length] = '\0';
        table->name_at[table->count] = table->names_size;
        table->names_size += length + 1;
        table->slots[slot] = ++table->count;
    }
    *number = table->slots[slot] - 1;
    return MOCO_OK;
}

moco_status moco_class_table_sort(const moco_class_table *table, int32_t **ranks, const char *const **names) {
    moco_context *context = table->context;
    const size_t count = (size_t) table->count, pointer_bytes = count * sizeof(char *);
    moco_named *order = (moco_named *) moco_allocate(context, count * sizeof *order);
    int32_t *rank = (int32_t *) moco_allocate(context, count * sizeof *rank);
    char *block = (char *) moco_allocate(context, pointer_bytes + table->names_size);
    moco_status status = order == NULL || rank == NULL || block == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    if (status == MOCO_OK) {
        for (size_t i = 0; i < count; ++i) order[i] = (moco_named){table->names + table->name_at[i], (int64_t) i};
        status = moco_sort_names(context, order, (int64_t) count);
    }
    if (status == MOCO_OK) {
        const char **pointers = (const char **) (void *) block;
        if (count > 0) memcpy(block + pointer_bytes, table->names, table->names_size);
        for (size_t i = 0; i < count; ++i) {
            rank[order[i].number] = (int32_t) i;
            pointers[i] = block + pointer_bytes + table->name_at[order[i].number];
        }
        *ranks = rank;
        *names = pointers;
    } else {
        moco_deallocate(context, rank);
        moco_deallocate(context, block);
    }
    moco_deallocate(context, order);
    return status;
}

void moco_class_table_release(moco_class_table *table) {
    moco_deallocate(table->context, table->names);
    moco_deallocate(table->context, table->name_at);
    moco_deallocate(table->context, table->slots);
    *table = (moco_class_table){.context = table->context};
}
