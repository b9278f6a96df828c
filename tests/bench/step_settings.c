#include "step_settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "measure.h"

step_settings step_settings_read(int argc, char **argv) {
    const step_settings settings = {
        .arch = bench_option_string(argc, argv, "--arch", NULL),
        .stem = bench_option_string(argc, argv, "--stem", "cifar"),
        .backend = bench_option_string(argc, argv, "--backend", NULL),
        .dtype = bench_option_string(argc, argv, "--dtype", "f32"),
        .images = bench_option_string(argc, argv, "--images", NULL),
        .data = bench_option_string(argc, argv, "--data", NULL),
        .n = bench_option(argc, argv, "--n", 64),
        .size = bench_option(argc, argv, "--size", 32),
        .dim = bench_option(argc, argv, "--dim", 128),
        .queue_size = bench_option(argc, argv, "--queue-size", 65536),
        .threads = (int) bench_option(argc, argv, "--threads", 2),
        .workers = (int) bench_option(argc, argv, "--workers", 2),
    };
    return settings;
}

const char *step_settings_check(const step_settings *s) {
    if (s->n < 1 || s->n > 65536) return "--n must be 1 to 65536";
    if (s->size < 1 || s->size > 4096) return "--size must be 1 to 4096";
    if (s->dim < 1 || s->dim > 65536) return "--dim must be 1 to 65536";
    if (s->queue_size < 1 || s->queue_size > (int64_t) 1 << 30) return "--queue-size must be 1 to 2^30";
    if (s->threads < 1 || s->threads > 1024) return "--threads must be 1 to 1024";
    if (s->workers < 0 || s->workers > 1024) return "--workers must be 0 to 1024";
    if (strcmp(s->dtype, "f32") != 0 && strcmp(s->dtype, "f32_direct") != 0 && strcmp(s->dtype, "bf16") != 0) {
        return "--dtype must be f32, f32_direct or bf16";
    }
    if (strcmp(s->stem, "cifar") != 0 && strcmp(s->stem, "imagenet") != 0) return "--stem must be cifar or imagenet";
    return NULL;
}

static void add(step_arguments *arguments, const char *name, const char *value) {
    if (value == NULL) return;
    arguments->list[arguments->count++] = name;
    arguments->list[arguments->count++] = value;
    arguments->list[arguments->count] = NULL;
}

void step_settings_write(const step_settings *s, step_arguments *arguments) {
    const struct {
        const char *name;
        int64_t value;
    } numbers[4] = {{"--n", s->n}, {"--size", s->size}, {"--dim", s->dim}, {"--queue-size", s->queue_size}};
    memset(arguments, 0, sizeof *arguments);
    add(arguments, "--arch", s->arch);
    add(arguments, "--stem", s->stem);
    add(arguments, "--dtype", s->dtype);
    add(arguments, "--images", s->images);
    for (int i = 0; i < 4; ++i) {
        snprintf(arguments->text[i], sizeof arguments->text[i], "%lld", (long long) numbers[i].value);
        add(arguments, numbers[i].name, arguments->text[i]);
    }
}
