/* Colours and blur of 8-bit planes, compiled once per instruction set from colour_kernel.c and blur_kernel.c; all give
 * the same bits. Each part rounds to 8 bits as its original does: Pillow's, but for the hue, which is torchvision's for
 * tensors (Pillow's goes through a hue of 8 bits).
 */
#ifndef MOCO_COLOUR_KERNEL_H
#define MOCO_COLOUR_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum {
    MOCO_COLOUR_BRIGHTNESS, /* factor */
    MOCO_COLOUR_CONTRAST,   /* factor, towards the grey value `level` */
    MOCO_COLOUR_SATURATION, /* factor */
    MOCO_COLOUR_HUE,        /* factor: the shift in turns */
    MOCO_COLOUR_GREY,
    MOCO_COLOUR_SOLARIZE /* values of at least `level` */
};

typedef struct moco_colour_step {
    int32_t kind;
    float factor;
    float level;
} moco_colour_step;

/* Where the pixels go after the steps; what is NULL is not wanted. */
typedef struct moco_colour_output {
    uint8_t *bytes; /* three planes; may be those that are read */
    float *floats;  /* three planes: value * scale + shift */
    float scale[3], shift[3];
    int64_t *grey_sum; /* of Pillow's 8-bit grey */
} moco_colour_output;

typedef struct moco_colour_kernel {
    void (*run)(const uint8_t *planes, int64_t area, const moco_colour_step *steps, int32_t count,
                const moco_colour_output *output);
} moco_colour_kernel;

typedef struct moco_blur_kernel {
    /* planes[count x h x w] in place. weights[0 .. radius] of 2^16: of the middle and of each pair around it; with the
     * pairs together 2^16 or less. scratch: (h + 1) * w + 2 * radius + 32 elements. */
    void (*blur)(uint8_t *planes, int64_t count, int64_t h, int64_t w, const uint16_t *weights, int64_t radius,
                 uint16_t *scratch);
} moco_blur_kernel;

#endif
