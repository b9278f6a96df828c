#include "checkpoint/weights_prefix.h"

#include <string.h>

#include "io/weights_internal.h"

#define NAME_SIZE       2048
#define MOST_CANDIDATES 256

typedef struct prefix_candidate {
    const char *name; /* a tensor's, whose first `length` bytes are the prefix */
    size_t length;
    int64_t fit;   /* parameters that are there in their shapes */
    int64_t named; /* that are there */
} prefix_candidate;

int64_t moco_prefix_find(const moco_weights *weights, const char *prefix, size_t length, const char *name) {
    char full[NAME_SIZE];
    int64_t index = -1;
    const size_t bytes = strlen(name) + 1;
    if (bytes > sizeof full || length > sizeof full - bytes) return -1;
    memcpy(full, prefix, length);
    memcpy(full + length, name, bytes);
    return moco_weights_lookup(weights, full, &index) ? index : -1;
}

int32_t moco_prefix_shape_fits(const moco_weights *weights, int64_t index, const moco_parameter *parameter) {
    moco_weights_tensor info = {.struct_size = sizeof info};
    if (index < 0 || moco_weights_info(weights, index, &info) != MOCO_OK || info.rank != parameter->rank) return 0;
    return memcmp(info.dims, parameter->dims, (size_t) parameter->rank * sizeof *info.dims) == 0;
}

/* Whether `text` has the word, with a dot, an underline or an end at both sides. */
static int32_t has_word(const char *text, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; ++at) {
        if ((at == text || strchr("._", at[-1]) != NULL) && strchr("._", at[length]) != NULL) return 1;
    }
    return 0;
}

/* 1 for the networks that are trained by gradients, -1 for averages of others. */
static int32_t preference(const prefix_candidate *candidate) {
    static const char *const averages[] = {"encoder_k", "key_encoder", "momentum", "teacher", "target", "ema"};
    static const char *const trained[] = {"encoder_q", "query_encoder", "base_encoder", "student", "online"};
    char text[NAME_SIZE];
    if (candidate->length >= sizeof text) return 0;
    memcpy(text, candidate->name, candidate->length);
    text[candidate->length] = '\0';
    for (size_t i = 0; i < sizeof averages / sizeof averages[0]; ++i) {
        if (has_word(text, averages[i])) return -1;
    }
    for (size_t i = 0; i < sizeof trained / sizeof trained[0]; ++i) {
        if (has_word(text, trained[i])) return 1;
    }
    return 0;
}

static int32_t is_better(const prefix_candidate *a, const prefix_candidate *b) {
    if (a->fit != b->fit) return a->fit > b->fit;
    if (a->named != b->named) return a->named > b->named;
    if (preference(a) != preference(b)) return preference(a) > preference(b);
    return a->length < b->length;
}

/* Notes the prefix that makes `name` of a parameter's name, if it is a new one. */
static void add_candidate(prefix_candidate *candidates, int64_t *count, const char *name, size_t length) {
    for (int64_t i = *count; i > 0; --i) {
        if (candidates[i - 1].length == length && memcmp(candidates[i - 1].name, name, length) == 0) return;
    }
    if (*count == MOST_CANDIDATES) return;
    candidates[*count].name = name;
    candidates[(*count)++].length = length;
}

static moco_status list_candidates(const moco_weights *weights, const moco_parameter_table *table,
                                   prefix_candidate *candidates, int64_t *count) {
    for (int64_t t = 0; t < moco_weights_count(weights) && *count < MOST_CANDIDATES; ++t) {
        moco_weights_tensor info = {.struct_size = sizeof info};
        MOCO_TRY(moco_weights_info(weights, t, &info));
        const size_t length = strlen(info.name);
        for (int64_t i = 0; i < table->count; ++i) {
            const size_t own = strlen(table->items[i].name);
            if (own > length || length - own >= NAME_SIZE / 2) continue;
            const size_t prefix = length - own;
            if (prefix > 0 && info.name[prefix - 1] != '.') continue;
            if (strcmp(info.name + prefix, table->items[i].name) != 0) continue;
            add_candidate(candidates, count, info.name, prefix);
        }
    }
    return MOCO_OK;
}

moco_status moco_prefix_choose(const moco_weights *weights, const moco_encoder *encoder, char *prefix) {
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    moco_context *context = moco_encoder_context(encoder);
    int64_t count = 0;
    prefix[0] = '\0';
    prefix_candidate *candidates =
        (prefix_candidate *) moco_allocate_zeroed(context, MOST_CANDIDATES, sizeof *candidates);
    if (candidates == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_status status = list_candidates(weights, table, candidates, &count);
    const prefix_candidate *best = NULL;
    for (int64_t c = 0; c < count && status == MOCO_OK; ++c) {
        for (int64_t i = 0; i < table->count; ++i) {
            const int64_t place =
                moco_prefix_find(weights, candidates[c].name, candidates[c].length, table->items[i].name);
            candidates[c].named += place >= 0;
            candidates[c].fit += moco_prefix_shape_fits(weights, place, &table->items[i]);
        }
        if (best == NULL || is_better(&candidates[c], best)) best = &candidates[c];
    }
    if (best != NULL) {
        memcpy(prefix, best->name, best->length);
        prefix[best->length] = '\0';
    }
    moco_deallocate(context, candidates);
    return status;
}
