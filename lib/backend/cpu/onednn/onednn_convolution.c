/* oneDNN's three passes of a convolution, each with the weights' layout (and for bfloat16 their dtype) that it prefers. The
 * caller's weights stay plain float32 (out x in/groups x k x k). In training they change with every step, so a pass makes
 * its own copy in working memory each time; only constant weights have a copy that stays, made anew when they have
 * changed after all.
 */
#include <string.h>

#include "backend/cpu/onednn/onednn_api.h"
#include "backend/cpu/onednn/onednn_provider.h"
#include "backend/cpu/onednn/onednn_weights.h"
#include "core/checked.h"

/* A primitive with what it works on. */
typedef struct onednn_step {
    dnnl_primitive_t primitive; /* NULL: not planned */
    dnnl_memory_t source;
    dnnl_memory_t target;
    dnnl_memory_t scratchpad;
    uint64_t scratchpad_offset; /* in the call's scratch */
    onednn_weights weights;
} onednn_step;

/* One pass of a convolution. */
typedef struct onednn_plan {
    onednn_step step;
    onednn_step adding;            /* CPU_INPUT_GRADIENT: the one that adds to what is there, if oneDNN has it */
    int32_t transposed;            /* CPU_INPUT_GRADIENT: 1: it is a forward pass with transposed weights */
    const blocked_kernels *narrow; /* bfloat16 of a PLAIN float32 image; else NULL */
    int64_t image_elements;        /* the narrowed image lies at the start of the call's scratch */
} onednn_plan;

/* Descriptors of all that the passes of one layer read and write. */
typedef struct onednn_shapes {
    onednn_md source; /* PLAIN or blocked */
    onednn_md target;
    onednn_md weights_any;
    onednn_md d_weights_any; /* float32 */
    onednn_md weights_plain; /* float32 */
    onednn_md transposed_any;
    onednn_md transposed_plain;
} onednn_shapes;

/* A pass on its way to a plan. */
typedef struct planning {
    cpu_backend *backend;
    const image_layer *desc;
    onednn_plan *plan;
    onednn_shapes shapes;
    uint64_t image_bytes;
    uint64_t scratch_bytes;
    uint64_t kept_bytes;
} planning;

/* Without stride and padding the gradient of the input is the convolution of dy with the transposed weights. As a
 * forward pass oneDNN can add it to what is there, which spares a residual's gradient passes over memory. */
static int32_t may_transpose(const cpu_format *format, const image_layer *desc) {
    return desc->kernel == 1 && desc->stride == 1 && desc->padding == 0 && desc->groups == 1 &&
           desc->input_layout == format->layout;
}

static moco_status describe(onednn_shapes *shapes, const cpu_format *format, const image_layer *desc) {
    const dnnl_dims_t source = {desc->n, desc->c, desc->h, desc->w};
    const dnnl_dims_t target = {desc->n, desc->out_c, desc->out_h, desc->out_w};
    const dnnl_dims_t grouped = {desc->groups, desc->out_c / desc->groups, desc->c / desc->groups, desc->kernel,
                                 desc->kernel};
    const dnnl_dims_t ungrouped = {desc->out_c, desc->c, desc->kernel, desc->kernel};
    const int rank = desc->groups > 1 ? 5 : 4;
    const int64_t *weights = rank == 5 ? grouped : ungrouped;
    const dnnl_format_tag_t blocked = format->block == 16 ? dnnl_nChw16c : dnnl_nChw8c;
    const dnnl_data_type_t type = format->dtype == MOCO_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
    MOCO_TRY(moco_onednn_md_create(&shapes->source, 4, source, type,
                                   desc->input_layout == MOCO_LAYOUT_PLAIN ? dnnl_nchw : blocked));
    MOCO_TRY(moco_onednn_md_create(&shapes->target, 4, target, type, blocked));
    MOCO_TRY(moco_onednn_md_create(&shapes->weights_any, rank, weights, type, dnnl_format_tag_any));
    MOCO_TRY(moco_onednn_md_create(&shapes->d_weights_any, rank, weights, dnnl_f32, dnnl_format_tag_any));
    MOCO_TRY(
        moco_onednn_md_create(&shapes->weights_plain, rank, weights, dnnl_f32, rank == 5 ? dnnl_goihw : dnnl_oihw));
    if (!may_transpose(format, desc)) return MOCO_OK;
    const dnnl_dims_t transposed = {desc->c, desc->out_c, 1, 1};
    MOCO_TRY(moco_onednn_md_create(&shapes->transposed_any, 4, transposed, type, dnnl_format_tag_any));
    return moco_onednn_md_create(&shapes->transposed_plain, 4, transposed, dnnl_f32, dnnl_iohw);
}

