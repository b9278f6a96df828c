/* Grouped BatchNorm with fused residual and ReLU on the channel-blocked layout. Statistics are taken per (sample,
 * channel block) in parallel, then combined over each group's samples in double and in sample order: the same bits for
 * any number of threads, and none of the cancellation of E[x^2] - E[x]^2.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"

static moco_status plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const image_layer *desc = &layer->desc;
    const cpu_format *format = moco_cpu_blocked_input(backend, desc);
    if (format == NULL) return moco_fail(MOCO_UNSUPPORTED, "a blocked BatchNorm takes blocked layouts only");
    uint64_t statistics;
    MOCO_TRY(moco_cpu_bytes(format->dtype, desc->n, desc->c, desc->h, desc->w, &info->output_bytes));
    MOCO_TRY(moco_cpu_bytes(MOCO_DTYPE_F32, desc->bn_groups, desc->c, 1, 2, &statistics));
    MOCO_TRY(moco_cpu_bytes(MOCO_DTYPE_F32, desc->n, desc->c, 1, 2, &info->scratch_bytes));
    info->scratch_bytes += 2 * statistics; /* a key forward's own, and backward's offset and slope */
    info->saved_bytes = desc->training ? statistics : 0;
    if (desc->training && desc->relu && desc->residual) { /* a bit for each element */
        info->saved_bytes += info->output_bytes / (uint64_t) (8 * format->kernels->element_bytes);
    }
    info->wanted_input_layout = format->layout;
    info->output_layout = format->layout;
    info->output_dtype = format->dtype;
    info->works_in_place = 1;
    info->backward_needs_inputs = 1 << MOCO_INPUT;
    return MOCO_OK;
}

/* One call's view of everything: addresses, sizes, partial results. */
typedef struct norm_work {
    const blocked_kernels *kernels;
    const image_layer *desc;
    int64_t block, blocks, spatial, groups;
    int64_t run_bytes; /* of a task's activations, which are char here */
    const char *x, *dy, *residual;
    char *y, *dx, *d_residual;
    char *positive; /* with residual and relu: a bit for each element of y; without residual its sign follows from x */
    const float *weight, *bias;
    float *dweight, *dbias;
    float *running_mean, *running_var;
    float *mean, *rstd;    /* groups x c */
    float *partial_a;      /* n x c: a sample's mean, or its sum of dz */
    float *partial_b;      /* n x c: its squares, or its sum of dz (x - mean) */
    float *offset, *slope; /* groups x c: backward's two means */
    int32_t accumulate;
    int32_t evaluate;
    int32_t streaming; /* results are too large for the cache to keep until somebody reads them */
} norm_work;

static int64_t group_of(const image_layer *desc, int64_t sample) {
    const int64_t groups = desc->bn_groups;
    return desc->bn_strided ? sample % groups : ((sample + 1) * groups - 1) / desc->n;
}

/* The samples of a group: first, first + next ... before end. */
typedef struct sample_range {
    int64_t first, end, next, count;
} sample_range;

static sample_range samples_of(const image_layer *desc, int64_t group) {
    const int64_t groups = desc->bn_groups;
    sample_range range = {group, desc->n, groups, moco_ceil_divide(desc->n - group, groups)};
    if (!desc->bn_strided) {
        range.first = group * desc->n / groups;
        range.end = (group + 1) * desc->n / groups;
        range.next = 1;
        range.count = range.end - range.first;
    }
    return range;
}

