#include "checkpoint/weights_stage.h"

#include <math.h>
#include <string.h>

#include "core/checked.h"
#include "core/config.h"

/* --- Options and report --- */

static const moco_load_options defaults = {.struct_size = sizeof defaults};

#define OLDEST_OPTIONS (offsetof(moco_load_options, user) + sizeof(void *))
#define OLDEST_REPORT  (offsetof(moco_load_report, prefix) + sizeof(((moco_load_report *) 0)->prefix))

moco_status moco_load_options_init(moco_load_options *options, uint32_t struct_size) {
    return moco_config_init(options, struct_size, &defaults, sizeof defaults, OLDEST_OPTIONS, "moco_load_options");
}

moco_status moco_load_options_take(moco_load_options *options, const moco_load_options *given) {
    *options = defaults;
    if (given != NULL) {
        MOCO_TRY(moco_config_read(options, given, sizeof *options, OLDEST_OPTIONS, "moco_load_options"));
    }
    MOCO_REQUIRE(options->parts == MOCO_LOAD_ALL || options->parts == MOCO_LOAD_BACKBONE,
                 "parts is %d; it must be MOCO_LOAD_ALL (0) or MOCO_LOAD_BACKBONE (1)", options->parts);
    MOCO_REQUIRE(options->may_miss >= MOCO_MAY_MISS_HEAD && options->may_miss <= MOCO_MAY_MISS_ANYTHING,
                 "may_miss is %d; it must be MOCO_MAY_MISS_HEAD (0), NOTHING (1) or ANYTHING (2)", options->may_miss);
    return MOCO_OK;
}

moco_status moco_load_report_check(moco_load_report *report) {
    if (report == NULL) return MOCO_OK;
    moco_load_report same;
    const size_t known = report->struct_size < sizeof same ? report->struct_size : sizeof same;
    memcpy(&same, report, known);
    return moco_output_write(report, &same, sizeof same, OLDEST_REPORT, "moco_load_report");
}

moco_status moco_load_tell(const moco_match *match, const char *path, const moco_load_options *options,
                           moco_load_report *report) {
    moco_load_report values = {.struct_size = sizeof values,
                               .kind = moco_weights_kind(match->weights),
                               .loaded = match->loaded,
                               .missing = match->missing,
                               .unexpected = match->unexpected,
                               .batches_tracked = match->batches};
    const size_t length = strlen(match->prefix);
    memcpy(values.prefix, match->prefix, length < sizeof values.prefix ? length : sizeof values.prefix - 1);
    moco_match_tell(match, options);
    moco_log(match->context, match->missing + match->unexpected > 0 ? MOCO_LOG_WARNING : MOCO_LOG_INFO,
             "%s: %lld tensors loaded%s%s%s, %lld missing, %lld unexpected", path, (long long) match->loaded,
             length > 0 ? " from below \"" : "", match->prefix, length > 0 ? "\"" : "", (long long) match->missing,
             (long long) match->unexpected);
    return report == NULL ? MOCO_OK
                          : moco_output_write(report, &values, sizeof values, OLDEST_REPORT, "moco_load_report");
}

/* --- Reading --- */

moco_status moco_stage_read_finite(const moco_weights *weights, int64_t index, const char *path, float *values) {
    moco_weights_tensor info = {.struct_size = sizeof info};
    MOCO_TRY(moco_weights_info(weights, index, &info));
    MOCO_TRY(moco_weights_read(weights, index, values));
    for (int64_t i = 0; i < info.elements; ++i) {
        if (isfinite(values[i])) continue;
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" holds a value that is not finite (%g, its number %lld)", path,
                         info.name, (double) values[i], (long long) i);
    }
    return MOCO_OK;
}

moco_status moco_stage_stream(moco_encoder *encoder, const moco_match *match, const char *path) {
    int64_t largest = 0;
    size_t bytes;
    for (int64_t i = 0; i < match->table->count; ++i) {
        largest = moco_max_i64(largest, match->table->items[i].elements);
    }
    MOCO_TRY(moco_checked_bytes(largest, sizeof(float), "the largest parameter", &bytes));
    float *values = (float *) moco_allocate(match->context, bytes);
    moco_status status = values == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    for (int64_t i = 0; i < match->table->count && status == MOCO_OK; ++i) {
        if (match->places[i] < 0) continue;
        status = moco_stage_read_finite(match->weights, match->places[i], path, values);
        if (status == MOCO_OK) status = moco_encoder_write_parameter(encoder, i, values);
    }
    moco_deallocate(match->context, values);
    if (status == MOCO_OK && match->batches >= 0) status = moco_encoder_set_batches_tracked(encoder, match->batches);
    return status;
}

static moco_status read_all(moco_stage *stage, const char *path) {
    const moco_match *match = &stage->match;
    for (int64_t i = 0; i < match->table->count; ++i) {
        size_t bytes;
        if (match->places[i] < 0) continue;
        MOCO_TRY(moco_checked_bytes(match->table->items[i].elements, sizeof(float), "a parameter", &bytes));
        stage->values[i] = (float *) moco_allocate(match->context, bytes);
        if (stage->values[i] == NULL) return MOCO_OUT_OF_MEMORY;
        MOCO_TRY(moco_stage_read_finite(match->weights, match->places[i], path, stage->values[i]));
    }
    return MOCO_OK;
}

moco_status moco_stage_read(moco_stage *stage, const moco_weights *weights, const moco_encoder *encoder,
                            const char *path, const moco_load_options *options) {
    stage->values = NULL;
    MOCO_TRY(moco_match_find(&stage->match, weights, encoder, path, options));
    stage->values = (float **) moco_allocate_zeroed(stage->match.context, (size_t) stage->match.table->count,
                                                    sizeof *stage->values);
    const moco_status status = stage->values == NULL ? MOCO_OUT_OF_MEMORY : read_all(stage, path);
    if (status != MOCO_OK) moco_stage_release(stage);
    return status;
}

moco_status moco_stage_write(const moco_stage *stage, moco_encoder *encoder) {
    for (int64_t i = 0; i < stage->match.table->count; ++i) {
        if (stage->values[i] != NULL) MOCO_TRY(moco_encoder_write_parameter(encoder, i, stage->values[i]));
    }
    return stage->match.batches < 0 ? MOCO_OK : moco_encoder_set_batches_tracked(encoder, stage->match.batches);
}

void moco_stage_release(moco_stage *stage) {
    for (int64_t i = 0; stage->values != NULL && i < stage->match.table->count; ++i) {
        moco_deallocate(stage->match.context, stage->values[i]);
    }
    moco_deallocate(stage->match.context, (void *) stage->values);
    stage->values = NULL;
    moco_match_release(&stage->match);
}
