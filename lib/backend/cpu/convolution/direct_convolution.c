/* Forward and the gradient of the input as plain sums of products (direct_plan.h). The weights are packed for each call,
 * since in training they change with each: for every few blocks of results the rows of lanes that a step multiplies by,
 * one after another.
 */
#include <string.h>

#include "backend/cpu/convolution/convolution_list.h"
#include "backend/cpu/convolution/direct_plan.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"

typedef struct direct_convolution {
    direct_pass pass;
    int64_t side_by_side;  /* blocks of results that products() makes at once: they divide out_blocks */
    int64_t slices;        /* tasks that share a unit's results */
    int64_t weight_floats; /* packed */
    int64_t steps;         /* the most of a phase and a chunk of blocks */
    int64_t worker_floats;
    int32_t streaming;
} direct_convolution;

typedef struct direct_work {
    const direct_convolution *convolution;
    const float *source, *weight;
    float *target, *packed;
    float *workers; /* worker_floats each: steps, then the copy */
    int32_t accumulate;
} direct_work;

static int64_t aligned_floats(int64_t floats) {
    return moco_ceil_divide(floats, 16) * 16;
}

/* --- Packed weights: [phase][group][side by side][block of the source][place][B][side_by_side][B] --- */

static int64_t step_floats(const direct_convolution *convolution) {
    const int64_t block = convolution->pass.kernels->block;
    return block * convolution->side_by_side * block;
}

/* Phases of groups of side-by-side blocks have one after another so many. */
static int64_t packs(const direct_pass *pass, int64_t side_by_side) {
    return pass->groups * pass->out_blocks / side_by_side;
}

static int64_t phase_floats(const direct_convolution *convolution, int64_t phase) {
    const direct_pass *pass = &convolution->pass;
    return packs(pass, convolution->side_by_side) * pass->in_blocks * moco_direct_places(pass, phase) *
           step_floats(convolution);
}

static int64_t phase_offset(const direct_convolution *convolution, int64_t phase) {
    int64_t floats = 0;
    for (int64_t before = 0; before < phase; ++before) floats += phase_floats(convolution, before);
    return floats;
}

/* The weights of groups that share a block, at one place; zero between the groups. */
static void pack_shared(const direct_pass *pass, const float *from, float *to) {
    const int64_t block = pass->kernels->block, seen = pass->seen;
    memset(to, 0, (size_t) (block * block) * sizeof *to);
    for (int64_t channel = 0; channel < block; ++channel) {
        for (int64_t i = 0; i < seen; ++i) {
            const int64_t lane = channel / seen * seen + i; /* of the same group */
            const int64_t at = pass->backward ? i * pass->weight_lane + channel * pass->weight_channel
                                              : lane * pass->weight_lane + channel % seen * pass->weight_channel;
            to[channel * block + lane] = from[at];
        }
    }
}

/* One task: a phase's weights of some blocks side by side. */
static void pack_weights(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const direct_work *work = (const direct_work *) argument;
    const direct_convolution *convolution = work->convolution;
    const direct_pass *pass = &convolution->pass;
    const int64_t block = pass->kernels->block, side = convolution->side_by_side;
    const int64_t all = packs(pass, side), phase = task / all, index = task % all;
    const int64_t per_group = pass->out_blocks / side, group = index / per_group;
    const int64_t places = moco_direct_places(pass, phase);
    const int64_t group_weights = pass->out_blocks * block * pass->seen * pass->kernel * pass->kernel;
    const float *weights = work->weight + group * group_weights + index % per_group * side * block * pass->weight_lane;
    float *to =
        work->packed + phase_offset(convolution, phase) + index * pass->in_blocks * places * step_floats(convolution);
    for (int64_t b = 0; b < pass->in_blocks; ++b) {
        const int64_t channels = moco_min_i64(block, pass->channels - b * block);
        for (int64_t i = 0; i < places; ++i, to += step_floats(convolution)) {
            const float *from = weights + b * block * pass->weight_channel + moco_direct_place(pass, phase, i);
            if (pass->seen < pass->channels) pack_shared(pass, from, to);
            for (int64_t s = 0; s < side && pass->seen == pass->channels; ++s) {
                pass->kernels->pack(from + s * block * pass->weight_lane, pass->weight_lane, pass->weight_channel,
                                    channels, to + s * block, side * block);
            }
        }
    }
}

/* --- One unit --- */

