#include <moco/momentum_encoder.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "backend/host_tensor.h"
#include "backend/tensor_checks.h"
#include "core/checked.h"
#include "core/config.h"
#include "core/random.h"
#include "core/references.h"
#include "encoder/encoder_internal.h"
#include "encoder/momentum_encoder_internal.h"

/* Of a step that may have to be undone: what the key encoder had before it. Its parameters are copied to memory that is
 * there and waits for gradients: the query encoder's, which its backward overwrites when the loss is known, or, where a
 * gradient hook may still end the step after that, the key encoder's own, which nothing else ever uses. */
typedef struct step_copy {
    int32_t open;   /* 1: between begin_step and end_step */
    int32_t copied; /* 1: the parameters were updated, and are in ... */
    moco_encoder *lender;
    uint64_t writes; /* the lender's gradient writes at the copy; at the beginning: the query encoder's */
    int64_t encode_count;
    double momentum;
} step_copy;

struct moco_momentum_encoder {
    moco_references references;
    moco_context *context;
    moco_encoder *query;
    moco_encoder *key;
    moco_momentum_encoder_config config;
    int64_t encode_count;
    step_copy step;
    /* For shuffling, grown on demand. */
    int64_t *permutation; /* then its inverse */
    int64_t permutation_capacity;
    moco_grown_buffer shuffled_images;
    moco_grown_buffer shuffled_keys;
};

static const moco_momentum_encoder_config default_config = MOCO_MOMENTUM_ENCODER_CONFIG_INITIALIZER;

moco_status moco_momentum_encoder_config_init(moco_momentum_encoder_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_momentum_encoder_config");
}

moco_status moco_momentum_encoder_config_for(moco_momentum_encoder_config *config, uint32_t struct_size,
                                             const moco_encoder *query_encoder) {
    MOCO_REQUIRE_POINTER(query_encoder);
    moco_momentum_encoder_config fitting = default_config;
    fitting.shuffle = moco_encoder_bn_groups(query_encoder) > 1;
    return moco_config_init(config, struct_size, &fitting, sizeof fitting, sizeof fitting,
                            "moco_momentum_encoder_config");
}

/* --- Lifetime --- */

static moco_status check_momentum(double momentum) {
    MOCO_REQUIRE(momentum >= 0.0 && momentum <= 1.0, "momentum is %g; it must be in 0..1", momentum);
    return MOCO_OK;
}

/* A network without running statistics has no BatchNorm to shuffle. */
static void tell_of_no_shuffling(const moco_encoder *query_encoder) {
    if (moco_encoder_parameters(query_encoder)->buffer_elements == 0) return;
    moco_log(
        moco_encoder_context(query_encoder), MOCO_LOG_WARNING,
        "bn_groups is 1, so BatchNorm is not shuffled, and its statistics may tell which query belongs to which key "
        "(arXiv 1911.05722, section 3.3): bn_groups of 2 or more turn that on; momentum_encoder.shuffle 0 says that "
        "it is meant so");
}

moco_status moco_momentum_encoder_create(moco_momentum_encoder **out, moco_encoder *query_encoder,
                                         const moco_momentum_encoder_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(query_encoder);
    const int32_t groups = moco_encoder_bn_groups(query_encoder);
    moco_momentum_encoder_config settings = default_config;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&settings, config, sizeof settings, sizeof settings, "moco_momentum_encoder_config"));
    }
    MOCO_TRY(check_momentum(settings.momentum));
    MOCO_REQUIRE(settings.bn_buffers >= MOCO_BN_BUFFERS_OWN && settings.bn_buffers <= MOCO_BN_BUFFERS_AVERAGE,
                 "bn_buffers is %d; it must be MOCO_BN_BUFFERS_OWN (0), COPY (1) or AVERAGE (2)", settings.bn_buffers);
    MOCO_REQUIRE(settings.shuffle >= -1 && settings.shuffle <= 1,
                 "shuffle is %d; it must be 0, 1 or -1 (where the encoder has several BatchNorm groups)",
                 settings.shuffle);
    const int32_t left_out = settings.shuffle == -1 && groups == 1;
    if (settings.shuffle == -1) settings.shuffle = groups > 1;
    MOCO_REQUIRE(
        settings.shuffle == 0 || groups > 1,
        "shuffle is 1, but the encoder has bn_groups 1: with one BatchNorm group shuffling changes nothing; set "
        "bn_groups to 2 or more, or shuffle to 0 or -1");

    moco_context *context = moco_encoder_context(query_encoder);
    moco_momentum_encoder *created = (moco_momentum_encoder *) moco_allocate_zeroed(context, 1, sizeof *created);
    if (created == NULL) return MOCO_OUT_OF_MEMORY;
    moco_encoder_retain(query_encoder); /* first: a caller's network is cloned by the caller's code */
    const moco_status status = moco_encoder_clone(&created->key, query_encoder);
    if (status != MOCO_OK) {
        moco_deallocate(context, created);
        moco_encoder_release(query_encoder);
        return status;
    }
    moco_references_init(&created->references, 1);
    created->context = context;
    created->query = query_encoder;
    created->config = settings;
    moco_context_retain(context);
    if (left_out) tell_of_no_shuffling(query_encoder);
    *out = created;
    return MOCO_OK;
}

