/* Backends that a host brings in moco_context_config.backends: one that takes linear layers alone and passes the rest on,
 * in whole training steps; tables that are refused; a chain of a device's memory.
 */
#include "support/encoder_fixture.h"

#include "support/exact_linear.h"
#include "support/training_parts.h"

#include "backend/backend_chain.h"
#include "backend/planned_layer.h"

#define N     8
#define SIDE  16
#define STEPS 3

/* --- A backend with linear layers only --- */

typedef struct linear_backend {
    moco_context *context;
} linear_backend;

struct moco_layer {
    moco_layer_desc desc;
};

static struct { int32_t alive, layers, refused, forward, backward, synchronized; } counts;

static moco_status linear_create(void **self, moco_context *context) {
    linear_backend *backend = (linear_backend *) malloc(sizeof *backend);
    if (backend == NULL) return MOCO_OUT_OF_MEMORY;
    backend->context = context;
    counts.alive++;
    *self = backend;
    return MOCO_OK;
}

static void linear_destroy(void *self) {
    counts.alive--;
    free(self);
}

static moco_status linear_layer_create(void *self, const moco_layer_desc *desc, moco_layer **layer,
                                       moco_layer_info *info) {
    (void) self;
    assert_int_equal(desc->struct_size, sizeof *desc);
    assert_int_equal(info->struct_size, sizeof *info);
    if (desc->kind != MOCO_LAYER_LINEAR || desc->dtype != MOCO_DTYPE_F32) {
        counts.refused++;
        return MOCO_UNSUPPORTED;
    }
    moco_layer *created = (moco_layer *) malloc(sizeof *created);
    if (created == NULL) return MOCO_OUT_OF_MEMORY;
    created->desc = *desc;
    info->wanted_input_layout = info->output_layout = MOCO_LAYOUT_PLAIN;
    info->output_bytes = (uint64_t) (desc->output.dims[0] * desc->output.dims[1]) * sizeof(float);
    info->backward_needs_inputs = 1 << MOCO_INPUT;
    info->backward_needs_y = desc->epilogue == MOCO_EPILOGUE_RELU;
    counts.layers++;
    *layer = created;
    return MOCO_OK;
}

static void linear_layer_destroy(void *self, moco_layer *layer) {
    (void) self;
    counts.layers--;
    free(layer);
}

static exact_linear call_of(void *self, const moco_layer *layer, const moco_layer_args *args) {
    moco_context *context = ((linear_backend *) self)->context;
    const exact_linear call = {
        .n = layer->desc.output.dims[0],
        .c = layer->desc.inputs[MOCO_INPUT].dims[1],
        .out_c = layer->desc.of.linear.out_c,
        .relu = layer->desc.epilogue == MOCO_EPILOGUE_RELU,
        .accumulate = args->accumulate,
        .x = exact_linear_array(context, &args->inputs[MOCO_INPUT]),
        .weight = exact_linear_array(context, &args->parameters[MOCO_WEIGHT]),
        .bias = exact_linear_array(context, &args->parameters[MOCO_BIAS]),
        .y_kept = exact_linear_array(context, &args->y),
        .dy = exact_linear_array(context, &args->dy),
        .y = exact_linear_array(context, &args->y),
        .dx = exact_linear_array(context, &args->d_inputs[MOCO_INPUT]),
        .dweight = exact_linear_array(context, &args->d_parameters[MOCO_WEIGHT]),
        .dbias = exact_linear_array(context, &args->d_parameters[MOCO_BIAS]),
    };
    return call;
}

static moco_status linear_layer_forward(void *self, moco_layer *layer, const moco_layer_args *args) {
    const exact_linear call = call_of(self, layer, args);
    exact_linear_forward(&call);
    counts.forward++;
    return MOCO_OK;
}

static moco_status linear_layer_backward(void *self, moco_layer *layer, const moco_layer_args *args) {
    const exact_linear call = call_of(self, layer, args);
    exact_linear_backward(&call);
    counts.backward++;
    return MOCO_OK;
}

