/* The state that parts tell visitors (core/state.h). Three visitors of this test's own: one records, one compares with a
 * record, one writes a record into other parts. A trainer that was copied so goes on to the same bits; every single thing
 * that is visited is told from another value by its name; and every field of every configuration is among the settings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend_chain.h"
#include "core/config_fields.h"
#include "core/state.h"
#include "encoder/encoder_internal.h"
#include "loader/loader_internal.h"
#include "support/training_loader.h"
#include "trainer/method.h"

/* --- A record --- */

enum { TENSOR, NUMBERS, REAL, SETTING };

typedef struct item {
    int sort;
    char *part;
    char *name;
    char *bytes; /* of a setting its text, with the end */
    size_t count;
    int32_t dtype;
    int32_t rank;
} item;

typedef struct record {
    moco_context *context;
    item *items;
    int count;
    int next;   /* for visitors that go through it */
    int target; /* of the visitor that spoils one item */
    int64_t by; /* what that one adds to a number */
} record;

static char *copy_bytes(const void *bytes, size_t count) {
    char *copy = (char *) malloc(count);
    assert_non_null(copy);
    memcpy(copy, bytes, count);
    return copy;
}

static char *copy_text(const char *text) {
    return copy_bytes(text, strlen(text) + 1);
}

static item *append(record *r, int sort, const char *part, const char *name, size_t count) {
    r->items = (item *) realloc(r->items, (size_t) (r->count + 1) * sizeof *r->items);
    assert_non_null(r->items);
    item *added = &r->items[r->count++];
    *added = (item){.sort = sort, .part = copy_text(part), .name = copy_text(name), .count = count};
    return added;
}

static void forget(record *r) {
    for (int i = 0; i < r->count; ++i) {
        free(r->items[i].part);
        free(r->items[i].name);
        free(r->items[i].bytes);
    }
    free(r->items);
    memset(r, 0, sizeof *r);
}

static char *download(moco_context *context, const moco_tensor *tensor) {
    assert_int_equal(tensor->layout, MOCO_LAYOUT_PLAIN);
    char *bytes = (char *) malloc((size_t) moco_tensor_bytes(tensor));
    assert_non_null(bytes);
    assert_int_equal(moco_tensor_download(context, tensor, bytes), MOCO_OK);
    return bytes;
}

static moco_status record_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    record *r = (record *) self;
    item *added = append(r, TENSOR, part, name, (size_t) moco_tensor_bytes(tensor));
    added->bytes = download(r->context, tensor);
    added->dtype = tensor->dtype;
    added->rank = tensor->rank;
    return MOCO_OK;
}

static moco_status record_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    item *added = append((record *) self, NUMBERS, part, name, (size_t) count * sizeof *values);
    added->bytes = copy_bytes(values, added->count);
    return MOCO_OK;
}

static moco_status record_real(void *self, const char *part, const char *name, double *value) {
    append((record *) self, REAL, part, name, sizeof *value)->bytes = copy_bytes(value, sizeof *value);
    return MOCO_OK;
}

static moco_status record_setting(void *self, const char *part, const char *name, const char *text) {
    append((record *) self, SETTING, part, name, strlen(text) + 1)->bytes = copy_text(text);
    return MOCO_OK;
}

static const moco_state_ops recording = {record_tensor, record_numbers, record_real, record_setting};

/* --- Comparing: INVALID_STATE with the name of the first thing that differs --- */

static moco_status compare_item(record *r, int sort, const char *part, const char *name, const void *bytes,
                                size_t count) {
    const item *expected = r->next < r->count ? &r->items[r->next++] : NULL;
    if (expected != NULL && expected->sort == sort && strcmp(expected->part, part) == 0 &&
        strcmp(expected->name, name) == 0 && expected->count == count && memcmp(expected->bytes, bytes, count) == 0) {
        return MOCO_OK;
    }
    return moco_fail(MOCO_INVALID_STATE, "%s.%s differs", part, name);
}

static moco_status compare_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    record *r = (record *) self;
    char *bytes = download(r->context, tensor);
    const moco_status status = compare_item(r, TENSOR, part, name, bytes, (size_t) moco_tensor_bytes(tensor));
    free(bytes);
    return status;
}

