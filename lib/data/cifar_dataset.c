/* The CIFAR binary versions: records of one label byte (CIFAR-100: the coarse, then the fine label) and 3072 pixel
 * bytes, the red, green and blue plane of 32 x 32 each. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/checked.h"
#include "core/system_error.h"
#include "data/dataset_internal.h"
#include "data/dataset_kinds.h"
#include "data/memory_dataset.h"

enum { MAX_PATH = 4096, SIDE = 32, PIXELS = 3 * SIDE * SIDE, MAX_FILES = 5 };

typedef struct cifar_kind {
    const char *files[MAX_FILES + 1];
    const char *train_file; /* that the set's folder has in any case */
    const char *folder;     /* as the set unpacks */
    const char *python[2];  /* a file of the Python version, and its folder */
    const char *archive;    /* that has the binary version */
    int32_t label_bytes;    /* the last of them is the label used */
    int32_t classes;
} cifar_kind;

const char *const moco_cifar_kind_names[MOCO_CIFAR_KINDS] = {"cifar10", "cifar10-test", "cifar100", "cifar100-test"};

#define CIFAR10_PLACES \
    "data_batch_1.bin", "cifar-10-batches-bin", {"data_batch_1", "cifar-10-batches-py"}, "cifar-10-binary.tar.gz"
#define CIFAR100_PLACES "train.bin", "cifar-100-binary", {"train", "cifar-100-python"}, "cifar-100-binary.tar.gz"

static const cifar_kind kinds[MOCO_CIFAR_KINDS] = {
    {{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
     CIFAR10_PLACES,
     1,
     10},
    {{"test_batch.bin"}, CIFAR10_PLACES, 1, 10},
    {{"train.bin"}, CIFAR100_PLACES, 2, 100},
    {{"test.bin"}, CIFAR100_PLACES, 2, 100},
};

static const char *const cifar10_names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                              "dog",      "frog",       "horse", "ship", "truck"};

static const char *const cifar100_names[100] = {
    "apple",      "aquarium_fish", "baby",         "bear",       "beaver",      "bed",         "bee",
    "beetle",     "bicycle",       "bottle",       "bowl",       "boy",         "bridge",      "bus",
    "butterfly",  "camel",         "can",          "castle",     "caterpillar", "cattle",      "chair",
    "chimpanzee", "clock",         "cloud",        "cockroach",  "couch",       "crab",        "crocodile",
    "cup",        "dinosaur",      "dolphin",      "elephant",   "flatfish",    "forest",      "fox",
    "girl",       "hamster",       "house",        "kangaroo",   "keyboard",    "lamp",        "lawn_mower",
    "leopard",    "lion",          "lizard",       "lobster",    "man",         "maple_tree",  "motorcycle",
    "mountain",   "mouse",         "mushroom",     "oak_tree",   "orange",      "orchid",      "otter",
    "palm_tree",  "pear",          "pickup_truck", "pine_tree",  "plain",       "plate",       "poppy",
    "porcupine",  "possum",        "rabbit",       "raccoon",    "ray",         "road",        "rocket",
    "rose",       "sea",           "seal",         "shark",      "shrew",       "skunk",       "skyscraper",
    "snail",      "snake",         "spider",       "squirrel",   "streetcar",   "sunflower",   "sweet_pepper",
    "table",      "tank",          "telephone",    "television", "tiger",       "tractor",     "train",
    "trout",      "tulip",         "turtle",       "wardrobe",   "whale",       "willow_tree", "wolf",
    "woman",      "worm"};

static moco_status io_failure(const char *path, const char *what) {
    const int error = errno;
    char text[MOCO_SYSTEM_ERROR_SIZE];
    return moco_fail(error == ENOENT || error == ENOTDIR ? MOCO_NOT_FOUND : MOCO_IO, "cannot %s %s: %s", what, path,
                     moco_system_error(error, text));
}

/* The number of records in the file at `path`. */
static moco_status count_records(const char *path, int64_t record, int64_t *records) {
    struct stat file;
    if (stat(path, &file) != 0) return io_failure(path, "read");
    if (!S_ISREG(file.st_mode)) return moco_fail(MOCO_IO, "cannot read %s: it is not a regular file", path);
    if (file.st_size == 0 || file.st_size % record != 0) {
        return moco_fail(MOCO_FORMAT, "%s has %lld bytes; a CIFAR file is a whole number of records of %lld bytes",
                         path, (long long) file.st_size, (long long) record);
    }
    *records = (int64_t) file.st_size / record;
    return MOCO_OK;
}