/* Results side by side, cut into tiles as equal as can be. */
static void run_pixels(const direct_convolution *convolution, direct_run run, int64_t pixels) {
    const direct_kernels *kernels = convolution->pass.kernels;
    const int64_t side = convolution->side_by_side;
    const int64_t tiles = moco_ceil_divide(pixels, kernels->most_pixels[side]);
    for (int64_t tile = 0, done = 0; tile < tiles; ++tile) {
        const int64_t next = (tile + 1) * pixels / tiles;
        kernels->products(&run, next - done, side);
        run.x += (next - done) * kernels->block;
        run.y += (next - done) * run.next_pixel;
        done = next;
    }
}

/* A phase's results of one sample: run.x is the sample's first pixel of the view, run.y the target's first. */
static void run_sample(const direct_convolution *convolution, const direct_unit *unit, const direct_view *view,
                       int64_t phase, direct_run run) {
    const direct_pass *pass = &convolution->pass;
    const int64_t block = pass->kernels->block, step = pass->step_out;
    const int64_t down = phase / step - pass->lead, right = phase % step - pass->lead;
    const int64_t begin = right < 0 ? 1 : 0; /* columns of the grid that are in the target */
    const int64_t end = moco_min_i64(pass->grid_w, moco_ceil_divide(pass->target_w - right, step));
    const int32_t flat = direct_is_flat(pass);
    const float *x = run.x;
    float *y = run.y;
    run.next_pixel = step * block;
    for (int64_t row = 0; row < (flat ? 1 : unit->rows); ++row) {
        const int64_t target_row = (unit->row + row) * step + down;
        if (target_row < 0 || target_row >= pass->target_h || end <= begin) continue;
        run.x = x + row * view->next_row + begin * block;
        run.y = y + (target_row * pass->target_w + begin * step + right) * block;
        run_pixels(convolution, run, flat ? unit->rows * pass->grid_w : end - begin);
    }
}

/* The sums over blocks [first, first + count) of a group for some of its results; they are added to what other blocks
 * gave before. */
static void run_blocks(const direct_work *work, const direct_unit *unit, int64_t group, int64_t slice, int64_t first,
                       int64_t count, int64_t *steps, float *copy) {
    const direct_convolution *convolution = work->convolution;
    const direct_pass *pass = &convolution->pass;
    const int64_t side = convolution->side_by_side, per_group = pass->out_blocks / side;
    const int64_t area = pass->target_h * pass->target_w * pass->kernels->block;
    const direct_view view = moco_direct_view(pass, unit, group, first, count, work->source, copy);
    for (int64_t phase = 0; phase < direct_phases(pass); ++phase) {
        direct_run run = {
            .steps = steps,
            .step_count = moco_direct_steps(pass, &view, phase, count, steps),
            .next_block = area,
            .accumulate = work->accumulate || first > 0,
            .streaming = convolution->streaming && !work->accumulate && count == pass->in_blocks,
        };
        if (run.step_count == 0 && run.accumulate) continue;
        const float *packed = work->packed + phase_offset(convolution, phase);
        const int64_t per_block = moco_direct_places(pass, phase) * step_floats(convolution);
        for (int64_t i = slice * per_group / convolution->slices; i < (slice + 1) * per_group / convolution->slices;
             ++i) {
            run.weights = packed + ((group * per_group + i) * pass->in_blocks + first) * per_block;
            for (int64_t sample = 0; sample < unit->samples; ++sample) {
                const int64_t plane = ((unit->sample + sample) * pass->groups + group) * pass->out_blocks + i * side;
                run.x = view.at + sample * view.next_sample;
                run.y = work->target + plane * area;
                run_sample(convolution, unit, &view, phase, run);
            }
        }
    }
}

static void run_task(void *argument, int64_t task, int32_t worker) {
    const direct_work *work = (const direct_work *) argument;
    const direct_convolution *convolution = work->convolution;
    const direct_pass *pass = &convolution->pass;
    const int64_t slice = task % convolution->slices, group = task / convolution->slices % pass->groups;
    const direct_unit unit = moco_direct_unit_of(pass, task / (convolution->slices * pass->groups));
    float *memory = work->workers + worker * convolution->worker_floats;
    int64_t *steps = (int64_t *) (void *) memory;
    float *copy = memory + aligned_floats(2 * convolution->steps);
    for (int64_t first = 0; first < pass->in_blocks; first += pass->copy_blocks) {
        run_blocks(work, &unit, group, slice, first, moco_min_i64(pass->copy_blocks, pass->in_blocks - first), steps,
                   copy);
    }
}

/* --- The ways of convolution_list.c --- */

/* As many blocks at once as there are registers for: four only where rows are so short that two would leave many
 * unused. */
static int64_t choose_side(const direct_pass *pass) {
    const direct_kernels *kernels = pass->kernels;
    const int64_t length = direct_is_flat(pass) ? pass->rows * pass->grid_w : pass->grid_w;
    if (pass->out_blocks % 4 == 0 && length <= kernels->most_pixels[4]) return 4;
    return pass->out_blocks % 2 == 0 ? 2 : 1;
}

