/* The key queue: a ring of the most recent `capacity` keys, the dictionary of arXiv 1911.05722 section 3.1. */
#ifndef MOCO_QUEUE_H
#define MOCO_QUEUE_H

#include <moco/context.h>

MOCO_BEGIN_DECLS

typedef struct moco_queue moco_queue;

enum {
    MOCO_QUEUE_START_RANDOM = 0, /* random unit rows, as the paper's code: all `capacity` rows are negatives at once */
    MOCO_QUEUE_START_EMPTY = 1   /* no negatives before the first enqueue; only filled rows count */
};

enum {
    MOCO_QUEUE_STORAGE_F32 = 0,
    MOCO_QUEUE_STORAGE_BF16 = 1 /* half the memory: keys are rounded to bfloat16 (8 significant bits, nearest, ties to
                                   even) as they come in, and the loss is exact for the rounded keys */
};

/* The id of a row that came without one: random starting rows, or an enqueue with ids NULL. It matches no sample. */
#define MOCO_QUEUE_NO_ID INT64_MIN

typedef struct moco_queue_config {
    uint32_t struct_size;
    int32_t start;    /* MOCO_QUEUE_START_*; default RANDOM */
    int64_t capacity; /* K, number of keys; default 65536, >= 1; need not be a multiple of the batch */
    int64_t dim;      /* embedding dim; default 128, >= 1 */
    uint64_t seed;    /* of the random starting rows; default 0 */
    int32_t storage;  /* MOCO_QUEUE_STORAGE_*; default F32 */
    int32_t reserved;
} moco_queue_config;

/* v1's and v2's. */
MOCO_API moco_status moco_queue_config_init(moco_queue_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_QUEUE_CONFIG_INITIALIZER \
    { sizeof(moco_queue_config), MOCO_QUEUE_START_RANDOM, 65536, 128, 0, MOCO_QUEUE_STORAGE_F32, 0 }

/* `config` NULL means the defaults. Memory: capacity * (dim * 4 + 8) bytes, with STORAGE_BF16
 * capacity * (dim * 2 + 8). */
MOCO_API moco_status moco_queue_create(moco_queue **out, moco_context *context, const moco_queue_config *config);
MOCO_API void moco_queue_destroy(moco_queue *queue);

/* Writes keys[n x dim] (row-major float32; every value finite, else INVALID_ARGUMENT and nothing is written) at
 * `position` and on, wrapping at the end, so that the oldest keys are overwritten first. `n` may be any number >= 0;
 * of n > capacity keys the last `capacity` stay. ids[n] may be NULL. As ptr = (ptr + n) % K in the reference. */
MOCO_API moco_status moco_queue_enqueue(moco_queue *queue, const float *keys, const int64_t *ids, int64_t n);

/* Getters; 0 for NULL. */
MOCO_API int64_t moco_queue_capacity(const moco_queue *queue);
MOCO_API int64_t moco_queue_dim(const moco_queue *queue);
/* The slot the next key goes to, 0 <= position < capacity. */
MOCO_API int64_t moco_queue_position(const moco_queue *queue);
/* How many slots hold an enqueued key, 0 <= filled <= capacity; random starting rows don't count. */
MOCO_API int64_t moco_queue_filled(const moco_queue *queue);
/* How many rows the loss uses as negatives: capacity after START_RANDOM, `filled` after START_EMPTY. */
MOCO_API int64_t moco_queue_negatives(const moco_queue *queue);

/* MOCO_QUEUE_STORAGE_* */
MOCO_API int32_t moco_queue_storage(const moco_queue *queue);

/* Copies rows [first, first + count) in slot order into keys[count x dim] and ids[count]; either may be NULL. Float32
 * whatever the storage: a key that was rounded is read rounded. */
MOCO_API moco_status moco_queue_read(const moco_queue *queue, int64_t first, int64_t count, float *keys, int64_t *ids);

/* Puts back a whole state: keys[capacity x dim], ids[capacity] (NULL: MOCO_QUEUE_NO_ID), position, filled. All finite
 * and in range (after START_EMPTY also position = filled, until it is full), else INVALID_ARGUMENT and nothing changes.
 * Continues bit for bit as the queue it was read from, in either storage;
 * STORAGE_BF16 rounds keys of a queue of the other. */
MOCO_API moco_status moco_queue_restore(moco_queue *queue, const float *keys, const int64_t *ids, int64_t position,
                                        int64_t filled);

/* As right after creation, with random rows from `seed`. */
MOCO_API moco_status moco_queue_reset(moco_queue *queue, uint64_t seed);

/* A 64-bit FNV-1a style hash of rows, ids, position and filled: equal states have equal checksums on every machine of
 * one endianness. For comparing ranks or runs. */
MOCO_API moco_status moco_queue_checksum(const moco_queue *queue, uint64_t *out);

MOCO_END_DECLS

#endif
