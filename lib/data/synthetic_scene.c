/* A scene shows a few objects of one class over a cluttered ground. The class is the objects' shape alone: number,
 * place, size, rotation, lightness, shading, ground, clutter, light and grain vary independently of it, so that pixels,
 * mean colours or the ground say little about the class.
 *
 * Two crops of one scene must share the class and little else, or contrastive learning tells scenes apart by the rest:
 * several objects per scene let most random crops keep at least one; the strong colours are those of the ground, whose
 * hues change within every scene, while objects, whole in many crops, are pale or dark, with a tint of two hues.
 *
 * Shapes are signed distances d(x, y), negative inside, in units of the object's radius; a pixel's coverage is
 * clamp(1/2 - d / pixel), which anti-aliases at any size.
 */
#include "data/synthetic_scene.h"

#include <math.h>

#include "core/random.h"

enum { DISC, RING, SQUARE, TRIANGLE, STAR, CROSS, CRESCENT, STRIPES, CHECKER, HOUSE };

const char *const moco_synthetic_class_names[MOCO_SYNTHETIC_CLASSES] = {
    "disc", "ring", "square", "triangle", "star", "cross", "crescent", "stripes", "checker", "house"};

#define TAU         6.28318531f
#define MAX_OBJECTS 4
#define LATTICE     14 /* nodes per side of the ground's noise */

typedef struct object {
    float x, y; /* centre; the image is [0, 1] x [0, 1] */
    float radius;
    float cosine, sine; /* rotation */
    float colour[2][3]; /* shaded from one to the other along its own y axis */
} object;

int32_t moco_synthetic_label(int64_t index) {
    return (int32_t) (index % MOCO_SYNTHETIC_CLASSES);
}

static float range(moco_random *random, float low, float high) {
    return low + (high - low) * moco_random_float(random);
}

/* Not fmaxf and fminf, which are calls. */
static inline float larger(float a, float b) {
    return a > b ? a : b;
}

static inline float smaller(float a, float b) {
    return a < b ? a : b;
}

static inline float clamp01(float x) {
    return smaller(larger(x, 0.0f), 1.0f);
}

static void hsv_colour(float hue, float saturation, float value, float rgb[3]) {
    for (int c = 0; c < 3; ++c) {
        float h = hue + (float) (3 - c) / 3.0f; /* red at 0, green at 1/3, blue at 2/3 */
        h -= floorf(h);
        const float ramp = clamp01(fabsf(6.0f * h - 3.0f) - 1.0f);
        rgb[c] = value * (1.0f - saturation * (1.0f - ramp));
    }
}

/* --- Signed distances --- */

static float box_distance(float x, float y, float half_width, float half_height) {
    return larger(fabsf(x) - half_width, fabsf(y) - half_height);
}

/* Signed distance to the nearest edge of a square wave of the given period: negative in the half periods around 0. */
static float wave_distance(float x, float period) {
    const float t = x / period - floorf(x / period + 0.5f); /* -1/2 .. 1/2 */
    return (fabsf(t) - 0.25f) * period;
}

/* A star of five points on the unit circle: folded into one half of a point, where it is a single edge. */
static float star_distance(float x, float y) {
    const float c36 = 0.809016994f, s36 = 0.587785252f;
    x = fabsf(x);
    float over = 2.0f * larger(c36 * x - s36 * y, 0.0f); /* reflect at the lines between points */
    x -= over * c36;
    y += over * s36;
    over = 2.0f * larger(-c36 * x - s36 * y, 0.0f);
    x += over * c36;
    y += over * s36;
    x = fabsf(x);
    /* The edge from the tip (0, 1) to the inner corner at radius 0.42, 36 degrees on. */
    const float ex = 0.42f * s36, ey = 0.42f * c36 - 1.0f;
    const float length = sqrtf(ex * ex + ey * ey);
    return (x * -ey + (y - 1.0f) * ex) / length;
}