static void release_shapes(onednn_shapes *shapes) {
    moco_onednn_md_destroy(shapes->source);
    moco_onednn_md_destroy(shapes->target);
    moco_onednn_md_destroy(shapes->weights_any);
    moco_onednn_md_destroy(shapes->d_weights_any);
    moco_onednn_md_destroy(shapes->weights_plain);
    moco_onednn_md_destroy(shapes->transposed_any);
    moco_onednn_md_destroy(shapes->transposed_plain);
}

static onednn_convolution_mds mds_of(const planning *in, int32_t gradient) {
    const image_layer *desc = in->desc;
    const onednn_convolution_mds mds = {
        .source = in->shapes.source,
        .weights = gradient ? in->shapes.d_weights_any : in->shapes.weights_any,
        .target = in->shapes.target,
        .strides = {desc->stride, desc->stride},
        .padding = {desc->padding, desc->padding},
    };
    return mds;
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

/* The primitive of a descriptor, and its working memory: the narrowed image, oneDNN's own, the weights. */
static moco_status plan_step(planning *in, onednn_step *step, const_dnnl_primitive_desc_t pd,
                             const onednn_convolution_mds *mds, const onednn_weights_kind *kind) {
    const dnnl_engine_t engine = in->backend->onednn->engine;
    MOCO_TRY(refuse_generic(pd));
    ONEDNN_TRY(dnnl_primitive_create(&step->primitive, pd));
    const onednn_const_md scratchpad = moco_onednn_pd_md(pd, dnnl_query_scratchpad_md);
    step->scratchpad_offset = in->image_bytes;
    uint64_t scratch = in->image_bytes + cpu_aligned(moco_onednn_md_size(scratchpad));
    MOCO_TRY(moco_onednn_memory_create(&step->source, mds->source, engine));
    MOCO_TRY(moco_onednn_memory_create(&step->target, mds->target, engine));
    MOCO_TRY(moco_onednn_memory_create(&step->scratchpad, scratchpad, engine));
    MOCO_TRY(moco_onednn_weights_plan(&step->weights, in->backend, in->desc, kind, &scratch));
    if (scratch > in->scratch_bytes) in->scratch_bytes = scratch;
    in->kept_bytes += step->weights.kept_bytes;
    return MOCO_OK;
}

static void release_step(cpu_backend *backend, onednn_step *step) {
    if (step->primitive != NULL) dnnl_primitive_destroy(step->primitive);
    if (step->source != NULL) dnnl_memory_destroy(step->source);
    if (step->target != NULL) dnnl_memory_destroy(step->target);
    if (step->scratchpad != NULL) dnnl_memory_destroy(step->scratchpad);
    moco_onednn_weights_release(&step->weights, backend);
    memset(step, 0, sizeof *step);
}

static void release(cpu_backend *backend, void *self) {
    onednn_plan *plan = (onednn_plan *) self;
    release_step(backend, &plan->step);
    release_step(backend, &plan->adding);
    moco_deallocate(backend->host.context, plan);
}

/* oneDNN takes the image in the dtype of the rest. */
static void plan_narrowing(planning *in, const cpu_format *format) {
    const image_layer *desc = in->desc;
    if (format->dtype == MOCO_DTYPE_F32 || desc->input_layout != MOCO_LAYOUT_PLAIN) return;
    in->plan->narrow = format->kernels;
    in->plan->image_elements = desc->n * desc->c * desc->h * desc->w;
    in->image_bytes = cpu_aligned(moco_onednn_md_size(in->shapes.source));
}

/* Plans a pass; `fill` makes its steps. */
static moco_status plan_pass(cpu_backend *backend, const image_layer *desc, void **out, cpu_convolution_info *info,
                             moco_status (*fill)(planning *in)) {
    onednn_plan *plan = (onednn_plan *) moco_allocate_zeroed(backend->host.context, 1, sizeof *plan);
    if (plan == NULL) return MOCO_OUT_OF_MEMORY;
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    planning in = {.backend = backend, .desc = desc, .plan = plan};
    const int before = moco_onednn_enter(backend->onednn);
    moco_status status = describe(&in.shapes, format, desc);
    if (status == MOCO_OK) {
        plan_narrowing(&in, format);
        status = fill(&in);
    }
    moco_onednn_leave(before);
    release_shapes(&in.shapes);
    if (status != MOCO_OK) {
        release(backend, plan);
        return status;
    }
    info->scratch_bytes = in.scratch_bytes;
    info->kept_bytes = in.kept_bytes;
    info->adds = plan->adding.primitive != NULL;
    *out = plan;
    return MOCO_OK;
}

static moco_status forward_pd(planning *in, dnnl_primitive_desc_t *pd) {
    const onednn_convolution_mds mds = mds_of(in, 0);
    return moco_onednn_convolution_pd(pd, ONEDNN_FORWARD, &mds, in->desc->training, 0, in->backend->onednn->engine,
                                      NULL);
}

static moco_status fill_forward(planning *in) {
    const onednn_convolution_mds mds = mds_of(in, 0);
    dnnl_primitive_desc_t pd = NULL;
    MOCO_TRY(forward_pd(in, &pd));
    const onednn_weights_kind kind = {
        .own = moco_onednn_pd_md(pd, dnnl_query_weights_md),
        .plain = in->shapes.weights_plain,
    };
    const moco_status status = plan_step(in, &in->plan->step, pd, &mds, &kind);
    dnnl_primitive_desc_destroy(pd);
    return status;
}

/* A backward pass, whose descriptor oneDNN makes with the forward one as a hint. */
static moco_status fill_backward(planning *in, onednn_pass pass) {
    const int32_t gradient = pass == ONEDNN_BACKWARD_WEIGHTS;
    const onednn_convolution_mds mds = mds_of(in, gradient);
    dnnl_primitive_desc_t hint = NULL, pd = NULL;
    MOCO_TRY(forward_pd(in, &hint));
    moco_status status =
        moco_onednn_convolution_pd(&pd, pass, &mds, in->desc->training, 0, in->backend->onednn->engine, hint);
    if (status == MOCO_OK) {
        const onednn_weights_kind kind = {
            .own = moco_onednn_pd_md(pd, gradient ? dnnl_query_diff_weights_md : dnnl_query_weights_md),
            .plain = in->shapes.weights_plain,
            .gradient = gradient,
        };
        status = plan_step(in, &in->plan->step, pd, &mds, &kind);
        dnnl_primitive_desc_destroy(pd);
    }
    dnnl_primitive_desc_destroy(hint);
    return status;
}

static moco_status fill_weight_gradient(planning *in) {
    return fill_backward(in, ONEDNN_BACKWARD_WEIGHTS);
}

/* The gradient of the input as a forward pass of dy; left out (its primitive stays NULL) where oneDNN has none. */
static moco_status try_transposed(planning *in, onednn_step *step, int32_t adds) {
    onednn_convolution_mds mds = mds_of(in, 0);
    mds.source = in->shapes.target;
    mds.weights = in->shapes.transposed_any;
    mds.target = in->shapes.source;
    dnnl_primitive_desc_t pd = NULL;
    moco_status status = moco_onednn_convolution_pd(&pd, ONEDNN_FORWARD, &mds, in->desc->training, adds,
                                                    in->backend->onednn->engine, NULL);
    if (status == MOCO_OK) {
        const onednn_weights_kind kind = {
            .own = moco_onednn_pd_md(pd, dnnl_query_weights_md),
            .plain = in->shapes.transposed_plain,
            .transposed = 1,
        };
        status = plan_step(in, step, pd, &mds, &kind);
        dnnl_primitive_desc_destroy(pd);
    }
    if (status != MOCO_UNSUPPORTED) return status;
    release_step(in->backend, step);
    return MOCO_OK;
}

static moco_status fill_input_gradient(planning *in) {
    if (in->shapes.transposed_any != NULL) MOCO_TRY(try_transposed(in, &in->plan->step, 0));
    in->plan->transposed = in->plan->step.primitive != NULL;
    return in->plan->transposed ? try_transposed(in, &in->plan->adding, 1) : fill_backward(in, ONEDNN_BACKWARD_DATA);
}

static moco_status plan_forward(cpu_backend *backend, const image_layer *desc, void **plan,
                                cpu_convolution_info *info) {
    return plan_pass(backend, desc, plan, info, fill_forward);
}

static moco_status plan_input_gradient(cpu_backend *backend, const image_layer *desc, void **plan,
                                       cpu_convolution_info *info) {
    return plan_pass(backend, desc, plan, info, fill_input_gradient);
}

static moco_status plan_weight_gradient(cpu_backend *backend, const image_layer *desc, void **plan,
                                        cpu_convolution_info *info) {
    return plan_pass(backend, desc, plan, info, fill_weight_gradient);
}

/* oneDNN counts in 32 bits in places, and divides by what overflowed. */
static int32_t supports(const cpu_backend *backend, const image_layer *desc) {
    const int64_t sizes[] = {desc->n, desc->c, desc->h, desc->w, desc->out_c, desc->out_h, desc->out_w};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        if (sizes[i] > INT32_MAX) return 0;
    }
    return backend->onednn != NULL;
}

