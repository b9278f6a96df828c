/* A program as it was written for 0.1: it sees that version's header alone, and runs with the library of today. Structs have
 * grown since; what it does not know of is at its default. (The trainer is left out: its structs are the ones that 0.2
 * changed, which is why the soname did.) HEADER is moco_0_1.h or a later version's.
 */
#include HEADER

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 16, SIZE = 16, DIM = 8, STEPS = 6, BANK = 64 };

static void check(moco_status status) {
    if (status == MOCO_OK) return;
    fprintf(stderr, "program_of_0_1: %s\n", moco_last_error());
    exit(1);
}

static void require(int truth, const char *what) {
    if (truth) return;
    fprintf(stderr, "program_of_0_1: %s\n", what);
    exit(1);
}

/* --- Its own network: y = x W of the first DIM pixels --- */

typedef struct own_network {
    float weight[DIM];
    float gradient[DIM];
    float x[N * DIM];
} own_network;

static int32_t own_forward(void *self, int32_t mode, const float *images, int64_t n, int64_t h, int64_t w, float *y) {
    own_network *net = (own_network *) self;
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < DIM; ++j) {
            net->x[i * DIM + j] = images[i * 3 * h * w + j];
            y[i * DIM + j] = net->x[i * DIM + j] * net->weight[j];
        }
    }
    (void) mode;
    return 0;
}

static int32_t own_backward(void *self, const float *dy, int64_t n) {
    own_network *net = (own_network *) self;
    for (int64_t i = 0; i < n * DIM; ++i) net->gradient[i % DIM] += dy[i] * net->x[i];
    return 0;
}

static int64_t own_parameter_count(void *self) {
    (void) self;
    return 1;
}

static int32_t own_parameter(void *self, int64_t index, moco_parameter_span *out) {
    own_network *net = (own_network *) self;
    (void) index;
    memset(out, 0, sizeof *out);
    out->name = "weight";
    out->values = net->weight;
    out->gradients = net->gradient;
    out->kind = MOCO_PARAMETER_LEARNABLE;
    out->rank = 1;
    out->dims[0] = DIM;
    return 0;
}

static int32_t own_clone(void *self, void **copy) {
    *copy = malloc(sizeof(own_network));
    if (*copy == NULL) return 1;
    memcpy(*copy, self, sizeof(own_network));
    return 0;
}

static void own_destroy(void *self) {
    free(self);
}

static moco_encoder *make_own(moco_context *context) {
    const moco_encoder_ops ops = {.struct_size = sizeof ops,
                                  .abi_version = MOCO_ENCODER_OPS_VERSION,
                                  .forward = own_forward,
                                  .backward = own_backward,
                                  .parameter_count = own_parameter_count,
                                  .parameter = own_parameter,
                                  .clone = own_clone,
                                  .destroy = own_destroy};
    own_network *net = (own_network *) calloc(1, sizeof *net);
    moco_encoder_custom_config config;
    moco_encoder *encoder = NULL;
    require(net != NULL, "no memory");
    for (int j = 0; j < DIM; ++j) net->weight[j] = 1.0F + (float) j;
    check(moco_encoder_custom_config_init(&config, sizeof config));
    config.embedding_dim = DIM;
    check(moco_encoder_create_custom(&encoder, context, &ops, net, &config));
    return encoder;
}

static moco_encoder *make_built_in(moco_context *context) {
    moco_encoder_config config;
    moco_encoder *encoder = NULL;
    check(moco_encoder_config_init(&config, sizeof config));
    require(config.struct_size == sizeof config, "struct_size is not this program's");
    config.architecture = "cifar_resnet8";
    config.embedding_dim = DIM;
    config.bn_groups = 2;
    check(moco_encoder_create(&encoder, context, &config));
    return encoder;
}

/* --- Momentum contrast by hand --- */

