/* The seam of methods: two methods that are not the library's own, written against trainer/method.h, are trained by the
 * same trainer. Their oracles are the same steps by the public functions of the parts.
 *
 * "pull" draws the two views of an image together without any negatives,
 *
 *   L = mean over i of ||q_i - k_i||^2,   dL/dq_i = 2 (q_i - k_i) / n
 *
 * so it has neither a queue nor a loss. "in batch" learns end to end: one encoder makes q and k of the two views, the
 * batch's other k are the negatives, and the gradient flows to both views. It has neither a queue nor a momentum encoder.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend_chain.h"
#include "encoder/encoder_internal.h"
#include "encoder/momentum_encoder_internal.h"
#include "loss/loss_internal.h"
#include "support/training_parts.h"
#include "trainer/method.h"

#define N    8
#define SIZE 8
#define DIM  16

enum { PIXELS = N * 3 * SIZE * SIZE };

static float query_images[PIXELS];
static float key_images[PIXELS];

static void fill_images(int64_t step) {
    char name[32];
    snprintf(name, sizeof name, "query %lld", (long long) step);
    fill_uniform(query_images, PIXELS, name);
    snprintf(name, sizeof name, "key %lld", (long long) step);
    fill_uniform(key_images, PIXELS, name);
}

/* L and dL/dq on the host. */
static double pull_together(const float *q, const float *k, float *d_q) {
    double sum = 0.0;
    for (int64_t i = 0; i < (int64_t) N * DIM; ++i) {
        const double difference = (double) q[i] - (double) k[i];
        sum += difference * difference;
        d_q[i] = (float) (2.0 * difference / N);
    }
    return sum / N;
}

/* L, dL/dq and dL/dk of InfoNCE in the batch: p_ij = exp(q_i k_j / T) / sum over j of exp(q_i k_j / T),
 *   L = - mean over i of log p_ii,   dL/dq_i = 1 / (n T) (sum over j of p_ij k_j - k_i),
 *   dL/dk_j = 1 / (n T) (sum over i of p_ij q_i - q_j) */
static double contrast_in_batch(const float *q, const float *k, double temperature, float *d_q, float *d_k) {
    static double p[N][N];
    double loss = 0.0;
    for (int i = 0; i < N; ++i) {
        double sum = 0.0;
        for (int j = 0; j < N; ++j) {
            double dot = 0.0;
            for (int d = 0; d < DIM; ++d) dot += (double) q[i * DIM + d] * (double) k[j * DIM + d];
            p[i][j] = exp(dot / temperature);
            sum += p[i][j];
        }
        for (int j = 0; j < N; ++j) p[i][j] /= sum;
        loss -= log(p[i][i]) / N;
    }
    for (int i = 0; i < N; ++i) {
        for (int d = 0; d < DIM; ++d) {
            double of_q = -(double) k[i * DIM + d], of_k = -(double) q[i * DIM + d];
            for (int j = 0; j < N; ++j) {
                of_q += p[i][j] * (double) k[j * DIM + d];
                of_k += p[j][i] * (double) q[j * DIM + d];
            }
            d_q[i * DIM + d] = (float) (of_q / (N * temperature));
            d_k[i * DIM + d] = (float) (of_k / (N * temperature));
        }
    }
    return loss;
}

/* --- "pull" --- */

static moco_status check(const moco_trainer *trainer) {
    const moco_momentum_encoder *momentum_encoder = trainer->momentum_encoder;
    MOCO_REQUIRE_POINTER(momentum_encoder);
    MOCO_REQUIRE(trainer->queue == NULL, "a queue was given, but pulling together has no negatives; make it NULL");
    return MOCO_OK;
}

