/* What a "tar:" names: one tar, or several by braces and "::", each with the folder in it. */
#ifndef MOCO_TAR_PLACES_H
#define MOCO_TAR_PLACES_H

#include "core/context_internal.h"

enum { MOCO_MOST_TARS = 65536 };

typedef struct moco_tar_place {
    char *path;  /* of the tar file */
    char *inner; /* the folder inside, "" or with '/' at its end */
} moco_tar_place;

/* Starts zeroed but for the context. */
typedef struct moco_tar_places {
    moco_context *context;
    moco_tar_place *items;
    size_t items_capacity; /* bytes */
    int64_t count;
} moco_tar_places;

/* Without "./" and empty parts: "/./a//b" -> "a/b". A folder keeps its '/' at the end. Returns the new length. */
size_t moco_tar_simplify_name(char *name);

/* The tars of FILE[/FOLDER], of FILE with {000..099} and {a,b} in it, and of several of these with "::" between them.
 * Whether a file is there shows when it is opened; one whose name has braces or "::" is taken as it is. */
moco_status moco_tar_find_places(moco_tar_places *places, const char *text);
/* The folder `name` in each tar's folder. */
moco_status moco_tar_places_enter(moco_tar_places *places, const char *name);
void moco_tar_places_release(moco_tar_places *places);

#endif
