#include "core/random.h"

#include <math.h>
#include <string.h>

/* The constants of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
#define PHILOX_MULTIPLIER_0 0xD2511F53u
#define PHILOX_MULTIPLIER_1 0xCD9E8D57u
#define PHILOX_WEYL_0       0x9E3779B9u
#define PHILOX_WEYL_1       0xBB67AE85u
#define PHILOX_ROUNDS       10

void moco_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; ++round) {
        const uint64_t product0 = (uint64_t) PHILOX_MULTIPLIER_0 * c0;
        const uint64_t product1 = (uint64_t) PHILOX_MULTIPLIER_1 * c2;
        c0 = (uint32_t) (product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t) product1;
        c2 = (uint32_t) (product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t) product0;
        k0 += PHILOX_WEYL_0;
        k1 += PHILOX_WEYL_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void moco_random_init(moco_random *random, uint64_t seed, uint32_t purpose, uint64_t epoch, uint64_t sample) {
    memset(random, 0, sizeof *random);
    random->key[0] = (uint32_t) seed;
    random->key[1] = (uint32_t) (seed >> 32);
    random->counter[0] = 0; /* the block number within the stream */
    random->counter[1] = (uint32_t) sample;
    random->counter[2] = (uint32_t) epoch;
    random->counter[3] = ((uint32_t) (sample >> 32) & 0xFFFFu) << 16 | (purpose & 0xFFFFu);
    random->used = 4;
}

uint32_t moco_random_u32(moco_random *random) {
    if (random->used == 4) {
        moco_philox(random->counter, random->key, random->block);
        random->counter[0]++;
        random->used = 0;
    }
    return random->block[random->used++];
}

float moco_random_float(moco_random *random) {
    return (float) (moco_random_u32(random) >> 8) * 0x1p-24f;
}

double moco_random_double(moco_random *random) {
    const uint64_t high = moco_random_u32(random);
    const uint64_t low = moco_random_u32(random);
    return (double) ((high << 32 | low) >> 11) * 0x1p-53;
}

double moco_random_uniform(moco_random *random, double low, double high) {
    return low + (high - low) * moco_random_double(random);
}

double moco_random_normal(moco_random *random) {
    if (random->have_normal) {
        random->have_normal = 0;
        return random->normal;
    }
    const double two_pi = 6.283185307179586476925286766559;
    const double radius = sqrt(-2.0 * log(1.0 - moco_random_double(random))); /* 1 - u is in (0, 1] */
    const double angle = two_pi * moco_random_double(random);
    random->normal = radius * sin(angle);
    random->have_normal = 1;
    return radius * cos(angle);
}

uint64_t moco_random_below(moco_random *random, uint64_t bound) {
    if (bound <= 1) return 0;
    const uint64_t rejected =
        (0 - bound) % bound; /* 2^64 mod bound: the values that would make some results likelier */
    for (;;) {
        const uint64_t high = moco_random_u32(random);
        const uint64_t value = high << 32 | moco_random_u32(random);
        if (value >= rejected) return value % bound;
    }
}

void moco_random_permutation(moco_random *random, int64_t n, int64_t *permutation) {
    for (int64_t i = 0; i < n; ++i) permutation[i] = i;
    for (int64_t i = n - 1; i > 0; --i) {
        const int64_t j = (int64_t) moco_random_below(random, (uint64_t) i + 1);
        const int64_t swapped = permutation[i];
        permutation[i] = permutation[j];
        permutation[j] = swapped;
    }
}
