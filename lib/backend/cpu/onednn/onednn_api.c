#include "backend/cpu/onednn/onednn_api.h"

#include <stdlib.h>

#include "core/context_internal.h"
#include "core/status_internal.h"

#ifdef _OPENMP
#include <omp.h>
#endif

moco_status moco_onednn_check(dnnl_status_t status, const char *what) {
    switch (status) {
    case dnnl_success:
        return MOCO_OK;
    case dnnl_out_of_memory:
        return moco_fail(MOCO_OUT_OF_MEMORY, "oneDNN is out of memory in %s", what);
    case dnnl_unimplemented:
        return moco_fail(MOCO_UNSUPPORTED, "oneDNN has no implementation for %s", what);
    default:
        return moco_fail(MOCO_BACKEND, "oneDNN answers %d to %s", (int) status, what);
    }
}

moco_status moco_onednn_open(onednn_provider **out, moco_context *context) {
    onednn_provider *provider = (onednn_provider *) moco_allocate_zeroed(context, 1, sizeof *provider);
    if (provider == NULL) return MOCO_OUT_OF_MEMORY;
    provider->context = context;
    moco_status status = moco_onednn_check(dnnl_engine_create(&provider->engine, dnnl_cpu, 0), "its engine");
    if (status == MOCO_OK) {
        status = moco_onednn_check(dnnl_stream_create(&provider->stream, provider->engine, dnnl_stream_default_flags),
                                   "its stream");
    }
    if (status != MOCO_OK) {
        moco_onednn_close(provider);
        return status;
    }
    *out = provider;
    return MOCO_OK;
}

void moco_onednn_close(onednn_provider *provider) {
    if (provider == NULL) return;
    if (provider->stream != NULL) dnnl_stream_destroy(provider->stream);
    if (provider->engine != NULL) dnnl_engine_destroy(provider->engine);
    moco_deallocate(provider->context, provider);
}

int moco_onednn_enter(const onednn_provider *provider) {
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    omp_set_num_threads((int) provider->context->threads);
    return before;
#else
    (void) provider;
    return 1;
#endif
}

void moco_onednn_leave(int before) {
#ifdef _OPENMP
    omp_set_num_threads(before);
#else
    (void) before;
#endif
}

moco_status moco_onednn_execute(const onednn_provider *provider, const_dnnl_primitive_t primitive, int count,
                                const dnnl_exec_arg_t *arguments) {
    const int before = moco_onednn_enter(provider);
    const dnnl_status_t status = dnnl_primitive_execute(primitive, provider->stream, count, arguments);
    moco_onednn_leave(before);
    return moco_onednn_check(status, "the execution of a primitive");
}

moco_status moco_onednn_memory_create(dnnl_memory_t *out, onednn_const_md md, dnnl_engine_t engine) {
    ONEDNN_TRY(dnnl_memory_create(out, md, engine, DNNL_MEMORY_NONE));
    return MOCO_OK;
}

size_t moco_onednn_md_size(onednn_const_md md) {
    return dnnl_memory_desc_get_size(md);
}

int moco_onednn_md_equal(onednn_const_md a, onednn_const_md b) {
    return dnnl_memory_desc_equal(a, b);
}

onednn_const_md moco_onednn_pd_md(const_dnnl_primitive_desc_t pd, dnnl_query_t what) {
    return dnnl_primitive_desc_query_md(pd, what, 0);
}

const char *moco_onednn_pd_implementation(const_dnnl_primitive_desc_t pd) {
    const char *name = NULL;
    return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) == dnnl_success && name != NULL ? name
                                                                                                             : "";
}

/* Attributes with the scratchpad in the caller's hands and, where asked, an addition to the target. */
static moco_status create_attributes(dnnl_primitive_attr_t *out, int add) {
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t post_ops = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && add) {
        status = dnnl_post_ops_create(&post_ops);
#if DNNL_VERSION_MAJOR >= 3
        if (status == dnnl_success) status = dnnl_post_ops_append_sum(post_ops, 1.0f, 0, dnnl_data_type_undef);
#else
        if (status == dnnl_success) status = dnnl_post_ops_append_sum(post_ops, 1.0f);
#endif
        if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attributes, post_ops);
        if (post_ops != NULL) dnnl_post_ops_destroy(post_ops);
    }
    if (status != dnnl_success) {
        if (attributes != NULL) dnnl_primitive_attr_destroy(attributes);
        return moco_onednn_check(status, "primitive attributes");
    }
    *out = attributes;
    return MOCO_OK;
}

