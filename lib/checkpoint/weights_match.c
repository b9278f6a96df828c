#include "checkpoint/weights_match.h"

#include <stdio.h>
#include <string.h>

#include "checkpoint/model_tensors.h"
#include "checkpoint/weights_prefix.h"

#define HEAD        "fc."
#define SHAPE_SIZE  192
#define MOST_LISTED 3

/* What others call the head, beside the backbone or beside what is around it. */
static const char *const heads[] = {"head.", "projector.", "projection_head.", "projection_head.layers."};

int32_t moco_is_head_parameter(const moco_encoder *encoder, const char *name) {
    const moco_encoder_config *config = moco_encoder_configuration(encoder);
    return config != NULL && config->head != MOCO_HEAD_NONE && strncmp(name, HEAD, strlen(HEAD)) == 0;
}

/* --- Shapes --- */

static void shape_text(const int64_t *dims, int32_t rank, char text[SHAPE_SIZE]) {
    size_t used = (size_t) snprintf(text, SHAPE_SIZE, "[");
    for (int32_t i = 0; i < rank && used < SHAPE_SIZE; ++i) {
        used += (size_t) snprintf(text + used, SHAPE_SIZE - used, i == 0 ? "%lld" : ", %lld", (long long) dims[i]);
    }
    if (used < SHAPE_SIZE) snprintf(text + used, SHAPE_SIZE - used, "]");
}

/* Of the parameters that are wanted, how many the file has in their shapes. */
static const char *fit_text(const moco_match *match, char text[SHAPE_SIZE]) {
    int64_t fit = 0, wanted = 0;
    for (int64_t i = 0; i < match->table->count; ++i) {
        wanted += match->places[i] != MOCO_MATCH_LEFT_OUT;
        fit += moco_prefix_shape_fits(match->weights, match->places[i], &match->table->items[i]);
    }
    snprintf(text, SHAPE_SIZE, "%lld of %lld tensors fit: is the file of another architecture?", (long long) fit,
             (long long) wanted);
    return text;
}

/* Integers are no weights: a quantized network's need their scales. */
static moco_status check_tensor(const moco_match *match, int64_t parameter, const char *path, int32_t is_head) {
    const moco_parameter *item = &match->table->items[parameter];
    moco_weights_tensor info = {.struct_size = sizeof info};
    char found[SHAPE_SIZE];
    char wanted[SHAPE_SIZE];
    char text[SHAPE_SIZE];
    MOCO_TRY(moco_weights_info(match->weights, match->places[parameter], &info));
    if (strchr("FB", info.dtype[0]) == NULL || strcmp(info.dtype, "BOOL") == 0) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" is %s; a parameter must be F32, F64, F16 or BF16", path,
                         info.name, info.dtype);
    }
    if (moco_prefix_shape_fits(match->weights, match->places[parameter], item)) return MOCO_OK;
    shape_text(info.dims, info.rank, found);
    shape_text(item->dims, item->rank, wanted);
    return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" has shape %s; this encoder's is %s. %s", path, info.name, found,
                     wanted,
                     is_head ? "Another network's head is left out by MOCO_LOAD_BACKBONE" : fit_text(match, text));
}

/* --- The head under another name --- */

/* Whether all head parameters are below `base` and `head`, in their shapes; then they are taken. */
static int32_t take_head(moco_match *match, const moco_encoder *encoder, const char *base, size_t base_length,
                         const char *head) {
    for (int32_t taking = 0; taking < 2; ++taking) {
        for (int64_t i = 0; i < match->table->count; ++i) {
            const moco_parameter *item = &match->table->items[i];
            if (!moco_is_head_parameter(encoder, item->name)) continue;
            char name[MOCO_MATCH_NAME_SIZE];
            const int length =
                snprintf(name, sizeof name, "%.*s%s%s", (int) base_length, base, head, item->name + strlen(HEAD));
            if (length < 0 || (size_t) length >= sizeof name) return 0;
            const int64_t place = moco_prefix_find(match->weights, "", 0, name);
            if (place < 0 || !moco_prefix_shape_fits(match->weights, place, item)) return 0;
            if (taking) match->places[i] = place;
        }
    }
    return 1;
}

static void find_other_head(moco_match *match, const moco_encoder *encoder) {
    const size_t length = strlen(match->prefix);
    size_t parent = length; /* "backbone." has its head beside it, not inside */
    if (parent > 0) --parent;
    while (parent > 0 && match->prefix[parent - 1] != '.') --parent;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; ++i) {
        if (take_head(match, encoder, match->prefix, length, heads[i])) return;
        if (parent < length && take_head(match, encoder, match->prefix, parent, heads[i])) return;
    }
}

