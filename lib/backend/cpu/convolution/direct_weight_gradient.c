/* The gradient of the weights as plain sums of products (direct_plan.h): dW = sum over pixels of dY X', for each place of
 * the window. A thread goes through some units' pixels, with a sum of its own, so that all that a unit needs stays in
 * its cache; what is summed in what order depends on the shape alone. Where the gradient is too large for several sums,
 * threads share out the output channels instead, and each copies x for itself.
 */
#include <string.h>

#include "backend/cpu/convolution/convolution_list.h"
#include "backend/cpu/convolution/direct_plan.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"

typedef struct direct_gradient {
    direct_pass pass;
    int64_t parts;  /* of the units */
    int64_t shares; /* of a group's output channels */
    int64_t row;    /* floats of the sum for an output channel: [block][place][B] */
    int64_t worker_floats;
} direct_gradient;

typedef struct gradient_work {
    const direct_gradient *gradient;
    const float *x, *dy;
    float *dweight;
    float *partial; /* [part][output channel][row] */
    float *workers; /* worker_floats each: steps, then the copy */
    int32_t accumulate;
} gradient_work;

static int64_t aligned_floats(int64_t floats) {
    return moco_ceil_divide(floats, 16) * 16;
}

static int64_t out_channels(const direct_pass *pass) {
    return pass->groups * pass->out_blocks * pass->kernels->block;
}

static int64_t most_steps(const direct_pass *pass) {
    return pass->copy_blocks * pass->kernel * pass->kernel;
}

/* All products of one chunk of x with blocks [begin, end) of a group of dy. `dw` is the group's first row, at the
 * chunk's first step. */
static void add_products(const gradient_work *work, const direct_unit *unit, const direct_view *view, int64_t group,
                         int64_t begin, int64_t end, const int64_t *steps, int64_t step_count, float *dw) {
    const direct_gradient *gradient = work->gradient;
    const direct_pass *pass = &gradient->pass;
    const int64_t block = pass->kernels->block, area = pass->target_h * pass->target_w * block;
    const int32_t flat = direct_is_flat(pass);
    direct_pairs pairs = {
        .x = view->at,
        .samples = unit->samples,
        .rows = flat ? 1 : unit->rows,
        .columns = flat ? unit->rows * pass->grid_w : pass->grid_w,
        .dy_sample = pass->groups * pass->out_blocks * area,
        .dy_row = pass->grid_w * block,
        .x_sample = view->next_sample,
        .x_row = view->next_row,
    };
    const float *dy =
        work->dy + (unit->sample * pass->groups + group) * pass->out_blocks * area + unit->row * pass->target_w * block;
    const int64_t turns = moco_ceil_divide(step_count, DIRECT_VECTORS);
    for (int64_t turn = 0; turn < turns; ++turn) {
        const int64_t step = turn * step_count / turns, vectors = (turn + 1) * step_count / turns - step;
        for (int64_t channel = begin * block; channel < end * block; channel += pass->kernels->outer_rows) {
            pairs.dy = dy + channel / block * area + channel % block;
            pass->kernels->outer_products(&pairs, steps + step, vectors, dw + channel * gradient->row + step * block,
                                          gradient->row);
        }
    }
}

/* One task: a part of the units for a share of a group's output channels. */
static void run_part(void *argument, int64_t task, int32_t worker) {
    const gradient_work *work = (const gradient_work *) argument;
    const direct_gradient *gradient = work->gradient;
    const direct_pass *pass = &gradient->pass;
    const int64_t share = task % gradient->shares, group = task / gradient->shares % pass->groups;
    const int64_t part = task / (gradient->shares * pass->groups), block = pass->kernels->block;
    const int64_t begin = share * pass->out_blocks / gradient->shares;
    const int64_t end = (share + 1) * pass->out_blocks / gradient->shares;
    float *memory = work->workers + worker * gradient->worker_floats;
    int64_t *steps = (int64_t *) (void *) memory;
    float *copy = memory + aligned_floats(2 * most_steps(pass));
    float *dw = work->partial + (part * pass->groups + group) * pass->out_blocks * block * gradient->row;
    memset(dw + begin * block * gradient->row, 0, (size_t) ((end - begin) * block * gradient->row) * sizeof *dw);
    const int64_t last = (part + 1) * pass->units / gradient->parts;
    for (int64_t i = part * pass->units / gradient->parts; i < last; ++i) {
        const direct_unit unit = moco_direct_unit_of(pass, i);
        for (int64_t first = 0; first < pass->in_blocks; first += pass->copy_blocks) {
            const int64_t count = moco_min_i64(pass->copy_blocks, pass->in_blocks - first);
            const direct_view view = moco_direct_view(pass, &unit, group, first, count, work->x, copy);
            const int64_t step_count = moco_direct_steps(pass, &view, 0, count, steps);
            add_products(work, &unit, &view, group, begin, end, steps, step_count,
                         dw + first * pass->kernel * pass->kernel * block);
        }
    }
}

