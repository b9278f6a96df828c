#include "core/config.h"

#include <string.h>

/* struct_size is the first field of all of them. */
static uint32_t struct_size_of(const void *structure) {
    uint32_t size;
    memcpy(&size, structure, sizeof size);
    return size;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

moco_status moco_config_init(void *config, uint32_t struct_size, const void *defaults, size_t known_size,
                             size_t oldest_size, const char *type_name) {
    MOCO_REQUIRE(config != NULL, "%s is NULL; it must point to a struct of struct_size bytes", type_name);
    MOCO_REQUIRE(struct_size >= oldest_size, "struct_size of %s is %u; it must be sizeof(%s), at least %zu", type_name,
                 struct_size, type_name, oldest_size);
    memset(config, 0, struct_size);
    memcpy(config, defaults, smaller(struct_size, known_size));
    memcpy(config, &struct_size, sizeof struct_size);
    return MOCO_OK;
}

moco_status moco_config_read(void *target, const void *config, size_t known_size, size_t oldest_size,
                             const char *type_name) {
    MOCO_REQUIRE(config != NULL, "%s is NULL; it must point to an initialised struct", type_name);
    const uint32_t size = struct_size_of(config);
    MOCO_REQUIRE(size >= oldest_size,
                 "struct_size of %s is %u; it must be sizeof(%s), at least %zu: call its init function first",
                 type_name, size, type_name, oldest_size);
    const unsigned char *bytes = (const unsigned char *) config;
    for (size_t i = known_size; i < size; ++i) {
        if (bytes[i] != 0) {
            return moco_fail(
                MOCO_UNSUPPORTED,
                "%s has %u bytes with a value set at byte %zu; this library knows only the first %zu: it is "
                "older than the program",
                type_name, size, i, known_size);
        }
    }
    memcpy(target, config, smaller(size, known_size));
    const uint32_t known = (uint32_t) known_size;
    memcpy(target, &known, sizeof known);
    return MOCO_OK;
}

moco_status moco_output_write(void *output, const void *values, size_t known_size, size_t oldest_size,
                              const char *type_name) {
    MOCO_REQUIRE(output != NULL, "%s is NULL; it must point to a struct of struct_size bytes", type_name);
    const uint32_t size = struct_size_of(output);
    MOCO_REQUIRE(size >= oldest_size, "struct_size of %s is %u; set it to sizeof(%s), at least %zu", type_name, size,
                 type_name, oldest_size);
    memcpy(output, values, smaller(size, known_size));
    memcpy(output, &size, sizeof size);
    return MOCO_OK;
}
