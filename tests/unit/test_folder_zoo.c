/* A folder with all of the zoo and with things that are no files: the dataset tells each image's size or why it is
 * refused, and epochs over it finish, with every broken file counted, logged once and replaced. Files that vanish or
 * change while an epoch runs are such broken files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <moco/loader.h>

#include "data/dataset_internal.h"
#include "support/image_files.h"
#include "zoo/image_zoo.h"

enum { SIDE = 16, MAX_FILES = 1024, CAPACITY = 65500 * 8 * 3 };

/* --- What is logged, by file --- */

typedef struct zoo_log {
    pthread_mutex_t mutex;
    const char *folder;
    int lines, broken_lines;
    int lines_of[MAX_FILES]; /* of zoo entry i that say that it is broken */
    int lines_of_links;
} zoo_log;

static void note_line(int32_t level, const char *message, void *user) {
    zoo_log *log = (zoo_log *) user;
    (void) level;
    pthread_mutex_lock(&log->mutex);
    ++log->lines;
    if (strstr(message, " is broken and left out: ") != NULL) {
        char name[128];
        ++log->broken_lines;
        for (int i = 0; i < image_zoo_count(); ++i) {
            snprintf(name, sizeof name, "/%s", image_zoo_get(i)->name);
            if (strstr(message, name) != NULL) ++log->lines_of[i];
        }
        log->lines_of_links += strstr(message, "/dangling.jpg:") != NULL || strstr(message, "/loop.jpg:") != NULL;
    }
    pthread_mutex_unlock(&log->mutex);
}

static moco_context *logging_context(zoo_log *log) {
    moco_context_config config;
    moco_context *context = NULL;
    *log = (zoo_log){.mutex = PTHREAD_MUTEX_INITIALIZER};
    assert_int_equal(moco_context_config_init(&config, sizeof config), MOCO_OK);
    config.threads = 2;
    config.log = note_line;
    config.log_user = log;
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    return context;
}

static void assert_ok(moco_status status) {
    if (status != MOCO_OK) fail_msg("status %d: %s", status, moco_last_error());
}

/* --- The folder --- */

enum { EXTRA_GOOD = 1, EXTRA_BROKEN = 2 }; /* beside the zoo's files */

static void make_places(const temporary_folder *folder) {
    char path[TEST_PATH_SIZE];
    assert_int_equal(image_zoo_write(folder->path), 0);
    write_png_at(folder, "folder.jpg/inside.png", 20, 20, 0x336699); /* a folder, whatever its name */
    link_at(folder, "nowhere/at/all.jpg", "dangling.jpg");
    link_at(folder, "loop.jpg", "loop.jpg");
    link_at(folder, ".", "circle"); /* leads to the folder that it is in */
    link_at(folder, "../circle/folder.jpg", "folder.jpg/around");
    assert_int_equal(mkfifo(path_in(folder, "fifo.jpg", path), 0600), 0); /* opening it would wait for ever */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    path_in(folder, "socket.jpg", path);
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *) &address, sizeof address), 0);
    close(descriptor);
}

static moco_dataset *open_folder(moco_context *context, const temporary_folder *folder) {
    char description[TEST_PATH_SIZE + 16];
    moco_image_dataset_config config;
    moco_dataset *dataset = NULL;
    assert_ok(moco_image_dataset_config_init(&config, sizeof config));
    config.max_memory = 64 << 20;
    snprintf(description, sizeof description, "folder:%s", folder->path);
    assert_ok(moco_dataset_open_with(&dataset, context, description, &config));
    return dataset;
}

/* The zoo's entry that an image is, or NULL for one of the others. */
static const zoo_entry *entry_of(const moco_dataset *dataset, int64_t index) {
    char name[8300];
    assert_ok(moco_dataset_name(dataset, index, name, sizeof name));
    const char *base = strrchr(name, '/') + 1;
    for (int i = 0; i < image_zoo_count(); ++i) {
        if (strcmp(base, image_zoo_get(i)->name) == 0) return image_zoo_get(i);
    }
    return NULL;
}

static int refused_entries(void) {
    int refused = 0;
    for (int i = 0; i < image_zoo_count(); ++i) refused += image_zoo_get(i)->h == 0;
    return refused;
}

