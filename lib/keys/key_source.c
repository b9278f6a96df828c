/* What all kinds of key source have in common. */
#include "keys/key_source.h"

#include "backend/host_tensor.h"
#include "core/checked.h"

void moco_key_source_start(moco_key_source *source, const moco_key_source_kind *kind, moco_context *context,
                           int64_t dim) {
    source->kind = kind;
    moco_references_init(&source->references, 1);
    moco_context_retain(context);
    source->context = context;
    source->dim = dim;
}

void moco_key_source_retain(moco_key_source *source) {
    moco_references_retain(&source->references);
}

static void dispose(moco_key_source *source) {
    moco_context *context = source->context;
    source->kind->destroy(source);
    moco_context_destroy(context);
}

void moco_key_source_release(moco_key_source *source) {
    if (source != NULL && moco_references_release(&source->references)) dispose(source);
}

void moco_key_source_destroy(moco_key_source *source) {
    if (source != NULL && moco_references_destroy(&source->references)) dispose(source);
}

moco_status moco_key_source_check_rows(const moco_key_source *source, int64_t count) {
    int64_t elements = 0;
    size_t bytes = 0;
    MOCO_TRY(moco_checked_multiply(count, source->dim, "rows * dim", &elements));
    return moco_checked_bytes(elements, sizeof(float), "the size of the keys", &bytes);
}

moco_status moco_key_source_view(moco_key_source *source, const int64_t *sample_ids, int64_t n, moco_key_view *view) {
    return source->kind->view(source, sample_ids, n, view);
}

moco_status moco_key_source_update_tensor(moco_key_source *source, const moco_tensor *k, const int64_t *sample_ids) {
    MOCO_REQUIRE(k->rank == 2 && k->dims[1] == source->dim && k->dtype == MOCO_DTYPE_F32,
                 "k is no float32 matrix with rows of %lld values", (long long) source->dim);
    if (k->dims[0] == 0) return MOCO_OK;
    return source->kind->update(source, k, sample_ids);
}

moco_status moco_key_source_visit(moco_key_source *source, const moco_state *state) {
    if (source->kind->visit != NULL) return source->kind->visit(source, state);
    return moco_fail(MOCO_UNSUPPORTED, "the state of a %s is the program's own; only it can save and load it",
                     source->kind->name);
}

moco_status moco_key_source_update(moco_key_source *source, const float *k, const int64_t *sample_ids, int64_t n) {
    MOCO_REQUIRE_POINTER(source);
    MOCO_REQUIRE(n >= 0, "n is %lld; it must be at least 0", (long long) n);
    if (n == 0) return MOCO_OK;
    MOCO_REQUIRE_POINTER(k);
    MOCO_TRY(moco_key_source_check_rows(source, n));
    moco_host_tensor rows;
    MOCO_TRY(moco_host_matrix_input(&rows, source->context, k, n, source->dim));
    moco_key_source_retain(source); /* a caller's own may destroy it in its update */
    const moco_status status = moco_key_source_update_tensor(source, &rows.tensor, sample_ids);
    moco_host_tensor_release(&rows, source->context);
    moco_key_source_release(source);
    return status;
}
