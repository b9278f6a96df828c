#include "preview/png_file.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <string.h>

#include "support/example_support.h"

void write_png(const char *path, const uint8_t *pixels, int64_t h, int64_t w) {
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = (png_uint_32) w;
    image.height = (png_uint_32) h;
    image.format = PNG_FORMAT_RGB;
    FILE *file = fopen(path, "wb");
    if (file == NULL) stop("%s can't be written: %s", path, strerror(errno));
    if (!png_image_write_to_stdio(&image, file, 0, pixels, 0, NULL)) {
        stop("%s can't be written: %s", path, image.message);
    }
    if (fclose(file) != 0) stop("%s can't be written: %s", path, strerror(errno));
}
