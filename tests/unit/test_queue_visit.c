/* The queue's state through a visitor (core/state.h): what it saves is all of it, and what it loads is checked. */
#include <moco.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/config_fields.h"
#include "keys/queue_internal.h"
#include "support/loss_oracle.h"
#include "support/memory_bank.h"

/* --- A visitor that keeps everything in memory, and one that puts it back --- */

typedef struct memory_entry {
    char name[16];
    size_t bytes;
    void *data;
} memory_entry;

typedef struct memory_state {
    moco_context *context;
    memory_entry entries[16];
    int count;   /* kept */
    int next;    /* to be put back */
    int loads;   /* 1: puts back, 0: keeps */
    int fail_at; /* number of the visit that fails; -1: none */
} memory_state;

static moco_status visit_bytes(memory_state *memory, const char *name, void *data, size_t bytes, int fixed) {
    if (memory->next == memory->fail_at) return MOCO_IO;
    memory_entry *entry = &memory->entries[memory->next++];
    if (!memory->loads) {
        snprintf(entry->name, sizeof entry->name, "%s", name);
        entry->bytes = bytes;
        entry->data = malloc(bytes);
        memcpy(entry->data, data, bytes);
        memory->count = memory->next;
        return MOCO_OK;
    }
    assert_true(memory->next <= memory->count);
    assert_string_equal(entry->name, name);
    assert_int_equal(entry->bytes, bytes);
    if (fixed) return memcmp(data, entry->data, bytes) == 0 ? MOCO_OK : MOCO_FORMAT;
    memcpy(data, entry->data, bytes);
    return MOCO_OK;
}

static moco_status visit_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    memory_state *memory = (memory_state *) self;
    const size_t bytes = (size_t) moco_tensor_bytes(tensor);
    void *values = malloc(bytes);
    assert_string_equal(part, "queue");
    assert_int_equal(moco_tensor_download(memory->context, tensor, values), MOCO_OK);
    const moco_status status = visit_bytes(memory, name, values, bytes, 0);
    if (status == MOCO_OK) assert_int_equal(moco_tensor_upload(memory->context, tensor, values), MOCO_OK);
    free(values);
    return status;
}

static moco_status visit_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    (void) part;
    return visit_bytes((memory_state *) self, name, values, (size_t) count * sizeof *values, 0);
}

static moco_status visit_real(void *self, const char *part, const char *name, double *value) {
    (void) part;
    return visit_bytes((memory_state *) self, name, value, sizeof *value, 0);
}

static moco_status visit_setting(void *self, const char *part, const char *name, const char *text) {
    char copy[MOCO_FIELD_TEXT_SIZE];
    (void) part;
    snprintf(copy, sizeof copy, "%s", text);
    return visit_bytes((memory_state *) self, name, copy, strlen(text) + 1, 1);
}

static const moco_state_ops memory_ops = {visit_tensor, visit_numbers, visit_real, visit_setting};

static moco_status visit(memory_state *memory, moco_queue *queue, int loads) {
    memory->loads = loads;
    memory->next = 0;
    const moco_state state = {&memory_ops, memory, "queue", loads};
    return moco_key_source_visit(moco_queue_source(queue), &state);
}

static memory_entry *entry_of(memory_state *memory, const char *name) {
    for (int i = 0; i < memory->count; ++i)
        if (strcmp(memory->entries[i].name, name) == 0) return &memory->entries[i];
    fail_msg("nothing is called %s", name);
    return NULL;
}

static void forget(memory_state *memory) {
    for (int i = 0; i < memory->count; ++i) free(memory->entries[i].data);
    memory->count = 0;
}

/* --- Queues --- */

enum { CAPACITY = 7, DIM = 5 };

static moco_queue *open_queue(moco_context *context, int32_t start, int32_t storage, uint64_t seed) {
    moco_queue_config config;
    moco_queue *queue = NULL;
    moco_queue_config_init(&config, sizeof config);
    config.capacity = CAPACITY;
    config.dim = DIM;
    config.start = start;
    config.storage = storage;
    config.seed = seed;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_OK);
    return queue;
}

static void enqueue(moco_queue *queue, int64_t n, uint64_t seed) {
    float keys[16 * DIM];
    int64_t ids[16];
    oracle_rows(keys, n, DIM, 1, seed);
    for (int64_t i = 0; i < n; ++i) ids[i] = (int64_t) seed * 100 + i;
    assert_int_equal(moco_queue_enqueue(queue, keys, ids, n), MOCO_OK);
}

static uint64_t checksum(const moco_queue *queue) {
    uint64_t sum = 0;
    assert_int_equal(moco_queue_checksum(queue, &sum), MOCO_OK);
    return sum;
}

