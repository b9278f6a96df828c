#include "data/image_index.h"

#include <string.h>

#include "core/checked.h"
#include "data/image_decoders.h"
#include <moco/dataset.h>

void moco_image_index_release(moco_context *context, moco_image_index *index) {
    moco_deallocate(context, index->names);
    moco_deallocate(context, index->name_at);
    moco_deallocate(context, index->labels);
    moco_deallocate(context, index->data_at);
    moco_deallocate(context, index->data_size);
    moco_deallocate(context, (void *) index->class_names);
    moco_deallocate(context, (void *) index->tars);
    *index = (moco_image_index){0};
}

void moco_index_builder_init(moco_index_builder *builder, moco_context *context) {
    *builder = (moco_index_builder){.context = context, .classes = {.context = context}};
}

void moco_index_builder_release(moco_index_builder *builder) {
    moco_deallocate(builder->context, builder->entries);
    moco_deallocate(builder->context, builder->names);
    moco_class_table_release(&builder->classes);
    moco_index_builder_init(builder, builder->context);
}

moco_status moco_index_builder_add(moco_index_builder *builder, const char *name, size_t length, int32_t label) {
    void *names = builder->names, *entries = builder->entries;
    const size_t used = (size_t) builder->count * sizeof *builder->entries;
    MOCO_TRY(moco_grow(builder->context, &names, builder->names_size, &builder->names_capacity,
                       builder->names_size + length + 1));
    builder->names = (char *) names;
    MOCO_TRY(moco_grow(builder->context, &entries, used, &builder->entries_capacity, used + sizeof *builder->entries));
    builder->entries = (moco_index_entry *) entries;
    builder->entries[builder->count++] = (moco_index_entry){.name_at = builder->names_size, .label = label};
    memcpy(builder->names + builder->names_size, name, length);
    builder->names[builder->names_size + length] = '\0';
    builder->names_size += length + 1;
    return MOCO_OK;
}

moco_status moco_index_builder_sort(moco_index_builder *builder) {
    const size_t count = (size_t) builder->count;
    moco_named *order = (moco_named *) moco_allocate(builder->context, count * sizeof *order);
    moco_index_entry *sorted = (moco_index_entry *) moco_allocate(builder->context, count * sizeof *sorted);
    moco_status status = order == NULL || sorted == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    if (status == MOCO_OK) {
        for (size_t i = 0; i < count; ++i) {
            order[i] = (moco_named){builder->names + builder->entries[i].name_at, (int64_t) i};
        }
        status = moco_sort_names(builder->context, order, builder->count);
    }
    if (status != MOCO_OK) {
        moco_deallocate(builder->context, order);
        moco_deallocate(builder->context, sorted);
        return status;
    }
    for (size_t i = 0; i < count; ++i) {
        sorted[i] = builder->entries[order[i].number];
        if (i + 1 < count && strcmp(order[i].name, order[i + 1].name) == 0) sorted[i].flags |= MOCO_INDEX_DROPPED;
    }
    moco_deallocate(builder->context, order);
    moco_deallocate(builder->context, builder->entries);
    builder->entries = sorted;
    builder->entries_capacity = count * sizeof *sorted;
    return MOCO_OK;
}

/* --- The finished index --- */

static moco_status allocate_arrays(moco_context *context, int32_t has_labels, int32_t in_container,
                                   moco_image_index *index) {
    const size_t count = (size_t) index->count;
    index->names = (char *) moco_allocate(context, (size_t) index->names_size);
    index->name_at = (uint64_t *) moco_allocate(context, count * sizeof *index->name_at);
    int32_t complete = index->names != NULL && index->name_at != NULL;
    if (has_labels) {
        index->labels = (int32_t *) moco_allocate(context, count * sizeof *index->labels);
        complete &= index->labels != NULL;
    }
    if (in_container) {
        index->data_at = (uint64_t *) moco_allocate(context, count * sizeof *index->data_at);
        index->data_size = (uint64_t *) moco_allocate(context, count * sizeof *index->data_size);
        complete &= index->data_at != NULL && index->data_size != NULL;
    }
    return complete ? MOCO_OK : MOCO_OUT_OF_MEMORY;
}

