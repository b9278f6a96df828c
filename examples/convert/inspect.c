#include "convert/inspect.h"

#include <inttypes.h>
#include <moco/weights.h>
#include <stdio.h>
#include <string.h>

#include "support/example_support.h"

#define LONGEST_VALUE 120 /* bytes of a note that are printed */

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
        printf("  %s = %.*s%s\n", key, LONGEST_VALUE, value, strlen(value) > LONGEST_VALUE ? " ..." : "");
    }
}

static void print_tensors(const moco_weights *weights) {
    printf("tensors\n");
    for (int64_t i = 0; i < moco_weights_count(weights); ++i) {
        moco_weights_tensor tensor = {.struct_size = sizeof tensor};
        check(moco_weights_info(weights, i, &tensor));
        printf("  %-48s %-5s [", tensor.name, tensor.dtype);
        for (int32_t j = 0; j < tensor.rank; ++j) printf("%s%" PRId64, j == 0 ? "" : ", ", tensor.dims[j]);
        printf("]\n");
    }
}

void inspect_file(moco_context *context, const char *path) {
    moco_weights *weights = NULL;
    int64_t elements = 0;
    const size_t length = strlen(path);
    if (length > 5 && strcmp(path + length - 5, ".onnx") == 0) stop("%s is ONNX, which is written but not read", path);
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
