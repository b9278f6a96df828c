/* A layer on images or vectors, seen flat: what the kinds of convolutional networks have in common, under one name for
 * each thing. Backends that do these kinds plan and run from it. Vectors have h = w = 1; n counts all rows there are.
 */
#ifndef MOCO_IMAGE_LAYER_H
#define MOCO_IMAGE_LAYER_H

#include <moco/sys/backend.h>

typedef struct image_layer {
    int32_t kind; /* MOCO_LAYER_* */
    int32_t dtype;
    int32_t training;
    int64_t n; /* input n x c x h x w */
    int64_t c;
    int64_t h;
    int64_t w;
    int64_t out_c; /* output n x out_c x out_h x out_w */
    int64_t out_h;
    int64_t out_w;
    int32_t kernel;
    int32_t stride;
    int32_t padding;
    int32_t groups;
    int32_t relu;     /* 1: MOCO_EPILOGUE_RELU */
    int32_t residual; /* 1: there is a MOCO_RESIDUAL */
    int32_t bn_groups;
    int32_t bn_strided;
    double bn_eps;
    double bn_momentum;
    uint64_t input_layout;
    uint64_t residual_layout;
    int32_t skip_input_gradient;
    int32_t compute_dtype;
    int32_t constant_weights;
    int32_t direct_convolution;
} image_layer;

/* The flat view of a description whose output is filled in. What only one kind has is there for those before REORDER. */
void moco_image_layer_of(image_layer *image, const moco_layer_desc *desc);

#endif
