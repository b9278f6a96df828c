/* The arena's placement: whatever the lifetimes, blocks alive together never overlap, and the size is near the least.
 */
#include "support/encoder_fixture.h"

#include "core/random.h"
#include "encoder/arena.h"

static int32_t overlap(const moco_arena_block *a, const moco_arena_block *b) {
    const int32_t in_time = a->first <= b->last && b->first <= a->last;
    return in_time && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static void check_placement(const moco_arena_block *blocks, int64_t count, uint64_t arena_bytes) {
    for (int64_t i = 0; i < count; ++i) {
        assert_int_equal(0, blocks[i].offset % 64);
        assert_true(blocks[i].offset + blocks[i].bytes <= arena_bytes);
        for (int64_t j = 0; j < i; ++j) {
            if (overlap(&blocks[i], &blocks[j])) fail_msg("blocks %lld and %lld overlap", (long long) i, (long long) j);
        }
    }
}

static void random_lifetimes_never_overlap(void **state) {
    (void) state;
    moco_context *context = make_context("reference", 1);
    for (uint64_t round = 0; round < 200; ++round) {
        moco_arena_block blocks[60];
        moco_random random;
        moco_random_init(&random, 1, MOCO_RANDOM_TEST, 0, round);
        const int64_t count = 1 + (int64_t) moco_random_below(&random, 60);
        for (int64_t i = 0; i < count; ++i) {
            blocks[i].bytes =
                moco_random_below(&random, 3) == 0 ? moco_random_below(&random, 3) : moco_random_below(&random, 5000);
            blocks[i].first = (int64_t) moco_random_below(&random, 50);
            blocks[i].last = blocks[i].first + (int64_t) moco_random_below(&random, 20);
        }
        uint64_t bytes = 0;
        assert_ok(moco_arena_assign(context, blocks, count, &bytes));
        check_placement(blocks, count, bytes);

        /* Never less than what is alive at once, and not much more. */
        uint64_t most = 0;
        for (int64_t time = 0; time < 70; ++time) {
            uint64_t alive = 0;
            for (int64_t i = 0; i < count; ++i) {
                if (blocks[i].first <= time && time <= blocks[i].last) alive += (blocks[i].bytes + 63) / 64 * 64;
            }
            if (alive > most) most = alive;
        }
        assert_true(bytes >= most);
        assert_true((double) bytes <= 1.6 * (double) most);
    }
    moco_context_destroy(context);
}

static void a_chain_needs_two_places(void **state) {
    (void) state;
    moco_context *context = make_context("reference", 1);
    moco_arena_block blocks[20];
    for (int64_t i = 0; i < 20; ++i) blocks[i] = (moco_arena_block){640, i, i + 1, 0};
    uint64_t bytes = 0;
    assert_ok(moco_arena_assign(context, blocks, 20, &bytes));
    check_placement(blocks, 20, bytes);
    assert_int_equal(2 * 640, bytes);
    moco_context_destroy(context);
}

static void sizes_that_overflow_are_refused(void **state) {
    (void) state;
    moco_context *context = make_context("reference", 1);
    moco_arena_block one = {UINT64_MAX - 3, 0, 0, 0};
    moco_arena_block two[2] = {{UINT64_MAX / 4, 0, 0, 0}, {UINT64_MAX / 4, 5, 5, 0}};
    uint64_t bytes = 77;
    assert_status(MOCO_OUT_OF_MEMORY, moco_arena_assign(context, &one, 1, &bytes));
    assert_status(MOCO_OUT_OF_MEMORY, moco_arena_assign(context, two, 2, &bytes));
    assert_int_equal(77, bytes);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lifetimes_never_overlap),
        cmocka_unit_test(a_chain_needs_two_places),
        cmocka_unit_test(sizes_that_overflow_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
