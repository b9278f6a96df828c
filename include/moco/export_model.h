/* What an encoder learned, in the files that other programs open: PyTorch and torchvision, timm and transformers,
 * detectron2, ONNX Runtime. None of it needs Python. To keep an encoder for libmoco itself, take moco_encoder_save
 * <moco/encoder.h>, whose file has the head and everything that moco_encoder_open needs.
 */
#ifndef MOCO_EXPORT_MODEL_H
#define MOCO_EXPORT_MODEL_H

#include <moco/augment.h>
#include <moco/encoder.h>

MOCO_BEGIN_DECLS

/* The kinds of file. Tensors are float32, in torchvision's shapes, num_batches_tracked int64. "The head" are the layers
 * behind the features, fc.*; a caller's own network has none, and all its parameters are written. */
enum {
    /* A safetensors file under torchvision's names that moco_encoder_open opens, too: without the head, as an encoder
     * with MOCO_HEAD_NONE. */
    MOCO_EXPORT_SAFETENSORS = 0,
    /* A folder (made where there is none) with config.json and model.safetensors:
     *   timm.create_model("local-dir:FOLDER", pretrained=True)        transformers.AutoModel.from_pretrained("FOLDER")
     * and, with the head, head.safetensors beside them. A network that timm can't build (the CIFAR stem, cifar_resnetD,
     * mlp, resnet50_w2 and _w4, other channels than 3, another bn_eps) has build_model.py, some lines of PyTorch that
     * do, in place of config.json. */
    MOCO_EXPORT_TIMM = 1,
    /* torch.save's zip, for torch.load("FILE", weights_only=True): the state_dict. */
    MOCO_EXPORT_TORCH = 2,
    /* The same as the official MoCo saves it: {"epoch", "arch", "state_dict": {"module.encoder_q.*"}}, which the official
     * linear evaluation and converters take. Written with the head whatever with_head says. */
    MOCO_EXPORT_TORCH_MOCO = 3,
    /* The same under detectron2's names: {"model": {"stem.conv1.*", "res2.0.conv1.norm.*", ...}}, as MoCo's converter
     * has them, and a note with the settings that detectron2 needs. resnet18 .. resnext50_32x8d with the ImageNet stem;
     * never with the head. */
    MOCO_EXPORT_DETECTRON2 = 4,
    /* ONNX, opset 17, IR 8: "images" (batch x channels x height x width, float32, normalized) -> "features", or with the
     * head "embeddings". The batch is free. */
    MOCO_EXPORT_ONNX = 5
};

typedef struct moco_export_config {
    uint32_t struct_size;
    int32_t kind;      /* MOCO_EXPORT_*; default SAFETENSORS */
    int32_t with_head; /* 1: the projection head, too; default 0: the backbone alone */
    int32_t
        fold_batch_norm; /* ONNX: 1 makes BatchNorm a part of the convolution or linear layer before it; default 0 */
    int32_t with_preprocess; /* ONNX: 1: the input is "pixels" (batch x height x width x 3, uint8, 0..255), and mean and
                                 std of `augment` are in the graph; default 0 */
    int32_t class_count;     /* strings in class_names; default 0 */
    /* The view that the encoder was trained for, which belongs to the model: height, width, mean, std, eval_resize and
     * interpolation are taken. NULL (default): not known; timm's configuration then has v1's 224 x 224, and ONNX leaves
     * height and width free. */
    const moco_augment_config *augment;
    /* Names of the classes of the images that it was trained on, in the order of their labels; moco_file_class_names
     * reads them back (bytes that are not UTF-8 as U+FFFD). SAFETENSORS, TIMM and ONNX keep them. */
    const char *const *class_names;
    const char *description; /* a sentence for people; NULL (default): none. Kept as class_names are */
    int64_t epoch;           /* TORCH_MOCO: what "epoch" says, >= 0; default 0 */
    /* SAFETENSORS and ONNX: the caller's own metadata, entry_count each, as moco_encoder_save's; default none. */
    const char *const *keys;
    const char *const *values;
    int64_t entry_count;
} moco_export_config;

MOCO_API moco_status moco_export_config_init(moco_export_config *config, uint32_t struct_size);

/* Writes `encoder` to `path`, a file or for TIMM a folder; each file is the old one or the new one, never half. Memory:
 * the largest parameter. `config` NULL means the defaults. Errors: INVALID_ARGUMENT (a setting, named), INVALID_STATE (a
 * parameter is not finite), UNSUPPORTED (a kind that can't say what this network computes, and why), IO, OUT_OF_MEMORY. */
MOCO_API moco_status moco_encoder_export(const moco_encoder *encoder, const char *path,
                                         const moco_export_config *config);

/* The class names that a safetensors file keeps: names[capacity] gets them one behind the other, each with its NUL;
 * `length` (may be NULL) gets the bytes that takes, `count` how many they are. With capacity 0, only those two are
 * answered. Errors: NOT_FOUND where the file has none, INVALID_ARGUMENT where they do not fit, and those of
 * moco_file_metadata. */
MOCO_API moco_status moco_file_class_names(moco_context *context, const char *path, char *names, uint64_t capacity,
                                           uint64_t *length, int64_t *count);

MOCO_END_DECLS

#endif
