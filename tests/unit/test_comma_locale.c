/* A host whose locale has a decimal comma: what libmoco reads and writes has points all the same. The locale is made here by
 * localedef; without it, or its description of de_DE, the test is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moco.h>

#include "support/temporary_folder.h"

enum { TEXT = 8192 };
static temporary_folder folder;

static int setup(void **state) {
    (void) state;
    char command[TEST_PATH_SIZE + 64], path[TEST_PATH_SIZE];
    make_temporary_folder(&folder);
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 '%s' 2>&1 >/dev/null",
             path_in(&folder, "de_DE.UTF-8", path));
    if (system(command) != 0) return 0;
    return setenv("LOCPATH", folder.path, 1);
}

static int teardown(void **state) {
    (void) state;
    char command[TEST_PATH_SIZE + 64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder.path); /* with the locale's folders */
    return system(command);
}

/* 1 where printf has commas from here on. */
static int32_t enter_commas(void) {
    char text[8];
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL) return 0;
    snprintf(text, sizeof text, "%.1f", 0.5);
    return strcmp(text, "0,5") == 0;
}

/* Settings by text, and all of them as text. */
static void describe(char text[TEXT]) {
    moco_context *context = NULL;
    moco_recipe *recipe = NULL;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    assert_int_equal(moco_recipe_create(&recipe, context, "v2:learning_rate=0.015,temperature=0.3"), MOCO_OK);
    assert_int_equal(moco_recipe_set(recipe, "augment.crop_min", "0.125"), MOCO_OK);
    assert_true(moco_recipe_loss(recipe)->temperature == 0.3);
    assert_true(moco_recipe_augment(recipe)->crop_min == 0.125);
    assert_int_equal(moco_recipe_set(recipe, "augment.crop_min", "0,25"), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_text(recipe, text, TEXT), MOCO_OK);
    moco_recipe_destroy(recipe);
    moco_context_destroy(context);
}

static void recipes_have_points(void **state) {
    (void) state;
    static char plain[TEXT], with_commas[TEXT];
    describe(plain);
    if (!enter_commas()) skip();
    describe(with_commas);
    setlocale(LC_ALL, "C");
    assert_string_equal(with_commas, plain);
}

/* An encoder's file is read under the one locale as it was written under the other, bit for bit. */
static void files_have_points(void **state) {
    (void) state;
    char path[2][TEST_PATH_SIZE];
    moco_context *context = NULL;
    moco_encoder *encoder = NULL, *opened = NULL;
    moco_encoder_config config;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    assert_int_equal(moco_encoder_config_init(&config, sizeof config), MOCO_OK);
    config.architecture = "cifar_resnet8";
    config.bn_momentum = 0.15;
    config.bn_eps = 1.5e-5;
    assert_int_equal(moco_encoder_create(&encoder, context, &config), MOCO_OK);
    path_in(&folder, "points", path[0]);
    path_in(&folder, "commas", path[1]);
    assert_int_equal(moco_encoder_save(encoder, path[0], NULL, NULL, 0), MOCO_OK);
    moco_encoder_destroy(encoder);
    if (!enter_commas()) {
        moco_context_destroy(context);
        skip();
    }
    const moco_status status = moco_encoder_open(&opened, context, path[0]);
    if (status == MOCO_OK) assert_int_equal(moco_encoder_save(opened, path[1], NULL, NULL, 0), MOCO_OK);
    setlocale(LC_ALL, "C");
    if (status == MOCO_UNSUPPORTED) { /* a build without Jansson */
        moco_context_destroy(context);
        skip();
    }
    assert_int_equal(status, MOCO_OK);
    size_t sizes[2];
    unsigned char *bytes[2] = {read_whole_file(path[0], &sizes[0]), read_whole_file(path[1], &sizes[1])};
    assert_true(bytes[0] != NULL && bytes[1] != NULL && sizes[0] == sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    free(bytes[0]);
    free(bytes[1]);
    moco_encoder_destroy(opened);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(recipes_have_points), cmocka_unit_test(files_have_points)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
