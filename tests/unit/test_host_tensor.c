/* Tensors over a caller's arrays, growing buffers and the checks of tensors: on the reference backend, which works in the
 * array itself, and on a device of the test's own, whose memory only upload and download reach.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend_chain.h"
#include "backend/host_tensor.h"
#include "backend/tensor_checks.h"
#include "context/backend_list.h"

/* --- A device: what it holds is the bytes' complement, so that nothing but its own copies can give the right ones --- */

static struct {
    int32_t alive; /* buffers */
    int32_t created;
    int32_t uploads;
    int32_t downloads;
    uint64_t largest; /* bytes that it has room for */
    moco_status upload;
} device;

static moco_status device_create(void **self, moco_context *context) {
    (void) context;
    *self = &device;
    return MOCO_OK;
}

static void device_destroy(void *self) {
    (void) self;
}

static moco_status device_buffer_create(void *self, uint64_t bytes, void **buffer) {
    (void) self;
    if (bytes > device.largest) return moco_fail(MOCO_OUT_OF_MEMORY, "the device is full");
    *buffer = malloc((size_t) bytes);
    assert_non_null(*buffer);
    device.alive++;
    device.created++;
    return MOCO_OK;
}

static void device_buffer_destroy(void *self, void *buffer) {
    (void) self;
    free(buffer);
    device.alive--;
}

static void complement(unsigned char *target, const unsigned char *source, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; ++i) target[i] = (unsigned char) ~source[i];
}

static moco_status device_upload(void *self, void *buffer, uint64_t offset, const void *source, uint64_t bytes) {
    (void) self;
    device.uploads++;
    if (device.upload != MOCO_OK) return moco_fail(device.upload, "the device is gone");
    complement((unsigned char *) buffer + offset, (const unsigned char *) source, bytes);
    return MOCO_OK;
}

static moco_status device_download(void *self, const void *buffer, uint64_t offset, void *target, uint64_t bytes) {
    (void) self;
    device.downloads++;
    complement((unsigned char *) target, (const unsigned char *) buffer + offset, bytes);
    return MOCO_OK;
}

/* The reference's table, which is complete, with the memory of the device. */
static moco_backend_ops device_ops;

static void make_device_ops(void) {
    const moco_backend_ops *const *last = moco_backend_list();
    while (last[1] != NULL) ++last;
    device_ops = **last;
    device_ops.name = "device";
    device_ops.memory = MOCO_MEMORY_DEVICE;
    device_ops.create = device_create;
    device_ops.destroy = device_destroy;
    device_ops.buffer_create = device_buffer_create;
    device_ops.buffer_wrap = NULL;
    device_ops.buffer_destroy = device_buffer_destroy;
    device_ops.upload = device_upload;
    device_ops.download = device_download;
}

/* --- Contexts --- */

static moco_context *reference_context(void) {
    moco_context *context = NULL;
    moco_context_config config;
    assert_int_equal(moco_context_config_init(&config, sizeof config), MOCO_OK);
    config.backend = "reference";
    config.threads = 1;
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    return context;
}

/* One whose chain is the device alone. */
static moco_context *device_context(void) {
    static const moco_backend_ops *const list[] = {&device_ops, NULL};
    moco_context *context = reference_context();
    make_device_ops();
    context->release_backends(context->backends);
    context->backends = NULL;
    assert_int_equal(moco_backend_chain_create(&context->backends, context, NULL, list, "device"), MOCO_OK);
    memset(&device, 0, sizeof device);
    device.largest = 1 << 20;
    return context;
}

static void assert_holds(moco_context *context, const moco_host_tensor *tensor, const float *values, size_t count) {
    float *held = (float *) malloc(count * sizeof(float));
    assert_int_equal(moco_tensor_download(context, &tensor->tensor, held), MOCO_OK);
    assert_memory_equal(held, values, count * sizeof(float));
    free(held);
}

static const int64_t dims[4] = {2, 3, 1, 2};
static const float values[12] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12};

/* --- Host tensors --- */

