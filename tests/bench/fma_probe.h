/* What the processor can do at most: the rate of independent multiply-adds in registers, which no matrix product can
 * exceed. */
#ifndef MOCO_BENCH_FMA_PROBE_H
#define MOCO_BENCH_FMA_PROBE_H

/* GFLOP/s in float32 on `threads` threads together: the best of a few short runs. */
double fma_probe_gflops(int threads);

#endif