static moco_status compare_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    return compare_item((record *) self, NUMBERS, part, name, values, (size_t) count * sizeof *values);
}

static moco_status compare_real(void *self, const char *part, const char *name, double *value) {
    return compare_item((record *) self, REAL, part, name, value, sizeof *value);
}

static moco_status compare_setting(void *self, const char *part, const char *name, const char *text) {
    return compare_item((record *) self, SETTING, part, name, text, strlen(text) + 1);
}

static const moco_state_ops comparing = {compare_tensor, compare_numbers, compare_real, compare_setting};

/* --- Copying --- */

static const item *take(record *r, int sort, const char *part, const char *name, size_t count) {
    assert_true(r->next < r->count);
    const item *taken = &r->items[r->next++];
    assert_int_equal(taken->sort, sort);
    assert_string_equal(taken->part, part);
    assert_string_equal(taken->name, name);
    assert_int_equal(taken->count, count);
    return taken;
}

static moco_status copy_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    record *r = (record *) self;
    return moco_tensor_upload(r->context, tensor,
                              take(r, TENSOR, part, name, (size_t) moco_tensor_bytes(tensor))->bytes);
}

static moco_status copy_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    const size_t bytes = (size_t) count * sizeof *values;
    memcpy(values, take((record *) self, NUMBERS, part, name, bytes)->bytes, bytes);
    return MOCO_OK;
}

static moco_status copy_real(void *self, const char *part, const char *name, double *value) {
    memcpy(value, take((record *) self, REAL, part, name, sizeof *value)->bytes, sizeof *value);
    return MOCO_OK;
}

static moco_status copy_setting(void *self, const char *part, const char *name, const char *text) {
    return compare_setting(self, part, name, text);
}

static const moco_state_ops copying = {copy_tensor, copy_numbers, copy_real, copy_setting};

/* --- Spoiling the item `target`, and nothing else --- */

static moco_status spoil_tensor(void *self, const char *part, const char *name, const moco_tensor *tensor) {
    record *r = (record *) self;
    (void) part;
    (void) name;
    if (r->next++ != r->target) return MOCO_OK;
    char *bytes = download(r->context, tensor);
    bytes[(size_t) moco_tensor_bytes(tensor) - moco_dtype_size(tensor->dtype)] ^=
        1; /* the last bit of the last element */
    assert_int_equal(moco_tensor_upload(r->context, tensor, bytes), MOCO_OK);
    free(bytes);
    return MOCO_OK;
}

static moco_status spoil_numbers(void *self, const char *part, const char *name, int64_t *values, int64_t count) {
    record *r = (record *) self;
    (void) part;
    (void) name;
    if (r->next++ == r->target) values[count - 1 - (count > 1)] += r->by; /* flags: the last parameter's weight */
    return MOCO_OK;
}

static moco_status spoil_real(void *self, const char *part, const char *name, double *value) {
    record *r = (record *) self;
    (void) part;
    (void) name;
    if (r->next++ == r->target) *value *= 1.0 - 0x1p-50;
    return MOCO_OK;
}

static moco_status pass_setting(void *self, const char *part, const char *name, const char *text) {
    (void) part;
    (void) name;
    (void) text;
    ((record *) self)->next++;
    return MOCO_OK;
}

static const moco_state_ops spoiling = {spoil_tensor, spoil_numbers, spoil_real, pass_setting};

/* --- Trainers with a loader of their own --- */

typedef struct subject {
    training_parts parts;
    training_configs configs;
    moco_schedule schedule;
} subject;

/* Everything that can matter is on: momentum that changes, masked ids, a queue in bfloat16, flags. `start` changes what
 * only the start depends on, and what is state. 0: no such backend. */