static void test_in_place(void **state) {
    (void) state;
    moco_context *context = reference_context();
    float rows[6] = {0};
    moco_host_tensor input, output;
    moco_grown_buffer room = {0};
    assert_int_equal(moco_host_tensor_input_in(&input, context, values, dims, &room), MOCO_OK);
    assert_int_equal(moco_host_matrix_output(&output, context, rows, 3, 2), MOCO_OK);
    assert_int_equal(input.copied, 0);
    assert_null(room.buffer);
    assert_int_equal(output.tensor.rank, 2);
    assert_int_equal(moco_tensor_upload(context, &output.tensor, values), MOCO_OK); /* what a computation would do */
    assert_memory_equal(rows, values, sizeof rows);
    rows[5] = 1;
    assert_int_equal(moco_host_tensor_fetch(&output, context, rows), MOCO_OK);
    assert_true(rows[5] == 1); /* there was nothing to fetch */
    moco_host_tensor_release(&input, context);
    moco_host_tensor_release(&output, context);
    moco_host_tensor_release(&output, context);
    moco_context_destroy(context);
}

static void test_copies(void **state) {
    (void) state;
    moco_context *context = device_context();
    moco_host_tensor input, matrix, output;
    float rows[6] = {0};
    assert_int_equal(moco_host_tensor_input(&input, context, values, dims), MOCO_OK);
    assert_int_equal(input.copied, 1);
    assert_int_equal(input.tensor.rank, 4);
    assert_memory_equal(input.tensor.dims, dims, sizeof dims);
    assert_holds(context, &input, values, 12);
    assert_int_equal(moco_host_matrix_input(&matrix, context, values + 6, 3, 2), MOCO_OK);
    assert_true(matrix.tensor.rank == 2 && matrix.tensor.dims[0] == 3 && matrix.tensor.dims[1] == 2);
    assert_holds(context, &matrix, values + 6, 6);
    assert_int_equal(moco_host_matrix_output(&output, context, rows, 3, 2), MOCO_OK);
    assert_int_equal(device.uploads, 2); /* an output brings nothing */
    assert_int_equal(moco_tensor_upload(context, &output.tensor, values), MOCO_OK);
    assert_int_equal(moco_host_tensor_fetch(&output, context, rows), MOCO_OK);
    assert_memory_equal(rows, values, sizeof rows);
    assert_int_equal(device.alive, 3);
    moco_host_tensor_release(&input, context);
    moco_host_tensor_release(&matrix, context);
    moco_host_tensor_release(&output, context);
    moco_host_tensor_release(&output, context);
    assert_int_equal(device.alive, 0);
    moco_context_destroy(context);
}

/* Calls that come again reuse one buffer, which grows with the largest. */
static void test_room(void **state) {
    (void) state;
    moco_context *context = device_context();
    moco_grown_buffer room = {0};
    const int64_t ns[] = {1, 2, 1, 2};
    for (int call = 0; call < 4; ++call) {
        const int64_t shape[4] = {ns[call], 3, 1, 2};
        moco_host_tensor input;
        assert_int_equal(moco_host_tensor_input_in(&input, context, values, shape, &room), MOCO_OK);
        assert_true(input.copied && input.lent);
        assert_ptr_equal(input.tensor.buffer, room.buffer);
        assert_holds(context, &input, values, (size_t) (6 * ns[call]));
        moco_host_tensor_release(&input, context);
        assert_int_equal(device.alive, 1); /* the room stays */
    }
    assert_int_equal(device.created, 2);
    moco_grown_buffer_release(&room, context);
    moco_grown_buffer_release(&room, context);
    assert_int_equal(device.alive, 0);
    moco_context_destroy(context);
}

static void test_failures_leave_nothing(void **state) {
    (void) state;
    moco_context *context = device_context();
    moco_host_tensor input;
    device.upload = MOCO_BACKEND;
    assert_int_equal(moco_host_tensor_input(&input, context, values, dims), MOCO_BACKEND);
    assert_int_equal(device.alive, 0);
    device.upload = MOCO_OK;
    device.largest = 47; /* one byte too few */
    assert_int_equal(moco_host_tensor_input(&input, context, values, dims), MOCO_OUT_OF_MEMORY);
    assert_int_equal(device.alive, 0);
    moco_context_destroy(context);
}

