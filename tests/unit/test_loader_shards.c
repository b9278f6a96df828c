/* Ranks that share an epoch: what all of them get together is the permutation of one loader, cut without gaps; a struct
 * of the first release still is one rank of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include <moco/loader.h>

#include "support/image_files.h"

enum { MAX_COUNT = 61, MAX_WORLD = 7 };

static moco_context *context;
static moco_augment *augment;
static moco_dataset *dataset;

static int setup(void **state) {
    (void) state;
    static const float pixels[MAX_COUNT * 3];
    moco_augment_config config;
    assert_succeeds(moco_context_create(&context, NULL));
    assert_succeeds(moco_augment_config_init(&config, sizeof config, MOCO_AUGMENT_PLAIN));
    config.height = config.width = 1;
    assert_succeeds(moco_augment_create(&augment, context, &config));
    assert_succeeds(
        moco_dataset_create_memory(&dataset, context, pixels, MOCO_PIXELS_FLOAT32, NULL, MAX_COUNT, 3, 1, 1, 0));
    return 0;
}

static int teardown(void **state) {
    (void) state;
    moco_dataset_destroy(dataset);
    moco_augment_destroy(augment);
    moco_context_destroy(context);
    return 0;
}

/* The first `count` images. */
static moco_dataset *part_of(int64_t count) {
    static const float pixels[MAX_COUNT * 3];
    moco_dataset *part = NULL;
    assert_succeeds(moco_dataset_create_memory(&part, context, pixels, MOCO_PIXELS_FLOAT32, NULL, count, 3, 1, 1, 0));
    return part;
}

/* ids[batches x ...] of one rank, sizes[batches]; returns the batches. */
static int64_t load(moco_dataset *images, const moco_loader_config *config, int64_t epoch, int64_t *ids,
                    int64_t *sizes) {
    moco_loader *loader = NULL;
    assert_succeeds(moco_loader_create(&loader, images, augment, config));
    assert_succeeds(moco_loader_start_epoch(loader, epoch));
    int64_t batches = 0;
    for (;; ++batches) {
        moco_batch batch = {.struct_size = sizeof batch};
        assert_succeeds(moco_loader_next(loader, &batch));
        if (batch.n == 0) break;
        memcpy(ids, batch.sample_ids, (size_t) batch.n * sizeof *ids);
        ids += batch.n;
        sizes[batches] = batch.n;
    }
    assert_int_equal(batches, moco_loader_batches_per_epoch(loader));
    moco_loader_destroy(loader);
    return batches;
}

static void check_world(int64_t count, int32_t world, int64_t batch_size, int32_t shuffle, int32_t drop_last) {
    static int64_t ids[MAX_WORLD][2 * MAX_COUNT], sizes[MAX_WORLD][MAX_COUNT], order[MAX_COUNT], joined[4 * MAX_COUNT];
    moco_dataset *images = part_of(count);
    moco_loader_config config;
    assert_succeeds(moco_loader_config_init(&config, sizeof config));
    config.workers = 0;
    config.views = 0;
    config.shuffle = shuffle;
    config.seed = 3;
    config.drop_last = 0;
    config.batch_size = count;
    assert_int_equal(load(images, &config, 2, order, sizes[0]), 1); /* the epoch's order */
    config.batch_size = batch_size;
    config.world_size = world;
    config.drop_last = drop_last;
    int64_t batches = 0;
    for (config.rank = 0; config.rank < world; ++config.rank) {
        const int64_t got = load(images, &config, 2, ids[config.rank], sizes[config.rank]);
        if (config.rank > 0) {
            assert_int_equal(got, batches);
            assert_memory_equal(sizes[config.rank], sizes[0], (size_t) got * sizeof(int64_t));
        }
        batches = got;
    }
    int64_t total = 0; /* batch by batch, the ranks' one after the other, are the order */
    for (int64_t b = 0, at = 0; b < batches; at += sizes[0][b++]) {
        for (int32_t rank = 0; rank < world; ++rank) {
            memcpy(joined + total, ids[rank] + at, (size_t) sizes[0][b] * sizeof(int64_t));
            total += sizes[0][b];
        }
    }
    if (drop_last) {
        assert_int_equal(total, count / (world * batch_size) * (world * batch_size));
    } else {
        assert_true(total >= count && total < count + world);
    }
    for (int64_t i = 0; i < total; ++i) assert_int_equal(joined[i], order[i % count]);
    moco_dataset_destroy(images);
}

static void test_ranks(void **state) {
    (void) state;
    static const int64_t counts[] = {1, 2, 5, 12, 23, 60, MAX_COUNT};
    for (int c = 0; c < 7; ++c) {
        for (int32_t world = 1; world <= MAX_WORLD; ++world) {
            for (int64_t batch = 1; batch <= 9; batch += 2) {
                for (int32_t shuffle = 0; shuffle <= 1; ++shuffle) {
                    check_world(counts[c], world, batch, shuffle, 0);
                    if (counts[c] >= world * batch) check_world(counts[c], world, batch, shuffle, 1);
                }
            }
        }
    }
}

