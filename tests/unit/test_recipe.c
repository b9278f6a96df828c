/* Recipes: the papers' values, text both ways over every key, mistakes that are told, and whole trainers with the bits of
 * parts made by hand.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/config_fields.h"
#include "support/training_parts.h"

enum { TEXT = 8192, IMAGES = 24, SIDE = 8 };

static moco_recipe *make_recipe(const char *description) {
    moco_recipe *recipe = NULL;
    if (moco_recipe_create(&recipe, NULL, description) != MOCO_OK) fail_msg("%s: %s", description, moco_last_error());
    return recipe;
}

static void set(moco_recipe *recipe, const char *key, const char *value) {
    if (moco_recipe_set(recipe, key, value) != MOCO_OK) fail_msg("%s", moco_last_error());
}

static void assert_setting(const moco_recipe *recipe, const char *key, const char *value) {
    char text[256];
    if (moco_recipe_get(recipe, key, text, sizeof text) != MOCO_OK) fail_msg("%s", moco_last_error());
    if (strcmp(text, value) != 0) fail_msg("%s of %s is %s, not %s", key, moco_recipe_name(recipe), text, value);
}

static const char *const names[] = {"v1", "v2", "v2-800", "cifar-demo", "quick"};
enum { NAMES = sizeof names / sizeof names[0] };

/* --- What the papers and the reference say --- */

static void named_recipes_are_the_papers(void **state) {
    (void) state;
    static const struct {
        const char *key;
        const char *values[NAMES]; /* of v1, v2, v2-800, cifar-demo, quick */
    } rows[] = {
        {"encoder.architecture", {"resnet50", "resnet50", "resnet50", "resnet18", "cifar_resnet14"}},
        {"encoder.stem", {"imagenet", "imagenet", "imagenet", "cifar", "cifar"}},
        {"encoder.head", {"linear", "mlp", "mlp", "linear", "mlp"}},
        {"encoder.embedding_dim", {"128", "128", "128", "128", "128"}},
        {"encoder.head_hidden_dim", {"0", "0", "0", "0", "0"}},
        {"encoder.bn_groups", {"8", "8", "8", "8", "4"}},
        {"encoder.bn_layout", {"contiguous", "contiguous", "contiguous", "strided", "contiguous"}},
        {"momentum_encoder.momentum", {"0.999", "0.999", "0.999", "0.99", "0.99"}},
        {"momentum_encoder.shuffle", {"-1", "-1", "-1", "-1", "-1"}},
        {"momentum_encoder.bn_buffers", {"own", "own", "own", "own", "own"}},
        {"queue.capacity", {"65536", "65536", "65536", "4096", "2048"}},
        {"loss.temperature", {"0.07", "0.2", "0.2", "0.1", "0.1"}},
        {"loader.batch_size", {"256", "256", "256", "512", "64"}},
        {"loader.drop_last", {"1", "1", "1", "1", "1"}},
        {"augment.recipe", {"v1", "v2", "v2", "cifar", "cifar"}},
        {"augment.height", {"224", "224", "224", "32", "0"}},
        {"augment.crop_min", {"0.2", "0.2", "0.2", "0.08", "0.08"}},
        {"augment.blur_p", {"0", "0.5", "0.5", "0", "0"}},
        {"augment.jitter_p", {"1", "0.8", "0.8", "0.8", "0.8"}},
        {"augment.order",
         {"grey/jitter/blur/solarize/flip", "jitter/grey/blur/solarize/flip", "jitter/grey/blur/solarize/flip",
          "flip/jitter/grey/blur/solarize", "flip/jitter/grey/blur/solarize"}},
        {"optimizer.momentum", {"0.9", "0.9", "0.9", "0.9", "0.9"}},
        {"optimizer.weight_decay", {"0.0001", "0.0001", "0.0001", "0.0005", "0.0001"}},
        {"optimizer.learning_rate", {"0.03", "0.03", "0.03", "0.06", "0.06"}},
        {"schedule.base", {"0.03", "0.03", "0.03", "0.06", "0.06"}},
        {"schedule.kind", {"step", "cosine", "cosine", "cosine", "cosine"}},
        {"schedule.unit", {"per-epoch", "per-epoch", "per-epoch", "per-epoch", "per-step"}},
        {"schedule.epochs", {"200", "200", "800", "200", "20"}},
        {"schedule.milestone_epochs", {"120/160", "120/160", "480/640", "120/160", "12/16"}},
        {"schedule.gamma", {"0.1", "0.1", "0.1", "0.1", "0.1"}},
    };
    for (int i = 0; i < NAMES; ++i) {
        moco_recipe *recipe = make_recipe(names[i]);
        assert_string_equal(moco_recipe_name(recipe), names[i]);
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; ++r) {
            assert_setting(recipe, rows[r].key, rows[r].values[i]);
        }
        moco_recipe_destroy(recipe);
    }
}