static int open_subject(subject *s, const char *backend, uint64_t start) {
    memset(s, 0, sizeof *s);
    training_configs *c = &s->configs;
    *c = small_training(backend, 2);
    c->encoder.seed = start;
    c->queue.seed = start;
    c->queue.storage = MOCO_QUEUE_STORAGE_BF16;
    c->momentum_encoder.momentum = start == 0 ? 0.99 : 0.9;
    c->momentum_encoder.bn_buffers = MOCO_BN_BUFFERS_AVERAGE;
    c->momentum_encoder.shuffle = 1;
    c->momentum_encoder.seed = 11;
    c->loss.mask_same_id = 1;
    c->loss.temperature = start == 0 ? 0.2 : 0.5;
    c->optimizer.learning_rate = start == 0 ? 0.03 : 0.5;
    assert_int_equal(moco_schedule_init(&s->schedule, sizeof s->schedule), MOCO_OK);
    s->schedule.epochs = 4.0;
    c->trainer.learning_rate = &s->schedule;
    c->trainer.momentum_end = 0.999;
    if (backend_is_missing(training_create(&s->parts, c))) return 0;
    assert_non_null(s->parts.trainer);
    if (start == 0) {
        assert_int_equal(moco_encoder_set_parameter_flags(s->parts.encoder, 0, MOCO_PARAMETER_NO_DECAY), MOCO_OK);
    }
    training_loader loader;
    assert_int_equal(training_loader_create(&loader, s->parts.context, 2, 2, LOADER_BATCH), MOCO_OK);
    assert_int_equal(moco_trainer_keep_loader(s->parts.trainer, loader.loader, loader.augment), MOCO_OK);
    training_loader_destroy(&loader);
    return 1;
}

static void visit(subject *s, const moco_state_ops *ops, record *r, int32_t writes, moco_status expected) {
    const moco_state state = {.ops = ops, .self = r, .part = "", .writes = writes};
    r->context = s->parts.context;
    r->next = 0;
    const moco_status status = moco_trainer_visit(s->parts.trainer, &state);
    if (status != expected) fail_msg("status %d instead of %d: %s", status, expected, moco_last_error());
}

static void assert_same_state(subject *a, subject *b) {
    record r = {.context = NULL};
    visit(a, &recording, &r, 0, MOCO_OK);
    visit(b, &comparing, &r, 0, MOCO_OK);
    assert_int_equal(r.next, r.count);
    forget(&r);
}

static uint64_t checksum_of(const subject *s) {
    uint64_t sum = 0;
    assert_int_equal(moco_trainer_checksum(s->parts.trainer, &sum), MOCO_OK);
    return sum;
}

static int32_t note_loss(const moco_step_stats *stats, void *user) {
    ((double *) user)[stats->step] = stats->loss;
    return 0;
}

static void train_to(subject *s, int64_t steps, double *losses) {
    const moco_status status = moco_trainer_run(s->parts.trainer, NULL, 0, steps, note_loss, losses);
    if (status != MOCO_OK) fail_msg("%s", moco_last_error());
}

/* Embeddings of both encoders in evaluation, for which backends keep copies of the weights. */
static void evaluate(const subject *s, float *embeddings) {
    static float images[4 * 3 * LOADER_SIZE * LOADER_SIZE];
    fill_uniform(images, (int64_t) (sizeof images / sizeof images[0]), "evaluated");
    moco_encoder *const encoders[2] = {s->parts.encoder, moco_momentum_encoder_key_encoder(s->parts.momentum_encoder)};
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(
            moco_encoder_evaluate(encoders[i], images, 4, LOADER_SIZE, LOADER_SIZE, embeddings + i * 4 * 16), MOCO_OK);
    }
}