static moco_status take_step(moco_trainer *trainer, const moco_step *step) {
    static float q_values[N * DIM], k_values[N * DIM], d_q_values[N * DIM];
    moco_tensor q, k, d_q;
    MOCO_TRY(moco_trainer_embeddings(trainer, &trainer->q, step->n, &q));
    MOCO_TRY(moco_trainer_embeddings(trainer, &trainer->k, step->n, &k));
    MOCO_TRY(moco_trainer_embeddings(trainer, &trainer->d_q, step->n, &d_q));
    MOCO_TRY(moco_encoder_forward_tensor(trainer->query_encoder, MOCO_MODE_TRAIN, &step->query_images, &q));
    MOCO_TRY(moco_momentum_encoder_update(trainer->momentum_encoder));
    MOCO_TRY(moco_momentum_encoder_encode_tensor(trainer->momentum_encoder, &step->key_images, &k));

    moco_loss_result result;
    MOCO_TRY(moco_loss_result_init(&result, sizeof result));
    MOCO_TRY(moco_tensor_download(trainer->context, &q, q_values));
    MOCO_TRY(moco_tensor_download(trainer->context, &k, k_values));
    result.loss = pull_together(q_values, k_values, d_q_values);
    MOCO_TRY(moco_trainer_take_loss(trainer, MOCO_OK, &result, &q, &k, step->stats));
    MOCO_TRY(moco_tensor_upload(trainer->context, &d_q, d_q_values));

    MOCO_TRY(moco_encoder_zero_gradients(trainer->query_encoder));
    MOCO_TRY(moco_encoder_backward_tensor(trainer->query_encoder, &d_q));
    return moco_optimizer_step(trainer->optimizer);
}

static const moco_method method_pull = {.name = "pull", .check = check, .step = take_step};

/* --- "in batch" --- */

static moco_status check_in_batch(const moco_trainer *trainer) {
    const moco_loss *loss = trainer->loss;
    MOCO_REQUIRE_POINTER(loss);
    return MOCO_OK;
}

/* The gradients of the keys come in two parts: as the positives of their own queries, and as the others' negatives. */
static moco_status contrast_and_go_back(moco_trainer *trainer, const moco_step *step, void *room) {
    const uint64_t bytes = (uint64_t) step->n * DIM * sizeof(float);
    const moco_tensor d_k = moco_tensor_2d(room, 0, MOCO_DTYPE_F32, step->n, DIM);
    const moco_tensor d_keys = moco_tensor_2d(room, bytes, MOCO_DTYPE_F32, step->n, DIM);
    moco_tensor q, k, d_q;
    MOCO_TRY(moco_trainer_embeddings(trainer, &trainer->q, step->n, &q));
    MOCO_TRY(moco_trainer_embeddings(trainer, &trainer->k, step->n, &k));
    MOCO_TRY(moco_trainer_embeddings(trainer, &trainer->d_q, step->n, &d_q));
    MOCO_TRY(moco_encoder_forward_pass_tensor(trainer->query_encoder, 0, &step->query_images, &q));
    MOCO_TRY(moco_encoder_forward_pass_tensor(trainer->query_encoder, 1, &step->key_images, &k));

    const moco_key_view others = {
        .context = trainer->context,
        .keys = k,
        .ids = step->sample_ids,
        .dim = DIM,
        .negatives = step->n,
        .skip_same_id = 1,
    };
    const moco_loss_gradients gradients = {.d_q = d_q, .d_k = d_k, .d_keys = d_keys};
    moco_loss_result result;
    MOCO_TRY(moco_loss_result_init(&result, sizeof result));
    const moco_status status =
        moco_loss_compute_tensor(trainer->loss, &q, &k, &others, step->sample_ids, &result, &gradients);
    MOCO_TRY(moco_trainer_take_loss(trainer, status, &result, &q, &k, step->stats));

    const moco_tensor flat = moco_tensor_1d(room, 0, MOCO_DTYPE_F32, step->n * DIM);
    const moco_tensor flat_keys = moco_tensor_1d(room, bytes, MOCO_DTYPE_F32, step->n * DIM);
    MOCO_TRY(moco_tensor_add(trainer->context, &flat, &flat_keys));
    MOCO_TRY(moco_encoder_zero_gradients(trainer->query_encoder));
    MOCO_TRY(moco_encoder_backward_pass_tensor(trainer->query_encoder, 0, 0, &d_q));
    MOCO_TRY(moco_encoder_backward_pass_tensor(trainer->query_encoder, 1, 1, &d_k));
    return moco_optimizer_step(trainer->optimizer);
}

