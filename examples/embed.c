/* embed: the features of a saved encoder for a whole dataset, for NumPy, FAISS, TensorBoard and what reads text. */
#include <inttypes.h>
#include <math.h>
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed/embeddings_file.h"
#include "support/classes_json.h"
#include "support/command_line.h"
#include "support/encoder_input.h"
#include "support/example_support.h"
#include "support/progress_bar.h"

#define BATCH     256
#define PATH_SIZE 4096

static const char *const split_names[] = {"train", "test", NULL};

/* features.npy, ".labels.npy" -> features.labels.npy */
static void path_beside(const char *path, const char *ending, char text[PATH_SIZE]) {
    static const char *const own[] = {".npy", ".faiss"};
    size_t stem = strlen(path);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; ++i) {
        const size_t length = strlen(own[i]);
        if (stem > length && strcmp(path + stem - length, own[i]) == 0) stem -= length;
    }
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

/* Rows as cosines compare them; a row of zeros stays. */
static void make_unit(float *rows, int64_t n, int64_t dim) {
    for (int64_t i = 0; i < n; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < dim; ++j) sum += (double) rows[i * dim + j] * (double) rows[i * dim + j];
        const double scale = sum > 0 ? 1 / sqrt(sum) : 0;
        for (int64_t j = 0; j < dim; ++j) rows[i * dim + j] = (float) (scale * (double) rows[i * dim + j]);
    }
}

typedef struct embed_options {
    int32_t format; /* EMBEDDINGS_* */
    int32_t output; /* MOCO_OUTPUT_* */
    int32_t unit_rows;
    const char *path;
    const char *label_path; /* NULL: the format has labels in it */
} embed_options;

static void embed_dataset(const encoder_input *input, moco_dataset *dataset, const embed_options *options,
                          int64_t count) {
    const int64_t dim = moco_extract_dim(input->encoder, input->augment, options->output);
    float *rows = (float *) allocate(BATCH, (size_t) dim * sizeof *rows);
    int32_t labels[BATCH];
    int64_t broken = 0;
    embeddings_file *file = open_embeddings(options->format, options->path, options->label_path, dataset, count, dim);
    progress_bar bar;
    progress_bar_start(&bar, stderr);
    image_progress images = count_images(&bar, "");
    for (int64_t done = 0; done < count; done += BATCH) {
        const int64_t n = count - done < BATCH ? count - done : BATCH;
        broken += extract_batch(input, dataset, options->output, done, n, dim, rows, labels);
        if (options->unit_rows) make_unit(rows, n, dim);
        write_embeddings(file, rows, labels, n);
        show_images(&images, 0, done + n, count);
    }
    progress_bar_clear(&bar);
    close_embeddings(file);
    free(rows);
    printf("%s: float32 (%" PRId64 ", %" PRId64 ") %s of %s\n", options->path, count, dim,
           moco_enum_name("output", options->output), input->description);
    if (options->label_path != NULL) {
        printf("%s: int32 (%" PRId64 ",), -1 without a label\n", options->label_path, count);
    }
    if (broken > 0) printf("%" PRId64 " broken images have rows of zeros and the label -2\n", broken);
}

int main(int argc, char **argv) {
    example_program = "embed";
    const char *data = NULL;
    const char *test_data = NULL;
    const char *augment = NULL;
    const char *backend = NULL;
    embed_options options = {.format = EMBEDDINGS_NPY, .output = MOCO_OUTPUT_FEATURES};
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
        {"output", OPTION_CHOICE, &options.output, "what is written", .enum_kind = "output"},
        {"format", OPTION_CHOICE, &options.format, "of the file; projector: a folder for TensorBoard",
         .choices = embeddings_formats},
        {"unit-rows", OPTION_FLAG, &options.unit_rows, "rows of L2 norm 1, as cosines compare them", .choices = NULL},
        {"out", OPTION_TEXT, &options.path,
         "the file, features.FORMAT if not given; beside npy and faiss go labels, *.labels.npy, and classes' names, "
         "*.classes.json",
         .choices = NULL},
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
        .description =
            "Loads FILE, an encoder.safetensors of pretrain, and writes the features of all images, with "
            "their\n"
            "labels and the classes' names: as .npy, or in a --format that FAISS, TensorBoard or others read.",
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
    if (options.path == NULL) options.path = default_embeddings_path(options.format);
    char label_path[PATH_SIZE], names_path[PATH_SIZE];
    path_beside(options.path, ".labels.npy", label_path);
    path_beside(options.path, ".classes.json", names_path);
    const int32_t is_array = options.format <= EMBEDDINGS_FAISS_L2;
    if (is_array) options.label_path = label_path;
    embed_dataset(&input, dataset, &options, count > 0 && count < available ? count : available);
    const int64_t classes = is_array ? write_class_names(names_path, dataset) : 0;
    if (classes > 0) printf("%s: the %" PRId64 " classes' names, by label\n", names_path, classes);
    close_encoder_input(&input);
    moco_context_destroy(context);
    return 0;
}