static moco_status linear_synchronize(void *self) {
    (void) self;
    counts.synchronized++;
    return MOCO_OK;
}

static const moco_backend_ops linear_ops = {
    .struct_size = sizeof linear_ops,
    .abi_version = MOCO_BACKEND_VERSION,
    .name = "my linear",
    .memory = MOCO_MEMORY_HOST,
    .create = linear_create,
    .destroy = linear_destroy,
    .layer_create = linear_layer_create,
    .layer_destroy = linear_layer_destroy,
    .layer_forward = linear_layer_forward,
    .layer_backward = linear_layer_backward,
    .synchronize = linear_synchronize,
};

/* --- Whole training steps --- */

typedef struct outcome {
    double loss[STEPS];
    uint64_t query, key;
} outcome;

static outcome train(const moco_backend_ops *const *backends) {
    outcome result;
    training_parts parts;
    training_configs configs = small_training("reference", 2);
    configs.context.backends = backends;
    configs.encoder.head = MOCO_HEAD_MLP;
    assert_ok(training_create(&parts, &configs));
    assert_string_equal(moco_context_backend(parts.context), backends == NULL ? "reference" : "my linear");
    for (int32_t step = 0; step < STEPS; ++step) {
        float *query = hashed_floats((uint32_t) (STREAM_IMAGES + 2 * step), N * 3 * SIDE * SIDE, 1.0);
        float *key = hashed_floats((uint32_t) (STREAM_IMAGES + 2 * step + 1), N * 3 * SIDE * SIDE, 1.0);
        moco_step_stats stats;
        moco_step_stats_init(&stats, sizeof stats);
        assert_ok(moco_trainer_step(parts.trainer, query, key, NULL, N, SIDE, SIDE, &stats));
        result.loss[step] = stats.loss;
        free(query), free(key);
    }
    result.query = encoder_checksum(parts.encoder);
    result.key = encoder_checksum(moco_momentum_encoder_encoder(parts.momentum_encoder));
    training_destroy(&parts);
    return result;
}

static void a_host_takes_linear_layers_and_no_bit_changes(void **state) {
    (void) state;
    const moco_backend_ops *const backends[] = {&linear_ops, NULL};
    const outcome without = train(NULL);
    memset(&counts, 0, sizeof counts);
    const outcome with = train(backends);
    for (int32_t step = 0; step < STEPS; ++step) assert_true(without.loss[step] == with.loss[step]);
    assert_true(without.query == with.query && without.key == with.key);
    assert_int_equal(counts.forward, STEPS * 4); /* two linear layers in each of two encoders */
    assert_int_equal(counts.backward, STEPS * 2);
    assert_true(counts.refused > 0);
    assert_int_equal(counts.layers, 0);
    assert_int_equal(counts.alive, 0);
}

/* Its place in the chain: before the library's, of which the one that is named is the first. */
static void the_library_follows(void **state) {
    (void) state;
    moco_context_config config;
    moco_context *context = NULL;
    const moco_backend_ops *const backends[] = {&linear_ops, NULL};
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.backends = backends;
    config.backend = "none of these";
    memset(&counts, 0, sizeof counts);
    assert_status(MOCO_NOT_FOUND, moco_context_create(&context, &config));
    assert_int_equal(counts.alive, 0);
    config.backend = "cblas";
    assert_ok(moco_context_create(&context, &config));
    assert_string_equal(moco_context_backend(context), "my linear");
    const moco_layer_desc relu = {.struct_size = sizeof relu,
                                  .kind = MOCO_LAYER_RELU,
                                  .input_count = 1,
                                  .inputs = {{.rank = 2, .dims = {2, 3, 1, 1}}}};
    moco_planned_layer layer;
    assert_ok(moco_layer_plan(context, &relu, &layer));
    assert_string_equal(layer.ops->name, "cblas");
    moco_layer_release(&layer);
    assert_int_equal(counts.synchronized, 0);
    assert_ok(moco_backend_synchronize(context));
    assert_int_equal(counts.synchronized, 1);
    assert_status(MOCO_INVALID_ARGUMENT, moco_backend_synchronize(NULL));
    moco_context_destroy(context);
    assert_int_equal(counts.alive, 0);
}