void moco_momentum_encoder_retain(moco_momentum_encoder *momentum_encoder) {
    moco_references_retain(&momentum_encoder->references);
}

static void dispose(moco_momentum_encoder *momentum_encoder) {
    moco_context *context = momentum_encoder->context;
    moco_encoder_release(momentum_encoder->key);
    moco_encoder_release(momentum_encoder->query);
    moco_deallocate(context, momentum_encoder->permutation);
    moco_grown_buffer_release(&momentum_encoder->shuffled_images, context);
    moco_grown_buffer_release(&momentum_encoder->shuffled_keys, context);
    moco_deallocate(context, momentum_encoder);
    moco_context_destroy(context);
}

void moco_momentum_encoder_release(moco_momentum_encoder *momentum_encoder) {
    if (momentum_encoder != NULL && moco_references_release(&momentum_encoder->references)) dispose(momentum_encoder);
}

void moco_momentum_encoder_destroy(moco_momentum_encoder *momentum_encoder) {
    if (momentum_encoder != NULL && moco_references_destroy(&momentum_encoder->references)) dispose(momentum_encoder);
}

/* --- Steps that may have to be undone --- */

/* So much at a time is still in the cache for the update that follows. */
#define COPIED_AT_ONCE ((int64_t) 1 << 18)

moco_status moco_momentum_encoder_begin_step(moco_momentum_encoder *momentum_encoder) {
    MOCO_TRY(moco_encoder_begin_step(momentum_encoder->key));
    momentum_encoder->step = (step_copy){
        .open = 1,
        .writes = moco_encoder_gradient_writes(momentum_encoder->query),
        .encode_count = momentum_encoder->encode_count,
        .momentum = momentum_encoder->config.momentum,
    };
    return MOCO_OK;
}

/* A part of run `cut->run` of the key encoder's parameters: copied to the lender's gradients, then updated. */
static moco_status copy_and_update_part(moco_momentum_encoder *momentum_encoder, const moco_parameter_cut *cut) {
    const moco_parameter_table *from = moco_encoder_parameters(momentum_encoder->query);
    const moco_parameter_table *to = moco_encoder_parameters(momentum_encoder->key);
    const moco_parameter_table *lent = moco_encoder_parameters(momentum_encoder->step.lender);
    const moco_tensor parameters = moco_cut_part(&to->learnable[cut->run].value, cut);
    const moco_tensor copy = moco_cut_part(&lent->learnable[cut->run].gradient, cut);
    const moco_tensor queries = moco_cut_part(&from->learnable[cut->run].value, cut);
    MOCO_TRY(moco_tensor_copy(momentum_encoder->context, &copy, &parameters));
    return moco_momentum_update(momentum_encoder->context, &parameters, &queries, momentum_encoder->config.momentum);
}