static float shape_distance(int32_t shape, float x, float y) {
    switch (shape) {
    case DISC:
        return sqrtf(x * x + y * y) - 0.9f;
    case RING:
        return fabsf(sqrtf(x * x + y * y) - 0.72f) - 0.2f;
    case SQUARE:
        return box_distance(x, y, 0.76f, 0.76f);
    case TRIANGLE:
        return larger(0.866025404f * fabsf(x) - 0.5f * y, y) - 0.5f;
    case STAR:
        return star_distance(x, y);
    case CROSS:
        return smaller(box_distance(x, y, 0.95f, 0.27f), box_distance(x, y, 0.27f, 0.95f));
    case CRESCENT:
        return larger(sqrtf(x * x + y * y) - 0.95f, 0.78f - sqrtf((x - 0.45f) * (x - 0.45f) + y * y));
    case STRIPES:
        return larger(box_distance(x, y, 0.95f, 0.95f), wave_distance(x, 0.76f));
    case CHECKER: {
        const float a = wave_distance(x - 0.25f, 1.0f), b = wave_distance(y - 0.25f, 1.0f);
        const float edge = smaller(fabsf(a), fabsf(b));
        return larger(box_distance(x, y, 1.0f, 1.0f), a * b > 0.0f ? -edge : edge);
    }
    default: { /* HOUSE: y points up */
        const float walls = box_distance(x, y + 0.4f, 0.62f, 0.5f);
        const float roof = larger(0.6f * fabsf(x) + 0.8f * y - 0.68f, -y + 0.05f);
        const float door = box_distance(x - 0.1f, y + 0.62f, 0.2f, 0.3f);
        return larger(smaller(walls, roof), -door);
    }
    }
}

/* --- Painting --- */

/* Smooth noise of two scales, each colour channel on its own: hues vary within every ground and name no image. */
static void paint_ground(moco_random *random, int64_t size, float level, float *pixels) {
    const float turn = range(random, 0.0f, TAU), slope = range(random, 0.0f, 0.25f);
    const float dx = slope * cosf(turn), dy = slope * sinf(turn);
    for (int c = 0; c < 3; ++c) {
        for (int64_t i = 0; i < size * size; ++i) pixels[c * size * size + i] = level;
        for (int octave = 0; octave < 2; ++octave) {
            const float cells = octave == 0 ? range(random, 2.5f, 3.5f) : range(random, 8.0f, 12.0f);
            const float height = octave == 0 ? 0.42f : 0.2f;
            float lattice[LATTICE][LATTICE], line[LATTICE];
            for (int i = 0; i < LATTICE; ++i) {
                for (int j = 0; j < LATTICE; ++j) lattice[i][j] = height * (moco_random_float(random) - 0.5f);
            }
            float *at = pixels + c * size * size;
            for (int64_t row = 0; row < size; ++row) {
                const float y = ((float) row + 0.5f) / (float) size, v = y * cells;
                const int iv = (int) v;
                const float fv = v - (float) iv;
                for (int i = 0; i < LATTICE; ++i) line[i] = lattice[iv][i] + fv * (lattice[iv + 1][i] - lattice[iv][i]);
                for (int64_t column = 0; column < size; ++column, ++at) {
                    const float x = ((float) column + 0.5f) / (float) size, u = x * cells;
                    const int iu = (int) u;
                    const float fu = u - (float) iu;
                    *at += line[iu] + fu * (line[iu + 1] - line[iu]);
                    if (octave == 0) *at += (x - 0.5f) * dx + (y - 0.5f) * dy;
                }
            }
        }
    }
}

static void paint_object(int32_t shape, const object *o, float opacity, int64_t size, float *pixels) {
    const float pixel = 1.0f / (float) size, reach = 1.45f * o->radius + pixel;
    const int64_t area = size * size;
    const int64_t left = (int64_t) larger((o->x - reach) * (float) size, 0.0f);
    const int64_t top = (int64_t) larger((o->y - reach) * (float) size, 0.0f);
    const int64_t right = (int64_t) smaller((o->x + reach) * (float) size + 1.0f, (float) size);
    const int64_t bottom = (int64_t) smaller((o->y + reach) * (float) size + 1.0f, (float) size);
    const float per_radius = 1.0f / o->radius, per_pixel = o->radius / pixel;
    for (int64_t row = top; row < bottom; ++row) {
        const float dy = (o->y - ((float) row + 0.5f) * pixel) * per_radius; /* up */
        for (int64_t column = left; column < right; ++column) {
            const float dx = (((float) column + 0.5f) * pixel - o->x) * per_radius;
            const float x = o->cosine * dx + o->sine * dy, y = o->cosine * dy - o->sine * dx;
            const float coverage = opacity * clamp01(0.5f - shape_distance(shape, x, y) * per_pixel);
            if (coverage == 0.0f) continue;
            const float shade = clamp01(0.5f + 0.5f * y);
            float *at = pixels + row * size + column;
            for (int c = 0; c < 3; ++c) {
                const float colour = o->colour[0][c] + shade * (o->colour[1][c] - o->colour[0][c]);
                at[c * area] += coverage * (colour - at[c * area]);
            }
        }
    }
}

