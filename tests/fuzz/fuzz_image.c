/* Any request of any bytes: the first five are the largest reduction and the window's place, the rest is a file of any
 * format. Parts must be what the whole has there. */
#include "fuzz/fuzz_decode.h"

/* At one reduction, a part has the bits of the same part of the whole. */
static void compare_with_whole(const uint8_t *data, size_t size, int32_t reduction, const uint8_t place[4]) {
    const moco_image_limits limits = fuzz_limits();
    moco_image_header header;
    moco_image part = {0}, whole = {0};
    if (moco_image_probe(NULL, data, size, &limits, &header) != MOCO_OK) return;
    moco_image_request request = {.max_reduction = reduction};
    if (moco_image_decode(NULL, data, size, &limits, &request, &whole) == MOCO_OK) {
        request.window.top = header.h * place[0] / 256;
        request.window.left = header.w * place[1] / 256;
        request.window.h = 1 + (header.h - request.window.top - 1) * place[2] / 255;
        request.window.w = 1 + (header.w - request.window.left - 1) * place[3] / 255;
        request.check_all = place[0] % 2;
        if (moco_image_decode(NULL, data, size, &limits, &request, &part) != MOCO_OK) abort();
        if (part.held.reduction == whole.held.reduction) {
            const int64_t r = part.held.reduction, top = part.held.window.top / r, left = part.held.window.left / r;
            for (int64_t y = 0; y < part.held.h; ++y) {
                const uint8_t *row = whole.pixels + ((top + y) * whole.held.w + left) * 3;
                if (memcmp(part.pixels + y * part.held.w * 3, row, (size_t) part.held.w * 3) != 0) abort();
            }
        }
    }
    /* What is refused in all is refused by every window that all of the file is asked about with. */
    if (whole.held.h == 0) {
        request.window.h = request.window.w = request.check_all = 1;
        request.window.top = (header.h - 1) * place[0] / 255;
        request.window.left = (header.w - 1) * place[1] / 255;
        if (moco_image_decode(NULL, data, size, &limits, &request, &part) == MOCO_OK) abort();
    }
    moco_image_release(NULL, &part);
    moco_image_release(NULL, &whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 5) return 0;
    const int32_t reduction = 1 << (data[0] & 3);
    fuzz_decode(data + 5, size - 5, reduction, data + 1);
    compare_with_whole(data + 5, size - 5, reduction, data + 1);
    return 0;
}
