#include "backend/backend_chain.h"

#include <string.h>

#include "backend/backend_table.h"

#define MAX_BACKENDS 16

struct moco_backend_chain {
    moco_context *context;
    int32_t count;
    const moco_backend_ops *ops[MAX_BACKENDS];
    const moco_backend_ops_v1 *version_1[MAX_BACKENDS]; /* whose ops were made from, or NULL */
    void *self[MAX_BACKENDS];
    moco_backend_ops read[MAX_BACKENDS]; /* tables of a host, as this library's version has them */
};

/* --- Lifetime --- */

static const char *memory_name(int32_t memory) {
    return memory == MOCO_MEMORY_HOST ? "the host's memory" : "a device's memory";
}

static moco_status chain_add(moco_backend_chain *chain, const moco_backend_ops *ops,
                             const moco_backend_ops_v1 *version_1, int32_t must_run) {
    void *self = NULL;
    if (chain->count > 0 && ops->memory != chain->ops[0]->memory) {
        if (!must_run) return MOCO_OK; /* of another kind of chain */
        return moco_fail(MOCO_INVALID_ARGUMENT,
                         "backend '%s' works in %s, the chain's first, '%s', in %s; all of a chain must share one kind",
                         ops->name, memory_name(ops->memory), chain->ops[0]->name, memory_name(chain->ops[0]->memory));
    }
    const moco_status status = ops->create(&self, chain->context);
    if (status == MOCO_UNSUPPORTED && !must_run) return MOCO_OK; /* this machine lacks it; the next one works */
    if (status != MOCO_OK) return status;
    chain->ops[chain->count] = ops;
    chain->version_1[chain->count] = version_1;
    chain->self[chain->count] = self;
    chain->count++;
    return MOCO_OK;
}

/* 1 if the chain has this backend by another name: what that one does not take, this one would not either. */
static int32_t is_there(const moco_backend_chain *chain, const moco_backend_ops *ops) {
    for (int32_t i = 0; i < chain->count; ++i) {
        if (ops->layer_create != NULL && chain->ops[i]->layer_create == ops->layer_create) return 1;
    }
    return 0;
}

/* Those that the host brings. One that this machine can't run is left out. */
static moco_status add_host_backends(moco_backend_chain *chain, const moco_backend_ops *const *brought, int32_t room) {
    for (int32_t i = 0; brought != NULL && brought[i] != NULL; ++i) {
        MOCO_REQUIRE(i < room, "backends has more than %d entries; it must end in NULL after at most that many", room);
        const moco_backend_ops_v1 *version_1 = NULL;
        moco_backend_ops *ops = &chain->read[i];
        MOCO_TRY(moco_backend_table_read(ops, &version_1, brought[i], i));
        if (chain->count > 0 && ops->memory != chain->ops[0]->memory) {
            return moco_fail(
                MOCO_INVALID_ARGUMENT,
                "backends[%d] ('%s') works in %s, the first one ('%s') in %s; all of a chain must share one "
                "kind",
                i, ops->name, memory_name(ops->memory), chain->ops[0]->name, memory_name(chain->ops[0]->memory));
        }
        MOCO_TRY(chain_add(chain, ops, version_1, 0));
    }
    return MOCO_OK;
}

static moco_status add_listed_backends(moco_backend_chain *chain, const moco_backend_ops *const *list,
                                       const char *name) {
    const int32_t any = name == NULL || strcmp(name, "auto") == 0;
    int32_t found = any;
    for (const moco_backend_ops *const *ops = list; *ops != NULL; ++ops) {
        const int32_t named = !any && strcmp((*ops)->name, name) == 0;
        found |= named;
        if (!found || is_there(chain, *ops)) continue;
        MOCO_TRY(chain_add(chain, *ops, NULL, named));
    }
    if (found) return MOCO_OK;
    char known[128] = "auto";
    for (const moco_backend_ops *const *ops = list; *ops != NULL; ++ops) {
        strncat(known, ", ", sizeof known - strlen(known) - 1);
        strncat(known, (*ops)->name, sizeof known - strlen(known) - 1);
    }
    return moco_fail(MOCO_NOT_FOUND, "backend is \"%s\"; this build has: %s", name, known);
}

