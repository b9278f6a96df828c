#include "support/evaluation_data.h"

#include "support/example_support.h"
#include "support/option_names.h"

/* What a file says of its data may be of another time, or another machine. */
static void check_data(moco_status status, data_source source, const char *option) {
    if (status == MOCO_NOT_FOUND && source.from[0] != '-') {
        stop("%s\n%s is %s; give %s if the images are elsewhere now", moco_last_error(), source.from,
             source.description, option);
    }
    check_choice(status);
}

void open_data(evaluation_data *data, moco_context *context, data_source train, data_source test, int64_t test_count) {
    data->train = NULL;
    data->test = NULL;
    name_option("description", train.from);
    check_data(moco_dataset_open(&data->train, context, train.description), train, "--data");
    if (test.description != NULL) {
        name_option("description", test.from);
        check_data(moco_dataset_open(&data->test, context, test.description), test, "--test-data");
    } else {
        name_option("count", "--test-count");
        check_choice(moco_dataset_open_test(&data->test, context, train.description, test_count));
    }
}

void close_data(evaluation_data *data) {
    moco_dataset_destroy(data->train);
    moco_dataset_destroy(data->test);
}

moco_augment *open_augment(const moco_dataset *dataset, const char *name, int64_t size) {
    moco_recipe *recipe = NULL;
    moco_augment *augment = NULL;
    check(moco_recipe_create(&recipe, NULL, "quick"));
    check_choice(moco_recipe_set(recipe, "augment", name));
    moco_recipe_augment(recipe)->height = moco_recipe_augment(recipe)->width = (int32_t) size;
    check_choice(moco_augment_create_for(&augment, dataset, recipe));
    moco_recipe_destroy(recipe);
    return augment;
}

int64_t evaluation_batch(const moco_augment *augment) {
    const int64_t pixels = (int64_t) moco_augment_height(augment) * moco_augment_width(augment);
    const int64_t images = ((int64_t) 1 << 20) / (pixels > 0 ? pixels : 1);
    return images < 32 ? 32 : images > 256 ? 256 : images;
}

int can_measure_knn(const evaluation_data *data) {
    return data->test != NULL && moco_dataset_classes(data->train) > 0 && moco_dataset_classes(data->test) > 0;
}
