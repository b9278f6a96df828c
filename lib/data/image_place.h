/* Windows between the stored and the upright image; the rows' way is moco_image_place. */
#ifndef MOCO_DATA_IMAGE_PLACE_H
#define MOCO_DATA_IMAGE_PLACE_H

#include "data/image_decoders.h"

int moco_orientation_transposes(int32_t orientation);
moco_image_window moco_window_to_stored(const moco_image_window *upright, const moco_stored_header *header);
moco_image_window moco_window_to_upright(const moco_image_window *stored, const moco_stored_header *header);
/* The largest reduction of up to `max_reduction` whose pixels begin at multiples of it in the upright image, too. */
int32_t moco_largest_reduction(const moco_stored_header *header, int32_t max_reduction);

#endif