/* The gradient of an image narrowed to bfloat16 would have to be widened again, which nobody asks for. */
static int32_t supports_input_gradient(const cpu_backend *backend, const image_layer *desc) {
    const int32_t narrowed =
        desc->input_layout == MOCO_LAYOUT_PLAIN && moco_cpu_format_of(backend, desc)->dtype != MOCO_DTYPE_F32;
    return supports(backend, desc) && !narrowed;
}

/* --- Execution --- */

static char *scratch_at(const moco_layer_args *args, uint64_t offset) {
    return (char *) moco_host_address(&args->scratch) + offset;
}

typedef struct narrowing {
    const onednn_plan *plan;
    const float *from;
    char *to;
} narrowing;

enum { NARROW_BLOCK = 16 };

static void narrow_range(void *argument, int64_t begin, int64_t end) {
    const narrowing *work = (const narrowing *) argument;
    const blocked_kernels *kernels = work->plan->narrow;
    const int64_t size = kernels->element_bytes;
    const int64_t elements = work->plan->image_elements;
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
static void *source_of(const cpu_backend *backend, const onednn_plan *plan, const moco_layer_args *args) {
    void *x = moco_host_address(&args->inputs[MOCO_INPUT]);
    if (plan->narrow == NULL) return x;
    narrowing work = {plan, (const float *) x, scratch_at(args, 0)};
    moco_parallel_range(backend->host.context, (plan->image_elements + NARROW_BLOCK - 1) / NARROW_BLOCK, 1024,
                        narrow_range, &work);
    return work.to;
}

static moco_status run_step(cpu_backend *backend, onednn_step *step, void *source, void *target,
                            const moco_layer_args *args, const int argument_index[3]) {
    ONEDNN_TRY(dnnl_memory_set_data_handle(step->source, source));
    ONEDNN_TRY(dnnl_memory_set_data_handle(step->target, target));
    ONEDNN_TRY(dnnl_memory_set_data_handle(step->scratchpad, scratch_at(args, step->scratchpad_offset)));
    const dnnl_exec_arg_t arguments[] = {
        {argument_index[0], step->source},
        {argument_index[1], step->weights.own},
        {argument_index[2], step->target},
        {DNNL_ARG_SCRATCHPAD, step->scratchpad},
    };
    return moco_onednn_execute(backend->onednn, step->primitive, 4, arguments);
}

static const int forward_arguments[3] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};

