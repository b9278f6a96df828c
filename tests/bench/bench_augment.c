/* Random views of one 8-bit picture, on one thread, in turns with the official recipe in torchvision and Pillow.
 *
 *   bench_augment [--recipe v1|v2|v3|cifar] [--height 375] [--width 500] [--views 200] [--reps 11]
 *                 [--no-peer] [--python PATH]
 *
 * One JSON object: medians over the repetitions of the milliseconds per view, the mean over the recipe's draws; those
 * of the float images' path too; ratio = peer over ours.
 */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "peer.h"

#define MOST_REPS 1000

typedef struct picture {
    int64_t h, w;
    uint8_t *pixels; /* h x w x 3 */
    float *planes;   /* 3 x h x w */
} picture;

static int32_t recipe_of(const char *name) {
    static const char *const names[] = {
        [MOCO_AUGMENT_V1] = "v1", [MOCO_AUGMENT_V2] = "v2", [MOCO_AUGMENT_CIFAR] = "cifar", [MOCO_AUGMENT_V3] = "v3"};
    for (int32_t i = 0; i < (int32_t) (sizeof names / sizeof names[0]); ++i) {
        if (names[i] != NULL && strcmp(names[i], name) == 0) return i;
    }
    return -1;
}

/* Smooth shades. */
static int paint(picture *p) {
    const int64_t area = p->h * p->w;
    p->pixels = (uint8_t *) malloc((size_t) (3 * area));
    p->planes = (float *) malloc((size_t) (3 * area) * sizeof(float));
    if (p->pixels == NULL || p->planes == NULL) return 0;
    for (int64_t i = 0; i < area; ++i) {
        const int64_t y = i / p->w, x = i % p->w;
        p->pixels[3 * i] = (uint8_t) (x * 255 / p->w);
        p->pixels[3 * i + 1] = (uint8_t) (y * 255 / p->h);
        p->pixels[3 * i + 2] = (uint8_t) ((x + y) % 256);
        for (int64_t c = 0; c < 3; ++c) p->planes[c * area + i] = (float) p->pixels[3 * i + c] / 255.0f;
    }
    return 1;
}

/* Milliseconds per view; negative on failure. */
static double run(const moco_augment *augment, const picture *p, int64_t views, int floats, float *out) {
    const double start = bench_now_ms();
    for (int64_t i = 0; i < views; ++i) {
        const int32_t view = (int32_t) (i % 2);
        const moco_status status = floats
                                       ? moco_augment_apply(augment, p->planes, p->h, p->w, 0, i / 2, view, out)
                                       : moco_augment_apply_pixels(augment, p->pixels, p->h, p->w, 0, i / 2, view, out);
        if (status != MOCO_OK) return -1.0;
    }
    return (bench_now_ms() - start) / (double) views;
}

static bench_peer *start_peer(const char *recipe, const picture *p, int64_t views, char *reason, size_t reason_size) {
    char height[24], width[24], count[24];
    snprintf(height, sizeof height, "%lld", (long long) p->h);
    snprintf(width, sizeof width, "%lld", (long long) p->w);
    snprintf(count, sizeof count, "%lld", (long long) views);
    const char *const arguments[] = {"--recipe", recipe, "--height", height, "--width", width, "--views", count, NULL};
    return bench_peer_start("peer_augment.py", arguments, 1, reason, reason_size);
}

int main(int argc, char **argv) {
    if (!bench_options_are_known(argc, argv, "--height --no-peer --python --recipe --reps --views --width ")) return 2;
    const char *recipe = bench_option_string(argc, argv, "--recipe", "v2");
    const int small = strcmp(recipe, "cifar") == 0;
    picture p = {bench_option(argc, argv, "--height", small ? 32 : 375),
                 bench_option(argc, argv, "--width", small ? 32 : 500), NULL, NULL};
    const int64_t views = bench_option(argc, argv, "--views", small ? 2000 : 200);
    const int reps = (int) bench_option(argc, argv, "--reps", 11);
    if (recipe_of(recipe) < 0 || p.h < 1 || p.w < 1 || p.h > 20000 || p.w > 20000 || views < 1 || reps < 1 ||
        reps > MOST_REPS) {
        fprintf(stderr, "bench_augment: --recipe is v1, v2, v3 or cifar; --height and --width 1 to 20000; --views and "
                        "--reps at least 1, --reps at most 1000\n");
        return 2;
    }
    bench_peer_use_python(argc, argv);
    static double ours_ms[MOST_REPS], float_ms[MOST_REPS], peer_ms[MOST_REPS];
    moco_augment_config config;
    moco_context *context = NULL;
    moco_augment *augment = NULL;
    moco_augment_config_init(&config, sizeof config, recipe_of(recipe));
    float *out = (float *) malloc((size_t) (3 * config.height * config.width) * sizeof(float));
    if (out == NULL || !paint(&p) || moco_context_create(&context, NULL) != MOCO_OK ||
        moco_augment_create(&augment, context, &config) != MOCO_OK || run(augment, &p, views, 0, out) < 0.0) {
        fprintf(stderr, "bench_augment: %s\n", moco_last_error());
        return 1;
    }
    char reason[512] = "not asked for";
    bench_peer *peer =
        bench_flag(argc, argv, "--no-peer") ? NULL : start_peer(recipe, &p, views, reason, sizeof reason);
    for (int i = 0; i < reps; ++i) {
        ours_ms[i] = run(augment, &p, views, 0, out);
        float_ms[i] = run(augment, &p, views, 1, out);
        if (peer != NULL) peer_ms[i] = bench_peer_run(peer) / (double) views;
    }
    const double ours = bench_median(ours_ms, reps), floats = bench_median(float_ms, reps);
    printf("{\"name\": \"augment\", \"recipe\": \"%s\", \"h\": %lld, \"w\": %lld, \"view_h\": %d, \"view_w\": %d, "
           "\"ours_ms\": %.4f, \"ours_best_ms\": %.4f, \"float_ms\": %.4f",
           recipe, (long long) p.h, (long long) p.w, config.height, config.width, ours, ours_ms[0], floats);
    const double theirs = peer == NULL ? -1.0 : bench_median(peer_ms, reps);
    if (theirs > 0.0 && peer_ms[0] > 0.0) {
        printf(", \"peer\": \"torchvision, Pillow\", \"peer_ms\": %.4f, \"peer_best_ms\": %.4f, \"ratio\": %.2f}\n",
               theirs, peer_ms[0], theirs / ours);
    } else {
        printf(", \"peer\": \"%s\", \"peer_ms\": null, \"ratio\": null}\n",
               peer != NULL ? "failed on the way" : reason);
    }
    bench_peer_stop(peer);
    moco_augment_destroy(augment);
    moco_context_destroy(context);
    free(p.pixels);
    free(p.planes);
    free(out);
    return 0;
}
