#include "core/digest.h"

#include <string.h>

#define PRIME_1 UINT64_C(0x9E3779B185EBCA87)
#define PRIME_2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define PRIME_3 UINT64_C(0x165667B19E3779F9)
#define PRIME_4 UINT64_C(0x85EBCA77C2B2AE63)
#define PRIME_5 UINT64_C(0x27D4EB2F165667C5)

enum { LANES = 4, LANE_BYTES = 8, STRIPE = LANES * LANE_BYTES };

static uint64_t rotated(uint64_t value, int bits) {
    return value << bits | value >> (64 - bits);
}

static uint64_t read_64(const unsigned char *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static uint32_t read_32(const unsigned char *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static uint64_t mixed(uint64_t sum, uint64_t value) {
    return rotated(sum + value * PRIME_2, 31) * PRIME_1;
}

/* Of all whole stripes; *at moves behind them. */
static uint64_t digest_stripes(const unsigned char **at, const unsigned char *end, uint64_t seed) {
    uint64_t a = seed + PRIME_1 + PRIME_2, b = seed + PRIME_2, c = seed, d = seed - PRIME_1;
    for (; end - *at >= STRIPE; *at += STRIPE) {
        a = mixed(a, read_64(*at));
        b = mixed(b, read_64(*at + LANE_BYTES));
        c = mixed(c, read_64(*at + 2 * LANE_BYTES));
        d = mixed(d, read_64(*at + 3 * LANE_BYTES));
    }
    const uint64_t lanes[LANES] = {a, b, c, d};
    uint64_t sum = rotated(a, 1) + rotated(b, 7) + rotated(c, 12) + rotated(d, 18);
    for (int i = 0; i < LANES; ++i) sum = (sum ^ mixed(0, lanes[i])) * PRIME_1 + PRIME_4;
    return sum;
}

uint64_t moco_digest(const void *data, size_t bytes, uint64_t seed) {
    const unsigned char *at = (const unsigned char *) data, *end = at + bytes;
    uint64_t sum = bytes >= STRIPE ? digest_stripes(&at, end, seed) : seed + PRIME_5;
    sum += bytes;
    for (; end - at >= LANE_BYTES; at += LANE_BYTES) {
        sum = rotated(sum ^ mixed(0, read_64(at)), 27) * PRIME_1 + PRIME_4;
    }
    if (end - at >= 4) {
        sum = rotated(sum ^ read_32(at) * PRIME_1, 23) * PRIME_2 + PRIME_3;
        at += 4;
    }
    for (; at < end; ++at) sum = rotated(sum ^ *at * PRIME_5, 11) * PRIME_1;
    sum = (sum ^ sum >> 33) * PRIME_2;
    sum = (sum ^ sum >> 29) * PRIME_3;
    return sum ^ sum >> 32;
}