/* --- All parameters --- */

/* Less than half of the backbone is there: what was found is a block of another network, and so is the prefix. */
static int32_t hardly_fits(const moco_match *match, const moco_encoder *encoder) {
    int64_t fit = 0, wanted = 0;
    for (int64_t i = 0; i < match->table->count; ++i) {
        const moco_parameter *item = &match->table->items[i];
        if (moco_is_head_parameter(encoder, item->name)) continue;
        ++wanted;
        fit += moco_prefix_shape_fits(match->weights, match->places[i], item);
    }
    return 2 * fit < wanted;
}

static moco_status nothing_fits(const moco_match *match, const char *path) {
    char list[SHAPE_SIZE] = "";
    char text[SHAPE_SIZE];
    size_t used = 0;
    for (int64_t i = 0; i < MOST_LISTED && i < moco_weights_count(match->weights) && used < sizeof list; ++i) {
        moco_weights_tensor info = {.struct_size = sizeof info};
        if (moco_weights_info(match->weights, i, &info) != MOCO_OK) continue;
        used += (size_t) snprintf(list + used, sizeof list - used, "%s%.48s", i == 0 ? ", such as " : ", ", info.name);
    }
    return moco_fail(MOCO_NOT_FOUND, "%s does not fit this encoder's names, such as %s: it has %lld%s. %s", path,
                     match->table->count > 0 ? match->table->items[0].name : "none",
                     (long long) moco_weights_count(match->weights), list, fit_text(match, text));
}

static moco_status find_places(moco_match *match, const moco_encoder *encoder, const char *path,
                               const moco_load_options *options) {
    int32_t head_fits = 1;
    const size_t length = strlen(match->prefix);
    for (int64_t i = 0; i < match->table->count; ++i) {
        const moco_parameter *item = &match->table->items[i];
        const int32_t is_head = moco_is_head_parameter(encoder, item->name);
        match->places[i] = MOCO_MATCH_LEFT_OUT;
        if (is_head && options->parts == MOCO_LOAD_BACKBONE) continue;
        match->places[i] = moco_prefix_find(match->weights, match->prefix, length, item->name);
        if (is_head && !moco_prefix_shape_fits(match->weights, match->places[i], item)) head_fits = 0;
    }
    if (!head_fits) find_other_head(match, encoder);
    if (options->prefix == NULL && options->may_miss != MOCO_MAY_MISS_ANYTHING && hardly_fits(match, encoder)) {
        return nothing_fits(match, path);
    }
    for (int64_t i = 0; i < match->table->count; ++i) {
        if (match->places[i] < 0) continue;
        MOCO_TRY(check_tensor(match, i, path, moco_is_head_parameter(encoder, match->table->items[i].name)));
    }
    return MOCO_OK;
}

static moco_status count_missing(moco_match *match, const moco_encoder *encoder, const char *path,
                                 const moco_load_options *options) {
    char text[SHAPE_SIZE];
    for (int64_t i = 0; i < match->table->count; ++i) {
        const char *name = match->table->items[i].name;
        match->loaded += match->places[i] >= 0;
        if (match->places[i] != MOCO_MATCH_MISSING) continue;
        match->missing++;
        if (options->may_miss == MOCO_MAY_MISS_ANYTHING) continue;
        if (options->may_miss == MOCO_MAY_MISS_HEAD && moco_is_head_parameter(encoder, name)) continue;
        return moco_fail(MOCO_NOT_FOUND, "%s has no tensor \"%s%s\". %s", path, match->prefix, name,
                         fit_text(match, text));
    }
    return MOCO_OK;
}

/* The largest counter of all BatchNorm layers: every forward advances them together. */
static moco_status read_batches(moco_match *match, const char *path, int32_t must_be_there) {
    const size_t length = strlen(match->prefix);
    match->batches = -1;
    for (int64_t i = 0; i < match->table->count; ++i) {
        const size_t layer = moco_mean_prefix(match->table->items[i].name);
        int64_t batches = 0;
        if (layer == 0) continue;
        char *name = moco_tracked_name(match->context, match->table->items[i].name, layer);
        if (name == NULL) return MOCO_OUT_OF_MEMORY;
        const int64_t place = moco_prefix_find(match->weights, match->prefix, length, name);
        moco_weights_tensor info = {.struct_size = sizeof info};
        moco_status status = place < 0 ? MOCO_OK : moco_weights_info(match->weights, place, &info);
        if (place < 0 && must_be_there) {
            status = moco_fail(MOCO_NOT_FOUND, "%s has no tensor \"%s%s\"", path, match->prefix, name);
        }
        if (status == MOCO_OK && place >= 0 && info.elements != 1) {
            status = moco_fail(MOCO_FORMAT, "%s: \"%s\" has %lld values; it must be one", path, info.name,
                               (long long) info.elements);
        }
        if (status == MOCO_OK && place >= 0) status = moco_weights_read_integers(match->weights, place, &batches);
        if (status == MOCO_OK && batches < 0) {
            status = moco_fail(MOCO_FORMAT, "%s: \"%s\" is %lld; it must be at least 0", path, info.name,
                               (long long) batches);
        }
        moco_deallocate(match->context, name);
        MOCO_TRY(status);
        if (place >= 0 && batches > match->batches) match->batches = batches;
    }
    return MOCO_OK;
}

