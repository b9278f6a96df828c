/* How fast the loader makes training batches, two views of each image: images per second from a folder of photos,
 * against torchvision (Pillow, transforms v2, a DataLoader with as many worker processes as we have threads), in turns.
 *
 *   bench_loader --folder DIR [--recipe v2|cifar] [--size N] [--batch N] [--images N] [--workers N] [--reps N]
 *                [--cache none|encoded|decoded] [--cache-bytes N] [--reduced-decoding] [--python PATH] [--no-peer]
 *
 * DIR has a folder for each class. A run is `images` images (0: as many as whole batches allow). Prints one JSON
 * object; the shares are of the workers' time.
 */
#include <moco/loader.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "peer.h"

enum { MOST_REPS = 101, PAUSE_MS = 100, TEXT = 4096 };

typedef struct settings {
    const char *folder, *recipe;
    int64_t size, batch, images, workers, reps;
    int32_t cache;
    uint64_t cache_bytes;
    int32_t reduced_decoding;
} settings;

typedef struct ours {
    moco_context *context;
    moco_dataset *dataset;
    moco_augment *augment;
    moco_loader *loader;
    int64_t batches; /* of a run */
    int64_t epoch;
} ours;

static int read_settings(settings *s, int argc, char **argv) {
    s->folder = bench_option_string(argc, argv, "--folder", NULL);
    s->recipe = bench_option_string(argc, argv, "--recipe", "v2");
    s->size = bench_option(argc, argv, "--size", 224);
    s->batch = bench_option(argc, argv, "--batch", 32);
    s->images = bench_option(argc, argv, "--images", 0);
    s->workers = bench_option(argc, argv, "--workers", 2);
    s->reps = bench_option(argc, argv, "--reps", 5);
    s->reduced_decoding = bench_flag(argc, argv, "--reduced-decoding");
    const char *cache = bench_option_string(argc, argv, "--cache", "none");
    s->cache = strcmp(cache, "decoded") == 0 ? MOCO_CACHE_DECODED : MOCO_CACHE_ENCODED;
    s->cache_bytes =
        strcmp(cache, "none") == 0 ? 0 : (uint64_t) bench_option(argc, argv, "--cache-bytes", (int64_t) 1 << 30);
    return s->folder != NULL && s->reps >= 1 && s->reps <= MOST_REPS && s->workers >= 1 &&
           (strcmp(s->recipe, "v2") == 0 || strcmp(s->recipe, "cifar") == 0);
}

static moco_status set_up(ours *o, const settings *s) {
    moco_augment_config augment;
    moco_loader_config loader;
    char description[TEXT];
    snprintf(description, sizeof description, "folder:%s", s->folder);
    moco_status status = moco_context_create(&o->context, NULL);
    if (status == MOCO_OK) status = moco_dataset_open(&o->dataset, o->context, description);
    if (status != MOCO_OK) return status;
    moco_augment_config_init(&augment, sizeof augment,
                             strcmp(s->recipe, "v2") == 0 ? MOCO_AUGMENT_V2 : MOCO_AUGMENT_CIFAR);
    augment.height = augment.width = (int32_t) s->size;
    augment.reduced_decoding = s->reduced_decoding;
    status = moco_augment_create(&o->augment, o->context, &augment);
    if (status != MOCO_OK) return status;
    moco_loader_config_init(&loader, sizeof loader);
    loader.workers = (int32_t) s->workers;
    loader.batch_size = s->batch;
    loader.cache = s->cache;
    loader.cache_bytes = s->cache_bytes;
    status = moco_loader_create(&o->loader, o->dataset, o->augment, &loader);
    if (status != MOCO_OK) return status;
    o->batches = moco_loader_batches_per_epoch(o->loader);
    if (s->images > 0 && s->images / s->batch < o->batches) o->batches = s->images / s->batch;
    return MOCO_OK;
}

/* Milliseconds of a run; negative if it failed. What was made ahead of a part of an epoch is waited for, too. */
static double run(ours *o) {
    const double start = bench_now_ms();
    if (moco_loader_start_epoch(o->loader, o->epoch++) != MOCO_OK) return -1;
    for (int64_t b = 0; b < o->batches; ++b) {
        moco_batch batch = {.struct_size = sizeof batch};
        if (moco_loader_next(o->loader, &batch) != MOCO_OK) return -1;
    }
    const double milliseconds = bench_now_ms() - start;
    /* Stands still until the next run: an epoch begun at its end makes nothing. */
    moco_loader_start_at(o->loader, 0, moco_loader_batches_per_epoch(o->loader));
    return milliseconds;
}

