/* The named recipes, and a recipe's lifetime. */
#include "recipe/recipe_internal.h"

#include <string.h>

#include "core/text_list.h"

/* Each begins as the one before it in `base` (NULL: as the parts' defaults). As in the papers, a recipe is what it
 * changes: the reference's v2 is v1 with --mlp --moco-t 0.2 --aug-plus --cos. */
static const struct {
    const char *name;
    const char *base;
    const char *settings;
} recipes[] = {
    {"v1", NULL,
     "augment=v1,batch_size=256," /* the reference's 8 GPUs with 32 images each, */
     "bn_groups=8,"               /* among which it shuffles BatchNorm's batches */
     "arch=resnet50,stem=imagenet,head=linear,dim=128,m=0.999,queue_size=65536,temperature=0.07,"
     "lr=0.03,optimizer.momentum=0.9,weight_decay=0.0001,schedule=step,epochs=200"},
    {"v2", "v1", "head=mlp,temperature=0.2,augment=v2,schedule=cosine"},
    {"v2-800", "v2", "epochs=800"},
    {"cifar-demo", "v1",
     "augment=cifar,size=32,eval_resize=1,batch_size=512,arch=resnet18,stem=cifar,bn_layout=strided,m=0.99,"
     "queue_size=4096,temperature=0.1,lr=0.06,weight_decay=0.0005,schedule=cosine"},
    {"quick", "cifar-demo",
     "size=0,eval_resize=0,workers=1,batch_size=64,arch=cifar_resnet14,head=mlp,bn_groups=4,bn_layout=contiguous,"
     "queue_size=2048,weight_decay=0.0001,schedule.unit=per-step,epochs=20"},
};
enum { RECIPES = sizeof recipes / sizeof recipes[0] };

/* The number of the recipe called name[length], or RECIPES. */
static int32_t find_recipe(const char *name, size_t length) {
    int32_t i = 0;
    while (i < RECIPES && (strlen(recipes[i].name) != length || strncmp(recipes[i].name, name, length) != 0)) ++i;
    return i;
}

static moco_status set_defaults(moco_recipe *r) {
    MOCO_TRY(moco_loader_config_init(&r->loader, sizeof r->loader));
    MOCO_TRY(moco_augment_config_init(&r->augment, sizeof r->augment, MOCO_AUGMENT_V1));
    MOCO_TRY(moco_encoder_config_init(&r->encoder, sizeof r->encoder));
    MOCO_TRY(moco_momentum_encoder_config_init(&r->momentum_encoder, sizeof r->momentum_encoder));
    MOCO_TRY(moco_queue_config_init(&r->queue, sizeof r->queue));
    MOCO_TRY(moco_loss_config_init(&r->loss, sizeof r->loss));
    MOCO_TRY(moco_optimizer_config_init(&r->optimizer, sizeof r->optimizer));
    MOCO_TRY(moco_schedule_init(&r->schedule, sizeof r->schedule));
    MOCO_TRY(moco_trainer_config_init(&r->trainer, sizeof r->trainer));
    r->queue.dim = 0; /* the encoder's */
    return MOCO_OK;
}

static moco_status set_named(moco_recipe *recipe, int32_t number) {
    if (recipes[number].base == NULL) {
        MOCO_TRY(set_defaults(recipe));
    } else {
        MOCO_TRY(set_named(recipe, find_recipe(recipes[number].base, strlen(recipes[number].base))));
    }
    MOCO_TRY(moco_recipe_set_pairs(recipe, recipes[number].settings));
    recipe->name = recipes[number].name;
    recipe->named_learning_rate = recipe->optimizer.learning_rate;
    recipe->named_batch_size = recipe->loader.batch_size;
    return MOCO_OK;
}

moco_status moco_recipe_create(moco_recipe **out, moco_context *context, const char *description) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(description);
    const size_t length = strcspn(description, ":");
    const int32_t number = find_recipe(description, length);
    if (number == RECIPES) {
        char list[256] = "";
        for (int32_t i = 0; i < RECIPES; ++i) {
            moco_text_list_add(list, sizeof list, recipes[i].name, i == RECIPES - 1);
        }
        return moco_fail(MOCO_NOT_FOUND, "there is no recipe \"%.*s\"; it must be %s",
                         (int) (length < 64 ? length : 64), description, list);
    }
    moco_recipe *recipe = (moco_recipe *) moco_allocate_zeroed(context, 1, sizeof *recipe);
    if (recipe == NULL) return MOCO_OUT_OF_MEMORY;
    recipe->context = context;
    if (context != NULL) moco_context_retain(context);
    moco_status status = set_named(recipe, number);
    if (status == MOCO_OK && description[length] == ':') {
        status = moco_recipe_set_pairs(recipe, description + length + 1);
    }
    if (status != MOCO_OK) {
        moco_recipe_destroy(recipe);
        return status;
    }
    *out = recipe;
    return MOCO_OK;
}

void moco_recipe_destroy(moco_recipe *recipe) {
    if (recipe == NULL) return;
    moco_context *context = recipe->context;
    moco_deallocate(context, recipe->architecture);
    moco_deallocate(context, recipe);
    moco_context_destroy(context);
}

const char *moco_recipe_name(const moco_recipe *recipe) {
    return recipe == NULL ? "" : recipe->name;
}
