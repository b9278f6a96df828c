/* What all benchmarks share: the clock, medians, command-line numbers. */
#ifndef MOCO_BENCH_MEASURE_H
#define MOCO_BENCH_MEASURE_H

#include <stdint.h>

/* Milliseconds on a monotonic clock. */
double bench_now_ms(void);
void bench_sleep_ms(double milliseconds);

/* Sorts `values`. */
double bench_median(double *values, int count);

/* The number behind option `name` ("--n"), else `otherwise`. */
int64_t bench_option(int argc, char **argv, const char *name, int64_t otherwise);
/* The word behind it, else `otherwise`. */
const char *bench_option_string(int argc, char **argv, const char *name, const char *otherwise);
/* 1 unless an argument is an option that `known` does not list ("--n --size "); says so on stderr, and with --help prints
 * the list. */
int bench_options_are_known(int argc, char **argv, const char *known);
/* 1 if the option is there. */
int bench_flag(int argc, char **argv, const char *name);

/* Resident memory of this process now, and the most it ever was; -1 where the system does not say. */
double bench_resident_bytes(void);
double bench_peak_resident_bytes(void);

/* Uniform in [-1, 1), the same in every run. */
void bench_fill(float *values, int64_t count, uint64_t seed);
/* Random rows of length 1. */
void bench_fill_unit_rows(float *rows, int64_t count, int64_t dim, uint64_t seed);

#endif
