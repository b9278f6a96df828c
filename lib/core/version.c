#include <moco/version.h>

int32_t moco_version(void) {
    return MOCO_VERSION_MAJOR * 10000 + MOCO_VERSION_MINOR * 100 + MOCO_VERSION_PATCH;
}

const char *moco_version_string(void) {
    return MOCO_VERSION_STRING;
}
