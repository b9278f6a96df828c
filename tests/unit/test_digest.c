/* The digest against XXH64 of xxHash's own library (0.8.1), at the lengths where its parts begin and end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/digest.h"

enum { LONGEST = 1000 };

static const struct {
    size_t bytes;
    uint64_t with_seed_0;
    uint64_t with_seed;
} expected[] = {
    {0, UINT64_C(0xef46db3751d8e999), UINT64_C(0xc4349fc93c010000)},
    {1, UINT64_C(0xe934a84adb052768), UINT64_C(0x126bb57a12364aa5)},
    {3, UINT64_C(0x28823e205e353f69), UINT64_C(0x3c78e47f8d9d625f)},
    {4, UINT64_C(0x91b65bbe720c34cf), UINT64_C(0x4fb638bfcfa1c0cc)},
    {7, UINT64_C(0xe2400cdea02ee3c5), UINT64_C(0x037801de732c7eb3)},
    {8, UINT64_C(0x521fd2878ea69d17), UINT64_C(0x87c89248cf142c8b)},
    {12, UINT64_C(0x3fb737ea78f531bb), UINT64_C(0xc0a6c2b770e85451)},
    {31, UINT64_C(0xb74baa9042b94dee), UINT64_C(0x2c8fa6d44ca89e82)},
    {32, UINT64_C(0x4e13111ced6f735d), UINT64_C(0x3a5e73ddfe641a94)},
    {33, UINT64_C(0xf7b9faf20b3bce63), UINT64_C(0xdccfc8b6e6f78f10)},
    {63, UINT64_C(0x35f935e6044a08ad), UINT64_C(0xb3fcaa593c0c5edf)},
    {64, UINT64_C(0xcd91daec2c21766f), UINT64_C(0xb43fbd19c995f89f)},
    {95, UINT64_C(0x43e31ab374b5317c), UINT64_C(0xac7d6aeafd132b10)},
    {100, UINT64_C(0xd61ea92c5ae13676), UINT64_C(0x9173a732d3c67513)},
    {999, UINT64_C(0x4b27ce1cd96ef3fd), UINT64_C(0xf6c3dd306e203ee8)},
};

static void it_is_xxh64(void **state) {
    (void) state;
    unsigned char data[LONGEST + 1];
    for (uint32_t i = 0; i < LONGEST; ++i) data[i] = (unsigned char) ((uint64_t) i * 2654435761u >> 13);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; ++i) {
        assert_true(moco_digest(data, expected[i].bytes, 0) == expected[i].with_seed_0);
        assert_true(moco_digest(data, expected[i].bytes, UINT64_C(0x9E3779B97F4A7C15)) == expected[i].with_seed);
    }
    for (uint32_t i = LONGEST; i > 0; --i) data[i] = data[i - 1]; /* at an odd address, too */
    assert_true(moco_digest(data + 1, 999, 0) == UINT64_C(0x4b27ce1cd96ef3fd));
    assert_true(moco_digest("abc", 3, 0) == UINT64_C(0x44bc2cf5ad770999));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_is_xxh64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