static norm_work work_of(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args) {
    norm_work work;
    memset(&work, 0, sizeof work);
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    work.kernels = format->kernels;
    work.desc = desc;
    work.block = format->block;
    work.blocks = desc->c / format->block;
    work.spatial = desc->h * desc->w;
    work.run_bytes = work.spatial * format->block * format->kernels->element_bytes;
    work.groups = desc->bn_groups;
    work.x = (const char *) moco_host_address(&args->inputs[MOCO_INPUT]);
    work.y = (char *) moco_host_address(&args->y);
    work.residual = desc->residual ? (const char *) moco_host_address(&args->inputs[MOCO_RESIDUAL]) : NULL;
    work.weight = (const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]);
    work.bias = (const float *) moco_host_address(&args->parameters[MOCO_BIAS]);
    work.running_mean = (float *) moco_host_address(&args->parameters[MOCO_RUNNING_MEAN]);
    work.running_var = (float *) moco_host_address(&args->parameters[MOCO_RUNNING_VAR]);
    work.accumulate = args->accumulate;
    work.evaluate = args->mode == MOCO_MODE_EVALUATE;
    work.streaming = desc->n * work.blocks * work.run_bytes >= CPU_STREAMED_BYTES;
    float *scratch = (float *) moco_host_address(&args->scratch);
    const int64_t per_sample = desc->n * desc->c, per_group = work.groups * desc->c;
    work.partial_a = scratch;
    work.partial_b = scratch + per_sample;
    float *statistics = scratch + 2 * per_sample;
    work.offset = statistics + 2 * per_group;
    work.slope = statistics + 3 * per_group;
    float *saved = (float *) moco_host_address(&args->saved);
    work.mean = args->mode == MOCO_MODE_TRAIN && saved != NULL ? saved : statistics;
    work.rstd = work.mean + per_group;
    if (work.mean == saved && desc->relu && desc->residual) work.positive = (char *) (saved + 2 * per_group);
    return work;
}

/* Where task i, a (sample, channel block), finds its group's statistics. */
static int64_t statistics_of(const norm_work *work, int64_t i) {
    return group_of(work->desc, i / work->blocks) * work->desc->c + i % work->blocks * work->block;
}

static char *positive_of(const norm_work *work, int64_t task) {
    return work->positive == NULL ? NULL : work->positive + task * work->spatial * work->block / 8;
}

typedef void (*norm_task_fn)(const norm_work *work, int64_t task);

/* One way through channel blocks [first, first + count) of all samples. */
typedef struct norm_pass {
    const norm_work *work;
    norm_task_fn task;
    moco_range_fn combine;
    int64_t first, count;
    int64_t shares;
    int32_t backwards;
} norm_pass;

static void run_share(void *argument, int64_t share, int32_t worker) {
    (void) worker;
    const norm_pass *pass = (const norm_pass *) argument;
    const int64_t tasks = pass->work->desc->n * pass->count;
    const int64_t begin = share * tasks / pass->shares, end = (share + 1) * tasks / pass->shares;
    for (int64_t i = begin; i < end; ++i) {
        const int64_t at = pass->backwards ? begin + end - 1 - i : i;
        pass->task(pass->work, at / pass->count * pass->work->blocks + pass->first + at % pass->count);
    }
}

static void combine_blocks(void *argument, int64_t begin, int64_t end) {
    const norm_pass *pass = (const norm_pass *) argument;
    const int64_t block = pass->work->block;
    pass->combine((void *) pass->work, (pass->first + begin) * block, (pass->first + end) * block);
}

static void run_pass(const cpu_backend *backend, norm_pass *pass, norm_task_fn task, int32_t backwards) {
    const int64_t tasks = pass->work->desc->n * pass->count,
                  grain = moco_cpu_grain(pass->work->spatial * pass->work->block);
    pass->task = task;
    pass->backwards = backwards;
    pass->shares = moco_min_i64(backend->host.context->threads, moco_ceil_divide(tasks, grain));
    moco_parallel_for_static(backend->host.context, pass->shares, run_share, pass);
}

/* Statistics, and what follows from them (`apply`; NULL: nothing), for CPU_NORM_BYTES of channel blocks at a time, which
 * are still in the cache for the second reading. That goes backwards: what was read last is the likeliest to be there. A
 * thread keeps to its samples where there are enough, as the convolutions around do: cores need not share a cache. */
