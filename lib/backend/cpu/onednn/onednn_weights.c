#include "backend/cpu/onednn/onednn_weights.h"

#include "core/checked.h"

/* --- Planning --- */

static moco_status has_tag(onednn_const_md md, const dnnl_dims_t dims, int32_t dtype, dnnl_format_tag_t tag,
                           int32_t *result) {
    onednn_md other = NULL;
    MOCO_TRY(moco_onednn_md_create(&other, 4, dims, dtype == MOCO_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32, tag));
    *result = moco_onednn_md_equal(md, other);
    moco_onednn_md_destroy(other);
    return MOCO_OK;
}

/* oneDNN's own reorders of 1 x 1 weights take several times what going through memory does. */
static moco_status find_kernels(onednn_weights *weights, cpu_backend *backend, const image_layer *desc,
                                const onednn_weights_kind *kind) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    const weight_kernels *kernels = kind->gradient ? backend->f32.weights : format->weights;
    const int32_t dtype = kind->gradient ? MOCO_DTYPE_F32 : format->dtype;
    if (kernels == NULL || desc->kernel != 1 || desc->groups != 1 || desc->c % WEIGHT_TILE != 0 ||
        desc->out_c % WEIGHT_TILE != 0) {
        return MOCO_OK;
    }
    const dnnl_dims_t plain = {desc->out_c, desc->c, 1, 1}, swapped = {desc->c, desc->out_c, 1, 1};
    const int32_t pairs = dtype == MOCO_DTYPE_BF16;
    const dnnl_format_tag_t by_input = pairs ? dnnl_ABcd8b16a2b : dnnl_ABcd16b16a;
    const dnnl_format_tag_t by_output = pairs ? dnnl_BAcd8a16b2a : dnnl_BAcd16a16b;
    int32_t transposed = 0, straight = 0;
    if (kind->transposed) {
        MOCO_TRY(has_tag(kind->own, swapped, dtype, by_input, &straight));
    } else {
        MOCO_TRY(has_tag(kind->own, plain, dtype, by_input, &transposed));
        if (!kind->gradient) MOCO_TRY(has_tag(kind->own, plain, dtype, by_output, &straight));
    }
    if (!transposed && !straight) return MOCO_OK;
    weights->path = ONEDNN_TILED_BY_US;
    weights->kernels = kernels;
    weights->transposed = transposed;
    weights->rows = desc->out_c;
    weights->columns = desc->c;
    return MOCO_OK;
}

moco_status moco_onednn_weights_plan(onednn_weights *weights, cpu_backend *backend, const image_layer *desc,
                                     const onednn_weights_kind *kind, uint64_t *scratch) {
    const uint64_t bytes = moco_onednn_md_size(kind->own);
    MOCO_TRY(moco_onednn_memory_create(&weights->own, kind->own, backend->onednn->engine));
    MOCO_TRY(moco_onednn_memory_create(&weights->plain, kind->plain, backend->onednn->engine));
    weights->path = ONEDNN_PLAIN_AS_IS;
    if (!kind->gradient && moco_onednn_md_equal(kind->own, kind->plain)) return MOCO_OK;
    weights->path = ONEDNN_REORDERED; /* unless we find kernels for it */
    if (!kind->gradient && desc->constant_weights) {
        weights->home = ONEDNN_KEPT;
        weights->kept = moco_allocate_lasting(backend->host.context, bytes);
        if (weights->kept == NULL) return MOCO_OUT_OF_MEMORY;
        weights->kept_bytes = bytes;
    } else {
        weights->offset = *scratch;
        *scratch += cpu_aligned(bytes);
    }
    MOCO_TRY(find_kernels(weights, backend, desc, kind));
    if (weights->path == ONEDNN_TILED_BY_US) return MOCO_OK;
    if (!kind->gradient) {
        return moco_onednn_reorder_create(&weights->reorder, kind->plain, kind->own, 0, backend->onednn->engine);
    }
    MOCO_TRY(moco_onednn_reorder_create(&weights->reorder, kind->own, kind->plain, 0, backend->onednn->engine));
    return moco_onednn_reorder_create(&weights->reorder_add, kind->own, kind->plain, 1, backend->onednn->engine);
}

