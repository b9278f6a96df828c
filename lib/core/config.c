#include "core/config.h"

#include <string.h>

#define MOST_UNKNOWN 1024 /* bytes that a later release may have added to a struct */

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

/* A refusal that says where struct_size comes from: an init function, but tables of functions have none. */
static moco_status refuse_size(uint32_t size, size_t known_size, const char *type_name) {
    const size_t length = strlen(type_name);
    const int32_t is_table = length > 4 && strcmp(type_name + length - 4, "_ops") == 0;
    return moco_fail(MOCO_INVALID_ARGUMENT,
                     "struct_size of %s is %u, which is no size of it (this library's is %zu): set it by %s%s%s before "
                     "anything else, else the struct is not initialised",
                     type_name, size, known_size, is_table ? "sizeof(" : "", type_name, is_table ? ")" : "_init");
}

moco_status moco_config_read(void *target, const void *config, size_t known_size, size_t oldest_size,
                             const char *type_name) {
    MOCO_REQUIRE(config != NULL, "%s is NULL; it must point to an initialised struct", type_name);
    const uint32_t size = struct_size_of(config);
    /* What a struct that nobody initialised happens to hold is not followed out of the caller's memory. */
    if (size < oldest_size || size > known_size + MOST_UNKNOWN) return refuse_size(size, known_size, type_name);
    const unsigned char *bytes = (const unsigned char *) config;
    for (size_t i = known_size; i < size; ++i) {
        if (bytes[i] != 0) {
            return moco_fail(
                MOCO_UNSUPPORTED,
                "%s has %u bytes with a value set at byte %zu; this library knows only the first %zu: it is "
                "older than the program, or the struct was not initialised",
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
