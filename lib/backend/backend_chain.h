/* The chain of backends that a context works with, as the modules above call it: each operator goes to the first
 * backend that has it. Thin by intent; the arithmetic is in the backends' own folders.
 */
#ifndef MOCO_BACKEND_CHAIN_H
#define MOCO_BACKEND_CHAIN_H

#include <moco/sys/backend_v1.h>

#include "backend/tensor.h"
#include "core/context_internal.h"

/* --- Lifetime --- */

/* The chain of the host's backends (`brought`: NULL, or ended by NULL) and behind them those of `list` (fastest first, a
 * complete one last, then NULL) from the one called `name` on; NULL or "auto": from the first that this machine runs. */
moco_status moco_backend_chain_create(moco_backend_chain **out, moco_context *context,
                                      const moco_backend_ops *const *brought, const moco_backend_ops *const *list,
                                      const char *name);
void moco_backend_chain_destroy(moco_backend_chain *chain); /* NULL is a no-op */
const char *moco_backend_chain_name(const moco_backend_chain *chain);
/* The context's backend at `place` 0, 1, ... of its chain; NULL behind the last. */
const moco_backend_ops *moco_backend_at(const moco_context *context, int32_t place, void **self);
/* The version 1 table that those ops were made from, which creates its layers; NULL: they do. */
const moco_backend_ops_v1 *moco_backend_version_1_at(const moco_context *context, int32_t place);

/* --- Buffers and tensors --- */
moco_status moco_buffer_create(moco_context *context, uint64_t bytes, void **buffer);
/* UNSUPPORTED where the memory is a device's. */
moco_status moco_buffer_wrap(moco_context *context, void *memory, uint64_t bytes, void **buffer);
void moco_buffer_destroy(moco_context *context, void *buffer); /* NULL is a no-op */
/* The address of `bytes` bytes from `offset` on, until unmap; UNSUPPORTED where the memory is a device's. */
moco_status moco_buffer_map(moco_context *context, void *buffer, uint64_t offset, uint64_t bytes, void **address);
void moco_buffer_unmap(moco_context *context, void *buffer, void *address);
/* Of buffers, and of the places of tensors in them: what the strictest backend in use demands, 64 bytes at least. */
uint64_t moco_buffer_alignment(const moco_context *context);

moco_status moco_tensor_upload(moco_context *context, const moco_tensor *tensor, const void *source);
moco_status moco_tensor_download(moco_context *context, const moco_tensor *tensor, void *target);
moco_status moco_tensor_copy(moco_context *context, const moco_tensor *target, const moco_tensor *source);
moco_status moco_tensor_fill_zero(moco_context *context, const moco_tensor *tensor);
moco_status moco_gather_rows(moco_context *context, const moco_tensor *target, const moco_tensor *source,
                             const int64_t *rows, int64_t n);
moco_status moco_all_finite(moco_context *context, const moco_tensor *tensor, int32_t *finite, int64_t *first);
/* target = source, of F32 and BF16 each the other. */
moco_status moco_tensor_convert(moco_context *context, const moco_tensor *target, const moco_tensor *source);
/* target += source, both 1-d. */
moco_status moco_tensor_add(moco_context *context, const moco_tensor *target, const moco_tensor *source);

/* --- Hot operators --- */
moco_status moco_momentum_update(moco_context *context, const moco_tensor *target, const moco_tensor *source, double m);
moco_status moco_sgd_update(moco_context *context, const moco_sgd_args *args);
/* sgd_update of a parameter, then momentum_update of its `average`: in one pass where a backend has that. */
moco_status moco_sgd_momentum_update(moco_context *context, const moco_sgd_args *args, const moco_tensor *average,
                                     double m);
/* The same step of MOCO_UPDATE_SGD in the words of sgd_update, without the average. */
moco_sgd_args moco_update_as_sgd(const moco_update_args *args);
/* One step of an update rule; SGD also on backends that have only sgd_update. */
moco_status moco_update(moco_context *context, const moco_update_args *args);
/* norms[i] = the L2 norm of tensors[i]. */
moco_status moco_norms(moco_context *context, const moco_tensor *tensors, int64_t count, double *norms);
moco_status moco_info_nce(moco_context *context, moco_info_nce_args *args);

#endif
