/* The parts of colour jitter and the conversion to grey, in place on planes image[3 x n] in [0, 1], as torchvision's on
 * float images. Grey is Pillow's L = .299 R + .587 G + .114 B. */
#ifndef MOCO_COLOUR_JITTER_H
#define MOCO_COLOUR_JITTER_H

#include <stdint.h>

/* Towards black. factor >= 0; results are clamped to [0, 1], here and below. */
void moco_jitter_brightness(float *image, int64_t n, float factor);
/* Towards the mean of the grey image. */
void moco_jitter_contrast(float *image, int64_t n, float factor);
/* Towards the grey image. */
void moco_jitter_saturation(float *image, int64_t n, float factor);
/* The hue of HSV, shifted by -1/2 .. 1/2 turns. */
void moco_jitter_hue(float *image, int64_t n, float shift);
void moco_to_grey(float *image, int64_t n);
/* Values of at least `threshold` become 1 - value. */
void moco_solarize(float *image, int64_t n, float threshold);
/* `count` single values into [0, 1]. */
void moco_clamp(float *values, int64_t count);

#endif
