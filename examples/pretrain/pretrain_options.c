#include "pretrain/pretrain_options.h"

#include <moco.h>
#include <string.h>

#include "support/evaluation_data.h"

static const char *const stem_names[] = {"imagenet", "cifar", NULL};
static const char *const head_names[] = {"none", "linear", "mlp", NULL};
static const char *const layout_names[] = {"contiguous", "strided", NULL};
static const char *const cache_names[] = {"encoded", "decoded", NULL};
static const char *const start_names[] = {"random", "empty", NULL};
static const char *const storage_names[] = {"f32", "bf16", NULL};
static const char *const compute_names[] = {"f32", "bf16", "bf16-required", "f32-direct", NULL};
static const char *const schedule_names[] = {"constant", "step", "cosine", NULL};
static const char *const output_names[] = {"features", "embeddings", NULL};

static const char description[] =
    "Trains an encoder on images without labels, by Momentum Contrast (arXiv 1911.05722). The defaults are a quick "
    "run\n"
    "on the built-in images; the official CIFAR-10 demo (200 epochs, 82.6 % kNN) is\n"
    "  pretrain --data cifar10:DIR --arch resnet18 --head linear --epochs 200 --batch-size 512 --queue-size 4096\n"
    "           --momentum 0.99 --temperature 0.1 --lr 0.06 --weight-decay 5e-4 --bn-groups 8 --augment cifar\n"
    "           --bn-layout strided --knn-output embeddings\n"
    "Writes OUT/metrics.jsonl, a JSON object per step and per epoch, and OUT/encoder.safetensors, the query encoder\n"
    "under torchvision's names; files of an earlier run there are replaced. Ctrl-C stops after the step in progress\n"
    "and saves; a second one stops at once.\n\n"
    "On a folder of photos, with a folder for each class in SET/train and SET/val (labels are for kNN alone), such as\n"
    "  pretrain --data folder:SET/train --augment v2 --arch resnet18 --stem imagenet\n"
    "or any folder, list or tar of JPEG, PNG and WebP files.\n\n"
    "ARCH: resnet18, resnet34, resnet50, resnet101, resnet152, resnext50_32x8d, wide_resnet50_2, wide_resnet50_4,\n"
    "cifar_resnet20, cifar_resnet56 (any depth 6n+2), or mlp on the flattened pixels.";

