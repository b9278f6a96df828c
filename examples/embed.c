/* embed: the features of a saved encoder for a whole dataset, as NumPy arrays. */
#include <errno.h>
#include <inttypes.h>
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/classes_json.h"
#include "support/command_line.h"
#include "support/encoder_input.h"
#include "support/example_support.h"
#include "support/progress_bar.h"

#define BATCH      256
#define NPY_HEADER 128 /* of bytes in all: a multiple of 64, as NPY 1.0 asks */
#define NPY_PREFIX 10  /* magic, version, length */
#define PATH_SIZE  4096

static const char *const split_names[] = {"train", "test", NULL};

/* --- NPY 1.0 (numpy.lib.format) --- */

static int is_big_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

/* `type`: "f4" or "i4"; `shape` as Python writes a tuple. */
static FILE *open_npy(const char *path, const char *type, const char *shape) {
    FILE *file = fopen(path, "wb");
    if (file == NULL) stop("cannot write %s: %s", path, strerror(errno));
    char header[NPY_HEADER + 1];
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char) (NPY_HEADER - NPY_PREFIX);
    header[9] = 0;
    const int used =
        snprintf(header + NPY_PREFIX, sizeof header - NPY_PREFIX,
                 "{'descr': '%c%s', 'fortran_order': False, 'shape': %s, }", is_big_endian() ? '>' : '<', type, shape);
    memset(header + NPY_PREFIX + used, ' ', (size_t) (NPY_HEADER - NPY_PREFIX - used));
    header[NPY_HEADER - 1] = '\n';
    if (fwrite(header, 1, NPY_HEADER, file) != NPY_HEADER) stop("cannot write %s: %s", path, strerror(errno));
    return file;
}

static void write_npy(FILE *file, const char *path, const void *values, size_t size, size_t count) {
    if (fwrite(values, size, count, file) != count) stop("cannot write %s: %s", path, strerror(errno));
}

static void close_npy(FILE *file, const char *path) {
    if (fclose(file) != 0) stop("cannot write %s: %s", path, strerror(errno));
}

/* features.npy, ".labels.npy" -> features.labels.npy */
static void path_beside(const char *path, const char *ending, char text[PATH_SIZE]) {
    const size_t length = strlen(path);
    const size_t stem = length > 4 && strcmp(path + length - 4, ".npy") == 0 ? length - 4 : length;
    if (stem + strlen(ending) >= PATH_SIZE) stop("--out is too long");
    memcpy(text, path, stem);
    strcpy(text + stem, ending);
}

/* Rows and labels of `n` images from `first`; a broken one has a row of zeros and the label MOCO_UNREADABLE, also where
 * all of them are, which moco_extract takes for a failure. Returns how many are broken. */
static int64_t extract_batch(const encoder_input *input, moco_dataset *dataset, int32_t output, int64_t first,
                             int64_t n, int64_t dim, float *rows, int32_t *labels) {
    const moco_status status =
        moco_extract(input->encoder, dataset, input->augment, output, first, n, BATCH, rows, labels);
    if (status == MOCO_FORMAT || status == MOCO_IO || status == MOCO_NOT_FOUND || status == MOCO_UNSUPPORTED) {
        memset(rows, 0, (size_t) (n * dim) * sizeof *rows);
        for (int64_t i = 0; i < n; ++i) labels[i] = MOCO_UNREADABLE;
    } else {
        check(status);
    }
    int64_t broken = 0;
    for (int64_t i = 0; i < n; ++i) broken += labels[i] == MOCO_UNREADABLE;
    return broken;
}