static moco_status take_step_in_batch(moco_trainer *trainer, const moco_step *step) {
    void *room = NULL;
    MOCO_TRY(moco_buffer_create(trainer->context, 2 * (uint64_t) step->n * DIM * sizeof(float), &room));
    const moco_status status = contrast_and_go_back(trainer, step, room);
    moco_buffer_destroy(trainer->context, room);
    return status;
}

static const moco_method method_in_batch = {.name = "in batch", .check = check_in_batch, .step = take_step_in_batch};

/* --- The tests --- */

static training_parts make_parts(const training_configs *configs) {
    training_parts parts;
    if (training_create(&parts, configs) != MOCO_OK) fail_msg("%s", moco_last_error());
    return parts;
}

static void another_method_trains_without_queue_and_loss(void **state) {
    (void) state;
    training_configs configs = small_training("reference", 1);
    moco_schedule schedule;
    assert_int_equal(moco_schedule_init(&schedule, sizeof schedule), MOCO_OK);
    schedule.base = 0.04;
    schedule.epochs = 3.0;
    configs.trainer.learning_rate = &schedule;
    configs.trainer.steps_per_epoch = 2;
    training_parts a = make_parts(&configs);
    training_parts by_hand = make_parts(&configs);
    moco_trainer *trainer = NULL;
    assert_int_equal(moco_trainer_create_with(&trainer, &method_pull, a.encoder, a.momentum_encoder, NULL, NULL,
                                              a.optimizer, &configs.trainer),
                     MOCO_OK);
    for (int64_t step = 0; step < 5; ++step) {
        fill_images(step);
        moco_step_stats stats;
        assert_int_equal(moco_step_stats_init(&stats, sizeof stats), MOCO_OK);
        assert_int_equal(moco_trainer_step(trainer, query_images, key_images, NULL, N, SIZE, SIZE, &stats), MOCO_OK);

        static float q[N * DIM], k[N * DIM], d_q[N * DIM];
        double learning_rate = 0.0;
        assert_int_equal(moco_schedule_value(&schedule, step, 2, &learning_rate), MOCO_OK);
        assert_int_equal(moco_optimizer_set_learning_rate(by_hand.optimizer, learning_rate), MOCO_OK);
        assert_int_equal(moco_encoder_forward(by_hand.encoder, query_images, N, SIZE, SIZE, q), MOCO_OK);
        assert_int_equal(moco_momentum_encoder_update(by_hand.momentum_encoder), MOCO_OK);
        assert_int_equal(moco_momentum_encoder_encode(by_hand.momentum_encoder, key_images, N, SIZE, SIZE, k), MOCO_OK);
        const double loss = pull_together(q, k, d_q);
        assert_int_equal(moco_encoder_zero_gradients(by_hand.encoder), MOCO_OK);
        assert_int_equal(moco_encoder_backward(by_hand.encoder, d_q, N), MOCO_OK);
        assert_int_equal(moco_optimizer_step(by_hand.optimizer), MOCO_OK);

        assert_true(stats.loss == loss);
        assert_true(stats.learning_rate == learning_rate);
        assert_int_equal(stats.step, step);
        assert_int_equal(stats.epoch, step / 2);
        assert_int_equal(stats.queue_filled, 0);
        assert_int_equal(stats.warming_up, 0);
        assert_true(encoder_checksum(a.encoder) == encoder_checksum(by_hand.encoder));
        assert_true(encoder_checksum(moco_momentum_encoder_key_encoder(a.momentum_encoder)) ==
                    encoder_checksum(moco_momentum_encoder_key_encoder(by_hand.momentum_encoder)));
    }
    assert_int_equal(moco_trainer_step_count(trainer), 5);
    moco_trainer_destroy(trainer);
    training_destroy(&a);
    training_destroy(&by_hand);
}

