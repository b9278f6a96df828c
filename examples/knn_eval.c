/* knn_eval: how well the features of a saved encoder tell the classes of a test set apart, by weighted kNN. */
#include <moco.h>
#include <stdio.h>

#include "support/command_line.h"
#include "support/encoder_input.h"
#include "support/example_support.h"
#include "support/progress_bar.h"

static int32_t on_progress(const moco_knn_progress *progress, void *user) {
    show_images((image_progress *) user, progress->stage, progress->done, progress->total);
    return 0;
}

int main(int argc, char **argv) {
    example_program = "knn_eval";
    const char *data = NULL;
    const char *test_data = NULL;
    const char *augment = NULL;
    const char *backend = NULL;
    int32_t output = MOCO_OUTPUT_FEATURES;
    int64_t size = 0;
    int64_t bank = 0;
    int64_t k = 200;
    int64_t test_count = 1000;
    int64_t threads = 0;
    double temperature = 0.1;
    const double big = 1e9;
    const option_row rows[] = {
        {"data", OPTION_TEXT, &data, "as trained if not given; " DATA_KINDS, .choices = NULL},
        {"test-data", OPTION_TEXT, &test_data, "test images; if not given: the kind's, or DIR/val beside DIR/train",
         .choices = NULL},
        {"output", OPTION_CHOICE, &output, "what is compared", .enum_kind = "output"},
        {"k", OPTION_INTEGER, &k, "neighbours that vote", .minimum = 1, .maximum = big},
        {"temperature", OPTION_NUMBER, &temperature, "of their weights exp(cosine / t)", .minimum = 1e-6,
         .maximum = 1e6},
        {"bank", OPTION_INTEGER, &bank, "training images to compare with, of each class its share; 0: all",
         .maximum = big},
        {"test-count", OPTION_INTEGER, &test_count, "test images of the built-in set", .minimum = 1, .maximum = big},
        {"augment", OPTION_TEXT, &augment, "recipe whose evaluation view is taken; else as trained",
         .fields = (const char *const[]){"augment.recipe", NULL}},
        {"size", OPTION_INTEGER, &size, "height and width of a view; 0: as trained", .maximum = 4096,
         .fields = (const char *const[]){"height", "width", NULL}},
        {"backend", OPTION_TEXT, &backend, "compute backend; the fastest if not given", .choices = NULL},
        {"threads", OPTION_INTEGER, &threads, "0: one per processor", .maximum = 1024},
    };
    const command_line line = {
        .program = "knn_eval",
        .arguments = "FILE [OPTION...]",
        .description =
            "Loads FILE, an encoder.safetensors of pretrain, and prints its kNN accuracy on the test images.",
        .rows = rows,
        .row_count = (int32_t) (sizeof rows / sizeof rows[0]),
        .operands = 1,
    };
    const char *path = NULL;
    parse_command_line(&line, argc, argv, &path);

    moco_context *context = open_context(backend, (int32_t) threads);
    encoder_input input;
    open_encoder_input(&input, context, path, data, test_data, augment, size, test_count);
    if (input.data.test == NULL) stop("%s has no test images of its own; give --test-data", input.description);
    if (!can_measure_knn(&input.data)) stop("%s has no labels, which kNN needs", input.description);
    const double start = seconds_now();
    moco_knn_accuracy accuracy = {.struct_size = sizeof accuracy};
    moco_knn_measure_config config;
    check(moco_knn_measure_config_init(&config, sizeof config));
    config.output = output;
    config.bank = bank;
    config.k = (int32_t) k;
    config.temperature = temperature;
    config.batch_size = evaluation_batch(input.augment);
    progress_bar bar;
    progress_bar_start(&bar, stderr);
    image_progress images = count_images(&bar, "kNN ");
    config.progress = on_progress;
    config.user = &images;
    check(moco_knn_measure(input.encoder, input.data.train, input.data.test, input.augment, &config, &accuracy));
    progress_bar_clear(&bar);
    printf("%s: kNN top-1 %.2f %%, top-5 %.2f %% of %lld test images of %s (k %lld, t %g, %lld-d %s, %.1f s)\n", path,
           100 * accuracy.top1, 100 * accuracy.top5, (long long) accuracy.tested, input.description, (long long) k,
           temperature, (long long) moco_extract_dim(input.encoder, input.augment, output),
           moco_enum_name("output", output), seconds_now() - start);
    if (accuracy.broken > 0) printf("%lld broken images were left out\n", (long long) accuracy.broken);
    close_encoder_input(&input);
    moco_context_destroy(context);
    return 0;
}
