/* Every allocation of a short training run fails once, in turn: the call that needed it answers OUT_OF_MEMORY and
 * leaves its output alone, the same call made again succeeds, the run goes on to its end, and no allocation is left
 * over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/training_loader.h"

/* --- An allocator that counts, and fails once --- */

typedef struct failing_allocator {
    atomic_llong calls;
    atomic_llong live;
    long long fail_at; /* the number of the call to fail */
    atomic_int failed;
} failing_allocator;

static void *allocate(uint64_t size, uint64_t alignment, void *user) {
    failing_allocator *allocator = (failing_allocator *) user;
    if (atomic_fetch_add(&allocator->calls, 1) == allocator->fail_at) {
        atomic_store(&allocator->failed, 1);
        return NULL;
    }
    void *memory = aligned_alloc((size_t) alignment, (size_t) size);
    if (memory != NULL) atomic_fetch_add(&allocator->live, 1);
    return memory;
}

static void deallocate(void *memory, void *user) {
    atomic_fetch_sub(&((failing_allocator *) user)->live, 1);
    free(memory);
}

/* --- The run --- */

typedef struct scenario {
    const char *backend;
    const char *architecture;
    int32_t head;
    int32_t workers;
    failing_allocator allocator;
    int64_t refusals;         /* how often OUT_OF_MEMORY came */
    int64_t refusals_running; /* of these, how often from a training step, where more than memory has changed */
    uint64_t query_encoder;   /* the bits at the end */
    uint64_t queue;
} scenario;