/* --- Keys --- */

static void short_names_set_their_fields(void **state) {
    (void) state;
    moco_recipe *r = make_recipe(
        "v1:arch=mlp,dim=32,m=0.5,size=48,augment=v3,queue_size=77,lr=0.25,schedule=cosine,epochs=50,seed=9,"
        "batch_size=16,temperature=0.3,milestone_epochs=1/2/3");
    assert_string_equal(moco_recipe_encoder(r)->architecture, "mlp");
    assert_int_equal(moco_recipe_encoder(r)->embedding_dim, 32);
    assert_true(moco_recipe_momentum_encoder(r)->momentum == 0.5 && moco_recipe_optimizer(r)->momentum == 0.9);
    assert_int_equal(moco_recipe_augment(r)->height, 48);
    assert_int_equal(moco_recipe_augment(r)->width, 48);
    assert_int_equal(moco_recipe_augment(r)->recipe, MOCO_AUGMENT_V3);
    assert_true(moco_recipe_augment(r)->key_solarize_p == 0.2);
    assert_int_equal(moco_recipe_queue(r)->capacity, 77);
    assert_true(moco_recipe_optimizer(r)->learning_rate == 0.25 && moco_recipe_schedule(r)->base == 0.25);
    assert_int_equal(moco_recipe_schedule(r)->kind, MOCO_SCHEDULE_COSINE);
    assert_true(moco_recipe_schedule(r)->epochs == 50.0);
    assert_int_equal(moco_recipe_schedule(r)->milestones, 3);
    assert_true(moco_recipe_schedule(r)->milestone_epochs[2] == 3.0);
    assert_true(moco_recipe_encoder(r)->seed == 9 && moco_recipe_momentum_encoder(r)->seed == 9 &&
                moco_recipe_queue(r)->seed == 9 && moco_recipe_loader(r)->seed == 9 &&
                moco_recipe_augment(r)->seed == 9);
    assert_int_equal(moco_recipe_loader(r)->batch_size, 16);
    assert_true(moco_recipe_loss(r)->temperature == 0.3);
    set(r, "epochs", "100");
    assert_setting(r, "milestone_epochs", "60/80");
    set(r, "schedule.epochs", "10"); /* the field alone */
    assert_setting(r, "milestone_epochs", "60/80");
    moco_recipe_destroy(r);
}

/* The linear rule is asked for, or the learning rate stays. */
static void learning_rate_scales_when_asked(void **state) {
    (void) state;
    static const struct {
        const char *description;
        double learning_rate;
    } rows[] = {
        {"v1:batch_size=128", 0.03},
        {"v1:batch_size=128,scale_lr=0", 0.03},
        {"v1:batch_size=128,scale_lr=1", 0.015},
        {"v1:scale_lr=1,batch_size=128", 0.015},
        {"v1:scale_lr=1", 0.03},
        {"v2:batch_size=64,loader.world_size=8,scale_lr=1", 0.06},
        {"cifar-demo:batch_size=128,scale_lr=1", 0.015},
        {"v1:lr=7,batch_size=512,scale_lr=1", 0.06},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        moco_recipe *recipe = make_recipe(rows[i].description);
        assert_true(moco_recipe_optimizer(recipe)->learning_rate == rows[i].learning_rate);
        assert_true(moco_recipe_schedule(recipe)->base == rows[i].learning_rate);
        moco_recipe_destroy(recipe);
    }
}

/* --- Text both ways --- */

