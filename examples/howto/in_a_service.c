/* A service that embeds images in several request threads: an encoder for each thread, one context for all, with the
 * service's own memory and log. Give it an encoder's file; without one it makes a small untrained encoder to show.
 */
#include <moco.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 2, REQUESTS = 3, N = 4, SIZE = 32 };

static atomic_llong bytes_asked_for;

static void *service_allocate(uint64_t size, uint64_t alignment, void *user) {
    (void) user;
    atomic_fetch_add(&bytes_asked_for, (long long) size);
    return aligned_alloc((size_t) alignment, (size_t) ((size + alignment - 1) / alignment * alignment));
}

static void service_deallocate(void *memory, void *user) {
    (void) user;
    free(memory);
}

static void service_log(int32_t level, const char *message, void *user) {
    fprintf((FILE *) user, "libmoco (level %d): %s\n", level, message);
}

typedef struct worker {
    pthread_t thread;
    moco_encoder *encoder; /* this thread's alone */
    moco_status status;
    char problem[256]; /* moco_last_error() belongs to the thread that failed */
} worker;

static void *serve(void *argument) {
    worker *self = (worker *) argument;
    const int64_t dim = moco_encoder_embedding_dim(self->encoder);
    float *images = calloc((size_t) N * 3 * SIZE * SIZE, sizeof *images); /* a request's, decoded and normalised */
    float *embeddings = calloc((size_t) (N * dim), sizeof *embeddings);
    self->status = images == NULL || embeddings == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    for (int request = 0; request < REQUESTS && self->status == MOCO_OK; ++request) {
        self->status = moco_encoder_evaluate(self->encoder, images, N, SIZE, SIZE, embeddings);
    }
    if (self->status != MOCO_OK) snprintf(self->problem, sizeof self->problem, "%s", moco_last_error());
    free(embeddings);
    free(images);
    return NULL;
}

/* A copy of the encoder for one thread. */
static moco_status open_encoder(moco_encoder **out, moco_context *context, const char *file) {
    if (file != NULL) return moco_encoder_open(out, context, file);
    moco_encoder_config config;
    const moco_status status = moco_encoder_config_init(&config, sizeof config);
    if (status != MOCO_OK) return status;
    config.architecture = "cifar_resnet8";
    return moco_encoder_create(out, context, &config);
}

int main(int argc, char **argv) {
    moco_context_config config;
    moco_context *context = NULL;
    worker workers[THREADS] = {{0}};
    moco_status status = moco_context_config_init(&config, sizeof config);
    config.threads = 1; /* the requests run side by side; each by itself */
    config.allocate = service_allocate;
    config.deallocate = service_deallocate;
    config.log = service_log;
    config.log_user = stderr;
    if (status == MOCO_OK) status = moco_context_create(&context, &config);
    for (int i = 0; i < THREADS && status == MOCO_OK; ++i) {
        status = open_encoder(&workers[i].encoder, context, argc > 1 ? argv[1] : NULL);
    }
    if (status != MOCO_OK) {
        fprintf(stderr, "service: %s\n", moco_last_error());
    } else {
        for (int i = 0; i < THREADS; ++i) pthread_create(&workers[i].thread, NULL, serve, &workers[i]);
        for (int i = 0; i < THREADS; ++i) pthread_join(workers[i].thread, NULL);
    }
    for (int i = 0; i < THREADS; ++i) {
        if (workers[i].status != MOCO_OK) fprintf(stderr, "request thread %d: %s\n", i, workers[i].problem);
        status = status == MOCO_OK ? workers[i].status : status;
        moco_encoder_destroy(workers[i].encoder);
    }
    moco_context_destroy(context);
    if (status == MOCO_OK) {
        printf("%d requests in %d threads; libmoco asked for %.1f MB\n", THREADS * REQUESTS, THREADS,
               (double) atomic_load(&bytes_asked_for) / 1e6);
    }
    return status == MOCO_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
