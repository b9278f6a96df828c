/* Which of a dataset's images were found broken: each is logged once, however many loaders and evaluations meet it. */
#ifndef MOCO_BROKEN_IMAGES_H
#define MOCO_BROKEN_IMAGES_H

#include <pthread.h>

#include "core/context_internal.h"

typedef struct moco_broken_images {
    pthread_mutex_t mutex;
    int64_t *ids; /* ascending */
    int64_t count;
    int64_t capacity;
} moco_broken_images;

/* Whether a failure is the image's own, so that another image may do. */
int32_t moco_is_broken(moco_status status);

void moco_broken_images_init(moco_broken_images *broken);
void moco_broken_images_release(moco_broken_images *broken, moco_context *context);

/* Remembers the image; where it is new, logs the thread's last error as the reason. Any thread may call it. */
void moco_broken_images_note(moco_broken_images *broken, moco_context *context, int64_t index);
int64_t moco_broken_images_count(moco_broken_images *broken);

#endif