static void addresses_of_tensors(void **state) {
    (void) state;
    moco_context *context = make_context("reference", 1);
    float values[32];
    void *buffer = NULL, *address = NULL;
    assert_ok(moco_buffer_wrap(context, values, sizeof values, &buffer));
    const moco_tensor tensor = moco_tensor_1d(buffer, 64, MOCO_DTYPE_F32, 16);
    assert_ok(moco_backend_map(context, &tensor, 0, &address));
    assert_ptr_equal(address, values + 16);
    moco_backend_unmap(context, &tensor, address);
    assert_ok(moco_backend_map(context, &tensor, 64, &address));
    assert_status(MOCO_INTERNAL, moco_backend_map(context, &tensor, 65, &address));
    const moco_tensor beyond = moco_tensor_1d(buffer, 64, MOCO_DTYPE_F32, 17), none = moco_tensor_none();
    assert_status(MOCO_INTERNAL, moco_backend_map(context, &beyond, 0, &address));
    assert_status(MOCO_INVALID_ARGUMENT, moco_backend_map(context, &none, 0, &address));
    assert_status(MOCO_INVALID_ARGUMENT, moco_backend_map(NULL, &tensor, 0, &address));
    moco_backend_unmap(context, &none, NULL);
    moco_buffer_destroy(context, buffer);
    moco_context_destroy(context);
}

/* Where tensors are placed in buffers follows the strictest backend. */
static void a_backend_may_want_more_alignment(void **state) {
    (void) state;
    moco_backend_ops strict = linear_ops;
    const moco_backend_ops *const backends[] = {&strict, NULL};
    moco_context_config config;
    moco_context *context = NULL;
    strict.buffer_alignment = 256;
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.backends = backends;
    assert_ok(moco_context_create(&context, &config));
    assert_int_equal(moco_buffer_alignment(context), 256);
    moco_context_destroy(context);
    context = make_context("reference", 1);
    assert_int_equal(moco_buffer_alignment(context), 64);
    moco_context_destroy(context);
}

/* --- Refusals --- */

static void refuse(const moco_backend_ops *const *backends, moco_status status, const char *part) {
    moco_context_config config;
    moco_context *context = NULL;
    memset(&counts, 0, sizeof counts);
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.backends = backends;
    const moco_status actual = moco_context_create(&context, &config);
    if (actual != status || strstr(moco_last_error(), part) == NULL) {
        fail_msg("status %d, expected %d; \"%s\" must contain \"%s\"", actual, status, moco_last_error(), part);
    }
    assert_null(context);
    assert_int_equal(counts.alive, 0);
}

#define REFUSE(change, status, part)                                          \
    do {                                                                      \
        moco_backend_ops bad = linear_ops;                                    \
        const moco_backend_ops *const with_bad[] = {&linear_ops, &bad, NULL}; \
        change;                                                               \
        refuse(with_bad, status, part);                                       \
    } while (0)

