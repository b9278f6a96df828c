/* One source for every instruction set. MOCO_COLOUR_KERNEL names the table that it defines.
 *
 * A vector of pixels is read, goes through all steps as floats of 0..255 in registers, and leaves as bytes or as the
 * normalized view: the image is read and written once. Sums and products of the grey value stay below 2^24 and so are
 * exact.
 */
#include "augment/colour_kernel.h"

#include "augment/vector32.h"

#ifndef MOCO_COLOUR_KERNEL
#error "MOCO_COLOUR_KERNEL must be the name of the table"
#endif

enum { LANES = V32_LANES };

typedef struct pixels {
    v32 r, g, b;
} pixels;

/* Towards zero, as a C cast does, after clamping to what 8 bits hold. */
V32_INLINE v32 to_byte(v32 x) {
    return __builtin_convertvector(v32_truncate(v32_min(v32_max(x, v32_all(0.0f)), v32_all(255.0f))), v32);
}

/* b moved towards a: Pillow's Image.blend. */
V32_INLINE v32 blend(v32 a, v32 b, float factor) {
    return to_byte(b + v32_all(factor) * (a - b));
}

/* Pillow's L, rounded: (19595 r + 38470 g + 7471 b + 2^15) >> 16. */
V32_INLINE v32 grey_of(const pixels *p) {
    const v32 sum = 19595.0f * p->r + 38470.0f * p->g + (7471.0f * p->b + 32768.0f);
    return __builtin_convertvector(v32_truncate(sum * 0x1p-16f), v32);
}

/* One channel of an HSV colour whose largest channel is `value` and whose spread is `spread`: `k` is the hue in sixths
 * of a turn, 0 <= k < 6, counted so that the channel is at its lowest for k in 1 .. 3. Rounded. */
V32_INLINE v32 hue_channel(v32 value, v32 spread, v32 k) {
    const v32 lower = v32_min(k, 4.0f - k);
    return to_byte(value - spread * v32_min(v32_max(lower, v32_all(0.0f)), v32_all(1.0f)) + 0.5f);
}

V32_INLINE v32 wrap6(v32 k) { /* for 0 <= k < 12 */
    return v32_if_less(k, v32_all(6.0f), k, k - 6.0f);
}

V32_INLINE pixels turn_hue(pixels p, float sixths) {
    const v32 highest = v32_max(v32_max(p.r, p.g), p.b), lowest = v32_min(v32_min(p.r, p.g), p.b);
    const v32 spread = highest - lowest;
    /* The hue in sixths of a turn, -1 .. 5: which formula depends on the highest channel. */
    const v32 difference = v32_if_equal(highest, p.r, p.g - p.b, v32_if_equal(highest, p.g, p.b - p.r, p.r - p.g));
    const v32 base =
        v32_if_equal(highest, p.r, v32_all(0.0f), v32_if_equal(highest, p.g, v32_all(2.0f), v32_all(4.0f)));
    v32 hue = base + difference / v32_max(spread, v32_all(1.0f)) + v32_all(sixths);
    hue = wrap6(v32_if_less(hue, v32_all(0.0f), hue + 6.0f, hue));
    return (pixels){hue_channel(highest, spread, wrap6(hue + 5.0f)), hue_channel(highest, spread, wrap6(hue + 3.0f)),
                    hue_channel(highest, spread, wrap6(hue + 1.0f))};
}

V32_INLINE pixels take_step(const moco_colour_step *step, pixels p) {
    const float factor = step->factor;
    switch (step->kind) {
    case MOCO_COLOUR_BRIGHTNESS: {
        const v32 all = v32_all(factor);
        return (pixels){to_byte(all * p.r), to_byte(all * p.g), to_byte(all * p.b)};
    }
    case MOCO_COLOUR_CONTRAST: {
        const v32 mean = v32_all(step->level);
        return (pixels){blend(p.r, mean, factor), blend(p.g, mean, factor), blend(p.b, mean, factor)};
    }
    case MOCO_COLOUR_SATURATION: {
        const v32 grey = grey_of(&p);
        return (pixels){blend(p.r, grey, factor), blend(p.g, grey, factor), blend(p.b, grey, factor)};
    }
    case MOCO_COLOUR_HUE:
        return turn_hue(p, 6.0f * factor);
    case MOCO_COLOUR_GREY: {
        const v32 grey = grey_of(&p);
        return (pixels){grey, grey, grey};
    }
    default: {
        const v32 level = v32_all(step->level);
        return (pixels){v32_if_less(p.r, level, p.r, 255.0f - p.r), v32_if_less(p.g, level, p.g, 255.0f - p.g),
                        v32_if_less(p.b, level, p.b, 255.0f - p.b)};
    }
    }
}

