/* One planned convolution: oneDNN's three passes, where our own kernels do not take them, each with the weights' layout
 * (and for bfloat16 their dtype) that it likes best. The caller's weights stay plain float32 (out x in/groups x k x k).
 * In training they change with every step, so a pass makes its own copy in working memory each time; only constant
 * weights have a copy that stays, made anew when they have changed after all.
 */
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/onednn/onednn_api.h"
#include "backend/cpu/onednn/onednn_weights.h"
#include "core/checked.h"

#ifdef _OPENMP
#include <omp.h>
#endif

/* Behind oneDNN's three: the gradient of the input, added to what is there. */
enum { ADD_INPUT_GRADIENT = ONEDNN_BACKWARD_WEIGHTS + 1, PASSES };

typedef struct pass_state {
    dnnl_primitive_t primitive; /* NULL: not planned */
    dnnl_memory_t source;
    dnnl_memory_t target;
    dnnl_memory_t scratchpad;
    uint64_t scratchpad_offset; /* in the call's scratch */
    onednn_weights weights;
} pass_state;

struct onednn_convolution {
    pass_state pass[PASSES]; /* by onednn_pass, and ADD_INPUT_GRADIENT */
    image_layer desc;
    int32_t pointwise;             /* 1: the weight gradient is our own kernel's */
    int32_t winograd;              /* 1: all three passes are */
    int32_t transposed;            /* 1: the gradient of the input is a forward pass with transposed weights */
    const blocked_kernels *narrow; /* bfloat16: of a PLAIN float32 image; else NULL */
    int64_t image_elements;        /* the narrowed image lies at the start of the call's scratch */
};

/* oneDNN takes the thread count from OpenMP's setting of the calling thread, at planning and at execution. */
static int enter_threads(const cpu_backend *backend) {
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    omp_set_num_threads((int) backend->host.context->threads);
    return before;
#else
    (void) backend;
    return 1;
#endif
}

static void leave_threads(int before) {
#ifdef _OPENMP
    omp_set_num_threads(before);
#else
    (void) before;
#endif
}

typedef struct planning {
    onednn_md source; /* PLAIN or blocked */
    onednn_md target;
    onednn_md weights_any;
    onednn_md d_weights_any; /* float32 */
    onednn_md weights_plain; /* float32 */
    onednn_md transposed_any;
    onednn_md transposed_plain;
    uint64_t image_bytes;
    uint64_t scratch_bytes;
} planning;

/* Without stride and padding the gradient of the input is the convolution of dy with the transposed weights. As a
 * forward pass oneDNN can add it to what is there, which spares a residual's gradient passes over memory. */
static int32_t may_transpose(const cpu_format *format, const image_layer *desc) {
    return desc->kernel == 1 && desc->stride == 1 && desc->padding == 0 && desc->groups == 1 &&
           desc->input_layout == format->layout;
}

static moco_status describe(planning *plan, const cpu_format *format, const image_layer *desc) {
    const dnnl_dims_t source = {desc->n, desc->c, desc->h, desc->w};
    const dnnl_dims_t target = {desc->n, desc->out_c, desc->out_h, desc->out_w};
    const dnnl_dims_t grouped = {desc->groups, desc->out_c / desc->groups, desc->c / desc->groups, desc->kernel,
                                 desc->kernel};
    const dnnl_dims_t ungrouped = {desc->out_c, desc->c, desc->kernel, desc->kernel};
    const int rank = desc->groups > 1 ? 5 : 4;
    const int64_t *weights = rank == 5 ? grouped : ungrouped;
    const dnnl_format_tag_t blocked = format->block == 16 ? dnnl_nChw16c : dnnl_nChw8c;
    const dnnl_data_type_t type = format->dtype == MOCO_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
    MOCO_TRY(moco_onednn_md_create(&plan->source, 4, source, type,
                                   desc->input_layout == MOCO_LAYOUT_PLAIN ? dnnl_nchw : blocked));
    MOCO_TRY(moco_onednn_md_create(&plan->target, 4, target, type, blocked));
    MOCO_TRY(moco_onednn_md_create(&plan->weights_any, rank, weights, type, dnnl_format_tag_any));
    MOCO_TRY(moco_onednn_md_create(&plan->d_weights_any, rank, weights, dnnl_f32, dnnl_format_tag_any));
    MOCO_TRY(moco_onednn_md_create(&plan->weights_plain, rank, weights, dnnl_f32, rank == 5 ? dnnl_goihw : dnnl_oihw));
    if (!may_transpose(format, desc)) return MOCO_OK;
    const dnnl_dims_t transposed = {desc->c, desc->out_c, 1, 1};
    MOCO_TRY(moco_onednn_md_create(&plan->transposed_any, 4, transposed, type, dnnl_format_tag_any));
    return moco_onednn_md_create(&plan->transposed_plain, 4, transposed, dnnl_f32, dnnl_iohw);
}