void read_pretrain_options(pretrain_options *options, int argc, char **argv) {
    *options = (pretrain_options){
        .data = "synthetic",
        .test_count = 1000,
        .augment = MOCO_AUGMENT_CIFAR,
        .workers = 1,
        .max_broken = 0.1,
        .arch = "cifar_resnet14",
        .stem = MOCO_STEM_CIFAR,
        .head = MOCO_HEAD_MLP,
        .dim = 128,
        .bn_groups = 4,
        .queue_size = 2048,
        .momentum = 0.99,
        .temperature = 0.1,
        .epochs = 20,
        .batch_size = 64,
        .lr = 0.06,
        .schedule = MOCO_SCHEDULE_COSINE,
        .weight_decay = 1e-4,
        .sgd_momentum = 0.9,
        .knn_every = 5,
        .knn_k = 200,
        .knn_temperature = 0.1,
        .out = "runs/pretrain",
    };
    const double big = 1e9;
    const option_row rows[] = {
        {"data", OPTION_TEXT, &options->data, DATA_KINDS, 0, 0, NULL},
        {"test-data", OPTION_TEXT, &options->test_data,
         "test images for kNN; if not given: the kind's, or DIR/val beside DIR/train", 0, 0, NULL},
        {"test-count", OPTION_INTEGER, &options->test_count, "test images of the built-in set", 1, big, NULL},
        {"augment", OPTION_CHOICE, &options->augment, "recipe of the two views", 0, 0, augment_names},
        {"size", OPTION_INTEGER, &options->size,
         "height and width of a view; 0: the images' own, or the recipe's where they differ", 0, 4096, NULL},
        {"crop-min", OPTION_NUMBER, &options->crop_min, "least area of a crop; 0: the recipe's", 0, 1, NULL},
        {"reduced-decoding", OPTION_INTEGER, &options->reduced_decoding,
         "1: decode JPEGs of over 10 times the views' size smaller; quicker, single pixels differ by up to 7/255", 0, 1,
         NULL},
        {"workers", OPTION_INTEGER, &options->workers, "loader threads; 0: load between the steps", 0, 256, NULL},
        {"cache-bytes", OPTION_INTEGER, &options->cache_bytes, "memory that keeps images of files; 0: none", 0, 1e15,
         NULL},
        {"cache", OPTION_CHOICE, &options->cache, "how it keeps them", 0, 0, cache_names},
        {"max-broken", OPTION_NUMBER, &options->max_broken, "fraction of broken images that stops the run", 0, 1, NULL},
        {"arch", OPTION_TEXT, &options->arch, "ARCH, see above", 0, 0, NULL},
        {"stem", OPTION_CHOICE, &options->stem, "first layers of resnet18 to wide_resnet50_4", 0, 0, stem_names},
        {"head", OPTION_CHOICE, &options->head, "linear is v1's, mlp v2's", 0, 0, head_names},
        {"dim", OPTION_INTEGER, &options->dim, "embedding dim", 1, 65536, NULL},
        {"bn-groups", OPTION_INTEGER, &options->bn_groups, "BatchNorm groups per batch; 1: no shuffled BatchNorm", 1,
         big, NULL},
        {"bn-layout", OPTION_CHOICE, &options->bn_layout, "which samples a group holds", 0, 0, layout_names},
        {"compute", OPTION_CHOICE, &options->compute,
         "dtype of the layers; bf16: where the processor has it; direct: no Winograd", 0, 0, compute_names},
        {"queue-size", OPTION_INTEGER, &options->queue_size, "K, the keys to tell apart", 1, big, NULL},
        {"queue-start", OPTION_CHOICE, &options->queue_start, "what the queue holds at first", 0, 0, start_names},
        {"queue-storage", OPTION_CHOICE, &options->queue_storage, "bf16: half the memory, keys rounded", 0, 0,
         storage_names},
        {"momentum", OPTION_NUMBER, &options->momentum, "m of the key encoder", 0, 1, NULL},
        {"momentum-end", OPTION_NUMBER, &options->momentum_end, "m at the end, along a cosine; 0: m stays", 0, 1, NULL},
        {"temperature", OPTION_NUMBER, &options->temperature, "T of the loss", 1e-8, 1e6, NULL},
        {"mask-same-image", OPTION_FLAG, &options->mask_same_image, "an image's own older keys are no negatives", 0, 0,
         NULL},
        {"epochs", OPTION_INTEGER, &options->epochs, "passes over the training images", 1, big, NULL},
        {"max-steps", OPTION_INTEGER, &options->max_steps, "stop after so many steps; 0: after the epochs", 0, big,
         NULL},
        {"batch-size", OPTION_INTEGER, &options->batch_size, "images per step", 1, big, NULL},
        {"lr", OPTION_NUMBER, &options->lr, "learning rate", 0, 1e6, NULL},
        {"schedule", OPTION_CHOICE, &options->schedule, "step: a tenth after 60 % and 80 % of the epochs, as v1", 0, 0,
         schedule_names},
        {"warmup-epochs", OPTION_NUMBER, &options->warmup_epochs, "the learning rate grows from 0", 0, big, NULL},
        {"weight-decay", OPTION_NUMBER, &options->weight_decay, "of all parameters", 0, 1e6, NULL},
        {"sgd-momentum", OPTION_NUMBER, &options->sgd_momentum, "of the optimizer, below 1", 0, 1, NULL},
        {"knn-every", OPTION_INTEGER, &options->knn_every, "epochs between kNN evaluations; 0: first and last only", 0,
         big, NULL},
        {"knn-bank", OPTION_INTEGER, &options->knn_bank, "training images kNN compares with; 0: all", 0, big, NULL},
        {"knn-k", OPTION_INTEGER, &options->knn_k, "neighbours that vote", 1, big, NULL},
        {"knn-temperature", OPTION_NUMBER, &options->knn_temperature, "of their weights", 1e-6, 1e6, NULL},
        {"knn-output", OPTION_CHOICE, &options->knn_output, "what kNN compares", 0, 0, output_names},
        {"out", OPTION_TEXT, &options->out, "folder for the results; made if missing", 0, 0, NULL},
        {"backend", OPTION_TEXT, &options->backend, "compute backend; the fastest if not given", 0, 0, NULL},
        {"threads", OPTION_INTEGER, &options->threads, "of the computation; 0: one per processor", 0, 1024, NULL},
        {"seed", OPTION_INTEGER, &options->seed, "of everything random", 0, 9e15, NULL},
    };
    const command_line line = {.program = "pretrain",
                               .arguments = "[OPTION...]",
                               .description = description,
                               .rows = rows,
                               .row_count = (int32_t) (sizeof rows / sizeof rows[0])};
    parse_command_line(&line, argc, argv, NULL);
    if (options->sgd_momentum >= 1) refuse_usage(&line, "--sgd-momentum is 1; it must be below 1");
    if (options->warmup_epochs >= (double) options->epochs) {
        refuse_usage(&line, "--warmup-epochs is %g; it must be less than --epochs, %lld", options->warmup_epochs,
                     (long long) options->epochs);
    }
    if (options->bn_groups > options->batch_size) {
        refuse_usage(&line, "--bn-groups is %lld; a batch has only %lld images", (long long) options->bn_groups,
                     (long long) options->batch_size);
    }
}
