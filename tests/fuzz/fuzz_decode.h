/* What the decoders' fuzz targets share: decoding with small limits, and checking what lib/data/image.h promises. */
#ifndef MOCO_FUZZ_DECODE_H
#define MOCO_FUZZ_DECODE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"
#include "support/image_invariants.h"

/* A fuzz target, as libFuzzer and replay_main.c call it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline moco_image_limits fuzz_limits(void) {
    return (moco_image_limits){.max_side = 4096, .max_pixels = 1 << 20, .max_memory = 32 << 20, .max_seconds = 10};
}

/* Decodes the bytes; aborts where a promise is broken. The window is taken of the upright image by `place`: each byte
 * is a share of 1/256. */
static inline void fuzz_decode(const uint8_t *data, size_t size, int32_t max_reduction, const uint8_t place[4]) {
    const moco_image_limits limits = fuzz_limits();
    moco_image_header header = {0};
    moco_image image = {0};
    const moco_status probed = moco_image_probe(NULL, data, size, &limits, &header);
    moco_image_request request = {.max_reduction = max_reduction};
    if (probed == MOCO_OK && place != NULL) {
        if (header.h < 1 || header.w < 1 || header.h * header.w > limits.max_pixels) abort();
        request.window.top = header.h * place[0] / 256;
        request.window.left = header.w * place[1] / 256;
        request.window.h = 1 + (header.h - request.window.top - 1) * place[2] / 255;
        request.window.w = 1 + (header.w - request.window.left - 1) * place[3] / 255;
    }
    const moco_status decoded = moco_image_decode(NULL, data, size, &limits, &request, &image);
    if (probed != MOCO_OK && decoded != probed) abort();
    if (decoded != MOCO_OK && decoded != MOCO_FORMAT) abort();
    if (decoded != MOCO_OK && moco_last_error()[0] == 0) abort();
    if (decoded == MOCO_OK) {
        if (broken_image_promise(&image, &request, &header) != NULL) abort();
        /* Every pixel has been written: under the memory sanitizer, or Valgrind, this notices. */
        uint64_t sum = 0;
        for (int64_t i = 0; i < image.held.h * image.held.w * 3; ++i) sum += image.pixels[i];
        if (sum > (uint64_t) (image.held.h * image.held.w * 3) * 255) abort();
    }
    moco_image_release(NULL, &image);
}

static inline int begins_with(const uint8_t *data, size_t size, const char *head, size_t head_size) {
    return size >= head_size && memcmp(data, head, head_size) == 0;
}

#endif
