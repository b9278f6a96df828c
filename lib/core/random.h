/* One counter-based generator for everything random: Philox4x32-10 (Salmon et al., SC 2011). A stream is named by
 * (seed, purpose, epoch, sample); its numbers are a pure function of that name, so nothing depends on threads or call
 * order.
 */
#ifndef MOCO_CORE_RANDOM_H
#define MOCO_CORE_RANDOM_H

#include <stdint.h>

/* One number each, never reused: streams of different purposes are independent under one seed. */
enum {
    MOCO_RANDOM_INITIALISATION = 1, /* sample: parameter index */
    MOCO_RANDOM_QUEUE = 2,          /* sample: row */
    MOCO_RANDOM_SHUFFLE_BN = 3,     /* sample: encode count */
    MOCO_RANDOM_LOADER = 4,         /* epoch: epoch */
    MOCO_RANDOM_AUGMENT = 5,        /* epoch, sample; views by view * 2^40 + sample */
    MOCO_RANDOM_SYNTHETIC = 6,      /* sample: image index */
    MOCO_RANDOM_REPLACEMENT = 7,    /* epoch; sample: the broken one; one number per attempt */
    MOCO_RANDOM_CHOICE = 8,         /* sample: image index */
    MOCO_RANDOM_TEST = 100
};

typedef struct moco_random {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4];
    int32_t used;        /* numbers of `block` already given */
    int32_t have_normal; /* a second Box-Muller value is waiting */
    double normal;
} moco_random;

/* The bare block function: out[4] = philox4x32-10(counter[4], key[2]). */
void moco_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* epoch < 2^32, sample < 2^48, purpose < 2^16; higher bits are ignored. */
void moco_random_init(moco_random *random, uint64_t seed, uint32_t purpose, uint64_t epoch, uint64_t sample);
uint32_t moco_random_u32(moco_random *random);
/* In [0, 1), 24 bits / 53 bits. */
float moco_random_float(moco_random *random);
double moco_random_double(moco_random *random);
/* In [low, high). */
double moco_random_uniform(moco_random *random, double low, double high);
/* Standard normal (Box-Muller). */
double moco_random_normal(moco_random *random);
/* Unbiased in [0, bound), bound >= 1. */
uint64_t moco_random_below(moco_random *random, uint64_t bound);
/* A uniform permutation of 0 .. n - 1 (Fisher-Yates). */
void moco_random_permutation(moco_random *random, int64_t n, int64_t *permutation);

#endif
