/* Finds the images below a folder. */
#ifndef MOCO_FOLDER_SCAN_H
#define MOCO_FOLDER_SCAN_H

#include "data/index_cache.h"

/* Adds the images below `descriptor`, an open folder that messages call `shown`, to `builder` in sorted order, with the
 * folders of the first level as classes, and a guard for each folder that was read.
 *
 * Hidden files and folders are skipped. Symbolic links are followed, but below one class folder each folder is read
 * only once, so that loops end. What can't be read is named in the log and left out;
 * what is no image of a format that is read is counted there by kind. */
moco_status moco_folder_scan(moco_context *context, int descriptor, const char *shown, moco_index_builder *builder,
                             moco_index_guards *guards);

#endif
