#include "data/broken_images.h"

#include <stdio.h>
#include <string.h>

int32_t moco_is_broken(moco_status status) {
    return status == MOCO_FORMAT || status == MOCO_IO || status == MOCO_NOT_FOUND || status == MOCO_UNSUPPORTED;
}

/* Where `index` is, or would be. */
static int64_t find(const moco_broken_images *broken, int64_t index) {
    int64_t low = 0, high = broken->count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (broken->ids[middle] < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int32_t grow(moco_broken_images *broken, moco_context *context) {
    const int64_t capacity = broken->capacity == 0 ? 64 : 2 * broken->capacity;
    int64_t *ids = (int64_t *) moco_allocate(context, (size_t) capacity * sizeof *ids);
    if (ids == NULL) return 0;
    if (broken->count > 0) memcpy(ids, broken->ids, (size_t) broken->count * sizeof *ids);
    moco_deallocate(context, broken->ids);
    broken->ids = ids;
    broken->capacity = capacity;
    return 1;
}

static int32_t add(moco_broken_images *broken, moco_context *context, int64_t index) {
    const int64_t at = find(broken, index);
    if (at < broken->count && broken->ids[at] == index) return 0;
    if (broken->count == broken->capacity && !grow(broken, context)) return 1; /* it is logged once more, then */
    memmove(broken->ids + at + 1, broken->ids + at, (size_t) (broken->count - at) * sizeof *broken->ids);
    broken->ids[at] = index;
    broken->count++;
    return 1;
}

void moco_broken_images_note(moco_broken_images *broken, moco_context *context, int64_t index) {
    char sentence[1024]; /* before an allocation that fails puts another one in its place */
    snprintf(sentence, sizeof sentence, "%s", moco_last_error());
    pthread_mutex_lock(&broken->mutex);
    const int32_t is_new = add(broken, context, index);
    pthread_mutex_unlock(&broken->mutex);
    if (!is_new) return;
    moco_log(context, MOCO_LOG_WARNING, "image %lld is broken and left out: %s", (long long) index, sentence);
}

int64_t moco_broken_images_count(moco_broken_images *broken) {
    pthread_mutex_lock(&broken->mutex);
    const int64_t count = broken->count;
    pthread_mutex_unlock(&broken->mutex);
    return count;
}

void moco_broken_images_init(moco_broken_images *broken) {
    broken->ids = NULL;
    broken->count = broken->capacity = 0;
    pthread_mutex_init(&broken->mutex, NULL); /* with default attributes it cannot fail on Linux */
}

void moco_broken_images_release(moco_broken_images *broken, moco_context *context) {
    pthread_mutex_destroy(&broken->mutex);
    moco_deallocate(context, broken->ids);
}
