/* Writes what fuzzing starts from, a folder for each target, out of the image zoo:
 *   make_fuzz_seeds FOLDER
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support/torch_bytes.h"
#include "zoo/image_zoo.h"
#include "zoo/zoo_exif.h"
#include "zoo/zoo_png_writer.h"
#include "zoo/zoo_xmp.h"

enum { LARGEST_SEED = 12288 };

static int failed;

static void write_seed(const char *folder, const char *target, const char *name, const zoo_bytes *bytes) {
    char path[1024];
    if (bytes->size > LARGEST_SEED) return;
    snprintf(path, sizeof path, "%s/%s", folder, target);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) failed = 1;
    snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || (bytes->size > 0 && fwrite(bytes->data, 1, bytes->size, file) != bytes->size)) failed = 1;
    if (file != NULL && fclose(file) != 0) failed = 1;
}

static void write_image_seeds(const char *folder) {
    for (int i = 0; i < image_zoo_count(); ++i) {
        const zoo_entry *entry = image_zoo_get(i);
        char target[16];
        zoo_bytes bytes = {0}, with_request = {0};
        entry->make(&bytes, entry->variant);
        snprintf(target, sizeof target, "%.*s", (int) strcspn(entry->name, "-"), entry->name);
        if (strcmp(target, "other") != 0) write_seed(folder, target, entry->name, &bytes);
        /* fuzz_image wants a request before the file: now all of it, now a part, at each reduction. */
        const uint8_t request[5] = {(uint8_t) (i % 4), (uint8_t) (i % 8 < 4 ? 0 : 80), (uint8_t) (i % 3 * 60),
                                    (uint8_t) (i % 8 < 4 ? 255 : 100), (uint8_t) (255 - i % 3 * 90)};
        zoo_append(&with_request, request, sizeof request);
        zoo_append(&with_request, bytes.data, bytes.size);
        write_seed(folder, "image", entry->name, &with_request);
        zoo_bytes_free(&bytes);
        zoo_bytes_free(&with_request);
    }
}

static void write_exif_seeds(const char *folder) {
    for (int kind = 0; kind < ZOO_EXIF_KINDS; ++kind) {
        char name[32];
        zoo_bytes bytes = {0};
        zoo_append_exif(&bytes, kind, 1 + kind % 8);
        snprintf(name, sizeof name, "exif-%d", kind);
        write_seed(folder, "exif", name, &bytes);
        zoo_bytes_free(&bytes);
    }
}

/* As packets, as segments of a JPEG and as texts of a PNG. */
static void write_xmp_seeds(const char *folder) {
    for (int kind = 0; kind < ZOO_XMP_KINDS; ++kind) {
        char name[32];
        zoo_bytes packet = {0}, segment = {0}, text = {0};
        zoo_append_xmp(&packet, kind, 6);
        zoo_append(&segment, "http://ns.adobe.com/xap/1.0/", 29);
        zoo_append(&segment, packet.data, packet.size);
        zoo_append(&text, kind % 2 ? "XML:com.adobe.xmp\0\1\0\0\0" : "XML:com.adobe.xmp\0\0\0\0\0", 22);
        if (kind % 2) {
            zoo_append_deflated(&text, packet.data, packet.size, 9);
        } else {
            zoo_append(&text, packet.data, packet.size);
        }
        snprintf(name, sizeof name, "xmp-%d", kind);
        write_seed(folder, "xmp", name, &packet);
        snprintf(name, sizeof name, "segment-%d", kind);
        write_seed(folder, "xmp", name, &segment);
        snprintf(name, sizeof name, "text-%d", kind);
        write_seed(folder, "xmp", name, &text);
        zoo_bytes_free(&packet);
        zoo_bytes_free(&segment);
        zoo_bytes_free(&text);
    }
}

static void append_tensors(zoo_bytes *out, const char *header, size_t data) {
    zoo_append_little_endian(out, strlen(header), 8);
    zoo_append_text(out, header);
    zoo_append_noise(out, data);
}

