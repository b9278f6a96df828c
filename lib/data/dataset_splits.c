#define _POSIX_C_SOURCE 200809L
#include "data/dataset_splits.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const moco_test_splits[MOCO_TEST_SPLITS] = {"val", "valid", "validation", "test", "testing"};
const char *const moco_train_splits[MOCO_TRAIN_SPLITS] = {"train", "training"};

int32_t moco_has_folder(const moco_class_table *folders, const char *name) {
    for (int32_t i = 0; i < folders->count; ++i) {
        if (strcmp(folders->names + folders->name_at[i], name) == 0) return 1;
    }
    return 0;
}

const char *moco_train_split_of(const moco_class_table *folders) {
    int32_t has_test = 0;
    for (int i = 0; i < MOCO_TEST_SPLITS; ++i) has_test |= moco_has_folder(folders, moco_test_splits[i]);
    for (int i = 0; i < MOCO_TRAIN_SPLITS; ++i) {
        if (moco_has_folder(folders, moco_train_splits[i])) {
            return has_test || folders->count == 1 ? moco_train_splits[i] : NULL;
        }
    }
    return NULL;
}

int64_t moco_train_split_at(const char *text) {
    size_t end = strlen(text);
    while (end > 0 && text[end - 1] == '/') --end;
    size_t begin = end;
    while (begin > 0 && text[begin - 1] != '/' && text[begin - 1] != ':') --begin;
    for (int i = 0; i < MOCO_TRAIN_SPLITS; ++i) {
        const size_t length = strlen(moco_train_splits[i]);
        if (end - begin == length && strncmp(text + begin, moco_train_splits[i], length) == 0) return (int64_t) begin;
    }
    return -1;
}

/* --- In the file system --- */

static int32_t is_folder(int folder, const char *name) {
    struct stat info;
    return fstatat(folder, name, &info, 0) == 0 && S_ISDIR(info.st_mode);
}

/* Whether no other folder is beside this one. Takes over `descriptor`. */
static int32_t is_only_folder(int descriptor, const char *name) {
    DIR *folder = fdopendir(descriptor);
    if (folder == NULL) {
        close(descriptor);
        return 0;
    }
    int32_t only = 1;
    for (const struct dirent *entry; only && (entry = readdir(folder)) != NULL;) {
        only = entry->d_name[0] == '.' || strcmp(entry->d_name, name) == 0 || !is_folder(descriptor, entry->d_name);
    }
    closedir(folder);
    return only;
}

const char *moco_train_split_in(const char *folder) {
    const char *train = NULL;
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return NULL;
    for (int i = 0; train == NULL && i < MOCO_TRAIN_SPLITS; ++i) {
        if (is_folder(descriptor, moco_train_splits[i])) train = moco_train_splits[i];
    }
    for (int i = 0; train != NULL && i < MOCO_TEST_SPLITS; ++i) {
        if (!is_folder(descriptor, moco_test_splits[i])) continue;
        close(descriptor);
        return train;
    }
    if (train == NULL) {
        close(descriptor);
        return NULL;
    }
    return is_only_folder(descriptor, train) ? train : NULL;
}