static void assert_near(const moco_encoder *actual, const moco_encoder *expected, float tolerance) {
    for (int64_t p = 0; p < moco_encoder_parameter_count(expected); ++p) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_int_equal(moco_encoder_parameter_info(expected, p, &info), MOCO_OK);
        float *rows[2];
        for (int i = 0; i < 2; ++i) {
            rows[i] = (float *) malloc((size_t) info.elements * sizeof(float));
            assert_non_null(rows[i]);
            assert_int_equal(moco_encoder_read_parameter(i == 0 ? actual : expected, p, rows[i]), MOCO_OK);
        }
        for (int64_t i = 0; i < info.elements; ++i) {
            if (fabsf(rows[0][i] - rows[1][i]) <= tolerance) continue;
            fail_msg("%s[%lld] is %.9g, by hand %.9g", info.name, (long long) i, (double) rows[0][i],
                     (double) rows[1][i]);
        }
        free(rows[0]);
        free(rows[1]);
    }
}

static void end_to_end_in_the_batch(void **state) {
    (void) state;
    static const int64_t ids[N] = {0, 1, 2, 3, 4, 5, 6, 7};
    for (size_t backend = 0; backend < TEST_BACKENDS; ++backend) {
        training_configs configs = small_training(test_backends[backend], 2);
        configs.trainer.use_learning_rate_schedule = 0;
        training_parts a, by_hand;
        if (backend_is_missing(training_create(&a, &configs))) continue;
        by_hand = make_parts(&configs);
        moco_trainer *trainer = NULL;
        assert_int_equal(moco_trainer_create_with(&trainer, &method_in_batch, a.encoder, NULL, NULL, a.loss,
                                                  a.optimizer, &configs.trainer),
                         MOCO_OK);
        for (int64_t step = 0; step < 4; ++step) {
            fill_images(step);
            moco_step_stats stats;
            assert_int_equal(moco_step_stats_init(&stats, sizeof stats), MOCO_OK);
            assert_int_equal(moco_trainer_step(trainer, query_images, key_images, ids, N, SIZE, SIZE, &stats), MOCO_OK);

            static float q[N * DIM], k[N * DIM], d_q[N * DIM], d_k[N * DIM];
            moco_encoder *encoder = by_hand.encoder;
            assert_int_equal(moco_encoder_forward_pass(encoder, 0, query_images, N, SIZE, SIZE, q), MOCO_OK);
            assert_int_equal(moco_encoder_forward_pass(encoder, 1, key_images, N, SIZE, SIZE, k), MOCO_OK);
            const double loss = contrast_in_batch(q, k, configs.loss.temperature, d_q, d_k);
            assert_int_equal(moco_encoder_zero_gradients(encoder), MOCO_OK);
            assert_int_equal(moco_encoder_backward_pass(encoder, 0, d_q, N), MOCO_OK);
            assert_int_equal(moco_encoder_backward_pass(encoder, 1, d_k, N), MOCO_OK);
            assert_int_equal(moco_optimizer_step(by_hand.optimizer), MOCO_OK);

            assert_true(fabs(stats.loss - loss) < 1e-5);
            assert_int_equal(stats.masked, N); /* each sample's own key */
            assert_near(a.encoder, encoder, 2e-5f);
        }
        moco_trainer_destroy(trainer);
        training_destroy(&a);
        training_destroy(&by_hand);
    }
}

/* What the trainer does around a method holds for any method: an exploded step isn't counted. */
static void a_loss_that_is_not_finite_is_no_step(void **state) {
    (void) state;
    const training_configs configs = small_training("reference", 1);
    training_parts a = make_parts(&configs);
    moco_trainer *trainer = NULL;
    assert_int_equal(
        moco_trainer_create_with(&trainer, &method_pull, a.encoder, a.momentum_encoder, NULL, NULL, a.optimizer, NULL),
        MOCO_OK);
    fill_images(0);
    key_images[3] = NAN;
    assert_int_equal(moco_trainer_step(trainer, query_images, key_images, NULL, N, SIZE, SIZE, NULL),
                     MOCO_INVALID_STATE);
    assert_non_null(strstr(moco_last_error(), "exploded"));
    assert_int_equal(moco_trainer_step_count(trainer), 0);
    assert_int_equal(moco_optimizer_step_count(a.optimizer), 0);
    moco_trainer_destroy(trainer);
    training_destroy(&a);
}