static moco_status copy_and_update(moco_momentum_encoder *momentum_encoder) {
    step_copy *step = &momentum_encoder->step;
    moco_encoder *query = momentum_encoder->query, *key = momentum_encoder->key;
    const int32_t is_free =
        !moco_encoder_has_gradient_hook(query) && step->writes == moco_encoder_gradient_writes(query);
    step->lender = is_free ? query : key;
    moco_encoder_lend_gradients(step->lender);
    step->writes = moco_encoder_gradient_writes(step->lender);
    const moco_parameter_table *table = moco_encoder_parameters(key);
    moco_status status = MOCO_OK;
    for (int64_t run = 0; run < table->learnable_runs && status == MOCO_OK; ++run) {
        const int64_t elements = moco_tensor_elements(&table->learnable[run].value);
        moco_parameter_cut cut = {.run = run};
        for (; cut.from < elements && status == MOCO_OK; cut.from += cut.elements) {
            cut.elements = moco_min_i64(COPIED_AT_ONCE, elements - cut.from);
            status = copy_and_update_part(momentum_encoder, &cut);
        }
    }
    step->copied = status == MOCO_OK;
    if (status != MOCO_OK) moco_encoder_zero_gradients(step->lender);
    return status;
}

static moco_status restore(moco_momentum_encoder *momentum_encoder) {
    const step_copy *step = &momentum_encoder->step;
    moco_encoder *key = momentum_encoder->key;
    const moco_parameter_table *table = moco_encoder_parameters(key);
    momentum_encoder->encode_count = step->encode_count;
    momentum_encoder->config.momentum = step->momentum;
    if (!step->copied || step->writes != moco_encoder_gradient_writes(step->lender)) return MOCO_OK;
    const moco_parameter_table *lent = moco_encoder_parameters(step->lender);
    for (int64_t i = 0; i < table->learnable_runs; ++i) {
        MOCO_TRY(moco_tensor_copy(momentum_encoder->context, &table->learnable[i].value, &lent->learnable[i].gradient));
    }
    moco_encoder_parameters_changed(key);
    return MOCO_OK;
}

moco_status moco_momentum_encoder_end_step(moco_momentum_encoder *momentum_encoder, int32_t undo) {
    step_copy *step = &momentum_encoder->step;
    moco_status status = undo ? restore(momentum_encoder) : MOCO_OK;
    /* Without a backward after it, the copy is still where gradients are read and added to. */
    if (step->copied && step->writes == moco_encoder_gradient_writes(step->lender)) {
        const moco_status cleared = moco_encoder_zero_gradients(step->lender);
        if (status == MOCO_OK) status = cleared;
    }
    step->open = 0;
    step->copied = 0;
    const moco_status ended = moco_encoder_end_step(momentum_encoder->key, undo);
    return status == MOCO_OK ? ended : status;
}

/* --- Equation 2 --- */

moco_status moco_momentum_encoder_update(moco_momentum_encoder *momentum_encoder) {
    MOCO_REQUIRE_POINTER(momentum_encoder);
    const moco_parameter_table *query = moco_encoder_parameters(momentum_encoder->query);
    const moco_parameter_table *key = moco_encoder_parameters(momentum_encoder->key);
    const double m = momentum_encoder->config.momentum;
    moco_context *context = momentum_encoder->context;
    if (momentum_encoder->step.open && !momentum_encoder->step.copied) {
        MOCO_TRY(copy_and_update(momentum_encoder));
        return moco_momentum_encoder_finish_update(momentum_encoder);
    }
    for (int64_t i = 0; i < key->learnable_runs; ++i) {
        MOCO_TRY(moco_momentum_update(context, &key->learnable[i].value, &query->learnable[i].value, m));
    }
    return moco_momentum_encoder_finish_update(momentum_encoder);
}

moco_status moco_momentum_encoder_finish_update(moco_momentum_encoder *momentum_encoder) {
    const moco_parameter_table *query = moco_encoder_parameters(momentum_encoder->query);
    const moco_parameter_table *key = moco_encoder_parameters(momentum_encoder->key);
    const double m = momentum_encoder->config.momentum;
    moco_context *context = momentum_encoder->context;
    const int32_t policy = momentum_encoder->config.bn_buffers;
    for (int64_t i = 0; i < key->buffer_runs && policy != MOCO_BN_BUFFERS_OWN; ++i) {
        if (policy == MOCO_BN_BUFFERS_COPY) {
            MOCO_TRY(moco_tensor_copy(context, &key->buffers[i].value, &query->buffers[i].value));
        } else {
            MOCO_TRY(moco_momentum_update(context, &key->buffers[i].value, &query->buffers[i].value, m));
        }
    }
    if (policy == MOCO_BN_BUFFERS_COPY) {
        MOCO_TRY(moco_encoder_set_batches_tracked(momentum_encoder->key,
                                                  moco_encoder_batches_tracked(momentum_encoder->query)));
    }
    moco_encoder_parameters_changed(momentum_encoder->key);
    return MOCO_OK;
}