/* Light from one side, contrast, and grain. */
static void paint_light(moco_random *random, int64_t size, float *pixels) {
    const float angle = range(random, 0.0f, TAU), strength = range(random, 0.0f, 0.5f);
    const float dx = strength * cosf(angle), dy = strength * sinf(angle);
    const float contrast = range(random, 0.8f, 1.0f), level = range(random, 0.45f, 0.55f);
    const float grain = range(random, 0.03f, 0.045f);
    float *at = pixels;
    for (int c = 0; c < 3; ++c) {
        for (int64_t row = 0; row < size; ++row) {
            const float y = ((float) row + 0.5f) / (float) size - 0.5f;
            for (int64_t column = 0; column < size; ++column, ++at) {
                const float x = ((float) column + 0.5f) / (float) size - 0.5f;
                /* Two 16-bit halves: a triangular distribution of variance 1/6. */
                const uint32_t bits = moco_random_u32(random);
                const float noise = (float) (bits & 0xFFFFu) * 0x1p-16f - (float) (bits >> 16) * 0x1p-16f;
                const float lit = *at * (1.0f + x * dx + y * dy);
                *at = clamp01(level + contrast * (lit - 0.5f) + grain * 2.45f * noise);
            }
        }
    }
}

static void draw_object(moco_random *random, int32_t shape, int32_t bright, float radius, object *o) {
    o->radius = radius;
    const float turn = range(random, 0.0f, 1.0f);
    const float angle = shape == HOUSE ? (turn - 0.5f) * 0.8f : turn * TAU; /* houses stand more or less upright */
    o->cosine = cosf(angle);
    o->sine = sinf(angle);
    const float hue = range(random, 0.0f, 1.0f), saturation = range(random, 0.0f, 0.15f);
    const float value = bright ? range(random, 0.85f, 1.0f) : range(random, 0.05f, 0.25f);
    const float shading = range(random, 0.75f, 1.0f);
    hsv_colour(hue, saturation, value, o->colour[0]);
    hsv_colour(hue + range(random, 0.3f, 0.7f), saturation, value * shading, o->colour[1]);
}

void moco_synthetic_render(uint64_t seed, int32_t split, int64_t index, int64_t size, float *pixels) {
    moco_random random;
    moco_random_init(&random, seed, MOCO_RANDOM_SYNTHETIC, (uint64_t) split, (uint64_t) index);
    const int32_t shape = moco_synthetic_label(index);
    const int32_t bright = (int32_t) (moco_random_u32(&random) & 1u); /* bright on dark, or dark on bright */

    paint_ground(&random, size, bright ? range(&random, 0.25f, 0.35f) : range(&random, 0.65f, 0.75f), pixels);

    /* Clutter: faint specks, the same for every class. */
    const uint64_t specks = 2 + moco_random_below(&random, 5);
    for (uint64_t i = 0; i < specks; ++i) {
        object speck;
        const int32_t light = (int32_t) (moco_random_u32(&random) & 1u);
        const float radius = range(&random, 0.02f, 0.06f); /* drawn in statements of their own, for a fixed order */
        draw_object(&random, DISC, light, radius, &speck);
        speck.x = range(&random, 0.0f, 1.0f);
        speck.y = range(&random, 0.0f, 1.0f);
        paint_object(DISC, &speck, range(&random, 0.2f, 0.6f), size, pixels);
    }

    const uint64_t objects = 2 + moco_random_below(&random, MAX_OBJECTS - 1);
    const float scale = range(&random, 0.8f, 1.1f) * (objects == 2 ? 0.27f : objects == 3 ? 0.23f : 0.2f);
    object placed[MAX_OBJECTS];
    for (uint64_t i = 0; i < objects; ++i) {
        object *o = &placed[i];
        draw_object(&random, shape, bright, scale * range(&random, 0.85f, 1.15f), o);
        /* Dart throwing: of up to 12 places, the first that is clear of the others. */
        for (int attempt = 0; attempt < 12; ++attempt) {
            o->x = range(&random, 0.8f * o->radius, 1.0f - 0.8f * o->radius);
            o->y = range(&random, 0.8f * o->radius, 1.0f - 0.8f * o->radius);
            int clear = 1;
            for (uint64_t j = 0; j < i; ++j) {
                const float dx = o->x - placed[j].x, dy = o->y - placed[j].y, apart = o->radius + placed[j].radius;
                clear &= dx * dx + dy * dy > apart * apart;
            }
            if (clear) break;
        }
        paint_object(shape, o, 1.0f, size, pixels);
    }
    paint_light(&random, size, pixels);
}
