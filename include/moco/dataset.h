/* Datasets: numbered images with an optional label. Pixels are float32 in [0, 1], planes in the order red, green, blue
 * (channels x h x w). Reading is const and may be done from many threads at once.
 *
 * Image files (JPEG, PNG, WebP, TIFF, BMP, PBM, PGM and PPM, told by their content) are decoded to upright RGB of 8 bits
 * when they are read:
 *   Orientation  as EXIF says it (TIFF: its own tag), else a PNG's "Raw profile type exif" or "APP1", else XMP's
 *                tiff:Orientation
 *   Alpha        and transparent colours: laid over white
 *   16 bits      the high 8 of PNG and TIFF; PBM, PGM and PPM are scaled by the largest sample that they name
 *   Colours      greys, palettes and CMYK become RGB by Pillow's formulas; colour profiles are not heeded
 *   Animation    the first frame of WebP and APNG, as the first picture of a TIFF or PPM with several
 *   Damage       a file that is cut short or damaged anywhere is refused, whatever part of it is wanted. Bytes behind its
 *                end don't count, nor do stray ones between the segments, or before the end, of a JPEG that is whole
 * One that is broken fails with FORMAT, one that can't be read with IO or NOT_FOUND, one of a format that this build
 * lacks with UNSUPPORTED; the sentence names the file, the others are still there.
 */
#ifndef MOCO_DATASET_H
#define MOCO_DATASET_H

#include <moco/context.h>

MOCO_BEGIN_DECLS

typedef struct moco_dataset moco_dataset;

/* The label of an image without one. */
#define MOCO_NO_LABEL (-1)

/* Opens by description:
 *   "synthetic[:key=value,...]"  built-in procedural scenes in 10 classes; keys: count (default 4096), size (32), seed
 *                                (0), split (train | test: disjoint nuisance)
 *   "cifar10:DIR", "cifar10-test:DIR"    the binary batches data_batch_1..5.bin, test_batch.bin in DIR
 *   "cifar100:DIR", "cifar100-test:DIR"  train.bin, test.bin in DIR; the fine labels
 *                        Of these, DIR may be the folder that holds the set's own (cifar-10-batches-bin,
 *                        cifar-100-binary)
 *   "folder:DIR"         the image files below DIR, at any depth. The folders in DIR are the classes, numbered by their
 *                        sorted names, as torchvision's ImageFolder has them; images in DIR itself have no label. Where
 *                        they are the splits of a data set, train (or training) with val, valid, validation, test or
 *                        testing beside it, or alone, in any case (Train, TEST), DIR/train is taken, with a warning
 *   "filelist:FILE"      a list of image files in its order, in one of the forms below: paths relative to FILE's
 *                        folder; labels all numbers from 0 (-1: none) or all names, numbered by their sorted order, as
 *                        the first one is; none where it is left out. A number with a sign, or several numbers, are no
 *                        name. That a file is there shows when it is read; a warning says so if none of the first 16 is
 *   "tar:FILE"           the image files in an uncompressed tar, read in place; order and classes as folder: gives them
 *                        for what the tar holds. "tar:FILE/FOLDER" takes a folder in it for DIR. Several tars, one after
 *                        another: FILE with {000..099} or {a,b} in it, and "::" between FILEs, such as
 *                        "tar:shard-{000..099}.tar". Hard and symbolic links are followed inside the tar; tars that were
 *                        joined (cat a.tar b.tar) are read on
 *
 * WebDataset's shards are tars, too: files whose names are the same up to the first dot behind the last '/' are a sample,
 * and its images have the label that is in its .cls (a number or name alone), else in its .json (an object's "label",
 * "cls" or "class": a number or name; Jansson reads it). Where one image has such a label, folders are no classes, and
 * images without one have none. Labels are all numbers or all names, as in lists.
 *
 * The forms of a list, which is text in UTF-8; empty lines are skipped. A list that can be read in two ways is FORMAT,
 * with the line and what would be right:
 *   path,label           CSV whose first line names its columns: fields parted by comma, semicolon or tab, quoted as RFC
 *                        4180 says, blanks around them left out. The path's column is called path, filename, file, image,
 *                        file_path, image_path, image_name, img, image_id or id, the label's label, class, category or
 *                        target, or one of these with _name or _id: in any case, with or without '_'. Others are not
 *                        heeded
 *   path<TAB>label       where a line has a tab; others may be a path alone
 *   path,label  path;label  path label
 *                        without a header: all lines of one kind, each path with the ending of an image's name; behind
 *                        a blank, a label without blanks
 *   path                 alone in every line, as it is or in double quotes
 *
 * folder: and tar: leave out hidden files and what is no image, but keep every file called .jpg, .jpeg, .png, .webp, .tif,
 * .tiff, .bmp, .ppm, .pgm, .pbm or .pnm of a format that this build can decode, so that a broken one shows. What is left
 * out and not hidden is counted by kind in one line of the log: a warning if some of it looks like images (.gif, .heic,
 * cameras' raw files ...), else for its info. Images are sorted by name, bytewise, folder by folder. Symbolic links are followed;
 * what can't be read is named in the log.
 *
 * Errors: INVALID_ARGUMENT (unknown kind or key, named), NOT_FOUND or IO (file, named; no image at all), FORMAT (size,
 * label, line of a list, place in a tar). */
MOCO_API moco_status moco_dataset_open(moco_dataset **out, moco_context *context, const char *description);

