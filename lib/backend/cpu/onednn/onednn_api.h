/* The thin layer over what differs between oneDNN 2.x and 3.x: memory descriptors (structs there, handles here) and how
 * primitive descriptors are made. Only this folder sees dnnl.h.
 */
#ifndef MOCO_ONEDNN_API_H
#define MOCO_ONEDNN_API_H

#include <oneapi/dnnl/dnnl.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/cpu/onednn/onednn_provider.h"

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t onednn_md; /* a handle */
typedef const_dnnl_memory_desc_t onednn_const_md;
#else
typedef dnnl_memory_desc_t *onednn_md;
typedef const dnnl_memory_desc_t *onednn_const_md;
#endif

/* What one backend has of oneDNN. */
struct onednn_provider {
    moco_context *context;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

/* oneDNN takes the number of threads from OpenMP's setting of the calling thread, at planning and at execution: the
 * context's number, and back to what enter answered. */
int moco_onednn_enter(const onednn_provider *provider);
void moco_onednn_leave(int before);

/* Runs a primitive on the context's threads. */
moco_status moco_onednn_execute(const onednn_provider *provider, const_dnnl_primitive_t primitive, int count,
                                const dnnl_exec_arg_t *arguments);

/* MOCO_OK, or the libmoco status for it with a sentence that names `what`; unimplemented is UNSUPPORTED. */
moco_status moco_onednn_check(dnnl_status_t status, const char *what);

#define ONEDNN_TRY(call) MOCO_TRY(moco_onednn_check((call), #call))

/* Memory descriptors; destroy takes NULL. */
moco_status moco_onednn_md_create(onednn_md *out, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                                  dnnl_format_tag_t tag);
void moco_onednn_md_destroy(onednn_md md);
size_t moco_onednn_md_size(onednn_const_md md);
int moco_onednn_md_equal(onednn_const_md a, onednn_const_md b);

/* dnnl_memory_create without memory behind it: the address is set before each use. */
moco_status moco_onednn_memory_create(dnnl_memory_t *out, onednn_const_md md, dnnl_engine_t engine);

typedef enum onednn_pass { ONEDNN_FORWARD, ONEDNN_BACKWARD_DATA, ONEDNN_BACKWARD_WEIGHTS } onednn_pass;

typedef struct onednn_convolution_mds {
    onednn_const_md source; /* of x or dx */
    onednn_const_md weights;
    onednn_const_md target; /* of y or dy */
    dnnl_dims_t strides;
    dnnl_dims_t padding;
} onednn_convolution_mds;

/* The primitive descriptor of one pass of a convolution with the caller's scratchpad; `hint` is the forward's
 * descriptor for the backward passes. `add`: a forward pass that adds to its target. */
moco_status moco_onednn_convolution_pd(dnnl_primitive_desc_t *out, onednn_pass pass, const onednn_convolution_mds *mds,
                                       int training, int add, dnnl_engine_t engine, const_dnnl_primitive_desc_t hint);

/* A reorder, which overwrites its target or adds to it. */
moco_status moco_onednn_reorder_create(dnnl_primitive_t *out, onednn_const_md from, onednn_const_md to, int add,
                                       dnnl_engine_t engine);

onednn_const_md moco_onednn_pd_md(const_dnnl_primitive_desc_t pd, dnnl_query_t what);
const char *moco_onednn_pd_implementation(const_dnnl_primitive_desc_t pd);

#endif
