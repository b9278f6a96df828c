#include "loader/view_maker.h"

#include <math.h>
#include <moco/loader.h>
#include <stdio.h>
#include <string.h>

#include "core/checked.h"

enum { MAX_VIEWS = 2, NAME_SIZE = 512, SENTENCE_SIZE = 1024 };

void moco_view_memory_release(const moco_view_plan *plan, moco_view_memory *memory) {
    moco_context *context = plan->dataset->context;
    moco_deallocate(context, memory->encoded.encoded);
    moco_image_release(context, &memory->image);
    moco_augment_scratch_release(plan->augment, &memory->scratch);
    moco_deallocate(context, memory->pixels);
    moco_deallocate(context, memory->view);
    *memory = (moco_view_memory){0};
}

/* --- Images in float32 --- */

static moco_status reserve_pixels(moco_context *context, moco_view_memory *memory, int64_t floats) {
    if (floats <= memory->pixels_capacity) return MOCO_OK;
    size_t bytes = 0;
    MOCO_TRY(moco_checked_bytes(floats, sizeof(float), "an image", &bytes));
    float *pixels = (float *) moco_allocate(context, bytes);
    if (pixels == NULL) return MOCO_OUT_OF_MEMORY;
    moco_deallocate(context, memory->pixels);
    memory->pixels = pixels;
    memory->pixels_capacity = floats;
    return MOCO_OK;
}

static moco_status make_float_view(const moco_view_plan *plan, const float *pixels, int64_t h, int64_t w, int64_t epoch,
                                   int64_t index, int32_t view, float *out) {
    if (plan->views == 0) return moco_augment_evaluate(plan->augment, pixels, h, w, out);
    return moco_augment_apply(plan->augment, pixels, h, w, epoch, index, view, out);
}

/* Normalised float32 -> 0..255. */
static void undo_normalisation(const moco_augment *augment, const float *view, uint8_t *out) {
    const moco_augment_config *config = &augment->config;
    const int64_t area = (int64_t) config->height * config->width;
    for (int32_t c = 0; c < 3; ++c, view += area, out += area) {
        const float mean = (float) config->mean[c], std = (float) config->std[c];
        for (int64_t i = 0; i < area; ++i) {
            const float value = 255.0f * (view[i] * std + mean);
            out[i] = (uint8_t) (value >= 0.0f ? (value < 255.0f ? value + 0.5f : 255.0f) : 0.0f);
        }
    }
}

static moco_status make_8_bit_view(const moco_view_plan *plan, moco_view_memory *memory, int64_t h, int64_t w,
                                   int64_t epoch, int64_t index, int32_t view, uint8_t *out) {
    if (memory->view == NULL) {
        const size_t area = (size_t) plan->augment->config.height * (size_t) plan->augment->config.width;
        memory->view = (float *) moco_allocate(plan->dataset->context, 3 * area * sizeof(float));
        if (memory->view == NULL) return MOCO_OUT_OF_MEMORY;
    }
    MOCO_TRY(make_float_view(plan, memory->pixels, h, w, epoch, index, view, memory->view));
    undo_normalisation(plan->augment, memory->view, out);
    return MOCO_OK;
}

static moco_status load_float(const moco_view_plan *plan, moco_view_memory *memory, int64_t index, int64_t *h,
                              int64_t *w, int32_t *label) {
    int64_t floats = 0;
    MOCO_TRY(moco_dataset_info(plan->dataset, index, h, w, label));
    const int64_t shape[3] = {plan->dataset->channels, *h, *w};
    MOCO_TRY(moco_checked_product(shape, 3, "the image's channels x h x w", &floats));
    MOCO_TRY(reserve_pixels(plan->dataset->context, memory, floats));
    return moco_dataset_read(plan->dataset, index, memory->pixels, memory->pixels_capacity);
}

static moco_status views_of_floats(const moco_view_plan *plan, moco_view_memory *memory, int64_t epoch, int64_t index,
                                   void *const outs[MAX_VIEWS], int32_t count, int32_t *label) {
    int64_t h = 0, w = 0;
    const int64_t started = moco_now_ns();
    MOCO_TRY(load_float(plan, memory, index, &h, &w, label));
    const int64_t loaded = moco_now_ns();
    memory->ns_load = loaded - started;
    for (int32_t view = 0; view < count; ++view) {
        if (plan->output == MOCO_PIXELS_FLOAT32) {
            MOCO_TRY(make_float_view(plan, memory->pixels, h, w, epoch, index, view, (float *) outs[view]));
        } else {
            MOCO_TRY(make_8_bit_view(plan, memory, h, w, epoch, index, view, (uint8_t *) outs[view]));
        }
    }
    memory->ns_augment = moco_now_ns() - loaded;
    return MOCO_OK;
}

