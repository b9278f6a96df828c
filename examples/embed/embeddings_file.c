#include "embed/embeddings_file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed/projector_folder.h"
#include "support/classes_json.h"
#include "support/example_support.h"
#include "support/new_file.h"

#define NPY_HEADER   128  /* of bytes in all: a multiple of 64, as NPY 1.0 asks */
#define NPY_PREFIX   10   /* magic, version, length */
#define NAME_SIZE    8300 /* what moco_dataset_name says is enough */
#define FAISS_UNUSED ((int64_t) 1 << 20)
#define FAISS_IP     0
#define FAISS_L2     1

const char *const embeddings_formats[] = {"npy", "faiss", "faiss-l2", "csv", "jsonl", "projector", NULL};

struct embeddings_file {
    int32_t format;
    const char *path;
    FILE *rows;
    FILE *labels; /* NULL: none of their own */
    const char *label_path;
    const moco_dataset *dataset;
    projector_folder *projector;
    int64_t dim;
    int64_t written;
};

const char *default_embeddings_path(int32_t format) {
    static const char *const paths[] = {"features.npy", "features.faiss", "features.faiss",
                                        "features.csv", "features.jsonl", "features-projector"};
    return paths[format];
}

static void write_bytes(FILE *file, const char *path, const void *bytes, size_t size) {
    if (fwrite(bytes, 1, size, file) != size) stop("cannot write %s: %s", path, strerror(errno));
}

/* --- NPY 1.0 (numpy.lib.format) --- */

static int is_big_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

/* `type`: "f4" or "i4"; `shape` as Python writes a tuple. */
static FILE *open_npy(const char *path, const char *type, const char *shape) {
    FILE *file = begin_file(path);
    char header[NPY_HEADER + 1];
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char) (NPY_HEADER - NPY_PREFIX);
    header[9] = 0;
    const int used =
        snprintf(header + NPY_PREFIX, sizeof header - NPY_PREFIX,
                 "{'descr': '%c%s', 'fortran_order': False, 'shape': %s, }", is_big_endian() ? '>' : '<', type, shape);
    memset(header + NPY_PREFIX + used, ' ', (size_t) (NPY_HEADER - NPY_PREFIX - used));
    header[NPY_HEADER - 1] = '\n';
    write_bytes(file, path, header, NPY_HEADER);
    return file;
}

/* --- FAISS (faiss/impl/index_write.cpp: header of an index, then IndexFlat) --- */

static void write_little(embeddings_file *file, uint64_t value, int bytes) {
    unsigned char text[8];
    for (int i = 0; i < bytes; ++i) text[i] = (unsigned char) (value >> (8 * i));
    write_bytes(file->rows, file->path, text, (size_t) bytes);
}

static void open_faiss(embeddings_file *file, int64_t count, int64_t dim) {
    const int32_t metric = file->format == EMBEDDINGS_FAISS ? FAISS_IP : FAISS_L2;
    if (dim > INT32_MAX) stop("rows of %" PRId64 " numbers are too long for a FAISS index", dim);
    file->rows = begin_file(file->path);
    write_bytes(file->rows, file->path, metric == FAISS_IP ? "IxFI" : "IxF2", 4);
    write_little(file, (uint64_t) dim, 4);
    write_little(file, (uint64_t) count, 8);
    write_little(file, (uint64_t) FAISS_UNUSED, 8);
    write_little(file, (uint64_t) FAISS_UNUSED, 8);
    write_little(file, 1, 1); /* trained */
    write_little(file, (uint64_t) metric, 4);
    write_little(file, (uint64_t) count * (uint64_t) dim, 8);
}

static void write_faiss(embeddings_file *file, const float *rows, int64_t n) {
    if (!is_big_endian()) {
        write_bytes(file->rows, file->path, rows, (size_t) (n * file->dim) * sizeof *rows);
        return;
    }
    for (int64_t i = 0; i < n * file->dim; ++i) {
        uint32_t bits;
        memcpy(&bits, &rows[i], sizeof bits);
        write_little(file, bits, 4);
    }
}

/* --- Text --- */

