/* From the stored image to the upright one: EXIF's eight orientations, for windows and for rows. */
#include <string.h>

#include "core/checked.h"
#include "data/image_decoders.h"
#include "data/image_place.h"

/* Upright (Y, X) of stored (y, x): mirrored first, then transposed. */
static int mirrors_rows(int32_t orientation) {
    return orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
}

static int mirrors_columns(int32_t orientation) {
    return orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
}

int moco_orientation_transposes(int32_t orientation) {
    return orientation >= 5;
}

moco_image_window moco_window_to_stored(const moco_image_window *upright, const moco_stored_header *header) {
    moco_image_window stored = *upright;
    if (moco_orientation_transposes(header->orientation)) {
        stored = (moco_image_window){upright->left, upright->top, upright->w, upright->h};
    }
    if (mirrors_rows(header->orientation)) stored.top = header->h - stored.top - stored.h;
    if (mirrors_columns(header->orientation)) stored.left = header->w - stored.left - stored.w;
    return stored;
}

moco_image_window moco_window_to_upright(const moco_image_window *stored, const moco_stored_header *header) {
    moco_image_window mirrored = *stored;
    if (mirrors_rows(header->orientation)) mirrored.top = header->h - stored->top - stored->h;
    if (mirrors_columns(header->orientation)) mirrored.left = header->w - stored->left - stored->w;
    if (!moco_orientation_transposes(header->orientation)) return mirrored;
    return (moco_image_window){mirrored.left, mirrored.top, mirrored.w, mirrored.h};
}

int32_t moco_largest_reduction(const moco_stored_header *header, int32_t max_reduction) {
    /* A mirrored side that is no multiple would begin with the pixel that covers fewer. */
    int32_t reduction = max_reduction;
    while (reduction > 1 && ((mirrors_rows(header->orientation) && header->h % reduction != 0) ||
                             (mirrors_columns(header->orientation) && header->w % reduction != 0))) {
        reduction /= 2;
    }
    return reduction;
}

moco_status moco_image_begin(moco_image_job *job, int32_t reduction, uint64_t extra) {
    const moco_image_window *window = &job->window;
    const int64_t r = reduction, bottom = window->top + window->h, right = window->left + window->w;
    moco_image_window part = {window->top / r, window->left / r, 0, 0};
    part.h = moco_ceil_divide(bottom, r) - part.top;
    part.w = moco_ceil_divide(right, r) - part.left;

    const int transposed = moco_orientation_transposes(job->header.orientation);
    const int64_t h = transposed ? part.w : part.h, w = transposed ? part.h : part.w;
    const uint64_t pixels = job->check_all ? (uint64_t) job->header.h * (uint64_t) job->header.w : (uint64_t) (h * w);
    const uint64_t bytes = 3 * pixels;
    if (extra > job->limits->max_memory || bytes > job->limits->max_memory - extra) {
        return moco_fail(MOCO_FORMAT, "decoding its %lld x %lld pixels takes %.0f MiB of memory; the limit is %.0f MiB",
                         (long long) job->header.h, (long long) job->header.w,
                         ((double) bytes + (double) extra) / 1048576.0, (double) job->limits->max_memory / 1048576.0);
    }
    MOCO_TRY(moco_image_reserve(job->context, job->image, h, w));
    job->room = job->limits->max_memory - extra - bytes;
    job->reduction = reduction;
    job->part = part;

    const moco_image_window stored = {part.top * r, part.left * r,
                                      moco_min_i64((part.top + part.h) * r, job->header.h) - part.top * r,
                                      moco_min_i64((part.left + part.w) * r, job->header.w) - part.left * r};
    moco_image_part *held = &job->image->held;
    held->h = h;
    held->w = w;
    held->window = moco_window_to_upright(&stored, &job->header);
    held->reduction = reduction;
    held->full_h = transposed ? job->header.w : job->header.h;
    held->full_w = transposed ? job->header.h : job->header.w;
    return MOCO_OK;
}

/* Pillow's alpha_composite over opaque white, bit for bit. */
static uint8_t over_white(uint32_t value, uint32_t alpha) {
    const uint32_t sum = (value * alpha + 255 * (255 - alpha)) * 128 + (0x80 << 7);
    return (uint8_t) ((((sum >> 8) + sum) >> 8) >> 7);
}

static void store_pixel(uint8_t *to, const uint8_t *from, int32_t channels) {
    if (channels == MOCO_RGB || from[3] == 255) {
        memcpy(to, from, 3);
    } else {
        for (int c = 0; c < 3; ++c) to[c] = over_white(from[c], from[3]);
    }
}

void moco_image_place(const moco_image_job *job, int64_t row, int64_t rows, const uint8_t *pixels, size_t stride,
                      int32_t channels) {
    const int32_t orientation = job->header.orientation;
    const moco_image_window *part = &job->part;
    uint8_t *base = job->image->pixels;
    if (orientation == 1 && channels == MOCO_RGB) {
        const size_t bytes = (size_t) part->w * 3;
        for (int64_t y = 0; y < rows; ++y) {
            memcpy(base + (size_t) (row + y) * bytes, pixels + (size_t) y * stride, bytes);
        }
        return;
    }
    /* Bytes from one stored row, and column, to the next in the upright image. */
    const int64_t row_bytes = 3 * job->image->held.w;
    int64_t step_y = moco_orientation_transposes(orientation) ? 3 : row_bytes;
    int64_t step_x = moco_orientation_transposes(orientation) ? row_bytes : 3;
    int64_t origin = 0;
    if (mirrors_rows(orientation)) {
        origin += (part->h - 1) * step_y;
        step_y = -step_y;
    }
    if (mirrors_columns(orientation)) {
        origin += (part->w - 1) * step_x;
        step_x = -step_x;
    }
    origin += row * step_y;
    if (moco_orientation_transposes(orientation)) {
        for (int64_t x = 0; x < part->w; ++x) {
            for (int64_t y = 0; y < rows; ++y) {
                store_pixel(base + origin + y * step_y + x * step_x,
                            pixels + (size_t) y * stride + (size_t) (x * channels), channels);
            }
        }
    } else {
        for (int64_t y = 0; y < rows; ++y) {
            const uint8_t *from = pixels + (size_t) y * stride;
            uint8_t *to = base + origin + y * step_y;
            for (int64_t x = 0; x < part->w; ++x) store_pixel(to + x * step_x, from + x * channels, channels);
        }
    }
}

void moco_image_convert_inks(uint8_t *pixels, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        const uint8_t *cmyk = pixels + 4 * i;
        const int key = cmyk[3];
        uint8_t rgb[3];
        for (int c = 0; c < 3; ++c) {
            const int ink = (255 - cmyk[c]) * key + 128;
            const int value = key - (((ink >> 8) + ink) >> 8);
            rgb[c] = (uint8_t) (value < 0 ? 0 : value);
        }
        memcpy(pixels + 3 * i, rgb, 3);
    }
}