static void run_both(const cpu_backend *backend, const norm_work *work, norm_task_fn take, moco_range_fn combine,
                     norm_task_fn apply) {
    const int64_t samples = work->desc->n, threads = backend->host.context->threads;
    const int64_t least = samples % threads == 0 ? 1 : moco_ceil_divide(4 * threads, samples); /* to share out evenly */
    const int64_t at_once = moco_max_i64(least, CPU_NORM_BYTES / (samples * work->run_bytes));
    for (int64_t first = 0; first < work->blocks; first += at_once) {
        norm_pass pass = {.work = work, .combine = combine, .first = first};
        pass.count = moco_min_i64(at_once, work->blocks - first);
        run_pass(backend, &pass, take, 0);
        moco_parallel_range(backend->host.context, pass.count, 1, combine_blocks, &pass);
        if (apply != NULL) run_pass(backend, &pass, apply, 1);
    }
}

/* --- Forward --- */

static void moments_of(const norm_work *work, int64_t task) {
    work->kernels->moments(work->x + task * work->run_bytes, work->spatial, work->partial_a + task * work->block,
                           work->partial_b + task * work->block);
}

/* Statistics of channels [begin, end): the group's mean is its samples' mean (all have `spatial` values), its squares
 * are the samples' own plus what their means differ from the group's. */
static void combine_moments(void *argument, int64_t begin, int64_t end) {
    const norm_work *work = (const norm_work *) argument;
    const image_layer *desc = work->desc;
    for (int64_t channel = begin; channel < end; ++channel) {
        double running_mean = 0, running_var = 0;
        for (int64_t group = 0; group < work->groups; ++group) {
            const sample_range samples = samples_of(desc, group);
            double sum = 0, squares = 0;
            for (int64_t i = samples.first; i < samples.end; i += samples.next) {
                sum += (double) work->partial_a[i * desc->c + channel];
            }
            const double mean = sum / (double) samples.count;
            for (int64_t i = samples.first; i < samples.end; i += samples.next) {
                const double difference = (double) work->partial_a[i * desc->c + channel] - mean;
                squares +=
                    (double) work->partial_b[i * desc->c + channel] + (double) work->spatial * difference * difference;
            }
            const double count = (double) (samples.count * work->spatial);
            work->mean[group * desc->c + channel] = (float) mean;
            work->rstd[group * desc->c + channel] = (float) (1.0 / sqrt(squares / count + desc->bn_eps));
            running_mean += mean;
            running_var += squares / (count - 1.0);
        }
        if (work->running_mean == NULL) continue; /* the caller keeps none */
        const double m = desc->bn_momentum, groups = (double) work->groups;
        work->running_mean[channel] =
            (float) ((1 - m) * (double) work->running_mean[channel] + m * running_mean / groups);
        work->running_var[channel] = (float) ((1 - m) * (double) work->running_var[channel] + m * running_var / groups);
    }
}

static void use_running(norm_work *work) {
    const image_layer *desc = work->desc;
    for (int64_t group = 0; group < work->groups; ++group) {
        for (int64_t channel = 0; channel < desc->c; ++channel) {
            work->mean[group * desc->c + channel] = work->running_mean[channel];
            work->rstd[group * desc->c + channel] =
                (float) (1.0 / sqrt((double) work->running_var[channel] + desc->bn_eps));
        }
    }
}

#define MAX_BLOCK 16

static void scale_of(const norm_work *work, int64_t channel, int64_t at, float scale[MAX_BLOCK]) {
    for (int64_t c = 0; c < work->block; ++c) scale[c] = work->weight[channel + c] * work->rstd[at + c];
}

static void normalize(const norm_work *work, int64_t task) {
    _Alignas(64) float scale[MAX_BLOCK];
    const int64_t channel = task % work->blocks * work->block;
    const int64_t at = statistics_of(work, task);
    const int64_t offset = task * work->run_bytes;
    scale_of(work, channel, at, scale);
    work->kernels->normalize(work->x + offset, work->residual == NULL ? NULL : work->residual + offset,
                             work->desc->relu, work->mean + at, scale, work->bias + channel, work->spatial,
                             work->y + offset, positive_of(work, task), work->streaming && work->y != work->x);
}

