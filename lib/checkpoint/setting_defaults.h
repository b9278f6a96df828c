/* The defaults of settings, for files of an older libmoco, which had not all of today's. */
#ifndef MOCO_CHECKPOINT_SETTING_DEFAULTS_H
#define MOCO_CHECKPOINT_SETTING_DEFAULTS_H

#include "checkpoint/snapshot.h"
#include "core/config_fields.h"

/* *text: the default of the setting "<part>.<name>", in `buffer` or a string that lives on; NULL if it has none. Those of
 * views are of the augment recipe that the snapshot has. */
moco_status moco_setting_default(const moco_snapshot *snapshot, const char *part, const char *name,
                                 char buffer[MOCO_FIELD_TEXT_SIZE], const char **text);

#endif
