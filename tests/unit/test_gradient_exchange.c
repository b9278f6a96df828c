/* Training on two machines with public functions alone: trainers in two threads, each with images of its own, step by
 * the mean of their gradients, which they exchange in the gradient hook. */
#include "support/encoder_fixture.h"
#include "support/training_parts.h"

#include <pthread.h>

#define N        6
#define MACHINES 2
#define STEPS    3
#define SIDE     8

typedef struct machine {
    training_parts parts;
    int number;
    moco_status status;
    float **gradients; /* [parameters], in memory that the other one reads */
} machine;

static moco_parameter_info info_of(const moco_encoder *encoder, int64_t index) {
    moco_parameter_info info = {.struct_size = sizeof info};
    assert_ok(moco_encoder_parameter_info(encoder, index, &info));
    return info;
}

static machine machines[MACHINES];
static pthread_barrier_t everybody;

/* Gradients are handed over as they come; with the last of them comes the time to wait and to write means back. */
static int32_t exchange(int64_t first, int64_t end, void *user) {
    machine *self = (machine *) user;
    moco_encoder *encoder = self->parts.encoder;
    for (int64_t i = first; i < end; ++i) {
        if (self->gradients[i] == NULL) continue;
        if (moco_encoder_read_gradient(encoder, i, self->gradients[i]) != MOCO_OK) return 1;
    }
    if (first > 0) return 0;
    pthread_barrier_wait(&everybody);
    for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        if (self->gradients[i] == NULL) continue;
        if (moco_encoder_parameter_info(encoder, i, &info) != MOCO_OK) return 1;
        float *mean = (float *) malloc((size_t) info.elements * sizeof *mean);
        for (int64_t j = 0; j < info.elements; ++j) {
            mean[j] = (machines[0].gradients[i][j] + machines[1].gradients[i][j]) / (float) MACHINES;
        }
        const moco_status status = moco_encoder_write_gradient(encoder, i, mean);
        free(mean);
        if (status != MOCO_OK) return 1;
    }
    pthread_barrier_wait(&everybody); /* nobody overwrites what another still reads */
    return 0;
}

static void *take_steps(void *user) {
    machine *self = (machine *) user;
    float *pixels[2];
    for (int view = 0; view < 2; ++view) pixels[view] = (float *) malloc(N * 3 * SIDE * SIDE * sizeof(float));
    for (int step = 0; step < STEPS && self->status == MOCO_OK; ++step) {
        for (int view = 0; view < 2; ++view) {
            const uint32_t stream = (uint32_t) (STREAM_IMAGES + 100 * self->number + 10 * step + view);
            for (int64_t i = 0; i < N * 3 * SIDE * SIDE; ++i) pixels[view][i] = (float) hashed(stream, i);
        }
        self->status = moco_trainer_step(self->parts.trainer, pixels[0], pixels[1], NULL, N, SIDE, SIDE, NULL);
    }
    free(pixels[0]), free(pixels[1]);
    return NULL;
}

/* The two see different images, so that their parameters stay equal only if both step by the same gradient. */
static void train_on_two_machines(int32_t together, uint64_t weights[MACHINES]) {
    pthread_t threads[MACHINES];
    assert_int_equal(0, pthread_barrier_init(&everybody, NULL, MACHINES));
    for (int m = 0; m < MACHINES; ++m) {
        const training_configs configs = small_training("reference", 1);
        machine *self = &machines[m];
        self->number = m;
        assert_ok(training_create(&self->parts, &configs));
        const int64_t count = moco_encoder_parameter_count(self->parts.encoder);
        self->gradients = (float **) calloc((size_t) count, sizeof *self->gradients);
        for (int64_t i = 0; i < count; ++i) {
            const moco_parameter_info info = info_of(self->parts.encoder, i);
            if (info.kind != MOCO_PARAMETER_LEARNABLE) continue;
            self->gradients[i] = (float *) malloc((size_t) info.elements * sizeof(float));
        }
        if (together) assert_ok(moco_encoder_set_gradient_hook(self->parts.encoder, exchange, self));
    }
    for (int m = 0; m < MACHINES; ++m) assert_int_equal(0, pthread_create(&threads[m], NULL, take_steps, &machines[m]));
    for (int m = 0; m < MACHINES; ++m) pthread_join(threads[m], NULL);
    for (int m = 0; m < MACHINES; ++m) {
        machine *self = &machines[m];
        assert_int_equal(MOCO_OK, self->status);
        weights[m] = 14695981039346656037u;
        for (int64_t i = 0; i < moco_encoder_parameter_count(self->parts.encoder); ++i) {
            const moco_parameter_info info = info_of(self->parts.encoder, i);
            free(self->gradients[i]);
            if (info.kind != MOCO_PARAMETER_LEARNABLE) continue; /* BatchNorm's statistics are each machine's own */
            float *values = (float *) malloc((size_t) info.elements * sizeof *values);
            assert_ok(moco_encoder_read_parameter(self->parts.encoder, i, values));
            const unsigned char *raw = (const unsigned char *) values;
            for (size_t b = 0; b < (size_t) info.elements * sizeof *values; ++b) {
                weights[m] = (weights[m] ^ raw[b]) * 1099511628211u;
            }
            free(values);
        }
        free(self->gradients);
        training_destroy(&self->parts);
        memset(self, 0, sizeof *self);
    }
    pthread_barrier_destroy(&everybody);
}

static void two_machines_stay_in_step(void **state) {
    (void) state;
    uint64_t together[MACHINES], apart[MACHINES];
    train_on_two_machines(1, together);
    train_on_two_machines(0, apart);
    assert_true(together[0] == together[1]);
    assert_true(apart[0] != apart[1] && apart[0] != together[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_machines_stay_in_step)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