static moco_status fill(moco_backend_chain *chain, const moco_backend_ops *const *brought,
                        const moco_backend_ops *const *list, const char *name) {
    int32_t listed = 0;
    while (list[listed] != NULL) listed++;
    MOCO_TRY(add_host_backends(chain, brought, MAX_BACKENDS - listed));
    MOCO_TRY(add_listed_backends(chain, list, name));
    return moco_backend_table_check_complete(chain->ops[chain->count - 1]);
}

moco_status moco_backend_chain_create(moco_backend_chain **out, moco_context *context,
                                      const moco_backend_ops *const *brought, const moco_backend_ops *const *list,
                                      const char *name) {
    moco_backend_chain *chain = (moco_backend_chain *) moco_allocate_zeroed(context, 1, sizeof *chain);
    if (chain == NULL) return MOCO_OUT_OF_MEMORY;
    chain->context = context;
    *out = chain; /* at once, since a backend's create may ask the context for what there is so far */
    const moco_status status = fill(chain, brought, list, name);
    if (status != MOCO_OK) {
        moco_backend_chain_destroy(chain);
        *out = NULL;
    }
    return status;
}

void moco_backend_chain_destroy(moco_backend_chain *chain) {
    if (chain == NULL) return;
    for (int32_t i = chain->count - 1; i >= 0; --i) chain->ops[i]->destroy(chain->self[i]);
    moco_deallocate(chain->context, chain);
}

const char *moco_backend_chain_name(const moco_backend_chain *chain) {
    return chain->count > 0 ? chain->ops[0]->name : "";
}

const moco_backend_ops *moco_backend_at(const moco_context *context, int32_t place, void **self) {
    const moco_backend_chain *chain = context->backends;
    if (place >= chain->count) return NULL;
    *self = chain->self[place];
    return chain->ops[place];
}

const moco_backend_ops_v1 *moco_backend_version_1_at(const moco_context *context, int32_t place) {
    return context->backends->version_1[place];
}

uint64_t moco_buffer_alignment(const moco_context *context) {
    uint64_t alignment = 64;
    for (int32_t i = 0; i < context->backends->count; ++i) {
        const uint64_t wanted = context->backends->ops[i]->buffer_alignment;
        if (wanted > alignment) alignment = wanted;
    }
    return alignment;
}