static zoo_log logged;
static moco_context *context;
static moco_augment *augment;
static temporary_folder folder;

static int set_up(void **state) {
    (void) state;
    moco_augment_config config;
    context = logging_context(&logged);
    assert_ok(moco_augment_config_init(&config, sizeof config, MOCO_AUGMENT_V2));
    config.height = config.width = SIDE;
    assert_ok(moco_augment_create(&augment, context, &config));
    make_temporary_folder(&folder);
    return 0;
}

static int tear_down(void **state) {
    (void) state;
    moco_augment_destroy(augment);
    moco_context_destroy(context);
    remove_tree(folder.path);
    return 0;
}

static moco_loader *make_loader(moco_dataset *dataset, int32_t workers, int32_t views, int64_t batch_size) {
    moco_loader *loader = NULL;
    moco_loader_config config;
    assert_ok(moco_loader_config_init(&config, sizeof config));
    config.workers = workers;
    config.views = views;
    config.batch_size = batch_size;
    config.prefetch = 1;
    config.drop_last = 0;
    config.output = MOCO_PIXELS_UINT8;
    config.max_broken_fraction = 1;
    assert_ok(moco_loader_create(&loader, dataset, augment, &config));
    return loader;
}

static moco_loader_statistics statistics_of(moco_loader *loader) {
    moco_loader_statistics statistics = {.struct_size = sizeof statistics};
    assert_ok(moco_loader_read_statistics(loader, &statistics));
    return statistics;
}

/* --- Tests --- */

static void the_dataset_tells_sizes_and_reasons(void **state) {
    (void) state;
    make_places(&folder);
    const int descriptors = open_descriptors();
    moco_dataset *dataset = open_folder(context, &folder);
    assert_int_equal(moco_dataset_count(dataset), image_zoo_count() + EXTRA_GOOD + EXTRA_BROKEN);
    float *pixels = (float *) malloc(CAPACITY * sizeof *pixels);
    assert_non_null(pixels);
    int failures = 0;
    for (int64_t i = 0; i < moco_dataset_count(dataset); ++i) {
        const zoo_entry *entry = entry_of(dataset, i);
        if (entry == NULL) continue;
        int64_t h = 0, w = 0;
        const moco_status told = moco_dataset_info(dataset, i, &h, &w, NULL);
        const moco_status status = moco_dataset_read(dataset, i, pixels, CAPACITY);
        int as_stated;
        if (entry->h > 0) {
            as_stated = status == MOCO_OK && told == MOCO_OK && h == entry->h && w == entry->w;
        } else if (told == MOCO_OK && h * w * 3 > CAPACITY) {
            as_stated = status == MOCO_INVALID_ARGUMENT; /* a bomb, whose claim is allowed, but not our memory */
        } else {
            as_stated = status == MOCO_FORMAT && strstr(moco_last_error(), entry->name) != NULL;
        }
        if (!as_stated) {
            print_error("%s: %d %d, %lld x %lld, %s\n", entry->name, told, status, (long long) h, (long long) w,
                        moco_last_error());
            ++failures;
        }
    }
    free(pixels);
    moco_dataset_destroy(dataset);
    assert_int_equal(failures, 0);
    assert_int_equal(open_descriptors(), descriptors);
}

/* By the first crop or the last one, from files or from a cache's bytes: what is damaged anywhere is refused each time, also
 * where a decoder that is only asked for the crop finds nothing. */