/* The status of a call that is made again where the allocator has failed it; the allocator fails only once. */
#define TWICE(s, output, call)                                                                  \
    do {                                                                                        \
        moco_status status_ = (call);                                                           \
        if (status_ == MOCO_OUT_OF_MEMORY) {                                                    \
            (s)->refusals++;                                                                    \
            assert_null(output);                                                                \
            assert_true(strlen(moco_last_error()) > 0);                                         \
            status_ = (call);                                                                   \
        }                                                                                       \
        if (status_ != MOCO_OK) fail_msg("%s gives %d: %s", #call, status_, moco_last_error()); \
    } while (0)

#define NOTHING NULL

static training_configs configs_of(scenario *s) {
    training_configs c = small_training(s->backend, 1);
    c.context.allocate = allocate;
    c.context.deallocate = deallocate;
    c.context.allocator_user = &s->allocator;
    c.encoder.architecture = s->architecture;
    c.encoder.head = s->head;
    c.encoder.mlp_input_dim = 3 * LOADER_SIZE * LOADER_SIZE;
    c.encoder.mlp_hidden_dim = 24;
    c.queue.storage = MOCO_QUEUE_STORAGE_BF16; /* which allocates on the way where float32 does not */
    return c;
}

static void create_parts(scenario *s, training_parts *p) {
    const training_configs c = configs_of(s);
    TWICE(s, p->context, moco_context_create(&p->context, &c.context));
    TWICE(s, p->encoder, moco_encoder_create(&p->encoder, p->context, &c.encoder));
    TWICE(s, p->momentum_encoder, moco_momentum_encoder_create(&p->momentum_encoder, p->encoder, &c.momentum_encoder));
    TWICE(s, p->queue, moco_queue_create(&p->queue, p->context, &c.queue));
    TWICE(s, p->loss, moco_loss_create(&p->loss, p->context, &c.loss));
    TWICE(s, p->optimizer, moco_optimizer_create(&p->optimizer, p->encoder, &c.optimizer));
    TWICE(
        s, p->trainer,
        moco_trainer_create(&p->trainer, p->encoder, p->momentum_encoder, p->queue, p->loss, p->optimizer, &c.trainer));
}

/* kNN on the features of the dataset itself. */
static void evaluate(scenario *s, training_parts *p, training_loader *data) {
    static float features[LOADER_IMAGES * 64];
    static int32_t labels[LOADER_IMAGES];
    const int64_t dim = moco_extract_dim(p->encoder, data->augment, MOCO_OUTPUT_FEATURES);
    assert_in_range(dim, 1, 64);
    TWICE(s, NOTHING,
          moco_extract(p->encoder, data->dataset, data->augment, MOCO_OUTPUT_FEATURES, 0, LOADER_IMAGES, 16, features,
                       labels));
    moco_knn *knn = NULL;
    TWICE(s, knn, moco_knn_create(&knn, p->context, features, labels, LOADER_IMAGES, dim, 3, NULL));
    double top1 = -1.0;
    TWICE(s, NOTHING, moco_knn_evaluate(knn, features, labels, LOADER_IMAGES, &top1, NULL));
    assert_true(top1 >= 0.0 && top1 <= 1.0);
    moco_knn_destroy(knn);
    moco_knn_accuracy accuracy = {.struct_size = sizeof accuracy};
    TWICE(s, NOTHING, moco_knn_measure(p->encoder, data->dataset, data->dataset, data->augment, NULL, &accuracy));
    assert_true(accuracy.top1 == top1); /* the same features in one call */
    /* A choice of the images, taken as they are. */
    int64_t chosen[8], count = -1;
    TWICE(s, NOTHING, moco_dataset_choose(data->dataset, 8, 1, chosen, &count));
    assert_int_equal(count, 8);
    moco_knn_measure_config config;
    assert_int_equal(moco_knn_measure_config_init(&config, sizeof config), MOCO_OK);
    config.output = MOCO_OUTPUT_PIXELS;
    config.bank = 8;
    TWICE(s, NOTHING, moco_knn_measure(NULL, data->dataset, data->dataset, NULL, &config, &accuracy));
    moco_dataset *test = NULL;
    TWICE(s, test, moco_dataset_open_test(&test, p->context, "synthetic:size=8", 3));
    moco_dataset_destroy(test);
}

static void train_and_evaluate(scenario *s, long long fail_at) {
    training_parts p;
    training_loader data;
    memset(&p, 0, sizeof p);
    memset(&data, 0, sizeof data);
    atomic_init(&s->allocator.calls, 0);
    atomic_init(&s->allocator.live, 0);
    atomic_init(&s->allocator.failed, 0);
    s->allocator.fail_at = fail_at;
    s->refusals = 0;

    create_parts(s, &p);
    TWICE(s, data.loader, training_loader_create(&data, p.context, s->workers, 2, 8));
    const int64_t refusals_before = s->refusals;
    TWICE(s, NOTHING, moco_trainer_run(p.trainer, data.loader, 1, 0, NULL, NULL));
    s->refusals_running = s->refusals - refusals_before;
    assert_int_equal(moco_trainer_step_count(p.trainer), LOADER_IMAGES / 8);
    evaluate(s, &p, &data);

    s->query_encoder = encoder_checksum(p.encoder);
    TWICE(s, NOTHING, moco_queue_checksum(p.queue, &s->queue));
    training_loader_destroy(&data);
    training_destroy(&p);
}

/* The same by a recipe: its text, its own string, and all parts in one call. */
static void train_by_recipe(scenario *s, long long fail_at) {
    static float pixels[LOADER_IMAGES * 3 * LOADER_SIZE * LOADER_SIZE];
    moco_context *context = NULL;
    moco_recipe *recipe = NULL;
    moco_dataset *dataset = NULL;
    moco_trainer *trainer = NULL;
    const training_configs c = configs_of(s);
    atomic_init(&s->allocator.calls, 0);
    atomic_init(&s->allocator.live, 0);
    atomic_init(&s->allocator.failed, 0);
    s->allocator.fail_at = fail_at;
    s->refusals = 0;

    TWICE(s, context, moco_context_create(&context, &c.context));
    TWICE(s, recipe, moco_recipe_create(&recipe, context, "quick:dim=8,batch_size=8,queue_size=40,bn_groups=2"));
    TWICE(s, NOTHING, moco_recipe_set(recipe, "arch", s->architecture));
    moco_recipe_encoder(recipe)->head = s->head;
    moco_recipe_encoder(recipe)->mlp_hidden_dim = 24;
    moco_recipe_loader(recipe)->workers = s->workers;
    TWICE(s, dataset,
          moco_dataset_create_memory(&dataset, context, pixels, MOCO_PIXELS_FLOAT32, NULL, LOADER_IMAGES, 3,
                                     LOADER_SIZE, LOADER_SIZE, 0));
    TWICE(s, trainer, moco_trainer_create_for(&trainer, dataset, recipe));
    moco_recipe_destroy(recipe);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
    s->refusals_running = 0;
    s->query_encoder = encoder_checksum(moco_trainer_encoder(trainer));
    TWICE(s, NOTHING, moco_queue_checksum(moco_trainer_queue(trainer), &s->queue));
    moco_trainer_destroy(trainer);
}

static int backend_is_there(const char *backend) {
    moco_context *context = NULL;
    const training_configs configs = small_training(backend, 1);
    const moco_status status = moco_context_create(&context, &configs.context);
    moco_context_destroy(context);
    return !backend_is_missing(status);
}

static void fail_each_allocation(void (*run)(scenario *, long long), const char *backend, const char *architecture,
                                 int32_t head, int32_t workers) {
    if (!backend_is_there(backend)) {
        print_message("%s: not in this build\n", backend);
        return;
    }
    scenario clean = {.backend = backend, .architecture = architecture, .head = head, .workers = workers};
    run(&clean, -1);
    assert_int_equal(clean.refusals, 0);
    assert_int_equal(atomic_load(&clean.allocator.live), 0);

    const long long allocations = atomic_load(&clean.allocator.calls);
    for (long long fail_at = 0; fail_at < allocations; ++fail_at) {
        scenario s = clean;
        run(&s, fail_at);
        const long long live = atomic_load(&s.allocator.live);
        if (live != 0) fail_msg("with allocation %lld failed, %lld are left over", fail_at, live);
        if (s.refusals != atomic_load(&s.allocator.failed)) {
            fail_msg("allocation %lld failed, and OUT_OF_MEMORY came %d times", fail_at, (int) s.refusals);
        }
        if (s.refusals_running == 0 && (s.query_encoder != clean.query_encoder || s.queue != clean.queue)) {
            fail_msg("a failed allocation %lld outside the steps changed the result", fail_at);
        }
    }
    print_message("%s, %s, %d workers: each of %lld allocations failed once\n", backend, architecture, workers,
                  allocations);
}

static void mlp_on_reference(void **state) {
    (void) state;
    fail_each_allocation(train_and_evaluate, "reference", "mlp", MOCO_HEAD_LINEAR, 0);
    fail_each_allocation(train_and_evaluate, "reference", "mlp", MOCO_HEAD_MLP, 1);
}

static void resnet_on_cblas(void **state) {
    (void) state;
    fail_each_allocation(train_and_evaluate, "cblas", "cifar_resnet8", MOCO_HEAD_LINEAR, 0);
    fail_each_allocation(train_and_evaluate, "cblas", "cifar_resnet8", MOCO_HEAD_MLP, 1);
}

static void resnet_on_onednn(void **state) {
    (void) state;
    fail_each_allocation(train_and_evaluate, "onednn", "cifar_resnet8", MOCO_HEAD_LINEAR, 0);
}

static void recipe_on_reference(void **state) {
    (void) state;
    fail_each_allocation(train_by_recipe, "reference", "mlp", MOCO_HEAD_MLP, 0);
    fail_each_allocation(train_by_recipe, "reference", "cifar_resnet8", MOCO_HEAD_MLP, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlp_on_reference),
        cmocka_unit_test(resnet_on_cblas),
        cmocka_unit_test(resnet_on_onednn),
        cmocka_unit_test(recipe_on_reference),
    };
    return cmocka_run_group_tests_name("allocation failures", tests, NULL, NULL);
}
