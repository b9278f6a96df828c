/* WebP by libwebp: lossy or lossless, alpha kept for the placement, of an animation the first frame on its canvas. Only
 * the window's part is decoded; what is held has the bits of the same part of a full decode. */
#include "data/image_decoders.h"

#ifdef MOCO_HAVE_WEBP

#include <string.h>

#include <webp/decode.h>

#include "core/checked.h"

enum {
    MARGIN = 2,        /* chroma is interpolated from its neighbours */
    SLICE = 256 << 10, /* bytes between two looks at the clock */
};

static moco_status status_of(const moco_image_job *job, VP8StatusCode code) {
    switch (code) {
    case VP8_STATUS_OK:
        return MOCO_OK;
    case VP8_STATUS_OUT_OF_MEMORY:
        return moco_fail(MOCO_OUT_OF_MEMORY, "libwebp is out of memory");
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return moco_fail(MOCO_FORMAT, "the WebP file is damaged: its picture of %lld x %lld ends too early",
                         (long long) job->header.picture.h, (long long) job->header.picture.w);
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return moco_fail(MOCO_FORMAT, "the WebP file's picture has a feature that libwebp does not support");
    default:
        return moco_fail(MOCO_FORMAT, "the WebP file is damaged: libwebp refuses its picture (code %d)", (int) code);
    }
}

/* In slices where it is long, so that the clock is looked at. */
static moco_status decode_picture(const moco_image_job *job, WebPDecoderConfig *config) {
    const uint8_t *bytes = job->bytes + job->header.picture_offset;
    const size_t size = job->header.picture_size;
    if (size <= SLICE) return status_of(job, WebPDecode(bytes, size, config));

    WebPIDecoder *decoder = WebPIDecode(NULL, 0, config);
    if (decoder == NULL) return moco_fail(MOCO_OUT_OF_MEMORY, "libwebp is out of memory");
    VP8StatusCode code = VP8_STATUS_SUSPENDED;
    moco_status status = MOCO_OK;
    for (size_t end = SLICE; code == VP8_STATUS_SUSPENDED && status == MOCO_OK; end += SLICE) {
        const size_t part = end < size ? end : size;
        code = WebPIUpdate(decoder, bytes, part);
        if (part == size) break;
        if (moco_image_is_late(job)) status = moco_image_fail_late(job);
    }
    WebPIDelete(decoder);
    return status == MOCO_OK ? status_of(job, code) : status;
}

/* The part of the canvas that is decoded: the window and its margin, from an even row and column on. All of it with the
 * separate alpha of a lossy picture: cropped, libwebp makes other alpha of damaged data than it does of the whole. */
static moco_image_window decoded_area(const moco_image_job *job, const WebPBitstreamFeatures *picture) {
    const moco_image_window *window = &job->window;
    if (job->check_all || (picture->has_alpha && picture->format != 2))
        return (moco_image_window){0, 0, job->header.h, job->header.w};
    moco_image_window area = {moco_max_i64(window->top - MARGIN, 0) & ~INT64_C(1),
                              moco_max_i64(window->left - MARGIN, 0) & ~INT64_C(1), 0, 0};
    area.h = moco_min_i64(window->top + window->h + MARGIN, job->header.h) - area.top;
    area.w = moco_min_i64(window->left + window->w + MARGIN, job->header.w) - area.left;
    return area;
}

moco_status moco_webp_decode(moco_image_job *job) {
    const moco_image_window *picture = &job->header.picture, *window = &job->window;
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return moco_fail(MOCO_UNSUPPORTED, "libwebp is of another version");
    MOCO_TRY(status_of(
        job, WebPGetFeatures(job->bytes + job->header.picture_offset, job->header.picture_size, &config.input)));
    if (config.input.width != picture->w || config.input.height != picture->h) {
        return moco_fail(MOCO_FORMAT, "the WebP file's picture has two sizes");
    }
    /* The canvas is transparent where the picture is not. */
    const int covered = picture->h == job->header.h && picture->w == job->header.w;
    const int32_t channels = covered && !config.input.has_alpha ? MOCO_RGB : MOCO_RGBA;
    const moco_image_window area = decoded_area(job, &config.input);
    const size_t stride = (size_t) (area.w * channels), bytes = stride * (size_t) area.h; /* sides are 2^24 at most */
    const uint64_t pixels = (uint64_t) (picture->h * picture->w);
    const uint64_t inside = config.input.format == 2 ? 4 * pixels : config.input.has_alpha ? 2 * pixels : 0;
    MOCO_TRY(moco_image_begin(job, 1, bytes + inside));

    uint8_t *canvas = (uint8_t *) moco_allocate(job->context, bytes);
    if (canvas == NULL) return MOCO_OUT_OF_MEMORY;
    if (!covered) memset(canvas, 0, bytes);
    const int64_t top = moco_max_i64(area.top, picture->top), left = moco_max_i64(area.left, picture->left);
    const int64_t h = moco_min_i64(area.top + area.h, picture->top + picture->h) - top;
    const int64_t w = moco_min_i64(area.left + area.w, picture->left + picture->w) - left;
    moco_status status = MOCO_OK;
    if (h > 0 && w > 0) {
        const size_t begin = (size_t) (top - area.top) * stride + (size_t) ((left - area.left) * channels);
        config.options.use_cropping = h != picture->h || w != picture->w;
        config.options.crop_top = (int) (top - picture->top);
        config.options.crop_left = (int) (left - picture->left);
        config.options.crop_height = (int) h;
        config.options.crop_width = (int) w;
        config.output.colorspace = channels == MOCO_RGB ? MODE_RGB : MODE_RGBA;
        config.output.is_external_memory = 1;
        config.output.u.RGBA.rgba = canvas + begin;
        config.output.u.RGBA.stride = (int) stride;
        config.output.u.RGBA.size = bytes - begin;
        status = decode_picture(job, &config);
        WebPFreeDecBuffer(&config.output);
    }
    if (status == MOCO_OK) {
        const size_t begin =
            (size_t) (window->top - area.top) * stride + (size_t) ((window->left - area.left) * channels);
        moco_image_place(job, 0, job->part.h, canvas + begin, stride, channels);
    }
    moco_deallocate(job->context, canvas);
    return status;
}

#else

moco_status moco_webp_decode(moco_image_job *job) {
    return moco_image_require_decoder(job->header.format);
}

#endif
