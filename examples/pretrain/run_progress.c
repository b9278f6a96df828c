#include "pretrain/run_progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All of it as doubles, which hold every count that a run can reach. */
typedef struct field {
    const char *name;
    size_t offset;
    int32_t is_count; /* an int64_t of the sums */
} field;

#define REAL(member) \
    { #member, offsetof(run_progress, member), 0 }
#define COUNT(member) \
    { #member, offsetof(run_progress, member), 1 }
static const field fields[] = {
    COUNT(sums.epoch),
    COUNT(sums.step),
    COUNT(sums.steps),
    REAL(sums.loss),
    REAL(sums.top1),
    REAL(sums.top5),
    REAL(sums.learning_rate),
    REAL(sums.momentum),
    REAL(sums.chance_loss),
    COUNT(sums.queue_filled),
    REAL(images),
    REAL(seconds),
    REAL(wait_seconds),
    REAL(load_seconds),
    REAL(augment_seconds),
    REAL(broken),
    REAL(untrained_top1),
    REAL(pixels_top1),
    REAL(last_top1),
    REAL(best_top1),
    REAL(trained_seconds),
    REAL(metrics_bytes),
};
#define FIELDS (sizeof fields / sizeof fields[0])

void run_progress_text(const run_progress *progress, char text[RUN_PROGRESS_SIZE]) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < FIELDS && used < RUN_PROGRESS_SIZE; ++i) {
        const char *at = (const char *) progress + fields[i].offset;
        double value;
        int64_t count;
        memcpy(&value, at, sizeof value);
        memcpy(&count, at, sizeof count);
        if (fields[i].is_count) value = (double) count;
        used += (size_t) snprintf(text + used, RUN_PROGRESS_SIZE - used, "%s=%a ", fields[i].name, value);
    }
}

int32_t run_progress_read(run_progress *progress, const char *text) {
    *progress = (run_progress){.untrained_top1 = -1};
    for (size_t i = 0; i < FIELDS; ++i) {
        char *at = (char *) progress + fields[i].offset, *end;
        const size_t length = strlen(fields[i].name);
        if (strncmp(text, fields[i].name, length) != 0 || text[length] != '=') return 0;
        const double value = strtod(text + length + 1, &end);
        if (*end != ' ') return 0;
        const int64_t count = (int64_t) value;
        if (fields[i].is_count) {
            memcpy(at, &count, sizeof count);
        } else {
            memcpy(at, &value, sizeof value);
        }
        text = end + 1;
    }
    return *text == '\0';
}