/* Calls `member` of the first backend that has it. */
#define DISPATCH(context, member, ...)                                                          \
    do {                                                                                        \
        const moco_backend_chain *chain_ = (context)->backends;                                 \
        for (int32_t i_ = 0; i_ < chain_->count; ++i_) {                                        \
            if (chain_->ops[i_]->member == NULL) continue;                                      \
            const moco_status status_ = chain_->ops[i_]->member(chain_->self[i_], __VA_ARGS__); \
            if (status_ != MOCO_UNSUPPORTED || i_ + 1 == chain_->count) return status_;         \
        }                                                                                       \
        return moco_fail(MOCO_UNSUPPORTED, "no backend in use has the operator " #member);      \
    } while (0)

/* --- Buffers and tensors --- */

moco_status moco_buffer_create(moco_context *context, uint64_t bytes, void **buffer) {
    DISPATCH(context, buffer_create, bytes, buffer);
}

moco_status moco_buffer_wrap(moco_context *context, void *memory, uint64_t bytes, void **buffer) {
    DISPATCH(context, buffer_wrap, memory, bytes, buffer);
}

void moco_buffer_destroy(moco_context *context, void *buffer) {
    if (buffer == NULL) return;
    const moco_backend_chain *chain = context->backends;
    for (int32_t i = 0; i < chain->count; ++i) {
        if (chain->ops[i]->buffer_destroy == NULL) continue;
        chain->ops[i]->buffer_destroy(chain->self[i], buffer);
        return;
    }
}

moco_status moco_buffer_map(moco_context *context, void *buffer, uint64_t offset, uint64_t bytes, void **address) {
    DISPATCH(context, map, buffer, offset, bytes, address);
}

void moco_buffer_unmap(moco_context *context, void *buffer, void *address) {
    const moco_backend_chain *chain = context->backends;
    for (int32_t i = 0; i < chain->count; ++i) {
        if (chain->ops[i]->map == NULL) continue; /* the one that has mapped it unmaps it */
        if (chain->ops[i]->unmap != NULL) chain->ops[i]->unmap(chain->self[i], buffer, address);
        return;
    }
}

moco_status moco_tensor_upload(moco_context *context, const moco_tensor *tensor, const void *source) {
    DISPATCH(context, upload, tensor->buffer, tensor->offset, source, moco_tensor_bytes(tensor));
}

moco_status moco_tensor_download(moco_context *context, const moco_tensor *tensor, void *target) {
    DISPATCH(context, download, tensor->buffer, tensor->offset, target, moco_tensor_bytes(tensor));
}

moco_status moco_tensor_copy(moco_context *context, const moco_tensor *target, const moco_tensor *source) {
    DISPATCH(context, copy, target->buffer, target->offset, source->buffer, source->offset, moco_tensor_bytes(source));
}

moco_status moco_tensor_fill_zero(moco_context *context, const moco_tensor *tensor) {
    DISPATCH(context, fill_zero, tensor->buffer, tensor->offset, moco_tensor_bytes(tensor));
}

moco_status moco_gather_rows(moco_context *context, const moco_tensor *target, const moco_tensor *source,
                             const int64_t *rows, int64_t n) {
    DISPATCH(context, gather_rows, target, source, rows, n);
}

moco_status moco_all_finite(moco_context *context, const moco_tensor *tensor, int32_t *finite, int64_t *first) {
    DISPATCH(context, all_finite, tensor, finite, first);
}

moco_status moco_tensor_convert(moco_context *context, const moco_tensor *target, const moco_tensor *source) {
    DISPATCH(context, convert, target, source);
}

moco_status moco_tensor_add(moco_context *context, const moco_tensor *target, const moco_tensor *source) {
    DISPATCH(context, add, target, source);
}

/* --- Hot operators --- */

moco_status moco_momentum_update(moco_context *context, const moco_tensor *target, const moco_tensor *source,
                                 double m) {
    DISPATCH(context, momentum_update, target, source, m);
}

moco_status moco_sgd_update(moco_context *context, const moco_sgd_args *args) {
    DISPATCH(context, sgd_update, args);
}

moco_status moco_sgd_momentum_update(moco_context *context, const moco_sgd_args *args, const moco_tensor *average,
                                     double m) {
    const moco_backend_chain *chain = context->backends;
    for (int32_t i = 0; i < chain->count; ++i) {
        if (chain->ops[i]->sgd_momentum_update == NULL) continue;
        const moco_status status = chain->ops[i]->sgd_momentum_update(chain->self[i], args, average, m);
        if (status != MOCO_UNSUPPORTED) return status;
    }
    MOCO_TRY(moco_sgd_update(context, args));
    return moco_momentum_update(context, average, &args->parameter, m);
}

moco_sgd_args moco_update_as_sgd(const moco_update_args *update) {
    const moco_sgd_args args = {
        .parameter = update->parameter,
        .gradient = update->gradient,
        .velocity = update->states[0],
        /* Without momentum there is no velocity, so that every step is a first one. */
        .first_step = update->step == 0 || update->momentum == 0.0,
        .nesterov = update->nesterov,
        .learning_rate = update->learning_rate,
        .momentum = update->momentum,
        .dampening = update->dampening,
        .weight_decay = update->weight_decay,
    };
    return args;
}

/* SGD by the members that a backend had before `update`; *averaged is 0 where the average is left to do. */
static moco_status sgd_of(const moco_backend_ops *ops, void *self, const moco_update_args *update, int32_t *averaged) {
    const moco_sgd_args args = moco_update_as_sgd(update);
    if (update->average.buffer != NULL && ops->sgd_momentum_update != NULL) {
        const moco_status status = ops->sgd_momentum_update(self, &args, &update->average, update->average_momentum);
        if (status != MOCO_UNSUPPORTED) return status;
    }
    *averaged = update->average.buffer == NULL;
    return ops->sgd_update == NULL ? MOCO_UNSUPPORTED : ops->sgd_update(self, &args);
}

moco_status moco_update(moco_context *context, const moco_update_args *args) {
    const moco_backend_chain *chain = context->backends;
    for (int32_t i = 0; i < chain->count; ++i) {
        const moco_backend_ops *ops = chain->ops[i];
        moco_status status = MOCO_UNSUPPORTED;
        int32_t averaged = 1;
        if (ops->update != NULL) status = ops->update(chain->self[i], args);
        if (ops->update == NULL && args->rule == MOCO_UPDATE_SGD) status = sgd_of(ops, chain->self[i], args, &averaged);
        if (status == MOCO_OK && !averaged) { /* whoever has that: another backend must not take the step once more */
            return moco_momentum_update(context, &args->average, &args->parameter, args->average_momentum);
        }
        if (status != MOCO_UNSUPPORTED) return status;
    }
    return moco_fail(MOCO_UNSUPPORTED, "no backend in use has update rule %d for dtype %d", args->rule,
                     args->parameter.dtype);
}

moco_status moco_norms(moco_context *context, const moco_tensor *tensors, int64_t count, double *norms) {
    DISPATCH(context, norms, tensors, count, norms);
}

moco_status moco_info_nce(moco_context *context, moco_info_nce_args *args) {
    const moco_backend_chain *chain = context->backends;
    const int32_t of_keys = args->d_k.buffer != NULL || args->d_keys.buffer != NULL;
    for (int32_t i = 0; i < chain->count; ++i) {
        if (chain->ops[i]->info_nce == NULL) continue;
        if (of_keys && chain->version_1[i] != NULL) continue; /* version 1 knew no gradients of keys */
        const moco_status status = chain->ops[i]->info_nce(chain->self[i], args);
        if (status != MOCO_UNSUPPORTED || i + 1 == chain->count) return status;
    }
    return moco_fail(MOCO_UNSUPPORTED, "no backend in use has the operator info_nce");
}

/* --- What backends of a host call --- */

moco_status moco_backend_map(moco_context *context, const moco_tensor *tensor, uint64_t bytes, void **address) {
    MOCO_REQUIRE_POINTER(context);
    MOCO_REQUIRE_POINTER(tensor);
    MOCO_REQUIRE_POINTER(address);
    MOCO_REQUIRE(tensor->buffer != NULL, "the tensor is absent: its buffer is NULL");
    return moco_buffer_map(context, tensor->buffer, tensor->offset, bytes > 0 ? bytes : moco_tensor_bytes(tensor),
                           address);
}

void moco_backend_unmap(moco_context *context, const moco_tensor *tensor, void *address) {
    if (context != NULL && tensor != NULL && tensor->buffer != NULL) {
        moco_buffer_unmap(context, tensor->buffer, address);
    }
}

moco_status moco_backend_synchronize(moco_context *context) {
    MOCO_REQUIRE_POINTER(context);
    const moco_backend_chain *chain = context->backends;
    for (int32_t i = 0; i < chain->count; ++i) {
        if (chain->ops[i]->synchronize != NULL) MOCO_TRY(chain->ops[i]->synchronize(chain->self[i]));
    }
    return MOCO_OK;
}