static moco_status read_records(const char *path, const cifar_kind *kind, int64_t records, uint8_t *pixels,
                                int32_t *labels) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) return io_failure(path, "open");
    moco_status status = MOCO_OK;
    for (int64_t i = 0; i < records; ++i) {
        uint8_t head[2];
        errno = EIO; /* for a file that has become shorter, which sets nothing */
        if (fread(head, (size_t) kind->label_bytes, 1, file) != 1 || fread(pixels + i * PIXELS, PIXELS, 1, file) != 1) {
            status = io_failure(path, "read");
            break;
        }
        labels[i] = head[kind->label_bytes - 1];
        if (labels[i] >= kind->classes) {
            status = moco_fail(MOCO_FORMAT, "%s: record %lld has the label %d; it must be 0 to %d", path, (long long) i,
                               labels[i], kind->classes - 1);
            break;
        }
    }
    fclose(file);
    return status;
}

static moco_status join_path(char *path, size_t size, const char *folder, const char *file) {
    const int length = snprintf(path, size, "%s/%s", folder, file);
    MOCO_REQUIRE(length > 0 && (size_t) length < size, "the folder's path has %zu bytes; that is too long",
                 strlen(folder));
    return MOCO_OK;
}

static int32_t has_file(const char *folder, const char *file) {
    char path[MAX_PATH];
    struct stat info;
    return join_path(path, sizeof path, folder, file) == MOCO_OK && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

int32_t moco_cifar_can_train(int32_t kind_number, const char *folder) {
    const cifar_kind *kind = &kinds[kind_number];
    char below[MAX_PATH];
    return has_file(folder, kind->train_file) ||
           (join_path(below, sizeof below, folder, kind->folder) == MOCO_OK && has_file(below, kind->train_file));
}

/* `folder`, or the set's own folder in it, into place[MAX_PATH]; NOT_FOUND where it is the Python version's. */
static moco_status find_set(moco_context *context, const cifar_kind *kind, const char *folder, char *place) {
    char below[MAX_PATH];
    MOCO_REQUIRE(strlen(folder) < MAX_PATH, "the folder's path has %zu bytes; that is too long", strlen(folder));
    memcpy(place, folder, strlen(folder) + 1);
    if (has_file(folder, kind->train_file) || has_file(folder, kind->files[0])) return MOCO_OK;
    MOCO_TRY(join_path(below, sizeof below, folder, kind->folder));
    if (has_file(below, kind->train_file) || has_file(below, kind->files[0])) {
        moco_log(context, MOCO_LOG_INFO, "%s holds the folder %s, which is taken", folder, kind->folder);
        memcpy(place, below, strlen(below) + 1);
        return MOCO_OK;
    }
    MOCO_TRY(join_path(below, sizeof below, folder, kind->python[1]));
    if (!has_file(folder, kind->python[0]) && !has_file(below, kind->python[0])) return MOCO_OK;
    return moco_fail(
        MOCO_NOT_FOUND,
        "%s holds the Python version, whose files are pickles (%s); get the binary version, %s, and give its "
        "folder, %s",
        folder, kind->python[0], kind->archive, kind->folder);
}

moco_status moco_cifar_open(moco_dataset **out, moco_context *context, int32_t kind_number, const char *given) {
    const cifar_kind *kind = &kinds[kind_number];
    char path[MAX_PATH], folder[MAX_PATH];
    MOCO_TRY(find_set(context, kind, given, folder));
    int64_t records[MAX_FILES] = {0}, total = 0;
    for (int32_t i = 0; i < MAX_FILES && kind->files[i] != NULL; ++i) {
        MOCO_TRY(join_path(path, sizeof path, folder, kind->files[i]));
        MOCO_TRY(count_records(path, PIXELS + kind->label_bytes, &records[i]));
        total += records[i];
    }
    size_t pixel_bytes = 0, label_bytes = 0;
    MOCO_TRY(moco_checked_bytes(total, PIXELS, "the images", &pixel_bytes));
    MOCO_TRY(moco_checked_bytes(total, sizeof(int32_t), "the labels", &label_bytes));

    moco_status status = MOCO_OUT_OF_MEMORY;
    uint8_t *pixels = (uint8_t *) moco_allocate(context, pixel_bytes);
    int32_t *labels = pixels == NULL ? NULL : (int32_t *) moco_allocate(context, label_bytes);
    if (labels == NULL) goto failed;
    int64_t done = 0;
    for (int32_t i = 0; i < MAX_FILES && kind->files[i] != NULL; ++i) {
        MOCO_TRY_GOTO(status, failed, join_path(path, sizeof path, folder, kind->files[i]));
        MOCO_TRY_GOTO(status, failed, read_records(path, kind, records[i], pixels + done * PIXELS, labels + done));
        done += records[i];
    }
    moco_dataset *dataset = NULL;
    MOCO_TRY_GOTO(status, failed, moco_memory_dataset_adopt(&dataset, context, pixels, labels, total, SIDE, SIDE));
    dataset->classes = kind->classes;
    dataset->class_names = kind->classes == 10 ? cifar10_names : cifar100_names;
    *out = dataset;
    return MOCO_OK;

failed:
    moco_deallocate(context, labels);
    moco_deallocate(context, pixels);
    return status;
}