moco_status moco_onednn_reorder_create(dnnl_primitive_t *out, onednn_const_md from, onednn_const_md to, int add,
                                       dnnl_engine_t engine) {
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    MOCO_TRY(create_attributes(&attributes, add));
    moco_status result = moco_onednn_check(
        dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, attributes), "a reorder's descriptor");
    dnnl_primitive_attr_destroy(attributes);
    if (result != MOCO_OK) return result;
    if (moco_onednn_md_size(moco_onednn_pd_md(pd, dnnl_query_scratchpad_md)) > 0) {
        result = moco_fail(MOCO_UNSUPPORTED, "oneDNN's reorder wants a scratchpad");
    } else {
        result = moco_onednn_check(dnnl_primitive_create(out, pd), "a reorder");
    }
    dnnl_primitive_desc_destroy(pd);
    return result;
}

#if DNNL_VERSION_MAJOR >= 3

moco_status moco_onednn_md_create(onednn_md *out, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                                  dnnl_format_tag_t tag) {
    ONEDNN_TRY(dnnl_memory_desc_create_with_tag(out, rank, dims, type, tag));
    return MOCO_OK;
}

void moco_onednn_md_destroy(onednn_md md) {
    if (md != NULL) dnnl_memory_desc_destroy(md);
}

moco_status moco_onednn_convolution_pd(dnnl_primitive_desc_t *out, onednn_pass pass, const onednn_convolution_mds *mds,
                                       int training, int add, dnnl_engine_t engine, const_dnnl_primitive_desc_t hint) {
    const dnnl_dims_t no_dilation = {0};
    dnnl_primitive_attr_t attributes = NULL;
    MOCO_TRY(create_attributes(&attributes, add));
    dnnl_status_t status;
    switch (pass) {
    case ONEDNN_FORWARD:
        status = dnnl_convolution_forward_primitive_desc_create(
            out, engine, training ? dnnl_forward_training : dnnl_forward_inference, dnnl_convolution_direct,
            mds->source, mds->weights, NULL, mds->target, mds->strides, no_dilation, mds->padding, mds->padding,
            attributes);
        break;
    case ONEDNN_BACKWARD_DATA:
        status = dnnl_convolution_backward_data_primitive_desc_create(
            out, engine, dnnl_convolution_direct, mds->source, mds->weights, mds->target, mds->strides, no_dilation,
            mds->padding, mds->padding, hint, attributes);
        break;
    default:
        status = dnnl_convolution_backward_weights_primitive_desc_create(
            out, engine, dnnl_convolution_direct, mds->source, mds->weights, NULL, mds->target, mds->strides,
            no_dilation, mds->padding, mds->padding, hint, attributes);
        break;
    }
    dnnl_primitive_attr_destroy(attributes);
    return moco_onednn_check(status, "a convolution's descriptor");
}

#else

/* In 2.x a descriptor is a plain struct; on the heap it behaves as 3.x's handle. It is tiny and short-lived, made by
 * oneDNN's own rules, so it does not go through the context's allocator any more than oneDNN's handles do. */
moco_status moco_onednn_md_create(onednn_md *out, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                                  dnnl_format_tag_t tag) {
    dnnl_memory_desc_t *md = (dnnl_memory_desc_t *) calloc(1, sizeof *md);
    if (md == NULL) return moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: no room for a memory descriptor");
    const moco_status status =
        moco_onednn_check(dnnl_memory_desc_init_by_tag(md, rank, dims, type, tag), "a memory descriptor");
    if (status != MOCO_OK) {
        free(md);
        return status;
    }
    *out = md;
    return MOCO_OK;
}

void moco_onednn_md_destroy(onednn_md md) {
    free(md);
}

moco_status moco_onednn_convolution_pd(dnnl_primitive_desc_t *out, onednn_pass pass, const onednn_convolution_mds *mds,
                                       int training, int add, dnnl_engine_t engine, const_dnnl_primitive_desc_t hint) {
    dnnl_convolution_desc_t desc;
    dnnl_status_t status;
    switch (pass) {
    case ONEDNN_FORWARD:
        status = dnnl_convolution_forward_desc_init(&desc, training ? dnnl_forward_training : dnnl_forward_inference,
                                                    dnnl_convolution_direct, mds->source, mds->weights, NULL,
                                                    mds->target, mds->strides, mds->padding, mds->padding);
        break;
    case ONEDNN_BACKWARD_DATA:
        status = dnnl_convolution_backward_data_desc_init(&desc, dnnl_convolution_direct, mds->source, mds->weights,
                                                          mds->target, mds->strides, mds->padding, mds->padding);
        break;
    default:
        status =
            dnnl_convolution_backward_weights_desc_init(&desc, dnnl_convolution_direct, mds->source, mds->weights, NULL,
                                                        mds->target, mds->strides, mds->padding, mds->padding);
        break;
    }
    MOCO_TRY(moco_onednn_check(status, "a convolution"));
    dnnl_primitive_attr_t attributes = NULL;
    MOCO_TRY(create_attributes(&attributes, add));
    status = dnnl_primitive_desc_create(out, &desc, attributes, engine, hint);
    dnnl_primitive_attr_destroy(attributes);
    return moco_onednn_check(status, "a convolution's descriptor");
}

#endif
