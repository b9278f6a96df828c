/* The version of these headers (macros) and of the library that is loaded (functions). */
#ifndef MOCO_VERSION_H
#define MOCO_VERSION_H

#include <moco/export.h>

#define MOCO_VERSION_MAJOR  0
#define MOCO_VERSION_MINOR  2
#define MOCO_VERSION_PATCH  0
#define MOCO_VERSION_STRING "0.2.0"

MOCO_BEGIN_DECLS

/* major * 10000 + minor * 100 + patch of the loaded library. The ABI only grows within one
 * major version, and while that is 0, within one minor version. */
MOCO_API int32_t moco_version(void);

/* "major.minor.patch" of the loaded library; static storage. */
MOCO_API const char *moco_version_string(void);

MOCO_END_DECLS

#endif
