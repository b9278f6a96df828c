/* Flags of parameters: which ones an encoder starts with, what freezing does, and the cuts that update rules go
 * through, against a list made parameter by parameter. */
#include "support/encoder_fixture.h"

#include <moco/momentum_encoder.h>

#include "backend/backend_chain.h"
#include "encoder/encoder_internal.h"

#define N   4
#define DIM 8

static moco_context *context;
static float *images;
static float *gradient;

static int setup(void **state) {
    (void) state;
    context = make_context(NULL, 1);
    images = hashed_floats(STREAM_IMAGES, N * 60, 1.0);
    gradient = hashed_floats(STREAM_GRADIENT, N * DIM, 1.0);
    return 0;
}

static int teardown(void **state) {
    (void) state;
    free(images);
    free(gradient);
    moco_context_destroy(context);
    return 0;
}

static moco_parameter_info info_of(const moco_encoder *encoder, int64_t index) {
    moco_parameter_info info = {.struct_size = sizeof info};
    assert_ok(moco_encoder_parameter_info(encoder, index, &info));
    return info;
}

static int64_t index_of(const moco_encoder *encoder, const char *name) {
    int64_t index = -1;
    assert_ok(moco_encoder_find_parameter(encoder, name, &index));
    return index;
}

static void set_flags(moco_encoder *encoder, const char *name, int32_t flags) {
    assert_ok(moco_encoder_set_parameter_flags(encoder, index_of(encoder, name), flags));
}

static void only_vectors_start_with_a_flag(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config);
    for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
        const moco_parameter_info info = info_of(encoder, i);
        const int32_t vector = info.kind == MOCO_PARAMETER_LEARNABLE &&
                               (ends_with(info.name, ".bias") || strstr(info.name, "bn") != NULL ||
                                ends_with(info.name, "downsample.1.weight"));
        assert_int_equal(vector ? MOCO_PARAMETER_VECTOR : 0, info.flags);
    }
    moco_encoder_destroy(encoder);
}

static void what_can_not_be_set_is_refused(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    moco_encoder *encoder = make_encoder(context, &config);
    const int64_t weight = index_of(encoder, "fc.weight"), bias = index_of(encoder, "fc.bias");
    const int64_t buffer = index_of(encoder, "layers.1.running_mean");
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_set_parameter_flags(NULL, weight, 0));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_set_parameter_flags(encoder, -1, 0));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_set_parameter_flags(encoder, buffer, MOCO_PARAMETER_FROZEN));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_set_parameter_flags(encoder, weight, MOCO_PARAMETER_VECTOR));
    assert_status(MOCO_INVALID_ARGUMENT, moco_encoder_set_parameter_flags(encoder, bias, 8));
    assert_int_equal(0, info_of(encoder, weight).flags);
    /* What info tells can be given back, with a bit more; VECTOR stays without being named. */
    assert_ok(moco_encoder_set_parameter_flags(encoder, bias, info_of(encoder, bias).flags | MOCO_PARAMETER_NO_DECAY));
    assert_int_equal(MOCO_PARAMETER_VECTOR | MOCO_PARAMETER_NO_DECAY, info_of(encoder, bias).flags);
    assert_ok(moco_encoder_set_parameter_flags(encoder, bias, 0));
    assert_int_equal(MOCO_PARAMETER_VECTOR, info_of(encoder, bias).flags);
    moco_encoder_destroy(encoder);
}

/* --- Freezing --- */

static void a_frozen_parameter_has_no_gradient(void **state) {
    (void) state;
    static const char *const frozen[] = {"conv1.weight", "layer1.0.bn1.bias"};
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config), *twin = make_encoder(context, &config);
    float out[N * DIM];
    for (int round = 0; round < 3; ++round) { /* frozen before the first backward, and with sums in the memory */
        for (int i = 0; i < 2; ++i) set_flags(encoder, frozen[i], round == 1 ? 0 : MOCO_PARAMETER_FROZEN);
        for (int pass = 0; pass < 2; ++pass) {
            moco_encoder *const net = pass == 0 ? encoder : twin;
            if (round == 1) assert_ok(moco_encoder_zero_gradients(net)); /* round 2 adds to round 1 */
            assert_ok(moco_encoder_forward(net, images, N, 4, 5, out));
            assert_ok(moco_encoder_backward(net, gradient, N));
        }
        for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
            const moco_parameter_info info = info_of(encoder, i);
            if (info.kind != MOCO_PARAMETER_LEARNABLE) continue;
            float *ours = (float *) malloc((size_t) info.elements * sizeof *ours);
            float *theirs = (float *) malloc((size_t) info.elements * sizeof *theirs);
            assert_ok(moco_encoder_read_gradient(encoder, i, ours));
            assert_ok(moco_encoder_read_gradient(twin, i, theirs));
            if ((info.flags & MOCO_PARAMETER_FROZEN) != 0) {
                for (int64_t j = 0; j < info.elements; ++j) assert_true(ours[j] == 0.0F);
            } else {
                assert_memory_equal(theirs, ours, (size_t) info.elements * sizeof *ours);
            }
            free(ours), free(theirs);
        }
    }
    moco_encoder_destroy(encoder);
    moco_encoder_destroy(twin);
}

