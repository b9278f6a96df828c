#include "pretrain/pretrain_options.h"

#include <moco.h>
#include <stdlib.h>

#include "pretrain/checkpoints.h"
#include "support/evaluation_data.h"
#include "support/example_support.h"
#include "support/option_names.h"

static const char *const output_names[] = {"features", "embeddings", NULL};

static const char description[] =
    "Trains an encoder on images without labels, by Momentum Contrast (arXiv 1911.05722), as a recipe says: quick, a\n"
    "few minutes on the built-in images, is the default; cifar-demo is the official CIFAR-10 demo (200 epochs, 82.6 %\n"
    "kNN), v1, v2 and v2-800 are the papers':\n"
    "  pretrain --recipe cifar-demo --data cifar10:DIR --knn-output embeddings\n"
    "  pretrain --recipe v2:arch=resnet18,batch_size=128,scale_lr=1 --data folder:SET/train\n"
    "Options change single settings of it (those below as the recipe has them), in the order of the table; settings\n"
    "without an option are changed in --recipe: moco/recipe.h has them all.\n\n"
    "Writes OUT/metrics.jsonl, a JSON object in a line for each step and epoch, OUT/encoder.safetensors, the query\n"
    "encoder under torchvision's names, OUT/encoder, the folder that timm and transformers open, OUT/config.json\n"
    "(every setting), OUT/status.json (how it goes) and checkpoints. The same command with --resume auto goes on from\n"
    "the last checkpoint, or starts where there is none, to the same bits as if the run had never stopped. A folder\n"
    "that holds another run, or other files by these names, is refused without --overwrite. Ctrl-C, SIGTERM and\n"
    "SIGUSR1 stop after the step in progress, or in a kNN evaluation, and save; after the last two the program ends\n"
    "with 0. A second Ctrl-C or SIGTERM stops at once.\n\n"
    "On a folder of photos, with a folder for each class in SET/train and SET/val (labels are for kNN alone), such as\n"
    "  pretrain --data folder:SET/train --augment v2 --arch resnet18 --stem imagenet\n"
    "or any folder, list or tar of images.\n\n"
    "ARCH: resnet18, resnet34, resnet50, resnet101, resnet152, resnext50_32x8d, wide_resnet50_2, wide_resnet50_4,\n"
    "resnet50_w2, resnet50_w4 (every layer wider), cifar_resnet20, cifar_resnet56 (any depth 6n+2), or mlp on the\n"
    "flattened pixels.";

/* What no part of the library can see alone. */
static void check_recipe(pretrain_options *options, const command_line *line) {
    const double epochs = moco_recipe_schedule(options->recipe)->epochs;
    if (!(epochs >= 1 && epochs <= 1e9) || epochs != (double) (int64_t) epochs) {
        refuse_usage(line, "--epochs is %g; it must be a whole number from 1 to 1e9", epochs);
    }
    options->epochs = (int64_t) epochs;
    const int32_t bn_groups = moco_recipe_encoder(options->recipe)->bn_groups;
    const int64_t batch_size = moco_recipe_loader(options->recipe)->batch_size;
    if (bn_groups > batch_size) {
        refuse_usage(line, "--bn-groups is %d; a batch has only %lld images", bn_groups, (long long) batch_size);
    }
}