static moco_status forward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    norm_work work = work_of(backend, &layer->desc, args);
    if (work.evaluate) {
        norm_pass pass = {.work = &work, .count = work.blocks};
        use_running(&work);
        run_pass(backend, &pass, normalize, 0);
        return MOCO_OK;
    }
    run_both(backend, &work, moments_of, combine_moments, normalize);
    return MOCO_OK;
}

/* --- Backward: dx = weight rstd (dz - mean(dz) - xhat mean(dz xhat)) --- */

static void gradient_sums_of(const norm_work *work, int64_t task) {
    _Alignas(64) float scale[MAX_BLOCK];
    const int64_t channel = task % work->blocks * work->block;
    const int64_t at = statistics_of(work, task);
    const int64_t offset = task * work->run_bytes;
    scale_of(work, channel, at, scale);
    work->kernels->gradient_sums(work->dy + offset, positive_of(work, task), work->x + offset, work->desc->relu,
                                 work->mean + at, scale, work->bias + channel, work->spatial,
                                 work->partial_a + task * work->block, work->partial_b + task * work->block);
}

static void combine_gradient_sums(void *argument, int64_t begin, int64_t end) {
    const norm_work *work = (const norm_work *) argument;
    const image_layer *desc = work->desc;
    for (int64_t channel = begin; channel < end; ++channel) {
        double dweight = 0, dbias = 0;
        for (int64_t group = 0; group < work->groups; ++group) {
            const sample_range samples = samples_of(desc, group);
            double sum = 0, product_sum = 0;
            for (int64_t i = samples.first; i < samples.end; i += samples.next) {
                sum += (double) work->partial_a[i * desc->c + channel];
                product_sum += (double) work->partial_b[i * desc->c + channel];
            }
            const int64_t at = group * desc->c + channel;
            const double count = (double) (samples.count * work->spatial), rstd = (double) work->rstd[at];
            work->offset[at] = (float) (sum / count);
            work->slope[at] = (float) (rstd * rstd * product_sum / count);
            dbias += sum;
            dweight += rstd * product_sum;
        }
        if (work->dweight != NULL) {
            work->dweight[channel] = (float) (dweight + (work->accumulate ? (double) work->dweight[channel] : 0));
        }
        if (work->dbias != NULL) {
            work->dbias[channel] = (float) (dbias + (work->accumulate ? (double) work->dbias[channel] : 0));
        }
    }
}

static void apply_gradient(const norm_work *work, int64_t task) {
    _Alignas(64) float scale[MAX_BLOCK];
    const int64_t channel = task % work->blocks * work->block;
    const int64_t at = statistics_of(work, task);
    const int64_t offset = task * work->run_bytes;
    scale_of(work, channel, at, scale);
    work->kernels->gradient_apply(work->dy + offset, positive_of(work, task), work->x + offset, work->desc->relu,
                                  work->mean + at, scale, work->bias + channel, work->offset + at, work->slope + at,
                                  work->spatial, work->dx == NULL ? NULL : work->dx + offset,
                                  work->d_residual == NULL ? NULL : work->d_residual + offset, work->streaming);
}

static moco_status backward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    norm_work work = work_of(backend, &layer->desc, args);
    work.dy = (const char *) moco_host_address(&args->dy);
    work.dx = (char *) moco_host_address(&args->d_inputs[MOCO_INPUT]);
    work.d_residual = (char *) moco_host_address(&args->d_inputs[MOCO_RESIDUAL]);
    work.dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]);
    work.dbias = (float *) moco_host_address(&args->d_parameters[MOCO_BIAS]);
    const int32_t applies = work.dx != NULL || work.d_residual != NULL;
    run_both(backend, &work, gradient_sums_of, combine_gradient_sums, applies ? apply_gradient : NULL);
    return MOCO_OK;
}

const cpu_layer_ops moco_cpu_blocked_norm = {
    .kind = MOCO_LAYER_BATCH_NORM,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
