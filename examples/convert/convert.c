/* convert: a trained encoder in the file that another program opens, and what a file holds. */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/inspect.h"
#include "support/command_line.h"
#include "support/example_support.h"
#include "support/printable_text.h"

#define TEXT_SIZE 8192

typedef struct convert_options {
    moco_recipe *recipe; /* the network, where the file does not say it; and the view */
    const char *augment; /* NULL: as the file says */
    const char *description;
    int64_t size; /* of the view; 0: as the file says */
    int64_t epoch;
    int32_t kind; /* MOCO_EXPORT_* */
    int32_t with_head;
    int32_t fold;
    int32_t pixels;
    int32_t inspect;
} convert_options;

/* --- Reading --- */

/* 1 and the file's metadata entry `key`, 0 without it. */
static int read_entry(moco_context *context, const char *path, const char *key, char text[TEXT_SIZE]) {
    const moco_status status = moco_file_metadata(context, path, key, text, TEXT_SIZE, NULL);
    if (status == MOCO_NOT_FOUND || status == MOCO_FORMAT || status == MOCO_UNSUPPORTED) return 0;
    check(status);
    return 1;
}

/* The view that the encoder was trained for: what the file says, and over it what was asked for. Answers 0 where nobody
 * says anything. */
static int read_view(const convert_options *options, moco_context *context, const char *path, int is_ours,
                     moco_augment_config *view) {
    static const char *const fields[] = {"height", "width", "mean", "std", "eval_resize", "interpolation"};
    moco_recipe *recipe = NULL;
    char text[TEXT_SIZE];
    char key[64];
    int known = 0;
    check(moco_recipe_create(&recipe, context, "v1"));
    if (options->augment == NULL && is_ours && read_entry(context, path, "pretrain.augment", text)) {
        check(moco_recipe_set(recipe, "augment.recipe", text));
        known = 1;
        if (read_entry(context, path, "pretrain.size", text)) check(moco_recipe_set(recipe, "size", text));
    }
    for (size_t i = 0; options->augment == NULL && is_ours && i < sizeof fields / sizeof fields[0]; ++i) {
        snprintf(key, sizeof key, "moco.view.%s", fields[i]);
        if (!read_entry(context, path, key, text)) continue;
        snprintf(key, sizeof key, "augment.%s", fields[i]);
        check(moco_recipe_set(recipe, key, text));
        known = 1;
    }
    if (options->augment != NULL) {
        check_choice(moco_recipe_set(recipe, "augment.recipe", options->augment));
        known = 1;
    }
    if (options->size > 0) {
        snprintf(text, sizeof text, "%lld", (long long) options->size);
        check(moco_recipe_set(recipe, "size", text));
        known = 1;
    }
    *view = *moco_recipe_augment(recipe);
    if (view->eval_resize <= 0) view->eval_resize = 1; /* as large as the images were */
    moco_recipe_destroy(recipe);
    return known;
}

/* Names one behind the other, and where each begins; NULL where the file keeps none. */
static const char **read_class_names(moco_context *context, const char *path, char **names, int64_t *count) {
    uint64_t length = 0;
    *count = 0;
    *names = NULL;
    if (moco_file_class_names(context, path, NULL, 0, &length, count) != MOCO_OK || *count == 0) {
        *count = 0;
        return NULL;
    }
    *names = (char *) allocate((size_t) length, 1);
    const char **each = (const char **) allocate((size_t) *count, sizeof *each);
    check(moco_file_class_names(context, path, *names, length, NULL, count));
    const char *at = *names;
    for (int64_t i = 0; i < *count; ++i, at += strlen(at) + 1) each[i] = at;
    return each;
}

/* An encoder file of ours says what network it holds; for all others it is the recipe's. A head that nobody asked for is
 * not looked for: a supervised network's has another shape. */
static moco_encoder *open_encoder(const convert_options *options, moco_context *context, const char *path,
                                  int *is_ours) {
    moco_encoder *encoder = NULL;
    char text[TEXT_SIZE];
    moco_load_options load;
    moco_load_report report = {.struct_size = sizeof report};
    *is_ours = read_entry(context, path, "moco.architecture", text);
    if (*is_ours) {
        check_choice(moco_encoder_open(&encoder, context, path));
        return encoder;
    }
    moco_encoder_config *network = moco_recipe_encoder(options->recipe);
    if (!options->with_head) network->head = MOCO_HEAD_NONE;
    check(moco_load_options_init(&load, sizeof load));
    load.parts = options->with_head ? MOCO_LOAD_ALL : MOCO_LOAD_BACKBONE;
    check_choice(moco_encoder_open_as(&encoder, context, path, network, &load, &report));
    if (report.missing > 0) {
        stop("%s lacks %lld tensors of the encoder with its head; without --with-head the backbone alone is converted",
             path, (long long) report.missing);
    }
    printf("%s: %lld tensors of %s below \"", path, (long long) report.loaded, network->architecture);
    print_printable(stdout, report.prefix, (int) sizeof report.prefix);
    printf("\"");
    if (report.unexpected > 0) printf(", %lld others left out", (long long) report.unexpected);
    printf("\n");
    return encoder;
}

/* Learnable parameters, those of the head (fc.*) only where the file has them. */
static int64_t count_learnable(const moco_encoder *encoder, int has_head) {
    int64_t elements = 0;
    for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        check(moco_encoder_parameter_info(encoder, i, &info));
        if (info.kind != MOCO_PARAMETER_LEARNABLE || (!has_head && strncmp(info.name, "fc.", 3) == 0)) continue;
        elements += info.elements;
    }
    return elements;
}

