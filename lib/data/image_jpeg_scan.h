/* Telling bytes that were put behind a scan of a JPEG from the rest of a damaged one. */
#ifndef MOCO_IMAGE_JPEG_SCAN_H
#define MOCO_IMAGE_JPEG_SCAN_H

#include "data/image_decoders.h"

/* For a file that libjpeg has decoded, but for bytes that were left over. FORMAT where they belong to the picture, or
 * where that can't be told (arithmetic coding). */
moco_status moco_jpeg_check_scans(const moco_image_job *job);

#endif
