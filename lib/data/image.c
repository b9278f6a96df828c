/* What all decoders need: limits, the memory of the image, the clock, and what this build has. */
#include "data/image.h"

#include <time.h>

#include "core/checked.h"
#include "data/image_decoders.h"

enum { MAX_SIDE = 65500, MAX_PIXELS = 178956970 };

moco_image_limits moco_image_default_limits(void) {
    return (moco_image_limits){
        .max_side = MAX_SIDE, .max_pixels = MAX_PIXELS, .max_memory = UINT64_C(1) << 30, .max_seconds = 10.0};
}

moco_status moco_image_reserve(moco_context *context, moco_image *image, int64_t h, int64_t w) {
    int64_t pixels = 0;
    size_t bytes = 0;
    MOCO_TRY(moco_checked_multiply(h, w, "the image's pixels", &pixels));
    MOCO_TRY(moco_checked_bytes(pixels, 3, "the image", &bytes));
    if (image->pixels == NULL || image->capacity < bytes) {
        moco_image_release(context, image);
        image->pixels = (uint8_t *) moco_allocate(context, bytes);
        if (image->pixels == NULL) return MOCO_OUT_OF_MEMORY;
        image->capacity = bytes;
    }
    image->held.pixels = image->pixels;
    return MOCO_OK;
}

void moco_image_release(moco_context *context, moco_image *image) {
    if (image == NULL) return;
    moco_deallocate(context, image->pixels);
    *image = (moco_image){0};
}

static int64_t thread_time_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t) now.tv_sec * 1000000000 + (int64_t) now.tv_nsec;
}

void moco_image_start_clock(moco_image_job *job) {
    const double seconds = job->limits->max_seconds;
    job->deadline_ns = INT64_MAX;
    if (!(seconds > 0 && seconds < 1e9)) return;
    const int64_t limit_ns = (int64_t) (seconds * 1e9);
    job->deadline_ns = moco_now_ns() + limit_ns;
    job->thread_deadline_ns = thread_time_ns() + limit_ns;
}

/* The wall clock, which costs less to read, goes first. */
int moco_image_is_late(const moco_image_job *job) {
    return job->deadline_ns != INT64_MAX && moco_now_ns() > job->deadline_ns &&
           thread_time_ns() > job->thread_deadline_ns;
}

moco_status moco_image_fail_late(const moco_image_job *job) {
    return moco_fail(MOCO_FORMAT, "decoding its %lld x %lld pixels takes longer than the limit of %g seconds",
                     (long long) job->header.h, (long long) job->header.w, job->limits->max_seconds);
}

moco_status moco_image_require_decoder(int32_t format) {
    static const char *const names[] = {"JPEG", "PNG", "WebP"}, *const options[] = {"JPEG", "PNG", "WEBP"};
    int32_t known[] = {0, 0, 0};
#ifdef MOCO_HAVE_JPEG
    known[MOCO_FORMAT_JPEG] = 1;
#endif
#ifdef MOCO_HAVE_PNG
    known[MOCO_FORMAT_PNG] = 1;
#endif
#ifdef MOCO_HAVE_WEBP
    known[MOCO_FORMAT_WEBP] = 1;
#endif
    if (known[format]) return MOCO_OK;
    return moco_fail(MOCO_UNSUPPORTED, "this libmoco was built without its %s decoder; build it with MOCO_WITH_%s=ON",
                     names[format], options[format]);
}