static void convert_file(const convert_options *options, moco_context *context, const char *from, const char *to) {
    char stored[TEXT_SIZE];
    moco_augment_config view;
    moco_export_config config;
    char *names = NULL;
    int64_t class_count = 0;
    int is_ours;
    moco_encoder *encoder = open_encoder(options, context, from, &is_ours);
    check(moco_export_config_init(&config, sizeof config));
    config.kind = options->kind;
    config.with_head = options->with_head;
    config.fold_batch_norm = options->fold;
    config.with_preprocess = options->pixels;
    config.epoch = options->epoch;
    config.description = options->description;
    const char **each = is_ours ? read_class_names(context, from, &names, &class_count) : NULL;
    config.class_names = each;
    config.class_count = (int32_t) class_count;
    if (is_ours && config.description == NULL && read_entry(context, from, "moco.description", stored)) {
        config.description = stored;
    }
    if (read_view(options, context, from, is_ours, &view)) config.augment = &view;
    check_choice(moco_encoder_export(encoder, to, &config));
    const int has_head =
        (config.with_head && config.kind != MOCO_EXPORT_DETECTRON2) || config.kind == MOCO_EXPORT_TORCH_MOCO;
    printf("%s: %s, %s of %.2f million parameters", to, moco_enum_name("export", config.kind),
           has_head ? "encoder" : "backbone", 1e-6 * (double) count_learnable(encoder, has_head));
    if (config.augment != NULL) {
        printf("; images of %d x %d, mean %.4g %.4g %.4g, std %.4g %.4g %.4g", view.height, view.width, view.mean[0],
               view.mean[1], view.mean[2], view.std[0], view.std[1], view.std[2]);
    } else {
        printf("; the images' size, mean and std are not known (--augment, --size)");
    }
    printf("\n");
    free((void *) each);
    free(names);
    moco_encoder_destroy(encoder);
}

/* --- Options --- */

static int was_given(int argc, char **argv, const char *option) {
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], option) == 0) return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    example_program = "convert";
    convert_options options = {.kind = MOCO_EXPORT_SAFETENSORS};
    const char *recipe = find_option(argc, argv, "recipe");
    if (recipe == NULL) recipe = "v2";
    check_choice(moco_recipe_create(&options.recipe, NULL, recipe));
    const option_row rows[] = {
        {"to", OPTION_CHOICE, &options.kind, "kind of file (timm: a folder, for transformers too)",
         .enum_kind = "export"},
        {"with-head", OPTION_FLAG, &options.with_head, "the projection head, too", .choices = NULL},
        {"fold", OPTION_FLAG, &options.fold, "onnx: BatchNorm becomes a part of the layer before", .choices = NULL},
        {"pixels", OPTION_FLAG, &options.pixels, "onnx: takes uint8 pixels, n x h x w x 3", .choices = NULL},
        {"inspect", OPTION_FLAG, &options.inspect, "only say what IN is and holds", .choices = NULL},
        {"description", OPTION_TEXT, &options.description, "a sentence that the file keeps", .choices = NULL},
        {"augment", OPTION_TEXT, &options.augment, "recipe that says mean and std, where IN does not",
         .fields = (const char *const[]){"augment.recipe", NULL}},
        {"size", OPTION_INTEGER, &options.size, "height and width of the images; 0: as IN says", .maximum = 16384,
         .fields = (const char *const[]){"height", "width", NULL}},
        {"epoch", OPTION_INTEGER, &options.epoch, "what torch-moco says", .maximum = 1e9},
        {"recipe", OPTION_TEXT, &recipe, "the network, where IN does not say it", .choices = NULL},
        {"arch", OPTION_SETTING, NULL, "same", .key = "encoder.architecture"},
        {"stem", OPTION_SETTING, NULL, "same", .key = "encoder.stem", .enum_kind = "stem"},
        {"head", OPTION_SETTING, NULL, "same", .key = "encoder.head", .enum_kind = "head"},
        {"dim", OPTION_SETTING, NULL, "same", .key = "encoder.embedding_dim"},
    };
    const int inspect = was_given(argc, argv, "--inspect");
    const command_line line = {
        .program = "convert",
        .arguments = inspect ? "--inspect IN" : "IN OUT --to KIND [OPTION...] | --inspect IN",
        .description =
            "Writes the encoder in IN to OUT in another kind of file, or says what IN is and holds. IN is an\n"
            "encoder.safetensors of pretrain, or the weights that PyTorch, torchvision, timm or the official\n"
            "MoCo saved (.pth, .pth.tar, .safetensors), of which nothing is executed; for these --arch and\n"
            "its like say what network it is.",
        .rows = rows,
        .row_count = (int32_t) (sizeof rows / sizeof rows[0]),
        .operands = inspect ? 1 : 2,
        .recipe = options.recipe,
    };
    const char *paths[2] = {NULL, NULL};
    parse_command_line(&line, argc, argv, paths);
    moco_context *context = open_context(NULL, 0);
    if (options.inspect) {
        inspect_path(context, paths[0]);
    } else {
        convert_file(&options, context, paths[0], paths[1]);
    }
    moco_context_destroy(context);
    moco_recipe_destroy(options.recipe);
    return 0;
}
