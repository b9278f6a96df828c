/* One source for every instruction set. MOCO_COLOUR_KERNEL names the table that it defines.
 *
 * A few hundred pixels at a time become floats of 0..255 in the nearest cache, go through all steps there, and leave as
 * bytes or as the normalised view: the image itself is read and written once. The loops are plain; compilers make
 * vectors of them. Sums and products of the grey value stay below 2^24 and so are exact.
 */
#include "augment/colour_kernel.h"

#ifndef MOCO_COLOUR_KERNEL
#error "MOCO_COLOUR_KERNEL must be the name of the table"
#endif

#define INLINE static inline __attribute__((always_inline))

enum { TILE = 512 };

INLINE float clamp255(float x) {
    const float positive = x > 0.0f ? x : 0.0f;
    return positive < 255.0f ? positive : 255.0f;
}

/* Towards zero, as a C cast does, after clamping to what 8 bits hold. */
INLINE float to_byte(float x) {
    return (float) (int32_t) clamp255(x);
}

/* b moved towards a: Pillow's Image.blend. */
INLINE float blend(float a, float b, float factor) {
    return to_byte(b + factor * (a - b));
}

/* Pillow's L, rounded: (19595 r + 38470 g + 7471 b + 2^15) >> 16. */
INLINE float grey_of(float r, float g, float b) {
    const float sum = 19595.0f * r + 38470.0f * g + (7471.0f * b + 32768.0f);
    return (float) (int32_t) (sum * 0x1p-16f);
}

static void brightness(float *restrict pixels, float factor) {
    for (int i = 0; i < 3 * TILE; ++i) pixels[i] = to_byte(factor * pixels[i]);
}

static void contrast(float *restrict pixels, float factor, float mean) {
    for (int i = 0; i < 3 * TILE; ++i) pixels[i] = blend(pixels[i], mean, factor);
}

static void saturation(float *restrict pixels, float factor) {
    for (int i = 0; i < TILE; ++i) {
        const float r = pixels[i], g = pixels[TILE + i], b = pixels[2 * TILE + i], grey = grey_of(r, g, b);
        pixels[i] = blend(r, grey, factor);
        pixels[TILE + i] = blend(g, grey, factor);
        pixels[2 * TILE + i] = blend(b, grey, factor);
    }
}

/* One channel of an HSV colour whose largest channel is `value` and whose spread is `spread`: `k` is the hue in sixths
 * of a turn, 0 <= k < 6, counted so that the channel is at its lowest for k in 1 .. 3. Rounded. */
INLINE float hue_channel(float value, float spread, float k) {
    const float down = 4.0f - k, lower = k < down ? k : down;
    const float positive = lower > 0.0f ? lower : 0.0f;
    return to_byte(value - spread * (positive < 1.0f ? positive : 1.0f) + 0.5f);
}

INLINE float wrap6(float k) { /* for -6 <= k < 12 */
    k = k < 0.0f ? k + 6.0f : k;
    return k >= 6.0f ? k - 6.0f : k;
}

static void hue(float *restrict pixels, float shift) {
    const float sixths = 6.0f * shift;
    for (int i = 0; i < TILE; ++i) {
        const float r = pixels[i], g = pixels[TILE + i], b = pixels[2 * TILE + i];
        const float highest = r > g ? (r > b ? r : b) : (g > b ? g : b);
        const float lowest = r < g ? (r < b ? r : b) : (g < b ? g : b);
        const float spread = highest - lowest, divisor = spread > 0.0f ? spread : 1.0f;
        /* The hue in sixths of a turn, -1 .. 5: which formula depends on the highest channel. */
        const float difference = highest == r ? g - b : highest == g ? b - r : r - g;
        const float base = highest == r ? 0.0f : highest == g ? 2.0f : 4.0f;
        const float turned = wrap6(base + difference / divisor + sixths);
        pixels[i] = hue_channel(highest, spread, wrap6(turned + 5.0f));
        pixels[TILE + i] = hue_channel(highest, spread, wrap6(turned + 3.0f));
        pixels[2 * TILE + i] = hue_channel(highest, spread, wrap6(turned + 1.0f));
    }
}

static void grey(float *restrict pixels) {
    for (int i = 0; i < TILE; ++i) {
        const float value = grey_of(pixels[i], pixels[TILE + i], pixels[2 * TILE + i]);
        pixels[i] = value;
        pixels[TILE + i] = value;
        pixels[2 * TILE + i] = value;
    }
}

static void solarize(float *restrict pixels, float level) {
    for (int i = 0; i < 3 * TILE; ++i) pixels[i] = pixels[i] >= level ? 255.0f - pixels[i] : pixels[i];
}

static int32_t grey_sum(const float *restrict pixels, int n) {
    int32_t sum = 0;
    for (int i = 0; i < n; ++i) sum += (int32_t) grey_of(pixels[i], pixels[TILE + i], pixels[2 * TILE + i]);
    return sum;
}

static void take_step(const moco_colour_step *step, float *pixels) {
    switch (step->kind) {
    case MOCO_COLOUR_BRIGHTNESS:
        brightness(pixels, step->factor);
        break;
    case MOCO_COLOUR_CONTRAST:
        contrast(pixels, step->factor, step->level);
        break;
    case MOCO_COLOUR_SATURATION:
        saturation(pixels, step->factor);
        break;
    case MOCO_COLOUR_HUE:
        hue(pixels, step->factor);
        break;
    case MOCO_COLOUR_GREY:
        grey(pixels);
        break;
    default:
        solarize(pixels, step->level);
        break;
    }
}

static void run(const uint8_t *planes, int64_t area, const moco_colour_step *steps, int32_t count,
                const moco_colour_output *output) {
    _Alignas(64) float pixels[3 * TILE] = {0};
    int64_t sum = 0;
    for (int64_t begin = 0; begin < area; begin += TILE) {
        const int n = area - begin < TILE ? (int) (area - begin) : TILE;
        for (int c = 0; c < 3; ++c) {
            const uint8_t *restrict from = planes + c * area + begin;
            float *restrict to = pixels + c * TILE;
            for (int i = 0; i < n; ++i) to[i] = (float) from[i];
        }
        for (int32_t s = 0; s < count; ++s) take_step(&steps[s], pixels);
        if (output->grey_sum != NULL) sum += grey_sum(pixels, n);
        for (int c = 0; c < 3 && output->bytes != NULL; ++c) {
            const float *restrict from = pixels + c * TILE;
            uint8_t *restrict to = output->bytes + c * area + begin;
            for (int i = 0; i < n; ++i) to[i] = (uint8_t) (int32_t) from[i];
        }
        for (int c = 0; c < 3 && output->floats != NULL; ++c) {
            const float *restrict from = pixels + c * TILE;
            float *restrict to = output->floats + c * area + begin;
            const float scale = output->scale[c], shift = output->shift[c];
            for (int i = 0; i < n; ++i) to[i] = from[i] * scale + shift;
        }
    }
    if (output->grey_sum != NULL) *output->grey_sum = sum;
}

extern const moco_colour_kernel MOCO_COLOUR_KERNEL;
const moco_colour_kernel MOCO_COLOUR_KERNEL = {run};
