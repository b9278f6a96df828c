/* InfoNCE's d_q, d_k and d_keys, and the whole way back from the loss through the normalization and the projection heads, against
 * finite differences in float64.
 */
#include "gradient/finite_difference.h"

static moco_context *context;

typedef struct nce_problem {
    int64_t n;
    int64_t dim;
    int64_t keys;
    double temperature;
    double *q;
    double *k;
    double *queue;
    int64_t *sample_ids;
    int64_t *key_ids;
} nce_problem;

static double *normal_values(moco_random *random, int64_t count) {
    double *values = (double *) malloc(((size_t) count + 1) * sizeof(double));
    assert_non_null(values);
    fill_normal(random, values, count, 0.0, 1.0);
    return values;
}

static int64_t *random_ids(moco_random *random, int64_t count, uint64_t distinct) {
    int64_t *ids = (int64_t *) malloc(((size_t) count + 1) * sizeof(int64_t));
    assert_non_null(ids);
    for (int64_t i = 0; i < count; ++i) ids[i] = (int64_t) moco_random_below(random, distinct);
    return ids;
}

static nce_problem nce_problem_create(moco_random *random, int64_t n, int64_t dim, int64_t keys, double temperature) {
    nce_problem p = {.n = n, .dim = dim, .keys = keys, .temperature = temperature};
    p.q = normal_values(random, n * dim);
    p.k = normal_values(random, n * dim);
    p.queue = normal_values(random, keys * dim);
    return p;
}

static void nce_problem_free(nce_problem *p) {
    free(p->q);
    free(p->k);
    free(p->queue);
    free(p->sample_ids);
    free(p->key_ids);
}

/* The gradients to make; NULL leaves one out. */
typedef struct nce_gradients {
    double *d_q;
    double *d_k;
    double *d_keys;
} nce_gradients;

static double nce_value(const nce_problem *p, const nce_gradients *gradients) {
    moco_info_nce_args args;
    memset(&args, 0, sizeof args);
    const double *values[] = {p->q, p->k, p->queue};
    moco_tensor *tensors[] = {&args.q, &args.k, &args.keys};
    for (int i = 0; i < 3; ++i) {
        const int64_t rows = i == 2 ? p->keys : p->n;
        const moco_tensor flat = value_tensor(context, MOCO_DTYPE_F64, values[i], rows * p->dim);
        *tensors[i] = moco_tensor_2d(flat.buffer, 0, MOCO_DTYPE_F64, rows, p->dim);
    }
    double *const wanted[] = {gradients->d_q, gradients->d_k, gradients->d_keys};
    moco_tensor *made[] = {&args.d_q, &args.d_k, &args.d_keys};
    for (int i = 0; i < 3; ++i) {
        if (wanted[i] != NULL) *made[i] = nan_tensor(context, MOCO_DTYPE_F64, (i == 2 ? p->keys : p->n) * p->dim, 0);
    }
    args.sample_ids = p->sample_ids;
    args.key_ids = p->key_ids;
    args.temperature = p->temperature;
    assert_ok(moco_info_nce(context, &args));
    for (int i = 0; i < 3; ++i) {
        if (wanted[i] != NULL) download_values(context, made[i], wanted[i]);
        moco_buffer_destroy(context, tensors[i]->buffer);
        moco_buffer_destroy(context, made[i]->buffer);
    }
    return args.loss;
}

static const nce_gradients no_gradients = {NULL, NULL, NULL};

static double nce_loss(void *argument) {
    return nce_value((const nce_problem *) argument, &no_gradients);
}

static void test_info_nce(void **state) {
    (void) state;
    static const double temperatures[] = {1.0, 0.2, 0.07, -0.5};
    static const int64_t shapes[][3] = {{1, 1, 1}, {3, 4, 9}, {5, 16, 40}, {2, 7, 1}};
    moco_random random;
    moco_random_init(&random, 1, MOCO_RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < 16; ++i) {
        const int64_t *shape = shapes[i / 4];
        nce_problem p = nce_problem_create(&random, shape[0], shape[1], shape[2], temperatures[i % 4]);
        double *d_q = normal_values(&random, p.n * p.dim), *d_k = normal_values(&random, p.n * p.dim);
        double *d_keys = normal_values(&random, p.keys * p.dim);
        const double h = 1e-5 * fabs(p.temperature);
        for (int masked = 0; masked <= 1; ++masked) {
            if (masked) {
                p.sample_ids = random_ids(&random, p.n, 4);
                p.key_ids = random_ids(&random, p.keys, 4);
            }
            nce_value(&p, &(nce_gradients){d_q, d_k, d_keys});
            check_gradient(nce_loss, &p, p.q, d_q, p.n * p.dim, h, 1e-7, "d_q");
            check_gradient(nce_loss, &p, p.k, d_k, p.n * p.dim, h, 1e-7, "d_k");
            check_gradient(nce_loss, &p, p.queue, d_keys, p.keys * p.dim, h, 1e-7, "d_keys");
        }
        free(d_q);
        free(d_k);
        free(d_keys);
        nce_problem_free(&p);
    }
}