/* --- Images in 8 bits --- */

/* An image's shape and label, and where it is held decoded, its pixels. */
typedef struct loaded_image {
    int64_t h, w;
    int32_t label;
    moco_pixels pixels;
} loaded_image;

/* The crop that needs most of the image's resolution: no crop that may be drawn is narrower or lower. */
static void least_crop(const moco_augment_config *config, int64_t h, int64_t w, moco_view_draw *draw) {
    const double area = (double) h * (double) w * config->crop_min;
    /* Where no crop of a drawn size fits, the largest of a ratio allowed is taken. */
    const double most_h = fmin((double) h, (double) w / config->ratio_min);
    const double most_w = fmin((double) w, (double) h * config->ratio_max);
    *draw = (moco_view_draw){0};
    draw->crop_h = moco_max_i64(1, (int64_t) fmin(most_h, floor(sqrt(area / config->ratio_max))));
    draw->crop_w = moco_max_i64(1, (int64_t) fmin(most_w, floor(sqrt(area * config->ratio_min))));
}

static int32_t keeps_decoded(const moco_view_plan *plan) {
    return plan->cache != NULL && plan->cache_kind == MOCO_CACHE_DECODED;
}

/* What is to be decoded. For a cache of decoded images that is the same for all epochs, and whether an image is cached
 * has no influence on it. */
static moco_image_request request_for(const moco_view_plan *plan, const moco_view_draw *draws, int32_t count, int64_t h,
                                      int64_t w) {
    moco_augment_window wanted;
    if (!keeps_decoded(plan)) {
        moco_augment_wanted(plan->augment, draws, count, h, w, &wanted);
        return (moco_image_request){{wanted.top, wanted.left, wanted.h, wanted.w}, wanted.max_reduction};
    }
    moco_view_draw least;
    if (draws->evaluation) {
        moco_augment_draw_evaluation(&least);
    } else {
        least_crop(&plan->augment->config, h, w, &least);
    }
    moco_augment_wanted(plan->augment, &least, 1, h, w, &wanted);
    return (moco_image_request){.max_reduction = wanted.max_reduction};
}

/* The decoders' sentences say what is wrong with the bytes; whose bytes they are is known here. */
static moco_status name_failure(const moco_dataset *dataset, int64_t index, moco_status status) {
    if (status == MOCO_OK || status == MOCO_OUT_OF_MEMORY || dataset->ops->describe == NULL) return status;
    char name[NAME_SIZE], sentence[SENTENCE_SIZE];
    snprintf(sentence, sizeof sentence, "%s", moco_last_error());
    dataset->ops->describe(dataset, index, name, sizeof name);
    return moco_fail(status, "%s: %s", name, sentence);
}

static void keep(const moco_view_plan *plan, int64_t index, const loaded_image *loaded, const moco_image *image,
                 const uint8_t *bytes, size_t size) {
    const moco_cached_sample sample = {
        .bytes = bytes,
        .size = size,
        .h = loaded->h,
        .w = loaded->w,
        .label = loaded->label,
        .window = image->window,
        .held_h = image->h,
        .held_w = image->w,
        .reduction = image->reduction,
    };
    moco_sample_cache_add(plan->cache, index, &sample);
}

/* An image that is not in the cache, into memory->image; and then into the cache. */
static moco_status load_image(const moco_view_plan *plan, moco_view_memory *memory, int64_t index,
                              const moco_image_request *request, const loaded_image *loaded) {
    const moco_dataset *dataset = plan->dataset;
    moco_image *image = &memory->image;
    const int32_t keeps_encoded = plan->cache != NULL && plan->cache_kind == MOCO_CACHE_ENCODED;
    size_t size = 0;
    if (keeps_encoded) {
        MOCO_TRY(dataset->ops->fetch(dataset, index, &memory->encoded, &size));
        MOCO_TRY(name_failure(
            dataset, index,
            moco_image_decode(dataset->context, memory->encoded.encoded, size, &dataset->limits, request, image)));
    } else {
        MOCO_TRY(dataset->ops->load(dataset, index, request, &memory->encoded, image));
    }
    if (image->full_h != loaded->h || image->full_w != loaded->w) {
        return name_failure(dataset, index,
                            moco_fail(MOCO_FORMAT,
                                      "it is an image of %lld x %lld pixels now, and was one of %lld x %lld",
                                      (long long) image->full_h, (long long) image->full_w, (long long) loaded->h,
                                      (long long) loaded->w));
    }
    if (keeps_encoded) keep(plan, index, loaded, image, memory->encoded.encoded, size);
    if (keeps_decoded(plan)) keep(plan, index, loaded, image, image->pixels, (size_t) (3 * image->h * image->w));
    return MOCO_OK;
}