/* Generic code is slower than the next backend's: better to hand such a layer on. */
static moco_status refuse_generic(const_dnnl_primitive_desc_t pd) {
    const char *name = moco_onednn_pd_implementation(pd);
    if (strncmp(name, "ref", 3) == 0 || strncmp(name, "gemm:ref", 8) == 0 || strncmp(name, "simple", 6) == 0) {
        return moco_fail(MOCO_UNSUPPORTED, "oneDNN has only its generic implementation (%s) for this convolution",
                         name);
    }
    return MOCO_OK;
}

static moco_status plan_pass(onednn_convolution *convolution, cpu_backend *backend, planning *plan,
                             const image_layer *desc, int pass, const_dnnl_primitive_desc_t hint,
                             dnnl_primitive_desc_t *pd) {
    const int32_t transposed = convolution->transposed && (pass == ONEDNN_BACKWARD_DATA || pass == ADD_INPUT_GRADIENT);
    onednn_convolution_mds mds = {
        .source = plan->source,
        .weights = pass == ONEDNN_BACKWARD_WEIGHTS ? plan->d_weights_any : plan->weights_any,
        .target = plan->target,
        .strides = {desc->stride, desc->stride},
        .padding = {desc->padding, desc->padding},
    };
    onednn_pass as = (onednn_pass) pass;
    if (transposed) {
        mds.source = plan->target;
        mds.weights = plan->transposed_any;
        mds.target = plan->source;
        as = ONEDNN_FORWARD;
    }
    pass_state *state = &convolution->pass[pass];
    MOCO_TRY(moco_onednn_convolution_pd(pd, as, &mds, desc->training, pass == ADD_INPUT_GRADIENT,
                                        backend->onednn->engine, hint));
    MOCO_TRY(refuse_generic(*pd));
    ONEDNN_TRY(dnnl_primitive_create(&state->primitive, *pd));

    /* Working memory: the narrowed image, oneDNN's own, the weights. */
    const onednn_const_md scratchpad = moco_onednn_pd_md(*pd, dnnl_query_scratchpad_md);
    state->scratchpad_offset = plan->image_bytes;
    uint64_t scratch = plan->image_bytes + cpu_aligned(moco_onednn_md_size(scratchpad));
    MOCO_TRY(moco_onednn_memory_create(&state->source, mds.source, backend->onednn->engine));
    MOCO_TRY(moco_onednn_memory_create(&state->target, mds.target, backend->onednn->engine));
    MOCO_TRY(moco_onednn_memory_create(&state->scratchpad, scratchpad, backend->onednn->engine));
    const int32_t gradient = pass == ONEDNN_BACKWARD_WEIGHTS;
    const onednn_weights_kind kind = {
        .own = moco_onednn_pd_md(*pd, gradient ? dnnl_query_diff_weights_md : dnnl_query_weights_md),
        .plain = transposed ? plan->transposed_plain : plan->weights_plain,
        .gradient = gradient,
        .transposed = transposed,
    };
    MOCO_TRY(moco_onednn_weights_plan(&state->weights, backend, desc, &kind, &scratch));
    if (scratch > plan->scratch_bytes) plan->scratch_bytes = scratch;
    return MOCO_OK;
}

static void release_pass(cpu_backend *backend, pass_state *state) {
    if (state->primitive != NULL) dnnl_primitive_destroy(state->primitive);
    if (state->source != NULL) dnnl_memory_destroy(state->source);
    if (state->target != NULL) dnnl_memory_destroy(state->target);
    if (state->scratchpad != NULL) dnnl_memory_destroy(state->scratchpad);
    moco_onednn_weights_release(&state->weights, backend);
    memset(state, 0, sizeof *state);
}

