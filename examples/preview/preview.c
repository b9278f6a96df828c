/* preview: what a recipe does to images, as a contact sheet: each row an original and its two views. */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preview/png_file.h"
#include "support/command_line.h"
#include "support/evaluation_data.h"
#include "support/example_support.h"

enum { COLUMNS = 3, GAP = 4, BACKGROUND = 255 };

typedef struct sheet {
    int64_t cell; /* side of a cell */
    int64_t h, w;
    uint8_t *pixels; /* h x w x 3 */
} sheet;

typedef struct picture {
    int64_t h, w;
    uint8_t *pixels; /* h x w x 3 */
} picture;

static sheet make_sheet(int64_t rows, int64_t cell) {
    sheet s = {cell, rows * (cell + GAP) + GAP, COLUMNS * (cell + GAP) + GAP, NULL};
    s.pixels = (uint8_t *) allocate((size_t) s.h, (size_t) s.w * 3);
    memset(s.pixels, BACKGROUND, (size_t) (s.h * s.w * 3));
    return s;
}

static uint8_t to_byte(float x) {
    return (uint8_t) (x <= 0 ? 0 : x >= 1 ? 255 : 255 * x + 0.5f);
}

/* planes[3 x h x w] of 0..1 into the middle of a cell. */
static void place(sheet *s, int64_t row, int64_t column, const float *planes, int64_t h, int64_t w) {
    const int64_t top = GAP + row * (s->cell + GAP) + (s->cell - h) / 2;
    const int64_t left = GAP + column * (s->cell + GAP) + (s->cell - w) / 2;
    for (int64_t i = 0; i < 3 * h * w; ++i) {
        const int64_t c = i / (h * w), y = i / w % h, x = i % w;
        s->pixels[((top + y) * s->w + left + x) * 3 + c] = to_byte(planes[i]);
    }
}

/* The image as bytes, which is how the loader augments image files; 0 where it can't be read. */
static int read_picture(const moco_dataset *dataset, int64_t index, picture *p) {
    if (moco_dataset_info(dataset, index, &p->h, &p->w, NULL) != MOCO_OK) return 0;
    const size_t area = (size_t) p->h * (size_t) p->w;
    float *planes = (float *) allocate(area, 3 * sizeof *planes);
    if (moco_dataset_read(dataset, index, planes, (int64_t) (3 * area)) != MOCO_OK) {
        free(planes);
        return 0;
    }
    p->pixels = (uint8_t *) allocate(area, 3);
    for (size_t i = 0; i < 3 * area; ++i) p->pixels[i] = to_byte(planes[i % 3 * area + i / 3]);
    free(planes);
    return 1;
}

static void without_normalization(moco_augment_config *config) {
    for (int32_t c = 0; c < 3; ++c) {
        config->mean[c] = 0;
        config->std[c] = 1;
    }
}

static moco_augment *open_recipe(moco_context *context, int32_t recipe, int64_t size, uint64_t seed) {
    moco_augment_config config;
    moco_augment *augment = NULL;
    check(moco_augment_config_init(&config, sizeof config, recipe));
    if (size > 0) config.height = config.width = (int32_t) size;
    config.seed = seed;
    without_normalization(&config);
    check_choice(moco_augment_create(&augment, context, &config));
    return augment;
}

/* The whole image, as large as fits in the cell: a recipe whose only part is a crop that takes everything. */
static void place_original(sheet *s, int64_t row, moco_context *context, const picture *p, float *out) {
    const int64_t longer = p->h > p->w ? p->h : p->w;
    moco_augment_config config;
    moco_augment *augment = NULL;
    check(moco_augment_config_init(&config, sizeof config, MOCO_AUGMENT_CUSTOM));
    config.height = (int32_t) (p->h * s->cell / longer > 0 ? p->h * s->cell / longer : 1);
    config.width = (int32_t) (p->w * s->cell / longer > 0 ? p->w * s->cell / longer : 1);
    config.crop_min = 1;
    config.ratio_min = config.ratio_max = (double) p->w / (double) p->h;
    without_normalization(&config);
    check(moco_augment_create(&augment, context, &config));
    check(moco_augment_apply_pixels(augment, p->pixels, p->h, p->w, 0, 0, 0, out));
    place(s, row, 0, out, config.height, config.width);
    moco_augment_destroy(augment);
}