static void tables_that_make_no_sense(void **state) {
    (void) state;
    REFUSE(bad.struct_size = 8, MOCO_INVALID_ARGUMENT, "backends[1]->struct_size is 8");
    REFUSE(bad.abi_version = 3, MOCO_UNSUPPORTED, "backends[1]->abi_version is 3");
    REFUSE(bad.abi_version = 0, MOCO_UNSUPPORTED, "backends[1]->abi_version is 0");
    REFUSE(bad.name = NULL, MOCO_INVALID_ARGUMENT, "backends[1]->name is NULL");
    REFUSE(bad.create = NULL, MOCO_INVALID_ARGUMENT, "create or destroy");
    REFUSE(bad.destroy = NULL, MOCO_INVALID_ARGUMENT, "create or destroy");
    REFUSE(bad.memory = 2, MOCO_INVALID_ARGUMENT, "backends[1]->memory is 2");
    REFUSE(bad.memory = MOCO_MEMORY_DEVICE, MOCO_INVALID_ARGUMENT,
           "backends[1] ('my linear') works in a device's memory");
    REFUSE(bad.layer_destroy = NULL, MOCO_INVALID_ARGUMENT, "lacks layer_destroy");
    REFUSE(bad.layer_forward = NULL, MOCO_INVALID_ARGUMENT, "layer_forward");
    REFUSE(bad.layer_backward = NULL, MOCO_INVALID_ARGUMENT, "layer_backward");
    REFUSE(bad.buffer_alignment = 96, MOCO_INVALID_ARGUMENT, "buffer_alignment is 96");
    REFUSE(bad.buffer_alignment = 32, MOCO_INVALID_ARGUMENT, "buffer_alignment is 32");
    const moco_backend_ops *many[40];
    for (int i = 0; i < 39; ++i) many[i] = &linear_ops;
    many[39] = NULL;
    refuse(many, MOCO_INVALID_ARGUMENT, "entries");
    /* A table of a later library is taken as long as it uses nothing that this one doesn't know. */
    struct {
        moco_backend_ops ops;
        uint64_t later;
    } longer = {linear_ops, 0};
    longer.ops.struct_size = sizeof longer;
    const moco_backend_ops *const with_longer[] = {&longer.ops, NULL};
    (void) train(with_longer);
    longer.later = 1;
    refuse(with_longer, MOCO_UNSUPPORTED, "all that this library knows");
}

static moco_status cannot_run(void **self, moco_context *context) {
    (void) self;
    (void) context;
    return MOCO_UNSUPPORTED;
}

static void one_that_cannot_run_is_left_out(void **state) {
    (void) state;
    moco_backend_ops absent = linear_ops;
    absent.create = cannot_run;
    absent.memory = MOCO_MEMORY_DEVICE; /* a card that is not there: the processor does it */
    const moco_backend_ops *const backends[] = {&absent, &linear_ops, NULL};
    memset(&counts, 0, sizeof counts);
    (void) train(backends);
    assert_true(counts.forward > 0);
}

/* --- A device's memory: the library's own backends can't follow, so that the last must be complete --- */

static moco_status device_buffer_create(void *self, uint64_t bytes, void **buffer) {
    (void) self;
    *buffer = malloc((size_t) bytes + 1);
    return *buffer == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
}

static void device_buffer_destroy(void *self, void *buffer) {
    (void) self;
    free(buffer);
}

static moco_status device_upload(void *self, void *buffer, uint64_t offset, const void *source, uint64_t bytes) {
    (void) self;
    memcpy((char *) buffer + offset, source, (size_t) bytes);
    return MOCO_OK;
}

static moco_status device_download(void *self, const void *buffer, uint64_t offset, void *target, uint64_t bytes) {
    (void) self;
    memcpy(target, (const char *) buffer + offset, (size_t) bytes);
    return MOCO_OK;
}

static moco_status device_copy(void *self, void *target, uint64_t to, const void *source, uint64_t from,
                               uint64_t bytes) {
    (void) self;
    memmove((char *) target + to, (const char *) source + from, (size_t) bytes);
    return MOCO_OK;
}

static moco_status device_fill_zero(void *self, void *buffer, uint64_t offset, uint64_t bytes) {
    (void) self;
    memset((char *) buffer + offset, 0, (size_t) bytes);
    return MOCO_OK;
}

