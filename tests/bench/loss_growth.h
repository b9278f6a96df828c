/* How the loss's cost grows: n, K, dim and threads each doubled three times (threads as far as there are processors).
 */
#ifndef MOCO_BENCH_LOSS_GROWTH_H
#define MOCO_BENCH_LOSS_GROWTH_H

#include "loss_run.h"

/* From an eighth of `sizes` up to it in each of n, K and dim; threads from 1 on, up to sizes->threads. One JSON object
 * per point, with the time's ratio to the point before: 2 is linear, for threads 0.5. Non-zero after a failure. */
int loss_growth(const loss_sizes *sizes);

#endif
