#include "checkpoint/official_run.h"

#include <stdio.h>
#include <string.h>

#include "checkpoint/weights_prefix.h"
#include "checkpoint/weights_stage.h"
#include "core/checked.h"
#include "core/number_text.h"

#define GROUP     "optimizer.param_groups.0."
#define NOTE_SIZE 256
#define MOST_KEY  24

/* The query encoder's name in a prefix, and its key encoder's. */
static const char *const pairs[][2] = {{"encoder_q.", "encoder_k."},
                                       {"base_encoder.", "momentum_encoder."},
                                       {"student.", "teacher."},
                                       {"query_encoder.", "key_encoder."}};

/* --- Key encoder --- */

/* Where in the prefix the query encoder's own name begins, which is its last; the length of the prefix without one. */
static size_t find_network(const char *prefix, size_t *pair) {
    for (*pair = 0; *pair < sizeof pairs / sizeof pairs[0]; ++*pair) {
        const char *at = NULL;
        for (const char *next = prefix; (next = strstr(next, pairs[*pair][0])) != NULL; ++next) at = next;
        if (at != NULL) return (size_t) (at - prefix);
    }
    return strlen(prefix);
}

/* The key encoder's prefix, where the file has any parameter below it. */
static void find_key_encoder(moco_official_run *run, const moco_encoder *encoder) {
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    size_t pair;
    const size_t at = find_network(run->prefix, &pair);
    if (at == strlen(run->prefix)) return;
    const int length = snprintf(run->key_prefix, sizeof run->key_prefix, "%.*s%s%s", (int) at, run->prefix,
                                pairs[pair][1], run->prefix + at + strlen(pairs[pair][0]));
    if (length >= 0 && (size_t) length < sizeof run->key_prefix) {
        for (int64_t i = 0; i < table->count; ++i) {
            if (moco_prefix_find(run->weights, run->key_prefix, (size_t) length, table->items[i].name) >= 0) return;
        }
    }
    run->key_prefix[0] = '\0';
}

/* --- Queue --- */

/* In the file it is dim x capacity, beside the encoders. */
static moco_status read_keys(moco_official_run *run, int64_t place, int64_t dim, int64_t capacity) {
    moco_weights_tensor info = {.struct_size = sizeof info};
    size_t bytes;
    MOCO_TRY(moco_weights_info(run->weights, place, &info));
    if (info.rank != 2 || info.dims[0] != dim || info.dims[1] != capacity) {
        return moco_fail(MOCO_FORMAT, "%s: \"%s\" has %d dimensions, %lld x %lld; this trainer's queue is %lld x %lld",
                         run->path, info.name, info.rank, (long long) info.dims[0], (long long) info.dims[1],
                         (long long) dim, (long long) capacity);
    }
    MOCO_TRY(moco_checked_bytes(info.elements, sizeof(float), "the queue", &bytes));
    float *columns = (float *) moco_allocate(run->context, bytes);
    run->keys = (float *) moco_allocate(run->context, bytes);
    moco_status status = columns == NULL || run->keys == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    if (status == MOCO_OK) status = moco_stage_read_finite(run->weights, place, run->path, columns);
    for (int64_t d = 0; d < dim && status == MOCO_OK; ++d) {
        for (int64_t k = 0; k < capacity; ++k) run->keys[k * dim + d] = columns[d * capacity + k];
    }
    moco_deallocate(run->context, columns);
    return status;
}

static moco_status read_queue(moco_official_run *run, int64_t dim, int64_t capacity) {
    size_t pair;
    const size_t length = find_network(run->prefix, &pair);
    const int64_t keys = moco_prefix_find(run->weights, run->prefix, length, "queue");
    const int64_t pointer = moco_prefix_find(run->weights, run->prefix, length, "queue_ptr");
    if (keys < 0 || capacity == 0) return MOCO_OK;
    moco_weights_tensor info = {.struct_size = sizeof info};
    MOCO_TRY(read_keys(run, keys, dim, capacity));
    if (pointer < 0) return moco_fail(MOCO_FORMAT, "%s has a queue without its queue_ptr", run->path);
    MOCO_TRY(moco_weights_info(run->weights, pointer, &info));
    if (info.elements != 1) {
        return moco_fail(MOCO_FORMAT, "%s: \"%s\" has %lld values; it must be one", run->path, info.name,
                         (long long) info.elements);
    }
    MOCO_TRY(moco_weights_read_integers(run->weights, pointer, &run->position));
    if (run->position < 0 || run->position >= capacity) {
        return moco_fail(MOCO_FORMAT, "%s: \"%s\" is %lld; it must be 0 to %lld", run->path, info.name,
                         (long long) run->position, (long long) capacity - 1);
    }
    run->has_queue = 1;
    return MOCO_OK;
}

