/* The convolutions and linear layers of a built-in network for images of one size, and what they cost. */
#ifndef MOCO_BENCH_NETWORK_LAYERS_H
#define MOCO_BENCH_NETWORK_LAYERS_H

#include <moco.h>

#define BENCH_MOST_LAYERS 512

typedef struct bench_layer_shape {
    int64_t count; /* such layers in the network */
    int64_t n, c, h, out_c;
    int32_t kernel, stride, padding, groups;
    int32_t linear; /* 1: n x c -> n x out_c */
    int32_t first;  /* 1: reads the images, whose gradient nobody asks for */
} bench_layer_shape;

/* Read off the encoder's parameter table: torchvision's names say where strides are. Layers of one shape are one entry.
 * `imagenet_stem` as the encoder was made with. The number of entries. */
int bench_network_layers(const moco_encoder *encoder, int imagenet_stem, int64_t n, int64_t size,
                         bench_layer_shape shapes[BENCH_MOST_LAYERS]);

/* Side of the output. */
int64_t bench_layer_out_h(const bench_layer_shape *shape);
/* 10^9 floating-point operations (a multiply-add is two) of one forward pass of one such layer. */
double bench_layer_gflop(const bench_layer_shape *shape);
/* Of a whole training step: both encoders forward, the query encoder backward, which is a forward's work for the
 * weights and another one for the input. */
double bench_step_gflop(const bench_layer_shape *shapes, int count);

#endif