/* --- Encoding, section 3.3: shuffled BatchNorm --- */

static void draw_permutation(const moco_momentum_encoder *momentum_encoder, int64_t count, int64_t n,
                             int64_t *permutation) {
    moco_random random;
    moco_random_init(&random, momentum_encoder->config.seed, MOCO_RANDOM_SHUFFLE_BN, 0, (uint64_t) count);
    moco_random_permutation(&random, n, permutation);
}

static moco_status make_room(moco_momentum_encoder *momentum_encoder, const moco_tensor *images,
                             const moco_tensor *keys) {
    moco_context *context = momentum_encoder->context;
    const int64_t n = images->dims[0];
    if (n > momentum_encoder->permutation_capacity) {
        int64_t *larger = (int64_t *) moco_allocate_zeroed(context, 2 * (size_t) n, sizeof *larger);
        if (larger == NULL) return MOCO_OUT_OF_MEMORY;
        moco_deallocate(context, momentum_encoder->permutation);
        momentum_encoder->permutation = larger;
        momentum_encoder->permutation_capacity = n;
    }
    MOCO_TRY(moco_grown_buffer_reserve(&momentum_encoder->shuffled_images, context, moco_tensor_bytes(images)));
    return moco_grown_buffer_reserve(&momentum_encoder->shuffled_keys, context, moco_tensor_bytes(keys));
}

static moco_status encode_shuffled(moco_momentum_encoder *momentum_encoder, const moco_tensor *images,
                                   const moco_tensor *keys) {
    moco_context *context = momentum_encoder->context;
    const int64_t n = images->dims[0];
    MOCO_TRY(make_room(momentum_encoder, images, keys));
    int64_t *permutation = momentum_encoder->permutation;
    int64_t *inverse = permutation + n;
    draw_permutation(momentum_encoder, momentum_encoder->encode_count, n, permutation);
    for (int64_t i = 0; i < n; ++i) inverse[permutation[i]] = i;

    moco_tensor shuffled_images = *images;
    moco_tensor shuffled_keys = *keys;
    shuffled_images.buffer = momentum_encoder->shuffled_images.buffer;
    shuffled_images.offset = 0;
    shuffled_keys.buffer = momentum_encoder->shuffled_keys.buffer;
    shuffled_keys.offset = 0;
    MOCO_TRY(moco_gather_rows(context, &shuffled_images, images, permutation, n));
    MOCO_TRY(moco_encoder_forward_tensor(momentum_encoder->key, MOCO_MODE_TRAIN_KEY, &shuffled_images, &shuffled_keys));
    return moco_gather_rows(context, keys, &shuffled_keys, inverse, n);
}

moco_status moco_momentum_encoder_encode_tensor(moco_momentum_encoder *momentum_encoder, const moco_tensor *images,
                                                const moco_tensor *keys) {
    if (momentum_encoder->config.shuffle) {
        MOCO_TRY(encode_shuffled(momentum_encoder, images, keys));
    } else {
        MOCO_TRY(moco_encoder_forward_tensor(momentum_encoder->key, MOCO_MODE_TRAIN_KEY, images, keys));
    }
    if (momentum_encoder->encode_count < INT64_MAX) momentum_encoder->encode_count++;
    return MOCO_OK;
}