/* A pass of the transposed kind, left out (its primitive stays NULL) where oneDNN doesn't have it. */
static moco_status try_pass(onednn_convolution *convolution, cpu_backend *backend, planning *plan,
                            const image_layer *desc, int pass, dnnl_primitive_desc_t *pd) {
    const moco_status status = plan_pass(convolution, backend, plan, desc, pass, NULL, pd);
    if (status != MOCO_UNSUPPORTED) return status;
    release_pass(backend, &convolution->pass[pass]);
    if (*pd != NULL) dnnl_primitive_desc_destroy(*pd);
    *pd = NULL;
    return MOCO_OK;
}

static moco_status plan_input_gradient(onednn_convolution *convolution, cpu_backend *backend, planning *plan,
                                       const image_layer *desc, dnnl_primitive_desc_t pd[PASSES]) {
    if (convolution->transposed) {
        MOCO_TRY(try_pass(convolution, backend, plan, desc, ONEDNN_BACKWARD_DATA, &pd[ONEDNN_BACKWARD_DATA]));
        convolution->transposed = convolution->pass[ONEDNN_BACKWARD_DATA].primitive != NULL;
    }
    if (convolution->transposed) {
        return try_pass(convolution, backend, plan, desc, ADD_INPUT_GRADIENT, &pd[ADD_INPUT_GRADIENT]);
    }
    return plan_pass(convolution, backend, plan, desc, ONEDNN_BACKWARD_DATA, pd[ONEDNN_FORWARD],
                     &pd[ONEDNN_BACKWARD_DATA]);
}

static moco_status plan_all(onednn_convolution *convolution, cpu_backend *backend, planning *plan,
                            const image_layer *desc) {
    convolution->winograd = moco_winograd_supports(backend, desc);
    if (convolution->winograd) {
        plan->scratch_bytes = moco_winograd_scratch(backend, desc);
        return MOCO_OK;
    }
    dnnl_primitive_desc_t pd[PASSES] = {NULL};
    moco_status status = plan_pass(convolution, backend, plan, desc, ONEDNN_FORWARD, NULL, &pd[ONEDNN_FORWARD]);
    convolution->pointwise = status == MOCO_OK && moco_pointwise_supports(backend, desc);
    if (convolution->pointwise && desc->training) {
        const uint64_t bytes = moco_pointwise_scratch(backend, desc);
        if (bytes > plan->scratch_bytes) plan->scratch_bytes = bytes;
    } else if (status == MOCO_OK && desc->training) {
        status = plan_pass(convolution, backend, plan, desc, ONEDNN_BACKWARD_WEIGHTS, pd[ONEDNN_FORWARD],
                           &pd[ONEDNN_BACKWARD_WEIGHTS]);
    }
    if (status == MOCO_OK && desc->training && !desc->skip_input_gradient) {
        status = plan_input_gradient(convolution, backend, plan, desc, pd);
    }
    for (int i = 0; i < PASSES; ++i) {
        if (pd[i] != NULL) dnnl_primitive_desc_destroy(pd[i]);
    }
    return status;
}

/* oneDNN takes the image in the dtype of the rest; its gradient would have to be widened again, which nobody asks for.
 */
static moco_status plan_narrowing(onednn_convolution *convolution, const cpu_format *format, const image_layer *desc,
                                  planning *plan) {
    if (format->dtype == MOCO_DTYPE_F32 || desc->input_layout != MOCO_LAYOUT_PLAIN) return MOCO_OK;
    if (!desc->skip_input_gradient && desc->training) {
        return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend has no bfloat16 gradient of a PLAIN image");
    }
    convolution->narrow = format->kernels;
    convolution->image_elements = desc->n * desc->c * desc->h * desc->w;
    plan->image_bytes = cpu_aligned(moco_onednn_md_size(plan->source));
    return MOCO_OK;
}

