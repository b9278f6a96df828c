/* A fresh folder for a test's files, removed with all that is in it at the end. */
#ifndef MOCO_TEST_TEMPORARY_FOLDER_H
#define MOCO_TEST_TEMPORARY_FOLDER_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEST_PATH_SIZE 512

typedef struct temporary_folder {
    char path[TEST_PATH_SIZE];
} temporary_folder;

static inline void make_temporary_folder(temporary_folder *folder) {
    const char *base = getenv("TMPDIR");
    if (base == NULL) base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* in memory where it can be */
    snprintf(folder->path, sizeof folder->path, "%s/moco-test-XXXXXX", base);
    if (mkdtemp(folder->path) == NULL) abort();
}

/* folder/name in a buffer of the caller's. */
static inline const char *path_in(const temporary_folder *folder, const char *name, char path[TEST_PATH_SIZE]) {
    if (snprintf(path, TEST_PATH_SIZE, "%s/%s", folder->path, name) >= TEST_PATH_SIZE) abort();
    return path;
}

/* How many files are in the folder. */
static inline int files_in(const temporary_folder *folder) {
    DIR *directory = opendir(folder->path);
    int count = 0;
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    if (directory != NULL) closedir(directory);
    return count;
}

static inline void remove_temporary_folder(const temporary_folder *folder) {
    DIR *directory = opendir(folder->path);
    char path[2 * TEST_PATH_SIZE];
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder->path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) (void) remove(path);
    }
    if (directory != NULL) closedir(directory);
    (void) rmdir(folder->path);
}

/* The whole of a file, to be freed; NULL where it can't be read. */
static inline unsigned char *read_whole_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t) ftell(file);
    rewind(file);
    unsigned char *bytes = (unsigned char *) malloc(*size + 1);
    if (bytes == NULL || fread(bytes, 1, *size, file) != *size) abort();
    bytes[*size] = 0;
    fclose(file);
    return bytes;
}

static inline void write_whole_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) abort();
}

#endif
