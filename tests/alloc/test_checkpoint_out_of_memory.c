/* Each allocation of saving, restoring and background saving fails once, in turn: OUT_OF_MEMORY every time, the trainer as
 * it was, the file that was there whole, nothing left over, and the same calls succeed afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/checkpoint_subject.h"
#include "support/temporary_folder.h"

typedef struct failing_allocator {
    atomic_llong calls;
    atomic_llong live;
    long long fail_at; /* the number of the call to fail */
} failing_allocator;

static void *allocate(uint64_t size, uint64_t alignment, void *user) {
    failing_allocator *allocator = (failing_allocator *) user;
    if (atomic_fetch_add(&allocator->calls, 1) == allocator->fail_at) return NULL;
    void *memory = aligned_alloc((size_t) alignment, (size_t) size);
    if (memory != NULL) atomic_fetch_add(&allocator->live, 1);
    return memory;
}

static void deallocate(void *memory, void *user) {
    atomic_fetch_sub(&((failing_allocator *) user)->live, 1);
    free(memory);
}

static failing_allocator allocator;
static char path[TEST_PATH_SIZE];

static moco_status save(moco_trainer *trainer) {
    const char *const key = "test.key", *const value = "value";
    return moco_trainer_save(trainer, path, &key, &value, 1);
}

static moco_status save_in_background(moco_trainer *trainer) {
    moco_checkpoint *checkpoint = NULL;
    moco_status status = moco_checkpoint_create(&checkpoint, trainer->context);
    if (status == MOCO_OK) status = moco_checkpoint_save(checkpoint, trainer, path, NULL, NULL, 0);
    if (status == MOCO_OK) status = moco_checkpoint_wait(checkpoint);
    moco_checkpoint_destroy(checkpoint);
    return status;
}

static moco_status restore(moco_trainer *trainer) {
    return moco_trainer_restore(trainer, path);
}

/* How many allocations `call` makes, each of which failed. */
static int64_t fail_each(subject *s, moco_status (*call)(moco_trainer *)) {
    const uint64_t sum = subject_sum(s);
    const long long live = allocator.live;
    for (int64_t i = 0;; ++i) {
        assert_true(i < 20000);
        atomic_store(&allocator.calls, 0);
        allocator.fail_at = i;
        const moco_status status = call(s->parts.trainer);
        allocator.fail_at = -1;
        assert_int_equal(atomic_load(&allocator.live), live);
        if (status == MOCO_OK) return i;
        if (status != MOCO_OUT_OF_MEMORY) fail_msg("allocation %d: %d: %s", (int) i, status, moco_last_error());
        assert_true(subject_sum(s) == sum);
    }
}

static void every_allocation_may_fail(void **state) {
    (void) state;
    temporary_folder folder;
    subject a, b;
    training_configs configs = subject_configs("reference", 0);
    configs.context.allocate = allocate;
    configs.context.deallocate = deallocate;
    configs.context.allocator_user = &allocator;
    allocator.fail_at = -1;
    assert_int_equal(subject_open_as(&a, &configs, 0), MOCO_OK);
    configs.encoder.seed = 5;
    assert_int_equal(subject_open_as(&b, &configs, 0), MOCO_OK);
    assert_int_equal(moco_trainer_run(a.parts.trainer, NULL, 0, 7, NULL, NULL), MOCO_OK);
    make_temporary_folder(&folder);
    path_in(&folder, "run.checkpoint", path);
    assert_true(fail_each(&a, save) > 100);
    assert_true(fail_each(&a, save_in_background) > 100);
    assert_int_equal(files_in(&folder), 1);
    if (moco_trainer_restore(a.parts.trainer, path) == MOCO_UNSUPPORTED) {
        print_message("built without Jansson: checkpoints can't be read\n");
    } else {
        assert_true(fail_each(&b, restore) > 100);
        assert_true(subject_sum(&a) == subject_sum(&b));
    }
    remove_temporary_folder(&folder);
    subject_close(&a);
    subject_close(&b);
    assert_int_equal(atomic_load(&allocator.live), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