moco_status moco_onednn_convolution_create(onednn_convolution **out, cpu_backend *backend, const image_layer *desc,
                                           moco_layer_info *info) {
    onednn_convolution *convolution =
        (onednn_convolution *) moco_allocate_zeroed(backend->host.context, 1, sizeof *convolution);
    if (convolution == NULL) return MOCO_OUT_OF_MEMORY;
    convolution->desc = *desc;
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    convolution->transposed = may_transpose(format, desc);
    planning plan;
    memset(&plan, 0, sizeof plan);
    const int before = enter_threads(backend);
    moco_status status = describe(&plan, format, desc);
    if (status == MOCO_OK) status = plan_narrowing(convolution, format, desc, &plan);
    if (status == MOCO_OK) status = plan_all(convolution, backend, &plan, desc);
    leave_threads(before);
    if (status == MOCO_OK) {
        info->wanted_input_layout = desc->input_layout;
        info->output_layout = format->layout;
        info->output_dtype = format->dtype;
        info->output_bytes = moco_onednn_md_size(plan.target);
        info->scratch_bytes = plan.scratch_bytes;
        info->backward_needs_inputs = 1;
        info->accumulates_inputs = desc->training && !desc->skip_input_gradient &&
                                   (convolution->winograd || convolution->pass[ADD_INPUT_GRADIENT].primitive != NULL);
        *out = convolution;
    } else {
        moco_onednn_convolution_destroy(backend, convolution);
    }
    moco_onednn_md_destroy(plan.source);
    moco_onednn_md_destroy(plan.target);
    moco_onednn_md_destroy(plan.weights_any);
    moco_onednn_md_destroy(plan.d_weights_any);
    moco_onednn_md_destroy(plan.weights_plain);
    moco_onednn_md_destroy(plan.transposed_any);
    moco_onednn_md_destroy(plan.transposed_plain);
    return status;
}

void moco_onednn_convolution_destroy(cpu_backend *backend, onednn_convolution *convolution) {
    if (convolution == NULL) return;
    for (int i = 0; i < PASSES; ++i) release_pass(backend, &convolution->pass[i]);
    moco_deallocate(backend->host.context, convolution);
}

/* --- Execution --- */

static char *scratch_at(const moco_layer_args *args, uint64_t offset) {
    return (char *) moco_host_address(&args->scratch) + offset;
}

typedef struct narrowing {
    const onednn_convolution *convolution;
    const float *from;
    char *to;
} narrowing;

enum { NARROW_BLOCK = 16 };

static void narrow_range(void *argument, int64_t begin, int64_t end) {
    const narrowing *work = (const narrowing *) argument;
    const blocked_kernels *kernels = work->convolution->narrow;
    const int64_t size = kernels->element_bytes;
    const int64_t elements = work->convolution->image_elements;
    const int64_t whole = elements / NARROW_BLOCK;
    kernels->from_float(work->from + begin * NARROW_BLOCK, moco_min_i64(end, whole) - begin,
                        work->to + begin * NARROW_BLOCK * size);
    if (end > whole && elements > whole * NARROW_BLOCK) {
        _Alignas(64) float last[NARROW_BLOCK] = {0};
        _Alignas(64) char narrowed[NARROW_BLOCK * sizeof(float)];
        const size_t rest = (size_t) (elements - whole * NARROW_BLOCK);
        memcpy(last, work->from + whole * NARROW_BLOCK, rest * sizeof *last);
        kernels->from_float(last, 1, narrowed);
        memcpy(work->to + whole * NARROW_BLOCK * size, narrowed, rest * (size_t) size);
    }
}

/* Where the pass finds its source: x itself, or the image in bfloat16. */
static void *source_of(const cpu_backend *backend, const onednn_convolution *convolution, const moco_layer_args *args) {
    if (convolution->narrow == NULL) return moco_host_address(&args->inputs[MOCO_INPUT]);
    narrowing work = {convolution, (const float *) moco_host_address(&args->inputs[MOCO_INPUT]), scratch_at(args, 0)};
    moco_parallel_range(backend->host.context, (convolution->image_elements + NARROW_BLOCK - 1) / NARROW_BLOCK, 1024,
                        narrow_range, &work);
    return work.to;
}

