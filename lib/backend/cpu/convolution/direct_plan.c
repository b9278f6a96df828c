#include "backend/cpu/convolution/direct_plan.h"

#include <string.h>

#include "backend/cpu/convolution/convolution_list.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"

#define SIDE_BY_SIDE      4    /* blocks of results, at most */
#define LARGEST_IMAGE_ROW 4096 /* rows of windows are in a worker's memory */

static int32_t is_image(const image_layer *desc) {
    return desc->input_layout == MOCO_LAYOUT_PLAIN;
}

/* Groups that share a block: as many channels in as out, and whole groups in it. */
static int32_t share_blocks(const image_layer *desc, int64_t block) {
    const int64_t channels = desc->c / desc->groups;
    return channels < block && block % channels == 0 && desc->out_c == desc->c && desc->c % block == 0;
}

int32_t moco_direct_plans(const cpu_backend *backend, const image_layer *desc, int kind) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    if (format == NULL || format->dtype != MOCO_DTYPE_F32 || format->direct == NULL) return 0;
    const int64_t block = format->block;
    if (is_image(desc)) {
        return kind != CPU_INPUT_GRADIENT && desc->groups == 1 && desc->c < block && desc->out_c % block == 0 &&
               desc->kernel <= block && desc->w <= LARGEST_IMAGE_ROW;
    }
    /* With oneDNN, layers whose groups share blocks keep the way, and the bits, that they had before there was this. */
    const int32_t shared = backend->onednn == NULL && share_blocks(desc, block);
    const int32_t whole = desc->c / desc->groups % block == 0 && desc->out_c / desc->groups % block == 0;
    return desc->input_layout == format->layout && (whole || shared);
}

/* --- Cuts --- */

static void set_unit(direct_pass *pass, int64_t pixels) {
    const int64_t area = pass->grid_h * pass->grid_w;
    pass->samples = 1;
    pass->rows = pass->grid_h;
    if (2 * area <= pixels) {
        pass->samples = moco_max_i64(1, moco_min_i64(pixels / area, pass->n / CPU_DIRECT_UNITS));
    } else if (area > pixels) {
        const int64_t bands =
            moco_ceil_divide(pass->grid_h, moco_max_i64(1, (pixels + pass->grid_w / 2) / pass->grid_w));
        pass->rows = moco_ceil_divide(pass->grid_h, bands);
    }
    pass->bands = moco_ceil_divide(pass->grid_h, pass->rows);
    pass->units = moco_ceil_divide(pass->n, pass->samples) * pass->bands;
}

static void set_copy(direct_pass *pass) {
    const int64_t block = pass->kernels->block, phases = pass->in_phases * pass->in_phases;
    const int64_t places = pass->kernel * pass->kernel;
    const int64_t pixels = pass->samples * (pass->rows + pass->reach) * pass->row_stride;
    const int64_t block_bytes = phases * pixels * block * (int64_t) sizeof(float);
    const int64_t step_bytes = places * block * SIDE_BY_SIDE * block * (int64_t) sizeof(float);
    const int64_t most =
        moco_max_i64(1, moco_min_i64(CPU_DIRECT_COPY_BYTES / block_bytes, CPU_DIRECT_WEIGHT_BYTES / step_bytes));
    const int64_t chunks = pass->image_channels > 0 ? 1 : moco_ceil_divide(pass->in_blocks, most);
    pass->copy_blocks = moco_ceil_divide(pass->in_blocks, chunks);
    pass->plane = pixels * block;
    pass->copy_floats = pass->copied ? pass->copy_blocks * phases * pass->plane : 0;
}

/* --- Kinds of passes --- */

/* Channels of groups, in and out, which are larger than the layer's where those share blocks. */
static void describe_groups(direct_pass *pass, const image_layer *desc, int64_t block, int64_t in, int64_t out) {
    pass->groups = !is_image(desc) && share_blocks(desc, block) ? desc->c / block : desc->groups;
    pass->channels = in / pass->groups;
    pass->seen = in / desc->groups;
    pass->in_blocks = moco_ceil_divide(pass->channels, block);
    pass->out_blocks = out / pass->groups / block;
}

static void describe_forward(direct_pass *pass, const image_layer *desc, int64_t block) {
    const int64_t window = (int64_t) desc->kernel * desc->kernel;
    describe_groups(pass, desc, block, desc->c, desc->out_c);
    pass->source_h = desc->h;
    pass->source_w = desc->w;
    pass->target_h = pass->grid_h = desc->out_h;
    pass->target_w = pass->grid_w = desc->out_w;
    pass->kernel = desc->kernel;
    pass->step_in = desc->stride;
    pass->step_out = 1;
    pass->pad = desc->padding;
    pass->reach = (desc->kernel - 1) / desc->stride;
    pass->in_phases = moco_min_i64(desc->stride, desc->kernel);
    pass->copied = desc->kernel > 1 || desc->stride > 1 || desc->padding > 0;
    pass->weight_lane = pass->seen * window;
    pass->weight_channel = window;
}