static moco_status plan(cpu_backend *backend, const image_layer *desc, int kind, void **out,
                        cpu_convolution_info *info) {
    moco_context *context = backend->host.context;
    direct_convolution *convolution = (direct_convolution *) moco_allocate_zeroed(context, 1, sizeof *convolution);
    if (convolution == NULL) return MOCO_OUT_OF_MEMORY;
    direct_pass *pass = &convolution->pass;
    moco_direct_plan(pass, backend, desc, kind);
    convolution->side_by_side = choose_side(pass);
    const int64_t per_group = pass->out_blocks / convolution->side_by_side, tasks = pass->units * pass->groups;
    convolution->slices = moco_min_i64(per_group, moco_ceil_divide(CPU_DIRECT_TASKS, tasks));
    convolution->weight_floats = phase_offset(convolution, direct_phases(pass));
    for (int64_t phase = 0; phase < direct_phases(pass); ++phase) {
        convolution->steps = moco_max_i64(convolution->steps, pass->copy_blocks * moco_direct_places(pass, phase));
    }
    convolution->worker_floats =
        aligned_floats(2 * convolution->steps) + aligned_floats(pass->copy_floats + pass->space_floats);
    const int64_t target = desc->n * pass->groups * pass->out_blocks * pass->kernels->block * pass->target_h *
                           pass->target_w * (int64_t) sizeof(float);
    convolution->streaming = target >= CPU_STREAMED_BYTES;
    const int64_t floats = convolution->weight_floats + context->threads * convolution->worker_floats;
    info->scratch_bytes = (uint64_t) floats * sizeof(float);
    info->adds = kind == CPU_INPUT_GRADIENT;
    *out = convolution;
    return MOCO_OK;
}

static void run(cpu_backend *backend, const direct_convolution *convolution, const moco_layer_args *args,
                const moco_tensor *source, const moco_tensor *target, int32_t accumulate) {
    moco_context *context = backend->host.context;
    const direct_pass *pass = &convolution->pass;
    float *scratch = (float *) moco_host_address(&args->scratch);
    direct_work work = {
        .convolution = convolution,
        .source = (const float *) moco_host_address(source),
        .weight = (const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]),
        .target = (float *) moco_host_address(target),
        .packed = scratch,
        .workers = scratch + convolution->weight_floats,
        .accumulate = accumulate,
    };
    moco_parallel_for(context, direct_phases(pass) * packs(pass, convolution->side_by_side), pack_weights, &work);
    moco_parallel_for(context, pass->units * pass->groups * convolution->slices, run_task, &work);
}

static int32_t supports_forward(const cpu_backend *backend, const image_layer *desc) {
    return moco_direct_plans(backend, desc, CPU_FORWARD);
}

static moco_status plan_forward(cpu_backend *backend, const image_layer *desc, void **out, cpu_convolution_info *info) {
    return plan(backend, desc, CPU_FORWARD, out, info);
}

static moco_status run_forward(cpu_backend *backend, const image_layer *desc, void *plan, const moco_layer_args *args) {
    (void) desc;
    run(backend, (const direct_convolution *) plan, args, &args->inputs[MOCO_INPUT], &args->y, 0);
    return MOCO_OK;
}

static int32_t supports_input_gradient(const cpu_backend *backend, const image_layer *desc) {
    return moco_direct_plans(backend, desc, CPU_INPUT_GRADIENT);
}

static moco_status plan_input_gradient(cpu_backend *backend, const image_layer *desc, void **out,
                                       cpu_convolution_info *info) {
    return plan(backend, desc, CPU_INPUT_GRADIENT, out, info);
}

static moco_status run_input_gradient(cpu_backend *backend, const image_layer *desc, void *plan,
                                      const moco_layer_args *args) {
    (void) desc;
    run(backend, (const direct_convolution *) plan, args, &args->dy, &args->d_inputs[MOCO_INPUT],
        args->accumulate_inputs & 1 << MOCO_INPUT);
    return MOCO_OK;
}

static void release(cpu_backend *backend, void *plan) {
    moco_deallocate(backend->host.context, plan);
}

const cpu_convolution moco_direct_forward = {
    .name = "direct",
    .blocked = 1,
    .supports = supports_forward,
    .plan = plan_forward,
    .run = run_forward,
    .release = release,
};

const cpu_convolution moco_direct_input_gradient = {
    .name = "direct",
    .blocked = 1,
    .supports = supports_input_gradient,
    .plan = plan_input_gradient,
    .run = run_input_gradient,
    .release = release,
};
