/* Encoded bytes in, upright RGB out: which format, whether it is within the limits, and what of it is wanted. */
#include "data/image_decoders.h"
#include "data/image_place.h"

static moco_status check_limits(const moco_stored_header *header, const moco_image_limits *limits) {
    const long long h = header->h, w = header->w;
    if (h > limits->max_side || w > limits->max_side) {
        return moco_fail(MOCO_FORMAT, "it claims %lld x %lld pixels (h x w); the limit is %lld for each side", h, w,
                         (long long) limits->max_side);
    }
    if (h > limits->max_pixels / w) {
        return moco_fail(MOCO_FORMAT, "it claims %lld x %lld pixels (h x w); the limit is %lld in all", h, w,
                         (long long) limits->max_pixels);
    }
    return MOCO_OK;
}

static moco_status read_header(moco_context *context, const void *bytes, size_t size, const moco_image_limits *limits,
                               moco_stored_header *header) {
    MOCO_REQUIRE(bytes != NULL || size == 0, "bytes is NULL; it must point to the %zu bytes of an encoded image", size);
    MOCO_REQUIRE(limits->max_side >= 1, "max_side is %lld; it must be at least 1", (long long) limits->max_side);
    MOCO_REQUIRE(limits->max_pixels >= 1, "max_pixels is %lld; it must be at least 1", (long long) limits->max_pixels);
    MOCO_REQUIRE(limits->max_seconds >= 0, "max_seconds is %g; it must be at least 0", limits->max_seconds);
    MOCO_TRY(moco_image_walk(context, (const uint8_t *) bytes, size, header));
    MOCO_TRY(moco_image_require_decoder(header->format));
    return check_limits(header, limits);
}

moco_status moco_image_probe(moco_context *context, const void *bytes, size_t size, const moco_image_limits *limits,
                             moco_image_header *header) {
    MOCO_REQUIRE_POINTER(header);
    const moco_image_limits defaults = moco_image_default_limits();
    moco_stored_header stored = {0};
    MOCO_TRY(read_header(context, bytes, size, limits == NULL ? &defaults : limits, &stored));
    const int transposed = moco_orientation_transposes(stored.orientation);
    *header = (moco_image_header){.format = stored.format,
                                  .orientation = stored.orientation,
                                  .h = transposed ? stored.w : stored.h,
                                  .w = transposed ? stored.h : stored.w};
    return MOCO_OK;
}

/* The window in stored pixels; all of the image where the request has none. */
static moco_status set_window(moco_image_job *job, const moco_image_request *request) {
    const int transposed = moco_orientation_transposes(job->header.orientation);
    const int64_t h = transposed ? job->header.w : job->header.h, w = transposed ? job->header.h : job->header.w;
    moco_image_window window = request->window;
    if (window.h == 0) window = (moco_image_window){0, 0, h, w};
    MOCO_REQUIRE(window.h >= 1 && window.w >= 1 && window.top >= 0 && window.left >= 0 && window.h <= h &&
                     window.w <= w && window.top <= h - window.h && window.left <= w - window.w,
                 "the window of %lld x %lld pixels at row %lld, column %lld is not inside the image of %lld x %lld",
                 (long long) window.h, (long long) window.w, (long long) window.top, (long long) window.left,
                 (long long) h, (long long) w);
    job->window = moco_window_to_stored(&window, &job->header);
    return MOCO_OK;
}

moco_status moco_image_decode(moco_context *context, const void *bytes, size_t size, const moco_image_limits *limits,
                              const moco_image_request *request, moco_image *image) {
    MOCO_REQUIRE_POINTER(image);
    image->held.h = image->held.w = 0; /* nothing is held, unless this succeeds */
    const moco_image_limits defaults = moco_image_default_limits();
    const moco_image_request everything = {.max_reduction = 1};
    if (limits == NULL) limits = &defaults;
    if (request == NULL) request = &everything;
    const int32_t r = request->max_reduction;
    MOCO_REQUIRE(r == 1 || r == 2 || r == 4 || r == 8, "max_reduction is %d; it must be 1, 2, 4 or 8", r);

    moco_image_job job = {
        .context = context, .bytes = (const uint8_t *) bytes, .size = size, .limits = limits, .image = image};
    MOCO_TRY(read_header(context, bytes, size, limits, &job.header));
    MOCO_TRY(set_window(&job, request));
    job.check_all = request->check_all;
    job.max_reduction = moco_largest_reduction(&job.header, r);
    moco_image_start_clock(&job);

    moco_status status = MOCO_OK;
    switch (job.header.format) {
    case MOCO_FORMAT_JPEG:
        status = moco_jpeg_decode(&job);
        break;
    case MOCO_FORMAT_PNG:
        status = moco_png_decode(&job);
        break;
    case MOCO_FORMAT_WEBP:
        status = moco_webp_decode(&job);
        break;
    case MOCO_FORMAT_BMP:
        status = moco_bmp_decode(&job);
        break;
    case MOCO_FORMAT_PNM:
        status = moco_pnm_decode(&job);
        break;
    default:
        status = moco_tiff_decode(&job);
    }
    if (status != MOCO_OK) image->held.h = image->held.w = 0;
    return status;
}