/* The parts' sums of output channels [begin, end), into the order of the weights. */
static void add_parts(void *argument, int64_t begin, int64_t end) {
    const gradient_work *work = (const gradient_work *) argument;
    const direct_gradient *gradient = work->gradient;
    const direct_pass *pass = &gradient->pass;
    const int64_t block = pass->kernels->block, places = pass->kernel * pass->kernel;
    const int64_t next_part = out_channels(pass) * gradient->row;
    for (int64_t out = begin; out < end; ++out) {
        float *sum = work->partial + out * gradient->row;
        for (int64_t part = 1; part < gradient->parts; ++part) {
            const float *more = sum + part * next_part;
            for (int64_t i = 0; i < gradient->row; ++i) sum[i] += more[i];
        }
        float *to = work->dweight + out * pass->seen * places;
        const int64_t first = pass->seen < pass->channels ? out % block / pass->seen * pass->seen : 0;
        for (int64_t channel = first; channel < first + pass->seen; ++channel) {
            const float *from = sum + channel / block * places * block + channel % block;
            for (int64_t place = 0; place < places; ++place, ++to) {
                *to = work->accumulate ? *to + from[place * block] : from[place * block];
            }
        }
    }
}

static int32_t supports(const cpu_backend *backend, const image_layer *desc) {
    return moco_direct_plans(backend, desc, CPU_WEIGHT_GRADIENT);
}

/* Parts depend on the shape only, for they decide which sums are rounded; shares make up for too few of them. */
static moco_status plan(cpu_backend *backend, const image_layer *desc, void **out, cpu_convolution_info *info) {
    moco_context *context = backend->host.context;
    direct_gradient *gradient = (direct_gradient *) moco_allocate_zeroed(context, 1, sizeof *gradient);
    if (gradient == NULL) return MOCO_OUT_OF_MEMORY;
    direct_pass *pass = &gradient->pass;
    moco_direct_plan(pass, backend, desc, CPU_WEIGHT_GRADIENT);
    gradient->row = pass->in_blocks * pass->kernel * pass->kernel * pass->kernels->block;
    const int64_t bytes = out_channels(pass) * gradient->row * (int64_t) sizeof(float);
    const int64_t most = moco_min_i64(CPU_DIRECT_MOST_PARTS, pass->units);
    gradient->parts = 1; /* a power of two, as the number of threads is mostly */
    while (2 * gradient->parts <= most && 2 * gradient->parts * bytes <= CPU_DIRECT_PARTS_BYTES) gradient->parts *= 2;
    const int64_t tasks = gradient->parts * pass->groups;
    gradient->shares = moco_min_i64(pass->out_blocks, moco_ceil_divide(context->threads, tasks));
    gradient->worker_floats =
        aligned_floats(2 * most_steps(pass)) + aligned_floats(pass->copy_floats + pass->space_floats);
    const int64_t floats =
        gradient->parts * out_channels(pass) * gradient->row + context->threads * gradient->worker_floats;
    info->scratch_bytes = (uint64_t) floats * sizeof(float);
    *out = gradient;
    return MOCO_OK;
}

static moco_status run(cpu_backend *backend, const image_layer *desc, void *plan, const moco_layer_args *args) {
    (void) desc;
    moco_context *context = backend->host.context;
    const direct_gradient *gradient = (const direct_gradient *) plan;
    const direct_pass *pass = &gradient->pass;
    float *scratch = (float *) moco_host_address(&args->scratch);
    gradient_work work = {
        .gradient = gradient,
        .x = (const float *) moco_host_address(&args->inputs[MOCO_INPUT]),
        .dy = (const float *) moco_host_address(&args->dy),
        .dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
        .partial = scratch,
        .workers = scratch + gradient->parts * out_channels(pass) * gradient->row,
        .accumulate = args->accumulate,
    };
    moco_parallel_for_static(context, gradient->parts * pass->groups * gradient->shares, run_part, &work);
    moco_parallel_range(context, out_channels(pass), 1, add_parts, &work);
    return MOCO_OK;
}

static void release(cpu_backend *backend, void *plan) {
    moco_deallocate(backend->host.context, plan);
}

const cpu_convolution moco_direct_weight_gradient = {
    .name = "direct",
    .blocked = 1,
    .supports = supports,
    .plan = plan,
    .run = run,
    .release = release,
};