static const void *config_of(moco_recipe *recipe, int32_t section) {
    const void *const configs[MOCO_CONFIG_SECTIONS] = {
        [MOCO_CONFIG_LOADER] = moco_recipe_loader(recipe),
        [MOCO_CONFIG_AUGMENT] = moco_recipe_augment(recipe),
        [MOCO_CONFIG_ENCODER] = moco_recipe_encoder(recipe),
        [MOCO_CONFIG_MOMENTUM_ENCODER] = moco_recipe_momentum_encoder(recipe),
        [MOCO_CONFIG_QUEUE] = moco_recipe_queue(recipe),
        [MOCO_CONFIG_LOSS] = moco_recipe_loss(recipe),
        [MOCO_CONFIG_OPTIMIZER] = moco_recipe_optimizer(recipe),
        [MOCO_CONFIG_SCHEDULE] = moco_recipe_schedule(recipe),
        [MOCO_CONFIG_TRAINER] = moco_recipe_trainer(recipe),
    };
    return configs[section];
}

/* Bit by bit, but for the architecture, whose characters count. */
static void assert_same_recipe(moco_recipe *a, moco_recipe *b) {
    for (int32_t s = 0; s < MOCO_CONFIG_SECTIONS; ++s) {
        if (s == MOCO_CONFIG_ENCODER) {
            moco_encoder_config one = *moco_recipe_encoder(a), other = *moco_recipe_encoder(b);
            assert_string_equal(one.architecture, other.architecture);
            one.architecture = other.architecture = NULL;
            assert_memory_equal(&one, &other, sizeof one);
        } else {
            assert_memory_equal(config_of(a, s), config_of(b, s), moco_config_sections[s].bytes);
        }
    }
}

static void assert_text_makes_it_again(moco_recipe *recipe) {
    static char text[TEXT], again[TEXT];
    if (moco_recipe_text(recipe, text, sizeof text) != MOCO_OK) fail_msg("%s", moco_last_error());
    moco_recipe *copy = make_recipe(text);
    assert_same_recipe(recipe, copy);
    assert_int_equal(moco_recipe_text(copy, again, sizeof again), MOCO_OK);
    assert_string_equal(text, again);
    moco_recipe_destroy(copy);
}

/* A value that the field does not have in any named recipe. */
static const char *unusual_value(const moco_config_field *field) {
    static char text[64];
    switch (field->kind) {
    case MOCO_FIELD_TEXT:
        return "some-network";
    case MOCO_FIELD_ENUM: {
        int32_t last = 0;
        while (moco_enum_name(field->enum_kind, last + 1) != NULL) ++last;
        return moco_enum_name(field->enum_kind, last);
    }
    case MOCO_FIELD_F64:
        snprintf(text, sizeof text, "%.17g", isfinite(field->most) ? field->most / 3 : 1.0 / 3);
        return text;
    case MOCO_FIELD_F64_LIST:
        return field->count > 0 ? "0.5/1.25/77" : "0.25/0.5/0.125";
    case MOCO_FIELD_ENUM_LIST:
        return "solarize/blur";
    case MOCO_FIELD_U64:
        return "18446744073709551615";
    default:
        snprintf(text, sizeof text, "%.0f", field->most);
        return text;
    }
}

static void every_key_survives_text(void **state) {
    (void) state;
    int32_t keys = 0;
    for (int i = 0; i < NAMES; ++i) {
        moco_recipe *recipe = make_recipe(names[i]);
        assert_text_makes_it_again(recipe);
        keys = 0;
        for (int32_t s = 0; s < MOCO_CONFIG_SECTIONS; ++s) {
            for (int32_t f = 0; f < moco_config_sections[s].count; ++f) {
                const moco_config_field *field = &moco_config_sections[s].fields[f];
                const char *key = moco_recipe_key(keys++);
                assert_string_equal(key, field->key);
                const char *value = unusual_value(field);
                set(recipe, key, value);
                if (field->kind == MOCO_FIELD_F64) {
                    char text[64];
                    assert_int_equal(moco_recipe_get(recipe, key, text, sizeof text), MOCO_OK);
                    assert_true(strtod(text, NULL) == strtod(value, NULL));
                } else {
                    assert_setting(recipe, key, value);
                }
                assert_text_makes_it_again(recipe);
            }
        }
        moco_recipe_destroy(recipe);
    }
    assert_true(keys >= 80);
    assert_null(moco_recipe_key(keys));
    assert_null(moco_recipe_key(-1));
}

