/* The backends of this build. */
#ifndef MOCO_CONTEXT_BACKEND_LIST_H
#define MOCO_CONTEXT_BACKEND_LIST_H

#include <moco/sys/backend.h>

/* In the order of "auto", fastest first and the reference last; NULL ends the list. */
const moco_backend_ops *const *moco_backend_list(void);

#endif
