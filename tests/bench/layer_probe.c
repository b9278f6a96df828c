#include "layer_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fma_probe.h"
#include "measure.h"

extern const moco_backend_ops moco_backend_cblas;
extern const moco_backend_ops moco_backend_reference;
/* Only in builds that have it. */
extern const moco_backend_ops moco_backend_onednn __attribute__((weak));

const char *const bench_pass_names[BENCH_PASSES] = {"forward", "backward", "backward_weights"};

/* --- The backends --- */

static moco_layer_desc conv_desc(int64_t n, int64_t c, int64_t h, int64_t out_c, int32_t kernel, int32_t dtype) {
    const bench_layer_shape shape = {1, n, c, h, out_c, kernel, 1, kernel / 2, 1, 0, 1};
    return bench_layer_desc(&shape, dtype);
}

/* The layout that a first convolution leaves to the next ones. */
static uint64_t layout_between_convolutions(const bench_chain *chain, int32_t dtype, int32_t *output_dtype) {
    const moco_layer_desc desc = conv_desc(1, 3, 32, 64, 3, dtype);
    *output_dtype = MOCO_DTYPE_F32;
    for (int i = 0; i < chain->count; ++i) {
        moco_layer *layer = NULL;
        moco_layer_info info = {.struct_size = sizeof info};
        if (chain->ops[i]->layer_create(chain->self[i], &desc, &layer, &info) != MOCO_OK) continue;
        chain->ops[i]->layer_destroy(chain->self[i], layer);
        *output_dtype = info.output_dtype;
        return info.output_layout;
    }
    return MOCO_LAYOUT_PLAIN;
}

moco_status bench_chain_open(bench_chain *chain, moco_context *context, const char *name, int32_t dtype) {
    const moco_backend_ops *const all[BENCH_MOST_BACKENDS] = {&moco_backend_onednn, &moco_backend_cblas,
                                                              &moco_backend_reference};
    memset(chain, 0, sizeof *chain);
    int found = name == NULL || strcmp(name, "auto") == 0;
    for (int i = 0; i < BENCH_MOST_BACKENDS; ++i) {
        if (all[i] == NULL) continue;
        found |= name != NULL && strcmp(all[i]->name, name) == 0;
        void *self = NULL;
        if (!found || all[i]->create(&self, context) != MOCO_OK) continue;
        chain->ops[chain->count] = all[i];
        chain->self[chain->count++] = self;
    }
    if (chain->count == 0) return MOCO_NOT_FOUND;
    chain->memory = chain->ops[chain->count - 1];
    chain->memory_self = chain->self[chain->count - 1];
    chain->layout = layout_between_convolutions(chain, dtype, &chain->layout_dtype);
    return MOCO_OK;
}

void bench_chain_close(bench_chain *chain) {
    for (int i = chain->count - 1; i >= 0; --i) chain->ops[i]->destroy(chain->self[i]);
    chain->count = 0;
}

/* --- One layer --- */

moco_layer_desc bench_layer_desc(const bench_layer_shape *s, int32_t dtype) {
    moco_layer_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.kind = s->linear ? MOCO_LAYER_LINEAR : MOCO_LAYER_CONV2D;
    desc.dtype = MOCO_DTYPE_F32;
    desc.compute_dtype = dtype;
    desc.training = 1;
    const int64_t side = bench_layer_out_h(s);
    const moco_value_desc input = {.rank = s->linear ? 2 : 4, .dims = {s->n, s->c, s->h, s->h}};
    const moco_value_desc output = {.rank = input.rank, .dims = {s->n, s->out_c, side, side}};
    desc.input_count = 1;
    desc.inputs[MOCO_INPUT] = input;
    desc.output = output;
    desc.parameter_count = s->linear ? 2 : 1;
    if (s->linear) {
        desc.of.linear.out_c = s->out_c;
    } else {
        const moco_conv2d_desc conv = {
            .out_c = s->out_c, .kernel = s->kernel, .stride = s->stride, .padding = s->padding, .groups = s->groups};
        desc.of.conv2d = conv;
    }
    desc.skip_input_gradient = s->first;
    return desc;
}

