/* Which samples were found broken: what is logged once is remembered here. */
#ifndef MOCO_BROKEN_SAMPLES_H
#define MOCO_BROKEN_SAMPLES_H

#include "core/context_internal.h"

/* Starts zeroed. */
typedef struct moco_broken_samples {
    int64_t *ids; /* ascending */
    int64_t count;
    int64_t capacity;
} moco_broken_samples;

/* Whether a failure is the sample's own, so that another sample may do. */
int32_t moco_is_broken(moco_status status);

/* Returns 1 if the sample was not there yet. Where there is no memory to remember it, it is only counted as new. */
int32_t moco_broken_samples_add(moco_broken_samples *broken, moco_context *context, int64_t sample);
void moco_broken_samples_release(moco_broken_samples *broken, moco_context *context);

#endif
