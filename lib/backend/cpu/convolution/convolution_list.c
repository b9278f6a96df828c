#include "backend/cpu/convolution/convolution_list.h"

#include "backend/cpu/onednn/onednn_provider.h"
#include "core/checked.h"

static const cpu_convolution *const forward_ways[] = {
    &moco_winograd_weights_outer_forward,
    &moco_winograd_tiles_outer_forward,
#ifdef MOCO_HAVE_ONEDNN
    &moco_onednn_forward,
#endif
    &moco_direct_forward,
    &moco_tiles_forward,
    NULL,
};

static const cpu_convolution *const input_gradient_ways[] = {
    &moco_winograd_weights_outer_input_gradient,
    &moco_winograd_tiles_outer_input_gradient,
#ifdef MOCO_HAVE_ONEDNN
    &moco_onednn_input_gradient,
#endif
    &moco_direct_input_gradient,
    &moco_tiles_input_gradient,
    NULL,
};

static const cpu_convolution *const weight_gradient_ways[] = {
    &moco_winograd_weights_outer_weight_gradient,
    &moco_winograd_tiles_outer_weight_gradient,
    &moco_pointwise_weight_gradient,
#ifdef MOCO_HAVE_ONEDNN
    &moco_onednn_weight_gradient,
#endif
    &moco_direct_weight_gradient,
    &moco_tiles_weight_gradient,
    NULL,
};

static const cpu_convolution *const *const ways_of[CPU_CONVOLUTION_PASSES] = {
    [CPU_FORWARD] = forward_ways,
    [CPU_INPUT_GRADIENT] = input_gradient_ways,
    [CPU_WEIGHT_GRADIENT] = weight_gradient_ways,
};

/* --- Planning --- */

typedef struct convolution_pass {
    const cpu_convolution *way; /* NULL: the layer never runs this pass */
    void *plan;
} convolution_pass;

typedef struct convolution_plan {
    convolution_pass pass[CPU_CONVOLUTION_PASSES];
} convolution_plan;

static void release(cpu_backend *backend, moco_layer *layer) {
    convolution_plan *plan = (convolution_plan *) layer->plan;
    for (int32_t i = 0; i < CPU_CONVOLUTION_PASSES; ++i) {
        const convolution_pass *pass = &plan->pass[i];
        if (pass->way != NULL && pass->way->release != NULL) pass->way->release(backend, pass->plan);
    }
    moco_deallocate(backend->host.context, plan);
    layer->plan = NULL;
}

/* The first way that takes the pass. */
static moco_status plan_pass(cpu_backend *backend, moco_layer *layer, int32_t index, int32_t blocked,
                             moco_layer_info *info) {
    convolution_pass *pass = &((convolution_plan *) layer->plan)->pass[index];
    for (const cpu_convolution *const *way = ways_of[index]; *way != NULL; ++way) {
        cpu_convolution_info needs = {0};
        if ((*way)->blocked != blocked || !(*way)->supports(backend, &layer->desc)) continue;
        const moco_status status = (*way)->plan(backend, &layer->desc, &pass->plan, &needs);
        if (status == MOCO_UNSUPPORTED) continue;
        if (status != MOCO_OK) return status;
        pass->way = *way;
        info->kept_bytes += needs.kept_bytes;
        if (needs.scratch_bytes > info->scratch_bytes) info->scratch_bytes = needs.scratch_bytes;
        if (index == CPU_INPUT_GRADIENT) info->accumulates_inputs = needs.adds << MOCO_INPUT;
        return MOCO_OK;
    }
    return moco_fail(MOCO_UNSUPPORTED, "no convolution of the cpu backend takes this layer");
}

static moco_status plan_passes(cpu_backend *backend, moco_layer *layer, int32_t blocked, moco_layer_info *info) {
    const image_layer *desc = &layer->desc;
    layer->plan = moco_allocate_zeroed(backend->host.context, 1, sizeof(convolution_plan));
    if (layer->plan == NULL) return MOCO_OUT_OF_MEMORY;
    moco_status status = plan_pass(backend, layer, CPU_FORWARD, blocked, info);
    if (status == MOCO_OK && desc->training) status = plan_pass(backend, layer, CPU_WEIGHT_GRADIENT, blocked, info);
    if (status == MOCO_OK && desc->training && !desc->skip_input_gradient) {
        status = plan_pass(backend, layer, CPU_INPUT_GRADIENT, blocked, info);
    }
    info->backward_needs_inputs = desc->training ? 1 << MOCO_INPUT : 0;
    if (status != MOCO_OK) release(backend, layer);
    return status;
}

/* Outputs in whole blocks; inputs too, except a plain image of a few channels. */
static moco_status plan_blocked(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const image_layer *desc = &layer->desc;
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    if (format == NULL) return moco_fail(MOCO_UNSUPPORTED, "this layout is none of the cpu backend's");
    const int32_t blocked_input = desc->input_layout == format->layout && desc->c % format->block == 0;
    const int32_t image_input = desc->input_layout == MOCO_LAYOUT_PLAIN && desc->c < format->block;
    if ((!blocked_input && !image_input) || desc->out_c % format->block != 0) {
        return moco_fail(MOCO_UNSUPPORTED, "blocked convolutions take whole blocks of %lld channels",
                         (long long) format->block);
    }
    info->wanted_input_layout = desc->input_layout;
    info->output_layout = format->layout;
    info->output_dtype = format->dtype;
    MOCO_TRY(moco_cpu_bytes(format->dtype, desc->n, desc->out_c, desc->out_h, desc->out_w, &info->output_bytes));
    return plan_passes(backend, layer, 1, info);
}

static moco_status plan_plain(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    return plan_passes(backend, layer, 0, info);
}

/* --- Execution --- */

static moco_status run_pass(cpu_backend *backend, const moco_layer *layer, int32_t index, const moco_layer_args *args) {
    const convolution_pass *pass = &((const convolution_plan *) layer->plan)->pass[index];
    return pass->way->run(backend, &layer->desc, pass->plan, args);
}

static moco_status forward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    return run_pass(backend, layer, CPU_FORWARD, args);
}

static moco_status backward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    if (args->d_parameters[MOCO_WEIGHT].buffer != NULL) {
        MOCO_TRY(run_pass(backend, layer, CPU_WEIGHT_GRADIENT, args));
    }
    if (args->d_inputs[MOCO_INPUT].buffer != NULL) MOCO_TRY(run_pass(backend, layer, CPU_INPUT_GRADIENT, args));
    return MOCO_OK;
}

const cpu_layer_ops moco_cpu_blocked_convolution = {
    .kind = MOCO_LAYER_CONV2D,
    .plan = plan_blocked,
    .forward = forward,
    .backward = backward,
    .release = release,
};

const cpu_layer_ops moco_cpu_plain_convolution = {
    .kind = MOCO_LAYER_CONV2D,
    .plan = plan_plain,
    .forward = forward,
    .backward = backward,
    .release = release,
};
