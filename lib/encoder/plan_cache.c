#include "encoder/plan_cache.h"

#include <string.h>

moco_status moco_plan_cache_init(moco_plan_cache *cache, const moco_graph *graph, int32_t input_gradient) {
    memset(cache, 0, sizeof *cache);
    cache->graph = graph;
    cache->input_gradient = input_gradient;
    return moco_workspace_create(&cache->own, graph->context);
}

void moco_plan_cache_lend(moco_plan_cache *cache, const moco_plan_cache *source) {
    cache->lent = moco_workspace_retain(source->own);
}

void moco_plan_cache_release(moco_plan_cache *cache) {
    if (cache->graph == NULL) return;
    for (int32_t i = 0; i < MOCO_CACHED_PLANS; ++i) moco_graph_plan_destroy(cache->plans[i]);
    if (cache->own != NULL) { /* others may still use it, and nobody will come for what it keeps */
        pthread_mutex_lock(&cache->own->mutex);
        cache->own->kept = 0;
        pthread_mutex_unlock(&cache->own->mutex);
    }
    moco_workspace_release(cache->own);
    moco_workspace_release(cache->lent);
    moco_workspace_release(cache->spare);
    memset(cache, 0, sizeof *cache);
}

static int32_t same_key(const moco_plan_key *a, const moco_plan_key *b) {
    return a->mode == b->mode && a->features == b->features && a->n == b->n && a->c == b->c && a->h == b->h &&
           a->w == b->w;
}

/* The plan for `key`, made if it is new. The new one replaces an empty place or the least recently used plan, but never
 * the pending one. */
static moco_status find_plan(moco_plan_cache *cache, const moco_plan_key *key, moco_graph_plan **out) {
    int32_t place = -1;
    for (int32_t i = 0; i < MOCO_CACHED_PLANS; ++i) {
        if (cache->plans[i] != NULL && same_key(&cache->plans[i]->key, key)) {
            cache->last_used[i] = ++cache->clock;
            *out = cache->plans[i];
            return MOCO_OK;
        }
        if (cache->plans[i] != NULL && cache->plans[i] == cache->pending) continue;
        if (place < 0 || cache->last_used[i] < cache->last_used[place]) place = i; /* an empty place was used at 0 */
    }
    moco_graph_plan *plan = NULL;
    MOCO_TRY(moco_graph_plan_create(&plan, cache->graph, key, cache->input_gradient, NULL));
    moco_graph_plan_destroy(cache->plans[place]);
    cache->plans[place] = plan;
    cache->last_used[place] = ++cache->clock;
    *out = plan;
    return MOCO_OK;
}

/* A locked workspace for a pass that leaves nothing behind. */
static moco_status take_free_workspace(moco_plan_cache *cache, moco_workspace **out) {
    moco_workspace *const candidates[2] = {cache->lent, cache->own};
    for (int i = 0; i < 2; ++i) {
        if (candidates[i] == NULL) continue;
        pthread_mutex_lock(&candidates[i]->mutex);
        *out = candidates[i];
        if (!candidates[i]->kept) return MOCO_OK;
        pthread_mutex_unlock(&candidates[i]->mutex);
    }
    if (cache->spare == NULL) MOCO_TRY(moco_workspace_create(&cache->spare, cache->graph->context));
    pthread_mutex_lock(&cache->spare->mutex);
    *out = cache->spare;
    return MOCO_OK;
}

moco_status moco_plan_cache_forward(moco_plan_cache *cache, int32_t mode, int32_t features,
                                    const moco_parameter_table *parameters, uint64_t weight_version,
                                    const moco_tensor *input, const moco_tensor *output) {
    const moco_plan_key key = {mode, features, input->dims[0], input->dims[1], input->dims[2], input->dims[3]};
    moco_graph_plan *plan = NULL;
    moco_workspace *workspace = cache->own;
    MOCO_TRY(find_plan(cache, &key, &plan));
    if (mode == MOCO_MODE_TRAIN) {
        pthread_mutex_lock(&workspace->mutex);
    } else {
        MOCO_TRY(take_free_workspace(cache, &workspace));
    }
    moco_status status = moco_grown_buffer_reserve(&workspace->room, cache->graph->context, plan->arena_bytes);
    if (status == MOCO_OK) {
        if (mode == MOCO_MODE_TRAIN) cache->pending = NULL; /* its memory is written from here on */
        status = moco_graph_plan_forward(plan, workspace->room.buffer, parameters, weight_version, input, output);
    }
    if (mode == MOCO_MODE_TRAIN) {
        if (status == MOCO_OK) cache->pending = plan;
        workspace->kept = cache->pending != NULL;
    }
    pthread_mutex_unlock(&workspace->mutex);
    return status;
}

moco_status moco_plan_cache_backward(moco_plan_cache *cache, const moco_parameter_table *parameters,
                                     uint64_t weight_version, int32_t accumulate, const moco_tensor *d_output,
                                     const moco_tensor *d_input) {
    const moco_graph_plan *plan = cache->pending;
    if (plan == NULL) return moco_fail(MOCO_INVALID_STATE, "backward needs a training-mode forward before it");
    cache->pending = NULL; /* its gradients reuse the memory of activations */
    pthread_mutex_lock(&cache->own->mutex);
    const moco_status status = moco_graph_plan_backward(plan, cache->own->room.buffer, parameters, weight_version,
                                                        accumulate, d_output, d_input);
    cache->own->kept = 0;
    pthread_mutex_unlock(&cache->own->mutex);
    return status;
}