static void write_safetensors_seeds(const char *folder) {
    static const struct {
        const char *header;
        size_t data;
    } files[] = {
        {"{}", 0},
        {"{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}",
         24},
        {"{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]},"
         "\"a\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[3,5]},"
         "\"c\":{\"dtype\":\"BOOL\",\"shape\":[1,1],\"data_offsets\":[0,1]}}",
         5},
        {"{\"a\":{\"dtype\":\"I64\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; ++i) {
        char name[32];
        zoo_bytes bytes = {0};
        append_tensors(&bytes, files[i].header, files[i].data);
        snprintf(name, sizeof name, "safetensors-%zu", i);
        write_seed(folder, "safetensors", name, &bytes);
        zoo_bytes_free(&bytes);
    }
}

/* --- tar: ustar headers with their checksums --- */

static void append_tar_entry(zoo_bytes *out, const char *name, char type, const void *data, size_t size) {
    const size_t at = out->size;
    char field[16];
    zoo_append_repeated(out, 0, 512);
    memcpy(out->data + at, name, strlen(name));
    memcpy(out->data + at + 100, "0000644\0000000000\0000000000", 24);
    snprintf(field, sizeof field, "%011lo", (unsigned long) size);
    memcpy(out->data + at + 124, field, 12);
    memcpy(out->data + at + 136, "00000000000", 12);
    memset(out->data + at + 148, ' ', 8);
    out->data[at + 156] = (uint8_t) type;
    memcpy(out->data + at + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (size_t i = 0; i < 512; ++i) sum += out->data[at + i];
    snprintf(field, sizeof field, "%06o", sum);
    memcpy(out->data + at + 148, field, 7);
    zoo_append(out, data, size);
    zoo_append_repeated(out, 0, (512 - size % 512) % 512);
}

static void write_tar_seeds(const char *folder) {
    static const char pax[] = "30 path=far/away/picture.jpg\n\n20 size=000000000512\n";
    zoo_bytes bytes = {0};
    append_tar_entry(&bytes, "cat/", '5', NULL, 0);
    append_tar_entry(&bytes, "cat/one.jpg", '0', "\xff\xd8\xff\xe0picture", 11);
    write_seed(folder, "tar", "tar-no-end", &bytes);
    zoo_append_repeated(&bytes, 0, 1024);
    write_seed(folder, "tar", "tar-plain", &bytes);
    bytes.size = 0;
    append_tar_entry(&bytes, "././@LongLink", 'L', "a/very/long/name.jpg", 21);
    append_tar_entry(&bytes, "short", '0', "picture", 7);
    append_tar_entry(&bytes, "link", '2', NULL, 0);
    zoo_append_repeated(&bytes, 0, 1024);
    write_seed(folder, "tar", "tar-long-name", &bytes);
    bytes.size = 0;
    append_tar_entry(&bytes, "PaxHeader", 'x', pax, sizeof pax - 1);
    append_tar_entry(&bytes, "short", '0', "picture", 7);
    append_tar_entry(&bytes, "PaxHeader", 'g', "11 a=bcdef\n", 11);
    zoo_append_repeated(&bytes, 0, 1024);
    write_seed(folder, "tar", "tar-pax", &bytes);
    zoo_truncate(&bytes, 700);
    write_seed(folder, "tar", "tar-cut", &bytes);
    zoo_bytes_free(&bytes);
}

static void append_tar_link(zoo_bytes *out, const char *name, char type, const char *target) {
    const size_t at = out->size;
    unsigned sum = 0;
    append_tar_entry(out, name, type, NULL, 0);
    memcpy(out->data + at + 157, target, strlen(target));
    memset(out->data + at + 148, ' ', 8);
    for (size_t i = 0; i < 512; ++i) sum += out->data[at + i];
    snprintf((char *) out->data + at + 148, 8, "%06o", sum);
}

/* Links of all kinds, samples, splits, and a tar behind a tar. */
static void write_tarset_seeds(const char *folder) {
    static const char image[] = "\xff\xd8\xff\xe0picture";
    zoo_bytes bytes = {0};
    append_tar_entry(&bytes, "cat/1.jpg", '0', image, 11);
    append_tar_link(&bytes, "cat/2.jpg", '1', "cat/1.jpg");
    append_tar_link(&bytes, "dog", '2', "cat/");
    append_tar_link(&bytes, "cat/up", '2', "../dog/..");
    append_tar_link(&bytes, "cat/loop.jpg", '2', "loop.jpg");
    append_tar_link(&bytes, "cat/out.jpg", '2', "../../x");
    zoo_append_repeated(&bytes, 0, 1024);
    write_seed(folder, "tarset", "tarset-links", &bytes);
    bytes.size = 0;
    append_tar_entry(&bytes, "000.jpg", '0', image, 11);
    append_tar_entry(&bytes, "000.cls", '0', "7\n", 2);
    append_tar_entry(&bytes, "001.left.jpg", '0', image, 11);
    append_tar_entry(&bytes, "001.json", '0', "{\"label\": 3}", 12);
    zoo_append_repeated(&bytes, 0, 1024);
    append_tar_entry(&bytes, "002.jpg", '0', image, 11);
    append_tar_entry(&bytes, "002.cls", '0', "cat", 3);
    write_seed(folder, "tarset", "tarset-samples", &bytes);
    bytes.size = 0;
    append_tar_entry(&bytes, "./set/train/a/1.jpg", '0', image, 11);
    append_tar_entry(&bytes, "train/a/1.jpg", '0', image, 11);
    append_tar_entry(&bytes, "val/b/2.jpg", '0', image, 11);
    append_tar_entry(&bytes, "../c/2.jpg", '0', image, 11);
    write_seed(folder, "tarset", "tarset-splits", &bytes);
    zoo_bytes_free(&bytes);
}

/* --- Lists, and labels beside images --- */

static void write_texts(const char *folder, const char *target, const char *const *texts, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        char name[32];
        zoo_bytes bytes = {0};
        zoo_append(&bytes, texts[i], strlen(texts[i]));
        snprintf(name, sizeof name, "%s-%zu", target, i);
        write_seed(folder, target, name, &bytes);
        zoo_bytes_free(&bytes);
    }
}

static void write_list_seeds(const char *folder) {
    static const char *const lists[] = {
        "a.png\tcat\r\n\r\nb c.jpg\t\n../d.webp\tdog",
        ("\xEF\xBB\xBF"
         "filename,label,split\na.png,cat,train\n\"b, \"\"c\"\"\n.jpg\",dog,val\n"),
        "label;image_path\r\n3;a.png\r\n0;b.png\r\n",
        "class\tpath\n1\ta.jpg\n",
        "n01/a.JPEG 0\nn02/b.JPEG 17\n",
        "a.png,3\nb.png,4\n",
        "My Photos/1.jpg\nplain.png\n\"x,y.jpg\"\n",
        "3 a.png\n4 b.png\n",
        "label,pixel0,pixel1\n5,0,0\n",
        "id,breed\n",
    };
    static const char *const labels[] = {
        "7\n",
        " -1 ",
        "ant hill\r\n",
        "{\"label\": 12}",
        "{\"cls\":\"cat\",\"label\":null}",
        "{\"class\":[1]}",
        "[]",
        "a/b.c/000.left.jpg",
        "{\"caption\":\"\\u00e9\\ud83d\\ude00\",\"width\":1.5e3,\"x\":{\"y\":[true,false]}}",
    };
    write_texts(folder, "list", lists, sizeof lists / sizeof *lists);
    write_texts(folder, "label", labels, sizeof labels / sizeof *labels);
}

/* --- torch's files: archives of each sort, and pickles with something of everything --- */

#define SEED_PICKLE                                                                                          \
    PROTO_2 "}(" TEXT_1 "k" TENSOR_OF(STORAGE_OF("FloatStorage", "K\2"), "K\0", "K\2\x85", "K\1\x85") TEXT_1 \
        "lq\1](NK\1G?\xf0\0\0\0\0\0\0\x8a\1\xffh\1e" TEXT_1 "d" ORDERED_DICT "}X\x09\0\0\0_metadata}sbu."

static void write_torch_seeds(const char *folder) {
    static const zip_lies entries[] = {{0},
                                       {.align = 1},
                                       {.zip64 = 1, .descriptor = 24},
                                       {.descriptor = 16, .align = 1},
                                       {.descriptor = 12},
                                       {.method = 8},
                                       {.no_crc = 1, .flags = 0x800}};
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; ++i) {
        char name[32];
        zip_maker maker = {0};
        const zip_end_lies end = {.zip64 = (int32_t) (i % 2), .entries = i == 3 ? 3 : 0};
        zip_add(&maker, "a/data/k", "\0\0\200\77\0\0\0\300", 8, &entries[i]);
        zip_add(&maker, "a/data.pkl", SEED_PICKLE, sizeof SEED_PICKLE - 1, &entries[i]);
        zip_add(&maker, "a/byteorder", "little", 6, &entries[i]);
        zip_finish(&maker, &end);
        const zoo_bytes bytes = {.data = maker.file.data, .size = maker.file.size};
        snprintf(name, sizeof name, "archive-%zu", i);
        write_seed(folder, "zip", name, &bytes);
        write_seed(folder, "legacy", name, &bytes);
        free(maker.file.data);
    }
    torch_bytes stream = {0};
    PUT(&stream, LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_SYSTEM SEED_PICKLE PROTO_2 "]" TEXT_1 "ka.");
    put_number(&stream, 2, 8);
    put_number(&stream, 0, 8);
    const zoo_bytes legacy = {.data = stream.data, .size = stream.size};
    write_seed(folder, "legacy", "stream", &legacy);
    static uint8_t pickle[] = SEED_PICKLE;
    const zoo_bytes tree = {.data = pickle, .size = sizeof pickle - 1};
    write_seed(folder, "unpickler", "tree", &tree);
    free(stream.data);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: make_fuzz_seeds FOLDER\n");
        return 2;
    }
    if (mkdir(argv[1], 0777) != 0 && errno != EEXIST) failed = 1;
    write_image_seeds(argv[1]);
    write_exif_seeds(argv[1]);
    write_xmp_seeds(argv[1]);
    write_safetensors_seeds(argv[1]);
    write_tar_seeds(argv[1]);
    write_torch_seeds(argv[1]);
    write_list_seeds(argv[1]);
    write_tarset_seeds(argv[1]);
    if (failed) fprintf(stderr, "%s: not all of it could be written: %s\n", argv[1], strerror(errno));
    return failed;
}
