/* Central finite differences against an analytic gradient, in double. The loss is a fixed random combination of a
 * layer's outputs, so that one number sees all of them.
 */
#ifndef MOCO_TEST_FINITE_DIFFERENCE_H
#define MOCO_TEST_FINITE_DIFFERENCE_H

#include <math.h>
#include <stdio.h>

#include "support/layer_harness.h"

/* L as a function of whatever the caller perturbs. */
typedef double (*loss_function)(void *argument);

/* Compares gradient[count] with (L(v + h) - L(v - h)) / 2h for every element of `values`, or for a sample of them where
 * there are many. Errors are relative to the gradient's largest element, or to 1e-3 where all of it vanishes
 * (a bias before a BatchNorm). */
static inline void check_gradient(loss_function loss, void *argument, double *values, const double *gradient,
                                  int64_t count, double h, double tolerance, const char *what) {
    const int64_t step = count > 200 ? count / 150 : 1;
    double largest = 1e-3;
    for (int64_t i = 0; i < count; ++i) largest = fmax(largest, fabs(gradient[i]));
    assert_true(isfinite(largest));
    for (int64_t i = 0; i < count; i += step) {
        const double kept = values[i];
        values[i] = kept + h;
        const double above = loss(argument);
        values[i] = kept - h;
        const double below = loss(argument);
        values[i] = kept;
        const double expected = (above - below) / (2.0 * h);
        if (fabs(expected - gradient[i]) <= tolerance * largest) continue;
        fail_msg("%s[%lld] is %.12g, finite differences give %.12g (h = %g, largest %.6g)", what, (long long) i,
                 gradient[i], expected, h, largest);
    }
}

#endif