/* The test images that belong to the training images of `description`, by the custom of its kind: "cifar10:DIR" and
 * "cifar100:DIR" have the -test kind, if its file is there; "folder:SET/train" (or SET/training), and "folder:SET"
 * where that is a data set's root, have SET/val or, without that, SET/valid, validation, test or testing, and so have
 * "tar:FILE/train" and "tar:FILE"; "synthetic" has its test split, `synthetic_count` images (>= 1) of it. *out is
 * NULL, which is no failure, where the custom knows none: other folders, lists. Errors: as moco_dataset_open's. */
MOCO_API moco_status moco_dataset_open_test(moco_dataset **out, moco_context *context, const char *description,
                                            int64_t synthetic_count);

/* For the kinds that hold image files; the others leave it aside. What one image may cost: more is FORMAT, before it is
 * spent. */
typedef struct moco_image_dataset_config {
    uint32_t struct_size;
    int32_t reserved;
    int64_t max_side;    /* pixels; default 65500, JPEG's own largest */
    int64_t max_pixels;  /* h * w; default 178956970, where Pillow refuses, too */
    uint64_t max_memory; /* bytes that the file, or decoding it, may hold at once; default 2^30 */
    double max_seconds;  /* of the processor, for one decode; 0: no limit; default 10 */
    /* NULL (default), or where folder: and tar: keep their index, so that opening them again is quick. It is used only
     * if the path and all folders' (the tar's) modification times are as they were, else it is written anew; one that
     * can't be written is a warning. INVALID_ARGUMENT for other kinds. */
    const char *index_file;
} moco_image_dataset_config;

MOCO_API moco_status moco_image_dataset_config_init(moco_image_dataset_config *config, uint32_t struct_size);

/* moco_dataset_open with these settings; `config` NULL means the defaults. Since 0.2. */
MOCO_API moco_status moco_dataset_open_with(moco_dataset **out, moco_context *context, const char *description,
                                            const moco_image_dataset_config *config);

enum { MOCO_PIXELS_FLOAT32 = 0 /* 0..1 */, MOCO_PIXELS_UINT8 = 1 /* 0..255 */ };

/* `count` images of one shape, pixels[count x channels x h x w] of the given MOCO_PIXELS_*; labels[count] may be NULL.
 * Copied when `copy` is 1; else both must outlive the dataset. */
MOCO_API moco_status moco_dataset_create_memory(moco_dataset **out, moco_context *context, const void *pixels,
                                                int32_t pixel_type, const int32_t *labels, int64_t count,
                                                int64_t channels, int64_t h, int64_t w, int32_t copy);

/* The shape and label of image `index`. */
typedef int32_t (*moco_dataset_info_fn)(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user);
/* Writes image `index` as float32[channels x h x w]. Both: non-zero stops with CALLBACK; called from several loader
 * threads at once. A loader that has called it can't be started or asked for a batch inside: INVALID_STATE. */
typedef int32_t (*moco_dataset_read_fn)(int64_t index, float *pixels, void *user);

/* Images that the caller makes on demand, of any size each. */
MOCO_API moco_status moco_dataset_create_callback(moco_dataset **out, moco_context *context, int64_t count,
                                                  int64_t channels, moco_dataset_info_fn info,
                                                  moco_dataset_read_fn read, void *user);

MOCO_API void moco_dataset_destroy(moco_dataset *dataset);

MOCO_API int64_t moco_dataset_count(const moco_dataset *dataset);
MOCO_API int64_t moco_dataset_channels(const moco_dataset *dataset);
/* The number of label classes, 0 if it has no labels or does not know. */
MOCO_API int64_t moco_dataset_classes(const moco_dataset *dataset);
/* "airplane", ... or NULL without names. Lives as long as the dataset. */
MOCO_API const char *moco_dataset_class_name(const moco_dataset *dataset, int64_t label);

/* The description that the dataset was opened by, with absolute paths, so that it opens the same from any folder; NULL
 * where it was made of a program's own images. Lives as long as the dataset. Since 0.2. */
MOCO_API const char *moco_dataset_description(const moco_dataset *dataset);

/* The path of image `index`'s file (in a tar: FILE/NAME), or "image N" where images have no files, with its NUL, into
 * text[capacity]. INVALID_ARGUMENT if it is longer; 8300 bytes are always enough. */
MOCO_API moco_status moco_dataset_name(const moco_dataset *dataset, int64_t index, char *text, uint64_t capacity);

/* h, w and label of one image; each output may be NULL. Of an image file, h and w come from its header. */
MOCO_API moco_status moco_dataset_info(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w,
                                       int32_t *label);
/* pixels[channels x h x w] with the h and w that moco_dataset_info tells; `capacity` in floats is checked. */
MOCO_API moco_status moco_dataset_read(const moco_dataset *dataset, int64_t index, float *pixels, int64_t capacity);

/* At most `count` (>= 1) of the images that have a label, with every class's share of them, rounded up or down: into
 * indices[count] in ascending order, how many into *chosen (fewer than `count` only where fewer have a label). Which
 * images of a class they are is random, by `seed`; the same dataset, count and seed give the same images. What a
 * measurement takes instead of the first images, which in a folder are those of the first class. Since 0.2. */
MOCO_API moco_status moco_dataset_choose(const moco_dataset *dataset, int64_t count, uint64_t seed, int64_t *indices,
                                         int64_t *chosen);

MOCO_END_DECLS

#endif
