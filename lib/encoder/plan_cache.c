#include "encoder/plan_cache.h"

#include <string.h>

moco_status moco_plan_cache_init(moco_plan_cache *cache, const moco_graph *graph, int32_t input_gradient) {
    memset(cache, 0, sizeof *cache);
    cache->graph = graph;
    for (int32_t i = 0; i < graph->parameter_count; ++i) {
        const moco_graph_parameter *p = &graph->parameters[i];
        if (p->kind != MOCO_PARAMETER_LEARNABLE) continue;
        const uint64_t elements = (uint64_t) p->dims[0] * (uint64_t) p->dims[1] * (uint64_t) p->dims[2];
        cache->budget += MOCO_CACHED_WEIGHTS * elements * (uint64_t) p->dims[3] * sizeof(float);
    }
    cache->input_gradient = input_gradient;
    return moco_workspace_create(&cache->own[0], graph->context);
}

void moco_plan_cache_lend(moco_plan_cache *cache, const moco_plan_cache *source) {
    cache->lent = moco_workspace_retain(source->own[0]);
}

void moco_plan_cache_release(moco_plan_cache *cache) {
    if (cache->graph == NULL) return;
    for (int32_t i = 0; i < MOCO_CACHED_PLANS; ++i) moco_graph_plan_destroy(cache->plans[i]);
    if (cache->own[0] != NULL) { /* no backward comes any more: those it was lent to may have it */
        pthread_mutex_lock(&cache->own[0]->mutex);
        cache->own[0]->kept = 0;
        pthread_mutex_unlock(&cache->own[0]->mutex);
    }
    for (int32_t pass = 0; pass < MOCO_ENCODER_PASSES; ++pass) moco_workspace_release(cache->own[pass]);
    moco_workspace_release(cache->lent);
    moco_workspace_release(cache->spare);
    memset(cache, 0, sizeof *cache);
}

static int32_t same_key(const moco_plan_key *a, const moco_plan_key *b) {
    return a->mode == b->mode && a->features == b->features && a->n == b->n && a->c == b->c && a->h == b->h &&
           a->w == b->w;
}

static int32_t is_pending(const moco_plan_cache *cache, const moco_graph_plan *plan) {
    for (int32_t pass = 0; pass < MOCO_ENCODER_PASSES; ++pass) {
        if (plan != NULL && cache->pending[pass] == plan) return 1;
    }
    return 0;
}

static void drop(moco_plan_cache *cache, int32_t place) {
    moco_graph_plan_destroy(cache->plans[place]);
    cache->plans[place] = NULL;
    cache->last_used[place] = 0;
}

/* Drops least recently used plans, but no pending one and not the one at `used`, until the others are within the
 * budget. Plans that hold nothing are no gain. */
static void keep_budget(moco_plan_cache *cache, int32_t used) {
    for (;;) {
        int32_t oldest = -1;
        uint64_t held = 0;
        for (int32_t i = 0; i < MOCO_CACHED_PLANS; ++i) {
            if (i == used || cache->plans[i] == NULL || cache->plans[i]->kept_bytes == 0) continue;
            held += cache->plans[i]->kept_bytes;
            if (is_pending(cache, cache->plans[i])) continue;
            if (oldest < 0 || cache->last_used[i] < cache->last_used[oldest]) oldest = i;
        }
        if (held <= cache->budget || oldest < 0) return;
        drop(cache, oldest);
    }
}

/* The plan for `key`, made if it is new. The new one replaces an empty place or the least recently used plan, but never
 * a pending one. Passes of one shape share a plan. */
static moco_status find_plan(moco_plan_cache *cache, const moco_plan_key *key, moco_graph_plan **out) {
    int32_t place = -1;
    for (int32_t i = 0; i < MOCO_CACHED_PLANS; ++i) {
        if (cache->plans[i] != NULL && same_key(&cache->plans[i]->key, key)) {
            cache->last_used[i] = ++cache->clock;
            *out = cache->plans[i];
            return MOCO_OK;
        }
        if (is_pending(cache, cache->plans[i])) continue;
        if (place < 0 || cache->last_used[i] < cache->last_used[place]) place = i; /* an empty place was used at 0 */
    }
    moco_graph_plan *plan = NULL;
    MOCO_TRY(moco_graph_plan_create(&plan, cache->graph, key, cache->input_gradient, NULL));
    moco_graph_plan_destroy(cache->plans[place]);
    cache->plans[place] = plan;
    cache->last_used[place] = ++cache->clock;
    keep_budget(cache, place);
    *out = plan;
    return MOCO_OK;
}