static int64_t elements_of(const moco_tensor *tensor) {
    return tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

/* Numbers in [-1, 1) as float32 or bfloat16. */
static void fill(bench_layer *b, const moco_tensor *tensor) {
    const int64_t count = elements_of(tensor);
    float *values = (float *) malloc((size_t) count * sizeof *values);
    if (values == NULL) return;
    bench_fill(values, count, (uint64_t) count);
    uint64_t bytes = (uint64_t) count * sizeof *values;
    if (tensor->dtype == MOCO_DTYPE_BF16) {
        for (int64_t i = 0; i < count; ++i) memmove((uint16_t *) values + i, (const uint16_t *) values + 2 * i + 1, 2);
        bytes /= 2;
    }
    b->chain->memory->upload(b->chain->memory_self, tensor->buffer, 0, values, bytes);
    free(values);
}

/* `bytes` 0: as many as its elements take in float32. */
static moco_tensor make_tensor(bench_layer *b, int32_t rank, const int64_t dims[4], uint64_t bytes, uint64_t layout,
                               int32_t dtype) {
    moco_tensor tensor = {NULL, 0, dtype, rank, {dims[0], dims[1], dims[2], dims[3]}, layout};
    const int64_t count = elements_of(&tensor);
    if (bytes == 0) bytes = (uint64_t) count * sizeof(float);
    if (bytes == 0 || b->chain->memory->buffer_create(b->chain->memory_self, bytes, &tensor.buffer) != MOCO_OK) {
        tensor.buffer = NULL;
        return tensor;
    }
    b->buffers[b->count++] = tensor.buffer;
    fill(b, &tensor);
    return tensor;
}

static moco_tensor vector(bench_layer *b, int64_t elements) {
    const int64_t dims[4] = {elements, 1, 1, 1};
    return make_tensor(b, 1, dims, 0, MOCO_LAYOUT_PLAIN, MOCO_DTYPE_F32);
}

static moco_tensor bytes_of(bench_layer *b, uint64_t bytes) {
    return vector(b, (int64_t) ((bytes + 3) / 4));
}

static void make_tensors(bench_layer *b, const moco_layer_info *info) {
    const moco_layer_desc *desc = &b->desc;
    const int32_t conv = desc->kind == MOCO_LAYER_CONV2D, linear = desc->kind == MOCO_LAYER_LINEAR;
    const moco_conv2d_desc *window = &desc->of.conv2d;
    const uint64_t layout = desc->inputs[MOCO_INPUT].layout;
    const int32_t rank = desc->inputs[MOCO_INPUT].rank;
    const int32_t input_dtype = layout == MOCO_LAYOUT_PLAIN ? MOCO_DTYPE_F32 : b->chain->layout_dtype;
    const int64_t *input = desc->inputs[MOCO_INPUT].dims, *output = desc->output.dims, c = input[1], out_c = output[1];
    const int64_t kernel = conv ? window->kernel : 1;
    const int64_t weights[4] = {out_c, conv ? c / window->groups : c, kernel, kernel};
    b->args.inputs[MOCO_INPUT] = make_tensor(b, rank, input, 0, layout, input_dtype);
    b->args.d_inputs[MOCO_INPUT] = make_tensor(b, rank, input, 0, layout, input_dtype);
    b->args.y = make_tensor(b, rank, output, info->output_bytes, info->output_layout, info->output_dtype);
    b->args.dy = make_tensor(b, rank, output, info->output_bytes, info->output_layout, info->output_dtype);
    if (conv || linear) {
        b->args.parameters[MOCO_WEIGHT] = make_tensor(b, rank, weights, 0, MOCO_LAYOUT_PLAIN, MOCO_DTYPE_F32);
        b->args.d_parameters[MOCO_WEIGHT] = make_tensor(b, rank, weights, 0, MOCO_LAYOUT_PLAIN, MOCO_DTYPE_F32);
    } else {
        b->args.parameters[MOCO_WEIGHT] = vector(b, c);
        b->args.d_parameters[MOCO_WEIGHT] = vector(b, c);
        b->args.parameters[MOCO_RUNNING_MEAN] = vector(b, c);
        b->args.parameters[MOCO_RUNNING_VAR] = vector(b, c);
    }
    if (!conv) {
        b->args.parameters[MOCO_BIAS] = vector(b, out_c);
        b->args.d_parameters[MOCO_BIAS] = vector(b, out_c);
    }
    b->args.saved = bytes_of(b, info->saved_bytes);
    b->args.scratch = bytes_of(b, info->scratch_bytes);
}

moco_status bench_layer_open(bench_layer *b, bench_chain *chain, const moco_layer_desc *desc) {
    memset(b, 0, sizeof *b);
    b->args.struct_size = sizeof b->args;
    b->chain = chain;
    /* As in a network: the layout between convolutions where a backend takes it, else rows of pixels. */
    const uint64_t layouts[2] = {chain->layout, MOCO_LAYOUT_PLAIN};
    moco_status status = MOCO_UNSUPPORTED;
    for (int choice = 0; choice < 2 && b->layer == NULL; ++choice) {
        b->desc = *desc;
        b->desc.inputs[MOCO_INPUT].layout = layouts[choice];
        if (layouts[choice] != MOCO_LAYOUT_PLAIN && (desc->kind == MOCO_LAYER_LINEAR || desc->skip_input_gradient))
            continue;
        for (int i = 0; i < chain->count && b->layer == NULL; ++i) {
            moco_layer_info info = {.struct_size = sizeof info};
            status = chain->ops[i]->layer_create(chain->self[i], &b->desc, &b->layer, &info);
            if (status == MOCO_UNSUPPORTED) {
                b->layer = NULL;
                continue;
            }
            if (status != MOCO_OK) return status;
            b->ops = chain->ops[i];
            b->self = chain->self[i];
            if (info.wanted_input_layout == b->desc.inputs[MOCO_INPUT].layout) {
                make_tensors(b, &info);
                return MOCO_OK;
            }
            b->ops->layer_destroy(b->self, b->layer);
            b->layer = NULL;
            break;
        }
    }
    return status == MOCO_OK ? MOCO_UNSUPPORTED : status;
}

void bench_layer_close(bench_layer *b) {
    if (b->layer != NULL) b->ops->layer_destroy(b->self, b->layer);
    for (int i = 0; i < b->count; ++i) b->chain->memory->buffer_destroy(b->chain->memory_self, b->buffers[i]);
    b->layer = NULL;
    b->count = 0;
}

double bench_layer_run(bench_layer *b, int pass) {
    moco_layer_args args = b->args;
    if (pass == BENCH_BACKWARD_WEIGHTS || b->desc.skip_input_gradient) args.d_inputs[MOCO_INPUT].buffer = NULL;
    if (pass == BENCH_FORWARD) args.d_inputs[MOCO_INPUT].buffer = NULL;
    const double start = bench_now_ms();
    const moco_status status = pass == BENCH_FORWARD ? b->ops->layer_forward(b->self, b->layer, &args)
                                                     : b->ops->layer_backward(b->self, b->layer, &args);
    return status == MOCO_OK ? bench_now_ms() - start : -1;
}

/* --- The machine's limits --- */

static double best_ms(bench_layer *b, int pass, int reps) {
    double best = bench_layer_run(b, pass);
    for (int i = 0; i < reps; ++i) {
        const double ms = bench_layer_run(b, pass);
        if (ms < best) best = ms;
    }
    return best;
}

static void keep_best(bench_peak *peak, const bench_layer_shape *s, const char *pass, double gflops) {
    if (gflops <= peak->best_gflops) return;
    peak->best_gflops = gflops;
    snprintf(peak->best_layer, sizeof peak->best_layer, "%s %lld x %lld x %lld x %lld to %lld, %dx%d stride %d %s",
             s->linear ? "linear" : "convolution", (long long) s->n, (long long) s->c, (long long) s->h,
             (long long) s->h, (long long) s->out_c, s->kernel, s->kernel, s->stride, pass);
}

static double sgemm_gflops(bench_chain *chain, int reps) {
    double best = 0;
    for (int64_t side = 512; side <= 1536; side += 512) {
        const bench_layer_shape shape = {1, side, side, 1, side, 1, 1, 0, 1, 1, 0};
        const moco_layer_desc desc = bench_layer_desc(&shape, MOCO_DTYPE_F32);
        bench_layer b;
        if (bench_layer_open(&b, chain, &desc) == MOCO_OK) {
            const double gflops = bench_layer_gflop(&shape) / best_ms(&b, BENCH_FORWARD, reps) * 1e3;
            if (gflops > best) best = gflops;
        }
        bench_layer_close(&b);
    }
    return best;
}

moco_status bench_measure_peak(bench_chain *chain, const bench_layer_shape *shapes, int count, int32_t dtype,
                               int threads, int reps, bench_peak *peak) {
    double milliseconds = 0;
    for (int i = 0; i < count; ++i) {
        const bench_layer_shape *s = &shapes[i];
        moco_layer_desc desc = bench_layer_desc(s, dtype);
        if (desc.kind == MOCO_LAYER_CONV2D)
            desc.of.conv2d.direct = 1; /* else it would be no limit of what "gflop" counts */
        bench_layer b;
        const moco_status status = bench_layer_open(&b, chain, &desc);
        if (status != MOCO_OK) {
            bench_layer_close(&b);
            return status;
        }
        const double gflop = bench_layer_gflop(s);
        const double forward = best_ms(&b, BENCH_FORWARD, reps), backward = best_ms(&b, BENCH_BACKWARD, reps);
        if (forward < 0 || backward < 0) {
            bench_layer_close(&b);
            return MOCO_BACKEND;
        }
        const double weights = s->first ? backward : best_ms(&b, BENCH_BACKWARD_WEIGHTS, reps);
        milliseconds += (double) s->count * (2 * forward + backward);
        keep_best(peak, s, bench_pass_names[BENCH_FORWARD], gflop / forward * 1e3);
        keep_best(peak, s, bench_pass_names[BENCH_BACKWARD_WEIGHTS], gflop / weights * 1e3);
        if (!s->first) keep_best(peak, s, bench_pass_names[BENCH_BACKWARD], 2 * gflop / backward * 1e3);
        bench_layer_close(&b);
    }
    const double mean = bench_step_gflop(shapes, count) / milliseconds * 1e3;
    if (mean > peak->mean_gflops) peak->mean_gflops = mean;
    const double sgemm = sgemm_gflops(chain, reps), fma = fma_probe_gflops(threads);
    if (sgemm > peak->sgemm_gflops) peak->sgemm_gflops = sgemm;
    if (fma > peak->fma_gflops) peak->fma_gflops = fma;
    return MOCO_OK;
}