/* RFC 4180. */
static void print_csv_text(FILE *file, const char *text) {
    if (strpbrk(text, "\",\r\n") == NULL) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text != '\0'; ++text) {
        if (*text == '"') fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

static void print_csv_row(embeddings_file *file, const float *row, int32_t label, const char *name,
                          const char *class_name) {
    print_csv_text(file->rows, name);
    fprintf(file->rows, ",%" PRId32 ",", label);
    print_csv_text(file->rows, class_name == NULL ? "" : class_name);
    for (int64_t i = 0; i < file->dim; ++i) fprintf(file->rows, ",%.9g", (double) row[i]);
    fputc('\n', file->rows);
}

static void print_json_row(embeddings_file *file, const float *row, int32_t label, const char *name,
                           const char *class_name) {
    fputs("{\"filename\": ", file->rows);
    put_json_string(file->rows, name);
    fprintf(file->rows, ", \"label\": %" PRId32 ", \"class\": ", label);
    if (class_name == NULL) {
        fputs("null", file->rows);
    } else {
        put_json_string(file->rows, class_name);
    }
    fputs(", \"embedding\": [", file->rows);
    for (int64_t i = 0; i < file->dim; ++i) {
        if (i > 0) fputs(", ", file->rows);
        if (isfinite(row[i])) {
            fprintf(file->rows, "%.9g", (double) row[i]);
        } else {
            fputs("null", file->rows); /* JSON has no other word */
        }
    }
    fputs("]}\n", file->rows);
}

static void print_row(embeddings_file *file, const float *row, int32_t label) {
    char name[NAME_SIZE];
    check(moco_dataset_name(file->dataset, file->written, name, sizeof name));
    const char *class_name = label < 0 ? NULL : moco_dataset_class_name(file->dataset, label);
    if (file->format == EMBEDDINGS_CSV) {
        print_csv_row(file, row, label, name, class_name);
    } else if (file->format == EMBEDDINGS_JSONL) {
        print_json_row(file, row, label, name, class_name);
    } else {
        add_to_projector(file->projector, file->written, row, label, name, class_name);
    }
}

/* --- All --- */

embeddings_file *open_embeddings(int32_t format, const char *path, const char *label_path, const moco_dataset *dataset,
                                 int64_t count, int64_t dim) {
    char shape[64];
    embeddings_file *file = (embeddings_file *) allocate(1, sizeof *file);
    memset(file, 0, sizeof *file);
    file->format = format;
    file->path = path;
    file->dataset = dataset;
    file->dim = dim;
    if (label_path != NULL) {
        snprintf(shape, sizeof shape, "(%" PRId64 ",)", count);
        file->label_path = label_path;
        file->labels = open_npy(label_path, "i4", shape);
    }
    switch (format) {
    case EMBEDDINGS_NPY:
        snprintf(shape, sizeof shape, "(%" PRId64 ", %" PRId64 ")", count, dim);
        file->rows = open_npy(path, "f4", shape);
        break;
    case EMBEDDINGS_FAISS:
    case EMBEDDINGS_FAISS_L2:
        open_faiss(file, count, dim);
        break;
    case EMBEDDINGS_PROJECTOR:
        file->projector = open_projector(path, dataset, count, dim);
        break;
    default:
        file->rows = begin_file(path);
        if (format == EMBEDDINGS_JSONL) break;
        fputs("filename,label,class", file->rows);
        for (int64_t i = 0; i < dim; ++i) fprintf(file->rows, ",embedding_%" PRId64, i);
        fputc('\n', file->rows);
    }
    return file;
}

void write_embeddings(embeddings_file *file, const float *rows, const int32_t *labels, int64_t n) {
    if (file->format == EMBEDDINGS_NPY) {
        write_bytes(file->rows, file->path, rows, (size_t) (n * file->dim) * sizeof *rows);
    } else if (file->format == EMBEDDINGS_FAISS || file->format == EMBEDDINGS_FAISS_L2) {
        write_faiss(file, rows, n);
    } else {
        for (int64_t i = 0; i < n; ++i, ++file->written) print_row(file, rows + i * file->dim, labels[i]);
    }
    if (file->labels != NULL) write_bytes(file->labels, file->label_path, labels, (size_t) n * sizeof *labels);
}

void close_embeddings(embeddings_file *file) {
    if (file->rows != NULL) finish_file(file->rows, file->path);
    if (file->labels != NULL) finish_file(file->labels, file->label_path);
    close_projector(file->projector);
    free(file);
}