static void copy_entries(const moco_index_builder *builder, const int32_t *ranks, moco_image_index *index) {
    int64_t at = 0;
    uint64_t name_at = 0;
    for (int64_t i = 0; i < builder->count; ++i) {
        const moco_index_entry *entry = &builder->entries[i];
        if (entry->flags & MOCO_INDEX_DROPPED) continue;
        const char *name = builder->names + entry->name_at;
        const size_t bytes = strlen(name) + 1;
        memcpy(index->names + name_at, name, bytes);
        index->name_at[at] = name_at;
        name_at += bytes;
        if (index->labels != NULL) {
            index->labels[at] = entry->label >= 0 && ranks != NULL ? ranks[entry->label] : entry->label;
            if (index->labels[at] >= index->classes) index->classes = (int64_t) index->labels[at] + 1;
        }
        if (index->data_at != NULL) {
            index->data_at[at] = entry->data_at;
            index->data_size[at] = entry->data_size;
        }
        ++at;
    }
}

moco_status moco_index_builder_finish(const moco_index_builder *builder, int32_t in_container,
                                      moco_image_index *index) {
    moco_context *context = builder->context;
    moco_image_index made = {0};
    int32_t has_labels = 0;
    for (int64_t i = 0; i < builder->count; ++i) {
        const moco_index_entry *entry = &builder->entries[i];
        if (entry->flags & MOCO_INDEX_DROPPED) continue;
        made.count++;
        made.names_size += strlen(builder->names + entry->name_at) + 1;
        has_labels |= entry->label >= 0;
    }
    int32_t *ranks = NULL;
    moco_status status = MOCO_OK;
    if (has_labels && builder->classes.count > 0) {
        made.classes = builder->classes.count;
        status = moco_class_table_sort(&builder->classes, &ranks, &made.class_names);
    }
    if (status == MOCO_OK) status = allocate_arrays(context, has_labels, in_container, &made);
    if (status == MOCO_OK) {
        copy_entries(builder, ranks, &made);
        *index = made;
    } else {
        moco_image_index_release(context, &made);
    }
    moco_deallocate(context, ranks);
    return status;
}

moco_status moco_tell_empty_classes(moco_context *context, const char *shown, const moco_image_index *index) {
    if (index->class_names == NULL) return MOCO_OK;
    uint8_t *has_image = (uint8_t *) moco_allocate_zeroed(context, (size_t) index->classes, sizeof *has_image);
    if (has_image == NULL) return MOCO_OUT_OF_MEMORY;
    for (int64_t i = 0; i < index->count; ++i) {
        if (index->labels[i] >= 0) has_image[index->labels[i]] = 1;
    }
    for (int64_t class = 0; class < index->classes; ++class) {
        if (has_image[class]) continue;
        moco_log(context, MOCO_LOG_WARNING, "the class folder %s/%s holds no image", shown, index->class_names[class]);
    }
    moco_deallocate(context, has_image);
    return MOCO_OK;
}

/* --- What is an image --- */

int32_t moco_has_image_signature(const uint8_t *bytes, size_t size) {
    const int32_t format = moco_image_format_of(bytes, size);
    return format >= 0 && moco_image_has_decoder(format);
}

int32_t moco_has_image_name(const char *name, size_t length) {
    static const char *const endings[] = {".jpg",  ".jpeg", ".png", ".webp", ".bmp", ".tif",
                                          ".tiff", ".ppm",  ".pgm", ".pbm",  ".pnm"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; ++i) {
        const size_t bytes = strlen(endings[i]);
        size_t same = 0;
        if (length <= bytes) continue;
        while (same < bytes) {
            const char byte = name[length - bytes + same];
            const char lower = byte >= 'A' && byte <= 'Z' ? (char) (byte - 'A' + 'a') : byte;
            if (lower != endings[i][same]) break;
            ++same;
        }
        if (same == bytes) return 1;
    }
    return 0;
}
