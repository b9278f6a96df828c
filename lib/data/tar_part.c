#include "data/tar_part.h"

#include <string.h>

#include "data/sample_label.h"
#include <moco/dataset.h>

void moco_tar_part_init(moco_tar_part *part, moco_context *context, moco_class_table *folders) {
    *part = (moco_tar_part){.context = context, .descriptor = -1, .folders = folders};
    moco_index_builder_init(&part->images, context);
    moco_index_builder_init(&part->cls, context);
    moco_index_builder_init(&part->json, context);
}

void moco_tar_part_clear(moco_tar_part *part) {
    moco_index_builder_release(&part->images);
    moco_index_builder_release(&part->cls);
    moco_index_builder_release(&part->json);
    part->links = 0;
    part->left_out = (moco_left_out){0};
}

void moco_tar_part_release(moco_tar_part *part) {
    moco_tar_part_clear(part);
}

/* Hidden as in a folder: any part begins with a dot. */
int32_t moco_tar_part_has(const moco_tar_part *part, const char *name) {
    const size_t skipped = strlen(part->inner);
    if (strncmp(name, part->inner, skipped) != 0) return 0;
    name += skipped;
    return name[0] != '\0' && name[0] != '.' && strstr(name, "/.") == NULL;
}

static moco_status add(moco_index_builder *builder, const char *name, size_t length, int32_t label,
                       const moco_tar_data *data) {
    MOCO_TRY(moco_index_builder_add(builder, name, length, label));
    builder->entries[builder->count - 1].data_at = data->at;
    builder->entries[builder->count - 1].data_size = data->size;
    return MOCO_OK;
}

moco_status moco_tar_part_add_file(moco_tar_part *part, const char *name, const moco_tar_data *data) {
    const char *shown = name + strlen(part->inner), *slash = strchr(shown, '/');
    int32_t label = MOCO_NO_LABEL;
    if (slash != NULL) MOCO_TRY(moco_class_table_add(part->folders, shown, (size_t) (slash - shown), &label));
    const size_t length = strlen(shown);
    if ((data->is_image && moco_may_be_sniffed(shown, length)) || moco_has_readable_name(shown, length)) {
        return add(&part->images, name, strlen(name), label, data);
    }
    const int32_t kind = moco_sample_kind(name);
    if (kind == MOCO_SAMPLE_OTHER) {
        moco_left_out_note(&part->left_out, shown, length);
        return MOCO_OK;
    }
    return add(kind == MOCO_SAMPLE_CLS ? &part->cls : &part->json, name, moco_sample_key(name), MOCO_NO_LABEL, data);
}

moco_status moco_tar_part_add_folder(moco_tar_part *part, const char *name) {
    const char *shown = name + strlen(part->inner);
    int32_t label = MOCO_NO_LABEL;
    return moco_class_table_add(part->folders, shown, strcspn(shown, "/"), &label);
}