/* The loss where the batch's keys are the dictionary, too. */
static double in_batch_loss(void *argument) {
    nce_problem p = *(const nce_problem *) argument;
    p.queue = p.k;
    return nce_value(&p, &no_gradients);
}

/* End to end: a key's whole gradient is the sum of what it gets as its row's positive and as the others' negative. */
static void test_info_nce_in_batch(void **state) {
    (void) state;
    moco_random random;
    moco_random_init(&random, 7, MOCO_RANDOM_TEST, 0, 0);
    for (int own_left_out = 0; own_left_out <= 1; ++own_left_out) {
        nce_problem p = nce_problem_create(&random, 6, 5, 6, 0.3);
        double d_k[6 * 5], d_keys[6 * 5];
        memcpy(p.queue, p.k, sizeof d_k);
        if (own_left_out) {
            p.sample_ids = random_ids(&random, p.n, 1);
            p.key_ids = random_ids(&random, p.n, 1);
            for (int64_t i = 0; i < p.n; ++i) p.sample_ids[i] = p.key_ids[i] = i;
        }
        nce_value(&p, &(nce_gradients){NULL, d_k, d_keys});
        for (int i = 0; i < 6 * 5; ++i) d_k[i] += d_keys[i];
        check_gradient(in_batch_loss, &p, p.k, d_k, p.n * p.dim, 1e-5, 1e-7, "d_k + d_keys");
        nce_problem_free(&p);
    }
}

/* The loss has the value of equation 1 computed here in the plainest way. */
static void test_info_nce_value(void **state) {
    (void) state;
    moco_random random;
    moco_random_init(&random, 2, MOCO_RANDOM_TEST, 0, 0);
    nce_problem p = nce_problem_create(&random, 3, 5, 7, 0.7);
    double expected = 0.0;
    for (int64_t i = 0; i < p.n; ++i) {
        double positive = 0.0, sum = 0.0;
        for (int64_t d = 0; d < p.dim; ++d) positive += p.q[i * p.dim + d] * p.k[i * p.dim + d];
        for (int64_t j = 0; j < p.keys; ++j) {
            double negative = 0.0;
            for (int64_t d = 0; d < p.dim; ++d) negative += p.q[i * p.dim + d] * p.queue[j * p.dim + d];
            sum += exp(negative / p.temperature);
        }
        positive = exp(positive / p.temperature);
        expected -= log(positive / (positive + sum)) / (double) p.n;
    }
    assert_true(fabs(nce_value(&p, &no_gradients) - expected) < 1e-13 * fabs(expected));
    nce_problem_free(&p);
}

/* --- Heads: layers in a row, then the loss --- */

#define MOST_LAYERS 4

typedef struct head_problem {
    int32_t layers;
    image_layer desc[MOST_LAYERS];
    layer_data data[MOST_LAYERS]; /* inputs and gradients */
    layer_data work[MOST_LAYERS]; /* of the perturbed runs */
    nce_problem loss;
} head_problem;

static double head_forward(head_problem *head, double *d_q) {
    const layer_run forward = {.mode = 1};
    for (int32_t i = 0; i < head->layers; ++i) {
        image_layer desc = head->desc[i];
        layer_data *work = &head->work[i];
        desc.training = 0;
        for (int t = X; t <= RUNNING_VAR; ++t) {
            const double *source = t == X && i > 0 ? head->work[i - 1].values[Y] : head->data[i].values[t];
            memcpy(work->values[t], source, (size_t) work->elements[t] * sizeof(double));
        }
        run_layer(context, &desc, &forward, work);
    }
    const layer_data *last = &head->work[head->layers - 1];
    memcpy(head->loss.q, last->values[Y], (size_t) last->elements[Y] * sizeof(double));
    return nce_value(&head->loss, &(nce_gradients){.d_q = d_q});
}

