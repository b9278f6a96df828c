#include "backend/cpu/convolution/conv_plan.h"

#include <string.h>

#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"

#define LARGEST_STRIDE 64
#define LARGEST_COPY   ((int64_t) 1 << 30) /* offsets are int32 */

/* Rows share their padding (the right one of a row is the left one of the next) where every window still sees zeros. */
static int64_t stride_of(const conv_pass *pass, int64_t source, int64_t grid) {
    const int64_t needed = grid + pass->reach, shared = pass->pad + source;
    if (pass->step_in == 1 && pass->pad >= 0 && grid <= shared && needed <= shared + pass->pad) return shared;
    return needed;
}

static void set_unit(conv_pass *pass, int64_t images, int64_t rows, int64_t lanes) {
    pass->images = images;
    pass->bands = moco_ceil_divide(pass->grid_h, rows);
    pass->rows = moco_ceil_divide(pass->grid_h, pass->bands);
    pass->bands = moco_ceil_divide(pass->grid_h, pass->rows);
    pass->units = moco_ceil_divide(pass->n, pass->images) * pass->bands;
    const int64_t tall = (pass->images - 1) * pass->image_rows + pass->rows;
    pass->positions = conv_round_up(tall * pass->row_stride, lanes);
    pass->plane = conv_round_up((tall + pass->reach) * pass->row_stride + pass->reach + lanes, 16);
    pass->copy_floats = pass->copy_channels * pass->in_phases * pass->in_phases * pass->plane;
}

static void cut_units(conv_pass *pass, int64_t lanes) {
    const int64_t row_floats = pass->channels * pass->in_phases * pass->in_phases * pass->row_stride;
    const int64_t image_floats = row_floats * pass->image_rows;
    pass->copy_channels = pass->channels;
    if (image_floats <= CPU_TILES_COPY_FLOATS) {
        const int64_t fit = moco_min_i64(CPU_TILES_COPY_FLOATS / image_floats,
                                         CPU_TILES_MOST_POSITIONS / (pass->row_stride * pass->image_rows));
        set_unit(pass, moco_max_i64(1, moco_min_i64(fit, pass->n / CPU_TILES_TASKS)), pass->grid_h, lanes);
    } else {
        set_unit(pass, 1, moco_min_i64(moco_max_i64(CPU_TILES_COPY_FLOATS / row_floats - pass->reach, 2), pass->grid_h),
                 lanes);
    }
}

static void cut_gradient_units(conv_pass *pass, int64_t lanes, int64_t kernel) {
    const int64_t image = pass->row_stride * pass->image_rows;
    const int64_t channels = kernel == 1 ? CPU_TILES_GRADIENT_CHANNELS
                                         : CPU_TILES_GRADIENT_CHANNELS / (2 * moco_min_i64(2, pass->in_phases));
    pass->copy_channels = moco_min_i64(pass->channels, channels);
    if (image <= CPU_TILES_GRADIENT_POSITIONS) {
        const int64_t wanted =
            moco_max_i64(pass->n / CPU_TILES_TASKS, moco_ceil_divide(CPU_TILES_GRADIENT_POSITIONS / 2, image));
        set_unit(pass,
                 moco_max_i64(1, moco_min_i64(moco_min_i64(CPU_TILES_GRADIENT_POSITIONS / image, wanted), pass->n)),
                 pass->grid_h, lanes);
    } else {
        set_unit(pass, 1, moco_min_i64(moco_max_i64(CPU_TILES_GRADIENT_POSITIONS / pass->row_stride, 1), pass->grid_h),
                 lanes);
    }
}

static void cut_outputs(conv_pass *pass, const cpu_backend *backend) {
    const int64_t lanes = backend->conv->lanes, widest = pass->phases[0].taps;
    pass->block = backend->conv_by_gemm ? 1 : backend->conv->rows;
    const int64_t blocks = moco_ceil_divide(pass->out_channels, pass->block);
    /* Whole vectors per row, the last one overlapping, against rows in one run with the padding between them. */
    const int32_t contiguous = pass->row_stride == pass->grid_w && pass->images == 1;
    pass->whole_rows =
        pass->step_out == 1 &&
        (contiguous ? pass->grid_w * (pass->grid_h - (pass->bands - 1) * pass->rows) >= lanes
                    : pass->grid_w >= lanes && conv_round_up(pass->grid_w, lanes) * 20 <= pass->row_stride * 21);
    pass->slices = 1;
    const int64_t tasks = pass->units * pass->groups;
    if (tasks < CPU_TILES_TASKS) {
        pass->slices = moco_max_i64(1, moco_min_i64(moco_ceil_divide(CPU_TILES_TASKS, tasks), pass->out_channels / 32));
        pass->slices = moco_min_i64(pass->slices, blocks);
    }
    const int64_t runs = (pass->images * pass->rows + 1) * (int64_t) (sizeof(conv_run) / sizeof(float));
    const int64_t vectors = 4 * (pass->images * pass->rows * moco_ceil_divide(pass->grid_w, lanes) + 1);
    int64_t work = CONV_MAX_ROWS * CONV_MAX_VECTORS * CONV_MAX_LANES;
    pass->gemm_columns = 0;
    if (backend->conv_by_gemm) {
        const int64_t columns = moco_min_i64(moco_max_i64(CPU_TILES_GEMM_FLOATS / moco_max_i64(widest, 1), 32), 1024);
        pass->gemm_columns = moco_min_i64(conv_round_up(columns, 16), conv_round_up(pass->positions, 16));
        work = (widest + pass->out_channels) * pass->gemm_columns;
    }
    pass->worker_floats = conv_round_up(runs, 16) + conv_round_up(vectors, 16) + conv_round_up(work, 16) +
                          conv_round_up(pass->copy_floats, 16);
}