static void train(moco_context *context, moco_loader *loader, moco_encoder *encoder) {
    static float q[N * DIM], k[N * DIM], d_q[N * DIM];
    moco_momentum_encoder *momentum_encoder = NULL;
    moco_queue *queue = NULL;
    moco_loss *loss = NULL;
    moco_optimizer *optimizer = NULL;
    moco_queue_config queue_config;
    check(moco_queue_config_init(&queue_config, sizeof queue_config));
    queue_config.capacity = 64;
    queue_config.dim = DIM;
    check(moco_momentum_encoder_create(&momentum_encoder, encoder, NULL));
    check(moco_queue_create(&queue, context, &queue_config));
    check(moco_loss_create(&loss, context, NULL));
    check(moco_optimizer_create(&optimizer, encoder, NULL));
    check(moco_loader_start_epoch(loader, 0));
    for (int step = 0; step < STEPS; ++step) {
        struct {
            moco_loss_result result;
            uint64_t behind; /* a library that writes more than it was told of would be noticed */
        } guarded = {.behind = 0x5A5A5A5A5A5A5A5A};
        moco_batch batch = {.struct_size = sizeof batch};
        guarded.result.struct_size = sizeof guarded.result;
        check(moco_loader_next(loader, &batch));
        require(batch.n == N && batch.h == SIZE && batch.query_images != NULL, "the batch is not as it was asked for");
        check(moco_encoder_forward(encoder, batch.query_images, N, SIZE, SIZE, q));
        check(moco_momentum_encoder_update(momentum_encoder));
        check(moco_momentum_encoder_encode(momentum_encoder, batch.key_images, N, SIZE, SIZE, k));
        check(moco_loss_compute(loss, q, k, N, queue, NULL, &guarded.result, d_q));
        require(guarded.behind == 0x5A5A5A5A5A5A5A5A, "the library wrote behind a struct");
        require(isfinite(guarded.result.loss) && guarded.result.loss > 0, "the loss is no number");
        check(moco_encoder_zero_gradients(encoder));
        check(moco_encoder_backward(encoder, d_q, N));
        check(moco_optimizer_step(optimizer));
        check(moco_queue_enqueue(queue, k, NULL, N));
    }
    moco_optimizer_destroy(optimizer);
    moco_loss_destroy(loss);
    moco_queue_destroy(queue);
    moco_momentum_encoder_destroy(momentum_encoder);
}

int main(void) {
    moco_context *context = NULL;
    moco_dataset *images = NULL;
    moco_augment *augment = NULL;
    moco_loader *loader = NULL;
    moco_context_config context_config;
    struct {
        moco_augment_config config;
        uint64_t behind;
    } views = {.behind = 0x5A5A5A5A5A5A5A5A};
    moco_loader_config loader_config;
    check(moco_context_config_init(&context_config, sizeof context_config));
    context_config.threads = 2;
    check(moco_context_create(&context, &context_config));
    check(moco_dataset_open(&images, context, "synthetic:count=128,size=16"));
    check(moco_augment_config_init(&views.config, sizeof views.config, MOCO_AUGMENT_CIFAR));
    require(views.behind == 0x5A5A5A5A5A5A5A5A, "the library wrote behind a struct");
    views.config.height = views.config.width = SIZE;
    check(moco_augment_create(&augment, context, &views.config));
    check(moco_loader_config_init(&loader_config, sizeof loader_config));
    loader_config.batch_size = N;
    check(moco_loader_create(&loader, images, augment, &loader_config));
    for (int own = 0; own < 2; ++own) {
        static float rows[BANK * 64];
        static int32_t labels[BANK];
        double top1 = -1;
        moco_knn *knn = NULL;
        moco_encoder *encoder = own ? make_own(context) : make_built_in(context);
        train(context, loader, encoder);
        const int64_t dim = moco_extract_dim(encoder, augment, MOCO_OUTPUT_FEATURES);
        require(dim == moco_encoder_feature_dim(encoder) && dim <= 64, "features have another dim");
        check(moco_extract(encoder, images, augment, MOCO_OUTPUT_FEATURES, 0, BANK, N, rows, labels));
        check(moco_knn_create(&knn, context, rows, labels, BANK, dim, moco_dataset_classes(images), NULL));
        check(moco_knn_evaluate(knn, rows, labels, BANK, &top1, NULL));
        require(top1 >= 0 && top1 <= 1, "kNN gives no fraction");
        moco_knn_destroy(knn);
        moco_encoder_destroy(encoder);
    }
    moco_loader_destroy(loader);
    moco_augment_destroy(augment);
    moco_dataset_destroy(images);
    moco_context_destroy(context);
    puts("program_of_0_1: runs");
    return 0;
}
