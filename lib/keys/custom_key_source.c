/* A key source of the host's own (moco/sys/key_source_ops.h): rows and updates go through the host's memory. */
#include <string.h>

#include "backend/host_tensor.h"
#include "backend/tensor_checks.h"
#include "core/checked.h"
#include "core/config.h"
#include "keys/key_source.h"

typedef struct custom_key_source {
    moco_key_source source; /* first: a custom_key_source is a key source */
    moco_key_source_ops ops;
    void *self;            /* the host's object, owned */
    moco_host_tensor rows; /* of the last view */
} custom_key_source;

static moco_status check_rows(const custom_key_source *custom, const moco_key_rows *rows) {
    MOCO_REQUIRE(rows->count >= 0, "the key source's view gave count %lld; it must be at least 0",
                 (long long) rows->count);
    MOCO_REQUIRE(rows->keys != NULL || rows->count == 0, "the key source's view gave %lld rows, but keys is NULL",
                 (long long) rows->count);
    MOCO_REQUIRE(rows->skip_same_id == 0 || rows->skip_same_id == 1,
                 "the key source's view gave skip_same_id %d; it must be 0 or 1", rows->skip_same_id);
    MOCO_REQUIRE(rows->ids != NULL || !rows->skip_same_id || rows->count == 0,
                 "the key source's view gave skip_same_id 1, but ids is NULL; it needs one id per row");
    return moco_key_source_check_rows(&custom->source, rows->count);
}

static moco_status custom_view(moco_key_source *source, const int64_t *sample_ids, int64_t n, moco_key_view *view) {
    custom_key_source *custom = (custom_key_source *) source;
    moco_context *context = source->context;
    moco_key_rows rows = {.struct_size = sizeof rows};
    if (custom->ops.view(custom->self, sample_ids, n, &rows) != 0) {
        return moco_fail(MOCO_CALLBACK, "the key source's view returned non-zero");
    }
    MOCO_TRY(check_rows(custom, &rows));
    moco_host_tensor_release(&custom->rows, context);
    moco_tensor keys = moco_tensor_2d(NULL, 0, MOCO_DTYPE_F32, 0, source->dim);
    if (rows.count > 0) {
        MOCO_TRY(moco_host_matrix_input(&custom->rows, context, rows.keys, rows.count, source->dim));
        keys = custom->rows.tensor;
        MOCO_TRY(moco_require_finite_rows(context, &keys, "the key source's view"));
    }
    *view = (moco_key_view){
        .context = context,
        .keys = keys,
        .ids = rows.ids,
        .dim = source->dim,
        .negatives = rows.count,
        .skip_same_id = rows.skip_same_id,
    };
    return MOCO_OK;
}

static moco_status custom_update(moco_key_source *source, const moco_tensor *k, const int64_t *sample_ids) {
    custom_key_source *custom = (custom_key_source *) source;
    moco_context *context = source->context;
    const int64_t n = k->dims[0];
    MOCO_TRY(moco_require_finite_rows(context, k, "k"));
    float *rows = (float *) moco_allocate(context, (size_t) (n * source->dim) * sizeof(float));
    if (rows == NULL) return MOCO_OUT_OF_MEMORY;
    moco_status status = moco_tensor_download(context, k, rows);
    if (status == MOCO_OK && custom->ops.update(custom->self, rows, sample_ids, n) != 0) {
        status = moco_fail(MOCO_CALLBACK, "the key source's update returned non-zero");
    }
    moco_deallocate(context, rows);
    return status;
}

static void custom_destroy(moco_key_source *source) {
    custom_key_source *custom = (custom_key_source *) source;
    moco_host_tensor_release(&custom->rows, source->context);
    custom->ops.destroy(custom->self);
    moco_deallocate(source->context, custom);
}

static const moco_key_source_kind custom_kind = {
    .name = "custom key source",
    .view = custom_view,
    .update = custom_update,
    .destroy = custom_destroy,
};

static moco_status check_ops(const moco_key_source_ops *ops, moco_key_source_ops *known) {
    memset(known, 0, sizeof *known);
    MOCO_TRY(moco_config_read(known, ops, sizeof *known, sizeof *known, "moco_key_source_ops"));
    if (known->abi_version != MOCO_KEY_SOURCE_OPS_VERSION) {
        return moco_fail(MOCO_UNSUPPORTED, "abi_version of moco_key_source_ops is %u; this library knows version %d",
                         known->abi_version, MOCO_KEY_SOURCE_OPS_VERSION);
    }
    MOCO_REQUIRE(known->view != NULL && known->update != NULL && known->destroy != NULL,
                 "a member of moco_key_source_ops is NULL; view, update and destroy are required");
    return MOCO_OK;
}

moco_status moco_key_source_create(moco_key_source **out, moco_context *context, const moco_key_source_ops *ops,
                                   void *self, int64_t dim) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    MOCO_REQUIRE_POINTER(ops);
    MOCO_REQUIRE(dim >= 1, "dim is %lld; it must be at least 1", (long long) dim);
    moco_key_source_ops known;
    MOCO_TRY(check_ops(ops, &known));
    custom_key_source *custom = (custom_key_source *) moco_allocate_zeroed(context, 1, sizeof *custom);
    if (custom == NULL) return MOCO_OUT_OF_MEMORY;
    moco_key_source_start(&custom->source, &custom_kind, context, dim);
    custom->ops = known;
    custom->self = self;
    *out = &custom->source;
    return MOCO_OK;
}
