/* Any bytes as a tar that is opened as a dataset: links, samples' labels and splits. Every image has a name and lies in
 * the file.
 */
#define _GNU_SOURCE /* memfd_create */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/dataset_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static moco_context *open_context(void) {
    moco_context *context = NULL;
    moco_context_config config;
    if (moco_context_config_init(&config, sizeof config) != MOCO_OK) abort();
    config.backend = "reference";
    config.threads = 1;
    if (moco_context_create(&context, &config) != MOCO_OK) abort();
    return context;
}

static void look_through(const moco_dataset *dataset) {
    static char name[8300];
    moco_image_scratch scratch = {0};
    for (int64_t i = 0; i < moco_dataset_count(dataset); ++i) {
        int32_t label = -2;
        size_t bytes = 0;
        if (moco_dataset_name(dataset, i, name, sizeof name) != MOCO_OK) abort();
        if (moco_dataset_label(dataset, i, &label) != MOCO_OK || label < -1) abort();
        if (label >= moco_dataset_classes(dataset)) abort();
        const moco_status status = dataset->ops->fetch(dataset, i, &scratch, &bytes);
        if (status != MOCO_OK && status != MOCO_FORMAT) abort(); /* FORMAT: it is empty */
    }
    moco_deallocate(dataset->context, scratch.encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static moco_context *context;
    static int descriptor = -1;
    static char description[64];
    if (descriptor < 0) {
        context = open_context();
        descriptor = memfd_create("fuzz", 0);
        if (descriptor < 0) abort();
        snprintf(description, sizeof description, "tar:/proc/self/fd/%d", descriptor);
    }
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, data, size, 0) != (ssize_t) size) abort();
    moco_dataset *dataset = NULL;
    const moco_status status = moco_dataset_open(&dataset, context, description);
    if (status == MOCO_OK) {
        look_through(dataset);
    } else if ((status != MOCO_FORMAT && status != MOCO_NOT_FOUND) || moco_last_error()[0] == '\0') {
        abort();
    }
    moco_dataset_destroy(dataset);
    return 0;
}