void moco_onednn_weights_release(onednn_weights *weights, cpu_backend *backend) {
    if (weights->own != NULL) dnnl_memory_destroy(weights->own);
    if (weights->plain != NULL) dnnl_memory_destroy(weights->plain);
    if (weights->reorder != NULL) dnnl_primitive_destroy(weights->reorder);
    if (weights->reorder_add != NULL) dnnl_primitive_destroy(weights->reorder_add);
    moco_deallocate(backend->host.context, weights->kept);
}

/* --- Execution --- */

static moco_status run_reorder(cpu_backend *backend, dnnl_primitive_t reorder, dnnl_memory_t from, dnnl_memory_t to) {
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    return moco_onednn_execute(backend->onednn, reorder, 2, arguments);
}

typedef struct tile_work {
    const onednn_weights *weights;
    float *plain;
    char *own;
    int32_t gradient;
    int32_t accumulate;
} tile_work;

/* Sixteen rows at a time. */
static void run_rows(void *argument, int64_t begin, int64_t end) {
    const tile_work *work = (const tile_work *) argument;
    const onednn_weights *weights = work->weights;
    const int64_t size = weights->kernels->tile_bytes, columns = weights->columns;
    const int64_t down = weights->rows / WEIGHT_TILE, across = columns / WEIGHT_TILE;
    const int64_t next_tile = weights->transposed ? size : down * size;
    for (int64_t i = begin; i < end; ++i) {
        float *plain = work->plain + i * WEIGHT_TILE * columns;
        char *own = work->own + (weights->transposed ? i * across : i) * size;
        if (work->gradient) {
            weights->kernels->from_tiles((const float *) (void *) own, next_tile, across, work->accumulate, plain,
                                         columns);
        } else {
            weights->kernels->to_tiles(plain, columns, across, weights->transposed, own, next_tile);
        }
    }
}

static void run_tiles(const cpu_backend *backend, tile_work *work) {
    const int64_t columns = work->weights->columns;
    moco_parallel_range(backend->host.context, work->weights->rows / WEIGHT_TILE, moco_cpu_grain(WEIGHT_TILE * columns),
                        run_rows, work);
}

static void *own_address(const onednn_weights *weights, const moco_layer_args *args) {
    return weights->home == ONEDNN_KEPT ? weights->kept : (char *) moco_host_address(&args->scratch) + weights->offset;
}

moco_status moco_onednn_weights_prepare(onednn_weights *weights, cpu_backend *backend, const moco_layer_args *args) {
    void *plain = moco_host_address(&args->parameters[MOCO_WEIGHT]);
    if (weights->path == ONEDNN_PLAIN_AS_IS) {
        ONEDNN_TRY(dnnl_memory_set_data_handle(weights->own, plain));
        return MOCO_OK;
    }
    void *own = own_address(weights, args);
    ONEDNN_TRY(dnnl_memory_set_data_handle(weights->own, own));
    if (weights->kept_is_current && weights->version == args->weight_version) return MOCO_OK;
    if (weights->path == ONEDNN_TILED_BY_US) {
        tile_work work = {weights, (float *) plain, (char *) own, 0, 0};
        run_tiles(backend, &work);
    } else {
        ONEDNN_TRY(dnnl_memory_set_data_handle(weights->plain, plain));
        MOCO_TRY(run_reorder(backend, weights->reorder, weights->plain, weights->own));
    }
    weights->version = args->weight_version;
    weights->kept_is_current = weights->home == ONEDNN_KEPT;
    return MOCO_OK;
}

moco_status moco_onednn_weights_plan_gradient(onednn_weights *weights, const moco_layer_args *args) {
    ONEDNN_TRY(dnnl_memory_set_data_handle(weights->own, own_address(weights, args)));
    return MOCO_OK;
}

moco_status moco_onednn_weights_export_gradient(onednn_weights *weights, cpu_backend *backend,
                                                const moco_layer_args *args) {
    if (weights->path == ONEDNN_TILED_BY_US) {
        tile_work work = {weights, (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
                          (char *) own_address(weights, args), 1, args->accumulate};
        run_tiles(backend, &work);
        return MOCO_OK;
    }
    ONEDNN_TRY(dnnl_memory_set_data_handle(weights->plain, moco_host_address(&args->d_parameters[MOCO_WEIGHT])));
    return run_reorder(backend, args->accumulate ? weights->reorder_add : weights->reorder, weights->own,
                       weights->plain);
}