static moco_pixels pixels_of(const moco_image *image) {
    return (moco_pixels){
        .pixels = image->pixels,
        .h = image->h,
        .w = image->w,
        .top = image->window.top,
        .left = image->window.left,
        .full_h = image->full_h,
        .full_w = image->full_w,
        .reduction = image->reduction,
    };
}

static moco_pixels cached_pixels(const moco_cached_sample *sample) {
    return (moco_pixels){
        .pixels = sample->bytes,
        .h = sample->held_h,
        .w = sample->held_w,
        .top = sample->window.top,
        .left = sample->window.left,
        .full_h = sample->h,
        .full_w = sample->w,
        .reduction = sample->reduction,
    };
}

/* Draws the views and loads what they need of the image. */
static moco_status load_8_bit(const moco_view_plan *plan, moco_view_memory *memory, int64_t epoch, int64_t index,
                              moco_view_draw *draws, int32_t count, loaded_image *loaded) {
    const moco_dataset *dataset = plan->dataset;
    const moco_cached_sample *cached = plan->cache == NULL ? NULL : moco_sample_cache_find(plan->cache, index);
    memory->hit = cached != NULL;
    if (cached != NULL) {
        *loaded = (loaded_image){.h = cached->h, .w = cached->w, .label = cached->label};
    } else {
        MOCO_TRY(dataset->ops->info(dataset, index, &loaded->h, &loaded->w, &loaded->label));
    }
    for (int32_t view = 0; view < count; ++view) {
        if (plan->views == 0) {
            moco_augment_draw_evaluation(&draws[view]);
        } else {
            moco_augment_draw(plan->augment, loaded->h, loaded->w, epoch, index, view, &draws[view]);
        }
    }
    if (cached != NULL && keeps_decoded(plan)) {
        loaded->pixels = cached_pixels(cached);
        return MOCO_OK;
    }
    const moco_image_request request = request_for(plan, draws, count, loaded->h, loaded->w);
    if (cached != NULL) {
        MOCO_TRY(name_failure(dataset, index,
                              moco_image_decode(dataset->context, cached->bytes, cached->size, &dataset->limits,
                                                &request, &memory->image)));
    } else {
        MOCO_TRY(load_image(plan, memory, index, &request, loaded));
    }
    loaded->pixels = pixels_of(&memory->image);
    return MOCO_OK;
}

static moco_status views_of_8_bits(const moco_view_plan *plan, moco_view_memory *memory, int64_t epoch, int64_t index,
                                   void *const outs[MAX_VIEWS], int32_t count, int32_t *label) {
    moco_view_draw draws[MAX_VIEWS];
    loaded_image loaded = {.label = MOCO_NO_LABEL};
    const int64_t started = moco_now_ns();
    MOCO_TRY(load_8_bit(plan, memory, epoch, index, draws, count, &loaded));
    const int64_t ready = moco_now_ns();
    memory->ns_load = ready - started;
    *label = loaded.label;
    for (int32_t view = 0; view < count; ++view) {
        MOCO_TRY(moco_augment_render_pixels(plan->augment, &loaded.pixels, &draws[view], &memory->scratch, plan->output,
                                            outs[view]));
    }
    memory->ns_augment = moco_now_ns() - ready;
    return MOCO_OK;
}

moco_status moco_make_views(const moco_view_plan *plan, moco_view_memory *memory, int64_t epoch, int64_t index,
                            void *query, void *key, int32_t *label) {
    void *const outs[MAX_VIEWS] = {query, key};
    const int32_t count = plan->views == 2 ? 2 : 1;
    memory->ns_load = memory->ns_augment = 0;
    memory->hit = 0;
    if (plan->dataset->ops->load == NULL) {
        return views_of_floats(plan, memory, epoch, index, outs, count, label);
    }
    return views_of_8_bits(plan, memory, epoch, index, outs, count, label);
}
