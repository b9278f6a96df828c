/* BatchNorm with statistics per group of samples. A task is one channel: its values in a group, read for the mean, stay
 * in the cache for the variance and the normalization. `saved` holds float mean[groups x c], then rstd[groups x c].
 */
#include <math.h>

#include "backend/cpu/cpu_backend.h"
#include "core/checked.h"
#include "core/context_internal.h"

typedef struct norm_work {
    const vector_kernel *kernel;
    const image_layer *desc;
    const float *x, *y_kept, *dy, *residual, *weight, *bias;
    float *y, *dx, *d_residual, *dweight, *dbias, *running_mean, *running_var;
    float *saved; /* NULL in a forward without backward */
    int32_t accumulate;
} norm_work;

static norm_work work_of(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args) {
    const norm_work work = {
        .kernel = backend->vector,
        .desc = desc,
        .x = (const float *) moco_host_address(&args->inputs[MOCO_INPUT]),
        .y_kept = desc->relu ? (const float *) moco_host_address(&args->y) : NULL,
        .dy = (const float *) moco_host_address(&args->dy),
        .residual = desc->residual ? (const float *) moco_host_address(&args->inputs[MOCO_RESIDUAL]) : NULL,
        .weight = (const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]),
        .bias = (const float *) moco_host_address(&args->parameters[MOCO_BIAS]),
        .y = (float *) moco_host_address(&args->y),
        .dx = (float *) moco_host_address(&args->d_inputs[MOCO_INPUT]),
        .d_residual = desc->residual ? (float *) moco_host_address(&args->d_inputs[MOCO_RESIDUAL]) : NULL,
        .dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
        .dbias = (float *) moco_host_address(&args->d_parameters[MOCO_BIAS]),
        .running_mean = (float *) moco_host_address(&args->parameters[MOCO_RUNNING_MEAN]),
        .running_var = (float *) moco_host_address(&args->parameters[MOCO_RUNNING_VAR]),
        .saved = args->mode == MOCO_MODE_TRAIN ? (float *) moco_host_address(&args->saved) : NULL,
        .accumulate = args->accumulate,
    };
    return work;
}

/* Channel `channel` of a group's samples: where it begins, and the planes that follow. */
typedef struct norm_group {
    int64_t first;
    vector_planes planes;
    double count;
} norm_group;

static norm_group group_of(const image_layer *desc, int64_t group, int64_t channel) {
    const int64_t groups = desc->bn_groups, area = desc->h * desc->w;
    int64_t sample = group, samples = (desc->n - group + groups - 1) / groups, step = groups;
    if (!desc->bn_strided) {
        sample = group * desc->n / groups;
        samples = (group + 1) * desc->n / groups - sample;
        step = 1;
    }
    const norm_group out = {
        (sample * desc->c + channel) * area, {samples, step * desc->c * area, area}, (double) samples * (double) area};
    return out;
}

static void write_output(const norm_work *work, const norm_group *group, int64_t channel, float mean, float rstd) {
    work->kernel->normalize(work->x + group->first, work->residual == NULL ? NULL : work->residual + group->first, mean,
                            rstd * work->weight[channel], work->bias[channel], work->desc->relu, &group->planes,
                            work->y + group->first);
}

static void train_channel(void *argument, int64_t channel, int32_t worker) {
    (void) worker;
    const norm_work *work = (const norm_work *) argument;
    const image_layer *desc = work->desc;
    const int64_t groups = desc->bn_groups;
    double mean_of_means = 0.0, mean_of_variances = 0.0;
    for (int64_t g = 0; g < groups; ++g) {
        const norm_group group = group_of(desc, g, channel);
        const float *x = work->x + group.first;
        const double mean = work->kernel->sum(x, &group.planes) / group.count;
        const double off = mean - (double) (float) mean; /* what the float mean of the second pass lacks */
        const double squares =
            fmax(work->kernel->squares(x, (float) mean, &group.planes) - group.count * off * off, 0.0);
        const double rstd = 1.0 / sqrt(squares / group.count + desc->bn_eps);
        write_output(work, &group, channel, (float) mean, (float) rstd);
        if (work->saved != NULL) {
            work->saved[g * desc->c + channel] = (float) mean;
            work->saved[(groups + g) * desc->c + channel] = (float) rstd;
        }
        mean_of_means += mean / (double) groups;
        mean_of_variances += squares / (group.count - 1.0) / (double) groups;
    }
    if (work->running_mean == NULL) return;
    const double m = desc->bn_momentum;
    work->running_mean[channel] = (float) ((1.0 - m) * (double) work->running_mean[channel] + m * mean_of_means);
    work->running_var[channel] = (float) ((1.0 - m) * (double) work->running_var[channel] + m * mean_of_variances);
}

