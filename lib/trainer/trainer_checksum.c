/* A checksum of the whole trainer: a visitor that hashes what it sees, names and shapes included. */
#include <string.h>

#include "backend/backend_chain.h"
#include "core/checksum.h"
#include "trainer/trainer_internal.h"

typedef struct checksum {
    moco_context *context;
    uint64_t hash;
} checksum;

static void add(checksum *sum, const void *data, size_t bytes) {
    sum->hash = moco_checksum_add(sum->hash, data, bytes);
}

static void add_name(checksum *sum, const char *part, const char *name) {
    add(sum, part, strlen(part) + 1);
    add(sum, name, strlen(name) + 1);
}

static moco_status add_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    checksum *sum = (checksum *) self;
    const size_t bytes = (size_t) moco_tensor_bytes(tensor);
    void *values = moco_allocate(sum->context, bytes);
    if (values == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_status status = moco_tensor_download(sum->context, tensor, values);
    if (status == MOCO_OK) {
        add_name(sum, part, name);
        add(sum, &tensor->dtype, sizeof tensor->dtype);
        add(sum, tensor->dims, sizeof tensor->dims);
        add(sum, values, bytes);
    }
    moco_deallocate(sum->context, values);
    return status;
}

static moco_status add_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    checksum *sum = (checksum *) self;
    add_name(sum, part, name);
    add(sum, &count, sizeof count);
    add(sum, values, (size_t) count * sizeof *values);
    return MOCO_OK;
}

static moco_status add_real(void *self, const char *part, const char *name, double *value) {
    checksum *sum = (checksum *) self;
    add_name(sum, part, name);
    add(sum, value, sizeof *value);
    return MOCO_OK;
}

static moco_status add_setting(void *self, const char *part, const char *name, const char *text) {
    checksum *sum = (checksum *) self;
    add_name(sum, part, name);
    add(sum, text, strlen(text) + 1);
    return MOCO_OK;
}

moco_status moco_trainer_checksum(moco_trainer *trainer, uint64_t *out) {
    static const moco_state_ops ops = {
        .tensor = add_tensor, .numbers = add_numbers, .real = add_real, .setting = add_setting};
    MOCO_REQUIRE_POINTER(trainer);
    MOCO_REQUIRE_POINTER(out);
    checksum sum = {.context = trainer->context, .hash = MOCO_CHECKSUM_START};
    const moco_state visitor = {.ops = &ops, .self = &sum, .part = ""};
    MOCO_TRY(moco_trainer_visit(trainer, &visitor));
    *out = sum.hash;
    return MOCO_OK;
}