void read_pretrain_options(pretrain_options *options, int argc, char **argv) {
    const char *recipe = find_option(argc, argv, "recipe");
    int32_t mask_same_image = 0;
    if (recipe == NULL) recipe = "quick";
    *options = (pretrain_options){
        .data = "synthetic",
        .test_count = 1000,
        .knn_every = 5,
        .knn_k = 200,
        .knn_temperature = 0.1,
        .out = "runs/pretrain",
        .save_every = "10min",
        .keep = 2,
    };
    name_option("moco_recipe_key", "moco/recipe.h");
    check_choice(moco_recipe_create(&options->recipe, NULL, recipe));
    const double big = 1e9;
#define SETTING(name, text, setting) \
    { name, OPTION_SETTING, NULL, text, .key = setting }
#define SHORT(name, text, setting, ...) /* a key that stands for the fields behind it */    \
    {                                                                                       \
        name, OPTION_SETTING, NULL, text, .key = setting, .fields = (const char *const[]) { \
            __VA_ARGS__, NULL                                                               \
        }                                                                                   \
    }
#define CHOICE(name, text, setting, of_these) \
    { name, OPTION_SETTING, NULL, text, .key = setting, .enum_kind = of_these }
    const option_row rows[] = {
        {"recipe", OPTION_TEXT, &recipe, "NAME or NAME:KEY=VALUE,KEY=VALUE...", .choices = NULL},
        {"data", OPTION_TEXT, &options->data, DATA_KINDS, .choices = NULL},
        {"test-data", OPTION_TEXT, &options->test_data,
         "test images for kNN; if not given: the kind's, or DIR/val beside DIR/train", .choices = NULL},
        {"test-count", OPTION_INTEGER, &options->test_count, "test images of the built-in set", .minimum = 1,
         .maximum = big},
        CHOICE("augment", "recipe of the two views", "augment.recipe", "augment"),
        SHORT("size", "height and width of a view; 0: the images' own, or the recipe's where they differ", "size",
              "augment.height", "augment.width", "height", "width"),
        SETTING("crop-min", "least area of a crop", "augment.crop_min"),
        SETTING(
            "reduced-decoding",
            "1: decode JPEGs of over 10 times the views' size smaller; quicker, single pixels differ by up to 7/255",
            "augment.reduced_decoding"),
        SETTING("workers", "loader threads; 0: load between the steps", "loader.workers"),
        SETTING("cache-bytes", "memory that keeps images of files; 0: none", "loader.cache_bytes"),
        CHOICE("cache", "how it keeps them", "loader.cache", "cache"),
        SETTING("max-broken", "fraction of broken images that stops the run", "loader.max_broken_fraction"),
        SHORT("arch", "ARCH, see above", "arch", "encoder.architecture", "architecture"),
        CHOICE("stem", "first layers of resnet18 to resnet50_w4", "encoder.stem", "stem"),
        CHOICE("head", "linear is v1's, mlp v2's", "encoder.head", "head"),
        SHORT("dim", "embedding dim", "dim", "encoder.embedding_dim", "embedding_dim"),
        SETTING("bn-groups", "BatchNorm groups per batch; 1: no shuffled BatchNorm", "encoder.bn_groups"),
        CHOICE("bn-layout", "which samples a group holds", "encoder.bn_layout", "bn-layout"),
        CHOICE("compute", "dtype of the layers; bf16: where the processor has it; direct: no Winograd",
               "encoder.compute_dtype", "compute"),
        SETTING("queue-size", "K, the keys to tell apart", "queue.capacity"),
        CHOICE("queue-start", "what the queue holds at first", "queue.start", "queue-start"),
        CHOICE("queue-storage", "bf16: half the memory, keys rounded", "queue.storage", "queue-storage"),
        SETTING("momentum", "m of the key encoder", "momentum_encoder.momentum"),
        SETTING("momentum-end", "m at the end, along a cosine; 0: m stays", "trainer.momentum_end"),
        SETTING("temperature", "T of the loss", "loss.temperature"),
        {"mask-same-image", OPTION_FLAG, &mask_same_image, "an image's own older keys are no negatives",
         .choices = NULL},
        SHORT("epochs", "passes over the training images", "epochs", "schedule.epochs"),
        {"max-steps", OPTION_INTEGER, &options->max_steps, "stop after so many steps; 0: after the epochs",
         .maximum = big},
        SETTING("batch-size", "images per step", "loader.batch_size"),
        SETTING("drop-last", "1: an incomplete batch at an epoch's end is left out; 0: trained, too",
                "loader.drop_last"),
        SHORT("lr", "learning rate", "lr", "optimizer.learning_rate", "schedule.base", "learning_rate", "base"),
        CHOICE("schedule", "step: a tenth after 60 % and 80 % of the epochs, as v1", "schedule.kind", "schedule"),
        SETTING("warmup-epochs", "the learning rate grows from 0", "schedule.warmup_epochs"),
        SETTING("weight-decay", "of all parameters", "optimizer.weight_decay"),
        SETTING("sgd-momentum", "of the optimizer, below 1", "optimizer.momentum"),
        {"knn-every", OPTION_INTEGER, &options->knn_every, "epochs between kNN evaluations; 0: first and last only",
         .maximum = big},
        {"knn-bank", OPTION_INTEGER, &options->knn_bank,
         "training images kNN compares with, of each class its share; 0: all", .maximum = big},
        {"knn-k", OPTION_INTEGER, &options->knn_k, "neighbours that vote", .minimum = 1, .maximum = big},
        {"knn-temperature", OPTION_NUMBER, &options->knn_temperature, "of their weights", .minimum = 1e-6,
         .maximum = 1e6},
        {"knn-output", OPTION_CHOICE, &options->knn_output, "what kNN compares", .choices = output_names},
        {"out", OPTION_TEXT, &options->out, "folder for the results; made if missing", .choices = NULL},
        {"save-every", OPTION_TEXT, &options->save_every,
         "checkpoints: after so many steps (500), epochs (1epoch) or minutes (10min); 0: none", .choices = NULL},
        {"keep", OPTION_INTEGER, &options->keep, "checkpoints kept, the last ones, beside the best by kNN",
         .minimum = 1, .maximum = big},
        {"resume", OPTION_TEXT, &options->resume, "auto, or a checkpoint's file: goes on with its run",
         .choices = NULL},
        {"init", OPTION_TEXT, &options->init,
         "weights that a new run starts from: an encoder's file, MoCo's, torchvision's, timm's", .choices = NULL},
        {"overwrite", OPTION_FLAG, &options->overwrite, "replace the run that the folder holds", .choices = NULL},
        {"backend", OPTION_TEXT, &options->backend, "compute backend; the fastest if not given", .choices = NULL},
        {"threads", OPTION_INTEGER, &options->threads, "of the computation; 0: one per processor", .maximum = 1024},
        SHORT("seed", "of everything random", "seed", "encoder.seed", "momentum_encoder.seed", "queue.seed",
              "loader.seed", "augment.seed"),
    };
#undef SETTING
#undef SHORT
#undef CHOICE
    const command_line line = {.program = "pretrain",
                               .arguments = "[OPTION...]",
                               .description = description,
                               .rows = rows,
                               .row_count = (int32_t) (sizeof rows / sizeof rows[0]),
                               .recipe = options->recipe};
    moco_schedule *schedule = moco_recipe_schedule(options->recipe);
    const int32_t kind = schedule->kind;
    parse_command_line(&line, argc, argv, NULL);
    /* Short runs have few epochs to step through; v1's milestones belong to epochs. */
    if (schedule->kind == MOCO_SCHEDULE_STEP && kind != MOCO_SCHEDULE_STEP) schedule->unit = MOCO_SCHEDULE_PER_EPOCH;
    if (mask_same_image) moco_recipe_loss(options->recipe)->mask_same_id = 1;
    check_recipe(options, &line);
    save_interval interval;
    if (!read_save_interval(options->save_every, &interval)) {
        refuse_usage(
            &line,
            "--save-every is \"%s\"; it must be a number of steps (500), of epochs (1epoch), of minutes (10min), "
            "or 0 (never)",
            options->save_every);
    }
    if (options->overwrite && options->resume != NULL) {
        refuse_usage(&line, "--resume goes on with a run and --overwrite replaces it: give one of them");
    }
}
