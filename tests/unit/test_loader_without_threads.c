/* A system that gives the loader fewer threads than it asks for, or none: it goes on, says so in the log, and loads the
 * same batches. pthread_create is this program's own here. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <moco/loader.h>

static int allowed; /* threads that may still be started */
static int refused;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument) {
    if (allowed-- <= 0) {
        ++refused;
        return EAGAIN;
    }
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*) (void *), void *) = NULL;
    void *symbol = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&real, &symbol, sizeof real);
    return real(thread, attributes, function, argument);
}

static char logged[512];

static void keep_log(int32_t level, const char *message, void *user) {
    (void) user;
    if (level == MOCO_LOG_WARNING) strncpy(logged, message, sizeof logged - 1);
}

/* A hash of the epoch. */
static uint64_t load(int threads, int32_t workers) {
    moco_context_config context_config;
    moco_augment_config augment_config;
    moco_loader_config loader_config;
    moco_context *context = NULL;
    moco_dataset *dataset = NULL;
    moco_augment *augment = NULL;
    moco_loader *loader = NULL;
    assert_int_equal(moco_context_config_init(&context_config, sizeof context_config), MOCO_OK);
    context_config.log = keep_log;
    context_config.threads = 1;
    assert_int_equal(moco_context_create(&context, &context_config), MOCO_OK);
    assert_int_equal(moco_dataset_open(&dataset, context, "synthetic:count=12"), MOCO_OK);
    assert_int_equal(moco_augment_config_init(&augment_config, sizeof augment_config, MOCO_AUGMENT_CIFAR), MOCO_OK);
    assert_int_equal(moco_augment_create(&augment, context, &augment_config), MOCO_OK);
    assert_int_equal(moco_loader_config_init(&loader_config, sizeof loader_config), MOCO_OK);
    loader_config.workers = workers;
    loader_config.batch_size = 4;
    allowed = threads;
    assert_int_equal(moco_loader_create(&loader, dataset, augment, &loader_config), MOCO_OK);
    assert_int_equal(moco_loader_start_epoch(loader, 0), MOCO_OK);
    moco_batch batch = {.struct_size = sizeof batch};
    uint64_t sum = 0;
    do {
        assert_int_equal(moco_loader_next(loader, &batch), MOCO_OK);
        for (int64_t i = 0; i < batch.n; ++i) sum = 31 * sum + (uint64_t) batch.sample_ids[i];
    } while (batch.n > 0);
    moco_loader_destroy(loader);
    moco_augment_destroy(augment);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
    return sum;
}

static void test_fewer_threads(void **state) {
    (void) state;
    const uint64_t wanted = load(0, 0);
    assert_int_equal(refused, 0);
    assert_true(load(2, 2) == wanted);
    assert_string_equal(logged, "");
    assert_true(load(1, 3) == wanted);
    assert_int_equal(refused, 1);
    assert_non_null(strstr(logged, "1 of 3"));
    assert_true(load(0, 2) == wanted);
    assert_int_equal(refused, 2);
    assert_non_null(strstr(logged, "0 of 2"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fewer_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