static moco_status check_sizes(const conv_pass *pass, int64_t kernel, int64_t stride) {
    const int64_t copy[4] = {pass->channels, pass->in_phases * pass->in_phases, pass->grid_w + pass->reach + pass->pad,
                             pass->reach + 64};
    int64_t product;
    MOCO_TRY(moco_checked_product(copy, 4, "a convolution's copy", &product));
    if (product > LARGEST_COPY || pass->channels * kernel * kernel > LARGEST_COPY || stride > LARGEST_STRIDE) {
        return moco_fail(MOCO_UNSUPPORTED, "the cpu backend's convolutions take windows of up to 2^30 values and "
                                           "strides of up to 64");
    }
    return MOCO_OK;
}

/* The places ky, kx = first, first + step, .. < kernel of a phase, and where the copy has them. */
static void add_phase(conv_pass *pass, int64_t index, int64_t kernel, int64_t step, int64_t first_y, int64_t first_x,
                      int64_t *places_used, int64_t *offsets_used) {
    conv_phase *phase = &pass->phases[index];
    phase->places = *places_used;
    phase->offsets = *offsets_used;
    int64_t count = 0;
    for (int64_t ky = first_y; ky < kernel; ky += step)
        for (int64_t kx = first_x; kx < kernel; kx += step) pass->places[*places_used + count++] = ky * kernel + kx;
    phase->taps = count * pass->channels;
    *places_used += count;
    *offsets_used += phase->taps;
}

static void fill_offsets(conv_pass *pass, int64_t kernel, int32_t backward) {
    const int64_t s = backward ? pass->step_out : pass->step_in, phases = pass->in_phases;
    for (int64_t index = 0; index < pass->phase_count; ++index) {
        const conv_phase *phase = &pass->phases[index];
        const int64_t count = phase->taps / pass->channels;
        for (int64_t c = 0; c < pass->channels; ++c) {
            for (int64_t t = 0; t < count; ++t) {
                const int64_t ky = pass->places[phase->places + t] / kernel;
                const int64_t kx = pass->places[phase->places + t] % kernel;
                int64_t offset;
                if (backward) {
                    offset = c * pass->plane + (pass->reach - ky / s) * pass->row_stride + pass->reach - kx / s;
                } else {
                    offset = (c * phases * phases + ky % s * phases + kx % s) * pass->plane +
                             ky / s * pass->row_stride + kx / s;
                }
                pass->offsets[phase->offsets + c * count + t] = (int32_t) offset;
            }
        }
    }
}

enum { FORWARD, BACKWARD, GRADIENT };

