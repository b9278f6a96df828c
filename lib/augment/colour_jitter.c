#include "augment/colour_jitter.h"

/* Written as comparisons, which compile to single vector instructions; a NaN becomes 0. */
static inline float clamp01(float x) {
    const float positive = x > 0.0f ? x : 0.0f;
    return positive < 1.0f ? positive : 1.0f;
}

static inline float grey_of(float r, float g, float b) {
    return 0.299f * r + 0.587f * g + 0.114f * b;
}

/* x with `a` and `b` mixed: factor * a + (1 - factor) * b. A factor of 1 gives exactly a. */
static inline float blend(float a, float b, float factor) {
    return clamp01(factor * a + (1.0f - factor) * b);
}

void moco_jitter_brightness(float *image, int64_t n, float factor) {
    for (int64_t i = 0; i < 3 * n; ++i) image[i] = clamp01(factor * image[i]);
}

/* Summed in LANES interleaved chains, which the compiler can make vectors of, then in double. */
static float grey_mean(const float *restrict image, int64_t n) {
    enum { LANES = 16, BLOCK = 64 * LANES };
    double sum = 0.0;
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        const int64_t end = n - begin < BLOCK ? n : begin + BLOCK;
        float lanes[LANES] = {0};
        int64_t i = begin;
        for (; i + LANES <= end; i += LANES) {
            for (int64_t lane = 0; lane < LANES; ++lane) {
                lanes[lane] += grey_of(image[i + lane], image[n + i + lane], image[2 * n + i + lane]);
            }
        }
        for (; i < end; ++i) sum += (double) grey_of(image[i], image[n + i], image[2 * n + i]);
        for (int64_t lane = 0; lane < LANES; ++lane) sum += (double) lanes[lane];
    }
    return (float) (sum / (double) n);
}

void moco_jitter_contrast(float *image, int64_t n, float factor) {
    const float mean = grey_mean(image, n);
    for (int64_t i = 0; i < 3 * n; ++i) image[i] = blend(image[i], mean, factor);
}

void moco_jitter_saturation(float *image, int64_t n, float factor) {
    float *restrict red = image, *restrict green = image + n, *restrict blue = image + 2 * n;
    for (int64_t i = 0; i < n; ++i) {
        const float r = red[i], g = green[i], b = blue[i], grey = grey_of(r, g, b);
        red[i] = blend(r, grey, factor);
        green[i] = blend(g, grey, factor);
        blue[i] = blend(b, grey, factor);
    }
}

/* One channel of an HSV colour whose largest channel is `value` and whose spread is `spread`: `k` is the hue in sixths
 * of a turn, 0 <= k < 6, counted so that the channel is at its lowest for k in 1 .. 3. */
static inline float hue_channel(float value, float spread, float k) {
    const float down = 4.0f - k, lower = k < down ? k : down;
    return value - spread * clamp01(lower);
}

static inline float wrap6(float k) { /* for -6 <= k < 12 */
    k = k < 0.0f ? k + 6.0f : k;
    return k >= 6.0f ? k - 6.0f : k;
}

void moco_jitter_hue(float *image, int64_t n, float shift) {
    if (shift == 0.0f) return;
    float *restrict red = image, *restrict green = image + n, *restrict blue = image + 2 * n;
    const float sixths = 6.0f * shift;
    for (int64_t i = 0; i < n; ++i) {
        const float r = red[i], g = green[i], b = blue[i];
        const float highest = r > g ? (r > b ? r : b) : (g > b ? g : b);
        const float lowest = r < g ? (r < b ? r : b) : (g < b ? g : b);
        const float spread = highest - lowest, divisor = spread > 0.0f ? spread : 1.0f;
        /* The hue in sixths of a turn, -1 .. 5: each formula where its channel is the highest. */
        const float from_red = (g - b) / divisor;
        const float from_green = 2.0f + (b - r) / divisor;
        const float from_blue = 4.0f + (r - g) / divisor;
        const float other = highest == g ? from_green : from_blue;
        const float hue = wrap6((highest == r ? from_red : other) + sixths);
        red[i] = hue_channel(highest, spread, wrap6(hue + 5.0f));
        green[i] = hue_channel(highest, spread, wrap6(hue + 3.0f));
        blue[i] = hue_channel(highest, spread, wrap6(hue + 1.0f));
    }
}

void moco_to_grey(float *image, int64_t n) {
    float *restrict red = image, *restrict green = image + n, *restrict blue = image + 2 * n;
    for (int64_t i = 0; i < n; ++i) {
        const float grey = grey_of(red[i], green[i], blue[i]);
        red[i] = grey;
        green[i] = grey;
        blue[i] = grey;
    }
}

void moco_solarize(float *image, int64_t n, float threshold) {
    for (int64_t i = 0; i < 3 * n; ++i) image[i] = image[i] >= threshold ? 1.0f - image[i] : image[i];
}

void moco_clamp(float *values, int64_t count) {
    for (int64_t i = 0; i < count; ++i) values[i] = clamp01(values[i]);
}
