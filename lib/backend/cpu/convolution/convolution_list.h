/* How the passes of a convolution are computed. Each pass has a list of ways, best first (convolution_list.c). A layer
 * takes for each pass the first way that supports it, all of them on the same layout: blocked if there is a way for
 * each, else PLAIN.
 */
#ifndef MOCO_CONVOLUTION_LIST_H
#define MOCO_CONVOLUTION_LIST_H

#include "backend/cpu/cpu_convolution.h"

extern const cpu_convolution moco_winograd_weights_outer_forward, moco_winograd_weights_outer_input_gradient,
    moco_winograd_weights_outer_weight_gradient;
extern const cpu_convolution moco_winograd_tiles_outer_forward, moco_winograd_tiles_outer_input_gradient,
    moco_winograd_tiles_outer_weight_gradient;
extern const cpu_convolution moco_pointwise_weight_gradient;
extern const cpu_convolution moco_tiles_forward, moco_tiles_input_gradient, moco_tiles_weight_gradient;
/* Plain sums of products on the blocked layouts, for any window, stride, padding and whole blocks of channels in a
 * group; forward and the weight gradient also from a PLAIN image. */
extern const cpu_convolution moco_direct_forward, moco_direct_input_gradient, moco_direct_weight_gradient;

#endif