static void a_copied_trainer_goes_on_to_the_same_bits(void **state) {
    (void) state;
    for (size_t i = 0; i < TEST_BACKENDS; ++i) {
        subject a, b;
        double losses_a[12] = {0}, losses_b[12] = {0};
        if (!open_subject(&a, test_backends[i], 0)) continue;
        assert_true(open_subject(&b, test_backends[i], 5));
        train_to(&a, 7, losses_a); /* into the second epoch, which has 5 batches */
        float embeddings_a[2 * 4 * 16], embeddings_b[2 * 4 * 16];
        evaluate(&a, embeddings_a);
        evaluate(&b, embeddings_b);

        record r = {.context = NULL};
        visit(&a, &recording, &r, 0, MOCO_OK);
        visit(&b, &comparing, &r, 0, MOCO_INVALID_STATE);
        assert_true(checksum_of(&a) != checksum_of(&b));
        visit(&b, &copying, &r, 1, MOCO_OK);
        assert_int_equal(r.next, r.count);
        visit(&b, &comparing, &r, 0, MOCO_OK);
        assert_true(checksum_of(&a) == checksum_of(&b));
        visit(&a, &comparing, &r, 0, MOCO_OK); /* a visit that doesn't write changes nothing */
        forget(&r);
        evaluate(&b, embeddings_b);
        assert_memory_equal(embeddings_a, embeddings_b, sizeof embeddings_a);

        train_to(&a, 12, losses_a);
        train_to(&b, 12, losses_b);
        assert_memory_equal(losses_a + 7, losses_b + 7, 5 * sizeof *losses_a);
        for (int step = 0; step < 12; ++step) assert_true(losses_a[step] > 0.0);
        assert_same_state(&a, &b);
        training_destroy(&a.parts);
        training_destroy(&b.parts);
    }
}

/* Every state alone, by its name; the parts are brought back by a copy each time. */
static void every_state_is_told_by_its_name(void **state) {
    (void) state;
    static const int64_t steps[] = {1, -1, MOCO_PARAMETER_NO_DECAY};
    subject a, b;
    double losses[12];
    assert_true(open_subject(&a, "reference", 0));
    assert_true(open_subject(&b, "reference", 5));
    train_to(&a, 7, losses);
    record r = {.context = NULL};
    visit(&a, &recording, &r, 0, MOCO_OK);
    const uint64_t sum = checksum_of(&a);
    int told = 0;
    for (int i = 0; i < r.count; ++i) {
        if (r.items[i].sort == SETTING) continue;
        visit(&b, &copying, &r, 1, MOCO_OK);
        assert_true(checksum_of(&b) == sum);
        const moco_state spoil = {.ops = &spoiling, .self = &r, .part = "", .writes = 1};
        moco_status status = MOCO_INVALID_ARGUMENT; /* of a number that can't be */
        for (size_t s = 0; s < sizeof steps / sizeof steps[0] && status == MOCO_INVALID_ARGUMENT; ++s) {
            r.next = 0;
            r.target = i;
            r.by = steps[s];
            status = moco_trainer_visit(b.parts.trainer, &spoil);
        }
        assert_int_equal(status, MOCO_OK);
        visit(&b, &comparing, &r, 0, MOCO_INVALID_STATE);
        char expected[256];
        snprintf(expected, sizeof expected, "%s.%s differs", r.items[i].part, r.items[i].name);
        assert_string_equal(moco_last_error(), expected);
        assert_true(checksum_of(&b) != sum);
        told++;
    }
    assert_true(told > 100);
    forget(&r);
    training_destroy(&a.parts);
    training_destroy(&b.parts);
}

/* No two things of one sort have the same name. */
static void names_are_unique(void **state) {
    (void) state;
    subject a;
    assert_true(open_subject(&a, "reference", 0));
    record r = {.context = NULL};
    visit(&a, &recording, &r, 0, MOCO_OK);
    for (int i = 0; i < r.count; ++i) {
        for (int j = 0; j < i; ++j) {
            if (r.items[i].sort != r.items[j].sort || strcmp(r.items[i].part, r.items[j].part) != 0) continue;
            if (strcmp(r.items[i].name, r.items[j].name) == 0) fail_msg("%s.%s", r.items[i].part, r.items[i].name);
        }
    }
    forget(&r);
    training_destroy(&a.parts);
}

static const item *find(const record *r, const char *part, const char *name) {
    for (int i = 0; i < r->count; ++i) {
        if (strcmp(r->items[i].part, part) == 0 && strcmp(r->items[i].name, name) == 0) return &r->items[i];
    }
    return NULL;
}

