/* build_model.py: the lines of PyTorch that build a network which timm has no name for. */
#include <stdarg.h>
#include <stdio.h>

#include "checkpoint/export_job.h"
#include "core/number_text.h"

static void add_line(moco_byte_buffer *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_line(moco_byte_buffer *text, const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    moco_append_text(text, line);
    moco_append_text(text, "\n");
}

static void add_resnet(moco_byte_buffer *text, const moco_resnet_shape *shape) {
    const char *block = shape->bottleneck ? "Bottleneck" : "BasicBlock";
    add_line(text, "    model = ResNet(%s, [1, 1, 1, 1], groups=%d, width_per_group=%lld)", block, shape->groups,
             (long long) shape->width_per_group);
    add_line(text, "    model.inplanes = %lld", (long long) shape->stem);
    if (shape->stem_kernel == 7) {
        add_line(text, "    model.conv1 = nn.Conv2d(%lld, %lld, 7, stride=2, padding=3, bias=False)",
                 (long long) shape->channels, (long long) shape->stem);
    } else {
        add_line(text, "    model.conv1 = nn.Conv2d(%lld, %lld, 3, padding=1, bias=False)", (long long) shape->channels,
                 (long long) shape->stem);
        add_line(text, "    model.maxpool = nn.Identity()");
    }
    add_line(text, "    model.bn1 = nn.BatchNorm2d(%lld)", (long long) shape->stem);
    for (int32_t stage = 0; stage < MOCO_RESNET_STAGES; ++stage) {
        if (stage < shape->stages) {
            add_line(text, "    model.layer%d = model._make_layer(%s, %lld, %lld, stride=%d)", stage + 1, block,
                     (long long) shape->stem << stage, (long long) shape->blocks[stage], stage == 0 ? 1 : 2);
        } else {
            add_line(text, "    model.layer%d = nn.Identity()", stage + 1);
        }
    }
    add_line(text, "    model.fc = nn.Identity()");
}

static void add_mlp(moco_byte_buffer *text, const moco_encoder_config *config) {
    add_line(text, "    layers = []");
    add_line(text, "    for width in [%d] + [%d] * %d:", config->mlp_input_dim, config->mlp_hidden_dim,
             config->mlp_layers - 1);
    add_line(text, "        layers += [nn.Linear(width, %d), nn.BatchNorm1d(%d), nn.ReLU()]", config->mlp_hidden_dim,
             config->mlp_hidden_dim);
    add_line(text, "    model = nn.Sequential(OrderedDict(flatten=nn.Flatten(), layers=nn.Sequential(*layers)))");
}

moco_status moco_build_model_text(const moco_export_job *job, const moco_resnet_shape *shape, moco_byte_buffer *text) {
    const moco_encoder_config *config = job->network;
    const moco_augment_config *view = &job->view;
    char eps[MOCO_NUMBER_TEXT_SIZE];
    char momentum[MOCO_NUMBER_TEXT_SIZE];
    moco_double_to_text(config->bn_eps, eps);
    moco_double_to_text(config->bn_momentum, momentum);
    add_line(text, "\"\"\"Builds the encoder in model.safetensors, %s, whose output are its features.",
             config->architecture);
    moco_append_text(text, "\n");
    if (job->config.augment != NULL) {
        add_line(
            text,
            "Images are (pixels / 255 - mean) / std of %d x %d, with mean %.6g, %.6g, %.6g and std %.6g, %.6g, %.6g.",
            view->height, view->width, view->mean[0], view->mean[1], view->mean[2], view->std[0], view->std[1],
            view->std[2]);
    }
    add_line(text, "Written by libmoco: timm has no name for this network.");
    add_line(text, "\"\"\"");
    if (shape == NULL) add_line(text, "from collections import OrderedDict");
    add_line(text, "from pathlib import Path");
    moco_append_text(text, "\n");
    add_line(text, "from safetensors.torch import load_file");
    add_line(text, "from torch import nn");
    if (shape != NULL) {
        add_line(text, "from torchvision.models.resnet import %s, ResNet",
                 shape->bottleneck ? "Bottleneck" : "BasicBlock");
    }
    moco_append_text(text, "\n");
    moco_append_text(text, "\n");
    add_line(text, "def build_model():");
    if (shape != NULL) {
        add_resnet(text, shape);
    } else {
        add_mlp(text, config);
    }
    add_line(text, "    for layer in model.modules():");
    add_line(text, "        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):");
    add_line(text, "            layer.eps, layer.momentum = %s, %s", eps, momentum);
    add_line(text, "    model.load_state_dict(load_file(Path(__file__).parent / \"model.safetensors\"))");
    add_line(text, "    return model.eval()");
    return text->status;
}
