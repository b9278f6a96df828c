/* What bench_step measures, as its options say it, and as it tells its children. */
#ifndef MOCO_BENCH_STEP_SETTINGS_H
#define MOCO_BENCH_STEP_SETTINGS_H

#include <stdint.h>

typedef struct step_settings {
    const char *arch, *stem, *backend, *dtype; /* dtype: "f32", "f32_direct" or "bf16" */
    const char *images;                        /* file of 2 x n x 3 x size x size float32; NULL: made here */
    const char *data; /* description of a dataset to load views from; NULL: `images` every step */
    int64_t n, size, dim, queue_size;
    int threads, workers;
} step_settings;

#define STEP_MOST_ARGUMENTS 32

/* The settings as a list of options that step_settings_read reads, NULL at its end; numbers are written into `text`. */
typedef struct step_arguments {
    const char *list[STEP_MOST_ARGUMENTS + 1];
    int count;
    char text[4][24];
} step_arguments;

step_settings step_settings_read(int argc, char **argv);
/* NULL, or a sentence about what is wrong. */
const char *step_settings_check(const step_settings *settings);
void step_settings_write(const step_settings *settings, step_arguments *arguments);

#endif
