/* Recipes: all settings of a training run under one name, to change as you like, and a whole trainer from them in one
 * call. The parts stay what they are; a recipe only fills their configurations.
 *
 *   moco_recipe_create(&recipe, context, "v2:arch=resnet18,batch_size=128");
 *   moco_recipe_encoder(recipe)->bn_groups = 4;          or moco_recipe_set(recipe, "encoder.bn_groups", "4");
 *   moco_trainer_create_for(&trainer, dataset, recipe);
 *   moco_trainer_run(trainer, NULL, 0, 0, NULL, NULL);
 *
 * "v1"          arXiv 1911.05722 as the reference trains it on ImageNet: ResNet-50, linear head, BatchNorm in 8 groups
 *               (its 8 GPUs), batch 256, K 65536, m 0.999, T 0.07, SGD 0.03 / 0.9 / 1e-4, 200 epochs, a tenth of the
 *               learning rate after 120 and 160; views of 224 x 224
 * "v2"          arXiv 2003.04297: v1 with an MLP head, T 0.2, the stronger views and a cosine
 * "v2-800"      v2 for 800 epochs
 * "cifar-demo"  the reference's CIFAR-10 demo: ResNet-18 with the CIFAR stem, 8 strided groups, batch 512, K 4096, m 0.99,
 *               T 0.1, SGD 0.06 / 0.9 / 5e-4, cosine of 200 epochs; views of 32 x 32. (The demo counts its epochs from 1
 *               in the cosine, so that its learning rates are those of one epoch later.)
 * "quick"       minutes on two cores: a small CIFAR ResNet with an MLP head, 4 groups, batch 64, K 2048, m 0.99, T 0.1, a
 *               cosine of 20 epochs step by step; views as large as the images, where those are all alike
 *
 * Keys are SECTION.FIELD with the sections loader, augment, encoder, momentum_encoder, queue, loss, optimizer, schedule
 * and trainer, and the fields of moco_loader_config and so on (moco_recipe_key lists them all). A field that only one
 * section has may go without it, such as batch_size. Beside them there are
 *   arch      encoder.architecture                       lr        optimizer.learning_rate and schedule.base
 *   dim       encoder.embedding_dim                      schedule  schedule.kind
 *   m         momentum_encoder.momentum                  seed      of all parts that have one
 *   size      augment.height and augment.width           augment   augment.recipe
 *   queue_size  queue.capacity
 *   epochs    schedule.epochs, and milestones after 60 % and 80 % of them, as v1's 120 and 160 of 200
 *   scale_lr  1: lr becomes the named recipe's x batch_size x loader.world_size / the named recipe's batch size, the
 *             linear rule of the reference; 0: nothing. In a description it comes last, wherever it stands. Nothing else
 *             changes the learning rate: another batch_size alone does not.
 * Values are as in C, enums by the names of moco/names.h, lists with / between their entries: milestone_epochs=120/160.
 * augment.recipe sets all of augment but the size and evaluation of views, seed and reduced_decoding.
 *
 * In a recipe, 0 stands for what the data or the encoder say in four fields: augment.height and width (the images' own
 * where all are alike, else the augment recipe's), augment.eval_resize (1 where the images have the views' size, else the
 * augment recipe's), encoder.mlp_input_dim (channels x height x width of a view), queue.dim (the embedding dim).
 */
#ifndef MOCO_RECIPE_H
#define MOCO_RECIPE_H

#include <moco/augment.h>
#include <moco/dataset.h>
#include <moco/encoder.h>
#include <moco/loader.h>
#include <moco/loss.h>
#include <moco/momentum_encoder.h>
#include <moco/optimizer.h>
#include <moco/queue.h>
#include <moco/schedule.h>
#include <moco/trainer.h>

MOCO_BEGIN_DECLS

typedef struct moco_recipe moco_recipe;

/* The recipe of `description`: NAME or NAME:KEY=VALUE,KEY=VALUE..., which are set from left to right. `context` lends its
 * allocator; NULL: the C library's. NOT_FOUND: no recipe has this name; INVALID_ARGUMENT: a key or value that is none,
 * named beside what would be right. */
MOCO_API moco_status moco_recipe_create(moco_recipe **out, moco_context *context, const char *description);
MOCO_API void moco_recipe_destroy(moco_recipe *recipe);

/* The name that the description began with; "" for NULL. */
MOCO_API const char *moco_recipe_name(const moco_recipe *recipe);

/* One setting from text and as text, with its NUL, into text[capacity] (256 bytes are enough for all but a long
 * architecture). On failure nothing has changed. */
MOCO_API moco_status moco_recipe_set(moco_recipe *recipe, const char *key, const char *value);
MOCO_API moco_status moco_recipe_get(const moco_recipe *recipe, const char *key, char *text, uint64_t capacity);

/* The key SECTION.FIELD number `index`, from 0; NULL after the last one. */
MOCO_API const char *moco_recipe_key(int32_t index);

/* A description with every key, from which moco_recipe_create makes the same recipe again, into text[capacity]; 8192 bytes
 * are enough for all but a long architecture. INVALID_ARGUMENT if it is longer, or a field holds what no description can
 * say, such as a batch_size of -1 that was put there by moco_recipe_loader. */
MOCO_API moco_status moco_recipe_text(const moco_recipe *recipe, char *text, uint64_t capacity);

/* The parts' configurations, to read and to change; they live as long as the recipe. struct_size says how much of the
 * struct this library knows. A string that is put there must live as long. NULL for NULL. */
MOCO_API moco_loader_config *moco_recipe_loader(moco_recipe *recipe);
MOCO_API moco_augment_config *moco_recipe_augment(moco_recipe *recipe);
MOCO_API moco_encoder_config *moco_recipe_encoder(moco_recipe *recipe);
MOCO_API moco_momentum_encoder_config *moco_recipe_momentum_encoder(moco_recipe *recipe);
MOCO_API moco_queue_config *moco_recipe_queue(moco_recipe *recipe);
MOCO_API moco_loss_config *moco_recipe_loss(moco_recipe *recipe);
MOCO_API moco_optimizer_config *moco_recipe_optimizer(moco_recipe *recipe);
MOCO_API moco_schedule *moco_recipe_schedule(moco_recipe *recipe);
/* moco_trainer_create_for sets its learning_rate, to the recipe's schedule; and with a dataset its steps_per_epoch, to the
 * loader's. */
MOCO_API moco_trainer_config *moco_recipe_trainer(moco_recipe *recipe);

/* The recipe's views of a dataset's images. */
MOCO_API moco_status moco_augment_create_for(moco_augment **out, const moco_dataset *dataset,
                                             const moco_recipe *recipe);

/* Makes views, loader, both encoders, queue, loss and optimizer on the dataset's context, and a trainer that keeps them:
 * moco_trainer_run takes its own loader where it is given none, and moco_trainer_encoder and its like lend the parts.
 * `dataset` NULL: without views and loader, on the recipe's context, for a program that calls moco_trainer_step with
 * images of its own. The recipe is read and may be destroyed. Errors are those of the parts. */
MOCO_API moco_status moco_trainer_create_for(moco_trainer **out, moco_dataset *dataset, const moco_recipe *recipe);

MOCO_END_DECLS

#endif