static moco_status run_forward(cpu_backend *backend, const image_layer *desc, void *self, const moco_layer_args *args) {
    onednn_plan *plan = (onednn_plan *) self;
    (void) desc;
    MOCO_TRY(moco_onednn_weights_prepare(&plan->step.weights, backend, args));
    return run_step(backend, &plan->step, source_of(backend, plan, args), moco_host_address(&args->y), args,
                    forward_arguments);
}

static moco_status run_weight_gradient(cpu_backend *backend, const image_layer *desc, void *self,
                                       const moco_layer_args *args) {
    static const int arguments[3] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST};
    onednn_plan *plan = (onednn_plan *) self;
    (void) desc;
    MOCO_TRY(moco_onednn_weights_plan_gradient(&plan->step.weights, args));
    MOCO_TRY(
        run_step(backend, &plan->step, source_of(backend, plan, args), moco_host_address(&args->dy), args, arguments));
    return moco_onednn_weights_export_gradient(&plan->step.weights, backend, args);
}

static moco_status run_input_gradient(cpu_backend *backend, const image_layer *desc, void *self,
                                      const moco_layer_args *args) {
    static const int arguments[3] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST};
    onednn_plan *plan = (onednn_plan *) self;
    onednn_step *step = (args->accumulate_inputs & 1 << MOCO_INPUT) ? &plan->adding : &plan->step;
    void *dx = moco_host_address(&args->d_inputs[MOCO_INPUT]), *dy = moco_host_address(&args->dy);
    (void) desc;
    MOCO_TRY(moco_onednn_weights_prepare(&step->weights, backend, args));
    if (plan->transposed) return run_step(backend, step, dy, dx, args, forward_arguments);
    return run_step(backend, step, dx, dy, args, arguments);
}

const cpu_convolution moco_onednn_forward = {
    .name = "onednn",
    .blocked = 1,
    .supports = supports,
    .plan = plan_forward,
    .run = run_forward,
    .release = release,
};

const cpu_convolution moco_onednn_input_gradient = {
    .name = "onednn",
    .blocked = 1,
    .supports = supports_input_gradient,
    .plan = plan_input_gradient,
    .run = run_input_gradient,
    .release = release,
};

const cpu_convolution moco_onednn_weight_gradient = {
    .name = "onednn",
    .blocked = 1,
    .supports = supports,
    .plan = plan_weight_gradient,
    .run = run_weight_gradient,
    .release = release,
};
