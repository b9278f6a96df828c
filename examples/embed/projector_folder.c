#include "embed/projector_folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/example_support.h"
#include "support/new_file.h"
#ifdef EXAMPLE_WITH_PNG
#include "preview/png_file.h"
#endif

#define PATH_SIZE   4096
#define SPRITE_SIDE 4096 /* of pixels; the projector takes up to 8192 */
#define THUMBNAIL   48   /* largest side of a thumbnail */

struct projector_folder {
    const char *path;
    const moco_dataset *dataset;
    FILE *tensors;
    FILE *metadata;
    int64_t dim;
    int64_t columns; /* of the sprite; 0: none */
    int64_t rows;
    int64_t side;    /* of a thumbnail */
    uint8_t *sprite; /* rows * side x columns * side x 3 */
};

static FILE *open_in(const char *folder, const char *name) {
    char path[PATH_SIZE];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int) sizeof path) stop("--out is too long");
    return begin_file(path);
}

static void close_in(FILE *file, const char *folder, const char *name) {
    char path[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    finish_file(file, path);
}

/* --- Sprite --- */

static void make_sprite(projector_folder *folder, int64_t count) {
#ifdef EXAMPLE_WITH_PNG
    int64_t columns = 1;
    while (columns * columns < count) ++columns;
    folder->side = SPRITE_SIDE / columns < THUMBNAIL ? SPRITE_SIDE / columns : THUMBNAIL;
    if (folder->side < 4) return; /* more images than anyone could tell apart */
    folder->columns = columns;
    folder->rows = (count + columns - 1) / columns;
    const size_t bytes = (size_t) (folder->rows * folder->side * columns * folder->side * 3);
    folder->sprite = (uint8_t *) allocate(bytes, 1);
    memset(folder->sprite, 255, bytes);
#else
    (void) folder;
    (void) count;
    printf("sprite.png is left out: this build writes no PNG files\n");
#endif
}

/* The mean of the image's pixels that fall into each of the thumbnail's, in plane `c` of pixels[h x w]. */
static void shrink_plane(const float *pixels, int64_t h, int64_t w, int64_t side, uint8_t *corner, int64_t stride) {
    for (int64_t y = 0; y < side; ++y) {
        for (int64_t x = 0; x < side; ++x) {
            const int64_t top = y * h / side;
            const int64_t left = x * w / side;
            const int64_t bottom = (y + 1) * h / side > top ? (y + 1) * h / side : top + 1;
            const int64_t right = (x + 1) * w / side > left ? (x + 1) * w / side : left + 1;
            double sum = 0;
            for (int64_t i = top; i < bottom; ++i) {
                for (int64_t j = left; j < right; ++j) sum += (double) pixels[i * w + j];
            }
            const double mean = sum / (double) ((bottom - top) * (right - left));
            corner[y * stride + 3 * x] = (uint8_t) (255 * (mean < 0 ? 0 : mean > 1 ? 1 : mean) + 0.5);
        }
    }
}

/* A broken image leaves its place white. */
static void add_thumbnail(projector_folder *folder, int64_t index) {
    int64_t h;
    int64_t w;
    const int64_t channels = moco_dataset_channels(folder->dataset);
    if (folder->columns == 0 || moco_dataset_info(folder->dataset, index, &h, &w, NULL) != MOCO_OK) return;
    float *pixels = (float *) allocate((size_t) (channels * h * w), sizeof *pixels);
    if (moco_dataset_read(folder->dataset, index, pixels, channels * h * w) == MOCO_OK) {
        const int64_t stride = folder->columns * folder->side * 3;
        uint8_t *corner = folder->sprite + index / folder->columns * folder->side * stride +
                          index % folder->columns * folder->side * 3;
        for (int64_t c = 0; c < 3; ++c) {
            const float *plane = pixels + (c < channels ? c : channels - 1) * h * w;
            shrink_plane(plane, h, w, folder->side, corner + c, stride);
        }
    }
    free(pixels);
}

/* --- The folder --- */

projector_folder *open_projector(const char *path, const moco_dataset *dataset, int64_t count, int64_t dim) {
    projector_folder *folder = (projector_folder *) allocate(1, sizeof *folder);
    memset(folder, 0, sizeof *folder);
    folder->path = path;
    folder->dataset = dataset;
    folder->dim = dim;
    if (mkdir(path, 0777) != 0 && errno != EEXIST) stop("cannot make the folder %s: %s", path, strerror(errno));
    folder->tensors = open_in(path, "tensors.tsv");
    folder->metadata = open_in(path, "metadata.tsv");
    fputs("filename\tlabel\tclass\n", folder->metadata); /* the projector wants names where there are several columns */
    make_sprite(folder, count);
    return folder;
}

/* A tab or the end of a line would begin another column or row. */
static void print_cell(FILE *file, const char *text) {
    for (; *text != '\0'; ++text) fputc((unsigned char) *text < 0x20 ? ' ' : *text, file);
}

void add_to_projector(projector_folder *folder, int64_t index, const float *row, int32_t label, const char *name,
                      const char *class_name) {
    for (int64_t i = 0; i < folder->dim; ++i) {
        fprintf(folder->tensors, "%s%.9g", i == 0 ? "" : "\t", (double) row[i]);
    }
    fputc('\n', folder->tensors);
    print_cell(folder->metadata, name);
    fprintf(folder->metadata, "\t%" PRId32 "\t", label);
    print_cell(folder->metadata, class_name == NULL ? "" : class_name);
    fputc('\n', folder->metadata);
    add_thumbnail(folder, index);
}

static void write_config(const projector_folder *folder) {
    FILE *file = open_in(folder->path, "projector_config.pbtxt");
    fputs(
        "embeddings {\n  tensor_name: \"libmoco\"\n  tensor_path: \"tensors.tsv\"\n  metadata_path: \"metadata.tsv\"\n",
        file);
    if (folder->columns > 0) {
        fprintf(file,
                "  sprite {\n    image_path: \"sprite.png\"\n    single_image_dim: %" PRId64
                "\n    single_image_dim: %" PRId64 "\n  }\n",
                folder->side, folder->side);
    }
    fputs("}\n", file);
    close_in(file, folder->path, "projector_config.pbtxt");
}

void close_projector(projector_folder *folder) {
    if (folder == NULL) return;
    close_in(folder->tensors, folder->path, "tensors.tsv");
    close_in(folder->metadata, folder->path, "metadata.tsv");
#ifdef EXAMPLE_WITH_PNG
    if (folder->columns > 0) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s/sprite.png", folder->path);
        write_png(path, folder->sprite, folder->rows * folder->side, folder->columns * folder->side);
    }
#endif
    write_config(folder);
    free(folder->sprite);
    free(folder);
}
