#define _POSIX_C_SOURCE 200809L
#include "measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double bench_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e3 + (double) now.tv_nsec * 1e-6;
}

void bench_sleep_ms(double milliseconds) {
    const struct timespec pause = {(time_t) (milliseconds / 1e3), (long) (fmod(milliseconds, 1e3) * 1e6)};
    nanosleep(&pause, NULL);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int count) {
    qsort(values, (size_t) count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

const char *bench_option_string(int argc, char **argv, const char *name, const char *otherwise) {
    for (int i = 1; i + 1 < argc; ++i)
        if (strcmp(argv[i], name) == 0) return argv[i + 1];
    return otherwise;
}

int64_t bench_option(int argc, char **argv, const char *name, int64_t otherwise) {
    const char *word = bench_option_string(argc, argv, name, NULL);
    return word == NULL ? otherwise : (int64_t) strtoll(word, NULL, 10);
}

int bench_options_are_known(int argc, char **argv, const char *known) {
    for (int i = 1; i < argc; ++i) {
        const size_t length = strlen(argv[i]);
        if (strncmp(argv[i], "--", 2) != 0) continue;
        int found = 0;
        for (const char *at = strstr(known, argv[i]); at != NULL && !found; at = strstr(at + 1, argv[i])) {
            found = at[length] == ' ';
        }
        if (found) continue;
        fprintf(stderr, "%s has these options: %s\n", argv[0], known);
        return 0;
    }
    return 1;
}

int bench_flag(int argc, char **argv, const char *name) {
    for (int i = 1; i < argc; ++i)
        if (strcmp(argv[i], name) == 0) return 1;
    return 0;
}

/* getrusage's figure would count what a process had before it began this program. */
static double status_bytes(const char *field) {
    char line[256];
    double kib = -1;
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) return -1;
    while (kib < 0 && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0) kib = strtod(line + strlen(field), NULL);
    }
    fclose(status);
    return kib < 0 ? -1 : kib * 1024;
}

double bench_resident_bytes(void) {
    return status_bytes("VmRSS:");
}

double bench_peak_resident_bytes(void) {
    return status_bytes("VmHWM:");
}

void bench_fill(float *values, int64_t count, uint64_t seed) {
    uint64_t state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    for (int64_t i = 0; i < count; ++i) { /* xorshift64* */
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        values[i] = (float) ((state * UINT64_C(0x2545F4914F6CDD1D)) >> 40) * 0x1p-23f - 1.0f;
    }
}

void bench_fill_unit_rows(float *rows, int64_t count, int64_t dim, uint64_t seed) {
    bench_fill(rows, count * dim, seed);
    for (int64_t i = 0; i < count; ++i) {
        double square = 0;
        for (int64_t d = 0; d < dim; ++d) square += (double) rows[i * dim + d] * (double) rows[i * dim + d];
        for (int64_t d = 0; d < dim; ++d) rows[i * dim + d] = (float) ((double) rows[i * dim + d] / sqrt(square));
    }
}
