/* Any text as the description of a recipe: what is understood says itself again, to the letter. */
#include <moco/recipe.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8192 };

/* The text of the recipe that `description` makes; NULL where it makes none. */
static const char *text_of(const char *description, char text[2 * MOST]) {
    moco_recipe *recipe = NULL;
    if (moco_recipe_create(&recipe, NULL, description) != MOCO_OK) {
        if (recipe != NULL || *moco_last_error() == '\0') abort();
        return NULL;
    }
    const moco_status status = moco_recipe_text(recipe, text, 2 * MOST);
    moco_recipe_destroy(recipe);
    if (status != MOCO_OK) abort();
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char description[MOST + 1], first[2 * MOST], second[2 * MOST];
    if (size > MOST) return 0;
    if (size > 0) memcpy(description, data, size);
    description[size] = '\0';
    if (text_of(description, first) == NULL) return 0;
    const char *again = text_of(first, second);
    if (again == NULL || strcmp(first, again) != 0) abort();
    return 0;
}