static void one_verdict_whatever_the_crop(void **state) {
    (void) state;
    make_places(&folder);
    moco_dataset *dataset = open_folder(context, &folder);
    moco_image_scratch scratch = {0};
    moco_image image = {0};
    int failures = 0, unnoticed = 0;
    for (int64_t i = 0; i < moco_dataset_count(dataset); ++i) {
        const zoo_entry *entry = entry_of(dataset, i);
        size_t size = 0;
        int64_t h = 0, w = 0;
        if (entry == NULL || moco_dataset_info(dataset, i, &h, &w, NULL) != MOCO_OK) continue;
        const int64_t rows = (h + 3) / 4, columns = (w + 3) / 4;
        const moco_image_window windows[3] = {
            {0, 0, rows, columns}, {h - rows, w - columns, rows, columns}, {0, w - columns, rows, columns}};
        for (int try = 0; try < 6; ++try) {
            const moco_image_request request = {.window = windows[try % 3], .max_reduction = 1 << try / 3};
            moco_status status = MOCO_OK;
            if (try % 2 == 0) {
                status = dataset->ops->load(dataset, i, &request, &scratch, &image);
            } else {
                assert_ok(dataset->ops->fetch(dataset, i, &scratch, &size));
                status = dataset->ops->decode(dataset, i, scratch.encoded, size, &request, &image);
            }
            if ((status == MOCO_OK) != (entry->h > 0)) {
                print_error("%s, crop %d: %d\n", entry->name, try, status);
                ++failures;
            }
            assert_ok(dataset->ops->fetch(dataset, i, &scratch, &size));
            unnoticed += entry->h == 0 && moco_image_decode(context, scratch.encoded, size, &dataset->limits, &request,
                                                            &image) == MOCO_OK;
        }
    }
    print_message("%d crops of broken files would have been taken\n", unnoticed);
    assert_true(unnoticed > 10);
    moco_image_release(context, &image);
    moco_deallocate(context, scratch.encoded);
    moco_dataset_destroy(dataset);
    assert_int_equal(failures, 0);
}

static void check_epochs(int32_t workers, int32_t views) {
    logged.broken_lines = logged.lines_of_links = 0;
    memset(logged.lines_of, 0, sizeof logged.lines_of);
    const int descriptors = open_descriptors();
    moco_dataset *dataset = open_folder(context, &folder);
    moco_loader *loader = make_loader(dataset, workers, views, 32);
    const int64_t count = moco_dataset_count(dataset), broken = refused_entries() + EXTRA_BROKEN;
    for (int64_t epoch = 0; epoch < 2; ++epoch) {
        moco_batch batch = {.struct_size = sizeof batch};
        int64_t samples = 0;
        assert_ok(moco_loader_start_epoch(loader, epoch));
        for (;;) {
            assert_ok(moco_loader_next(loader, &batch));
            if (batch.n == 0) break;
            samples += batch.n;
            for (int64_t i = 0; i < batch.n; ++i) {
                const zoo_entry *entry = entry_of(dataset, batch.sample_ids[i]);
                if (views == 0 && entry != NULL && entry->h == 0) fail_msg("%s is in a batch", entry->name);
            }
        }
        assert_int_equal(samples, count);
    }
    const moco_loader_statistics statistics = statistics_of(loader);
    moco_loader_destroy(loader);
    moco_dataset_destroy(dataset);
    assert_int_equal(open_descriptors(), descriptors);

    assert_int_equal(logged.broken_lines, statistics.broken);
    if (views == 0) { /* all of each picture's rows are needed, so all damage shows */
        assert_int_equal(statistics.broken, broken);
        assert_int_equal(statistics.replaced, 2 * broken);
        assert_int_equal(logged.lines_of_links, EXTRA_BROKEN);
    } else { /* a crop beside the damage is good */
        assert_true(statistics.broken <= broken && statistics.broken > broken * 9 / 10);
    }
    for (int i = 0; i < image_zoo_count(); ++i) {
        const int refused = image_zoo_get(i)->h == 0;
        const int as_expected = views == 0 ? logged.lines_of[i] == refused : logged.lines_of[i] <= refused;
        if (!as_expected) fail_msg("%s is logged %d times", image_zoo_get(i)->name, logged.lines_of[i]);
    }
}

static void epochs_finish_and_count_broken_files(void **state) {
    (void) state;
    make_places(&folder);
    check_epochs(0, 0);
    check_epochs(3, 0);
    check_epochs(2, 2);
}

/* --- Changes while an epoch runs --- */

enum { FILES = 40, BATCH = 4 };

static const char *file_at(int i, char path[TEST_PATH_SIZE]) {
    char name[32];
    snprintf(name, sizeof name, "%02d.png", i);
    return path_in(&folder, name, path);
}