static moco_status device_gather(void *self, const moco_tensor *target, const moco_tensor *source, const int64_t *rows,
                                 int64_t n) {
    (void) self, (void) target, (void) source, (void) rows, (void) n;
    return MOCO_BACKEND;
}

static moco_status device_finite(void *self, const moco_tensor *tensor, int32_t *finite, int64_t *first) {
    (void) self, (void) tensor, (void) finite, (void) first;
    return MOCO_BACKEND;
}

static moco_status device_two(void *self, const moco_tensor *target, const moco_tensor *source) {
    (void) self, (void) target, (void) source;
    return MOCO_BACKEND;
}

static moco_status device_lerp(void *self, const moco_tensor *target, const moco_tensor *source, double m) {
    (void) self, (void) target, (void) source, (void) m;
    return MOCO_BACKEND;
}

static moco_status device_sgd(void *self, const moco_sgd_args *args) {
    (void) self, (void) args;
    return MOCO_BACKEND;
}

static moco_status device_info_nce(void *self, moco_info_nce_args *args) {
    (void) self, (void) args;
    return MOCO_BACKEND;
}

static moco_status device_update(void *self, const moco_update_args *args) {
    (void) self, (void) args;
    return MOCO_BACKEND;
}

static moco_status device_norms(void *self, const moco_tensor *tensors, int64_t count, double *norms) {
    (void) self, (void) tensors, (void) count, (void) norms;
    return MOCO_BACKEND;
}

static moco_backend_ops device_table(void) {
    moco_backend_ops table = linear_ops;
    table.name = "my device";
    table.memory = MOCO_MEMORY_DEVICE;
    table.buffer_create = device_buffer_create;
    table.buffer_destroy = device_buffer_destroy;
    table.upload = device_upload;
    table.download = device_download;
    table.copy = device_copy;
    table.fill_zero = device_fill_zero;
    table.gather_rows = device_gather;
    table.all_finite = device_finite;
    table.add = device_two;
    table.momentum_update = device_lerp;
    table.sgd_update = device_sgd;
    table.info_nce = device_info_nce;
    table.convert = device_two;
    table.update = device_update;
    table.norms = device_norms;
    return table;
}

