/* The parameter table of an encoder: names, shapes, values, gradients. */
#include <math.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "core/config.h"
#include "encoder/encoder_handle.h"

const moco_parameter_table *moco_encoder_parameters(const moco_encoder *encoder) {
    return encoder->ops->parameters(encoder->network);
}

int64_t moco_encoder_parameter_count(const moco_encoder *encoder) {
    return encoder == NULL ? 0 : moco_encoder_parameters(encoder)->count;
}

int64_t moco_encoder_learnable_elements(const moco_encoder *encoder) {
    return encoder == NULL ? 0 : moco_encoder_parameters(encoder)->learnable_elements;
}

static moco_status find_item(const moco_encoder *encoder, int64_t index, const moco_parameter **out) {
    MOCO_REQUIRE_POINTER(encoder);
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    MOCO_REQUIRE(index >= 0 && index < table->count, "index is %lld; this encoder's parameters are 0 to %lld",
                 (long long) index, (long long) table->count - 1);
    *out = &table->items[index];
    return MOCO_OK;
}

moco_status moco_encoder_parameter_info(const moco_encoder *encoder, int64_t index, moco_parameter_info *info) {
    const moco_parameter *item = NULL;
    MOCO_TRY(find_item(encoder, index, &item));
    moco_parameter_info values;
    memset(&values, 0, sizeof values);
    values.kind = item->kind;
    values.name = item->name;
    values.elements = item->elements;
    values.rank = item->rank;
    values.flags = item->flags;
    memcpy(values.dims, item->dims, sizeof values.dims);
    return moco_output_write(info, &values, sizeof values, sizeof values, "moco_parameter_info");
}

moco_status moco_encoder_find_parameter(const moco_encoder *encoder, const char *name, int64_t *index) {
    MOCO_REQUIRE_POINTER(encoder);
    MOCO_REQUIRE_POINTER(name);
    MOCO_REQUIRE_POINTER(index);
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    for (int64_t i = 0; i < table->count; ++i) {
        if (strcmp(table->items[i].name, name) != 0) continue;
        *index = i;
        return MOCO_OK;
    }
    return moco_fail(MOCO_NOT_FOUND, "this encoder has no parameter \"%s\"", name);
}

moco_status moco_encoder_read_parameter(const moco_encoder *encoder, int64_t index, float *values) {
    const moco_parameter *item = NULL;
    MOCO_REQUIRE_POINTER(values);
    MOCO_TRY(find_item(encoder, index, &item));
    return moco_tensor_download(encoder->context, &item->value, values);
}

void moco_encoder_parameters_changed(moco_encoder *encoder) {
    encoder->weight_version++;
}

moco_status moco_encoder_write_parameter(moco_encoder *encoder, int64_t index, const float *values) {
    const moco_parameter *item = NULL;
    MOCO_REQUIRE_POINTER(values);
    MOCO_TRY(find_item(encoder, index, &item));
    for (int64_t i = 0; i < item->elements; ++i) {
        MOCO_REQUIRE(isfinite(values[i]), "values[%lld] for %s is %g; every value must be finite", (long long) i,
                     item->name, (double) values[i]);
    }
    MOCO_TRY(moco_tensor_upload(encoder->context, &item->value, values));
    moco_encoder_parameters_changed(encoder);
    return MOCO_OK;
}

moco_status moco_encoder_set_parameter_flags(moco_encoder *encoder, int64_t index, int32_t flags) {
    static const int32_t settable = MOCO_PARAMETER_NO_DECAY | MOCO_PARAMETER_FROZEN;
    const moco_parameter *found = NULL;
    MOCO_TRY(find_item(encoder, index, &found));
    MOCO_REQUIRE(found->kind == MOCO_PARAMETER_LEARNABLE,
                 "parameter %lld, %s, is a buffer; only learnable parameters have flags", (long long) index,
                 found->name);
    MOCO_REQUIRE((flags & ~(settable | found->flags)) == 0,
                 "flags for %s are %d; they must be made of MOCO_PARAMETER_NO_DECAY (2) and FROZEN (4)%s", found->name,
                 flags, (found->flags & MOCO_PARAMETER_VECTOR) != 0 ? ", VECTOR (1) may stay" : "");
    const int32_t wanted = (found->flags & ~settable) | (flags & settable);
    if (wanted == found->flags) return MOCO_OK;
    if ((wanted & MOCO_PARAMETER_FROZEN) != 0) {
        encoder->gradient_writes++;
        MOCO_TRY(moco_tensor_fill_zero(encoder->context, &found->gradient));
    }
    moco_parameter_table *table = encoder->ops->parameters(encoder->network);
    table->items[index].flags = wanted;
    table->flags_version++;
    return MOCO_OK;
}

/* --- Gradients --- */

moco_status moco_encoder_settle_gradients(moco_encoder *encoder) {
    if (!encoder->gradients_are_zero) return MOCO_OK;
    encoder->gradient_writes++;
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    for (int64_t i = 0; i < table->learnable_runs; ++i) {
        MOCO_TRY(moco_tensor_fill_zero(encoder->context, &table->learnable[i].gradient));
    }
    return MOCO_OK;
}

/* Clearing is left to the next backward, which then overwrites instead of adding; where a caller sees the memory
 * itself, it is cleared at once. */
moco_status moco_encoder_zero_gradients(moco_encoder *encoder) {
    MOCO_REQUIRE_POINTER(encoder);
    encoder->gradients_are_zero = 1;
    return encoder->built_in ? MOCO_OK : moco_encoder_settle_gradients(encoder);
}

void moco_encoder_lend_gradients(moco_encoder *encoder) {
    encoder->gradients_are_zero = 1;
}

static moco_status find_learnable(const moco_encoder *encoder, int64_t index, const moco_parameter **out) {
    MOCO_TRY(find_item(encoder, index, out));
    MOCO_REQUIRE((*out)->kind == MOCO_PARAMETER_LEARNABLE, "parameter %lld, %s, is a buffer; it has no gradient",
                 (long long) index, (*out)->name);
    return MOCO_OK;
}

moco_status moco_encoder_read_gradient(const moco_encoder *encoder, int64_t index, float *values) {
    const moco_parameter *item = NULL;
    MOCO_REQUIRE_POINTER(values);
    MOCO_TRY(find_learnable(encoder, index, &item));
    if (encoder->gradients_are_zero) {
        memset(values, 0, (size_t) item->elements * sizeof *values);
        return MOCO_OK;
    }
    return moco_tensor_download(encoder->context, &item->gradient, values);
}

moco_status moco_encoder_write_gradient(moco_encoder *encoder, int64_t index, const float *values) {
    const moco_parameter *item = NULL;
    MOCO_REQUIRE_POINTER(values);
    MOCO_TRY(find_learnable(encoder, index, &item));
    if ((item->flags & MOCO_PARAMETER_FROZEN) != 0) {
        return moco_fail(MOCO_INVALID_STATE, "parameter %lld, %s, is frozen; its gradient is zero", (long long) index,
                         item->name);
    }
    MOCO_TRY(moco_encoder_settle_gradients(encoder)); /* the others keep their zeros */
    encoder->gradients_are_zero = 0;
    encoder->gradient_writes++;
    return moco_tensor_upload(encoder->context, &item->gradient, values);
}