/* --- Growing buffers --- */

static void test_growing(void **state) {
    (void) state;
    moco_context *context = device_context();
    moco_grown_buffer grown = {0};
    assert_int_equal(moco_grown_buffer_reserve(&grown, context, 100), MOCO_OK);
    void *first = grown.buffer;
    assert_int_equal(moco_grown_buffer_reserve(&grown, context, 60), MOCO_OK);
    assert_int_equal(moco_grown_buffer_reserve(&grown, context, 100), MOCO_OK);
    assert_ptr_equal(grown.buffer, first);
    device.largest = 100;
    assert_int_equal(moco_grown_buffer_reserve(&grown, context, 101), MOCO_OUT_OF_MEMORY);
    assert_true(grown.buffer == first && grown.bytes == 100 && device.alive == 1);
    device.largest = 200;
    assert_int_equal(moco_grown_buffer_reserve(&grown, context, 101), MOCO_OK);
    assert_true(grown.bytes == 101 && device.alive == 1 && device.created == 2);
    moco_grown_buffer_release(&grown, context);
    moco_context_destroy(context);
}

/* --- Checks --- */

static void test_finite_rows(void **state) {
    (void) state;
    moco_context *context = reference_context();
    float rows[12];
    memcpy(rows, values, sizeof rows);
    moco_host_tensor matrix;
    assert_int_equal(moco_host_matrix_input(&matrix, context, rows, 4, 3), MOCO_OK);
    assert_int_equal(moco_require_finite_rows(context, &matrix.tensor, "keys"), MOCO_OK);
    rows[11] = NAN;
    rows[7] = -INFINITY;
    assert_int_equal(moco_require_finite_rows(context, &matrix.tensor, "keys"), MOCO_INVALID_ARGUMENT);
    assert_string_equal(moco_last_error(),
                        "keys holds a NaN or an infinity in row 2, column 1; every value must be finite");
    moco_host_tensor_release(&matrix, context);
    moco_context_destroy(context);
}

static void test_shapes(void **state) {
    (void) state;
    int memory = 0;
    moco_tensor matrix = moco_tensor_2d(&memory, 0, MOCO_DTYPE_F32, 4, 3);
    assert_int_equal(moco_require_matrix(&matrix, 4, 3, "q"), MOCO_OK);
    assert_int_equal(moco_require_matrix(&matrix, 3, 4, "q"), MOCO_INVALID_ARGUMENT);
    assert_string_equal(moco_last_error(), "q is no float32 matrix of 3 rows and 4 columns");
    matrix.dtype = MOCO_DTYPE_BF16;
    assert_int_equal(moco_require_matrix(&matrix, 4, 3, "q"), MOCO_INVALID_ARGUMENT);
    const moco_tensor flat = moco_tensor_1d(&memory, 0, MOCO_DTYPE_F32, 12), none = moco_tensor_none();
    assert_int_equal(moco_require_matrix(&flat, 12, 1, "q"), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_require_matrix(&none, 1, 1, "q"), MOCO_INVALID_ARGUMENT);

    assert_int_equal(moco_require_image_shape(1, 1, 1, 1), MOCO_OK);
    assert_int_equal(moco_require_image_shape(0, 3, 4, 4), MOCO_INVALID_ARGUMENT);
    assert_string_equal(moco_last_error(), "n is 0; it must be at least 1");
    assert_int_equal(moco_require_image_shape(1, 3, 4, 0), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_require_image_shape(INT64_MAX / 4, 1, 2, 1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_require_image_shape(INT64_MAX / 2, 3, 4, 4), MOCO_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_place), cmocka_unit_test(test_copies),
        cmocka_unit_test(test_room),     cmocka_unit_test(test_failures_leave_nothing),
        cmocka_unit_test(test_growing),  cmocka_unit_test(test_finite_rows),
        cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
