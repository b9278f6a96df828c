/* What a training run is made of: data, and a trainer by the options' recipe. */
#ifndef MOCO_EXAMPLE_PRETRAIN_PARTS_H
#define MOCO_EXAMPLE_PRETRAIN_PARTS_H

#include <moco.h>

#include "pretrain/pretrain_options.h"
#include "support/evaluation_data.h"

typedef struct pretrain_parts {
    moco_context *context;
    evaluation_data data;
    moco_trainer *trainer;
    /* The trainer's: */
    moco_augment *augment;
    moco_loader *loader;
    moco_encoder *encoder; /* the query encoder */
} pretrain_parts;

/* Stops with a sentence where something does not fit. */
void make_parts(pretrain_parts *parts, const pretrain_options *options);
/* Both encoders get the weights of --init, and a line says how much of them. Stops where they don't fit. */
void init_parts(pretrain_parts *parts, const pretrain_options *options);
void destroy_parts(pretrain_parts *parts);

/* Writes OUT/encoder.safetensors with the recipe in its metadata. knn_top1 below 0: not measured. */
moco_status save_encoder(const pretrain_parts *parts, const pretrain_options *options, double knn_top1);

/* Writes OUT/encoder, the folder that timm and transformers open. */
moco_status export_encoder(const pretrain_parts *parts, const pretrain_options *options);

#endif
