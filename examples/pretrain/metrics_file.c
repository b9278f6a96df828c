#include "pretrain/metrics_file.h"

#include <errno.h>
#include <math.h>
#include <moco/names.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/example_support.h"

#define SECONDS_PER_PROGRESS 10.0

void open_metrics(metrics_file *file, int descriptor) {
    const off_t end = lseek(descriptor, 0, SEEK_END);
    *file = (metrics_file){.descriptor = descriptor, .bytes = end > 0 ? (int64_t) end : 0, .written = seconds_now()};
}

void sync_metrics(metrics_file *file) {
    /* Some file systems can't sync, which does no harm. */
    if (fsync(file->descriptor) != 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT)) file->failed = 1;
}

/* --- A line, which is made in memory first --- */

typedef struct metrics_line {
    FILE *stream;
    char *text;
    size_t bytes;
} metrics_line;

static void begin_line(metrics_line *line, const char *kind, int64_t epoch, int64_t step) {
    line->stream = open_memstream(&line->text, &line->bytes);
    if (line->stream == NULL) stop("out of memory");
    fprintf(line->stream, "{\"kind\": \"%s\", \"epoch\": %lld, \"step\": %lld", kind, (long long) epoch,
            (long long) step);
}

/* JSON has no NaN and no infinity. Nine digits tell any two float32 apart. */
static void put_number(metrics_line *line, const char *key, double value) {
    if (isfinite(value)) {
        fprintf(line->stream, ", \"%s\": %.9g", key, value);
    } else {
        fprintf(line->stream, ", \"%s\": null", key);
    }
}

static void put_count(metrics_line *line, const char *key, int64_t value) {
    fprintf(line->stream, ", \"%s\": %lld", key, (long long) value);
}

/* `value` is a word, without what JSON escapes. */
static void put_word(metrics_line *line, const char *key, const char *value) {
    fprintf(line->stream, ", \"%s\": \"%s\"", key, value);
}

static int32_t write_all(int descriptor, const char *text, size_t bytes) {
    while (bytes > 0) {
        const ssize_t written = write(descriptor, text, bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return 0;
        text += written;
        bytes -= (size_t) written;
    }
    return 1;
}

/* In one write; what a full disk cuts off is taken back, so that the file has whole lines alone. */
static void end_line(metrics_file *file, metrics_line *line) {
    fputs("}\n", line->stream);
    if (fclose(line->stream) != 0) stop("out of memory");
    if (write_all(file->descriptor, line->text, line->bytes)) {
        file->bytes += (int64_t) line->bytes;
    } else {
        file->failed = 1;
        const off_t end = (off_t) file->bytes;
        if (ftruncate(file->descriptor, end) != 0 || lseek(file->descriptor, end, SEEK_SET) != end) {
            stop("cannot write metrics.jsonl: %s", strerror(errno));
        }
    }
    file->written = seconds_now();
    free(line->text);
}

/* --- The lines --- */

void write_start(metrics_file *file, const char *backend, int32_t threads, int64_t total_steps) {
    metrics_line line;
    begin_line(&line, "start", 0, 0);
    put_word(&line, "version", moco_version_string());
    put_word(&line, "backend", backend);
    put_count(&line, "threads", threads);
    put_count(&line, "total_steps", total_steps);
    end_line(file, &line);
}

void write_step(metrics_file *file, const moco_step_stats *stats) {
    metrics_line line;
    begin_line(&line, "step", stats->epoch, stats->step);
    put_number(&line, "loss", stats->loss);
    put_number(&line, "top1", stats->top1);
    put_number(&line, "top5", stats->top5);
    put_number(&line, "lr", stats->learning_rate);
    put_number(&line, "momentum", stats->momentum);
    put_number(&line, "images_per_second", stats->images_per_second);
    put_number(&line, "positive_similarity", stats->mean_positive_similarity);
    put_number(&line, "negative_similarity", stats->mean_negative_similarity);
    put_number(&line, "chance_loss", stats->chance_loss);
    put_count(&line, "queue_filled", stats->queue_filled);
    end_line(file, &line);
}

void write_epoch(metrics_file *file, const epoch_metrics *metrics) {
    metrics_line line;
    begin_line(&line, "epoch", metrics->epoch, metrics->step);
    put_number(&line, "loss", metrics->loss);
    put_number(&line, "top1", metrics->top1);
    put_number(&line, "top5", metrics->top5);
    put_number(&line, "lr", metrics->learning_rate);
    put_number(&line, "momentum", metrics->momentum);
    put_number(&line, "images_per_second", metrics->images_per_second);
    put_number(&line, "chance_loss", metrics->chance_loss);
    put_count(&line, "queue_filled", metrics->queue_filled);
    put_number(&line, "wait_share", metrics->wait_share);
    put_number(&line, "load_seconds", metrics->load_seconds);
    put_number(&line, "augment_seconds", metrics->augment_seconds);
    put_count(&line, "broken", metrics->broken);
    put_count(&line, "cache_bytes", (int64_t) metrics->cache_bytes);
    if (metrics->knn_top1 >= 0) {
        put_number(&line, "knn_top1", metrics->knn_top1);
        put_number(&line, "knn_top5", metrics->knn_top5);
    }
    end_line(file, &line);
}

void write_baselines(metrics_file *file, double untrained_top1, double pixels_top1) {
    metrics_line line;
    begin_line(&line, "knn", 0, 0);
    put_number(&line, "knn_top1", untrained_top1);
    put_number(&line, "pixels_knn_top1", pixels_top1);
    end_line(file, &line);
}

void write_progress(metrics_file *file, int64_t epoch, int64_t step, const moco_knn_progress *progress) {
    if (seconds_now() - file->written < SECONDS_PER_PROGRESS) return;
    metrics_line line;
    begin_line(&line, "progress", epoch, step);
    put_word(&line, "knn_stage", moco_enum_name("knn-stage", progress->stage));
    put_count(&line, "images", progress->done);
    put_count(&line, "total_images", progress->total);
    end_line(file, &line);
}
