#include "context/backend_list.h"

#include <stddef.h>

extern const moco_backend_ops moco_backend_cblas;
extern const moco_backend_ops moco_backend_reference;
#ifdef MOCO_HAVE_ONEDNN
extern const moco_backend_ops moco_backend_onednn;
#endif

/* A chain is a suffix of this list, so that `reference`, which is complete, always ends it. */
static const moco_backend_ops *const compiled_in[] = {
#ifdef MOCO_HAVE_ONEDNN
    &moco_backend_onednn,
#endif
    &moco_backend_cblas,
    &moco_backend_reference,
    NULL,
};

const moco_backend_ops *const *moco_backend_list(void) {
    return compiled_in;
}