static bench_peer *start_peer(const settings *s, int64_t images) {
    char size[32], batch[32], count[32], reason[512];
    snprintf(size, sizeof size, "%lld", (long long) s->size);
    snprintf(batch, sizeof batch, "%lld", (long long) s->batch);
    snprintf(count, sizeof count, "%lld", (long long) images);
    const char *const arguments[] = {"--folder", s->folder, "--recipe", s->recipe, "--size", size,
                                     "--batch",  batch,     "--images", count,     NULL};
    bench_peer *peer = bench_peer_start("peer_loader.py", arguments, (int) s->workers, reason, sizeof reason);
    if (peer == NULL) fprintf(stderr, "torchvision: %s\n", reason);
    return peer;
}

static void report(const ours *o, const settings *s, double *mine, double *theirs, int has_peer) {
    const int64_t images = o->batches * s->batch;
    const int reps = (int) s->reps;
    moco_loader_statistics statistics = {.struct_size = sizeof statistics};
    moco_loader_read_statistics(o->loader, &statistics);
    const double work = (double) (statistics.ns_load + statistics.ns_augment);
    const double rate = 1e3 * (double) images / bench_median(mine, reps);
    printf("{\"recipe\": \"%s\", \"size\": %lld, \"images\": %lld, \"batch\": %lld, \"workers\": %lld, \"reps\": %d, "
           "\"ours_images_per_s\": %.1f, \"load_share\": %.3f, \"augment_share\": %.3f, \"broken\": %lld, "
           "\"cache_bytes\": %llu, \"cache_hits\": %lld, \"resident_bytes\": %.0f",
           s->recipe, (long long) s->size, (long long) images, (long long) s->batch, (long long) s->workers, reps, rate,
           (double) statistics.ns_load / work, (double) statistics.ns_augment / work, (long long) statistics.broken,
           (unsigned long long) statistics.cache_bytes, (long long) statistics.cache_hits, bench_resident_bytes());
    if (has_peer) {
        const double peer_rate = 1e3 * (double) images / bench_median(theirs, reps);
        printf(", \"peer\": \"torchvision\", \"peer_images_per_s\": %.1f, \"ratio\": %.2f}\n", peer_rate,
               rate / peer_rate);
    } else {
        printf(", \"peer\": \"absent\", \"ratio\": null}\n");
    }
}

int main(int argc, char **argv) {
    if (!bench_options_are_known(argc, argv,
                                 "--batch --cache --cache-bytes --folder --images --no-peer --python --recipe "
                                 "--reduced-decoding --reps --size --workers "))
        return 2;
    static double mine[MOST_REPS], theirs[MOST_REPS];
    settings s;
    ours o = {0};
    bench_peer_use_python(argc, argv);
    if (!read_settings(&s, argc, argv)) {
        fprintf(stderr, "bench_loader: --folder DIR is needed; --recipe is v2 or cifar, --reps 1 to %d\n", MOST_REPS);
        return 2;
    }
    moco_status status = set_up(&o, &s);
    bench_peer *peer = NULL;
    if (status == MOCO_OK && !bench_flag(argc, argv, "--no-peer")) peer = start_peer(&s, o.batches * s.batch);
    int failed = status != MOCO_OK;
    for (int i = -1; i < s.reps && !failed; ++i) { /* the first warms up */
        bench_sleep_ms(PAUSE_MS);
        const double milliseconds = run(&o);
        failed |= milliseconds < 0;
        bench_sleep_ms(PAUSE_MS);
        const double answer = peer == NULL ? 0 : bench_peer_run(peer);
        if (i < 0) continue;
        mine[i] = milliseconds;
        theirs[i] = answer;
    }
    if (failed) {
        fprintf(stderr, "bench_loader: %s\n", moco_last_error());
    } else {
        report(&o, &s, mine, theirs, peer != NULL);
    }
    bench_peer_stop(peer);
    moco_loader_destroy(o.loader);
    moco_augment_destroy(o.augment);
    moco_dataset_destroy(o.dataset);
    moco_context_destroy(o.context);
    return failed;
}