static double head_loss(void *argument) {
    return head_forward((head_problem *) argument, NULL);
}

static void head_backward(head_problem *head) {
    const layer_run run = {.mode = 0};
    const int32_t last = head->layers - 1;
    head_forward(head, head->data[last].values[DY]);
    for (int32_t i = last; i >= 0; --i) {
        layer_data *data = &head->data[i];
        memcpy(data->values[X], head->work[i].values[X], (size_t) data->elements[X] * sizeof(double));
        run_layer(context, &head->desc[i], &run, data);
        if (i > 0) memcpy(head->data[i - 1].values[DY], data->values[DX], (size_t) data->elements[X] * sizeof(double));
    }
}

static void check_head(const image_layer *desc, int32_t layers, uint64_t seed) {
    moco_random random;
    moco_random_init(&random, seed, MOCO_RANDOM_TEST, 0, 0);
    head_problem head;
    memset(&head, 0, sizeof head);
    head.layers = layers;
    for (int32_t i = 0; i < layers; ++i) {
        head.desc[i] = desc[i];
        head.desc[i].dtype = MOCO_DTYPE_F64;
        head.data[i] = layer_data_create(&head.desc[i]);
        head.work[i] = layer_data_create(&head.desc[i]);
        layer_data_fill(&random, &head.data[i], 0.0, 1.0);
    }
    head.loss = nce_problem_create(&random, desc[0].n, desc[layers - 1].out_c, 11, 0.3);
    head_backward(&head);
    for (int32_t i = 0; i < layers; ++i) {
        layer_data *data = &head.data[i];
        if (i == 0)
            check_gradient(head_loss, &head, data->values[X], data->values[DX], data->elements[X], 1e-5, 1e-7, "dx");
        check_gradient(head_loss, &head, data->values[WEIGHT], data->values[DWEIGHT], data->elements[WEIGHT], 1e-5,
                       1e-7, "dweight");
        check_gradient(head_loss, &head, data->values[BIAS], data->values[DBIAS], data->elements[BIAS], 1e-5, 1e-7,
                       "dbias");
    }
    for (int32_t i = 0; i < layers; ++i) {
        layer_data_free(&head.data[i]);
        layer_data_free(&head.work[i]);
    }
    nce_problem_free(&head.loss);
}

static image_layer vector_layer(int32_t kind, int64_t c, int64_t out_c) {
    image_layer desc = layer_desc(kind, 4, c, 1, 1);
    desc.out_c = out_c;
    return desc;
}

static void test_linear_head(void **state) {
    (void) state;
    const image_layer head[] = {vector_layer(MOCO_LAYER_LINEAR, 6, 5), vector_layer(MOCO_LAYER_L2_NORMALIZE, 5, 5)};
    check_head(head, 2, 3);
}

static void test_mlp_head(void **state) {
    (void) state;
    image_layer head[] = {vector_layer(MOCO_LAYER_LINEAR, 6, 7), vector_layer(MOCO_LAYER_LINEAR, 7, 5),
                          vector_layer(MOCO_LAYER_L2_NORMALIZE, 5, 5)};
    head[0].relu = 1;
    check_head(head, 3, 4);
    check_head(head, 2, 5); /* not normalized */
}

static void test_mlp_with_batch_norm(void **state) {
    (void) state;
    image_layer layers[] = {vector_layer(MOCO_LAYER_LINEAR, 6, 7), vector_layer(MOCO_LAYER_BATCH_NORM, 7, 7),
                            vector_layer(MOCO_LAYER_LINEAR, 7, 5), vector_layer(MOCO_LAYER_L2_NORMALIZE, 5, 5)};
    layers[1].relu = 1;
    layers[1].bn_groups = 2;
    layers[1].bn_eps = 1e-2;
    /* A group of two samples maps each channel to about +-1: its gradient nearly vanishes. Three are enough. */
    for (int i = 0; i < 4; ++i) layers[i].n = 6;
    check_head(layers, 4, 6);
}

static int open_all(void **state) {
    (void) state;
    context = open_context("reference", 1);
    return 0;
}

static int close_all(void **state) {
    (void) state;
    moco_context_destroy(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info_nce),       cmocka_unit_test(test_info_nce_in_batch),
        cmocka_unit_test(test_info_nce_value), cmocka_unit_test(test_linear_head),
        cmocka_unit_test(test_mlp_head),       cmocka_unit_test(test_mlp_with_batch_norm),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
