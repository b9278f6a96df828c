/* Files of each version of the layout that there was still bring a trainer back. Their content is known from a reader that
 * is not ours: make_checkpoint.sh prints what Python's struct finds in them.
 *   test_old_checkpoints write FILE    writes one of the version of today
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/checkpoint_subject.h"

#define FIRST_STEPS 7

static void assert_ok(moco_status status) {
    if (status != MOCO_OK) fail_msg("status %d: %s", status, moco_last_error());
}

/* The first and the last value of a parameter. */
static void assert_ends(const moco_encoder *encoder, const char *name, float first, float last) {
    int64_t index = -1;
    moco_parameter_info info = {.struct_size = sizeof info};
    static float values[8 * 3 * LOADER_SIZE * LOADER_SIZE];
    assert_ok(moco_encoder_find_parameter(encoder, name, &index));
    assert_ok(moco_encoder_parameter_info(encoder, index, &info));
    assert_true(info.elements <= (int64_t) (sizeof values / sizeof values[0]));
    assert_ok(moco_encoder_read_parameter(encoder, index, values));
    assert_true(values[0] == first && values[info.elements - 1] == last);
}

static void version_1(void **state) {
    (void) state;
    subject s;
    char value[8];
    const char *const path = MOCO_TEST_DATA_DIR "/../resume/checkpoint_v1.safetensors";
    assert_ok(subject_open(&s, 5));
    const moco_status status = moco_trainer_restore(s.parts.trainer, path);
    if (status == MOCO_UNSUPPORTED && strstr(moco_last_error(), "Jansson") != NULL) {
        subject_close(&s);
        skip();
    }
    assert_ok(status);
    assert_ok(moco_file_metadata(s.parts.context, path, "test.note", value, sizeof value, NULL));
    assert_string_equal(value, "seven");

    assert_int_equal(moco_trainer_step_count(s.parts.trainer), FIRST_STEPS);
    assert_int_equal(moco_optimizer_step_count(s.parts.optimizer), FIRST_STEPS);
    assert_int_equal(moco_momentum_encoder_encode_count(s.parts.momentum_encoder), FIRST_STEPS);
    assert_int_equal(moco_encoder_batches_tracked(s.parts.encoder), FIRST_STEPS);
    assert_int_equal(moco_queue_position(s.parts.queue), 4);
    assert_int_equal(moco_queue_filled(s.parts.queue), 12);
    assert_true(moco_loss_temperature(s.parts.loss) == 0.2);
    assert_true(moco_optimizer_learning_rate(s.parts.optimizer) == 0x1.a389df3c2312ep-6);
    assert_true(moco_momentum_encoder_momentum(s.parts.momentum_encoder) == 0x1.fbd46a05d2afcp-1);
    const moco_encoder *f_k = moco_momentum_encoder_key_encoder(s.parts.momentum_encoder);
    assert_ends(s.parts.encoder, "layers.0.weight", -0x1.7cdcd8p-5f, 0x1.50ea90p-5f);
    assert_ends(s.parts.encoder, "layers.1.running_var", 0x1.2c8d9ep-1f, 0x1.adddd6p-1f);
    assert_ends(f_k, "layers.0.weight", -0x1.7ba2cep-5f, 0x1.514dd8p-5f);
    assert_ends(f_k, "layers.1.running_mean", 0x1.28ae9cp-6f, 0x1.e79154p-6f);
    float velocity[4], keys[12 * 4];
    int64_t ids[12];
    int64_t bias = -1;
    assert_ok(moco_encoder_find_parameter(s.parts.encoder, "fc.bias", &bias));
    assert_ok(moco_optimizer_read_state(s.parts.optimizer, bias, velocity));
    assert_true(velocity[0] == 0x1.905d42p+0f && velocity[3] == -0x1.1abeecp-2f);
    assert_ok(moco_queue_read(s.parts.queue, 0, 12, keys, ids));
    assert_true(keys[0] == -0x1.5cp-1f && keys[12 * 4 - 1] == -0x1.2p-5f);
    assert_true(ids[0] == 8 && ids[11] == 16);
    moco_parameter_info info = {.struct_size = sizeof info};
    assert_ok(moco_encoder_parameter_info(s.parts.encoder, 0, &info));
    assert_int_equal(info.flags, 0);

    assert_ok(moco_trainer_run(s.parts.trainer, NULL, 0, 12, NULL, NULL));
    assert_int_equal(moco_trainer_step_count(s.parts.trainer), 12);
    subject_close(&s);
}

static int write_one(const char *path) {
    subject s;
    const char *const key = "test.note", *const value = "seven";
    moco_status status = subject_open(&s, 0);
    if (status == MOCO_OK) status = moco_trainer_run(s.parts.trainer, NULL, 0, FIRST_STEPS, NULL, NULL);
    if (status == MOCO_OK) status = moco_trainer_save(s.parts.trainer, path, &key, &value, 1);
    if (status != MOCO_OK) fprintf(stderr, "%s\n", moco_last_error());
    subject_close(&s);
    return status != MOCO_OK;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "write") == 0) return write_one(argv[2]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(version_1)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