static void a_clone_has_the_same_flags(void **state) {
    (void) state;
    moco_encoder_config config = small_config("mlp");
    moco_encoder *encoder = make_encoder(context, &config), *copy = NULL;
    set_flags(encoder, "layers.0.weight", MOCO_PARAMETER_FROZEN | MOCO_PARAMETER_NO_DECAY);
    assert_ok(moco_encoder_clone(&copy, encoder));
    for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
        assert_int_equal(info_of(encoder, i).flags, info_of(copy, i).flags);
    }
    set_flags(encoder, "layers.0.weight", 0);
    assert_int_equal(MOCO_PARAMETER_FROZEN | MOCO_PARAMETER_NO_DECAY,
                     info_of(copy, index_of(copy, "layers.0.weight")).flags);
    moco_encoder_destroy(encoder);
    moco_encoder_release(copy);
}

/* --- Cuts --- */

static void without_flags_a_network_is_one_cut(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config);
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    const int32_t masks[2] = {0, MOCO_PARAMETER_NO_DECAY | MOCO_PARAMETER_FROZEN};
    for (int i = 0; i < 2; ++i) {
        moco_parameter_cut *cuts = NULL;
        int64_t count = 0;
        assert_ok(moco_parameter_cuts(context, table, masks[i], &cuts, &count));
        assert_int_equal(1, count);
        assert_int_equal(0, cuts[0].flags);
        const moco_tensor part = moco_cut_part(&table->learnable[0].value, &cuts[0]);
        assert_memory_equal(&table->learnable[0].value, &part, sizeof part);
        moco_deallocate(context, cuts);
    }
    moco_encoder_destroy(encoder);
}

/* The cuts go through the run without a hole, neighbours differ, and each parameter lies in a cut of its own flags. */
static void cuts_follow_the_flags(void **state) {
    (void) state;
    moco_encoder_config config = small_config("cifar_resnet8");
    moco_encoder *encoder = make_encoder(context, &config);
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    const uint64_t version = table->flags_version;
    set_flags(encoder, "layer2.0.conv1.weight", MOCO_PARAMETER_FROZEN);
    set_flags(encoder, "layer2.0.bn1.weight", MOCO_PARAMETER_FROZEN);
    set_flags(encoder, "fc.weight", MOCO_PARAMETER_NO_DECAY);
    assert_true(table->flags_version > version);
    for (int32_t mask = 0; mask < 8; ++mask) {
        moco_parameter_cut *cuts = NULL;
        int64_t count = 0, covered = 0, inside = 0;
        assert_ok(moco_parameter_cuts(context, table, mask, &cuts, &count));
        for (int64_t c = 0; c < count; ++c) {
            assert_int_equal(covered, cuts[c].from);
            assert_true(cuts[c].elements > 0);
            assert_true(c == 0 || cuts[c].flags != cuts[c - 1].flags);
            covered += cuts[c].elements;
            const moco_tensor part = moco_cut_part(&table->learnable[0].gradient, &cuts[c]);
            for (int64_t i = 0; i < table->count; ++i) {
                const moco_parameter *item = &table->items[i];
                if (item->kind != MOCO_PARAMETER_LEARNABLE || item->gradient.offset < part.offset) continue;
                if (item->gradient.offset >= part.offset + moco_tensor_bytes(&part)) continue;
                assert_int_equal(item->flags & mask, cuts[c].flags);
                assert_true(item->gradient.offset + moco_tensor_bytes(&item->gradient) <=
                            part.offset + moco_tensor_bytes(&part));
                inside += item->elements;
            }
        }
        assert_int_equal(moco_tensor_elements(&table->learnable[0].value), covered);
        assert_int_equal(table->learnable_elements, inside);
        if (mask == 0) assert_int_equal(1, count);
        if (mask == MOCO_PARAMETER_NO_DECAY) assert_int_equal(3, count); /* fc.weight is followed by fc.bias */
        if (mask == MOCO_PARAMETER_FROZEN) assert_int_equal(3, count);   /* two neighbours are one cut */
        moco_deallocate(context, cuts);
    }
    moco_encoder_destroy(encoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_vectors_start_with_a_flag),     cmocka_unit_test(what_can_not_be_set_is_refused),
        cmocka_unit_test(a_frozen_parameter_has_no_gradient), cmocka_unit_test(a_clone_has_the_same_flags),
        cmocka_unit_test(without_flags_a_network_is_one_cut), cmocka_unit_test(cuts_follow_the_flags),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
