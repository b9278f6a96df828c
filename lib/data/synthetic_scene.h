/* The pictures of the built-in "synthetic" dataset: a pure function of (seed, split, index), at any size. */
#ifndef MOCO_SYNTHETIC_SCENE_H
#define MOCO_SYNTHETIC_SCENE_H

#include <stdint.h>

enum { MOCO_SYNTHETIC_CLASSES = 10, MOCO_SYNTHETIC_TRAIN = 0, MOCO_SYNTHETIC_TEST = 1 };

extern const char *const moco_synthetic_class_names[MOCO_SYNTHETIC_CLASSES];

/* Classes take turns, so that every prefix of the set is balanced. */
int32_t moco_synthetic_label(int64_t index);

/* pixels[3 x size x size] in [0, 1]; index < 2^40. */
void moco_synthetic_render(uint64_t seed, int32_t split, int64_t index, int64_t size, float *pixels);

#endif
