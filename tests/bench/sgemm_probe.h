/* What this machine's BLAS makes of the processor: the rate of a large matrix product. */
#ifndef MOCO_BENCH_SGEMM_PROBE_H
#define MOCO_BENCH_SGEMM_PROBE_H

/* GFLOP/s of cblas_sgemm on square matrices with `threads` threads: the best of a few. 0 without memory. */
double sgemm_probe_gflops(int threads);

#endif
