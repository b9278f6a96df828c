/* Folders of small real images for tests, made from nothing: PNGs of one colour, whose pixels are stored uncompressed.
 */
#ifndef MOCO_TEST_IMAGE_FILES_H
#define MOCO_TEST_IMAGE_FILES_H

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moco.h>

#include "data/image_decoders.h"
#include "support/temporary_folder.h"

/* --- PNG --- */

static inline uint32_t png_crc(const uint8_t *bytes, size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; ++i) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static inline void put_u32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; ++i) at[i] = (uint8_t) (value >> (24 - 8 * i));
}

static inline size_t put_chunk(uint8_t *at, const char *type, const uint8_t *data, size_t size) {
    put_u32(at, (uint32_t) size);
    memcpy(at + 4, type, 4);
    if (size > 0) memcpy(at + 8, data, size);
    put_u32(at + 8 + size, png_crc(at + 4, size + 4));
    return size + 12;
}

/* w <= 1000 pixels of one row in one stored block; h rows share a limit of 65535 bytes. Returns the size. In a build without
 * a PNG decoder it is a PPM file, which every build reads, whatever its name. */
static inline size_t make_png(uint8_t *png, int w, int h, uint32_t rgb) {
    if (!moco_image_has_decoder(MOCO_FORMAT_PNG)) {
        size_t bytes = (size_t) sprintf((char *) png, "P6\n%d %d\n255\n", w, h);
        for (int i = 0; i < 3 * w * h; ++i) png[bytes++] = (uint8_t) (rgb >> (16 - i % 3 * 8));
        return bytes;
    }
    static _Thread_local uint8_t data[65536 + 16];
    uint8_t header[13] = {0};
    const size_t row = 1 + 3 * (size_t) w, raw = row * (size_t) h;
    if (raw > 65535) abort();
    put_u32(header, (uint32_t) w);
    put_u32(header + 4, (uint32_t) h);
    header[8] = 8;
    header[9] = 2; /* RGB */
    memcpy(data, "\x78\x01\x01", 3);
    data[3] = (uint8_t) (raw & 255);
    data[4] = (uint8_t) (raw >> 8);
    data[5] = (uint8_t) ~data[3];
    data[6] = (uint8_t) ~data[4];
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < raw; ++i) {
        const size_t in_row = i % row;
        const uint32_t byte = in_row == 0 ? 0u : (rgb >> (16 - 8 * ((in_row - 1) % 3))) & 255u;
        data[7 + i] = (uint8_t) byte;
        a = (a + byte) % 65521;
        b = (b + a) % 65521;
    }
    put_u32(data + 7 + raw, b << 16 | a);
    memcpy(png, "\x89PNG\r\n\x1A\n", 8);
    size_t size = 8;
    size += put_chunk(png + size, "IHDR", header, sizeof header);
    size += put_chunk(png + size, "IDAT", data, raw + 11);
    size += put_chunk(png + size, "IEND", NULL, 0);
    return size;
}

enum { PNG_ROOM = 66000 };

/* --- Trees --- */

/* Makes the folders that lead to `path`. */
static inline void make_folders_of(const char *path) {
    char part[1024];
    for (size_t i = 1; path[i] != '\0'; ++i) {
        if (path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        mkdir(part, 0755);
    }
}

static inline void write_bytes_at(const temporary_folder *folder, const char *name, const void *bytes, size_t size) {
    char path[TEST_PATH_SIZE];
    path_in(folder, name, path);
    make_folders_of(path);
    write_whole_file(path, bytes, size);
}

static inline void write_png_at(const temporary_folder *folder, const char *name, int w, int h, uint32_t rgb) {
    uint8_t png[PNG_ROOM];
    write_bytes_at(folder, name, png, make_png(png, w, h, rgb));
}

static inline void link_at(const temporary_folder *folder, const char *target, const char *name) {
    char path[TEST_PATH_SIZE];
    path_in(folder, name, path);
    make_folders_of(path);
    if (symlink(target, path) != 0) abort();
}

/* With all that is below it; links are removed, not followed. */
static inline void remove_tree(const char *path) {
    struct stat info;
    if (lstat(path, &info) != 0) return;
    if (S_ISDIR(info.st_mode)) {
        chmod(path, 0700);
        DIR *directory = opendir(path);
        for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
            char inner[2 * TEST_PATH_SIZE];
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
            if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int) sizeof inner) abort();
            remove_tree(inner);
        }
        if (directory != NULL) closedir(directory);
    }
    remove(path);
}

/* How many files this process has open. */
static inline int open_descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    while (directory != NULL && readdir(directory) != NULL) ++count;
    if (directory != NULL) closedir(directory);
    return count;
}

/* --- A context that keeps what it logs --- */

typedef struct kept_log {
    pthread_mutex_t mutex;
    char text[16384]; /* sentences, each with a newline */
    size_t length;
} kept_log;

static inline void keep_message(int32_t level, const char *message, void *user) {
    kept_log *log = (kept_log *) user;
    pthread_mutex_lock(&log->mutex);
    if (log->length + strlen(message) + 8 < sizeof log->text) {
        log->length += (size_t) sprintf(log->text + log->length, "%d: %s\n", level, message);
    }
    pthread_mutex_unlock(&log->mutex);
}

static inline moco_context *context_with_log(kept_log *log, int32_t threads) {
    moco_context *context = NULL;
    moco_context_config config;
    pthread_mutex_init(&log->mutex, NULL);
    log->length = 0;
    log->text[0] = '\0';
    if (moco_context_config_init(&config, sizeof config) != MOCO_OK) abort();
    config.threads = threads;
    config.log = keep_message;
    config.log_user = log;
    config.log_level = MOCO_LOG_INFO;
    config.backend = "reference";
    if (moco_context_create(&context, &config) != MOCO_OK) abort();
    return context;
}

static inline void forget_log(kept_log *log) {
    log->length = 0;
    log->text[0] = '\0';
}

/* The call fails with `status` and its sentence holds `word`. */
#define assert_refuses(call, status, word)                                                                         \
    do {                                                                                                           \
        const moco_status got_ = (call);                                                                           \
        if (got_ != (status)) fail_msg("%s gives %d, not %d: %s", #call, got_, (int) (status), moco_last_error()); \
        if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" lacks \"%s\"", moco_last_error(), (word));   \
    } while (0)

#define assert_succeeds(call)                                                             \
    do {                                                                                  \
        const moco_status got_ = (call);                                                  \
        if (got_ != MOCO_OK) fail_msg("%s gives %d: %s", #call, got_, moco_last_error()); \
    } while (0)

/* 1 where the library was built without a PNG decoder, so that these images can't be read. */
static inline int png_is_missing(void) {
    uint8_t png[1024];
    moco_image image = {0};
    const moco_image_limits limits = moco_image_default_limits();
    const moco_image_request whole = {.max_reduction = 1};
    const moco_status status = moco_image_decode(NULL, png, make_png(png, 1, 1, 0), &limits, &whole, &image);
    moco_image_release(NULL, &image);
    if (status == MOCO_UNSUPPORTED) printf("no PNG decoder in this build\n");
    return status == MOCO_UNSUPPORTED;
}

#endif
