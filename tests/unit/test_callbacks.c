/* The caller's code inside a call: it may destroy its handles, which then live until the call returns, and what it can't
 * ask for is refused. Everything that was allocated is freed in the end. Worth most under the address sanitizer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include <moco/sys/encoder_ops.h>
#include <moco/sys/key_source_ops.h>

#include "support/counted_memory.h"
#include "support/training_loader.h"

#define N    4
#define SIZE 8
#define DIM  16

enum { IMAGES = 16, PIXELS = 3 * SIZE * SIZE };

static counted_memory memory;

static void assert_ok(moco_status status) {
    if (status != MOCO_OK) fail_msg("%s", moco_last_error());
}

/* All handles are destroyed; a loader's last worker may still be at it. */
static void assert_all_freed(void) {
    const struct timespec moment = {.tv_nsec = 1000000};
    for (int i = 0; i < 20000 && memory.now != 0; ++i) nanosleep(&moment, NULL);
    assert_int_equal(memory.now, 0);
}

static moco_context *make_context(void) {
    return counted_context(&memory);
}

/* --- A dataset whose read does what a test wants --- */

typedef struct acting {
    moco_dataset *dataset;
    moco_loader *loader;
    moco_encoder *encoder;
    moco_augment *augment;
    void (*act)(struct acting *self);
    atomic_int acted; /* 1 after the first read */
    moco_status answers[3];
} acting;

static int32_t describe(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user) {
    (void) user;
    *h = *w = SIZE;
    *label = (int32_t) index % 2;
    return 0;
}

static int32_t read_and_act(int64_t index, float *pixels, void *user) {
    acting *self = (acting *) user;
    char name[32];
    snprintf(name, sizeof name, "image %lld", (long long) index);
    fill_uniform(pixels, PIXELS, name);
    if (!atomic_exchange(&self->acted, 1) && self->act != NULL) self->act(self);
    return 0;
}

static void make_loader(acting *self, moco_context *context, int32_t workers, int32_t views) {
    moco_augment_config augment;
    moco_loader_config config;
    assert_ok(moco_augment_config_init(&augment, sizeof augment, MOCO_AUGMENT_CIFAR));
    augment.height = augment.width = SIZE;
    assert_ok(moco_loader_config_init(&config, sizeof config));
    config.workers = workers;
    config.batch_size = N;
    config.views = views;
    assert_ok(moco_dataset_create_callback(&self->dataset, context, IMAGES, 3, describe, read_and_act, self));
    assert_ok(moco_augment_create(&self->augment, context, &augment));
    assert_ok(moco_loader_create(&self->loader, self->dataset, self->augment, &config));
}

static void destroy_all(acting *self) {
    moco_loader_destroy(self->loader);
    moco_augment_destroy(self->augment);
    moco_dataset_destroy(self->dataset);
    moco_encoder_destroy(self->encoder);
}

static void ask_the_loader(acting *self) {
    moco_batch batch = {.struct_size = sizeof batch};
    self->answers[0] = moco_loader_next(self->loader, &batch);
    self->answers[1] = moco_loader_start_epoch(self->loader, 0);
    self->answers[2] = moco_loader_start_at(self->loader, 0, 1);
}

static void the_loader_refuses_its_own_callback(void **state) {
    (void) state;
    for (int32_t workers = 0; workers <= 2; ++workers) {
        moco_context *context = make_context();
        acting self = {.act = ask_the_loader};
        moco_batch batch = {.struct_size = sizeof batch};
        make_loader(&self, context, workers, 1);
        assert_ok(moco_loader_start_epoch(self.loader, 0));
        for (int64_t i = 0; i < IMAGES / N; ++i) assert_ok(moco_loader_next(self.loader, &batch));
        for (int i = 0; i < 3; ++i) assert_int_equal(self.answers[i], MOCO_INVALID_STATE);
        assert_ok(moco_loader_start_epoch(self.loader, 1));
        destroy_all(&self);
        moco_context_destroy(context);
        assert_all_freed();
    }
}

