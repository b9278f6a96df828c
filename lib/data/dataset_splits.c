#define _POSIX_C_SOURCE 200809L
#include "data/dataset_splits.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const moco_test_splits[MOCO_TEST_SPLITS] = {"val", "valid", "validation", "test", "testing"};
const char *const moco_train_splits[MOCO_TRAIN_SPLITS] = {"train", "training"};

/* Which of the splits it is called, in any case; -1: none. */
static int split_number(const char *name, size_t length, const char *const *splits, int count) {
    for (int i = 0; i < count; ++i) {
        size_t same = 0;
        while (same < length && splits[i][same] != '\0') {
            const char byte = name[same], lower = byte >= 'A' && byte <= 'Z' ? (char) (byte - 'A' + 'a') : byte;
            if (lower != splits[i][same]) break;
            ++same;
        }
        if (same == length && splits[i][same] == '\0') return i;
    }
    return -1;
}

/* Of several that differ in case alone the one in small letters is kept, which is the last by its bytes. 1 where it is a
 * split. */
static int32_t note(moco_splits *splits, const char *name) {
    const size_t length = strlen(name);
    const int train = split_number(name, length, moco_train_splits, MOCO_TRAIN_SPLITS);
    const int test = split_number(name, length, moco_test_splits, MOCO_TEST_SPLITS);
    char *kept = train >= 0 ? splits->train[train] : test >= 0 ? splits->test[test] : NULL;
    if (kept == NULL) return 0;
    if (strcmp(name, kept) > 0) memcpy(kept, name, length + 1); /* no split's name is longer than there is room */
    return 1;
}

static const char *first_of(const char (*names)[MOCO_SPLIT_NAME], int count) {
    for (int i = 0; i < count; ++i) {
        if (names[i][0] != '\0') return names[i];
    }
    return NULL;
}

static const char *first_train(const moco_splits *splits) {
    return first_of(splits->train, MOCO_TRAIN_SPLITS);
}

static const char *first_test(const moco_splits *splits) {
    return first_of(splits->test, MOCO_TEST_SPLITS);
}

void moco_splits_find(moco_splits *splits, const moco_class_table *folders) {
    for (int32_t i = 0; i < folders->count; ++i) note(splits, folders->names + folders->name_at[i]);
    splits->has_others = folders->count > 1;
}

const char *moco_train_split_of(const moco_splits *splits) {
    return first_test(splits) != NULL || !splits->has_others ? first_train(splits) : NULL;
}

int64_t moco_train_split_at(const char *text) {
    size_t end = strlen(text);
    while (end > 0 && text[end - 1] == '/') --end;
    size_t begin = end;
    while (begin > 0 && text[begin - 1] != '/' && text[begin - 1] != ':') --begin;
    return split_number(text + begin, end - begin, moco_train_splits, MOCO_TRAIN_SPLITS) < 0 ? -1 : (int64_t) begin;
}

void moco_splits_tell(moco_context *context, const char *shown, const moco_splits *splits) {
    const char *train = moco_train_split_of(splits), *test = first_test(splits);
    int tests = 0;
    for (int i = 0; i < MOCO_TEST_SPLITS; ++i) tests += splits->test[i][0] != '\0';
    if (train != NULL && test != NULL) {
        moco_log(context, MOCO_LOG_WARNING,
                 "%s is the root of a data set with a train and a test split: its folder %s is taken, and no split is "
                 "a class",
                 shown, train);
    } else if (train != NULL) {
        moco_log(context, MOCO_LOG_WARNING,
                 "%s has the folder %s alone, as the root of a data set without a test split: that folder is taken, "
                 "and it is no class",
                 shown, train);
    } else if (tests > 1 && first_train(splits) == NULL) {
        moco_log(context, MOCO_LOG_WARNING,
                 "%s has folders that are called as test splits are (%s), and no train split: they are classes; give "
                 "one of them if they are splits",
                 shown, test);
    }
}

/* --- In the file system --- */

static int32_t is_folder(int folder, const char *name) {
    struct stat info;
    return fstatat(folder, name, &info, 0) == 0 && S_ISDIR(info.st_mode);
}

static int32_t has_other_folder(DIR *folder, const char *name) {
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, name) == 0) continue;
        if (is_folder(dirfd(folder), entry->d_name)) return 1;
    }
    return 0;
}

void moco_splits_find_in(moco_splits *splits, const char *folder) {
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = descriptor < 0 ? NULL : fdopendir(descriptor);
    if (entries == NULL) {
        if (descriptor >= 0) close(descriptor);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        moco_splits scratch = {0};
        if (note(&scratch, entry->d_name) && is_folder(descriptor, entry->d_name)) note(splits, entry->d_name);
    }
    const char *train = first_train(splits);
    if (train != NULL && first_test(splits) == NULL) {
        rewinddir(entries);
        splits->has_others = has_other_folder(entries, train);
    }
    closedir(entries);
}