/* What a visit leaves out of the configurations, and why. */
static const char *const left_out[] = {
    "query_encoder.seed", "query_encoder.zero_init_residual", "queue.seed", /* the start's */
};
/* What a configuration only starts: its value now is state. */
static const char *const is_state[] = {
    "momentum_encoder.momentum",
    "loss.temperature",
    "optimizer.learning_rate",
};

static int is_listed(const char *const *list, size_t count, const char *part, const char *name) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", part, name);
    for (size_t i = 0; i < count; ++i) {
        if (strcmp(list[i], full) == 0) return 1;
    }
    return 0;
}

static void assert_settings(const record *r, const char *part, int32_t section, const void *config) {
    for (int32_t i = 0; i < moco_config_sections[section].count; ++i) {
        const moco_config_field *field = &moco_config_sections[section].fields[i];
        const item *visited = find(r, part, field->name);
        if (field->of_run || is_listed(left_out, sizeof left_out / sizeof *left_out, part, field->name)) {
            assert_null(visited);
            continue;
        }
        if (visited == NULL) fail_msg("%s.%s is not visited", part, field->name);
        if (is_listed(is_state, sizeof is_state / sizeof *is_state, part, field->name)) {
            assert_int_equal(visited->sort, REAL);
            continue;
        }
        char buffer[MOCO_FIELD_TEXT_SIZE];
        const char *text = NULL;
        assert_int_equal(moco_config_field_text(field, field->name, config, buffer, &text), MOCO_OK);
        assert_int_equal(visited->sort, SETTING);
        assert_string_equal(visited->bytes, text);
    }
}

static void every_configuration_field_is_visited(void **state) {
    (void) state;
    subject a;
    assert_true(open_subject(&a, "reference", 0));
    record r = {.context = NULL};
    visit(&a, &recording, &r, 0, MOCO_OK);
    assert_settings(&r, "query_encoder", MOCO_CONFIG_ENCODER, &a.configs.encoder);
    assert_settings(&r, "momentum_encoder", MOCO_CONFIG_MOMENTUM_ENCODER, &a.configs.momentum_encoder);
    assert_settings(&r, "queue", MOCO_CONFIG_QUEUE, &a.configs.queue);
    assert_settings(&r, "loss", MOCO_CONFIG_LOSS, &a.configs.loss);
    assert_settings(&r, "optimizer", MOCO_CONFIG_OPTIMIZER, &a.configs.optimizer);
    assert_settings(&r, "trainer", MOCO_CONFIG_TRAINER, &a.configs.trainer);
    assert_settings(&r, "schedule", MOCO_CONFIG_SCHEDULE, &a.schedule);
    assert_string_equal(find(&r, "trainer", "method")->bytes, "queue");
    assert_string_equal(find(&r, "trainer", "steps_per_epoch")->bytes, "1");
    assert_string_equal(find(&r, "optimizer", "rule")->bytes, "sgd");
    assert_string_equal(find(&r, "loader", "images")->bytes, "22");
    assert_string_equal(find(&r, "loader", "batch_size")->bytes, "4");
    assert_string_equal(find(&r, "augment", "recipe")->bytes, "cifar");
    assert_string_equal(find(&r, "key_encoder", "architecture")->bytes, "cifar_resnet8");
    const item *keys = find(&r, "queue", "keys");
    assert_int_equal(keys->dtype, MOCO_DTYPE_BF16); /* as the queue has them */
    assert_int_equal(keys->count, 40 * 16 * 2);
    assert_int_equal(find(&r, "optimizer.velocity", "conv1.weight")->rank, 4);
    forget(&r);
    training_destroy(&a.parts);
}

/* A setting that differs is told by the visitor that loads, before anything of its part was written. */
static void another_setting_is_told(void **state) {
    (void) state;
    subject a, b;
    assert_true(open_subject(&a, "reference", 0));
    assert_true(open_subject(&b, "reference", 5));
    record r = {.context = NULL};
    visit(&a, &recording, &r, 0, MOCO_OK);
    for (int i = 0; i < r.count; ++i) {
        if (r.items[i].sort != SETTING) continue;
        r.items[i].bytes[0] ^= 1;
        visit(&b, &copying, &r, 1, MOCO_INVALID_STATE);
        char expected[256];
        snprintf(expected, sizeof expected, "%s.%s differs", r.items[i].part, r.items[i].name);
        assert_string_equal(moco_last_error(), expected);
        r.items[i].bytes[0] ^= 1;
    }
    forget(&r);
    training_destroy(&a.parts);
    training_destroy(&b.parts);
}

