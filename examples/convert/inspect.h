/* What a file of weights is and holds, for convert. */
#ifndef MOCO_EXAMPLE_INSPECT_H
#define MOCO_EXAMPLE_INSPECT_H

#include <moco.h>

/* Prints kind, content, notes and tensors of a file, or of those in a folder that --to timm wrote, and its config.json. Stops
 * with the reason where it is none that can be read. */
void inspect_path(moco_context *context, const char *path);

#endif