/* --- What the file has beside them --- */

static int32_t ends_with(const char *name, const char *end) {
    const size_t length = strlen(name);
    return length >= strlen(end) && strcmp(name + length - strlen(end), end) == 0;
}

/* Calls on_item (which may be NULL) for each tensor below the prefix that is no parameter's; how many. */
static moco_status list_unexpected(const moco_match *match, const moco_load_options *options, int64_t *count) {
    const int64_t tensors = moco_weights_count(match->weights);
    unsigned char *taken = (unsigned char *) moco_allocate_zeroed(match->context, (size_t) tensors, 1);
    if (taken == NULL) return MOCO_OUT_OF_MEMORY;
    for (int64_t i = 0; i < match->table->count; ++i) {
        if (match->places[i] >= 0) taken[match->places[i]] = 1;
    }
    *count = 0;
    moco_status status = MOCO_OK;
    for (int64_t i = 0; i < tensors && status == MOCO_OK; ++i) {
        moco_weights_tensor info = {.struct_size = sizeof info};
        status = moco_weights_info(match->weights, i, &info);
        if (status != MOCO_OK || taken[i] || strncmp(info.name, match->prefix, strlen(match->prefix)) != 0) continue;
        if (ends_with(info.name, "num_batches_tracked")) continue;
        ++*count;
        if (options != NULL) options->on_item(MOCO_ITEM_UNEXPECTED, info.name, NULL, options->user);
    }
    moco_deallocate(match->context, taken);
    return status;
}

void moco_match_tell(const moco_match *match, const moco_load_options *options) {
    int64_t count;
    if (options->on_item == NULL) return;
    for (int64_t i = 0; i < match->table->count; ++i) {
        moco_weights_tensor info = {.struct_size = sizeof info};
        const int64_t place = match->places[i];
        if (place == MOCO_MATCH_LEFT_OUT) continue;
        if (place >= 0 && moco_weights_info(match->weights, place, &info) != MOCO_OK) continue;
        options->on_item(place >= 0 ? MOCO_ITEM_LOADED : MOCO_ITEM_MISSING, info.name, match->table->items[i].name,
                         options->user);
    }
    (void) list_unexpected(match, options, &count); /* it has succeeded before */
}

/* --- All of it --- */

static moco_status find_all(moco_match *match, const moco_encoder *encoder, const char *path,
                            const moco_load_options *options) {
    if (options->prefix != NULL) {
        MOCO_REQUIRE(strlen(options->prefix) < MOCO_MATCH_NAME_SIZE / 2, "prefix has %zu bytes; it may have %d",
                     strlen(options->prefix), MOCO_MATCH_NAME_SIZE / 2 - 1);
        memcpy(match->prefix, options->prefix, strlen(options->prefix) + 1);
    } else {
        MOCO_TRY(moco_prefix_choose(match->weights, encoder, match->prefix));
    }
    MOCO_TRY(find_places(match, encoder, path, options));
    int64_t found = 0;
    for (int64_t i = 0; i < match->table->count; ++i) found += match->places[i] >= 0;
    if (found == 0) return nothing_fits(match, path);
    MOCO_TRY(count_missing(match, encoder, path, options));
    MOCO_TRY(read_batches(match, path, options->may_miss == MOCO_MAY_MISS_NOTHING));
    return list_unexpected(match, NULL, &match->unexpected);
}

moco_status moco_match_find(moco_match *match, const moco_weights *weights, const moco_encoder *encoder,
                            const char *path, const moco_load_options *options) {
    memset(match, 0, sizeof *match);
    match->context = moco_encoder_context(encoder);
    match->weights = weights;
    match->table = moco_encoder_parameters(encoder);
    match->places =
        (int64_t *) moco_allocate_zeroed(match->context, (size_t) match->table->count, sizeof *match->places);
    if (match->places == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_status status = find_all(match, encoder, path, options);
    if (status != MOCO_OK) moco_match_release(match);
    return status;
}

void moco_match_release(moco_match *match) {
    moco_deallocate(match->context, match->places);
    match->places = NULL;
}
