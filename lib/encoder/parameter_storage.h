/* The parameters of a built-in network: all learnable values in one buffer, their gradients in a parallel one,
 * BatchNorm's running statistics in a third. Each parameter starts at a multiple of 64 bytes; the gaps stay zero, so
 * that momentum update and SGD are one flat run.
 */
#ifndef MOCO_ENCODER_PARAMETER_STORAGE_H
#define MOCO_ENCODER_PARAMETER_STORAGE_H

#include "encoder/encoder_internal.h"
#include "encoder/graph.h"

typedef struct moco_parameter_storage {
    moco_context *context;
    moco_parameter_table table;
    moco_parameter_run learnable;
    moco_parameter_run buffers;
    void *values; /* backend buffers */
    void *gradients;
    void *statistics;
} moco_parameter_storage;

/* Fills a zeroed `storage`; names are the graph's own strings, which must outlive it. All values, gradients and
 * statistics are zero. On failure nothing is left allocated. */
moco_status moco_parameter_storage_init(moco_parameter_storage *storage, const moco_graph *graph);
void moco_parameter_storage_release(moco_parameter_storage *storage);

/* The starting values: torchvision's initialisation from `seed` (initialisation.c). */
moco_status moco_initialise_parameters(moco_parameter_storage *storage, const moco_graph *graph, uint64_t seed);

#endif
