/* Philox against the published vectors, and what is built on it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"

/* kat_vectors of Random123 (Salmon et al.). */
static void test_philox_known_answers(void **state) {
    (void) state;
    static const struct {
        uint32_t counter[4];
        uint32_t key[2];
        uint32_t expected[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; ++i) {
        uint32_t out[4];
        moco_philox(vectors[i].counter, vectors[i].key, out);
        assert_memory_equal(out, vectors[i].expected, sizeof out);
    }
}

/* A stream's numbers are the blocks of its counter, in order, and its name is part of that counter and key. */
static void test_stream_layout(void **state) {
    (void) state;
    moco_random random;
    moco_random_init(&random, 0x0123456789abcdefULL, MOCO_RANDOM_TEST, 7, 0x5678ffff1234ULL);
    const uint32_t key[2] = {0x89abcdef, 0x01234567};
    for (uint32_t block = 0; block < 3; ++block) {
        const uint32_t counter[4] = {block, 0xffff1234, 7, 0x5678u << 16 | MOCO_RANDOM_TEST};
        uint32_t expected[4];
        moco_philox(counter, key, expected);
        for (int i = 0; i < 4; ++i) assert_int_equal(moco_random_u32(&random), expected[i]);
    }
}

static uint64_t first_number(uint64_t seed, uint32_t purpose, uint64_t epoch, uint64_t sample) {
    moco_random random;
    moco_random_init(&random, seed, purpose, epoch, sample);
    const uint64_t high = moco_random_u32(&random);
    return high << 32 | moco_random_u32(&random);
}

static void test_streams_differ(void **state) {
    (void) state;
    const uint64_t streams[] = {
        first_number(1, 1, 1, 1),          first_number(2, 1, 1, 1),          first_number(1ULL << 32 | 1, 1, 1, 1),
        first_number(1, 2, 1, 1),          first_number(1, 1, 2, 1),          first_number(1, 1, 1, 2),
        first_number(1, 1, 1, 1ULL << 40), first_number(1, 1, 1, 1ULL << 32),
    };
    for (size_t i = 0; i < sizeof streams / sizeof *streams; ++i)
        for (size_t j = 0; j < i; ++j) assert_true(streams[i] != streams[j]);
    assert_true(first_number(1, 1, 1, 1) == streams[0]);
}

#define DRAWS 200000

static void test_distributions(void **state) {
    (void) state;
    moco_random random;
    moco_random_init(&random, 1, MOCO_RANDOM_TEST, 0, 0);
    double sum = 0.0, normal_sum = 0.0, squares = 0.0, fourth = 0.0, uniform_sum = 0.0;
    for (int i = 0; i < DRAWS; ++i) {
        const float single = moco_random_float(&random);
        const double fraction = moco_random_double(&random), normal = moco_random_normal(&random);
        const double uniform = moco_random_uniform(&random, -3.0, 5.0);
        assert_true(single >= 0.0f && single < 1.0f && fraction >= 0.0 && fraction < 1.0);
        assert_true(uniform >= -3.0 && uniform < 5.0 && isfinite(normal));
        sum += single + fraction;
        uniform_sum += uniform;
        normal_sum += normal;
        squares += normal * normal;
        fourth += normal * normal * normal * normal;
    }
    /* Six standard errors or more. */
    assert_true(fabs(sum / DRAWS - 1.0) < 6e-3);
    assert_true(fabs(uniform_sum / DRAWS - 1.0) < 0.04);
    assert_true(fabs(normal_sum / DRAWS) < 0.014);
    assert_true(fabs(squares / DRAWS - 1.0) < 0.02);
    assert_true(fabs(fourth / DRAWS - 3.0) < 0.15);
}

static void test_below(void **state) {
    (void) state;
    moco_random random;
    moco_random_init(&random, 2, MOCO_RANDOM_TEST, 0, 0);
    int64_t counts[7] = {0};
    for (int i = 0; i < 70000; ++i) {
        const uint64_t value = moco_random_below(&random, 7);
        assert_true(value < 7);
        counts[value]++;
    }
    for (int i = 0; i < 7; ++i) assert_true(counts[i] > 9400 && counts[i] < 10600);
    assert_int_equal(moco_random_below(&random, 1), 0);
    /* 2^64 mod (3 * 2^62) is 2^62: without rejection, half of all results would lie in the lowest third. */
    int64_t lowest = 0;
    const uint64_t bound = 3ULL << 62;
    for (int i = 0; i < 20000; ++i) {
        const uint64_t value = moco_random_below(&random, bound);
        assert_true(value < bound);
        lowest += value < bound / 3;
    }
    assert_in_range(lowest, 6300, 7030);
}

static void test_permutation(void **state) {
    (void) state;
    int64_t permutation[257], other[257];
    int64_t seen[257] = {0};
    moco_random random;
    moco_random_init(&random, 3, MOCO_RANDOM_TEST, 0, 0);
    moco_random_permutation(&random, 257, permutation);
    for (int i = 0; i < 257; ++i) {
        assert_in_range(permutation[i], 0, 256);
        assert_int_equal(seen[permutation[i]]++, 0);
    }
    moco_random_permutation(&random, 257, other);
    assert_memory_not_equal(permutation, other, sizeof other);
    moco_random_init(&random, 3, MOCO_RANDOM_TEST, 0, 0);
    moco_random_permutation(&random, 257, other);
    assert_memory_equal(permutation, other, sizeof other);
    moco_random_permutation(&random, 0, NULL);

    /* All 24 orders of four, equally often. */
    int64_t orders[256] = {0};
    for (int i = 0; i < 24000; ++i) {
        moco_random_permutation(&random, 4, other);
        orders[other[0] << 6 | other[1] << 4 | other[2] << 2 | other[3]]++;
    }
    int32_t found = 0;
    for (int i = 0; i < 256; ++i) {
        if (orders[i] == 0) continue;
        ++found;
        assert_in_range(orders[i], 800, 1200);
    }
    assert_int_equal(found, 24);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_known_answers),
        cmocka_unit_test(test_stream_layout),
        cmocka_unit_test(test_streams_differ),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