/* A loader that was copied in the middle of an epoch gives the batches that the first one gives. */
static void a_copied_loader_gives_the_same_batches(void **state) {
    (void) state;
    const training_configs configs = small_training("reference", 1);
    moco_context *context = NULL;
    assert_int_equal(moco_context_create(&context, &configs.context), MOCO_OK);
    training_loader a, b;
    assert_int_equal(training_loader_create(&a, context, 0, 2, LOADER_BATCH), MOCO_OK);
    assert_int_equal(training_loader_create(&b, context, 3, 2, LOADER_BATCH), MOCO_OK);
    moco_batch of_a = {.struct_size = sizeof of_a}, of_b = {.struct_size = sizeof of_b};
    assert_int_equal(moco_loader_start_epoch(b.loader, 9), MOCO_OK);

    record r = {.context = context};
    moco_state state_of = {.ops = &recording, .self = &r, .part = ""};
    assert_int_equal(moco_loader_visit(a.loader, &state_of), MOCO_OK); /* no epoch has begun yet */
    state_of = (moco_state){.ops = &copying, .self = &r, .part = "", .writes = 1};
    assert_int_equal(moco_loader_visit(b.loader, &state_of), MOCO_OK);
    assert_int_equal(moco_loader_next(b.loader, &of_b), MOCO_INVALID_STATE);
    forget(&r);

    assert_int_equal(moco_loader_start_epoch(a.loader, 3), MOCO_OK);
    for (int i = 0; i < 2; ++i) assert_int_equal(moco_loader_next(a.loader, &of_a), MOCO_OK);
    r.context = context;
    state_of = (moco_state){.ops = &recording, .self = &r, .part = ""};
    assert_int_equal(moco_loader_visit(a.loader, &state_of), MOCO_OK);
    state_of = (moco_state){.ops = &copying, .self = &r, .part = "", .writes = 1};
    assert_int_equal(moco_loader_visit(b.loader, &state_of), MOCO_OK);
    for (int i = 0; i < 4; ++i) {
        assert_int_equal(moco_loader_next(a.loader, &of_a), MOCO_OK);
        assert_int_equal(moco_loader_next(b.loader, &of_b), MOCO_OK);
        assert_int_equal(of_a.n, i < 3 ? LOADER_BATCH : 0);
        assert_int_equal(of_a.n, of_b.n);
        const size_t values = (size_t) of_a.n * 3 * LOADER_SIZE * LOADER_SIZE;
        assert_memory_equal(of_a.sample_ids, of_b.sample_ids, (size_t) of_a.n * sizeof *of_a.sample_ids);
        assert_memory_equal(of_a.query_images, of_b.query_images, values * sizeof(float));
        assert_memory_equal(of_a.key_images, of_b.key_images, values * sizeof(float));
    }
    /* A batch beyond the epoch's is refused, and the loader stays where it was. */
    for (int i = 0; i < r.count; ++i) {
        const int64_t beyond = LOADER_EPOCH + 1;
        if (strcmp(r.items[i].name, "batch") == 0) memcpy(r.items[i].bytes, &beyond, sizeof beyond);
    }
    r.next = 0;
    assert_int_equal(moco_loader_visit(b.loader, &state_of), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loader_next(b.loader, &of_b), MOCO_OK);
    assert_int_equal(of_b.n, 0);
    forget(&r);
    training_loader_destroy(&a);
    training_loader_destroy(&b);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copied_trainer_goes_on_to_the_same_bits),
        cmocka_unit_test(every_state_is_told_by_its_name),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(every_configuration_field_is_visited),
        cmocka_unit_test(another_setting_is_told),
        cmocka_unit_test(a_copied_loader_gives_the_same_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
