/* Reading and filling the size-versioned public structs: uint32_t struct_size first, fields only ever appended. */
#ifndef MOCO_CORE_CONFIG_H
#define MOCO_CORE_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "core/status_internal.h"

/* For moco_X_config_init: writes `known_size` bytes of `defaults` into the caller's struct of `struct_size` bytes,
 * clears the rest, sets struct_size. At least `oldest_size` bytes (the size in the first release) are demanded. */
moco_status moco_config_init(void *config, uint32_t struct_size, const void *defaults, size_t known_size,
                             size_t oldest_size, const char *type_name);

/* For moco_X_create: `type_name` is moco_X_config, whose init function is moco_X_config_init. Copies the caller's struct over `target`, which holds the defaults (`known_size` bytes). A shorter
 * struct leaves the newer fields at their defaults; a longer one is UNSUPPORTED unless its unknown tail is zero. */
moco_status moco_config_read(void *target, const void *config, size_t known_size, size_t oldest_size,
                             const char *type_name);

/* For output structs: writes the first min(struct_size, known_size) bytes of `values` to the caller's struct and keeps
 * its struct_size. */
moco_status moco_output_write(void *output, const void *values, size_t known_size, size_t oldest_size,
                              const char *type_name);

#endif