#define REFUSE_WITHOUT(member)                                                                        \
    do {                                                                                              \
        moco_backend_ops incomplete = device_table();                                                 \
        const moco_backend_ops *const alone[] = {&incomplete, NULL};                                  \
        incomplete.member = NULL;                                                                     \
        refuse(alone, MOCO_INVALID_ARGUMENT, "ends in 'my device', which lacks the member " #member); \
    } while (0)

/* The library's backends, which come behind, know no buffers but their own. */
static void host_memory_is_the_librarys(void **state) {
    (void) state;
    REFUSE(bad.buffer_create = device_buffer_create, MOCO_INVALID_ARGUMENT, "has the member buffer_create");
    REFUSE(bad.buffer_destroy = device_buffer_destroy, MOCO_INVALID_ARGUMENT, "has the member buffer_destroy");
    REFUSE(bad.upload = device_upload, MOCO_INVALID_ARGUMENT, "has the member upload");
    REFUSE(bad.download = device_download, MOCO_INVALID_ARGUMENT, "has the member download");
    REFUSE(bad.copy = device_copy, MOCO_INVALID_ARGUMENT, "has the member copy");
    REFUSE(bad.fill_zero = device_fill_zero, MOCO_INVALID_ARGUMENT, "has the member fill_zero");
}

static void a_device_must_be_complete(void **state) {
    (void) state;
    REFUSE_WITHOUT(buffer_create);
    REFUSE_WITHOUT(buffer_destroy);
    REFUSE_WITHOUT(upload);
    REFUSE_WITHOUT(download);
    REFUSE_WITHOUT(copy);
    REFUSE_WITHOUT(fill_zero);
    REFUSE_WITHOUT(gather_rows);
    REFUSE_WITHOUT(all_finite);
    REFUSE_WITHOUT(add);
    REFUSE_WITHOUT(layer_create);
    REFUSE_WITHOUT(momentum_update);
    REFUSE_WITHOUT(sgd_update);
    REFUSE_WITHOUT(info_nce);
    REFUSE_WITHOUT(convert);
    REFUSE_WITHOUT(update);
    REFUSE_WITHOUT(norms);
}

static void a_device_is_a_chain_of_its_own(void **state) {
    (void) state;
    const moco_backend_ops device = device_table();
    const moco_backend_ops *const backends[] = {&device, NULL};
    moco_context_config config;
    moco_context *context = NULL;
    memset(&counts, 0, sizeof counts);
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.backends = backends;
    config.backend = "reference"; /* asked for by name, it can't follow */
    assert_status(MOCO_INVALID_ARGUMENT, moco_context_create(&context, &config));
    config.backend = NULL;
    assert_ok(moco_context_create(&context, &config));
    assert_string_equal(moco_context_backend(context), "my device");
    void *buffer = NULL, *address = NULL;
    float values[4] = {1.0f, 2.0f, 3.0f, 4.0f}, back[4] = {0.0f};
    assert_status(MOCO_UNSUPPORTED, moco_buffer_wrap(context, values, sizeof values, &buffer));
    assert_ok(moco_buffer_create(context, sizeof values, &buffer));
    const moco_tensor tensor = moco_tensor_1d(buffer, 0, MOCO_DTYPE_F32, 4);
    assert_ok(moco_tensor_upload(context, &tensor, values));
    assert_ok(moco_tensor_download(context, &tensor, back));
    assert_memory_equal(values, back, sizeof values);
    assert_status(MOCO_UNSUPPORTED, moco_backend_map(context, &tensor, 0, &address));
    /* What it refuses is nobody's: a layer of another kind, an operator. */
    const moco_layer_desc relu = {.struct_size = sizeof relu,
                                  .kind = MOCO_LAYER_RELU,
                                  .input_count = 1,
                                  .inputs = {{.rank = 1, .dims = {4, 1, 1, 1}}}};
    moco_planned_layer layer;
    assert_status(MOCO_UNSUPPORTED, moco_layer_plan(context, &relu, &layer));
    assert_int_equal(moco_momentum_update(context, &tensor, &tensor, 0.5), MOCO_BACKEND);
    moco_buffer_destroy(context, buffer);
    moco_context_destroy(context);
    assert_int_equal(counts.alive, 0);
}

/* --- A backend that asks the context while it is made --- */

static moco_status asking_create(void **self, moco_context *context) {
    float values[4] = {0};
    void *buffer = NULL;
    assert_string_equal(moco_context_backend(context), "");
    assert_ok(moco_backend_synchronize(context));
    assert_status(MOCO_UNSUPPORTED, moco_buffer_wrap(context, values, sizeof values, &buffer));
    return linear_create(self, context);
}

static void the_context_answers_while_it_is_made(void **state) {
    (void) state;
    moco_backend_ops asking = linear_ops;
    const moco_backend_ops *const tables[] = {&asking, NULL};
    moco_context_config config;
    moco_context *context = NULL;
    asking.create = asking_create;
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.backends = tables;
    assert_ok(moco_context_create(&context, &config));
    moco_context_destroy(context);
    assert_int_equal(counts.alive, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_takes_linear_layers_and_no_bit_changes),
        cmocka_unit_test(the_library_follows),
        cmocka_unit_test(addresses_of_tensors),
        cmocka_unit_test(a_backend_may_want_more_alignment),
        cmocka_unit_test(tables_that_make_no_sense),
        cmocka_unit_test(one_that_cannot_run_is_left_out),
        cmocka_unit_test(host_memory_is_the_librarys),
        cmocka_unit_test(a_device_must_be_complete),
        cmocka_unit_test(a_device_is_a_chain_of_its_own),
        cmocka_unit_test(the_context_answers_while_it_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