/* `rows` images, spread evenly over the dataset; one that can't be read is told of, and the next is taken. */
static void fill_sheet(sheet *s, int64_t rows, moco_context *context, const moco_dataset *dataset,
                       const moco_augment *augment, int64_t epoch) {
    const int64_t count = moco_dataset_count(dataset);
    float *out = (float *) allocate((size_t) (3 * s->cell * s->cell), sizeof *out);
    int64_t next = 0;
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t spread = row * (count / rows);
        int64_t index = spread > next ? spread : next;
        picture p = {0, 0, NULL};
        for (; index < count && !read_picture(dataset, index, &p); ++index) {
            fprintf(stderr, "%s: warning: %s\n", example_program, moco_last_error());
        }
        if (index >= count) stop("there are not %lld images that can be read", (long long) rows);
        next = index + 1;
        place_original(s, row, context, &p, out);
        for (int32_t view = 0; view < 2; ++view) {
            check(moco_augment_apply_pixels(augment, p.pixels, p.h, p.w, epoch, index, view, out));
            place(s, row, 1 + view, out, s->cell, s->cell);
        }
        free(p.pixels);
    }
    free(out);
}

int main(int argc, char **argv) {
    example_program = "preview";
    const char *data = "synthetic";
    const char *out = "preview.png";
    int32_t recipe = MOCO_AUGMENT_V2;
    int64_t count = 8, size = 0, epoch = 0, seed = 0;
    const option_row rows[] = {
        {"data", OPTION_TEXT, &data, "folder:DIR, tar:FILE, filelist:FILE, cifar10:DIR, synthetic ...",
         .fields = (const char *const[]){"description", NULL}},
        {"augment", OPTION_CHOICE, &recipe, "the recipe", .enum_kind = "augment",
         .fields = (const char *const[]){"augment.recipe", NULL}},
        {"count", OPTION_INTEGER, &count, "images shown", .minimum = 1, .maximum = 200},
        {"size", OPTION_INTEGER, &size, "height and width of a view; 0: the recipe's", .maximum = 1024,
         .fields = (const char *const[]){"height", "width", NULL}},
        {"epoch", OPTION_INTEGER, &epoch, "whose views are shown", .maximum = 1e9},
        {"seed", OPTION_INTEGER, &seed, "of the views", .maximum = 1e9},
        {"out", OPTION_TEXT, &out, "the PNG file to write", .choices = NULL},
    };
    const command_line line = {
        .program = "preview",
        .arguments = "[OPTION...]",
        .description =
            "Writes a contact sheet: each row an image, its query view and its key view, as training with this\n"
            "recipe, epoch and seed would see them (but for the normalization).",
        .rows = rows,
        .row_count = (int32_t) (sizeof rows / sizeof rows[0]),
    };
    parse_command_line(&line, argc, argv, NULL);

    moco_context *context = open_context(NULL, 1);
    moco_dataset *dataset = NULL;
    check_choice(moco_dataset_open(&dataset, context, data));
    if (count > moco_dataset_count(dataset)) count = moco_dataset_count(dataset);
    moco_augment *augment = open_recipe(context, recipe, size, (uint64_t) seed);
    sheet s = make_sheet(count, moco_augment_height(augment));
    fill_sheet(&s, count, context, dataset, augment, epoch);
    write_png(out, s.pixels, s.h, s.w);
    printf("%s: %lld images, %lld x %lld pixels\n", out, (long long) count, (long long) s.w, (long long) s.h);
    free(s.pixels);
    moco_augment_destroy(augment);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
    return 0;
}
