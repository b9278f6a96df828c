/* A program that takes libmoco in by add_subdirectory and is itself built with flags that change what C means:
 * -ffast-math and -D_GNU_SOURCE. They may not reach into the library. */
#include <math.h>
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 3, DIM = 4, CAPACITY = 64, FILLED = 20 };

static int failures;

static void expect(int holds, const char *what) {
    if (holds) return;
    printf("not so: %s (last error: %s)\n", what, moco_last_error());
    ++failures;
}

static void check(moco_status status) {
    if (status == MOCO_OK) return;
    printf("%s: %s\n", moco_status_string(status), moco_last_error());
    exit(1);
}

/* Vectors of length 1, `count` of them, some of which are alike. */
static void fill(float *vectors, int count) {
    for (int i = 0; i < count; ++i) {
        const double angle = 0.37 * i;
        const double v[DIM] = {0.6 * cos(angle), 0.6 * sin(angle), 0.8 * cos(2.0 * angle), 0.8 * sin(2.0 * angle)};
        for (int d = 0; d < DIM; ++d) vectors[i * DIM + d] = (float) v[d];
    }
}

/* Equation 1 of the paper, as it stands there, mean over the queries. */
static double loss_as_defined(const float *q, const float *k, const float *keys, double temperature) {
    double sum = 0.0;
    for (int i = 0; i < N; ++i) {
        double positive = 0.0, all = 0.0;
        for (int d = 0; d < DIM; ++d) positive += (double) q[i * DIM + d] * (double) k[i * DIM + d];
        all = exp(positive / temperature);
        for (int j = 0; j < FILLED; ++j) {
            double negative = 0.0;
            for (int d = 0; d < DIM; ++d) negative += (double) q[i * DIM + d] * (double) keys[j * DIM + d];
            all += exp(negative / temperature);
        }
        sum += log(all) - positive / temperature;
    }
    return sum / N;
}

int main(void) {
    moco_context *context = NULL;
    moco_queue *queue = NULL;
    moco_loss *loss = NULL;
    moco_dataset *dataset = NULL;
    moco_queue_config config;
    moco_loss_result result;
    check(moco_context_create(&context, NULL));
    check(moco_queue_config_init(&config, sizeof config));
    config.capacity = CAPACITY;
    config.dim = DIM;
    config.start = MOCO_QUEUE_START_EMPTY;
    check(moco_queue_create(&queue, context, &config));
    check(moco_loss_create(&loss, context, NULL));
    check(moco_loss_result_init(&result, sizeof result));

    static float keys[FILLED * DIM], q[N * DIM], k[N * DIM], d_q[N * DIM], read[FILLED * DIM];
    fill(keys, FILLED);
    fill(q, N);
    fill(k, N);
    k[0] = 0.0f, k[1] = 0.6f; /* no longer q's */
    check(moco_queue_enqueue(queue, keys, NULL, FILLED));

    /* What isn't finite is refused, and changes nothing. By its bits: this file knows no NaN. */
    const unsigned bits[3] = {0x7fc00000u, 0x7f800000u, 0xff800000u};
    for (int i = 0; i < 3; ++i) {
        float bad[DIM] = {0.5f, 0.5f, 0.5f, 0.5f};
        memcpy(&bad[i], &bits[i], sizeof bad[i]);
        expect(moco_queue_enqueue(queue, bad, NULL, 1) == MOCO_INVALID_ARGUMENT, "a key that isn't finite is refused");
    }
    expect(moco_queue_filled(queue) == FILLED, "the queue is as filled as before");
    check(moco_queue_read(queue, 0, FILLED, read, NULL));
    expect(memcmp(read, keys, sizeof keys) == 0, "the queue holds what was enqueued");

    check(moco_loss_compute(loss, q, k, N, queue, NULL, &result, d_q));
    const double right = loss_as_defined(q, k, keys, moco_loss_temperature(loss));
    printf("loss %.6f, as defined %.6f\n", (double) result.loss, right);
    expect(fabs((double) result.loss - right) < 1e-5, "the loss is the paper's");

    expect(moco_dataset_open(&dataset, context, "filelist:no/such/file") == MOCO_NOT_FOUND, "a missing list is told");
    expect(strstr(moco_last_error(), "No such file or directory") != NULL, "the error of a list says why");
    expect(moco_dataset_open(&dataset, context, "cifar10:no/such/folder") == MOCO_NOT_FOUND, "a missing CIFAR is told");
    expect(strstr(moco_last_error(), "No such file or directory") != NULL, "the error of CIFAR says why");

    moco_loss_destroy(loss);
    moco_queue_destroy(queue);
    moco_context_destroy(context);
    return failures != 0;
}
