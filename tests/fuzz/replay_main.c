/* Runs a fuzz target over files and over the files of folders, without libFuzzer: what was once found stays fixed.
 *   replay_TARGET FILE_OR_FOLDER...
 * A folder that is missing counts as empty; no file at all (a build without the seeds' maker) is a test left out. For a
 * finding, it names the file first.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long replayed;

static void replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    const long size = ftell(file);
    rewind(file);
    uint8_t *bytes = (uint8_t *) malloc(size > 0 ? (size_t) size : 1);
    if (size < 0 || bytes == NULL || fread(bytes, 1, (size_t) size, file) != (size_t) size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    printf("%s\n", path);
    fflush(stdout); /* it may be the last */
    LLVMFuzzerTestOneInput(bytes, (size_t) size);
    free(bytes);
    ++replayed;
}

static void replay(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) return;
    if (!S_ISDIR(status.st_mode)) {
        replay_file(path);
        return;
    }
    struct dirent **entries = NULL;
    const int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; ++i) {
        char child[4096];
        if (entries[i]->d_name[0] != '.') {
            if (snprintf(child, sizeof child, "%s/%s", path, entries[i]->d_name) >= (int) sizeof child) abort();
            replay(child);
        }
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv) {
    LLVMFuzzerTestOneInput((const uint8_t *) "", 0);
    for (int i = 1; i < argc; ++i) replay(argv[i]);
    printf("%ld files replayed\n", replayed);
    return replayed > 0 ? 0 : 77; /* CTest's SKIP_RETURN_CODE */
}
