#include "backend/layer_arguments.h"

#include <stdio.h>

#include "backend/layer_kinds.h"

static moco_status check_bytes(const moco_planned_layer *layer, const moco_tensor *tensor, const char *name,
                               uint64_t bytes) {
    if (bytes == 0) return MOCO_OK;
    if (tensor->buffer == NULL) return moco_fail(MOCO_INTERNAL, "tensor %s is absent", name);
    void *address = NULL;
    if (layer->context == NULL) return MOCO_OK; /* a layer that no chain planned */
    const moco_status status = moco_buffer_map(layer->context, tensor->buffer, tensor->offset, bytes, &address);
    if (status == MOCO_OK) moco_buffer_unmap(layer->context, tensor->buffer, address);
    if (status == MOCO_OK || status == MOCO_UNSUPPORTED) return MOCO_OK;
    return moco_fail(status, "tensor %s: %s", name, moco_last_error());
}

/* In an opaque layout, only its owner knows how many bytes the elements take; `bytes` says so where it is known. */
static moco_status check_tensor(const moco_planned_layer *layer, const moco_tensor *tensor, const char *name,
                                int64_t elements, int32_t dtype, uint64_t layout, uint64_t bytes) {
    if (tensor->buffer == NULL) return moco_fail(MOCO_INTERNAL, "tensor %s is absent", name);
    if (tensor->layout != layout) {
        return moco_fail(MOCO_INTERNAL, "tensor %s has layout %llu; it was planned with %llu", name,
                         (unsigned long long) tensor->layout, (unsigned long long) layout);
    }
    if (layout != MOCO_LAYOUT_PLAIN) return check_bytes(layer, tensor, name, bytes);
    if (tensor->dtype != dtype || moco_tensor_elements(tensor) != elements) {
        return moco_fail(MOCO_INTERNAL, "tensor %s has %lld elements of dtype %d; it must have %lld of dtype %d", name,
                         (long long) moco_tensor_elements(tensor), tensor->dtype, (long long) elements, dtype);
    }
    return check_bytes(layer, tensor, name, moco_tensor_bytes(tensor));
}

static moco_status check_input(const moco_planned_layer *layer, const moco_tensor *tensors, const char *group,
                               int32_t i) {
    const moco_value_desc *planned = &layer->desc.inputs[i];
    char name[32];
    snprintf(name, sizeof name, "%s[%d]", group, i);
    return check_tensor(layer, &tensors[i], name, moco_value_elements(planned), planned->dtype, planned->layout, 0);
}

static moco_status check_output(const moco_planned_layer *layer, const moco_tensor *tensor, const char *name) {
    const moco_layer_info *info = &layer->info;
    return check_tensor(layer, tensor, name, moco_value_elements(&layer->desc.output), info->output_dtype,
                        info->output_layout, info->output_bytes);
}

static moco_status check_parameter(const moco_planned_layer *layer, const moco_tensor *tensors, const char *group,
                                   int32_t i) {
    const moco_layer_kind *kind = moco_layer_kind_of(layer->desc.kind);
    char name[32];
    snprintf(name, sizeof name, "%s[%d]", group, i);
    return check_tensor(layer, &tensors[i], name, kind->elements(&layer->desc, i), layer->desc.dtype, MOCO_LAYOUT_PLAIN,
                        0);
}

static moco_status check_working_memory(const moco_planned_layer *layer, const moco_layer_args *args) {
    if (args->mode == MOCO_MODE_TRAIN) {
        MOCO_TRY(check_bytes(layer, &args->saved, "saved", layer->info.saved_bytes));
    }
    return check_bytes(layer, &args->scratch, "scratch", layer->info.scratch_bytes);
}

moco_status moco_layer_check_mode(const moco_layer_desc *desc, int32_t mode) {
    const moco_layer_kind *kind = moco_layer_kind_of(desc->kind);
    MOCO_REQUIRE(mode >= MOCO_MODE_TRAIN && mode <= MOCO_MODE_EVALUATE, "mode is %d; it must be a MOCO_MODE_*, 0 to 2",
                 mode);
    return kind->check_mode == NULL ? MOCO_OK : kind->check_mode(desc, mode);
}

moco_status moco_layer_check_forward(const moco_planned_layer *layer, const moco_layer_args *args) {
    const moco_layer_desc *desc = &layer->desc;
    const moco_layer_kind *kind = moco_layer_kind_of(desc->kind);
    MOCO_TRY(moco_layer_check_mode(desc, args->mode));
    for (int32_t i = 0; i < desc->input_count; ++i) MOCO_TRY(check_input(layer, args->inputs, "inputs", i));
    MOCO_TRY(check_output(layer, &args->y, "y"));
    int32_t buffers = args->mode == MOCO_MODE_EVALUATE; /* else they may be absent, but then all of them */
    for (int32_t i = 0; i < desc->parameter_count; ++i) {
        buffers |= (kind->buffers >> i & 1) && args->parameters[i].buffer != NULL;
    }
    for (int32_t i = 0; i < desc->parameter_count; ++i) {
        if ((kind->buffers >> i & 1) && !buffers) continue;
        MOCO_TRY(check_parameter(layer, args->parameters, "parameters", i));
    }
    return check_working_memory(layer, args);
}

moco_status moco_layer_check_backward(const moco_planned_layer *layer, const moco_layer_args *args) {
    const moco_layer_desc *desc = &layer->desc;
    const moco_layer_info *info = &layer->info;
    const moco_layer_kind *kind = moco_layer_kind_of(desc->kind);
    if (!desc->training) return moco_fail(MOCO_INTERNAL, "backward of a layer that was planned with training = 0");
    MOCO_REQUIRE((args->accumulate_inputs & ~info->accumulates_inputs) == 0,
                 "accumulate_inputs is %d; this layer of backend '%s' adds to those of %d only, as "
                 "moco_layer_info.accumulates_inputs says",
                 args->accumulate_inputs, layer->ops->name, info->accumulates_inputs);
    MOCO_TRY(check_output(layer, &args->dy, "dy"));
    if (info->backward_needs_y) MOCO_TRY(check_output(layer, &args->y, "y"));
    for (int32_t i = 0; i < desc->input_count; ++i) {
        if (info->backward_needs_inputs >> i & 1) MOCO_TRY(check_input(layer, args->inputs, "inputs", i));
        if (args->d_inputs[i].buffer == NULL) continue;
        if (i == MOCO_INPUT && desc->skip_input_gradient) {
            return moco_fail(MOCO_INTERNAL, "d_inputs[0] is asked of a layer planned with skip_input_gradient = 1");
        }
        MOCO_TRY(check_input(layer, args->d_inputs, "d_inputs", i));
    }
    for (int32_t i = 0; i < desc->parameter_count; ++i) {
        if (kind->buffers >> i & 1) continue;
        MOCO_TRY(check_parameter(layer, args->parameters, "parameters", i));
        if (args->d_parameters[i].buffer == NULL) continue;
        MOCO_TRY(check_parameter(layer, args->d_parameters, "d_parameters", i));
    }
    return check_working_memory(layer, args);
}
