/* What a call of a planned layer must bring, by its kind's row. The layers above pass what they planned: a tensor that does
 * not fit is a bug in them, INTERNAL before anything is read or written.
 */
#ifndef MOCO_BACKEND_LAYER_ARGUMENTS_H
#define MOCO_BACKEND_LAYER_ARGUMENTS_H

#include "backend/planned_layer.h"

moco_status moco_layer_check_forward(const moco_planned_layer *layer, const moco_layer_args *args);
moco_status moco_layer_check_backward(const moco_planned_layer *layer, const moco_layer_args *args);

#endif
