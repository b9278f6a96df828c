#include "pretrain/metrics_file.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "support/example_support.h"

#define PATH_SIZE 4096

void make_folder(const char *folder) {
    char path[PATH_SIZE];
    if (strlen(folder) >= sizeof path) stop("the folder's name is too long");
    strcpy(path, folder);
    for (char *end = path + 1;; ++end) {
        if (*end != '/' && *end != '\0') continue;
        const char kept = *end;
        *end = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST) stop("cannot make the folder %s: %s", path, strerror(errno));
        *end = kept;
        if (kept == '\0') break;
    }
    struct stat info;
    if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode)) stop("%s is no folder", folder);
}

FILE *open_metrics(const char *folder) {
    char path[PATH_SIZE];
    if (snprintf(path, sizeof path, "%s/metrics.jsonl", folder) >= (int) sizeof path)
        stop("the folder's name is too long");
    FILE *file = fopen(path, "w");
    if (file == NULL) stop("cannot write %s: %s", path, strerror(errno));
    setvbuf(file, NULL, _IOLBF, BUFSIZ);
    return file;
}

/* JSON has no NaN and no infinity. Nine digits tell any two float32 apart. */
static void put_number(FILE *file, const char *key, double value) {
    if (isfinite(value)) {
        fprintf(file, ", \"%s\": %.9g", key, value);
    } else {
        fprintf(file, ", \"%s\": null", key);
    }
}

static int end_line(FILE *file) {
    fputs("}\n", file);
    return ferror(file);
}

int write_step(FILE *file, const moco_step_stats *stats) {
    fprintf(file, "{\"kind\": \"step\", \"epoch\": %lld, \"step\": %lld", (long long) stats->epoch,
            (long long) stats->step);
    put_number(file, "loss", stats->loss);
    put_number(file, "top1", stats->top1);
    put_number(file, "top5", stats->top5);
    put_number(file, "lr", stats->learning_rate);
    put_number(file, "momentum", stats->momentum);
    put_number(file, "images_per_second", stats->images_per_second);
    put_number(file, "positive_similarity", stats->mean_positive_similarity);
    put_number(file, "negative_similarity", stats->mean_negative_similarity);
    put_number(file, "chance_loss", stats->chance_loss);
    fprintf(file, ", \"queue_filled\": %lld", (long long) stats->queue_filled);
    return end_line(file);
}

int write_epoch(FILE *file, const epoch_metrics *metrics) {
    fprintf(file, "{\"kind\": \"epoch\", \"epoch\": %lld, \"step\": %lld", (long long) metrics->epoch,
            (long long) metrics->step);
    put_number(file, "loss", metrics->loss);
    put_number(file, "top1", metrics->top1);
    put_number(file, "top5", metrics->top5);
    put_number(file, "lr", metrics->learning_rate);
    put_number(file, "momentum", metrics->momentum);
    put_number(file, "images_per_second", metrics->images_per_second);
    put_number(file, "chance_loss", metrics->chance_loss);
    fprintf(file, ", \"queue_filled\": %lld", (long long) metrics->queue_filled);
    put_number(file, "wait_share", metrics->wait_share);
    put_number(file, "load_seconds", metrics->load_seconds);
    put_number(file, "augment_seconds", metrics->augment_seconds);
    fprintf(file, ", \"broken\": %lld, \"cache_bytes\": %llu", (long long) metrics->broken,
            (unsigned long long) metrics->cache_bytes);
    if (metrics->knn_top1 >= 0) {
        put_number(file, "knn_top1", metrics->knn_top1);
        put_number(file, "knn_top5", metrics->knn_top5);
    }
    return end_line(file);
}

int write_baselines(FILE *file, double untrained_top1, double pixels_top1) {
    fprintf(file, "{\"kind\": \"knn\", \"epoch\": 0, \"step\": 0");
    put_number(file, "knn_top1", untrained_top1);
    put_number(file, "pixels_knn_top1", pixels_top1);
    return end_line(file);
}