/* A recipe's getters and its text speak of the same. */
static void edits_by_hand_are_in_the_text(void **state) {
    (void) state;
    moco_recipe *recipe = make_recipe("quick");
    char text[TEXT];
    moco_recipe_encoder(recipe)->bn_groups = 8;
    moco_recipe_encoder(recipe)->architecture = "mlp"; /* lives longer than the recipe */
    moco_recipe_augment(recipe)->mean[1] = 0.1;
    assert_setting(recipe, "bn_groups", "8");
    assert_setting(recipe, "arch", "mlp");
    assert_text_makes_it_again(recipe);
    set(recipe, "arch", "resnet18");
    assert_setting(recipe, "arch", "resnet18");

    assert_int_equal(moco_recipe_text(recipe, text, sizeof text), MOCO_OK);
    const size_t length = strlen(text);
    memset(text, 'x', sizeof text);
    assert_int_equal(moco_recipe_text(recipe, text, length), MOCO_INVALID_ARGUMENT); /* no room for the NUL */
    assert_true(text[0] == 'x');
    assert_int_equal(moco_recipe_text(recipe, text, length + 1), MOCO_OK);
    assert_int_equal(strlen(text), length);
    assert_true(text[length + 1] == 'x');
    assert_int_equal(moco_recipe_get(recipe, "arch", text, 8), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_get(recipe, "arch", text, 9), MOCO_OK);

    moco_recipe_encoder(recipe)->architecture = "one,two";
    assert_int_equal(moco_recipe_text(recipe, text, sizeof text), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "comma"));
    moco_recipe_destroy(recipe);
}

/* --- Mistakes --- */

