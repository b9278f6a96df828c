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

/* All that is random about the views of image `index`, which has h x w pixels. */
static moco_status draw_views(const moco_view_plan *plan, int64_t h, int64_t w, int64_t epoch, int64_t index,
                              moco_view_draw *draws, int32_t count) {
    MOCO_TRY(moco_augment_require_image(h, w));
    for (int32_t view = 0; view < count; ++view) {
        if (plan->views == 0) {
            moco_augment_draw_evaluation(&draws[view]);
        } else {
            MOCO_TRY(moco_augment_require_view(epoch, index, view));
            moco_augment_draw(plan->augment, h, w, epoch, index, view, &draws[view]);
        }
    }
    return MOCO_OK;
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

/* 0..1 -> 0..255. */
static void to_8_bits(const float *view, int64_t count, uint8_t *out) {
    for (int64_t i = 0; i < count; ++i) {
        const float value = 255.0f * view[i];
        out[i] = (uint8_t) (value >= 0.0f ? (value < 255.0f ? value + 0.5f : 255.0f) : 0.0f);
    }
}

/* The view of memory->pixels, by way of floats. */
static moco_status make_8_bit_view(const moco_view_plan *plan, moco_view_memory *memory, int64_t h, int64_t w,
                                   const moco_view_draw *draw, uint8_t *out) {
    const int64_t count = 3 * (int64_t) plan->augment->config.height * plan->augment->config.width;
    if (memory->view == NULL) {
        memory->view = (float *) moco_allocate(plan->dataset->context, (size_t) count * sizeof(float));
        if (memory->view == NULL) return MOCO_OUT_OF_MEMORY;
    }
    MOCO_TRY(moco_augment_render(plan->augment, memory->pixels, h, w, draw, 0, memory->view));
    to_8_bits(memory->view, count, out);
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
    moco_view_draw draws[MAX_VIEWS];
    const int64_t started = moco_now_ns();
    MOCO_TRY(load_float(plan, memory, index, &h, &w, label));
    const int64_t loaded = moco_now_ns();
    memory->ns_load = loaded - started;
    MOCO_TRY(draw_views(plan, h, w, epoch, index, draws, count));
    for (int32_t view = 0; view < count; ++view) {
        if (plan->output == MOCO_PIXELS_FLOAT32) {
            MOCO_TRY(moco_augment_render(plan->augment, memory->pixels, h, w, &draws[view], 1, (float *) outs[view]));
        } else {
            MOCO_TRY(make_8_bit_view(plan, memory, h, w, &draws[view], (uint8_t *) outs[view]));
        }
    }
    memory->ns_augment = moco_now_ns() - loaded;
    return MOCO_OK;
}

/* --- Images in 8 bits --- */

/* An image's shape and label, and then what is held of it. */
typedef struct loaded_image {
    int64_t h, w;
    int32_t label;
    const moco_image_part *held; /* the cache's, or the thread's own */
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
    moco_image_request wanted;
    if (!keeps_decoded(plan)) {
        moco_augment_wanted(plan->augment, draws, count, h, w, &wanted);
        return wanted;
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

/* The file's bytes into the cache. */
static void keep_encoded(const moco_view_plan *plan, int64_t index, const loaded_image *loaded, const void *bytes,
                         size_t size) {
    const moco_cached_sample sample = {
        .bytes = (const uint8_t *) bytes,
        .size = size,
        .held = {.full_h = loaded->h, .full_w = loaded->w},
        .label = loaded->label,
    };
    moco_sample_cache_add(plan->cache, index, &sample);
}

static void keep_decoded(const moco_view_plan *plan, int64_t index, const loaded_image *loaded,
                         const moco_image_part *held) {
    const moco_cached_sample sample = {
        .bytes = held->pixels,
        .size = (size_t) (3 * held->h * held->w),
        .held = *held,
        .label = loaded->label,
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
        MOCO_TRY(dataset->ops->decode(dataset, index, memory->encoded.encoded, size, request, image));
    } else {
        MOCO_TRY(dataset->ops->load(dataset, index, request, &memory->encoded, image));
    }
    const moco_image_part *held = &image->held;
    if (held->full_h != loaded->h || held->full_w != loaded->w) {
        return name_failure(dataset, index,
                            moco_fail(MOCO_FORMAT,
                                      "it is an image of %lld x %lld pixels now, and was one of %lld x %lld",
                                      (long long) held->full_h, (long long) held->full_w, (long long) loaded->h,
                                      (long long) loaded->w));
    }
    if (keeps_encoded) keep_encoded(plan, index, loaded, memory->encoded.encoded, size);
    if (keeps_decoded(plan)) keep_decoded(plan, index, loaded, held);
    return MOCO_OK;
}

/* The shape and the label of an image, from the cache if it is there. */
static moco_status look_up(const moco_view_plan *plan, moco_view_memory *memory, int64_t index,
                           const moco_cached_sample *cached, loaded_image *loaded) {
    memory->hit = cached != NULL;
    if (cached == NULL) {
        return plan->dataset->ops->info(plan->dataset, index, &loaded->h, &loaded->w, &loaded->label);
    }
    *loaded = (loaded_image){.h = cached->held.full_h, .w = cached->held.full_w, .label = cached->label};
    return MOCO_OK;
}

/* What the draws need of the image, decoded. */
static moco_status load_8_bit(const moco_view_plan *plan, moco_view_memory *memory, int64_t index,
                              const moco_cached_sample *cached, const moco_view_draw *draws, int32_t count,
                              loaded_image *loaded) {
    const moco_dataset *dataset = plan->dataset;
    loaded->held = &memory->image.held;
    if (cached != NULL && keeps_decoded(plan)) {
        loaded->held = &cached->held;
        return MOCO_OK;
    }
    const moco_image_request request = request_for(plan, draws, count, loaded->h, loaded->w);
    if (cached == NULL) return load_image(plan, memory, index, &request, loaded);
    return dataset->ops->decode(dataset, index, cached->bytes, cached->size, &request, &memory->image);
}

static moco_status views_of_8_bits(const moco_view_plan *plan, moco_view_memory *memory, int64_t epoch, int64_t index,
                                   void *const outs[MAX_VIEWS], int32_t count, int32_t *label) {
    moco_view_draw draws[MAX_VIEWS];
    loaded_image loaded = {.label = MOCO_NO_LABEL};
    const int64_t started = moco_now_ns();
    const moco_cached_sample *cached = plan->cache == NULL ? NULL : moco_sample_cache_find(plan->cache, index);
    MOCO_TRY(look_up(plan, memory, index, cached, &loaded));
    MOCO_TRY(draw_views(plan, loaded.h, loaded.w, epoch, index, draws, count));
    MOCO_TRY(load_8_bit(plan, memory, index, cached, draws, count, &loaded));
    const int64_t ready = moco_now_ns();
    memory->ns_load = ready - started;
    *label = loaded.label;
    for (int32_t view = 0; view < count; ++view) {
        MOCO_TRY(moco_augment_render_pixels(plan->augment, loaded.held, &draws[view], &memory->scratch, plan->output,
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
