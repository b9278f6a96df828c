/* Learning-rate and momentum schedules as pure functions: the same step always gives the same value. */
#ifndef MOCO_SCHEDULE_H
#define MOCO_SCHEDULE_H

#include <moco/status.h>

MOCO_BEGIN_DECLS

enum {
    MOCO_SCHEDULE_CONSTANT = 0,
    MOCO_SCHEDULE_STEP = 1,  /* base * gamma^(number of milestones reached), v1's default */
    MOCO_SCHEDULE_COSINE = 2 /* base * (1 + cos(pi * t / T)) / 2, v2's --cos */
};

enum {
    MOCO_SCHEDULE_PER_EPOCH = 0, /* the value changes between epochs only, as in the reference */
    MOCO_SCHEDULE_PER_STEP = 1   /* t counts in fractions of an epoch, step by step */
};

#define MOCO_SCHEDULE_MAX_MILESTONES 8

typedef struct moco_schedule {
    uint32_t struct_size;
    int32_t kind;         /* MOCO_SCHEDULE_*; default COSINE */
    int32_t unit;         /* MOCO_SCHEDULE_PER_*; default PER_EPOCH */
    int32_t milestones;   /* how many entries of milestone_epochs are used; default 2 */
    double base;          /* the value after warm-up and before decay; default 0.03 */
    double epochs;        /* T: where the cosine ends; default 200; > warmup_epochs */
    double warmup_epochs; /* linear from 0 to base over this long, then the schedule with its t and T counted from here;
                             default 0 */
    double gamma;         /* factor at each milestone; default 0.1 */
    double milestone_epochs[MOCO_SCHEDULE_MAX_MILESTONES]; /* ascending; default {120, 160}; counted as t is: from the
                                                              end of the warm-up */
} moco_schedule;

/* v2's: the cosine; v1 has MOCO_SCHEDULE_STEP. */
MOCO_API moco_status moco_schedule_init(moco_schedule *schedule, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_SCHEDULE_INITIALIZER                                                                         \
    {                                                                                                     \
        sizeof(moco_schedule), MOCO_SCHEDULE_COSINE, MOCO_SCHEDULE_PER_EPOCH, 2, 0.03, 200.0, 0.0, 0.1, { \
            120.0, 160.0                                                                                  \
        }                                                                                                 \
    }

/* The value for 0-based `step` when an epoch has `steps_per_epoch` steps (>= 1). PER_EPOCH uses t = floor(step /
 * steps_per_epoch), so the first epoch has the full base and, with warm-up, base * (t + 1) / warmup_epochs during it.
 * PER_STEP uses t = step / steps_per_epoch, and base * (step + 1) / (warmup_epochs * steps_per_epoch) in warm-up. */
MOCO_API moco_status moco_schedule_value(const moco_schedule *schedule, int64_t step, int64_t steps_per_epoch,
                                         double *out);

/* The momentum that grows from `base` to 1: 1 - (1 - base) * (1 + cos(pi * step / total_steps)) / 2 (BYOL, MoCo v3).
 * `step` beyond the end gives 1. */
MOCO_API moco_status moco_momentum_cosine(double base, int64_t step, int64_t total_steps, double *out);

/* The linear learning-rate rule: base_lr * batch_size / base_batch_size (reference README: 0.03 at 256). */
MOCO_API moco_status moco_scaled_learning_rate(double base_lr, int64_t batch_size, int64_t base_batch_size,
                                               double *out);

MOCO_END_DECLS

#endif