/* By the caller's thread, which waits for a batch, or by a worker, maybe the only one. */
static void a_loader_is_destroyed_by_its_read(void **state) {
    (void) state;
    for (int32_t workers = 0; workers <= 3; ++workers) {
        moco_context *context = make_context();
        acting self = {.act = destroy_all};
        moco_batch batch = {.struct_size = sizeof batch, .n = -1};
        make_loader(&self, context, workers, 1);
        moco_loader *loader = self.loader;
        assert_ok(moco_loader_start_epoch(loader, 0));
        if (workers == 0) {
            assert_int_equal(moco_loader_next(loader, &batch), MOCO_INVALID_STATE);
            assert_non_null(strstr(moco_last_error(), "destroyed"));
            assert_int_equal(batch.n, -1);
        }
        moco_context_destroy(context);
        assert_all_freed();
        assert_int_equal(self.acted, 1);
    }
}

static void a_dataset_is_destroyed_by_its_read(void **state) {
    (void) state;
    float pixels[PIXELS];
    moco_context *context = make_context();
    acting self = {.act = destroy_all};
    assert_ok(moco_dataset_create_callback(&self.dataset, context, IMAGES, 3, describe, read_and_act, &self));
    moco_context_destroy(context);
    assert_ok(moco_dataset_read(self.dataset, 0, pixels, PIXELS));
    assert_all_freed();
}

static void evaluation_keeps_its_handles(void **state) {
    (void) state;
    for (int32_t augmented = 0; augmented < 2; ++augmented) {
        static float rows[IMAGES * DIM];
        moco_context *context = make_context();
        acting self = {.act = destroy_all};
        make_loader(&self, context, 0, 1);
        training_configs configs = small_training("auto", 1);
        configs.encoder.bn_groups = 1;
        assert_ok(moco_encoder_create(&self.encoder, context, &configs.encoder));
        moco_context_destroy(context);
        assert_ok(moco_extract(self.encoder, self.dataset, augmented ? self.augment : NULL, MOCO_OUTPUT_EMBEDDINGS, 0,
                               IMAGES, N, rows, NULL));
        assert_all_freed();
    }
}

/* --- A run --- */

typedef struct watched {
    training_parts parts;
    acting images;
    int64_t steps;
    void (*act)(struct watched *self); /* in step 1 */
    moco_status answers[5];
} watched;

static int32_t on_step(const moco_step_stats *stats, void *user) {
    watched *self = (watched *) user;
    self->steps++;
    if (stats->step == 1 && self->act != NULL) self->act(self);
    return 0;
}

static void make_run(watched *self, int32_t workers, void (*act)(watched *self)) {
    training_configs configs = small_training("auto", 1);
    memset(self, 0, sizeof *self);
    self->act = act;
    count_memory(&configs.context, &memory);
    assert_ok(training_create(&self->parts, &configs));
    make_loader(&self->images, self->parts.context, workers, 2);
}

static void end_run(watched *self) {
    training_destroy(&self->parts);
    destroy_all(&self->images);
    memset(&self->images, 0, sizeof self->images);
    assert_all_freed();
}

static uint64_t checksum_of(moco_trainer *trainer) {
    uint64_t checksum = 0;
    assert_ok(moco_trainer_checksum(trainer, &checksum));
    return checksum;
}

static void destroy_everything(watched *self) {
    moco_encoder_destroy(moco_momentum_encoder_key_encoder(self->parts.momentum_encoder)); /* lent: nothing happens */
    training_destroy(&self->parts);
    destroy_all(&self->images);
    memset(&self->images, 0, sizeof self->images);
}

static void a_run_ends_where_its_trainer_is_destroyed(void **state) {
    (void) state;
    for (int32_t workers = 0; workers < 3; ++workers) {
        watched self;
        make_run(&self, workers, destroy_everything);
        assert_int_equal(moco_trainer_run(self.parts.trainer, self.images.loader, 3, 0, on_step, &self),
                         MOCO_CANCELLED);
        assert_non_null(strstr(moco_last_error(), "destroyed"));
        assert_int_equal(self.steps, 2);
        assert_all_freed();
    }
}

static void destroy_all_but_the_trainer(watched *self) {
    moco_trainer *trainer = self->parts.trainer;
    self->parts.trainer = NULL;
    destroy_everything(self);
    self->parts.trainer = trainer;
}