static moco_status run_pass(cpu_backend *backend, pass_state *state, void *source, void *target,
                            const moco_layer_args *args, const int argument_index[3]) {
    ONEDNN_TRY(dnnl_memory_set_data_handle(state->source, source));
    ONEDNN_TRY(dnnl_memory_set_data_handle(state->target, target));
    ONEDNN_TRY(dnnl_memory_set_data_handle(state->scratchpad, scratch_at(args, state->scratchpad_offset)));
    const dnnl_exec_arg_t arguments[] = {
        {argument_index[0], state->source},
        {argument_index[1], state->weights.own},
        {argument_index[2], state->target},
        {DNNL_ARG_SCRATCHPAD, state->scratchpad},
    };
    ONEDNN_TRY(dnnl_primitive_execute(state->primitive, backend->onednn->stream, 4, arguments));
    return MOCO_OK;
}

static const int forward_arguments[3] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};

static moco_status forward(cpu_backend *backend, onednn_convolution *convolution, const moco_layer_args *args) {
    if (convolution->winograd) {
        moco_winograd_forward(backend, &convolution->desc, args);
        return MOCO_OK;
    }
    pass_state *state = &convolution->pass[ONEDNN_FORWARD];
    MOCO_TRY(moco_onednn_weights_prepare(&state->weights, backend, args));
    return run_pass(backend, state, source_of(backend, convolution, args), moco_host_address(&args->y), args,
                    forward_arguments);
}

static moco_status weight_gradient(cpu_backend *backend, onednn_convolution *convolution, const moco_layer_args *args) {
    static const int arguments[3] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST};
    pass_state *state = &convolution->pass[ONEDNN_BACKWARD_WEIGHTS];
    MOCO_TRY(moco_onednn_weights_plan_gradient(&state->weights, args));
    MOCO_TRY(
        run_pass(backend, state, source_of(backend, convolution, args), moco_host_address(&args->dy), args, arguments));
    return moco_onednn_weights_export_gradient(&state->weights, backend, args);
}

static moco_status input_gradient(cpu_backend *backend, onednn_convolution *convolution, const moco_layer_args *args) {
    static const int arguments[3] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST};
    pass_state *state =
        &convolution->pass[(args->accumulate_inputs & 1 << MOCO_INPUT) ? ADD_INPUT_GRADIENT : ONEDNN_BACKWARD_DATA];
    void *dx = moco_host_address(&args->d_inputs[MOCO_INPUT]), *dy = moco_host_address(&args->dy);
    MOCO_TRY(moco_onednn_weights_prepare(&state->weights, backend, args));
    if (convolution->transposed) return run_pass(backend, state, dy, dx, args, forward_arguments);
    return run_pass(backend, state, dx, dy, args, arguments);
}

static moco_status backward(cpu_backend *backend, onednn_convolution *convolution, const moco_layer_args *args) {
    if (convolution->winograd) {
        if (args->d_parameters[MOCO_WEIGHT].buffer != NULL)
            moco_winograd_weight_gradient(backend, &convolution->desc, args);
        if (args->d_inputs[MOCO_INPUT].buffer != NULL) moco_winograd_input_gradient(backend, &convolution->desc, args);
        return MOCO_OK;
    }
    if (args->d_parameters[MOCO_WEIGHT].buffer != NULL && convolution->pointwise) {
        moco_pointwise_gradient(backend, &convolution->desc, args);
    } else if (args->d_parameters[MOCO_WEIGHT].buffer != NULL) {
        MOCO_TRY(weight_gradient(backend, convolution, args));
    }
    if (args->d_inputs[MOCO_INPUT].buffer != NULL) MOCO_TRY(input_gradient(backend, convolution, args));
    return MOCO_OK;
}

moco_status moco_onednn_convolution_forward(cpu_backend *backend, onednn_convolution *convolution,
                                            const moco_layer_args *args) {
    const int before = enter_threads(backend);
    const moco_status status = forward(backend, convolution, args);
    leave_threads(before);
    return status;
}

moco_status moco_onednn_convolution_backward(cpu_backend *backend, onednn_convolution *convolution,
                                             const moco_layer_args *args) {
    const int before = enter_threads(backend);
    const moco_status status = backward(backend, convolution, args);
    leave_threads(before);
    return status;
}
