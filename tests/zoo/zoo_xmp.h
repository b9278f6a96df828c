/* XMP packets with an orientation, right or wrong. */
#ifndef MOCO_TEST_ZOO_XMP_H
#define MOCO_TEST_ZOO_XMP_H

#include "zoo/zoo_bytes.h"

enum { ZOO_XMP_KINDS = 13 };

/* Returns whether the orientation in it counts. */
int zoo_append_xmp(zoo_bytes *out, int kind, int orientation);

#endif