static void mistakes_are_told(void **state) {
    (void) state;
    static const struct {
        const char *description;
        moco_status status;
        const char *words[3]; /* of the sentence */
    } rows[] = {
        {"v4", MOCO_NOT_FOUND, {"\"v4\"", "v2-800", "quick"}},
        {"", MOCO_NOT_FOUND, {"\"\"", "v1"}},
        {"v", MOCO_NOT_FOUND, {"v1"}},
        {"v11:", MOCO_NOT_FOUND, {"v1"}},
        {"v2:queue.capasity=5", MOCO_INVALID_ARGUMENT, {"queue.capasity", "nearest: queue.capacity"}},
        {"v2:bn_group=5", MOCO_INVALID_ARGUMENT, {"bn_group", "nearest: encoder.bn_groups"}},
        {"v2:batchsize=5", MOCO_INVALID_ARGUMENT, {"loader.batch_size"}},
        {"v2:epoch=5", MOCO_INVALID_ARGUMENT, {"epochs"}},
        {"v2:colourfulness=5", MOCO_INVALID_ARGUMENT, {"colourfulness", "SECTION.FIELD"}},
        {"v2:momentum=0.5", MOCO_INVALID_ARGUMENT, {"momentum_encoder.momentum or optimizer.momentum"}},
        {"v2:head=MLP", MOCO_INVALID_ARGUMENT, {"encoder.head", "\"MLP\"", "none, linear or mlp"}},
        {"v2:batch_size=0", MOCO_INVALID_ARGUMENT, {"loader.batch_size", "\"0\"", "from 1"}},
        {"v2:batch_size=1.5", MOCO_INVALID_ARGUMENT, {"whole number"}},
        {"v2:m=1.5", MOCO_INVALID_ARGUMENT, {"momentum_encoder.momentum", "from 0 to 1"}},
        {"v2:lr=-1", MOCO_INVALID_ARGUMENT, {"optimizer.learning_rate", "at least 0"}},
        {"v2:seed=-1", MOCO_INVALID_ARGUMENT, {"encoder.seed"}},
        {"v2:order=jitter/hue", MOCO_INVALID_ARGUMENT, {"augment.order", "hue", "solarize"}},
        {"v2:mean=0.5/0.5", MOCO_INVALID_ARGUMENT, {"augment.mean", "3 entries"}},
        {"v2:scale_lr=2", MOCO_INVALID_ARGUMENT, {"scale_lr", "0 or 1"}},
        {"v2:batch_size", MOCO_INVALID_ARGUMENT, {"batch_size", "KEY=VALUE"}},
        {"v2:,", MOCO_INVALID_ARGUMENT, {"KEY=VALUE"}},
        {"v2:batch_size=5,", MOCO_INVALID_ARGUMENT, {"comma"}},
        {"v2:=5", MOCO_INVALID_ARGUMENT, {"\"\""}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        moco_recipe *recipe = NULL;
        const moco_status status = moco_recipe_create(&recipe, NULL, rows[i].description);
        if (status != rows[i].status) fail_msg("%s gives %d", rows[i].description, status);
        assert_null(recipe);
        for (int w = 0; w < 3 && rows[i].words[w] != NULL; ++w) {
            if (strstr(moco_last_error(), rows[i].words[w]) == NULL) {
                fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].description, moco_last_error(), rows[i].words[w]);
            }
        }
    }
    moco_recipe *recipe = make_recipe("v2:");
    moco_recipe *untouched = make_recipe("v2");
    char text[256];
    assert_int_equal(moco_recipe_set(recipe, "size", "99999"), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_set(recipe, "augment", "v9"), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_set(recipe, "milestone_epochs", "1/2/3/4/5/6/7/8/9"), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_set(recipe, NULL, "1"), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_set(recipe, "size", NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_set(NULL, "size", "1"), MOCO_INVALID_ARGUMENT);
    assert_same_recipe(recipe, untouched);
    assert_int_equal(moco_recipe_get(recipe, "scale_lr", text, sizeof text), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "lr has the learning rate")); /* it is a key, but no value */
    assert_null(strstr(moco_last_error(), "no key"));
    assert_int_equal(moco_recipe_get(NULL, "size", text, sizeof text), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_get(recipe, "size", NULL, sizeof text), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_text(NULL, text, sizeof text), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_create(NULL, NULL, "v2"), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_recipe_create(&recipe, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_string_equal(moco_recipe_name(NULL), "");
    assert_null(moco_recipe_encoder(NULL));
    moco_recipe_destroy(recipe);
    moco_recipe_destroy(untouched);
    moco_recipe_destroy(NULL);
}

/* A description with random characters put in, taken out and changed is a recipe that survives its text, or an error
 * with a sentence; nothing else. */
static void damaged_text_is_refused_or_understood(void **state) {
    (void) state;
    static const char letters[] = "abcdeghilmnopqrstuvz._=,:/-0123456789\n\"%\x80";
    static char whole[TEXT], damaged[2 * TEXT];
    int64_t understood = 0, refused = 0;
    moco_recipe *source = make_recipe("quick");
    assert_int_equal(moco_recipe_text(source, whole, sizeof whole), MOCO_OK);
    moco_recipe_destroy(source);
    for (int64_t round = 0; round < 20000; ++round) {
        const uint32_t seed = mixed(1, round);
        /* short descriptions, in which a change is likelier to hit what matters, and the whole one now and then */
        const size_t most = round % 50 == 0 ? strlen(whole) : 6 + seed % 60;
        snprintf(damaged, sizeof damaged, "%.*s", (int) most, whole);
        const uint32_t changes = mixed(seed, 0) % 4;
        for (uint32_t c = 0; c < changes; ++c) {
            const size_t length = strlen(damaged);
            const size_t at = mixed(seed, 3 * c + 1) % (length + 1);
            const char letter = letters[mixed(seed, 3 * c + 2) % (sizeof letters - 1)];
            const uint32_t kind = mixed(seed, 3 * c + 3) % 3;
            if (kind == 0) {
                memmove(damaged + at + 1, damaged + at, length - at + 1);
                damaged[at] = letter;
            } else if (at < length && kind == 1) {
                memmove(damaged + at, damaged + at + 1, length - at);
            } else if (at < length) {
                damaged[at] = letter;
            }
        }
        moco_recipe *recipe = NULL;
        const moco_status status = moco_recipe_create(&recipe, NULL, damaged);
        if (status == MOCO_OK) {
            understood++;
            assert_text_makes_it_again(recipe);
        } else {
            refused++;
            assert_null(recipe);
            assert_true(status == MOCO_INVALID_ARGUMENT || status == MOCO_NOT_FOUND);
            assert_true(strlen(moco_last_error()) > 20);
        }
        moco_recipe_destroy(recipe);
    }
    assert_true(understood > 500 && refused > 5000);
}

/* --- Whole trainers --- */

static moco_dataset *make_images(moco_context *context) {
    static float pixels[IMAGES * 3 * SIDE * SIDE];
    moco_dataset *dataset = NULL;
    fill_uniform(pixels, IMAGES * 3 * SIDE * SIDE, "recipe pixels");
    for (int i = 0; i < IMAGES * 3 * SIDE * SIDE; ++i) pixels[i] = 0.5f + 0.5f * pixels[i];
    if (moco_dataset_create_memory(&dataset, context, pixels, MOCO_PIXELS_FLOAT32, NULL, IMAGES, 3, SIDE, SIDE, 1) !=
        MOCO_OK) {
        fail_msg("%s", moco_last_error());
    }
    return dataset;
}

static moco_context *make_context(void) {
    moco_context *context = NULL;
    moco_context_config config;
    moco_context_config_init(&config, sizeof config);
    config.backend = "reference";
    config.threads = 1;
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    return context;
}

#define SMALL "quick:arch=cifar_resnet8,dim=16,bn_groups=2,queue_size=40,batch_size=8,epochs=2,workers=0,seed=5"

static moco_trainer *make_trainer(moco_dataset *dataset, const char *description) {
    moco_trainer *trainer = NULL;
    moco_recipe *recipe = make_recipe(description);
    if (moco_trainer_create_for(&trainer, dataset, recipe) != MOCO_OK) fail_msg("%s", moco_last_error());
    moco_recipe_destroy(recipe);
    return trainer;
}

static uint64_t run_by_hand(moco_context *context, moco_dataset *dataset) {
    training_configs c = small_training("reference", 1); /* cifar_resnet8, 16 dims, 2 groups, K 40, m 0.99 */
    moco_augment_config views;
    moco_loader_config loading;
    training_parts p;
    moco_augment *augment = NULL;
    moco_loader *loader = NULL;
    uint64_t queue = 0;
    memset(&p, 0, sizeof p);
    moco_augment_config_init(&views, sizeof views, MOCO_AUGMENT_CIFAR);
    views.height = views.width = SIDE;
    views.eval_resize = 1.0;
    moco_loader_config_init(&loading, sizeof loading);
    loading.workers = 0;
    loading.batch_size = 8;
    views.seed = loading.seed = c.encoder.seed = c.momentum_encoder.seed = c.queue.seed = 5;
    c.encoder.head = MOCO_HEAD_MLP;
    c.encoder.stem = MOCO_STEM_CIFAR;
    c.loss.temperature = 0.1;
    c.learning_rate.base = c.optimizer.learning_rate = 0.06;
    c.learning_rate.epochs = 2.0;
    c.learning_rate.unit = MOCO_SCHEDULE_PER_STEP;
    c.trainer.learning_rate = &c.learning_rate;
    assert_int_equal(moco_augment_create(&augment, context, &views), MOCO_OK);
    assert_int_equal(moco_loader_create(&loader, dataset, augment, &loading), MOCO_OK);
    assert_int_equal(moco_encoder_create(&p.encoder, context, &c.encoder), MOCO_OK);
    assert_int_equal(moco_momentum_encoder_create(&p.momentum_encoder, p.encoder, &c.momentum_encoder), MOCO_OK);
    assert_int_equal(moco_queue_create(&p.queue, context, &c.queue), MOCO_OK);
    assert_int_equal(moco_loss_create(&p.loss, context, &c.loss), MOCO_OK);
    assert_int_equal(moco_optimizer_create(&p.optimizer, p.encoder, &c.optimizer), MOCO_OK);
    assert_int_equal(
        moco_trainer_create(&p.trainer, p.encoder, p.momentum_encoder, p.queue, p.loss, p.optimizer, &c.trainer),
        MOCO_OK);
    assert_int_equal(moco_trainer_run(p.trainer, loader, 2, 0, NULL, NULL), MOCO_OK);
    assert_int_equal(moco_queue_checksum(p.queue, &queue), MOCO_OK);
    const uint64_t bits = encoder_checksum(p.encoder) ^ queue;
    moco_loader_destroy(loader);
    moco_augment_destroy(augment);
    training_destroy(&p);
    return bits;
}

static void trainer_has_the_bits_of_parts_by_hand(void **state) {
    (void) state;
    moco_context *context = make_context();
    moco_dataset *dataset = make_images(context);
    const uint64_t expected = run_by_hand(context, dataset);
    moco_trainer *trainer = make_trainer(dataset, SMALL);
    moco_dataset_destroy(dataset); /* the trainer keeps what it needs */
    moco_context_destroy(context);

    assert_int_equal(moco_augment_height(moco_trainer_augment(trainer)), SIDE); /* the images' own */
    assert_int_equal(moco_loader_batch_size(moco_trainer_loader(trainer)), 8);
    assert_non_null(moco_trainer_momentum_encoder(trainer));
    assert_true(moco_loss_temperature(moco_trainer_loss(trainer)) == 0.1);
    assert_true(moco_optimizer_learning_rate(moco_trainer_optimizer(trainer)) == 0.06);
    assert_int_equal(moco_trainer_run(trainer, NULL, 0, 0, NULL, NULL), MOCO_OK);
    assert_int_equal(moco_trainer_step_count(trainer), 2 * IMAGES / 8);
    uint64_t queue = 0;
    assert_int_equal(moco_queue_checksum(moco_trainer_queue(trainer), &queue), MOCO_OK);
    assert_true((encoder_checksum(moco_trainer_encoder(trainer)) ^ queue) == expected);
    moco_trainer_destroy(trainer);
}

static void zeros_are_filled_in(void **state) {
    (void) state;
    moco_context *context = make_context();
    moco_dataset *dataset = make_images(context);
    moco_trainer *trainer = make_trainer(dataset, SMALL ",arch=mlp,head=none,mlp_hidden_dim=24,size=4");
    assert_int_equal(moco_encoder_embedding_dim(moco_trainer_encoder(trainer)), 24);
    assert_int_equal(moco_queue_dim(moco_trainer_queue(trainer)), 24);
    assert_int_equal(moco_augment_width(moco_trainer_augment(trainer)), 4);
    assert_int_equal(moco_trainer_run(trainer, NULL, 1, 1, NULL, NULL), MOCO_OK);
    moco_trainer_destroy(trainer);

    moco_recipe *recipe = make_recipe(SMALL ",augment=v2");
    moco_augment *augment = NULL;
    float whole[3 * SIDE * SIDE], evaluated[3 * SIDE * SIDE];
    assert_int_equal(moco_augment_create_for(&augment, dataset, recipe), MOCO_OK);
    assert_int_equal(moco_augment_height(augment), SIDE);
    /* Views of the images' size are evaluated whole: normalized pixels, none of them cropped away. */
    assert_int_equal(moco_dataset_read(dataset, 3, whole, 3 * SIDE * SIDE), MOCO_OK);
    assert_int_equal(moco_augment_evaluate(augment, whole, SIDE, SIDE, evaluated), MOCO_OK);
    for (int i = 0; i < SIDE * SIDE; ++i) {
        assert_true(fabs((double) evaluated[i] - ((double) whole[i] - 0.485) / 0.229) < 1e-5);
    }
    moco_augment_destroy(augment);
    moco_recipe_destroy(recipe);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
}

/* Without a dataset: the same parts, for a program's own images. */
static void own_images_need_no_dataset(void **state) {
    (void) state;
    static float query[8 * 3 * SIDE * SIDE], key[8 * 3 * SIDE * SIDE];
    uint64_t bits[2];
    moco_context *context = make_context();
    moco_dataset *dataset = make_images(context);
    fill_uniform(query, 8 * 3 * SIDE * SIDE, "query");
    fill_uniform(key, 8 * 3 * SIDE * SIDE, "key");
    for (int with = 0; with < 2; ++with) {
        static const char settings[] = SMALL ",arch=mlp,mlp_hidden_dim=24,size=8,steps_per_epoch=3";
        moco_recipe *recipe = NULL;
        moco_trainer *trainer = NULL;
        assert_int_equal(moco_recipe_create(&recipe, context, settings), MOCO_OK);
        assert_int_equal(moco_trainer_create_for(&trainer, with ? dataset : NULL, recipe), MOCO_OK);
        moco_recipe_destroy(recipe);
        assert_int_equal(moco_trainer_augment(trainer) != NULL, with);
        assert_int_equal(moco_trainer_loader(trainer) != NULL, with);
        for (int step = 0; step < 4; ++step) {
            moco_step_stats stats = {.struct_size = sizeof stats};
            assert_int_equal(moco_trainer_step(trainer, query, key, NULL, 8, SIDE, SIDE, &stats), MOCO_OK);
            assert_int_equal(stats.epoch, step / 3); /* the dataset has 3 batches of 8, too */
        }
        bits[with] = encoder_checksum(moco_trainer_encoder(trainer));
        assert_int_equal(moco_trainer_run(trainer, NULL, 0, 5, NULL, NULL), with ? MOCO_OK : MOCO_INVALID_ARGUMENT);
        moco_trainer_destroy(trainer);
    }
    assert_true(bits[0] == bits[1]);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
}

static int32_t odd_size(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user) {
    (void) user;
    *h = 40 + index % 3;
    *w = 40;
    *label = 0;
    return 0;
}

static int32_t grey_image(int64_t index, float *pixels, void *user) {
    (void) user;
    for (int64_t i = 0; i < 3 * 40 * (40 + index % 3); ++i) pixels[i] = 0.5f;
    return 0;
}

static void unlike_images_take_the_recipes_size(void **state) {
    (void) state;
    moco_context *context = make_context();
    moco_dataset *dataset = NULL;
    moco_augment *augment = NULL;
    moco_recipe *recipe = make_recipe("quick");
    assert_int_equal(moco_dataset_create_callback(&dataset, context, 9, 3, odd_size, grey_image, NULL), MOCO_OK);
    assert_int_equal(moco_augment_create_for(&augment, dataset, recipe), MOCO_OK);
    assert_int_equal(moco_augment_height(augment), 32);
    moco_augment_destroy(augment);
    set(recipe, "augment", "v1");
    assert_int_equal(moco_augment_create_for(&augment, dataset, recipe), MOCO_OK);
    assert_int_equal(moco_augment_width(augment), 224);
    moco_augment_destroy(augment);
    moco_recipe_destroy(recipe);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
}

static void trainers_that_cannot_be_are_refused(void **state) {
    (void) state;
    static const struct {
        const char *description;
        const char *word;
    } rows[] = {
        {SMALL ",arch=resnet19", "resnet19"},
        {SMALL ",batch_size=100", "batch_size is 100"},
        {SMALL ",bn_groups=1,momentum_encoder.shuffle=1", "bn"},
        {SMALL ",queue.dim=17", "dim of the queue is 17"},
        {SMALL ",temperature=0", "temperature"},
        {SMALL ",schedule.epochs=0", "epochs"},
        {SMALL ",loader.views=1", "views"},
        {SMALL ",loader.output=uint8", "output"},
        {SMALL ",optimizer.momentum=1", "momentum"},
        {SMALL ",crop_min=0", "crop"},
    };
    moco_context *context = make_context();
    moco_dataset *dataset = make_images(context);
    moco_trainer *trainer = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        moco_recipe *recipe = make_recipe(rows[i].description);
        assert_true(moco_trainer_create_for(&trainer, dataset, recipe) != MOCO_OK);
        assert_null(trainer);
        if (strstr(moco_last_error(), rows[i].word) == NULL) {
            fail_msg("%s: \"%s\"", rows[i].description, moco_last_error());
        }
        moco_recipe_destroy(recipe);
    }
    moco_recipe *recipe = make_recipe(SMALL);
    moco_augment *augment = NULL;
    assert_int_equal(moco_trainer_create_for(NULL, dataset, recipe), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_trainer_create_for(&trainer, NULL, recipe), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "context"));
    assert_int_equal(moco_trainer_create_for(&trainer, dataset, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_augment_create_for(&augment, dataset, NULL), MOCO_INVALID_ARGUMENT);
    assert_null(moco_trainer_encoder(NULL));
    assert_null(moco_trainer_loader(NULL));
    moco_recipe_destroy(recipe);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_recipes_are_the_papers),
        cmocka_unit_test(short_names_set_their_fields),
        cmocka_unit_test(learning_rate_scales_when_asked),
        cmocka_unit_test(every_key_survives_text),
        cmocka_unit_test(edits_by_hand_are_in_the_text),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(damaged_text_is_refused_or_understood),
        cmocka_unit_test(trainer_has_the_bits_of_parts_by_hand),
        cmocka_unit_test(zeros_are_filled_in),
        cmocka_unit_test(own_images_need_no_dataset),
        cmocka_unit_test(unlike_images_take_the_recipes_size),
        cmocka_unit_test(trainers_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests_name("recipes", tests, NULL, NULL);
}
