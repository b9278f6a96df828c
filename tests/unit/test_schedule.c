/* Schedules against the reference's formulas: main_moco.py's per-epoch cosine and steps, warm-up, momentum cosine. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <moco/schedule.h>

static moco_schedule make_schedule(int32_t kind, int32_t unit) {
    moco_schedule schedule;
    assert_int_equal(moco_schedule_init(&schedule, sizeof schedule), MOCO_OK);
    schedule.kind = kind;
    schedule.unit = unit;
    return schedule;
}

static double value_at(const moco_schedule *schedule, int64_t step, int64_t steps_per_epoch) {
    double value = -1.0;
    assert_int_equal(moco_schedule_value(schedule, step, steps_per_epoch, &value), MOCO_OK);
    return value;
}

static void assert_close(double actual, double expected) {
    assert_true(fabs(actual - expected) <= 1e-12 * fmax(1e-3, fabs(expected)));
}

static void defaults_are_v2s(void **state) {
    (void) state;
    moco_schedule s;
    assert_int_equal(moco_schedule_init(&s, sizeof s), MOCO_OK);
    assert_int_equal(s.kind, MOCO_SCHEDULE_COSINE);
    assert_int_equal(s.unit, MOCO_SCHEDULE_PER_EPOCH);
    assert_close(s.base, 0.03);
    assert_close(s.epochs, 200.0);
    assert_int_equal(s.milestones, 2);
    assert_close(s.milestone_epochs[0], 120.0);
    assert_close(s.milestone_epochs[1], 160.0);
}

/* lr *= 0.5 * (1 + cos(pi * epoch / epochs)), the same for all steps of an epoch. */
static void cosine_per_epoch(void **state) {
    (void) state;
    const moco_schedule s = make_schedule(MOCO_SCHEDULE_COSINE, MOCO_SCHEDULE_PER_EPOCH);
    /* Made once with Python's math.cos: 0.03 * 0.5 * (1 + cos(pi * epoch / 200)). */
    static const struct {
        int64_t epoch;
        double value;
    } expected[] = {
        {0, 0.03}, {1, 0.029998149487224908}, {50, 0.02560660171779821}, {100, 0.015}, {199, 1.8505127750911841e-06},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; ++i) {
        assert_close(value_at(&s, expected[i].epoch * 7, 7), expected[i].value);
        assert_close(value_at(&s, expected[i].epoch * 7 + 6, 7), expected[i].value);
    }
    assert_close(value_at(&s, 200 * 7, 7), 0.0);
    assert_close(value_at(&s, INT64_MAX, 1), 0.0);
}

static void cosine_per_step(void **state) {
    (void) state;
    moco_schedule s = make_schedule(MOCO_SCHEDULE_COSINE, MOCO_SCHEDULE_PER_STEP);
    s.epochs = 10.0;
    for (int64_t step = 0; step < 100; ++step) {
        assert_close(value_at(&s, step, 10), 0.015 * (1.0 + cos(acos(-1.0) * (double) step / 100.0)));
    }
}

static void steps_at_120_and_160(void **state) {
    (void) state;
    const moco_schedule s = make_schedule(MOCO_SCHEDULE_STEP, MOCO_SCHEDULE_PER_EPOCH);
    assert_close(value_at(&s, 0, 5), 0.03);
    assert_close(value_at(&s, 120 * 5 - 1, 5), 0.03);
    assert_close(value_at(&s, 120 * 5, 5), 0.003);
    assert_close(value_at(&s, 160 * 5 - 1, 5), 0.003);
    assert_close(value_at(&s, 160 * 5, 5), 0.0003);
    assert_close(value_at(&s, 100000, 5), 0.0003);
}

static void constant_stays(void **state) {
    (void) state;
    const moco_schedule s = make_schedule(MOCO_SCHEDULE_CONSTANT, MOCO_SCHEDULE_PER_STEP);
    assert_close(value_at(&s, 0, 3), 0.03);
    assert_close(value_at(&s, 1000000, 3), 0.03);
}

static void warm_up_per_epoch(void **state) {
    (void) state;
    moco_schedule s = make_schedule(MOCO_SCHEDULE_COSINE, MOCO_SCHEDULE_PER_EPOCH);
    s.warmup_epochs = 10.0;
    s.epochs = 110.0;
    assert_close(value_at(&s, 0, 4), 0.003);
    assert_close(value_at(&s, 3, 4), 0.003);
    assert_close(value_at(&s, 4, 4), 0.006);
    assert_close(value_at(&s, 39, 4), 0.03);
    assert_close(value_at(&s, 40, 4), 0.03);   /* t = 0 of the cosine */
    assert_close(value_at(&s, 240, 4), 0.015); /* t = 50 of 100 */
}