static moco_status needs_nothing(const moco_trainer *trainer) {
    (void) trainer;
    return MOCO_OK;
}

static void parts_are_checked_by_method_and_trainer(void **state) {
    (void) state;
    training_configs configs = small_training("reference", 1);
    training_parts a = make_parts(&configs);
    moco_trainer *trainer = NULL;
    assert_int_equal(
        moco_trainer_create_with(&trainer, &method_pull, a.encoder, NULL, NULL, NULL, a.optimizer, &configs.trainer),
        MOCO_INVALID_ARGUMENT);
    assert_string_equal(moco_last_error(), "momentum_encoder is NULL; it must point to something");
    assert_int_equal(moco_trainer_create_with(&trainer, &method_pull, a.encoder, a.momentum_encoder, a.queue, NULL,
                                              a.optimizer, &configs.trainer),
                     MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "no negatives"));

    const moco_method lone = {.name = "lone", .check = needs_nothing, .step = take_step};
    assert_int_equal(moco_trainer_create_with(&trainer, &lone, NULL, NULL, NULL, NULL, a.optimizer, &configs.trainer),
                     MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "query_encoder is NULL"));
    assert_int_equal(moco_trainer_create_with(&trainer, &lone, a.encoder, NULL, NULL, NULL, NULL, &configs.trainer),
                     MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "optimizer is NULL"));
    assert_null(trainer);
    assert_int_equal(
        moco_trainer_create_with(&trainer, &lone, a.encoder, NULL, NULL, NULL, a.optimizer, &configs.trainer), MOCO_OK);
    moco_trainer_destroy(trainer);
    trainer = NULL;
    configs.trainer.momentum_end = 0.999; /* nobody there whose momentum it could be */
    assert_int_equal(
        moco_trainer_create_with(&trainer, &lone, a.encoder, NULL, NULL, NULL, a.optimizer, &configs.trainer),
        MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "momentum_end"));
    assert_null(trainer);
    training_destroy(&a);
}

static void steps_beyond_the_count_are_refused(void **state) {
    (void) state;
    const training_configs configs = small_training("reference", 1);
    training_parts a = make_parts(&configs);
    fill_images(0);
    assert_int_equal(moco_trainer_set_step_count(a.trainer, INT64_MAX - 1), MOCO_OK);
    assert_int_equal(moco_momentum_encoder_set_encode_count(a.momentum_encoder, INT64_MAX), MOCO_OK);
    assert_int_equal(moco_encoder_set_batches_tracked(a.encoder, INT64_MAX), MOCO_OK);
    assert_int_equal(moco_trainer_step(a.trainer, query_images, key_images, NULL, N, SIZE, SIZE, NULL), MOCO_OK);
    assert_true(moco_trainer_step_count(a.trainer) == INT64_MAX);
    assert_true(moco_momentum_encoder_encode_count(a.momentum_encoder) == INT64_MAX); /* these two stay there */
    assert_true(moco_encoder_batches_tracked(a.encoder) == INT64_MAX);
    const uint64_t before = encoder_checksum(a.encoder);
    assert_int_equal(moco_trainer_step(a.trainer, query_images, key_images, NULL, N, SIZE, SIZE, NULL),
                     MOCO_INVALID_STATE);
    assert_non_null(strstr(moco_last_error(), "moco_trainer_set_step_count"));
    assert_true(moco_trainer_step_count(a.trainer) == INT64_MAX);
    assert_true(encoder_checksum(a.encoder) == before);
    training_destroy(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_method_trains_without_queue_and_loss),
        cmocka_unit_test(end_to_end_in_the_batch),
        cmocka_unit_test(a_loss_that_is_not_finite_is_no_step),
        cmocka_unit_test(parts_are_checked_by_method_and_trainer),
        cmocka_unit_test(steps_beyond_the_count_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
