/* Writing encoders as safetensors files: torchvision's names for the tensors, the configuration in the metadata. */
#include <string.h>

#include "checkpoint/encoder_file.h"
#include "encoder/encoder_internal.h"
#include "io/safetensors.h"

typedef struct saving {
    moco_model_tensors tensors;
    moco_safetensors_entry *entries;
    int64_t *order; /* entry i is tensor order[i] */
} saving;

static moco_status fill_tensor(int64_t index, void *values, void *user) {
    const saving *work = (const saving *) user;
    return moco_model_tensors_read(&work->tensors, work->order[index], values);
}

/* The counters come first, whose 8 bytes want to be aligned. */
static moco_status list_entries(saving *work) {
    const moco_model_tensors *tensors = &work->tensors;
    const size_t count = (size_t) tensors->count;
    work->entries = (moco_safetensors_entry *) moco_allocate_zeroed(tensors->context, count, sizeof *work->entries);
    work->order = (int64_t *) moco_allocate_zeroed(tensors->context, count, sizeof *work->order);
    if (work->entries == NULL || work->order == NULL) return MOCO_OUT_OF_MEMORY;
    int64_t counter = 0;
    int64_t parameter = tensors->counters;
    for (int64_t i = 0; i < tensors->count; ++i) {
        const moco_model_tensor *tensor = &tensors->items[i];
        const int64_t place = tensor->parameter < 0 ? counter++ : parameter++;
        moco_safetensors_entry *entry = &work->entries[place];
        work->order[place] = i;
        entry->name = tensor->name;
        entry->dtype = tensor->parameter < 0 ? MOCO_SAFETENSORS_I64 : MOCO_SAFETENSORS_F32;
        entry->rank = tensor->rank;
        memcpy(entry->dims, tensor->dims, sizeof tensor->dims);
    }
    return MOCO_OK;
}

moco_status moco_encoder_write_file(const moco_encoder *encoder, const char *path, int32_t part,
                                    const moco_metadata *metadata) {
    saving work = {.entries = NULL};
    moco_context *context = moco_encoder_context(encoder);
    MOCO_TRY(metadata->status);
    MOCO_TRY(moco_model_tensors_list(&work.tensors, encoder, part));
    moco_status status = list_entries(&work);
    if (status == MOCO_OK) {
        status = moco_safetensors_write(context, path, work.entries, work.tensors.count,
                                        (const char *const *) metadata->keys, (const char *const *) metadata->values,
                                        metadata->count, fill_tensor, &work);
    }
    moco_deallocate(context, work.entries);
    moco_deallocate(context, work.order);
    moco_model_tensors_release(&work.tensors);
    return status;
}

moco_status moco_encoder_save(const moco_encoder *encoder, const char *path, const char *const *keys,
                              const char *const *values, int64_t count) {
    MOCO_REQUIRE_POINTER(encoder);
    MOCO_REQUIRE_POINTER(path);
    MOCO_REQUIRE(count >= 0 && count <= MOCO_SAFETENSORS_MAX_HEADER, "count is %lld; it must be 0 to %d",
                 (long long) count, MOCO_SAFETENSORS_MAX_HEADER);
    MOCO_REQUIRE(count == 0 || (keys != NULL && values != NULL),
                 "keys or values is NULL but count is %lld; both must hold count strings", (long long) count);
    MOCO_TRY(moco_require_finite(encoder));
    moco_metadata metadata;
    moco_metadata_init(&metadata, moco_encoder_context(encoder));
    moco_metadata_add(&metadata, "format", "pt"); /* what PyTorch's readers look for */
    if (moco_encoder_configuration(encoder) != NULL) {
        moco_metadata_add_encoder(&metadata, moco_encoder_configuration(encoder));
    }
    moco_metadata_add_all(&metadata, keys, values, count);
    const moco_status status = moco_encoder_write_file(encoder, path, MOCO_TENSORS_ALL, &metadata);
    moco_metadata_release(&metadata);
    return status;
}