static void warm_up_per_step(void **state) {
    (void) state;
    moco_schedule s = make_schedule(MOCO_SCHEDULE_STEP, MOCO_SCHEDULE_PER_STEP);
    s.warmup_epochs = 2.0;
    for (int64_t step = 0; step < 10; ++step) assert_close(value_at(&s, step, 5), 0.03 * (double) (step + 1) / 10.0);
    assert_close(value_at(&s, 10, 5), 0.03);
    assert_close(value_at(&s, (120 + 2) * 5 - 1, 5), 0.03); /* milestones count from the end of the warm-up */
    assert_close(value_at(&s, (120 + 2) * 5, 5), 0.003);
    s.warmup_epochs = 0.5; /* ends inside an epoch, and never passes the base */
    s.unit = MOCO_SCHEDULE_PER_EPOCH;
    assert_close(value_at(&s, 0, 5), 0.03);
}

static void momentum_cosine(void **state) {
    (void) state;
    double m;
    for (int64_t step = 0; step <= 20; ++step) {
        assert_int_equal(moco_momentum_cosine(0.99, step, 20, &m), MOCO_OK);
        assert_close(m, 1.0 - 0.01 * (cos(acos(-1.0) * (double) step / 20.0) + 1.0) / 2.0);
    }
    assert_int_equal(moco_momentum_cosine(0.99, 1000, 20, &m), MOCO_OK);
    assert_close(m, 1.0);
}

static void linear_scaling(void **state) {
    (void) state;
    double lr;
    assert_int_equal(moco_scaled_learning_rate(0.03, 128, 256, &lr), MOCO_OK);
    assert_close(lr, 0.015);
    assert_int_equal(moco_scaled_learning_rate(0.03, 4096, 256, &lr), MOCO_OK);
    assert_close(lr, 0.48);
}

static void assert_refused(const moco_schedule *s, const char *word) {
    double value = 7.0;
    assert_int_equal(moco_schedule_value(s, 0, 1, &value), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), word));
    assert_true(value == 7.0);
}

static void nonsense_is_refused(void **state) {
    (void) state;
    const moco_schedule good = make_schedule(MOCO_SCHEDULE_STEP, MOCO_SCHEDULE_PER_EPOCH);
    moco_schedule s;
    double value = 7.0;
    assert_int_equal(moco_schedule_value(NULL, 0, 1, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_schedule_value(&good, 0, 1, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_schedule_value(&good, -1, 1, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_schedule_value(&good, 0, 0, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_schedule_init(NULL, sizeof s), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_schedule_init(&s, 3), MOCO_INVALID_ARGUMENT);
    s = good, s.kind = 3, assert_refused(&s, "kind");
    s = good, s.unit = -1, assert_refused(&s, "unit");
    s = good, s.base = (double) NAN, assert_refused(&s, "base");
    s = good, s.base = -0.1, assert_refused(&s, "base");
    s = good, s.epochs = 0.0, assert_refused(&s, "epochs");
    s = good, s.epochs = (double) INFINITY, assert_refused(&s, "epochs");
    s = good, s.warmup_epochs = 200.0, assert_refused(&s, "warmup_epochs");
    s = good, s.warmup_epochs = -1.0, assert_refused(&s, "warmup_epochs");
    s = good, s.gamma = (double) NAN, assert_refused(&s, "gamma");
    s = good, s.milestones = 9, assert_refused(&s, "milestones");
    s = good, s.milestones = -1, assert_refused(&s, "milestones");
    s = good, s.milestone_epochs[1] = 100.0, assert_refused(&s, "ascend");
    double of_cosine;
    s.kind = MOCO_SCHEDULE_COSINE; /* which has none, but they must be numbers */
    assert_int_equal(moco_schedule_value(&s, 0, 1, &of_cosine), MOCO_OK);
    s = good, s.kind = MOCO_SCHEDULE_COSINE, s.gamma = (double) NAN, assert_refused(&s, "gamma");
    s = good, s.kind = MOCO_SCHEDULE_COSINE, s.milestones = 9, assert_refused(&s, "milestones");
    s = good, s.kind = MOCO_SCHEDULE_COSINE, s.milestone_epochs[1] = (double) NAN, assert_refused(&s, "finite");
    assert_int_equal(moco_momentum_cosine(1.5, 0, 1, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_momentum_cosine((double) NAN, 0, 1, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_momentum_cosine(0.5, -1, 1, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_momentum_cosine(0.5, 0, 0, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_momentum_cosine(0.5, 0, 1, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_scaled_learning_rate(0.1, 0, 1, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_scaled_learning_rate(0.1, 1, 0, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_scaled_learning_rate(-0.1, 1, 1, &value), MOCO_INVALID_ARGUMENT);
    assert_true(value == 7.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_v2s),     cmocka_unit_test(cosine_per_epoch), cmocka_unit_test(cosine_per_step),
        cmocka_unit_test(steps_at_120_and_160), cmocka_unit_test(constant_stays),   cmocka_unit_test(warm_up_per_epoch),
        cmocka_unit_test(warm_up_per_step),     cmocka_unit_test(momentum_cosine),  cmocka_unit_test(linear_scaling),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