/* A rank goes on in the middle as it would have. */
static void test_resuming(void **state) {
    (void) state;
    moco_loader_config config;
    moco_loader *loader = NULL;
    assert_succeeds(moco_loader_config_init(&config, sizeof config));
    config.world_size = 3;
    config.rank = 1;
    config.batch_size = 4;
    config.drop_last = 0;
    int64_t ids[MAX_COUNT], sizes[MAX_COUNT];
    const int64_t batches = load(dataset, &config, 5, ids, sizes);
    assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
    for (int64_t b = 0; b < batches; ++b) {
        moco_batch batch = {.struct_size = sizeof batch};
        assert_succeeds(moco_loader_start_at(loader, 5, b));
        assert_succeeds(moco_loader_next(loader, &batch));
        assert_int_equal(batch.n, sizes[b]);
        assert_memory_equal(batch.sample_ids, ids + 4 * b, (size_t) batch.n * sizeof(int64_t));
    }
    moco_loader_destroy(loader);
}

#define assert_refused(field, value, status, word)                                          \
    do {                                                                                    \
        moco_loader_config c_;                                                              \
        moco_loader *refused_ = NULL;                                                       \
        assert_succeeds(moco_loader_config_init(&c_, sizeof c_));                           \
        c_.batch_size = 10;                                                                 \
        c_.world_size = 2;                                                                  \
        c_.field = (value);                                                                 \
        assert_refuses(moco_loader_create(&refused_, dataset, augment, &c_), status, word); \
        assert_null(refused_);                                                              \
    } while (0)

static void test_refusals(void **state) {
    (void) state;
    assert_refused(world_size, 0, MOCO_INVALID_ARGUMENT, "world_size is 0; it must be 1 to");
    assert_refused(world_size, INT32_MAX, MOCO_INVALID_ARGUMENT, "world_size is 2147483647");
    assert_refused(rank, -1, MOCO_INVALID_ARGUMENT, "rank is -1; it must be 0 to 1");
    assert_refused(rank, 2, MOCO_INVALID_ARGUMENT, "rank is 2; it must be 0 to 1");
    assert_refused(batch_size, 31, MOCO_INVALID_ARGUMENT, "batch_size is 31 for each of world_size ranks");
    assert_refused(batch_size, INT64_MAX, MOCO_INVALID_ARGUMENT, "batch_size x world_size");
    assert_refused(output, 2, MOCO_INVALID_ARGUMENT, "output is 2; it must be MOCO_PIXELS_FLOAT32 (0)");
    assert_refused(cache, -1, MOCO_INVALID_ARGUMENT, "cache is -1; it must be MOCO_CACHE_ENCODED (0)");
    assert_refused(max_broken_fraction, -0.1, MOCO_INVALID_ARGUMENT, "max_broken_fraction is -0.1; it must be 0 to 1");
    assert_refused(max_broken_fraction, 1.5, MOCO_INVALID_ARGUMENT, "max_broken_fraction is 1.5");
    assert_refused(max_broken_fraction, (double) NAN, MOCO_INVALID_ARGUMENT, "max_broken_fraction is");
    assert_refused(cache_bytes, 1 << 20, MOCO_UNSUPPORTED, "MOCO_CACHE_ENCODED");
}

/* A program that was compiled with the first release's headers. */
static void test_older_structs(void **state) {
    (void) state;
    enum { OLD_BATCH = offsetof(moco_batch, query_pixels) };
    assert_int_equal(OLD_BATCH, sizeof(void *) == 8 ? 72 : 56);
    moco_loader_config config;
    moco_loader *loader = NULL;
    moco_batch batch;
    memset(&config, 0xEE, sizeof config);
    memset(&batch, 0xEE, sizeof batch);
    assert_succeeds(moco_loader_config_init(&config, 40));
    config.batch_size = 5;
    assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
    assert_int_equal(moco_loader_batches_per_epoch(loader), MAX_COUNT / 5);
    assert_succeeds(moco_loader_start_epoch(loader, 0));
    batch.struct_size = OLD_BATCH;
    assert_succeeds(moco_loader_next(loader, &batch));
    assert_int_equal(batch.n, 5);
    assert_non_null(batch.query_images);
    unsigned char untouched[2 * sizeof(void *)];
    memset(untouched, 0xEE, sizeof untouched);
    assert_memory_equal((unsigned char *) &batch + OLD_BATCH, untouched, sizeof untouched);
    batch.struct_size = sizeof batch;
    assert_succeeds(moco_loader_next(loader, &batch));
    assert_null(batch.query_pixels);
    moco_loader_destroy(loader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_resuming),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_older_structs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
