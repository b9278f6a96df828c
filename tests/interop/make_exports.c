/* make_exports FOLDER ARCHITECTURE SETTING...: an encoder in every kind of file, with what it computes from some images, for
 * check_exports.py and check_peers.py. Settings are those of moco_recipe_set, such as encoder.stem=cifar; size=N are the
 * images' height and width; only=NAME,NAME... leaves the other files out.
 *
 * In FOLDER: backbone.safetensors, whole.safetensors, timm/, torch.pth, torch_whole.pth, moco.pth.tar, detectron2.pth,
 * backbone.onnx, folded.onnx, embedding.onnx, pixels.onnx; refused.txt with the sentence for each that can't be; and, as
 * raw float32 or bytes, images.bin, pixels.bin, features.bin, embeddings.bin, pixel_features.bin, with sizes.txt: n, c, h,
 * w, feature_dim, embedding_dim.
 */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define IMAGES 4

static void stop(const char *what) {
    fprintf(stderr, "make_exports: %s: %s\n", what, moco_last_error());
    exit(1);
}

static void check(moco_status status, const char *what) {
    if (status != MOCO_OK) stop(what);
}

static const char *folder;
static const char *only; /* NULL: all */

static FILE *open_in_folder(const char *name, const char *mode) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, mode);
    if (file == NULL) stop(path);
    return file;
}

static void write_bytes(const char *name, const void *bytes, size_t size, size_t count) {
    FILE *file = open_in_folder(name, "wb");
    if (fwrite(bytes, size, count, file) != count || fclose(file) != 0) stop(name);
}

static void *take(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) stop("no memory");
    return memory;
}