/* After the first batch, of 00.png to 03.png, of a loader without workers, which makes a batch when it is asked for. */
static moco_loader *loader_after_first_batch(moco_dataset **dataset) {
    char name[32];
    for (int i = 0; i < FILES; ++i) {
        snprintf(name, sizeof name, "%02d.png", i);
        write_png_at(&folder, name, 24, 16, (uint32_t) i * 1000);
    }
    moco_loader_config config;
    moco_loader *loader = NULL;
    moco_batch batch = {.struct_size = sizeof batch};
    *dataset = open_folder(context, &folder);
    assert_ok(moco_loader_config_init(&config, sizeof config));
    config.workers = 0;
    config.batch_size = BATCH;
    config.shuffle = 0;
    config.max_broken_fraction = 1;
    assert_ok(moco_loader_create(&loader, *dataset, augment, &config));
    assert_ok(moco_loader_start_epoch(loader, 0));
    assert_ok(moco_loader_next(loader, &batch));
    assert_int_equal(batch.n, BATCH);
    return loader;
}

static void files_that_vanish_in_the_middle_of_an_epoch(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    moco_dataset *dataset = NULL;
    moco_loader *loader = loader_after_first_batch(&dataset);
    for (int i = 8; i < 12; ++i) assert_int_equal(unlink(file_at(i, path)), 0); /* a whole batch */
    assert_int_equal(truncate(file_at(17, path), 100), 0);
    assert_int_equal(truncate(file_at(18, path), 0), 0);
    write_whole_file(file_at(21, path), "no picture any more", 19);
    assert_int_equal(unlink(file_at(22, path)), 0);
    assert_int_equal(mkdir(file_at(22, path), 0700), 0);
    assert_int_equal(unlink(file_at(39, path)), 0);
    assert_int_equal(mkfifo(file_at(39, path), 0600), 0);
    enum { CHANGED = 9 };
    static const int changed[CHANGED] = {8, 9, 10, 11, 17, 18, 21, 22, 39};
    int64_t samples = BATCH;
    for (moco_batch batch = {.struct_size = sizeof batch, .n = 1}; batch.n > 0; samples += batch.n) {
        assert_ok(moco_loader_next(loader, &batch));
        for (int64_t i = 0; i < batch.n; ++i) {
            for (int c = 0; c < CHANGED; ++c) assert_int_not_equal(batch.sample_ids[i], changed[c]);
        }
    }
    assert_int_equal(samples, FILES);
    assert_int_equal(statistics_of(loader).replaced, CHANGED);
    assert_int_equal(statistics_of(loader).broken, CHANGED);
    assert_int_equal(logged.broken_lines, CHANGED);
    moco_loader_destroy(loader);
    moco_dataset_destroy(dataset);
}

static void a_folder_that_vanishes_ends_the_epoch_with_a_reason(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    moco_loader *loader = loader_after_first_batch(&dataset);
    moco_batch batch = {.struct_size = sizeof batch};
    remove_tree(folder.path);
    assert_int_equal(moco_loader_next(loader, &batch), MOCO_NOT_FOUND);
    assert_non_null(strstr(moco_last_error(), "04.png"));
    moco_loader_destroy(loader);
    moco_dataset_destroy(dataset);
}

/* As a user who may not read it; the superuser may read everything, so it becomes somebody else in another process. */
static void a_file_without_permission_is_broken(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    write_png_at(&folder, "00.png", 8, 8, 0);
    write_png_at(&folder, "01.png", 8, 8, 0);
    assert_int_equal(chmod(path_in(&folder, "01.png", path), 0), 0);
    assert_int_equal(chmod(folder.path, 0755), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(77);
        char description[TEST_PATH_SIZE + 16];
        float pixels[8 * 8 * 3];
        moco_dataset *dataset = NULL;
        snprintf(description, sizeof description, "folder:%s", folder.path);
        if (moco_dataset_open(&dataset, context, description) != MOCO_OK) _exit(1);
        if (moco_dataset_count(dataset) != 2 || moco_dataset_read(dataset, 0, pixels, 192) != MOCO_OK) _exit(2);
        if (moco_dataset_read(dataset, 1, pixels, 192) != MOCO_IO) _exit(3);
        if (strstr(moco_last_error(), "01.png: Permission denied") == NULL) _exit(4);
        moco_dataset_destroy(dataset);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_dataset_tells_sizes_and_reasons, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_verdict_whatever_the_crop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(epochs_finish_and_count_broken_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_that_vanish_in_the_middle_of_an_epoch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_vanishes_ends_the_epoch_with_a_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_without_permission_is_broken, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
