/* What several modules ask of tensors and sizes before they work with them. Each is INVALID_ARGUMENT with a sentence that
 * names the argument. */
#ifndef MOCO_BACKEND_TENSOR_CHECKS_H
#define MOCO_BACKEND_TENSOR_CHECKS_H

#include <moco/sys/backend.h>

#include "core/context_internal.h"

/* n, c, h and w are at least 1, and n * c * h * w floats can be addressed. */
moco_status moco_require_image_shape(int64_t n, int64_t c, int64_t h, int64_t w);

/* `tensor` is a plain float32 matrix of n rows and dim columns. */
moco_status moco_require_matrix(const moco_tensor *tensor, int64_t n, int64_t dim, const char *name);

/* No value of the matrix `rows` is a NaN or an infinity; else the sentence has the row and the column of the first. */
moco_status moco_require_finite_rows(moco_context *context, const moco_tensor *rows, const char *name);

#endif