static moco_status plan_pass(conv_pass *pass, cpu_backend *backend, const image_layer *desc, int32_t kind) {
    const int32_t backward = kind == BACKWARD;
    moco_context *context = backend->host.context;
    const int64_t kernel = desc->kernel, stride = desc->stride, phases = backward ? stride : 1;
    MOCO_TRY(check_sizes(pass, kernel, stride));
    pass->phase_count = phases * phases;
    pass->phases = (conv_phase *) moco_allocate_zeroed(context, (size_t) pass->phase_count, sizeof(conv_phase));
    pass->places = (int64_t *) moco_allocate_zeroed(context, (size_t) (kernel * kernel), sizeof(int64_t));
    pass->offsets =
        (int32_t *) moco_allocate_zeroed(context, (size_t) (pass->channels * kernel * kernel), sizeof(int32_t));
    if (pass->phases == NULL || pass->places == NULL || pass->offsets == NULL) return MOCO_OUT_OF_MEMORY;

    pass->row_stride = stride_of(pass, pass->source_w, pass->grid_w);
    pass->image_rows = stride_of(pass, pass->source_h, pass->grid_h);
    if (kind == GRADIENT) {
        cut_gradient_units(pass, backend->conv->lanes, kernel);
    } else {
        cut_units(pass, backend->conv->lanes);
    }
    if (pass->copy_floats > LARGEST_COPY) {
        return moco_fail(MOCO_UNSUPPORTED, "the cpu backend's convolutions take windows of up to 2^30 values");
    }
    int64_t places = 0, offsets = 0;
    for (int64_t y = 0; y < phases; ++y)
        for (int64_t x = 0; x < phases; ++x)
            add_phase(pass, y * phases + x, kernel, backward ? stride : 1, y, x, &places, &offsets);
    fill_offsets(pass, kernel, backward);
    cut_outputs(pass, backend);
    for (int64_t index = 0; index < pass->phase_count; ++index) {
        conv_phase *phase = &pass->phases[index];
        const int64_t first = backward ? desc->padding / stride : 0;
        phase->shift_row = backward ? first * stride + index / phases - desc->padding : 0;
        phase->shift_column = backward ? first * stride + index % phases - desc->padding : 0;
        phase->weights = pass->weight_floats;
        pass->weight_floats +=
            conv_round_up(pass->groups * conv_round_up(pass->out_channels, pass->block) * phase->taps, 16);
    }
    return MOCO_OK;
}

static moco_status plan_forward(conv_pass *pass, cpu_backend *backend, const image_layer *desc, int32_t kind) {
    const int64_t window = (int64_t) desc->kernel * desc->kernel;
    memset(pass, 0, sizeof *pass);
    pass->n = desc->n;
    pass->groups = desc->groups;
    pass->channels = desc->c / desc->groups;
    pass->out_channels = desc->out_c / desc->groups;
    pass->source_h = desc->h;
    pass->source_w = desc->w;
    pass->target_h = pass->grid_h = desc->out_h;
    pass->target_w = pass->grid_w = desc->out_w;
    pass->step_in = desc->stride;
    pass->step_out = 1;
    pass->pad = desc->padding;
    pass->reach = (desc->kernel - 1) / desc->stride;
    pass->in_phases = moco_min_i64(desc->stride, desc->kernel);
    pass->weight_row = pass->channels * window;
    pass->weight_channel = window;
    return plan_pass(pass, backend, desc, kind);
}

moco_status moco_conv_pass_forward(conv_pass *pass, cpu_backend *backend, const image_layer *desc) {
    return plan_forward(pass, backend, desc, FORWARD);
}

moco_status moco_conv_pass_gradient(conv_pass *pass, cpu_backend *backend, const image_layer *desc) {
    return plan_forward(pass, backend, desc, GRADIENT);
}

moco_status moco_conv_pass_backward(conv_pass *pass, cpu_backend *backend, const image_layer *desc) {
    const int64_t window = (int64_t) desc->kernel * desc->kernel, first = desc->padding / desc->stride;
    memset(pass, 0, sizeof *pass);
    pass->n = desc->n;
    pass->groups = desc->groups;
    pass->channels = desc->out_c / desc->groups;
    pass->out_channels = desc->c / desc->groups;
    pass->source_h = desc->out_h;
    pass->source_w = desc->out_w;
    pass->target_h = desc->h;
    pass->target_w = desc->w;
    pass->step_in = 1;
    pass->step_out = desc->stride;
    pass->reach = (desc->kernel - 1) / desc->stride;
    pass->pad = pass->reach - first;
    pass->in_phases = 1;
    pass->grid_h = (desc->h - 1 + desc->padding) / desc->stride - first + 1;
    pass->grid_w = (desc->w - 1 + desc->padding) / desc->stride - first + 1;
    pass->weight_row = window;
    pass->weight_channel = pass->out_channels * window;
    return plan_pass(pass, backend, desc, BACKWARD);
}

void moco_conv_pass_release(conv_pass *pass, cpu_backend *backend) {
    moco_deallocate(backend->host.context, pass->offsets);
    moco_deallocate(backend->host.context, pass->places);
    moco_deallocate(backend->host.context, pass->phases);
}

conv_unit moco_conv_unit_of(const conv_pass *pass, int64_t unit) {
    conv_unit out;
    out.first_image = unit / pass->bands * pass->images;
    out.images = moco_min_i64(pass->images, pass->n - out.first_image);
    out.first_row = unit % pass->bands * pass->rows;
    out.rows = moco_min_i64(pass->rows, pass->grid_h - out.first_row);
    out.positions = ((out.images - 1) * pass->image_rows + out.rows) * pass->row_stride;
    return out;
}
