/* The names of the values of all enums, for settings as text, for logs, and for languages that don't read C headers.
 *
 * The kinds, with the enum that each one is of:
 *   log-level       MOCO_LOG_*               schedule        MOCO_SCHEDULE_CONSTANT, ...
 *   stem            MOCO_STEM_*              schedule-unit   MOCO_SCHEDULE_PER_*
 *   head            MOCO_HEAD_*              augment         MOCO_AUGMENT_*
 *   compute         MOCO_COMPUTE_*           augment-part    MOCO_PART_*
 *   bn-layout       MOCO_BN_*                interpolation   MOCO_INTERPOLATION_*
 *   bn-buffers      MOCO_BN_BUFFERS_*        cache           MOCO_CACHE_*
 *   parameter       MOCO_PARAMETER_*(1)      pixels          MOCO_PIXELS_*
 *   queue-start     MOCO_QUEUE_START_*       output          MOCO_OUTPUT_*
 *   queue-storage   MOCO_QUEUE_STORAGE_*     optimizer       MOCO_OPTIMIZER_*
 *   knn-stage       MOCO_KNN_STAGE_*         export          MOCO_EXPORT_*
 *   weights         MOCO_WEIGHTS_*           load            MOCO_LOAD_*
 *   may-miss        MOCO_MAY_MISS_*          load-item       MOCO_ITEM_*
 * (1) LEARNABLE and BUFFER; the flags MOCO_PARAMETER_VECTOR, NO_DECAY and FROZEN have no names.
 * A value's name is its constant's without the prefix, in lower case, words joined by hyphens: MOCO_HEAD_MLP is the
 * head "mlp", MOCO_COMPUTE_BF16_REQUIRED the compute "bf16-required". The values of a kind are 0, 1, ... without gaps.
 */
#ifndef MOCO_NAMES_H
#define MOCO_NAMES_H

#include <moco/status.h>

MOCO_BEGIN_DECLS

/* The kind number `index`, from 0; NULL after the last one. */
MOCO_API const char *moco_enum_kind(int32_t index);

/* The name of `value`, such as "mlp" for 2 of the kind "head"; NULL for a value or a kind that is none. Static storage.
 */
MOCO_API const char *moco_enum_name(const char *kind, int32_t value);

/* The value that is called `name`. INVALID_ARGUMENT: a kind or name that is none; the sentence lists those there are. */
MOCO_API moco_status moco_enum_value(const char *kind, const char *name, int32_t *value);

MOCO_END_DECLS

#endif
