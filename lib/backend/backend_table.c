#include "backend/backend_table.h"

#include <stddef.h>
#include <string.h>

#include "core/status_internal.h"

/* The oldest struct that a table may be: version 2's first was version 1's with other layers. */
#define OLDEST_SIZE offsetof(moco_backend_ops, map)

/* A version 1 table has the members of version 2's beginning; those of layers take other structs. */
static void adapt_version_1(moco_backend_ops *out, const moco_backend_ops_v1 *table) {
    const moco_backend_ops adapted = {
        .struct_size = sizeof adapted,
        .abi_version = MOCO_BACKEND_VERSION,
        .name = table->name,
        .memory = table->memory,
        .create = table->create,
        .destroy = table->destroy,
        .buffer_create = table->buffer_create,
        .buffer_wrap = table->buffer_wrap,
        .buffer_destroy = table->buffer_destroy,
        .upload = table->upload,
        .download = table->download,
        .copy = table->copy,
        .fill_zero = table->fill_zero,
        .gather_rows = table->gather_rows,
        .all_finite = table->all_finite,
        .add = table->add,
        .momentum_update = table->momentum_update,
        .sgd_update = table->sgd_update,
        .info_nce = table->info_nce,
        .computes = table->computes,
        .convert = table->convert,
        .sgd_momentum_update = table->sgd_momentum_update,
    };
    *out = adapted;
    if (table->layer_create == NULL) return;
    out->layer_destroy = moco_layer_destroy_version_1;
    out->layer_forward = moco_layer_forward_version_1;
    out->layer_backward = moco_layer_backward_version_1;
}

static moco_status check_size(const moco_backend_ops *table, int32_t index) {
    MOCO_REQUIRE(table->struct_size >= OLDEST_SIZE, "backends[%d]->struct_size is %u; it must be at least %zu", index,
                 table->struct_size, OLDEST_SIZE);
    for (size_t i = sizeof *table; i < table->struct_size; ++i) {
        if (((const unsigned char *) table)[i] == 0) continue;
        return moco_fail(
            MOCO_UNSUPPORTED,
            "backends[%d] is of %u bytes and sets some after the first %zu, which is all that this library "
            "knows",
            index, table->struct_size, sizeof *table);
    }
    return MOCO_OK;
}

/* Both versions have these members at the same places, of pointers to functions. */
static int32_t has_layers_whole_or_none(const moco_backend_ops *table) {
    return table->layer_create == NULL ||
           (table->layer_destroy != NULL && table->layer_forward != NULL && table->layer_backward != NULL);
}

/* In the host's memory the library's own backends come behind, which know no buffers but theirs. */
static moco_status check_host_memory(const moco_backend_ops *table, int32_t index) {
    const struct {
        int32_t present;
        const char *name;
    } members[] = {
        {table->buffer_create != NULL, "buffer_create"},
        {table->buffer_wrap != NULL, "buffer_wrap"},
        {table->buffer_destroy != NULL, "buffer_destroy"},
        {table->upload != NULL, "upload"},
        {table->download != NULL, "download"},
        {table->copy != NULL, "copy"},
        {table->fill_zero != NULL, "fill_zero"},
        {table->map != NULL, "map"},
        {table->unmap != NULL, "unmap"},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; ++i) {
        MOCO_REQUIRE(
            !members[i].present,
            "backends[%d] ('%s') works in the host's memory and has the member %s; it must be NULL there, since "
            "the library has the buffers (moco_backend_map gives their addresses)",
            index, table->name, members[i].name);
    }
    return MOCO_OK;
}

moco_status moco_backend_table_read(moco_backend_ops *out, const moco_backend_ops_v1 **version_1,
                                    const moco_backend_ops *table, int32_t index) {
    MOCO_TRY(check_size(table, index));
    if (table->abi_version != 1 && table->abi_version != MOCO_BACKEND_VERSION) {
        return moco_fail(MOCO_UNSUPPORTED, "backends[%d]->abi_version is %u; this library takes 1 and %d", index,
                         table->abi_version, MOCO_BACKEND_VERSION);
    }
    memset(out, 0, sizeof *out);
    *version_1 = NULL;
    if (table->abi_version == 1) {
        *version_1 = (const moco_backend_ops_v1 *) (const void *) table;
        adapt_version_1(out, *version_1);
    } else {
        memcpy(out, table, table->struct_size < sizeof *out ? table->struct_size : sizeof *out);
    }
    MOCO_REQUIRE(out->name != NULL, "backends[%d]->name is NULL; a backend must have one", index);
    MOCO_REQUIRE(out->create != NULL && out->destroy != NULL,
                 "backends[%d] ('%s') lacks create or destroy; every backend must have both", index, out->name);
    MOCO_REQUIRE(out->memory == MOCO_MEMORY_HOST || out->memory == MOCO_MEMORY_DEVICE,
                 "backends[%d]->memory is %d; it must be MOCO_MEMORY_HOST (0) or DEVICE (1)", index, out->memory);
    MOCO_REQUIRE(has_layers_whole_or_none(table),
                 "backends[%d] ('%s') has layer_create, but lacks layer_destroy, layer_forward or layer_backward",
                 index, out->name);
    MOCO_REQUIRE(out->buffer_alignment == 0 ||
                     (out->buffer_alignment >= 64 && (out->buffer_alignment & (out->buffer_alignment - 1)) == 0),
                 "backends[%d]->buffer_alignment is %llu; it must be 0, or a power of two from 64 on", index,
                 (unsigned long long) out->buffer_alignment);
    return out->memory == MOCO_MEMORY_HOST ? check_host_memory(out, index) : MOCO_OK;
}

moco_status moco_backend_table_check_complete(const moco_backend_ops *table) {
    const int32_t version_1 = table->layer_forward == moco_layer_forward_version_1; /* its layer_create is elsewhere */
    const struct {
        int32_t present;
        const char *name;
    } members[] = {
        {table->buffer_create != NULL, "buffer_create"},
        {table->buffer_wrap != NULL || table->memory != MOCO_MEMORY_HOST, "buffer_wrap"},
        {table->buffer_destroy != NULL, "buffer_destroy"},
        {table->upload != NULL, "upload"},
        {table->download != NULL, "download"},
        {table->copy != NULL, "copy"},
        {table->fill_zero != NULL, "fill_zero"},
        {table->gather_rows != NULL, "gather_rows"},
        {table->all_finite != NULL, "all_finite"},
        {table->add != NULL, "add"},
        {table->layer_create != NULL || version_1, "layer_create"},
        {table->momentum_update != NULL, "momentum_update"},
        {table->sgd_update != NULL, "sgd_update"},
        {table->info_nce != NULL, "info_nce"},
        {table->convert != NULL, "convert"},
        {table->update != NULL || version_1, "update"}, /* without it, SGD alone */
        {table->norms != NULL || version_1, "norms"},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; ++i) {
        MOCO_REQUIRE(
            members[i].present,
            "the chain of backends ends in '%s', which lacks the member %s; the last one must have every member "
            "that <moco/sys/backend.h> marks (last)",
            table->name, members[i].name);
    }
    return MOCO_OK;
}