/* Saved from one queue and loaded into another, both go on alike: rows, ids, position, filled. */
static void a_loaded_queue_is_the_saved_one(void **state) {
    (void) state;
    moco_context *context = oracle_context(NULL, 1);
    for (int kind = 0; kind < 4; ++kind) {
        for (int64_t n = 0; n <= 10; n += 5) { /* untouched, partly filled, wrapped */
            memory_state memory = {.context = context, .fail_at = -1};
            moco_queue *saved = open_queue(context, kind & 1, kind >> 1, 1);
            moco_queue *loaded = open_queue(context, kind & 1, kind >> 1, 2);
            if (n > 0) enqueue(saved, n, 3);
            enqueue(loaded, 3, 4);
            const uint64_t before = checksum(saved);
            assert_true(checksum(loaded) != before);
            assert_int_equal(visit(&memory, saved, 0), MOCO_OK);
            assert_true(checksum(saved) == before);
            assert_int_equal(visit(&memory, loaded, 1), MOCO_OK);
            assert_true(checksum(loaded) == before);
            enqueue(saved, 4, 5);
            enqueue(loaded, 4, 5);
            assert_true(checksum(loaded) == checksum(saved));
            forget(&memory);
            moco_queue_destroy(saved);
            moco_queue_destroy(loaded);
        }
    }
    moco_context_destroy(context);
}

/* A file of another queue's settings, of numbers that can't be, or of broken keys is refused. */
static void what_is_loaded_is_checked(void **state) {
    (void) state;
    moco_context *context = oracle_context(NULL, 1);
    for (int32_t storage = 0; storage <= 1; ++storage) {
        memory_state memory = {.context = context, .fail_at = -1};
        moco_queue *saved = open_queue(context, MOCO_QUEUE_START_EMPTY, storage, 1);
        moco_queue *loaded = open_queue(context, MOCO_QUEUE_START_EMPTY, storage, 2);
        enqueue(saved, 5, 3);
        enqueue(loaded, 2, 4);
        assert_int_equal(visit(&memory, saved, 0), MOCO_OK);
        const uint64_t before = checksum(loaded);
        static const char *const settings[] = {"start", "storage", "capacity", "dim"};
        for (int i = 0; i < 4; ++i) {
            char *text = (char *) entry_of(&memory, settings[i])->data;
            ++*text;
            assert_int_equal(visit(&memory, loaded, 1), MOCO_FORMAT);
            --*text;
        }
        static const int64_t impossible[][2] = {{-1, 5}, {CAPACITY, 5}, {5, -1}, {5, CAPACITY + 1}, {4, 5}};
        int64_t *position = (int64_t *) entry_of(&memory, "position")->data;
        int64_t *filled = (int64_t *) entry_of(&memory, "filled")->data;
        for (int i = 0; i < 5; ++i) {
            *position = impossible[i][0];
            *filled = impossible[i][1];
            assert_int_equal(visit(&memory, loaded, 1), MOCO_INVALID_ARGUMENT);
        }
        *position = *filled = 5;
        assert_true(checksum(loaded) == before); /* refused before anything was written */

        unsigned char *keys = (unsigned char *) entry_of(&memory, "keys")->data;
        const size_t last = (size_t) (storage == MOCO_QUEUE_STORAGE_BF16 ? 2 : 4);
        unsigned char kept[4];
        memcpy(kept, keys + 3 * last, last);
        memset(keys + 3 * last, 0xFF, last); /* a NaN in row 0, column 3 */
        assert_int_equal(visit(&memory, loaded, 1), MOCO_INVALID_ARGUMENT);
        assert_non_null(strstr(moco_last_error(), "row 0, column 3"));
        memcpy(keys + 3 * last, kept, last);
        for (memory.fail_at = 0; memory.fail_at < memory.count; ++memory.fail_at) {
            assert_int_equal(visit(&memory, loaded, 1), MOCO_IO);
            assert_int_equal(moco_queue_position(loaded), 2);
            assert_int_equal(moco_queue_filled(loaded), 2);
        }
        memory.fail_at = -1;
        assert_int_equal(visit(&memory, loaded, 1), MOCO_OK);
        assert_true(checksum(loaded) == checksum(saved));
        forget(&memory);
        moco_queue_destroy(saved);
        moco_queue_destroy(loaded);
    }
    moco_context_destroy(context);
}

static void a_host_keeps_its_own_state(void **state) {
    (void) state;
    moco_context *context = oracle_context(NULL, 1);
    memory_bank *bank = memory_bank_create(2, DIM, 0.5, 1);
    const moco_key_source_ops ops = memory_bank_ops();
    moco_key_source *source = NULL;
    assert_int_equal(moco_key_source_create(&source, context, &ops, bank, DIM), MOCO_OK);
    memory_state memory = {.context = context, .fail_at = -1};
    const moco_state visitor = {&memory_ops, &memory, "keys", 0};
    assert_int_equal(moco_key_source_visit(source, &visitor), MOCO_UNSUPPORTED);
    moco_key_source_destroy(source);
    memory_bank_free(bank);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loaded_queue_is_the_saved_one),
        cmocka_unit_test(what_is_loaded_is_checked),
        cmocka_unit_test(a_host_keeps_its_own_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