moco_status moco_momentum_encoder_encode(moco_momentum_encoder *momentum_encoder, const float *images, int64_t n,
                                         int64_t h, int64_t w, float *keys) {
    MOCO_REQUIRE_POINTER(momentum_encoder);
    MOCO_REQUIRE_POINTER(images);
    MOCO_REQUIRE_POINTER(keys);
    const int64_t channels = moco_encoder_channels(momentum_encoder->key);
    const int64_t dim = moco_encoder_embedding_dim(momentum_encoder->key);
    MOCO_TRY(moco_require_image_shape(n, channels, h, w));
    MOCO_TRY(moco_require_image_shape(n, dim, 1, 1));
    const int64_t image_dims[4] = {n, channels, h, w};
    const int64_t key_dims[4] = {n, dim, 1, 1};
    moco_context *context = momentum_encoder->context;
    moco_host_tensor input;
    moco_host_tensor output;
    MOCO_TRY(moco_host_tensor_input(&input, context, images, image_dims));
    moco_momentum_encoder_retain(momentum_encoder);
    moco_status status = moco_host_tensor_output(&output, context, keys, key_dims);
    if (status == MOCO_OK) {
        status = moco_momentum_encoder_encode_tensor(momentum_encoder, &input.tensor, &output.tensor);
        if (status == MOCO_OK) status = moco_host_tensor_fetch(&output, context, keys);
        moco_host_tensor_release(&output, context);
    }
    moco_host_tensor_release(&input, context);
    moco_momentum_encoder_release(momentum_encoder);
    return status;
}

moco_status moco_momentum_encoder_permutation(const moco_momentum_encoder *momentum_encoder, int64_t count, int64_t n,
                                              int64_t *permutation) {
    MOCO_REQUIRE_POINTER(momentum_encoder);
    MOCO_REQUIRE_POINTER(permutation);
    MOCO_REQUIRE(count >= 0, "count is %lld; it must be at least 0", (long long) count);
    MOCO_REQUIRE(n >= 1, "n is %lld; it must be at least 1", (long long) n);
    size_t bytes;
    MOCO_TRY(moco_checked_bytes(n, sizeof(int64_t), "the size of the permutation", &bytes));
    if (momentum_encoder->config.shuffle) {
        draw_permutation(momentum_encoder, count, n, permutation);
    } else {
        for (int64_t i = 0; i < n; ++i) permutation[i] = i;
    }
    return MOCO_OK;
}

/* --- Getters and setters --- */

double moco_momentum_encoder_momentum(const moco_momentum_encoder *momentum_encoder) {
    return momentum_encoder == NULL ? 0.0 : momentum_encoder->config.momentum;
}

moco_status moco_momentum_encoder_set_momentum(moco_momentum_encoder *momentum_encoder, double momentum) {
    MOCO_REQUIRE_POINTER(momentum_encoder);
    MOCO_TRY(check_momentum(momentum));
    momentum_encoder->config.momentum = momentum;
    return MOCO_OK;
}

int64_t moco_momentum_encoder_encode_count(const moco_momentum_encoder *momentum_encoder) {
    return momentum_encoder == NULL ? 0 : momentum_encoder->encode_count;
}

moco_status moco_momentum_encoder_set_encode_count(moco_momentum_encoder *momentum_encoder, int64_t count) {
    MOCO_REQUIRE_POINTER(momentum_encoder);
    MOCO_REQUIRE(count >= 0, "count is %lld; it must be at least 0", (long long) count);
    momentum_encoder->encode_count = count;
    return MOCO_OK;
}

moco_encoder *moco_momentum_encoder_key_encoder(moco_momentum_encoder *momentum_encoder) {
    return momentum_encoder == NULL ? NULL : momentum_encoder->key;
}

moco_encoder *moco_momentum_encoder_encoder(moco_momentum_encoder *momentum_encoder) {
    return moco_momentum_encoder_key_encoder(momentum_encoder);
}

moco_encoder *moco_momentum_encoder_query(moco_momentum_encoder *momentum_encoder) {
    return momentum_encoder->query;
}

const moco_momentum_encoder_config *moco_momentum_encoder_configuration(const moco_momentum_encoder *momentum_encoder) {
    return &momentum_encoder->config;
}

int32_t moco_momentum_encoder_takes_buffers(const moco_momentum_encoder *momentum_encoder) {
    return momentum_encoder->config.bn_buffers != MOCO_BN_BUFFERS_OWN;
}
