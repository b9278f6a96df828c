/* Each allocation of an export failed once, in turn, for each kind of file: OUT_OF_MEMORY every time, nothing leaked, no
 * file but that of before. */
#include "support/encoder_fixture.h"

#include <moco/export_model.h>

#include "support/temporary_folder.h"

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

static void every_allocation_may_fail(void **state) {
    (void) state;
    static const char *const classes[] = {"cat", "dog"};
    static const int32_t kinds[] = {MOCO_EXPORT_SAFETENSORS, MOCO_EXPORT_TORCH, MOCO_EXPORT_TORCH_MOCO,
                                    MOCO_EXPORT_ONNX};
    counter count = {.fail_at = -1};
    moco_context_config settings;
    moco_context *context = NULL;
    moco_encoder *encoder = NULL;
    temporary_folder folder;
    char path[TEST_PATH_SIZE];
    make_temporary_folder(&folder);
    path_in(&folder, "model", path);
    assert_ok(moco_context_config_init(&settings, sizeof settings));
    settings.threads = 1;
    settings.allocate = counting_allocate;
    settings.deallocate = counting_deallocate;
    settings.allocator_user = &count;
    assert_ok(moco_context_create(&context, &settings));
    const moco_encoder_config network = small_config("cifar_resnet8");
    assert_ok(moco_encoder_create(&encoder, context, &network));
    const int64_t base = count.alive;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; ++k) {
        moco_export_config config;
        assert_ok(moco_export_config_init(&config, sizeof config));
        config.kind = kinds[k];
        config.with_head = 1;
        config.fold_batch_norm = 1;
        config.class_names = classes;
        config.class_count = 2;
        count.calls = 0;
        assert_ok(moco_encoder_export(encoder, path, &config));
        const int64_t calls = count.calls;
        assert_true(calls > 20);
        write_whole_file(path, "before", 6);
        for (int64_t i = 0; i < calls; ++i) {
            count.calls = 0;
            count.fail_at = i;
            const moco_status status = moco_encoder_export(encoder, path, &config);
            count.fail_at = -1;
            if (status != MOCO_OUT_OF_MEMORY)
                fail_msg("allocation %d of kind %d: status %d", (int) i, kinds[k], status);
            assert_int_equal(count.alive, base);
            assert_int_equal(files_in(&folder), 1);
            size_t size = 0;
            unsigned char *bytes = read_whole_file(path, &size);
            assert_non_null(bytes);
            assert_int_equal(size, 6);
            free(bytes);
        }
    }
    /* A folder, of which the first files may be there. */
    moco_export_config config;
    assert_ok(moco_export_config_init(&config, sizeof config));
    config.kind = MOCO_EXPORT_TIMM;
    config.with_head = 1;
    remove_temporary_folder(&folder);
    count.calls = 0;
    assert_ok(moco_encoder_export(encoder, folder.path, &config));
    const int64_t calls = count.calls;
    for (int64_t i = 0; i < calls; ++i) {
        count.calls = 0;
        count.fail_at = i;
        const moco_status status = moco_encoder_export(encoder, folder.path, &config);
        count.fail_at = -1;
        if (status != MOCO_OUT_OF_MEMORY) fail_msg("allocation %d of a folder: status %d", (int) i, status);
        assert_int_equal(count.alive, base);
        assert_int_equal(files_in(&folder), 3);
    }
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
    assert_int_equal(count.alive, 0);
    remove_temporary_folder(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
