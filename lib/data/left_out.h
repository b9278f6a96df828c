/* Files that a folder or tar holds beside images that can be read, counted by kind, so that they are told in one line. */
#ifndef MOCO_LEFT_OUT_H
#define MOCO_LEFT_OUT_H

#include "core/context_internal.h"

enum { MOCO_LEFT_OUT_KINDS = 16, MOCO_LEFT_OUT_ENDING = 12 };

/* Starts zeroed. */
typedef struct moco_left_out {
    struct {
        char ending[MOCO_LEFT_OUT_ENDING]; /* ".gif", in lower case; "" where a name has none */
        int64_t count;
    } kinds[MOCO_LEFT_OUT_KINDS];
    int32_t count;
    int64_t others; /* of further kinds */
} moco_left_out;

/* 1 if the name ends as images do of a format that this build can decode: such a file is kept, whatever it holds. */
int32_t moco_has_readable_name(const char *name, size_t length);
/* 1 if the content may decide: not for cameras' raw files, whose first bytes are those of TIFF and whose first picture is
 * but a thumbnail. */
int32_t moco_may_be_sniffed(const char *name, size_t length);

void moco_left_out_note(moco_left_out *left_out, const char *name, size_t length);
void moco_left_out_merge(moco_left_out *to, const moco_left_out *from);
/* One line: a warning where any of the files looks like an image, else for the log's info. Nothing where none is. */
void moco_left_out_tell(moco_context *context, const char *shown, const moco_left_out *left_out);

#endif
