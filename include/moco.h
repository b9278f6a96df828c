/* libmoco: Momentum Contrast (arXiv 1911.05722, 2003.04297) for C, C++ and anything that can call C.
 *
 * This umbrella includes the whole first-tier API; each header also stands alone. The second tier, for hosts that
 * bring their own network or backend, is in <moco/sys/...> and included explicitly.
 */
#ifndef MOCO_H
#define MOCO_H

#include <moco/augment.h>
#include <moco/checkpoint.h>
#include <moco/context.h>
#include <moco/dataset.h>
#include <moco/encoder.h>
#include <moco/evaluation.h>
#include <moco/export.h>
#include <moco/export_model.h>
#include <moco/loader.h>
#include <moco/loss.h>
#include <moco/momentum_encoder.h>
#include <moco/names.h>
#include <moco/optimizer.h>
#include <moco/queue.h>
#include <moco/recipe.h>
#include <moco/schedule.h>
#include <moco/status.h>
#include <moco/trainer.h>
#include <moco/version.h>
#include <moco/weights.h>

#endif