static void a_run_keeps_what_it_works_with(void **state) {
    (void) state;
    watched self, twin;
    make_run(&twin, 0, NULL);
    assert_ok(moco_trainer_run(twin.parts.trainer, twin.images.loader, 2, 0, on_step, &twin));
    const uint64_t checksum = checksum_of(twin.parts.trainer);
    end_run(&twin);
    make_run(&self, 2, destroy_all_but_the_trainer);
    assert_ok(moco_trainer_run(self.parts.trainer, self.images.loader, 2, 0, on_step, &self));
    assert_true(checksum_of(self.parts.trainer) == checksum);
    end_run(&self);
}

static void ask_for_what_is_refused(watched *self) {
    static float images[N * PIXELS];
    moco_batch batch = {.struct_size = sizeof batch};
    self->answers[0] = moco_trainer_step(self->parts.trainer, images, images, NULL, N, SIZE, SIZE, NULL);
    self->answers[1] = moco_trainer_run(self->parts.trainer, self->images.loader, 1, 0, NULL, NULL);
    self->answers[2] = moco_loader_next(self->images.loader, &batch);
    self->answers[3] = moco_loader_start_epoch(self->images.loader, 0);
    self->answers[4] = moco_loader_start_at(self->images.loader, 0, 0);
}

static void a_run_refuses_to_begin_again(void **state) {
    (void) state;
    for (int32_t workers = 0; workers < 2; ++workers) {
        watched self, twin;
        make_run(&twin, workers, NULL);
        assert_ok(moco_trainer_run(twin.parts.trainer, twin.images.loader, 2, 0, on_step, &twin));
        const uint64_t checksum = checksum_of(twin.parts.trainer);
        end_run(&twin);
        make_run(&self, workers, ask_for_what_is_refused);
        assert_ok(moco_trainer_run(self.parts.trainer, self.images.loader, 2, 0, on_step, &self));
        for (int i = 0; i < 5; ++i) assert_int_equal(self.answers[i], MOCO_INVALID_STATE);
        assert_true(checksum_of(self.parts.trainer) == checksum);
        assert_ok(moco_loader_start_epoch(self.images.loader, 0)); /* the run has let it go */
        end_run(&self);
    }
}

/* --- What is only lent --- */

static void lent_handles_stay(void **state) {
    (void) state;
    moco_context *context = make_context();
    acting images = {.act = NULL};
    moco_recipe *recipe = NULL;
    moco_trainer *trainer = NULL;
    assert_ok(moco_dataset_create_callback(&images.dataset, context, IMAGES, 3, describe, read_and_act, &images));
    assert_ok(
        moco_recipe_create(&recipe, context, "cifar-demo:arch=cifar_resnet8,batch_size=4,bn_groups=1,queue_size=16"));
    assert_ok(moco_trainer_create_for(&trainer, images.dataset, recipe));
    moco_recipe_destroy(recipe);
    moco_context_destroy(context);
    for (int twice = 0; twice < 2; ++twice) {
        moco_dataset_destroy(images.dataset); /* a second time, while the trainer's loader has it */
        moco_encoder_destroy(moco_momentum_encoder_key_encoder(moco_trainer_momentum_encoder(trainer)));
        moco_encoder_destroy(moco_trainer_encoder(trainer));
        moco_momentum_encoder_destroy(moco_trainer_momentum_encoder(trainer));
        moco_queue_destroy(moco_trainer_queue(trainer));
        moco_loss_destroy(moco_trainer_loss(trainer));
        moco_optimizer_destroy(moco_trainer_optimizer(trainer));
        moco_loader_destroy(moco_trainer_loader(trainer));
        moco_augment_destroy(moco_trainer_augment(trainer));
        assert_ok(moco_trainer_run(trainer, NULL, 0, twice + 1, NULL, NULL));
    }
    moco_trainer_destroy(trainer);
    assert_all_freed();
}

/* --- Networks, hooks and key sources --- */

typedef struct network {
    float weight, gradient;
    moco_encoder *encoder;
    moco_status answers[3];
    int32_t destroys;
} network;

static int32_t net_forward(void *self, int32_t mode, const float *images, int64_t n, int64_t h, int64_t w, float *y) {
    network *net = (network *) self;
    (void) mode;
    if (net->encoder != NULL) {
        net->answers[0] = moco_encoder_forward(net->encoder, images, n, h, w, y);
        net->answers[1] = moco_encoder_evaluate(net->encoder, images, n, h, w, y);
        net->answers[2] = moco_encoder_features(net->encoder, images, n, h, w, y);
        if (net->destroys) moco_encoder_destroy(net->encoder);
        net->encoder = NULL;
    }
    for (int64_t i = 0; i < n; ++i) y[i] = net->weight + images[i];
    return 0;
}

