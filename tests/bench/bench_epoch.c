/* Whole epochs over very many files: does memory stay flat, and is every file closed again? Run by hand, over files as
 * make_cifar_jpeg.py writes them.
 *
 *   bench_epoch --folder DIR [--epochs N] [--workers N] [--batch N] [--cache-bytes N]
 *
 * Prints one JSON object: resident memory and open files after each twentieth of the run, from the second one on.
 */
#include <dirent.h>
#include <moco/loader.h>
#include <stdio.h>

#include "measure.h"

enum { PARTS = 20, TEXT = 4096 };

static int open_files(void) {
    DIR *directory = opendir("/proc/self/fd");
    int count = -1; /* the folder's own */
    while (directory != NULL && readdir(directory) != NULL) ++count;
    if (directory != NULL) closedir(directory);
    return count;
}

typedef struct course {
    double least_bytes, most_bytes, last_bytes;
    int least_files, most_files;
    int64_t samples;
} course;

static void watch(course *seen) {
    const double bytes = bench_resident_bytes();
    const int files = open_files();
    if (seen->most_bytes == 0 || bytes < seen->least_bytes) seen->least_bytes = bytes;
    if (bytes > seen->most_bytes) seen->most_bytes = bytes;
    if (seen->most_files == 0 || files < seen->least_files) seen->least_files = files;
    if (files > seen->most_files) seen->most_files = files;
    seen->last_bytes = bytes;
}

static moco_status run(moco_loader *loader, int64_t epochs, course *seen) {
    const int64_t batches = moco_loader_batches_per_epoch(loader);
    const int64_t part = batches * epochs / PARTS > 0 ? batches * epochs / PARTS : 1;
    for (int64_t epoch = 0, done = 0; epoch < epochs; ++epoch) {
        moco_status status = moco_loader_start_epoch(loader, epoch);
        for (int64_t b = 0; b < batches && status == MOCO_OK; ++b) {
            moco_batch batch = {.struct_size = sizeof batch};
            status = moco_loader_next(loader, &batch);
            seen->samples += batch.n;
            if (++done % part == 0 && done > part) watch(seen);
        }
        if (status != MOCO_OK) return status;
    }
    return MOCO_OK;
}

int main(int argc, char **argv) {
    if (!bench_options_are_known(argc, argv, "--batch --cache-bytes --epochs --folder --workers ")) return 2;
    const char *folder = bench_option_string(argc, argv, "--folder", NULL);
    if (folder == NULL) {
        fprintf(stderr, "bench_epoch: --folder DIR is needed\n");
        return 2;
    }
    char description[TEXT];
    moco_context *context = NULL;
    moco_dataset *dataset = NULL;
    moco_augment *augment = NULL;
    moco_loader *loader = NULL;
    moco_augment_config recipe;
    moco_loader_config config;
    moco_augment_config_init(&recipe, sizeof recipe, MOCO_AUGMENT_CIFAR);
    moco_loader_config_init(&config, sizeof config);
    config.workers = (int32_t) bench_option(argc, argv, "--workers", 2);
    config.batch_size = bench_option(argc, argv, "--batch", 256);
    config.cache_bytes = (uint64_t) bench_option(argc, argv, "--cache-bytes", 0);
    snprintf(description, sizeof description, "folder:%s", folder);
    const int files_before = open_files();
    const double start = bench_now_ms();
    moco_status status = moco_context_create(&context, NULL);
    if (status == MOCO_OK) status = moco_dataset_open(&dataset, context, description);
    const double opened = bench_now_ms();
    if (status == MOCO_OK) status = moco_augment_create(&augment, context, &recipe);
    if (status == MOCO_OK) status = moco_loader_create(&loader, dataset, augment, &config);
    course seen = {0};
    if (status == MOCO_OK) status = run(loader, bench_option(argc, argv, "--epochs", 1), &seen);
    const double seconds = 1e-3 * (bench_now_ms() - opened);
    moco_loader_statistics statistics = {.struct_size = sizeof statistics};
    if (status == MOCO_OK) status = moco_loader_read_statistics(loader, &statistics);
    if (status != MOCO_OK) fprintf(stderr, "bench_epoch: %s\n", moco_last_error());
    const long long count = (long long) moco_dataset_count(dataset);
    moco_loader_destroy(loader);
    moco_augment_destroy(augment);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
    if (status != MOCO_OK) return 1;
    printf("{\"files\": %lld, \"samples\": %lld, \"broken\": %lld, \"opened_s\": %.2f, \"images_per_s\": %.0f, "
           "\"resident_least_bytes\": %.0f, \"resident_most_bytes\": %.0f, \"resident_growth\": %.3f, "
           "\"open_files_least\": %d, \"open_files_most\": %d, \"open_files_before\": %d, \"open_files_after\": %d}\n",
           count, (long long) seen.samples, (long long) statistics.broken, 1e-3 * (opened - start),
           (double) seen.samples / seconds, seen.least_bytes, seen.most_bytes, seen.most_bytes / seen.least_bytes - 1,
           seen.least_files, seen.most_files, files_before, open_files());
    return 0;
}