V32_INLINE pixels take_steps(const moco_colour_step *steps, int32_t count, const uint8_t *from, int64_t plane) {
    pixels p = {v32_load_bytes(from), v32_load_bytes(from + plane), v32_load_bytes(from + 2 * plane)};
    for (int32_t i = 0; i < count; ++i) p = take_step(&steps[i], p);
    return p;
}

V32_INLINE void put_bytes(const pixels *p, uint8_t *to, int64_t plane) {
    v32_store_bytes(to, p->r);
    v32_store_bytes(to + plane, p->g);
    v32_store_bytes(to + 2 * plane, p->b);
}

V32_INLINE void put_floats(const pixels *p, const moco_colour_output *output, float *to, int64_t plane) {
    v32_store(to, p->r * v32_all(output->scale[0]) + v32_all(output->shift[0]));
    v32_store(to + plane, p->g * v32_all(output->scale[1]) + v32_all(output->shift[1]));
    v32_store(to + 2 * plane, p->b * v32_all(output->scale[2]) + v32_all(output->shift[2]));
}

V32_INLINE void process(const uint8_t *from, int64_t plane, const moco_colour_step *steps, int32_t count,
                        const moco_colour_output *output, int64_t at, v32_integer *grey_sum) {
    const pixels p = take_steps(steps, count, from + at, plane);
    if (output->grey_sum != NULL) *grey_sum += v32_truncate(grey_of(&p));
    if (output->bytes != NULL) put_bytes(&p, output->bytes + at, plane);
    if (output->floats != NULL) put_floats(&p, output, output->floats + at, plane);
}

static int64_t total(const v32_integer *sum) {
    int64_t lanes = 0;
    for (int lane = 0; lane < LANES; ++lane) lanes += (*sum)[lane];
    return lanes;
}

/* The last pixels, fewer than a vector: through vectors of their own. */
static void run_rest(const uint8_t *planes, int64_t area, int64_t begin, const moco_colour_step *steps, int32_t count,
                     const moco_colour_output *output, int64_t *grey_sum) {
    const size_t n = (size_t) (area - begin);
    uint8_t bytes[3 * LANES] = {0};
    float floats[3 * LANES];
    moco_colour_output rest = *output;
    int64_t sum = 0;
    if (output->floats != NULL) rest.floats = floats;
    rest.bytes = bytes;
    for (int c = 0; c < 3; ++c) memcpy(bytes + c * LANES, planes + c * area + begin, n);
    v32_integer sums = {0};
    process(bytes, LANES, steps, count, &rest, 0, &sums);
    for (size_t lane = 0; lane < n; ++lane) sum += sums[lane];
    for (int c = 0; c < 3; ++c) {
        if (output->bytes != NULL) memcpy(output->bytes + c * area + begin, bytes + c * LANES, n);
        if (output->floats != NULL) memcpy(output->floats + c * area + begin, floats + c * LANES, n * sizeof(float));
    }
    *grey_sum += sum;
}

static void run(const uint8_t *planes, int64_t area, const moco_colour_step *steps, int32_t count,
                const moco_colour_output *output) {
    enum { BLOCK = 4096 * LANES }; /* vectors whose grey values a lane sums in 32 bits */
    int64_t sum = 0, at = 0;
    while (at + LANES <= area) {
        const int64_t stop = area - at < BLOCK ? area : at + BLOCK;
        v32_integer sums = {0};
        for (; at + LANES <= stop; at += LANES) process(planes, area, steps, count, output, at, &sums);
        sum += total(&sums);
    }
    if (at < area) run_rest(planes, area, at, steps, count, output, &sum);
    if (output->grey_sum != NULL) *output->grey_sum = sum;
}

extern const moco_colour_kernel MOCO_COLOUR_KERNEL;
const moco_colour_kernel MOCO_COLOUR_KERNEL = {run};
