/* Between plain 3 x 3 filters and vectors of 16 of them, for the Winograd kernels of both dtypes. Needs AVX-512. */
#ifndef MOCO_WINOGRAD_WEIGHTS_H
#define MOCO_WINOGRAD_WEIGHTS_H

#include "backend/onednn/winograd_kernels.h"

enum { WINOGRAD_WEIGHTS = 9 };

typedef float winograd_vec __attribute__((vector_size(4 * WINOGRAD_LANES)));

/* The weights of one channel for 16 lanes, `next_lane` apart; turned by half a circle if asked to. */
static inline void winograd_collect(const float *g, int64_t next_lane, int32_t turned,
                                    winograd_vec weights[WINOGRAD_WEIGHTS]) {
    for (int i = 0; i < WINOGRAD_WEIGHTS; ++i) {
        const float *from = g + (turned ? WINOGRAD_WEIGHTS - 1 - i : i);
        for (int lane = 0; lane < WINOGRAD_LANES; ++lane) weights[i][lane] = from[lane * next_lane];
    }
}

/* Weight `i` of 16 filters that lie one after another: set, or added to. */
static inline void winograd_deal_out(winograd_vec values, int i, int32_t accumulate, float *dg) {
    for (int lane = 0; lane < WINOGRAD_LANES; ++lane) {
        float *target = dg + lane * WINOGRAD_WEIGHTS + i;
        *target = accumulate ? *target + values[lane] : values[lane];
    }
}

#endif