static void describe_image(direct_pass *pass, const image_layer *desc, int64_t block) {
    const int64_t values = desc->c * desc->kernel * desc->kernel;
    describe_forward(pass, desc, block);
    pass->channels = pass->seen = values;
    pass->in_blocks = moco_ceil_divide(values, block);
    pass->kernel = pass->step_in = pass->in_phases = 1;
    pass->pad = pass->reach = 0;
    pass->copied = 1;
    pass->image_channels = desc->c;
    pass->image_kernel = desc->kernel;
    pass->image_stride = desc->stride;
    pass->image_padding = desc->padding;
    pass->weight_lane = values;
    pass->weight_channel = 1;
}

static void describe_backward(direct_pass *pass, const image_layer *desc, int64_t block) {
    const int64_t window = (int64_t) desc->kernel * desc->kernel, first = desc->padding / desc->stride;
    describe_groups(pass, desc, block, desc->out_c, desc->c);
    pass->source_h = desc->out_h;
    pass->source_w = desc->out_w;
    pass->target_h = desc->h;
    pass->target_w = desc->w;
    pass->kernel = desc->kernel;
    pass->step_in = 1;
    pass->step_out = desc->stride;
    pass->reach = (desc->kernel - 1) / desc->stride;
    pass->pad = pass->reach - first;
    pass->in_phases = 1;
    pass->grid_h = (desc->h - 1 + desc->padding) / desc->stride - first + 1;
    pass->grid_w = (desc->w - 1 + desc->padding) / desc->stride - first + 1;
    pass->copied = desc->kernel > 1 || desc->stride > 1 || desc->padding > 0;
    pass->lead = desc->padding % desc->stride;
    pass->backward = 1;
    pass->weight_lane = window;
    pass->weight_channel = desc->c / desc->groups * window;
}

/* A padded row of the image for each of a window's rows, and windows as they are collected. */
static int64_t image_row(const direct_pass *pass) {
    return pass->source_w + 2 * pass->image_padding + pass->kernels->block;
}

static int64_t image_rows_floats(const direct_pass *pass) {
    return moco_round_up(pass->image_channels * pass->image_kernel * image_row(pass), pass->kernels->block);
}

void moco_direct_plan(direct_pass *pass, const cpu_backend *backend, const image_layer *desc, int kind) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    memset(pass, 0, sizeof *pass);
    pass->kernels = format->direct;
    pass->n = desc->n;
    if (kind == CPU_INPUT_GRADIENT) {
        describe_backward(pass, desc, format->block);
    } else if (is_image(desc)) {
        describe_image(pass, desc, format->block);
        pass->space_floats = image_rows_floats(pass) + DIRECT_WINDOWS * (pass->in_blocks + 1) * format->block;
    } else {
        describe_forward(pass, desc, format->block);
    }
    pass->row_stride = pass->grid_w + pass->reach;
    set_unit(pass, kind == CPU_WEIGHT_GRADIENT ? CPU_DIRECT_GRADIENT_PIXELS : CPU_DIRECT_PIXELS);
    set_copy(pass);
}

direct_unit moco_direct_unit_of(const direct_pass *pass, int64_t unit) {
    direct_unit out;
    out.sample = unit / pass->bands * pass->samples;
    out.samples = moco_min_i64(pass->samples, pass->n - out.sample);
    out.row = unit % pass->bands * pass->rows;
    out.rows = moco_max_i64(0, moco_min_i64(pass->rows, pass->grid_h - out.row));
    return out;
}

/* --- Copies --- */

/* Row `row` of the copy of one plane: what its pixels see of the source's plane, `phase_x` columns further right. */
static void copy_row(const direct_pass *pass, const float *plane, int64_t row, int64_t phase_y, int64_t phase_x,
                     float *to) {
    const int64_t block = pass->kernels->block, step = pass->step_in;
    const int64_t y = row * step + phase_y - pass->pad, x = phase_x - pass->pad;
    int64_t begin = x < 0 ? moco_min_i64(pass->row_stride, moco_ceil_divide(-x, step)) : 0;
    int64_t end = x >= pass->source_w ? 0 : moco_min_i64(pass->row_stride, (pass->source_w - 1 - x) / step + 1);
    if (y < 0 || y >= pass->source_h || end <= begin) begin = end = pass->row_stride;
    memset(to, 0, (size_t) (begin * block) * sizeof *to);
    if (begin == pass->row_stride) return;
    pass->kernels->copy(plane + (y * pass->source_w + x + begin * step) * block, step, end - begin, to + begin * block);
    memset(to + end * block, 0, (size_t) ((pass->row_stride - end) * block) * sizeof *to);
}