/* --- Optimizer: its state by parameter, in the order of model.parameters(), which begin with the query encoder's --- */

static double read_number(const moco_official_run *run, const char *key) {
    double value;
    const char *text = moco_weights_find_note(run->weights, key);
    return text != NULL && moco_text_to_double(text, &value) && value >= 0.0 ? value : -1.0;
}

static moco_status read_velocity(moco_official_run *run, const moco_parameter *item, int64_t index, int64_t order) {
    char note[NOTE_SIZE];
    char name[NOTE_SIZE];
    moco_weights_tensor info = {.struct_size = sizeof info};
    size_t bytes;
    snprintf(note, sizeof note, GROUP "params.%lld", (long long) order);
    const char *key = moco_weights_find_note(run->weights, note);
    if (key == NULL || strlen(key) > MOST_KEY) {
        return moco_fail(MOCO_FORMAT,
                         "%s: its optimizer has only %lld parameters in its first group; %s would be the next",
                         run->path, (long long) order, item->name);
    }
    snprintf(name, sizeof name, "optimizer.state.%s.momentum_buffer", key);
    const int64_t place = moco_prefix_find(run->weights, "", 0, name);
    if (place < 0) return MOCO_OK; /* no step of it yet */
    MOCO_TRY(moco_weights_info(run->weights, place, &info));
    if (!moco_prefix_shape_fits(run->weights, place, item)) {
        return moco_fail(MOCO_FORMAT, "%s: \"%s\" has another shape than %s, which is the optimizer's parameter %lld",
                         run->path, info.name, item->name, (long long) order);
    }
    MOCO_TRY(moco_checked_bytes(item->elements, sizeof(float), "a parameter", &bytes));
    run->velocities[index] = (float *) moco_allocate(run->context, bytes);
    if (run->velocities[index] == NULL) return MOCO_OUT_OF_MEMORY;
    run->has_optimizer = 1;
    return moco_stage_read_finite(run->weights, place, run->path, run->velocities[index]);
}

static moco_status read_optimizer(moco_official_run *run, const moco_encoder *encoder) {
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    int64_t order = 0;
    run->learning_rate = read_number(run, GROUP "lr");
    run->momentum = read_number(run, GROUP "momentum");
    run->weight_decay = read_number(run, GROUP "weight_decay");
    run->velocities = (float **) moco_allocate_zeroed(run->context, (size_t) table->count, sizeof *run->velocities);
    if (run->velocities == NULL) return MOCO_OUT_OF_MEMORY;
    run->velocity_count = table->count;
    if (moco_weights_find_note(run->weights, GROUP "params.0") == NULL) return MOCO_OK;
    if (moco_weights_find_note(run->weights, "optimizer.param_groups.1.params.0") != NULL) {
        moco_log(
            run->context, MOCO_LOG_WARNING,
            "%s: its optimizer has several groups of parameters, whose order is not the network's: its state is left "
            "out",
            run->path);
        return MOCO_OK;
    }
    for (int64_t i = 0; i < table->count; ++i) {
        if (table->items[i].kind != MOCO_PARAMETER_LEARNABLE) continue;
        MOCO_TRY(read_velocity(run, &table->items[i], i, order++));
    }
    return MOCO_OK;
}

moco_status moco_official_run_read(moco_official_run *run, const moco_weights *weights, const char *path,
                                   const char *prefix, const moco_encoder *encoder, int64_t dim, int64_t capacity) {
    memset(run, 0, sizeof *run);
    run->context = moco_encoder_context(encoder);
    run->weights = weights;
    run->path = path;
    run->prefix = prefix;
    run->epoch = -1;
    const char *epoch = moco_weights_find_note(weights, "epoch");
    if (epoch != NULL && (!moco_text_to_i64(epoch, &run->epoch) || run->epoch < 0)) run->epoch = -1;
    find_key_encoder(run, encoder);
    moco_status status = read_queue(run, dim, capacity);
    if (status == MOCO_OK) status = read_optimizer(run, encoder);
    if (status != MOCO_OK) moco_official_run_release(run);
    return status;
}

void moco_official_run_release(moco_official_run *run) {
    for (int64_t i = 0; i < run->velocity_count; ++i) moco_deallocate(run->context, run->velocities[i]);
    moco_deallocate(run->context, (void *) run->velocities);
    moco_deallocate(run->context, run->keys);
    memset(run, 0, sizeof *run);
}
