/* Configurations as programs set them up: by an initialiser, which is what the init function fills in, or not at all,
 * which is told without reading further than a struct can be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <moco.h>
#include <moco/sys/encoder_ops.h>

static void assert_same(const void *initialised, const void *filled, size_t bytes, const char *type) {
    if (memcmp(initialised, filled, bytes) != 0) fail_msg("%s's initialiser is not what its init fills in", type);
}

#define ASSERT_INITIALIZER(type, initializer)                           \
    do {                                                                \
        static const type initialised = initializer;                    \
        static type filled;                                             \
        memset(&filled, 0xA5, sizeof filled);                           \
        assert_int_equal(type##_init(&filled, sizeof filled), MOCO_OK); \
        assert_int_equal(initialised.struct_size, sizeof filled);       \
        assert_same(&initialised, &filled, sizeof filled, #type);       \
    } while (0)

static void initialisers_are_what_init_fills_in(void **state) {
    (void) state;
    ASSERT_INITIALIZER(moco_context_config, MOCO_CONTEXT_CONFIG_INITIALIZER);
    ASSERT_INITIALIZER(moco_encoder_custom_config, MOCO_ENCODER_CUSTOM_CONFIG_INITIALIZER);
    ASSERT_INITIALIZER(moco_momentum_encoder_config, MOCO_MOMENTUM_ENCODER_CONFIG_INITIALIZER);
    ASSERT_INITIALIZER(moco_queue_config, MOCO_QUEUE_CONFIG_INITIALIZER);
    ASSERT_INITIALIZER(moco_loss_config, MOCO_LOSS_CONFIG_INITIALIZER);
    ASSERT_INITIALIZER(moco_optimizer_config, MOCO_OPTIMIZER_CONFIG_INITIALIZER);
    ASSERT_INITIALIZER(moco_schedule, MOCO_SCHEDULE_INITIALIZER);
    ASSERT_INITIALIZER(moco_trainer_config, MOCO_TRAINER_CONFIG_INITIALIZER);
    ASSERT_INITIALIZER(moco_loader_config, MOCO_LOADER_CONFIG_INITIALIZER);
    ASSERT_INITIALIZER(moco_knn_config, MOCO_KNN_CONFIG_INITIALIZER);
    ASSERT_INITIALIZER(moco_knn_measure_config, MOCO_KNN_MEASURE_CONFIG_INITIALIZER);

    /* A string may be at two addresses. */
    const moco_encoder_config initialised = MOCO_ENCODER_CONFIG_INITIALIZER;
    moco_encoder_config encoder = initialised, filled;
    assert_int_equal(moco_encoder_config_init(&filled, sizeof filled), MOCO_OK);
    assert_string_equal(encoder.architecture, filled.architecture);
    assert_int_equal(encoder.struct_size, sizeof encoder);
    encoder.architecture = filled.architecture = NULL;
    assert_int_equal(encoder.stem == filled.stem && encoder.head == filled.head &&
                         encoder.embedding_dim == filled.embedding_dim &&
                         encoder.head_hidden_dim == filled.head_hidden_dim && encoder.channels == filled.channels &&
                         encoder.normalize == filled.normalize && encoder.bn_groups == filled.bn_groups &&
                         encoder.bn_layout == filled.bn_layout && encoder.mlp_input_dim == filled.mlp_input_dim &&
                         encoder.zero_init_residual == filled.zero_init_residual &&
                         encoder.mlp_hidden_dim == filled.mlp_hidden_dim && encoder.mlp_layers == filled.mlp_layers &&
                         encoder.compute_dtype == filled.compute_dtype && encoder.bn_momentum == filled.bn_momentum &&
                         encoder.bn_eps == filled.bn_eps && encoder.seed == filled.seed,
                     1);
}

/* What a stack may hold; each struct ends where its array does, so that the address sanitizer sees a byte too many. */
static void what_nobody_initialised_is_told(void **state) {
    (void) state;
    static const uint32_t garbage[] = {0, 1, 5000, 0x7FFFFFFF, 0xFFFFFFFF, 0xCCCCCCCC};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; ++i) {
        moco_context *context = NULL;
        moco_context_config config;
        memset(&config, 0xCC, sizeof config);
        config.struct_size = garbage[i];
        assert_int_equal(moco_context_create(&context, &config), MOCO_INVALID_ARGUMENT);
        assert_non_null(strstr(moco_last_error(), "moco_context_config_init"));
        assert_null(context);

        assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
        moco_encoder *encoder = NULL;
        moco_encoder_config network;
        memset(&network, 0xCC, sizeof network);
        network.struct_size = garbage[i];
        assert_int_equal(moco_encoder_create(&encoder, context, &network), MOCO_INVALID_ARGUMENT);
        assert_non_null(strstr(moco_last_error(), "moco_encoder_config_init"));
        moco_schedule schedule;
        memset(&schedule, 0xCC, sizeof schedule);
        schedule.struct_size = garbage[i];
        double rate = 3.0;
        assert_int_equal(moco_schedule_value(&schedule, 0, 1, &rate), MOCO_INVALID_ARGUMENT);
        assert_non_null(strstr(moco_last_error(), "moco_schedule_init"));
        assert_true(rate == 3.0);
        moco_encoder_ops ops;
        memset(&ops, 0xCC, sizeof ops);
        ops.struct_size = garbage[i];
        const moco_encoder_custom_config custom = MOCO_ENCODER_CUSTOM_CONFIG_INITIALIZER;
        assert_int_equal(moco_encoder_create_custom(&encoder, context, &ops, &ops, &custom), MOCO_INVALID_ARGUMENT);
        assert_non_null(strstr(moco_last_error(), "sizeof(moco_encoder_ops)"));
        moco_context_destroy(context);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initialisers_are_what_init_fills_in),
        cmocka_unit_test(what_nobody_initialised_is_told),
    };
    return cmocka_run_group_tests_name("config initializers", tests, NULL, NULL);
}
