/* What the memory can do at most: the rate of a plain copy, which updates in place are measured against. Run in turns
 * with them, as what a machine that others share gives changes from one second to the next. */
#ifndef MOCO_BENCH_COPY_PROBE_H
#define MOCO_BENCH_COPY_PROBE_H

#include <stdint.h>

#define COPY_PROBE_MOST_WAYS 3

typedef struct copy_probe copy_probe;

/* Two arrays of `bytes` bytes each, to be copied from one to the other on `threads` threads. NULL without memory. */
copy_probe *copy_probe_create(int threads, int64_t bytes);
void copy_probe_destroy(copy_probe *probe); /* NULL is a no-op */

/* The ways to copy: memcpy, a loop of plain stores, one of stores that bypass the caches. */
int copy_probe_ways(const copy_probe *probe);
const char *copy_probe_name(const copy_probe *probe, int way);

/* GB/s of one copy: 1e9 bytes, read and written ones together. 0 where threads can't be had. */
double copy_probe_gb_per_s(copy_probe *probe, int way);

#endif