static void embed_dataset(const encoder_input *input, moco_dataset *dataset, int32_t output, int64_t count,
                          const char *path, const char *label_path) {
    const int64_t dim = moco_extract_dim(input->encoder, input->augment, output);
    float *rows = (float *) allocate(BATCH, (size_t) dim * sizeof *rows);
    int32_t labels[BATCH];
    int64_t broken = 0;
    char shape[64];
    snprintf(shape, sizeof shape, "(%" PRId64 ", %" PRId64 ")", count, dim);
    FILE *row_file = open_npy(path, "f4", shape);
    snprintf(shape, sizeof shape, "(%" PRId64 ",)", count);
    FILE *label_file = open_npy(label_path, "i4", shape);
    progress_bar bar;
    progress_bar_start(&bar, stderr);
    image_progress images = count_images(&bar, "");
    for (int64_t done = 0; done < count; done += BATCH) {
        const int64_t n = count - done < BATCH ? count - done : BATCH;
        broken += extract_batch(input, dataset, output, done, n, dim, rows, labels);
        write_npy(row_file, path, rows, (size_t) dim * sizeof *rows, (size_t) n);
        write_npy(label_file, label_path, labels, sizeof *labels, (size_t) n);
        show_images(&images, 0, done + n, count);
    }
    progress_bar_clear(&bar);
    close_npy(row_file, path);
    close_npy(label_file, label_path);
    free(rows);
    printf("%s: float32 (%" PRId64 ", %" PRId64 ") %s of %s\n%s: int32 (%" PRId64 ",), -1 without a label\n", path,
           count, dim, moco_enum_name("output", output), input->description, label_path, count);
    if (broken > 0) printf("%" PRId64 " broken images have rows of zeros and the label -2\n", broken);
}

int main(int argc, char **argv) {
    example_program = "embed";
    const char *data = NULL;
    const char *test_data = NULL;
    const char *augment = NULL;
    const char *backend = NULL;
    const char *out = "features.npy";
    int32_t output = MOCO_OUTPUT_FEATURES;
    int32_t split = 0;
    int64_t count = 0;
    int64_t size = 0;
    int64_t test_count = 1000;
    int64_t threads = 0;
    const double big = 1e9;
    const option_row rows[] = {
        {"data", OPTION_TEXT, &data, "as trained if not given; " DATA_KINDS, .choices = NULL},
        {"test-data", OPTION_TEXT, &test_data, "test images; if not given: the kind's, or DIR/val beside DIR/train",
         .choices = NULL},
        {"split", OPTION_CHOICE, &split, "which images", .choices = split_names},
        {"count", OPTION_INTEGER, &count, "only the first so many; 0: all", .maximum = big},
        {"output", OPTION_CHOICE, &output, "what is written", .enum_kind = "output"},
        {"out", OPTION_TEXT, &out,
         "the array; beside it go labels, *.labels.npy, and their classes' names, *.classes.json", .choices = NULL},
        {"test-count", OPTION_INTEGER, &test_count, "test images of the built-in set", .minimum = 1, .maximum = big},
        {"augment", OPTION_TEXT, &augment, "recipe whose evaluation view is taken; else as trained",
         .fields = (const char *const[]){"augment.recipe", NULL}},
        {"size", OPTION_INTEGER, &size, "height and width of a view; 0: as trained", .maximum = 4096,
         .fields = (const char *const[]){"height", "width", NULL}},
        {"backend", OPTION_TEXT, &backend, "compute backend; the fastest if not given", .choices = NULL},
        {"threads", OPTION_INTEGER, &threads, "0: one per processor", .maximum = 1024},
    };
    const command_line line = {
        .program = "embed",
        .arguments = "FILE [OPTION...]",
        .description = "Loads FILE, an encoder.safetensors of pretrain, and writes the features of all images as .npy, "
                       "with their\n"
                       "labels and the classes' names.",
        .rows = rows,
        .row_count = (int32_t) (sizeof rows / sizeof rows[0]),
        .operands = 1,
    };
    const char *path = NULL;
    parse_command_line(&line, argc, argv, &path);

    moco_context *context = open_context(backend, (int32_t) threads);
    encoder_input input;
    open_encoder_input(&input, context, path, data, test_data, augment, size, test_count);
    moco_dataset *dataset = split == 0 ? input.data.train : input.data.test;
    if (dataset == NULL) stop("%s has no test images of its own; give --test-data", input.description);
    const int64_t available = moco_dataset_count(dataset);
    char label_path[PATH_SIZE], names_path[PATH_SIZE];
    path_beside(out, ".labels.npy", label_path);
    path_beside(out, ".classes.json", names_path);
    embed_dataset(&input, dataset, output, count > 0 && count < available ? count : available, out, label_path);
    const int64_t classes = write_class_names(names_path, dataset);
    if (classes > 0) printf("%s: the %" PRId64 " classes' names, by label\n", names_path, classes);
    close_encoder_input(&input);
    moco_context_destroy(context);
    return 0;
}