static void copy_blocks(const direct_pass *pass, const direct_unit *unit, const direct_view *view, int64_t first_plane,
                        int64_t count, const float *source, float *copy) {
    const int64_t area = pass->source_h * pass->source_w * pass->kernels->block, phases = pass->in_phases;
    for (int64_t b = 0; b < count; ++b) {
        for (int64_t sample = 0; sample < unit->samples; ++sample) {
            const int64_t at = (unit->sample + sample) * pass->groups * pass->in_blocks + first_plane + b;
            for (int64_t phase = 0; phase < phases * phases; ++phase) {
                float *to = copy + b * view->next_block + phase * view->next_phase + sample * view->next_sample;
                for (int64_t row = 0; row < unit->rows + pass->reach; ++row) {
                    copy_row(pass, source + at * area, unit->row + row, phase / phases, phase % phases,
                             to + row * view->next_row);
                }
            }
        }
    }
}

/* One row of results: its windows' rows of the image, padded. */
static void pad_rows(const direct_pass *pass, const float *image, int64_t row, float *rows) {
    const int64_t length = image_row(pass), area = pass->source_h * pass->source_w;
    for (int64_t i = 0; i < pass->image_channels * pass->image_kernel; ++i) {
        const int64_t y = row * pass->image_stride + i % pass->image_kernel - pass->image_padding;
        float *to = rows + i * length;
        memset(to, 0, (size_t) length * sizeof *to);
        if (y < 0 || y >= pass->source_h) continue;
        memcpy(to + pass->image_padding, image + i / pass->image_kernel * area + y * pass->source_w,
               (size_t) pass->source_w * sizeof *to);
    }
}

static void copy_windows(const direct_pass *pass, const direct_unit *unit, const direct_view *view, const float *source,
                         float *copy) {
    const int64_t image = pass->image_channels * pass->source_h * pass->source_w;
    float *rows = copy + pass->copy_floats, *space = rows + image_rows_floats(pass);
    for (int64_t sample = 0; sample < unit->samples; ++sample) {
        for (int64_t row = 0; row < unit->rows; ++row) {
            pad_rows(pass, source + (unit->sample + sample) * image, unit->row + row, rows);
            pass->kernels->windows(rows, image_row(pass), pass->image_channels * pass->image_kernel, pass->image_kernel,
                                   pass->image_stride, pass->grid_w, space,
                                   copy + sample * view->next_sample + row * view->next_row, view->next_block);
        }
    }
}

direct_view moco_direct_view(const direct_pass *pass, const direct_unit *unit, int64_t group, int64_t block,
                             int64_t count, const float *source, float *copy) {
    const int64_t lanes = pass->kernels->block, area = pass->source_h * pass->source_w * lanes;
    if (!pass->copied) {
        const direct_view view = {
            .at = source + ((unit->sample * pass->groups + group) * pass->in_blocks + block) * area +
                  unit->row * pass->source_w * lanes,
            .next_block = area,
            .next_sample = pass->groups * pass->in_blocks * area,
            .next_row = pass->source_w * lanes,
        };
        return view;
    }
    const direct_view view = {
        .at = copy,
        .next_block = pass->in_phases * pass->in_phases * pass->plane,
        .next_phase = pass->plane,
        .next_sample = (pass->rows + pass->reach) * pass->row_stride * lanes,
        .next_row = pass->row_stride * lanes,
    };
    if (pass->image_channels > 0) {
        copy_windows(pass, unit, &view, source, copy);
    } else {
        copy_blocks(pass, unit, &view, group * pass->in_blocks + block, count, source, copy);
    }
    return view;
}

/* --- Places of the window --- */

/* ky = first, first + step_out, .. < kernel. */
static int64_t places_from(const direct_pass *pass, int64_t first) {
    return first >= pass->kernel ? 0 : (pass->kernel - 1 - first) / pass->step_out + 1;
}

int64_t moco_direct_places(const direct_pass *pass, int64_t phase) {
    return places_from(pass, phase / pass->step_out) * places_from(pass, phase % pass->step_out);
}

int64_t moco_direct_place(const direct_pass *pass, int64_t phase, int64_t i) {
    const int64_t width = places_from(pass, phase % pass->step_out);
    const int64_t ky = phase / pass->step_out + i / width * pass->step_out;
    return ky * pass->kernel + phase % pass->step_out + i % width * pass->step_out;
}

int64_t moco_direct_steps(const direct_pass *pass, const direct_view *view, int64_t phase, int64_t count,
                          int64_t *steps) {
    const int64_t places = moco_direct_places(pass, phase), lanes = pass->kernels->block;
    for (int64_t i = 0; i < places; ++i) {
        const int64_t place = moco_direct_place(pass, phase, i);
        const int64_t ky = place / pass->kernel, kx = place % pass->kernel, s = pass->step_in;
        int64_t at;
        if (pass->backward) {
            at = (pass->reach - ky / pass->step_out) * view->next_row + (pass->reach - kx / pass->step_out) * lanes;
        } else {
            at = (ky % s * pass->in_phases + kx % s) * view->next_phase + ky / s * view->next_row + kx / s * lanes;
        }
        for (int64_t b = 0; b < count; ++b) steps[b * places + i] = b * view->next_block + at;
    }
    return count * places;
}
