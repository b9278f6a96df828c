/* An allocator for a moco_context that knows how much is in use and how much ever was. */
#ifndef MOCO_BENCH_COUNTING_ALLOCATOR_H
#define MOCO_BENCH_COUNTING_ALLOCATOR_H

#include <moco/context.h>
#include <pthread.h>

typedef struct counting_allocator {
    pthread_mutex_t mutex;
    uint64_t in_use;
    uint64_t peak;
} counting_allocator;

void counting_allocator_init(counting_allocator *allocator);
/* Sets the three allocator members of `config`. */
void counting_allocator_use(counting_allocator *allocator, moco_context_config *config);
/* Bytes in use now; the peak starts again from here. */
uint64_t counting_allocator_mark(counting_allocator *allocator);
uint64_t counting_allocator_peak(counting_allocator *allocator);

#endif