static int32_t net_backward(void *self, const float *dy, int64_t n) {
    network *net = (network *) self;
    for (int64_t i = 0; i < n; ++i) net->gradient += dy[i];
    return 0;
}

static int64_t net_parameter_count(void *self) {
    (void) self;
    return 1;
}

static int32_t net_parameter(void *self, int64_t index, moco_parameter_span *out) {
    network *net = (network *) self;
    (void) index;
    *out = (moco_parameter_span){"weight", &net->weight, &net->gradient, MOCO_PARAMETER_LEARNABLE, 0, {0}};
    return 0;
}

static int32_t net_clone(void *self, void **copy) {
    (void) self;
    (void) copy;
    return 1;
}

static int destroyed;

static void net_destroy(void *self) {
    (void) self;
    destroyed++;
}

static void an_encoder_refuses_its_own_network(void **state) {
    (void) state;
    static const moco_encoder_ops ops = {
        .struct_size = sizeof ops,
        .abi_version = MOCO_ENCODER_OPS_VERSION,
        .forward = net_forward,
        .backward = net_backward,
        .parameter_count = net_parameter_count,
        .parameter = net_parameter,
        .clone = net_clone,
        .destroy = net_destroy,
    };
    const float images[N] = {0.0f};
    for (int32_t destroys = 0; destroys < 2; ++destroys) {
        network net = {.destroys = destroys};
        float rows[N];
        moco_context *context = make_context();
        moco_encoder_custom_config config;
        moco_encoder *encoder = NULL;
        assert_ok(moco_encoder_custom_config_init(&config, sizeof config));
        config.channels = config.embedding_dim = 1;
        assert_ok(moco_encoder_create_custom(&encoder, context, &ops, &net, &config));
        moco_context_destroy(context);
        net.encoder = encoder;
        destroyed = 0;
        assert_ok(moco_encoder_forward(encoder, images, N, 1, 1, rows));
        for (int i = 0; i < 3; ++i) assert_int_equal(net.answers[i], MOCO_INVALID_STATE);
        if (!destroys) {
            assert_ok(moco_encoder_backward(encoder, images, N)); /* the pass that waits was left alone */
            moco_encoder_destroy(encoder);
        }
        assert_int_equal(destroyed, 1);
        assert_all_freed();
    }
}

typedef struct hooked {
    training_parts parts;
    const float *images;
    moco_status answers[4];
} hooked;

static int32_t ask_from_the_hook(int64_t first, int64_t end, void *user) {
    hooked *self = (hooked *) user;
    static float rows[N * DIM];
    (void) first;
    (void) end;
    self->answers[0] = moco_encoder_forward_pass(self->parts.encoder, 1, self->images, N, SIZE, SIZE, rows);
    self->answers[1] = moco_encoder_evaluate(self->parts.encoder, self->images, N, SIZE, SIZE, rows);
    self->answers[2] = moco_encoder_backward(self->parts.encoder, rows, N);
    self->answers[3] = moco_trainer_step(self->parts.trainer, self->images, self->images, NULL, N, SIZE, SIZE, NULL);
    return 0;
}

static void a_gradient_hook_is_refused_its_encoder(void **state) {
    (void) state;
    static float images[N * PIXELS];
    hooked self = {.images = images};
    training_parts twin;
    training_configs configs = small_training("auto", 1);
    assert_ok(training_create(&twin, &configs));
    count_memory(&configs.context, &memory);
    assert_ok(training_create(&self.parts, &configs));
    fill_uniform(images, N * PIXELS, "images");
    assert_ok(moco_encoder_set_gradient_hook(self.parts.encoder, ask_from_the_hook, &self));
    assert_ok(moco_trainer_step(self.parts.trainer, images, images, NULL, N, SIZE, SIZE, NULL));
    assert_ok(moco_trainer_step(twin.trainer, images, images, NULL, N, SIZE, SIZE, NULL));
    for (int i = 0; i < 4; ++i) assert_int_equal(self.answers[i], MOCO_INVALID_STATE);
    assert_true(checksum_of(self.parts.trainer) == checksum_of(twin.trainer));
    training_destroy(&twin);
    training_destroy(&self.parts);
    assert_all_freed();
}

