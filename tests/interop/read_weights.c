/* What libmoco makes of other programs' files, for check_weights.py:
 *
 *   read_weights list FILE OUT                     every tensor: name, dtype, shape, and its values as raw float32 in OUT
 *   read_weights features FILE ARCHITECTURE HEAD N SIZE IMAGES OUT
 *                                                  loads FILE (ResNets) and writes the features of N images
 *   read_weights train FILE K DIM N SIZE IMAGES    goes on with an official ResNet-50 v2 checkpoint, a step for every two
 *                                                  batches of IMAGES, and prints each loss
 */
#include <moco.h>
#include <moco/weights.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(moco_status status, const char *what) {
    if (status == MOCO_OK) return;
    fprintf(stderr, "read_weights: %s: %s\n", what, moco_last_error());
    exit(1);
}

static void *take(int64_t count, size_t size) {
    void *memory = calloc((size_t) count + 1, size);
    if (memory == NULL) exit(1);
    return memory;
}

static FILE *open_file(const char *path, const char *mode) {
    FILE *file = fopen(path, mode);
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    return file;
}

static int list(const char *path, const char *out) {
    moco_weights *weights = NULL;
    FILE *values = open_file(out, "wb");
    check(moco_weights_open(&weights, NULL, path), path);
    printf("kind %s\n", moco_enum_name("weights", moco_weights_kind(weights)));
    for (int64_t i = 0; i < moco_weights_count(weights); ++i) {
        moco_weights_tensor info = {.struct_size = sizeof info};
        check(moco_weights_info(weights, i, &info), path);
        float *numbers = (float *) take(info.elements, sizeof *numbers);
        check(moco_weights_read(weights, i, numbers), info.name);
        fwrite(numbers, sizeof *numbers, (size_t) info.elements, values);
        free(numbers);
        printf("%s %s", info.name, info.dtype);
        for (int32_t d = 0; d < info.rank; ++d) printf(" %lld", (long long) info.dims[d]);
        printf("\n");
    }
    moco_weights_close(weights);
    return fclose(values);
}

static int features(char **argument) {
    const char *path = argument[0];
    const int64_t n = atoll(argument[3]);
    const int64_t size = atoll(argument[4]);
    moco_context *context = NULL;
    moco_encoder *encoder = NULL;
    moco_encoder_config config;
    moco_load_options options;
    moco_load_report report = {.struct_size = sizeof report};
    check(moco_context_create(&context, NULL), "context");
    check(moco_encoder_config_init(&config, sizeof config), "config");
    config.architecture = argument[1];
    check(moco_enum_value("head", argument[2], &config.head), "head");
    check(moco_load_options_init(&options, sizeof options), "options");
    check(moco_encoder_open_as(&encoder, context, path, &config, &options, &report), path);
    printf("loaded %lld missing %lld unexpected %lld prefix \"%s\"\n", (long long) report.loaded,
           (long long) report.missing, (long long) report.unexpected, report.prefix);
    float *images = (float *) take(n * 3 * size * size, sizeof *images);
    float *out = (float *) take(n * moco_encoder_feature_dim(encoder), sizeof *out);
    FILE *file = open_file(argument[5], "rb");
    if (fread(images, sizeof *images, (size_t) (n * 3 * size * size), file) != (size_t) (n * 3 * size * size)) exit(1);
    fclose(file);
    check(moco_encoder_features(encoder, images, n, size, size, out), "features");
    file = open_file(argument[6], "wb");
    fwrite(out, sizeof *out, (size_t) (n * moco_encoder_feature_dim(encoder)), file);
    free(images);
    free(out);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
    return fclose(file);
}

static int train(char **argument) {
    moco_context *context = NULL;
    moco_encoder *encoder = NULL;
    moco_momentum_encoder *momentum_encoder = NULL;
    moco_queue *queue = NULL;
    moco_loss *loss = NULL;
    moco_optimizer *optimizer = NULL;
    moco_trainer *trainer = NULL;
    moco_encoder_config config;
    moco_queue_config keys;
    moco_loss_config temperature;
    moco_trainer_config settings;
    moco_import_report report = {.struct_size = sizeof report};
    moco_step_stats stats;
    const int64_t n = atoll(argument[3]);
    const int64_t size = atoll(argument[4]);
    const size_t batch = (size_t) (n * 3 * size * size);
    check(moco_context_create(&context, NULL), "context");
    check(moco_encoder_config_init(&config, sizeof config), "config");
    config.architecture = "resnet50";
    config.head = MOCO_HEAD_MLP;
    check(moco_encoder_create(&encoder, context, &config), "encoder");
    check(moco_momentum_encoder_create(&momentum_encoder, encoder, NULL), "momentum encoder");
    check(moco_queue_config_init(&keys, sizeof keys), "queue");
    keys.capacity = atoll(argument[1]);
    keys.dim = atoll(argument[2]);
    check(moco_queue_create(&queue, context, &keys), "queue");
    check(moco_loss_config_init(&temperature, sizeof temperature), "loss");
    temperature.temperature = 0.2;
    check(moco_loss_create(&loss, context, &temperature), "loss");
    check(moco_optimizer_create(&optimizer, encoder, NULL), "optimizer");
    check(moco_trainer_config_init(&settings, sizeof settings), "trainer");
    settings.use_learning_rate_schedule = 0; /* the file's */
    check(moco_trainer_create(&trainer, encoder, momentum_encoder, queue, loss, optimizer, &settings), "trainer");
    check(moco_trainer_import(trainer, argument[0], NULL, &report), argument[0]);
    printf("key_encoder %d queue %d optimizer %d loaded %lld epoch %lld\n", report.key_encoder, report.queue,
           report.optimizer, (long long) report.loaded, (long long) report.epoch);
    float *views = (float *) take(2 * (int64_t) batch, sizeof *views);
    FILE *file = open_file(argument[5], "rb");
    check(moco_step_stats_init(&stats, sizeof stats), "stats");
    while (fread(views, sizeof *views, 2 * batch, file) == 2 * batch) {
        check(moco_trainer_step(trainer, views, views + batch, NULL, n, size, size, &stats), "step");
        printf("%.9g\n", stats.loss);
    }
    fclose(file);
    free(views);
    moco_trainer_destroy(trainer);
    moco_optimizer_destroy(optimizer);
    moco_loss_destroy(loss);
    moco_queue_destroy(queue);
    moco_momentum_encoder_destroy(momentum_encoder);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "list") == 0) return list(argv[2], argv[3]);
    if (argc == 9 && strcmp(argv[1], "features") == 0) return features(argv + 2);
    if (argc == 8 && strcmp(argv[1], "train") == 0) return train(argv + 2);
    fprintf(stderr, "usage: read_weights list|features|train ...\n");
    return 2;
}
