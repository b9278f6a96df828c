/* Each allocation of a checkpoint's import failed once, in turn: OUT_OF_MEMORY every time, nothing leaked, and the trainer is
 * as before; then the same call succeeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <moco/weights.h>

#include "support/training_parts.h"

typedef struct counter {
    int64_t calls;
    int64_t fail_at; /* 0-based; -1: never */
    int64_t alive;
} counter;

static void *counting_allocate(uint64_t size, uint64_t alignment, void *user) {
    counter *count = (counter *) user;
    if (count->calls++ == count->fail_at) return NULL;
    void *memory = aligned_alloc((size_t) alignment, (size_t) size);
    if (memory != NULL) count->alive++;
    return memory;
}

static void counting_deallocate(void *memory, void *user) {
    ((counter *) user)->alive--;
    free(memory);
}

static void make_config(training_configs *c, counter *count) {
    c->context.allocate = counting_allocate;
    c->context.deallocate = counting_deallocate;
    c->context.allocator_user = count;
    c->encoder.architecture = "mlp";
    c->encoder.mlp_input_dim = 48;
    c->encoder.mlp_hidden_dim = 16;
    c->encoder.mlp_layers = 2;
    c->encoder.head = MOCO_HEAD_MLP;
    c->encoder.embedding_dim = 8;
    c->encoder.bn_groups = 1;
    c->queue.dim = 8;
    c->queue.capacity = 32;
    count->fail_at = -1;
}

static void make_trainer(training_parts *parts, counter *count) {
    training_configs c = small_training("reference", 1);
    make_config(&c, count);
    if (training_create(parts, &c) != MOCO_OK) fail_msg("%s", moco_last_error());
}

static void every_allocation_may_fail(void **state) {
    (void) state;
    static const char *const files[] = {"full.pth.tar", "full_legacy.pth.tar", "cleaned.pth.tar"};
    for (size_t f = 0; f < sizeof files / sizeof files[0]; ++f) {
        char path[512];
        training_parts parts;
        counter count = {0};
        uint64_t before = 0;
        snprintf(path, sizeof path, "%s/official/%s", MOCO_TEST_DATA_DIR, files[f]);
        make_trainer(&parts, &count);
        if (moco_trainer_checksum(parts.trainer, &before) != MOCO_OK) fail_msg("%s", moco_last_error());
        const int64_t base = count.alive;
        int64_t i = 0;
        moco_status status = MOCO_OUT_OF_MEMORY;
        for (; status == MOCO_OUT_OF_MEMORY; ++i) {
            uint64_t after = 0;
            count.calls = 0;
            count.fail_at = i;
            status = moco_trainer_import(parts.trainer, path, NULL, NULL);
            count.fail_at = -1;
            assert_int_equal(count.alive, base);
            if (status != MOCO_OUT_OF_MEMORY) break;
            if (moco_trainer_checksum(parts.trainer, &after) != MOCO_OK) fail_msg("%s", moco_last_error());
            if (after != before) fail_msg("%s: allocation %d fails and leaves a part", files[f], (int) i);
        }
        if (status != MOCO_OK) fail_msg("%s, allocation %d: %s", files[f], (int) i, moco_last_error());
        assert_true(i > 30);
        training_destroy(&parts);
        assert_int_equal(count.alive, 0);
    }
}

/* The same for one encoder, on each backend. */
static void an_encoder_is_loaded_whole_or_not(void **state) {
    (void) state;
    char path[512];
    snprintf(path, sizeof path, "%s/official/%s", MOCO_TEST_DATA_DIR, "full.pth.tar");
    for (size_t b = 0; b < TEST_BACKENDS; ++b) {
        counter count = {.fail_at = -1};
        moco_context *context = NULL;
        moco_encoder *encoder = NULL;
        training_configs c = small_training(test_backends[b], 1);
        make_config(&c, &count);
        const moco_status made = moco_context_create(&context, &c.context);
        if (backend_is_missing(made)) continue;
        if (made != MOCO_OK) fail_msg("%s", moco_last_error());
        if (moco_encoder_create(&encoder, context, &c.encoder) != MOCO_OK) fail_msg("%s", moco_last_error());
        const uint64_t before = encoder_checksum(encoder);
        const int64_t base = count.alive;
        moco_status status = MOCO_OUT_OF_MEMORY;
        for (int64_t i = 0; status == MOCO_OUT_OF_MEMORY; ++i) {
            count.calls = 0;
            count.fail_at = i;
            status = moco_encoder_load(encoder, path, NULL, NULL);
            count.fail_at = -1;
            assert_int_equal(count.alive, base);
            if (status == MOCO_OUT_OF_MEMORY && encoder_checksum(encoder) != before) {
                fail_msg("%s: allocation %d fails and leaves a part", test_backends[b], (int) i);
            }
        }
        if (status != MOCO_OK) fail_msg("%s", moco_last_error());
        assert_true(encoder_checksum(encoder) != before);
        moco_encoder_destroy(encoder);
        moco_context_destroy(context);
        assert_int_equal(count.alive, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail),
                                       cmocka_unit_test(an_encoder_is_loaded_whole_or_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
