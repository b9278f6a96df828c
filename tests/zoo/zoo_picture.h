/* The picture in all of the zoo's files, as it is stored. */
#ifndef MOCO_TEST_ZOO_PICTURE_H
#define MOCO_TEST_ZOO_PICTURE_H

#include <stdint.h>

/* The usual size, upright. */
enum { ZOO_H = 32, ZOO_W = 48 };

/* For an upright h x w picture and an EXIF orientation (1 .. 8; 0 counts as 1): the stored size, and which upright row
 * and column are stored at row r and column c. */
void zoo_stored_size(int orientation, int h, int w, int *stored_h, int *stored_w);
void zoo_upright_of(int orientation, int h, int w, int r, int c, int *y, int *x);

/* Red, green, blue and alpha (255: opaque) of a quadrant, before alpha is laid over anything. */
void zoo_colour(int quadrant, uint8_t rgba[4]);
void zoo_grey(int quadrant, uint8_t *grey, uint8_t *alpha);

#endif