typedef struct bank {
    moco_key_source *source;
    moco_loss *loss;
    float rows[(2 + N) * DIM]; /* two are given */
    int32_t destroys;
} bank;

static int32_t view_bank(void *self, const int64_t *sample_ids, int64_t n, moco_key_rows *rows) {
    bank *b = (bank *) self;
    (void) sample_ids;
    (void) n;
    rows->keys = b->rows;
    rows->count = 2;
    if (b->destroys) {
        moco_key_source_destroy(b->source);
        moco_loss_destroy(b->loss);
    }
    return 0;
}

static int32_t update_bank(void *self, const float *k, const int64_t *sample_ids, int64_t n) {
    bank *b = (bank *) self;
    (void) k;
    (void) sample_ids;
    (void) n;
    moco_key_source_destroy(b->source);
    return 0;
}

static void keep_bank(void *self) {
    (void) self;
}

static void make_bank(bank *b, moco_context *context) {
    static const moco_key_source_ops ops = {.struct_size = sizeof ops,
                                            .abi_version = MOCO_KEY_SOURCE_OPS_VERSION,
                                            .view = view_bank,
                                            .update = update_bank,
                                            .destroy = keep_bank};
    fill_uniform(b->rows, 2 * DIM, "bank");
    assert_ok(moco_key_source_create(&b->source, context, &ops, b, DIM));
    assert_ok(moco_loss_create(&b->loss, context, NULL));
}

static void a_key_source_is_destroyed_by_its_view(void **state) {
    (void) state;
    float q[N * DIM], k[N * DIM], d_q[N * DIM];
    moco_loss_result result;
    bank b = {.destroys = 1};
    fill_uniform(q, N * DIM, "q");
    fill_uniform(k, N * DIM, "k");
    assert_ok(moco_loss_result_init(&result, sizeof result));
    moco_context *context = make_context();
    make_bank(&b, context);
    moco_context_destroy(context);
    assert_ok(moco_loss_compute_from(b.loss, q, k, N, b.source, NULL, &result, d_q));
    assert_int_equal(result.negatives, 2);
    assert_all_freed();

    context = make_context();
    make_bank(&b, context);
    moco_context_destroy(context);
    assert_ok(moco_key_source_update(b.source, k, NULL, N));
    moco_loss_destroy(b.loss);
    assert_all_freed();
}

/* The gradient is written while the source's rows are read. */
static void a_gradient_over_the_sources_rows_is_refused(void **state) {
    (void) state;
    float q[N * DIM], k[N * DIM], d_q[N * DIM];
    moco_loss_result result;
    bank b = {.destroys = 0};
    fill_uniform(q, N * DIM, "q");
    fill_uniform(k, N * DIM, "k");
    assert_ok(moco_loss_result_init(&result, sizeof result));
    moco_context *context = make_context();
    make_bank(&b, context);
    const float before = b.rows[DIM];
    assert_int_equal(moco_loss_compute_from(b.loss, q, k, N, b.source, NULL, &result, b.rows + DIM),
                     MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "d_q overlaps keys"));
    assert_true(b.rows[DIM] == before);
    assert_ok(moco_loss_compute_from(b.loss, q, k, N, b.source, NULL, &result, d_q));
    moco_loss_destroy(b.loss);
    moco_key_source_destroy(b.source);
    moco_context_destroy(context);
    assert_all_freed();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loader_refuses_its_own_callback),
        cmocka_unit_test(a_loader_is_destroyed_by_its_read),
        cmocka_unit_test(a_dataset_is_destroyed_by_its_read),
        cmocka_unit_test(evaluation_keeps_its_handles),
        cmocka_unit_test(a_run_ends_where_its_trainer_is_destroyed),
        cmocka_unit_test(a_run_keeps_what_it_works_with),
        cmocka_unit_test(a_run_refuses_to_begin_again),
        cmocka_unit_test(lent_handles_stay),
        cmocka_unit_test(an_encoder_refuses_its_own_network),
        cmocka_unit_test(a_gradient_hook_is_refused_its_encoder),
        cmocka_unit_test(a_key_source_is_destroyed_by_its_view),
        cmocka_unit_test(a_gradient_over_the_sources_rows_is_refused),
    };
    return cmocka_run_group_tests_name("callbacks", tests, NULL, NULL);
}
