/* Memory of large blocks: the system has it back when they are freed, whatever was allocated in between, and an encoder
 * that sees many shapes holds no more than its largest ones need.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/context_internal.h"
#include "support/counted_memory.h"
#include "support/training_parts.h"

#define MIB ((size_t) 1 << 20)

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_INSTRUMENTED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_INSTRUMENTED 1
#endif

static void assert_ok(moco_status status) {
    if (status != MOCO_OK) fail_msg("%s", moco_last_error());
}

/* --- The default allocator --- */

/* Resident memory of this process, in bytes; 0 where the system does not tell. */
static size_t resident(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long long all = 0, pages = 0;
    if (file == NULL) return 0;
    const int read = fscanf(file, "%llu %llu", &all, &pages);
    fclose(file);
    return read == 2 ? (size_t) pages * (size_t) sysconf(_SC_PAGESIZE) : 0;
}

enum { BLOCKS = 192, BYTES = 1 << 20 };

/* A freed block of 24 MiB has the C library keep all that is smaller, and a small block after each large one keeps its
 * heap from shrinking. */
static void freed_blocks_go_back_to_the_system(void **state) {
    (void) state;
#ifdef IS_INSTRUMENTED
    skip();
#endif
    static void *large[BLOCKS], *small[BLOCKS];
    if (resident() == 0) skip();
    moco_context *context = NULL;
    assert_ok(moco_context_create(&context, NULL));
    char *volatile first = (char *) malloc(24 * MIB);
    assert_non_null(first);
    first[0] = 1;
    free(first);

    const size_t before = resident();
    for (int i = 0; i < BLOCKS; ++i) {
        large[i] = moco_allocate_lasting(context, BYTES);
        small[i] = moco_allocate(context, 100);
        assert_true(large[i] != NULL && small[i] != NULL);
        memset(large[i], 1, BYTES);
    }
    assert_true(resident() >= before + (size_t) BLOCKS * BYTES / 2);
    for (int i = 0; i < BLOCKS; ++i) moco_deallocate(context, large[i]);
    assert_true(resident() <= before + 16 * MIB);
    for (int i = 0; i < BLOCKS; ++i) moco_deallocate(context, small[i]);
    moco_context_destroy(context);
}

/* Whole, aligned, writable to the end and apart from each other, around every size at which something changes. */
static void blocks_of_all_sizes_are_whole(void **state) {
    (void) state;
    static const size_t around[] = {1, 64, 4096, 256 << 10, 4 << 20, 16 << 20, 18 << 20};
    enum { SIZES = sizeof around / sizeof around[0] };
    moco_context *context = NULL;
    assert_ok(moco_context_create(&context, NULL));
    for (int32_t with_context = 0; with_context < 2; ++with_context) {
        unsigned char *blocks[SIZES][3][2];
        moco_context *owner = with_context ? context : NULL;
        for (int s = 0; s < SIZES; ++s) {
            for (int d = 0; d < 3; ++d) {
                const size_t size = around[s] + (size_t) d - 1;
                blocks[s][d][0] = (unsigned char *) moco_allocate(owner, size);
                blocks[s][d][1] = (unsigned char *) moco_allocate_lasting(owner, size);
                for (int k = 0; k < 2; ++k) {
                    assert_non_null(blocks[s][d][k]);
                    assert_true((uintptr_t) blocks[s][d][k] % 64 == 0);
                    memset(blocks[s][d][k], 6 * s + 2 * d + k, size);
                }
            }
        }
        for (int s = 0; s < SIZES; ++s) {
            for (int d = 0; d < 3; ++d) {
                const size_t size = around[s] + (size_t) d - 1;
                for (int k = 0; k < 2; ++k) {
                    if (size > 0) {
                        assert_int_equal(blocks[s][d][k][0], 6 * s + 2 * d + k);
                        assert_int_equal(blocks[s][d][k][size - 1], 6 * s + 2 * d + k);
                    }
                    moco_deallocate(owner, blocks[s][d][k]);
                }
            }
        }
        assert_null(moco_allocate(owner, SIZE_MAX));
        assert_null(moco_allocate(owner, SIZE_MAX - 64));
#ifndef IS_INSTRUMENTED /* a sanitizer ends the process that asks for so much */
        assert_null(moco_allocate_lasting(owner, SIZE_MAX - SIZE_MAX / 8));
#endif
        assert_non_null(strstr(moco_last_error(), "out of memory"));
    }
    moco_context_destroy(context);
}

/* --- Many shapes --- */

enum { N = 2, SHAPES = 24, LARGEST = 40 };

/* What is in use once the encoder has seen the first shape, the largest, and when it has seen them all. */
static void many_shapes_take_no_more_than_the_largest(void **state) {
    (void) state;
    static float images[N * 3 * LARGEST * LARGEST], rows[N * 128];
    static counted_memory memory;
    moco_context_config config;
    moco_encoder_config network;
    moco_context *context = NULL;
    moco_encoder *encoder = NULL;
    moco_context_config_init(&config, sizeof config);
    config.threads = 1;
    count_memory(&config, &memory);
    assert_ok(moco_context_create(&context, &config));
    moco_encoder_config_init(&network, sizeof network);
    network.architecture = "resnet18";
    network.stem = MOCO_STEM_CIFAR;
    assert_ok(moco_encoder_create(&encoder, context, &network));
    const long long weights = (long long) moco_encoder_learnable_elements(encoder) * 4;
    fill_uniform(images, (int64_t) (sizeof images / sizeof images[0]), "images");
    long long at_first = 0;
    for (int64_t i = 0; i < SHAPES; ++i) {
        const int64_t h = LARGEST - i, w = LARGEST - i / 2;
        assert_ok(moco_encoder_evaluate(encoder, images, N, h, w, rows));
        if (i == 0) at_first = (long long) memory.now;
    }
    assert_true((long long) memory.now <= at_first + 2 * weights + weights / 4);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
    assert_int_equal(memory.now, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freed_blocks_go_back_to_the_system),
        cmocka_unit_test(blocks_of_all_sizes_are_whole),
        cmocka_unit_test(many_shapes_take_no_more_than_the_largest),
    };
    return cmocka_run_group_tests_name("large memory", tests, NULL, NULL);
}
