/* oneDNN as the rest of the cpu backend sees it. Only this folder sees dnnl.h. */
#ifndef MOCO_ONEDNN_PROVIDER_H
#define MOCO_ONEDNN_PROVIDER_H

#include <moco/status.h>

#include "backend/cpu/cpu_convolution.h"

moco_status moco_onednn_open(onednn_provider **out, moco_context *context);
void moco_onednn_close(onednn_provider *provider); /* NULL is a no-op */

extern const cpu_convolution moco_onednn_forward, moco_onednn_input_gradient, moco_onednn_weight_gradient;

#endif
