#include "convert/inspect.h"

#include <inttypes.h>
#include <moco/weights.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support/example_support.h"
#include "support/printable_text.h"

#define LONGEST_NAME  1024 /* bytes of a name that are printed */
#define LONGEST_VALUE 120  /* of a note */
#define NAME_COLUMN   48

static const char *kind_of(const moco_weights *weights) {
    switch (moco_weights_kind(weights)) {
    case MOCO_WEIGHTS_SAFETENSORS:
        return "a safetensors file";
    case MOCO_WEIGHTS_SHARDS:
        return "an index of safetensors files";
    case MOCO_WEIGHTS_TORCH_ZIP:
        return "a file of torch.save (zip)";
    default:
        return "a file of torch.save before PyTorch 1.6";
    }
}

/* 1 where a tensor's name has `part` in it. */
static int has_name(const moco_weights *weights, const char *part) {
    for (int64_t i = 0; i < moco_weights_count(weights); ++i) {
        moco_weights_tensor tensor = {.struct_size = sizeof tensor};
        check(moco_weights_info(weights, i, &tensor));
        if (strstr(tensor.name, part) != NULL) return 1;
    }
    return 0;
}

/* The first that fits says what the file holds. */
static const char *content_of(const moco_weights *weights) {
    static const struct {
        const char *part;
        const char *what;
    } signs[] = {
        {"module.queue", "a training checkpoint of the official MoCo v1 or v2: both encoders and the queue"},
        {"module.encoder_q.", "the query encoder of the official MoCo v1 or v2"},
        {"module.base_encoder.", "a training checkpoint of the official MoCo v3"},
        {"stem.conv1.norm.", "a ResNet backbone under detectron2's names"},
        {"blocks.0.attn.", "a vision transformer under timm's names"},
        {"layer4.0.conv1.weight", "a ResNet under torchvision's names"},
        {"layer1.0.conv1.weight", "a small ResNet under torchvision's names"},
    };
    if (moco_weights_find_note(weights, "moco.architecture") != NULL) return "an encoder of libmoco";
    if (moco_weights_find_note(weights, "moco.checkpoint") != NULL) return "a training checkpoint of libmoco";
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; ++i) {
        if (has_name(weights, signs[i].part)) return signs[i].what;
    }
    return "tensors of no layout that libmoco knows";
}

static void print_notes(const moco_weights *weights) {
    const char *value = NULL;
    for (int64_t i = 0;; ++i) {
        const char *key = moco_weights_note(weights, i, &value);
        if (key == NULL) return;
        if (i == 0) printf("notes\n");
        printf("  ");
        print_printable(stdout, key, LONGEST_NAME);
        printf(" = ");
        print_printable(stdout, value, LONGEST_VALUE);
        printf("\n");
    }
}

static void print_tensors(const moco_weights *weights) {
    printf("tensors\n");
    for (int64_t i = 0; i < moco_weights_count(weights); ++i) {
        moco_weights_tensor tensor = {.struct_size = sizeof tensor};
        check(moco_weights_info(weights, i, &tensor));
        printf("  ");
        const int width = print_printable(stdout, tensor.name, LONGEST_NAME);
        printf("%*s %-5s [", width < NAME_COLUMN ? NAME_COLUMN - width : 0, "", tensor.dtype);
        for (int32_t j = 0; j < tensor.rank; ++j) printf("%s%" PRId64, j == 0 ? "" : ", ", tensor.dims[j]);
        printf("]\n");
    }
}

static void inspect_weights(moco_context *context, const char *path) {
    moco_weights *weights = NULL;
    int64_t elements = 0;
    check_choice(moco_weights_open(&weights, context, path));
    const int64_t count = moco_weights_count(weights);
    for (int64_t i = 0; i < count; ++i) {
        moco_weights_tensor tensor = {.struct_size = sizeof tensor};
        check(moco_weights_info(weights, i, &tensor));
        elements += tensor.elements;
    }
    printf("%s: %s, %s\n", path, kind_of(weights), content_of(weights));
    printf("%" PRId64 " tensors of %.3f million numbers\n", count, 1e-6 * (double) elements);
    print_notes(weights);
    print_tensors(weights);
    moco_weights_close(weights);
}

/* --- Folders, as --to timm writes them --- */

#define PATH_SIZE 4096
#define LINE_SIZE 1024

static void path_inside(const char *folder, const char *name, char path[PATH_SIZE]) {
    const int length = snprintf(path, PATH_SIZE, "%s/%s", folder, name);
    if (length < 0 || length >= PATH_SIZE) stop("the folder's name is too long");
}

/* Prints a text file; 0 without one. */
static int print_text(const char *folder, const char *name) {
    char path[PATH_SIZE];
    char line[LINE_SIZE];
    path_inside(folder, name, path);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    printf("%s\n", path);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        printf("  ");
        print_printable(stdout, line, LINE_SIZE);
        printf("\n");
    }
    if (ferror(file) != 0) stop("cannot read %s", path);
    fclose(file);
    return 1;
}

static int is_there(const char *path, mode_t kind) {
    struct stat info;
    return stat(path, &info) == 0 && (info.st_mode & S_IFMT) == kind;
}

void inspect_path(moco_context *context, const char *path) {
    char inside[PATH_SIZE];
    if (!is_there(path, S_IFDIR)) {
        inspect_weights(context, path);
        return;
    }
    path_inside(path, "model.safetensors", inside);
    if (!is_there(inside, S_IFREG)) {
        path_inside(path, "model.safetensors.index.json", inside);
        if (!is_there(inside, S_IFREG)) stop("%s is a folder without model.safetensors", path);
    }
    if (!print_text(path, "config.json")) (void) print_text(path, "build_model.py");
    inspect_weights(context, inside);
    path_inside(path, "head.safetensors", inside);
    if (is_there(inside, S_IFREG)) inspect_weights(context, inside);
}
