#include "loader/broken_samples.h"

#include <string.h>

int32_t moco_is_broken(moco_status status) {
    return status == MOCO_FORMAT || status == MOCO_IO || status == MOCO_NOT_FOUND || status == MOCO_UNSUPPORTED;
}

/* Where `sample` is, or would be. */
static int64_t find(const moco_broken_samples *broken, int64_t sample) {
    int64_t low = 0, high = broken->count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (broken->ids[middle] < sample) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int32_t grow(moco_broken_samples *broken, moco_context *context) {
    const int64_t capacity = broken->capacity == 0 ? 64 : 2 * broken->capacity;
    int64_t *ids = (int64_t *) moco_allocate(context, (size_t) capacity * sizeof *ids);
    if (ids == NULL) return 0;
    if (broken->count > 0) memcpy(ids, broken->ids, (size_t) broken->count * sizeof *ids);
    moco_deallocate(context, broken->ids);
    broken->ids = ids;
    broken->capacity = capacity;
    return 1;
}

int32_t moco_broken_samples_add(moco_broken_samples *broken, moco_context *context, int64_t sample) {
    const int64_t at = find(broken, sample);
    if (at < broken->count && broken->ids[at] == sample) return 0;
    if (broken->count == broken->capacity && !grow(broken, context)) return 1;
    memmove(broken->ids + at + 1, broken->ids + at, (size_t) (broken->count - at) * sizeof *broken->ids);
    broken->ids[at] = sample;
    broken->count++;
    return 1;
}

void moco_broken_samples_release(moco_broken_samples *broken, moco_context *context) {
    moco_deallocate(context, broken->ids);
    *broken = (moco_broken_samples){0};
}
