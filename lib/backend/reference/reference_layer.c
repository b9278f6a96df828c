/* Layers of the reference backend, each kind by its row of kernels. */
#include "backend/backend_chain.h"
#include "backend/host_memory.h"
#include "backend/reference/reference_backend.h"

struct moco_layer {
    moco_layer_desc desc;
    image_layer image; /* the same, flat */
    const reference_layer_kernels *kernels;
};

/* --- Planning --- */

static void describe_plan(const moco_layer *layer, moco_layer_info *info) {
    const image_layer *image = &layer->image;
    const reference_layer_kernels *kernels = layer->kernels;
    info->wanted_input_layout = MOCO_LAYOUT_PLAIN;
    info->output_layout = MOCO_LAYOUT_PLAIN;
    info->output_bytes =
        (uint64_t) (image->n * image->out_c * image->out_h * image->out_w) * moco_dtype_size(image->dtype);
    info->works_in_place = kernels->works_in_place;
    if (!image->training) return;
    info->saved_bytes = kernels->saved_bytes == NULL ? 0 : kernels->saved_bytes(image);
    info->backward_needs_inputs = kernels->needs_inputs;
    info->backward_needs_y =
        kernels->needs_y == REFERENCE_Y_ALWAYS || (kernels->needs_y == REFERENCE_Y_WITH_RELU && image->relu);
}

moco_status moco_reference_layer_create(void *self, const moco_layer_desc *desc, moco_layer **layer,
                                        moco_layer_info *info) {
    moco_context *context = ((moco_host_backend *) self)->context;
    const reference_kernels *kernels = moco_reference_kernels_for(desc->dtype);
    if (kernels == NULL) return MOCO_UNSUPPORTED;
    if (desc->kind >= kernels->layer_count || kernels->layers[desc->kind].forward.run == NULL) {
        return moco_fail(MOCO_UNSUPPORTED, "the reference backend has no layer kind %d", desc->kind);
    }
    for (int32_t i = 1; i < desc->input_count; ++i) {
        if (desc->inputs[i].layout == MOCO_LAYOUT_PLAIN) continue;
        return moco_fail(MOCO_UNSUPPORTED, "input %d is in a layout of another backend; it must be PLAIN here", i);
    }
    moco_layer *created = (moco_layer *) moco_allocate(context, sizeof *created);
    if (created == NULL) return MOCO_OUT_OF_MEMORY;
    created->desc = *desc;
    moco_image_layer_of(&created->image, desc);
    created->kernels = &kernels->layers[desc->kind];
    describe_plan(created, info);
    *layer = created;
    return MOCO_OK;
}

void moco_reference_layer_destroy(void *self, moco_layer *layer) {
    moco_deallocate(((moco_host_backend *) self)->context, layer);
}

/* --- Running --- */

static int64_t count_tasks(const image_layer *image, int32_t tasks) {
    switch (tasks) {
    case REFERENCE_PER_INPUT_PLANE:
        return image->n * image->c;
    case REFERENCE_PER_OUTPUT_PLANE:
        return image->n * image->out_c;
    case REFERENCE_PER_CHANNEL:
        return image->c;
    case REFERENCE_PER_OUT_CHANNEL:
        return image->out_c;
    default: /* REFERENCE_PER_SAMPLE */
        return image->n;
    }
}

static void run(void *self, const moco_layer *layer, const reference_pass *pass, const moco_layer_args *args) {
    reference_call call = {&layer->image, &layer->desc, args};
    if (pass->run == NULL) return;
    moco_parallel_for(((moco_host_backend *) self)->context, count_tasks(&layer->image, pass->tasks), pass->run, &call);
}

moco_status moco_reference_layer_forward(void *self, moco_layer *layer, const moco_layer_args *args) {
    const reference_layer_kernels *kernels = layer->kernels;
    const int32_t evaluates = args->mode == MOCO_MODE_EVALUATE && kernels->evaluate.run != NULL;
    run(self, layer, evaluates ? &kernels->evaluate : &kernels->forward, args);
    return MOCO_OK;
}

moco_status moco_reference_layer_backward(void *self, moco_layer *layer, const moco_layer_args *args) {
    const reference_layer_kernels *kernels = layer->kernels;
    int32_t of_inputs = 0, of_parameters = 0;
    for (int32_t i = 0; i < MOCO_LAYER_INPUTS; ++i) of_inputs |= args->d_inputs[i].buffer != NULL;
    for (int32_t i = 0; i < MOCO_LAYER_PARAMETERS; ++i) of_parameters |= args->d_parameters[i].buffer != NULL;
    run(self, layer, &kernels->backward, args);
    if (of_inputs) run(self, layer, &kernels->backward_inputs, args);
    if (of_parameters) run(self, layer, &kernels->backward_parameters, args);
    return MOCO_OK;
}
