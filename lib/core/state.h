/* A part's state, as one function of that part tells it to a visitor. Saving, loading, a checksum, a comparison and a
 * broadcast to other ranks are visitors of the same moco_X_visit functions, so that none of them can forget a field.
 *
 *   moco_status moco_queue_visit(moco_queue *queue, const moco_state *state);
 *
 * A part visits two sorts of things, always in the same order:
 * - state, which changes as training goes on. It is passed by address: a visitor reads it, or writes it in place.
 * - settings, which were fixed when the part was made. They are passed as text, which a visitor that loads compares.
 * Both belong to a visit if they decide what training makes from here on. How it is computed (threads, prefetching, the
 * compute dtype) does not, nor do statistics, caches, and what only the start depended on (the seed of starting weights).
 *
 * Something is called "<part>.<name>", which is unique among things of its sort within a whole trainer. The part is, say,
 * "queue" or "query_encoder"; the name may be a caller's own (of a parameter) and of any length, so nobody joins them
 * before they must. Both strings last until the visit returns.
 */
#ifndef MOCO_CORE_STATE_H
#define MOCO_CORE_STATE_H

#include <moco/sys/backend.h>

#include "core/status_internal.h"

/* What a visitor does with each sort of thing; all members are required. A failure ends the visit and is returned. */
typedef struct moco_state_ops {
    /* The tensor (PLAIN, of its own dtype) is the part's memory itself: to be read or written through the backend. */
    moco_status (*tensor)(void *self, const char *part, const char *name, const moco_tensor *tensor);
    moco_status (*numbers)(void *self, const char *part, const char *name, int64_t *values, int64_t count);
    moco_status (*real)(void *self, const char *part, const char *name, double *value);
    moco_status (*setting)(void *self, const char *part, const char *name, const char *text);
} moco_state_ops;

typedef struct moco_state {
    const moco_state_ops *ops;
    void *self;       /* the visitor's */
    const char *part; /* being visited */
    int32_t writes;   /* 1: the visitor may write what it visits. The part then checks the numbers before it takes them
                         over (INVALID_ARGUMENT), and drops what it had derived from the old values */
} moco_state;

/* The same visitor, in `part`. */
static inline moco_state moco_state_in(const moco_state *state, const char *part) {
    const moco_state inner = {state->ops, state->self, part, state->writes};
    return inner;
}

static inline moco_status moco_state_tensor(const moco_state *state, const char *name, const moco_tensor *tensor) {
    return state->ops->tensor(state->self, state->part, name, tensor);
}
static inline moco_status moco_state_numbers(const moco_state *state, const char *name, int64_t *values,
                                             int64_t count) {
    return state->ops->numbers(state->self, state->part, name, values, count);
}
static inline moco_status moco_state_number(const moco_state *state, const char *name, int64_t *value) {
    return state->ops->numbers(state->self, state->part, name, value, 1);
}
static inline moco_status moco_state_real(const moco_state *state, const char *name, double *value) {
    return state->ops->real(state->self, state->part, name, value);
}
static inline moco_status moco_state_setting(const moco_state *state, const char *name, const char *text) {
    return state->ops->setting(state->self, state->part, name, text);
}

/* A setting that is a number. */
moco_status moco_state_setting_number(const moco_state *state, const char *name, int64_t value);

/* All settings of a configuration (MOCO_CONFIG_* of core/config_fields.h), but for those of the run, and those that
 * `but` names, whose end is NULL: of them, the current value is state, or only the start depended on them. */
moco_status moco_state_settings(const moco_state *state, int32_t section, const void *config, const char *const *but);

#endif
