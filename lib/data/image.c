/* What all decoders need: limits, the memory of the image, the clock, common sentences, and what this build has. */
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

moco_status moco_image_fail_short(const char *format, const char *where) {
    return moco_fail(MOCO_FORMAT, "the %s file is cut short: it ends %s", format, where);
}

moco_status moco_image_fail_empty(const char *format, int64_t h, int64_t w) {
    return moco_fail(MOCO_FORMAT, "the %s file is empty: its header claims %lld x %lld pixels (h x w)", format,
                     (long long) h, (long long) w);
}

#ifdef MOCO_HAVE_JPEG
#define HAS_JPEG 1
#else
#define HAS_JPEG 0
#endif
#ifdef MOCO_HAVE_PNG
#define HAS_PNG 1
#else
#define HAS_PNG 0
#endif
#ifdef MOCO_HAVE_WEBP
#define HAS_WEBP 1
#else
#define HAS_WEBP 0
#endif
#ifdef MOCO_HAVE_TIFF
#define HAS_TIFF 1
#else
#define HAS_TIFF 0
#endif

typedef struct image_decoder {
    const char *name, *option;
    int32_t is_there;
} image_decoder;

static const image_decoder decoders[] = {
    [MOCO_FORMAT_JPEG] = {"JPEG", "JPEG", HAS_JPEG},
    [MOCO_FORMAT_PNG] = {"PNG", "PNG", HAS_PNG},
    [MOCO_FORMAT_WEBP] = {"WebP", "WEBP", HAS_WEBP},
    [MOCO_FORMAT_BMP] = {"BMP", "", 1},
    [MOCO_FORMAT_PNM] = {"PNM", "", 1},
    [MOCO_FORMAT_TIFF] = {"TIFF", "TIFF", HAS_TIFF},
};

int32_t moco_image_has_decoder(int32_t format) {
    return decoders[format].is_there;
}

uint64_t moco_image_decoders(void) {
    uint64_t bits = 0;
    for (int32_t f = 0; f < (int32_t) (sizeof decoders / sizeof decoders[0]); ++f) {
        bits |= (uint64_t) decoders[f].is_there << f;
    }
    return bits;
}

moco_status moco_image_require_decoder(int32_t format) {
    const image_decoder *decoder = &decoders[format];
    if (decoder->is_there) return MOCO_OK;
    return moco_fail(MOCO_UNSUPPORTED, "this libmoco was built without its %s decoder; build it with MOCO_WITH_%s=ON",
                     decoder->name, decoder->option);
}
