#include <moco/schedule.h>

#include <math.h>

#include "core/config.h"

static const double pi = 3.14159265358979323846264338327950288;

static const moco_schedule default_schedule = MOCO_SCHEDULE_INITIALIZER;

moco_status moco_schedule_init(moco_schedule *schedule, uint32_t struct_size) {
    return moco_config_init(schedule, struct_size, &default_schedule, sizeof default_schedule, sizeof default_schedule,
                            "moco_schedule");
}

/* The other kinds don't use gamma and milestones, but recipes and checksums go by all fields. */
static moco_status check_schedule(const moco_schedule *s) {
    MOCO_REQUIRE(s->kind >= MOCO_SCHEDULE_CONSTANT && s->kind <= MOCO_SCHEDULE_COSINE,
                 "kind of the schedule is %d; it must be MOCO_SCHEDULE_CONSTANT (0), _STEP (1) or _COSINE (2)",
                 s->kind);
    MOCO_REQUIRE(s->unit == MOCO_SCHEDULE_PER_EPOCH || s->unit == MOCO_SCHEDULE_PER_STEP,
                 "unit of the schedule is %d; it must be MOCO_SCHEDULE_PER_EPOCH (0) or _PER_STEP (1)", s->unit);
    MOCO_REQUIRE(isfinite(s->base) && s->base >= 0.0, "base of the schedule is %g; it must be finite and at least 0",
                 s->base);
    MOCO_REQUIRE(isfinite(s->warmup_epochs) && s->warmup_epochs >= 0.0,
                 "warmup_epochs is %g; it must be finite and at least 0", s->warmup_epochs);
    MOCO_REQUIRE(isfinite(s->epochs) && s->epochs > s->warmup_epochs,
                 "epochs of the schedule is %g; it must be finite and more than warmup_epochs, which is %g", s->epochs,
                 s->warmup_epochs);
    MOCO_REQUIRE(isfinite(s->gamma) && s->gamma >= 0.0, "gamma is %g; it must be finite and at least 0", s->gamma);
    MOCO_REQUIRE(s->milestones >= 0 && s->milestones <= MOCO_SCHEDULE_MAX_MILESTONES,
                 "milestones is %d; it must be 0 to %d", s->milestones, MOCO_SCHEDULE_MAX_MILESTONES);
    for (int32_t i = 0; i < s->milestones; ++i) {
        MOCO_REQUIRE(isfinite(s->milestone_epochs[i]), "milestone_epochs[%d] is %g; it must be finite", i,
                     s->milestone_epochs[i]);
        MOCO_REQUIRE(i == 0 || s->kind != MOCO_SCHEDULE_STEP || s->milestone_epochs[i] > s->milestone_epochs[i - 1],
                     "milestone_epochs[%d] is %g after %g; they must ascend", i, s->milestone_epochs[i],
                     s->milestone_epochs[i - 1]);
    }
    return MOCO_OK;
}

/* base after decay, `t` epochs after the end of the warm-up. */
static double decayed(const moco_schedule *s, double t) {
    if (s->kind == MOCO_SCHEDULE_STEP) {
        double value = s->base;
        for (int32_t i = 0; i < s->milestones && t >= s->milestone_epochs[i]; ++i) value *= s->gamma;
        return value;
    }
    if (s->kind == MOCO_SCHEDULE_COSINE) {
        const double length = s->epochs - s->warmup_epochs;
        return s->base * 0.5 * (1.0 + cos(pi * fmin(t / length, 1.0)));
    }
    return s->base;
}

moco_status moco_schedule_value(const moco_schedule *schedule, int64_t step, int64_t steps_per_epoch, double *out) {
    MOCO_REQUIRE_POINTER(schedule);
    MOCO_REQUIRE_POINTER(out);
    moco_schedule s = default_schedule;
    MOCO_TRY(moco_config_read(&s, schedule, sizeof s, sizeof s, "moco_schedule"));
    MOCO_TRY(check_schedule(&s));
    MOCO_REQUIRE(step >= 0, "step is %lld; it must be at least 0", (long long) step);
    MOCO_REQUIRE(steps_per_epoch >= 1, "steps_per_epoch is %lld; it must be at least 1", (long long) steps_per_epoch);

    const int32_t per_epoch = s.unit == MOCO_SCHEDULE_PER_EPOCH;
    /* One unit of progress: an epoch, or one step's part of it. Whole epochs and steps are exact in the quotients. */
    const int64_t done = per_epoch ? step / steps_per_epoch : step;
    const double units_per_epoch = per_epoch ? 1.0 : (double) steps_per_epoch;
    const double t = (double) done / units_per_epoch;
    if (t < s.warmup_epochs) {
        *out = s.base * fmin(((double) done + 1.0) / (s.warmup_epochs * units_per_epoch), 1.0);
    } else {
        *out = decayed(&s, t - s.warmup_epochs);
    }
    return MOCO_OK;
}

moco_status moco_momentum_cosine(double base, int64_t step, int64_t total_steps, double *out) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE(base >= 0.0 && base <= 1.0, "base is %g; a momentum must be 0 to 1", base);
    MOCO_REQUIRE(step >= 0, "step is %lld; it must be at least 0", (long long) step);
    MOCO_REQUIRE(total_steps >= 1, "total_steps is %lld; it must be at least 1", (long long) total_steps);
    const double progress = step >= total_steps ? 1.0 : (double) step / (double) total_steps;
    *out = 1.0 - (1.0 - base) * 0.5 * (1.0 + cos(pi * progress));
    return MOCO_OK;
}

moco_status moco_scaled_learning_rate(double base_lr, int64_t batch_size, int64_t base_batch_size, double *out) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE(isfinite(base_lr) && base_lr >= 0.0, "base_lr is %g; it must be finite and at least 0", base_lr);
    MOCO_REQUIRE(batch_size >= 1, "batch_size is %lld; it must be at least 1", (long long) batch_size);
    MOCO_REQUIRE(base_batch_size >= 1, "base_batch_size is %lld; it must be at least 1", (long long) base_batch_size);
    *out = base_lr * ((double) batch_size / (double) base_batch_size);
    return MOCO_OK;
}