moco_status moco_plan_cache_prepare(moco_plan_cache *cache, const moco_plan_key *key) {
    moco_graph_plan *plan = NULL;
    return find_plan(cache, key, &plan);
}

/* A locked workspace for a forward that leaves nothing behind. One in use is not waited for: its user may be the backward
 * pass whose gradient hook has called for this forward. */
static moco_status take_free_workspace(moco_plan_cache *cache, moco_workspace **out) {
    moco_workspace *candidates[1 + MOCO_ENCODER_PASSES] = {cache->lent};
    for (int32_t pass = 0; pass < MOCO_ENCODER_PASSES; ++pass) candidates[1 + pass] = cache->own[pass];
    for (int32_t i = 0; i < 1 + MOCO_ENCODER_PASSES; ++i) {
        if (candidates[i] == NULL || pthread_mutex_trylock(&candidates[i]->mutex) != 0) continue;
        *out = candidates[i];
        if (!candidates[i]->kept) return MOCO_OK;
        pthread_mutex_unlock(&candidates[i]->mutex);
    }
    if (cache->spare == NULL) MOCO_TRY(moco_workspace_create(&cache->spare, cache->graph->context));
    pthread_mutex_lock(&cache->spare->mutex);
    *out = cache->spare;
    return MOCO_OK;
}

/* The pass's workspace, locked. */
static moco_status take_own_workspace(moco_plan_cache *cache, int32_t pass, moco_workspace **out) {
    if (cache->own[pass] == NULL) MOCO_TRY(moco_workspace_create(&cache->own[pass], cache->graph->context));
    pthread_mutex_lock(&cache->own[pass]->mutex);
    *out = cache->own[pass];
    return MOCO_OK;
}

moco_status moco_plan_cache_forward(moco_plan_cache *cache, int32_t pass, int32_t mode, int32_t features,
                                    const moco_parameter_table *parameters, uint64_t weight_version,
                                    const moco_tensor *input, const moco_tensor *output) {
    const moco_plan_key key = {mode, features, input->dims[0], input->dims[1], input->dims[2], input->dims[3]};
    const moco_graph_plan **pending = &cache->pending[pass];
    moco_graph_plan *plan = NULL;
    moco_workspace *workspace = NULL;
    MOCO_TRY(find_plan(cache, &key, &plan));
    MOCO_TRY(mode == MOCO_MODE_TRAIN ? take_own_workspace(cache, pass, &workspace)
                                     : take_free_workspace(cache, &workspace));
    moco_status status = moco_grown_buffer_reserve(&workspace->room, cache->graph->context, plan->arena_bytes);
    if (status == MOCO_OK) {
        if (mode == MOCO_MODE_TRAIN) *pending = NULL; /* its memory is written from here on */
        status = moco_graph_plan_forward(plan, workspace->room.buffer, parameters, weight_version, input, output);
    }
    if (mode == MOCO_MODE_TRAIN) {
        if (status == MOCO_OK) *pending = plan;
        workspace->kept = *pending != NULL;
    }
    pthread_mutex_unlock(&workspace->mutex);
    return status;
}

moco_status moco_plan_cache_backward(moco_plan_cache *cache, int32_t pass, const moco_parameter_table *parameters,
                                     uint64_t weight_version, int32_t accumulate, const moco_gradient_hook *hook,
                                     const moco_tensor *d_output, const moco_tensor *d_input) {
    const moco_graph_plan *plan = cache->pending[pass];
    moco_workspace *workspace = cache->own[pass];
    if (plan == NULL) return moco_fail(MOCO_INVALID_STATE, "backward needs a training-mode forward before it");
    cache->pending[pass] = NULL; /* its gradients reuse the memory of activations */
    pthread_mutex_lock(&workspace->mutex);
    const moco_status status = moco_graph_plan_backward(plan, workspace->room.buffer, parameters, weight_version,
                                                        accumulate, hook, d_output, d_input);
    workspace->kept = 0;
    pthread_mutex_unlock(&workspace->mutex);
    return status;
}