/* Numbers that are alike on every machine: xorshift. */
static uint32_t next_number(void) {
    static uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void export_as(const moco_encoder *encoder, const char *name, int32_t kind, moco_export_config *config) {
    char path[4096];
    if (only != NULL && strstr(only, name) == NULL) return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    config->kind = kind;
    const moco_status status = moco_encoder_export(encoder, path, config);
    if (status == MOCO_UNSUPPORTED) {
        FILE *file = open_in_folder("refused.txt", "a");
        fprintf(file, "%s: %s\n", name, moco_last_error());
        fclose(file);
    } else {
        check(status, name);
    }
}

int main(int argc, char **argv) {
    moco_context *context = NULL;
    moco_recipe *recipe = NULL;
    moco_encoder *encoder = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: make_exports FOLDER ARCHITECTURE [SECTION.FIELD=VALUE]...\n");
        return 2;
    }
    folder = argv[1];
    mkdir(folder, 0777);
    check(moco_context_create(&context, NULL), "context");
    check(moco_recipe_create(&recipe, context, "v2:size=32,bn_groups=1"), "recipe");
    check(moco_recipe_set(recipe, "encoder.architecture", argv[2]), argv[2]);
    for (int i = 3; i < argc; ++i) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL) stop(argv[i]);
        *equals = '\0';
        if (strcmp(argv[i], "only") == 0) {
            only = equals + 1;
            continue;
        }
        check(moco_recipe_set(recipe, argv[i], equals + 1), argv[i]);
    }
    moco_augment_config *view = moco_recipe_augment(recipe);
    if (view->eval_resize == 0) view->eval_resize = 1;
    const int64_t h = view->height;
    const int64_t w = view->width;
    check(moco_encoder_create(&encoder, context, moco_recipe_encoder(recipe)), "encoder");
    const int64_t c = moco_encoder_channels(encoder);
    const int64_t features = moco_encoder_feature_dim(encoder);
    const int64_t dim = moco_encoder_embedding_dim(encoder);

    /* Images as the view would make them of random pixels, smooth enough to excite more than noise. */
    const size_t elements = (size_t) (IMAGES * c * h * w);
    unsigned char *pixels = (unsigned char *) take(elements, 1); /* n x h x w x c */
    float *images = (float *) take(elements, sizeof *images);    /* n x c x h x w */
    for (int64_t i = 0; i < IMAGES; ++i) {
        for (int64_t y = 0; y < h; ++y) {
            for (int64_t x = 0; x < w; ++x) {
                for (int64_t k = 0; k < c; ++k) {
                    const int64_t wave = 5 * x * (i + 1) / w + 7 * y / h + 3 * k;
                    const unsigned value = (unsigned) (next_number() % 64u + (unsigned) (wave * 40 % 192));
                    pixels[((i * h + y) * w + x) * c + k] = (unsigned char) value;
                    images[((i * c + k) * h + y) * w + x] =
                        (float) ((value / 255.0 - view->mean[k % 3]) / view->std[k % 3]);
                }
            }
        }
    }
    /* BatchNorm's statistics and weights as training leaves them, not as they begin. */
    float *embeddings = (float *) take((size_t) (IMAGES * dim), sizeof *embeddings);
    for (int step = 0; step < 5; ++step)
        check(moco_encoder_forward(encoder, images, IMAGES, h, w, embeddings), "forward");
    for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        check(moco_encoder_parameter_info(encoder, i, &info), "parameter");
        if (info.rank != 1 || info.kind != MOCO_PARAMETER_LEARNABLE) continue;
        float *values = (float *) take((size_t) info.elements, sizeof *values);
        check(moco_encoder_read_parameter(encoder, i, values), info.name);
        for (int64_t j = 0; j < info.elements; ++j)
            values[j] += 0.2f * ((float) (next_number() % 1000u) / 1000.0f - 0.5f);
        check(moco_encoder_write_parameter(encoder, i, values), info.name);
        free(values);
    }

    float *rows = (float *) take((size_t) (IMAGES * features), sizeof *rows);
    check(moco_encoder_features(encoder, images, IMAGES, h, w, rows), "features");
    check(moco_encoder_evaluate(encoder, images, IMAGES, h, w, embeddings), "embeddings");
    write_bytes("images.bin", images, sizeof *images, elements);
    write_bytes("pixels.bin", pixels, 1, elements);
    write_bytes("features.bin", rows, sizeof *rows, (size_t) (IMAGES * features));
    write_bytes("embeddings.bin", embeddings, sizeof *embeddings, (size_t) (IMAGES * dim));
    FILE *sizes = open_in_folder("sizes.txt", "w");
    fprintf(sizes, "%d %lld %lld %lld %lld %lld\n", IMAGES, (long long) c, (long long) h, (long long) w,
            (long long) features, (long long) dim);
    fclose(sizes);

    static const char *const classes[] = {"cat", "dog \"Rex\"", "\xC3\xA9l\xC3\xA9phant"};
    moco_export_config config;
    check(moco_export_config_init(&config, sizeof config), "export config");
    config.augment = view;
    config.class_names = classes;
    config.class_count = 3;
    config.description = "made by make_exports";
    config.epoch = 199;
    export_as(encoder, "backbone.safetensors", MOCO_EXPORT_SAFETENSORS, &config);
    export_as(encoder, "torch.pth", MOCO_EXPORT_TORCH, &config);
    export_as(encoder, "moco.pth.tar", MOCO_EXPORT_TORCH_MOCO, &config);
    export_as(encoder, "detectron2.pth", MOCO_EXPORT_DETECTRON2, &config);
    export_as(encoder, "backbone.onnx", MOCO_EXPORT_ONNX, &config);
    config.fold_batch_norm = 1;
    export_as(encoder, "folded.onnx", MOCO_EXPORT_ONNX, &config);
    config.with_preprocess = 1;
    export_as(encoder, "pixels.onnx", MOCO_EXPORT_ONNX, &config);
    config.with_preprocess = config.fold_batch_norm = 0;
    config.with_head = 1;
    export_as(encoder, "embedding.onnx", MOCO_EXPORT_ONNX, &config);
    export_as(encoder, "whole.safetensors", MOCO_EXPORT_SAFETENSORS, &config);
    export_as(encoder, "torch_whole.pth", MOCO_EXPORT_TORCH, &config);
    export_as(encoder, "timm", MOCO_EXPORT_TIMM, &config);

    free(pixels);
    free(images);
    free(embeddings);
    free(rows);
    moco_encoder_destroy(encoder);
    moco_recipe_destroy(recipe);
    moco_context_destroy(context);
    return 0;
}
