/* Whether this build reads safetensors files; tests of reading skip themselves where it can't. */
#ifndef MOCO_TEST_READING_BUILT_IN_H
#define MOCO_TEST_READING_BUILT_IN_H

#include <string.h>

#include "io/safetensors.h"

static inline int reading_is_built_in(void) {
    moco_safetensors *file = NULL;
    return moco_safetensors_open(&file, NULL, "/no/such/file") != MOCO_UNSUPPORTED;
}

#endif
