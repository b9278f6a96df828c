/* Who holds a trainer: the caller, and the step or run that it is in. */
#include "augment/augment_internal.h"
#include "encoder/encoder_internal.h"
#include "encoder/momentum_encoder_internal.h"
#include "keys/queue_internal.h"
#include "loader/loader_internal.h"
#include "loss/loss_internal.h"
#include "optimizer/optimizer_internal.h"
#include "trainer/trainer_internal.h"

static void dispose(moco_trainer *trainer) {
    moco_context *context = trainer->context;
    moco_grown_buffer_release(&trainer->q, context);
    moco_grown_buffer_release(&trainer->k, context);
    moco_grown_buffer_release(&trainer->d_q, context);
    moco_grown_buffer_release(&trainer->query_images, context);
    moco_grown_buffer_release(&trainer->key_images, context);
    moco_loader_release(trainer->loader);
    moco_augment_release(trainer->augment);
    moco_optimizer_release(trainer->optimizer);
    moco_loss_release(trainer->loss);
    if (trainer->queue != NULL) moco_key_source_release(moco_queue_source(trainer->queue));
    moco_momentum_encoder_release(trainer->momentum_encoder);
    moco_encoder_release(trainer->query_encoder);
    moco_deallocate(context, trainer);
    moco_context_destroy(context);
}

void moco_trainer_destroy(moco_trainer *trainer) {
    if (trainer != NULL && moco_references_destroy(&trainer->references)) dispose(trainer);
}

moco_status moco_trainer_begin_work(moco_trainer *trainer) {
    if (trainer->is_at_work) {
        return moco_fail(MOCO_INVALID_STATE, "this trainer is in a step or run, from whose callback this call comes; "
                                             "take further steps, or restore it, after that has returned");
    }
    trainer->is_at_work = 1;
    moco_references_retain(&trainer->references);
    return MOCO_OK;
}

void moco_trainer_end_work(moco_trainer *trainer) {
    trainer->is_at_work = 0;
    if (moco_references_release(&trainer->references)) dispose(trainer);
}