static void evaluate_channel(void *argument, int64_t channel, int32_t worker) {
    (void) worker;
    const norm_work *work = (const norm_work *) argument;
    const image_layer *desc = work->desc;
    const int64_t area = desc->h * desc->w;
    const norm_group all = {channel * area, {desc->n, desc->c * area, area}, 0.0};
    const double rstd = 1.0 / sqrt((double) work->running_var[channel] + desc->bn_eps);
    write_output(work, &all, channel, work->running_mean[channel], (float) rstd);
}

static moco_status forward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    norm_work work = work_of(backend, &layer->desc, args);
    moco_parallel_for(backend->host.context, layer->desc.c,
                      args->mode == MOCO_MODE_EVALUATE ? evaluate_channel : train_channel, &work);
    return MOCO_OK;
}

/* dx = weight rstd (dz - mean(dz) - (x - mean) rstd^2 mean(dz (x - mean))), means over the group. */
static void backward_channel(void *argument, int64_t channel, int32_t worker) {
    (void) worker;
    const norm_work *work = (const norm_work *) argument;
    const image_layer *desc = work->desc;
    const int64_t groups = desc->bn_groups;
    double dweight = 0.0, dbias = 0.0;
    for (int64_t g = 0; g < groups; ++g) {
        const norm_group group = group_of(desc, g, channel);
        const float mean = work->saved[g * desc->c + channel];
        const double rstd = (double) work->saved[(groups + g) * desc->c + channel];
        const float *x = work->x + group.first, *dy = work->dy + group.first;
        const float *y = work->y_kept == NULL ? NULL : work->y_kept + group.first;
        double sum, product;
        work->kernel->gradient_sums(dy, y, x, mean, &group.planes, &sum, &product);
        dbias += sum;
        dweight += product * rstd;
        if (work->dx == NULL && work->d_residual == NULL) continue;
        work->kernel->gradient_apply(dy, y, x, mean, (float) (rstd * (double) work->weight[channel]),
                                     (float) (sum / group.count), (float) (rstd * rstd * product / group.count),
                                     &group.planes, work->dx == NULL ? NULL : work->dx + group.first,
                                     work->d_residual == NULL ? NULL : work->d_residual + group.first);
    }
    if (work->dweight != NULL) {
        work->dweight[channel] = (float) (dweight + (work->accumulate ? (double) work->dweight[channel] : 0.0));
    }
    if (work->dbias != NULL) {
        work->dbias[channel] = (float) (dbias + (work->accumulate ? (double) work->dbias[channel] : 0.0));
    }
}

static moco_status backward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    norm_work work = work_of(backend, &layer->desc, args);
    work.saved = (float *) moco_host_address(&args->saved);
    moco_parallel_for(backend->host.context, layer->desc.c, backward_channel, &work);
    return MOCO_OK;
}

static moco_status plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const image_layer *desc = &layer->desc;
    (void) backend;
    if (desc->residual && desc->residual_layout != MOCO_LAYOUT_PLAIN) {
        return moco_fail(MOCO_UNSUPPORTED, "a BatchNorm on PLAIN layout takes no residual in another one");
    }
    info->works_in_place = 1;
    if (!desc->training) return MOCO_OK;
    info->saved_bytes = (uint64_t) (2 * desc->c * desc->bn_groups) * sizeof(float);
    info->backward_needs_inputs = 1 << MOCO_INPUT;
    info->backward_needs_y = desc->relu != 0;
    return MOCO_OK;
}

const cpu_layer_ops moco_cpu_plain_norm = {
    .kind = MOCO_LAYER_BATCH_NORM,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
