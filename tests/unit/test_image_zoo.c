/* Every file of the zoo (tests/zoo) is decoded to the picture it holds, or refused with a sentence that names the
 * trouble, within the limits of memory and time. Run it under the address and undefined-behaviour sanitizers, too.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/image.h"
#include "support/image_invariants.h"
#include "zoo/image_zoo.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { MIB = 1 << 20, MAX_MEMORY = 64 * MIB, TOLERANCE = 14 };

static moco_image_limits zoo_limits(void) {
    moco_image_limits limits = moco_image_default_limits();
    limits.max_memory = MAX_MEMORY;
    return limits;
}

static void complain(int *failures, const zoo_entry *entry, const char *what) {
    print_error("%s: %s\n", entry->name, what);
    ++*failures;
}

/* Whether one of the words, which '|' separates, is in the sentence. */
static int says_one_of(const char *sentence, const char *words) {
    char word[64];
    while (*words != 0) {
        const size_t length = strcspn(words, "|");
        assert_true(length < sizeof word);
        memcpy(word, words, length);
        word[length] = 0;
        if (length > 0 && strcasestr(sentence, word) != NULL) return 1;
        words += length + (words[length] == '|');
    }
    return 0;
}

/* Compares the middle of each quadrant that is held. */
static int looks_right(const moco_image *image, int look) {
    const int64_t ys[] = {image->held.full_h / 4, 3 * image->held.full_h / 4},
                  xs[] = {image->held.full_w / 4, 3 * image->held.full_w / 4};
    for (int i = 0; i < 4; ++i) {
        const int64_t y = ys[i / 2] - image->held.window.top, x = xs[i % 2] - image->held.window.left;
        if (y < 0 || x < 0 || y >= image->held.window.h || x >= image->held.window.w) continue;
        const uint8_t *pixel =
            image->pixels + (y / image->held.reduction * image->held.w + x / image->held.reduction) * 3;
        const uint8_t *wanted =
            zoo_looks[look][zoo_quadrant(ys[i / 2], xs[i % 2], image->held.full_h, image->held.full_w)];
        for (int c = 0; c < 3; ++c) {
            if (abs(pixel[c] - wanted[c]) > TOLERANCE) {
                print_error("quadrant %d is (%d, %d, %d) instead of (%d, %d, %d)\n", i, pixel[0], pixel[1], pixel[2],
                            wanted[0], wanted[1], wanted[2]);
                return 0;
            }
        }
    }
    return 1;
}

/* --- Decoded as stated --- */

static void check_whole(const zoo_entry *entry, const zoo_bytes *bytes, int *failures) {
    const moco_image_limits limits = zoo_limits();
    const moco_image_request request = {.max_reduction = 1};
    moco_image image = {0};
    moco_image_header header = {0};
    const moco_status status = moco_image_decode(NULL, bytes->data, bytes->size, &limits, &request, &image);
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%s", moco_last_error());
    const moco_status probed = moco_image_probe(NULL, bytes->data, bytes->size, &limits, &header);
    if (entry->h == 0) {
        if (status == MOCO_OK) {
            complain(failures, entry, "is decoded, where it should be refused");
        } else if (status != MOCO_FORMAT || !says_one_of(sentence, entry->reason)) {
            print_error("%s: status %d, \"%s\" has none of %s\n", entry->name, status, sentence, entry->reason);
            ++*failures;
        }
    } else if (status != MOCO_OK) {
        complain(failures, entry, sentence);
    } else if (image.held.h != entry->h || image.held.w != entry->w || probed != MOCO_OK) {
        print_error("%lld x %lld\n", (long long) image.held.h, (long long) image.held.w);
        complain(failures, entry, "has another size than stated, or cannot be probed");
    } else if (broken_image_promise(&image, &request, &header) != NULL) {
        complain(failures, entry, broken_image_promise(&image, &request, &header));
    } else if (entry->look != ZOO_ANYTHING && !looks_right(&image, entry->look)) {
        complain(failures, entry, "does not look right");
    }
    moco_image_release(NULL, &image);
}

static void every_file_decodes_as_stated_or_is_refused(void **state) {
    (void) state;
    int failures = 0, decoded = 0;
    for (int i = 0; i < image_zoo_count(); ++i) {
        const zoo_entry *entry = image_zoo_get(i);
        zoo_bytes bytes = {0};
        entry->make(&bytes, entry->variant);
        check_whole(entry, &bytes, &failures);
        decoded += entry->h > 0;
        zoo_bytes_free(&bytes);
    }
    print_message("%d files: %d to be decoded, %d to be refused\n", image_zoo_count(), decoded,
                  image_zoo_count() - decoded);
    assert_int_equal(failures, 0);
    assert_true(image_zoo_count() >= 60);
}

/* Parts of good files look right as well, at every reduction; parts of broken ones do no harm, and are refused where all of
 * the file is asked about. */
static void every_file_in_parts(void **state) {
    (void) state;
    const moco_image_limits limits = zoo_limits();
    moco_image image = {0};
    int failures = 0;
    for (int i = 0; i < image_zoo_count(); ++i) {
        const zoo_entry *entry = image_zoo_get(i);
        zoo_bytes bytes = {0};
        moco_image_header header;
        entry->make(&bytes, entry->variant);
        for (int part = 0; part < 16; ++part) {
            if (moco_image_probe(NULL, bytes.data, bytes.size, &limits, &header) != MOCO_OK) break;
            const int64_t h = (header.h + 1) / 2, w = (header.w + 1) / 2;
            const moco_image_request request = {
                {part & 1 ? header.h - h : 0, part & 2 ? header.w - w : 0, h, w}, 1 << (part / 4), part % 2};
            const moco_status status = moco_image_decode(NULL, bytes.data, bytes.size, &limits, &request, &image);
            if (status == MOCO_OK) {
                const char *promise = broken_image_promise(&image, &request, &header);
                if (promise != NULL) complain(&failures, entry, promise);
                if (entry->h == 0 && request.check_all) complain(&failures, entry, "is used in part");
                /* A reduced pixel may cover two quadrants of a small picture. */
                const int large = header.h >= 8 * image.held.reduction && header.w >= 8 * image.held.reduction;
                if (entry->h > 0 && entry->look != ZOO_ANYTHING && large && !looks_right(&image, entry->look)) {
                    complain(&failures, entry, "does not look right in part");
                }
            } else if (status != MOCO_FORMAT || entry->h > 0) {
                complain(&failures, entry, moco_last_error());
            }
        }
        zoo_bytes_free(&bytes);
    }
    moco_image_release(NULL, &image);
    assert_int_equal(failures, 0);
}

/* --- Bounded --- */

typedef struct allocation_count {
    uint64_t live, peak;
} allocation_count;

static void *count_allocation(uint64_t size, uint64_t alignment, void *user) {
    allocation_count *count = (allocation_count *) user;
    uint64_t *memory =
        (uint64_t *) aligned_alloc((size_t) alignment, (size_t) ((size + 2 * alignment - 1) / alignment * alignment));
    if (memory == NULL) return NULL;
    memory[0] = size;
    count->live += size;
    if (count->live > count->peak) count->peak = count->live;
    return (char *) memory + alignment;
}

static void count_deallocation(void *memory, void *user) {
    uint64_t *block = (uint64_t *) (void *) ((char *) memory - 64);
    ((allocation_count *) user)->live -= block[0];
    free(block);
}

static uint64_t resident_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long long total = 0, resident = 0;
    if (file == NULL || fscanf(file, "%llu %llu", &total, &resident) != 2) resident = 0;
    if (file != NULL) fclose(file);
    return resident * (uint64_t) sysconf(_SC_PAGESIZE);
}

/* In a process of its own: 0, or which bound is exceeded. */
static int decode_within_bounds(const zoo_bytes *bytes, moco_context *context, const allocation_count *count) {
    const moco_image_limits limits = zoo_limits();
    const moco_image_request request = {.max_reduction = 1};
    moco_image image = {0};
    struct rusage usage;
    const uint64_t before = resident_bytes();
    (void) moco_image_decode(context, bytes->data, bytes->size, &limits, &request, &image);
    getrusage(RUSAGE_SELF, &usage);
    const uint64_t most = (uint64_t) usage.ru_maxrss * 1024;
    const uint64_t room = MAX_MEMORY + 16 * MIB;
    if (count->peak > MAX_MEMORY) return 1;
    if (most > before && most - before > (SANITIZED ? 4 : 1) * room) return 2;
    if ((double) usage.ru_utime.tv_sec + 1e-6 * (double) usage.ru_utime.tv_usec > (SANITIZED ? 20 : 4)) return 3;
    moco_image_release(context, &image);
    return count->live == 0 ? 0 : 4;
}

static void every_file_keeps_within_memory_and_time(void **state) {
    (void) state;
    static const char *const bounds[] = {"", "allocates more than max_memory", "takes more memory than max_memory",
                                         "takes too long", "leaks"};
    allocation_count count = {0};
    moco_context_config config;
    moco_context *context = NULL;
    assert_int_equal(moco_context_config_init(&config, sizeof config), MOCO_OK);
    config.threads = 1;
    config.allocate = count_allocation;
    config.deallocate = count_deallocation;
    config.allocator_user = &count;
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    int failures = 0;
    for (int i = 0; i < image_zoo_count(); ++i) {
        const zoo_entry *entry = image_zoo_get(i);
        zoo_bytes bytes = {0};
        entry->make(&bytes, entry->variant);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            count = (allocation_count){0};
            _exit(decode_within_bounds(&bytes, context, &count));
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        const int result = WIFEXITED(status) ? WEXITSTATUS(status) : 5;
        if (result != 0) complain(&failures, entry, result < 5 ? bounds[result] : "crashes");
        zoo_bytes_free(&bytes);
    }
    moco_context_destroy(context);
    assert_int_equal(count.live, 0);
    assert_int_equal(failures, 0);
}

static const zoo_entry *entry_named(const char *name) {
    for (int i = 0; i < image_zoo_count(); ++i) {
        if (strcmp(image_zoo_get(i)->name, name) == 0) return image_zoo_get(i);
    }
    fail_msg("the zoo has no %s", name);
    return NULL;
}

static double processor_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void time_is_a_limit(void **state) {
    (void) state;
    moco_image_limits limits = moco_image_default_limits();
    const moco_image_request request = {.max_reduction = 1};
    const zoo_entry *entry = entry_named("jpeg-bomb-scans.jpg");
    zoo_bytes bytes = {0};
    moco_image image = {0};
    entry->make(&bytes, entry->variant);
    limits.max_seconds = 0.02;
    const double begin = processor_seconds();
    assert_int_equal(moco_image_decode(NULL, bytes.data, bytes.size, &limits, &request, &image), MOCO_FORMAT);
    assert_non_null(strstr(moco_last_error(), "seconds"));
    assert_true(processor_seconds() - begin < 1);
    moco_image_release(NULL, &image);
    zoo_bytes_free(&bytes);
}

/* A good picture stays good while its process is stopped for longer than a decode may take. */
static void a_stopped_process_loses_no_time(void **state) {
    (void) state;
    const zoo_entry *entry = entry_named("jpeg-65500x8.jpg");
    zoo_bytes bytes = {0};
    entry->make(&bytes, entry->variant);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        moco_image_limits limits = moco_image_default_limits();
        const moco_image_request request = {.max_reduction = 1};
        moco_image image = {0};
        limits.max_seconds = 0.5;
        for (const int64_t end = moco_now_ns() + 1500000000; moco_now_ns() < end;) {
            if (moco_image_decode(NULL, bytes.data, bytes.size, &limits, &request, &image) != MOCO_OK) _exit(1);
        }
        _exit(0);
    }
    const struct timespec before = {0, 300000000}, stopped = {0, 700000000};
    int status = 0;
    nanosleep(&before, NULL);
    assert_int_equal(kill(child, SIGSTOP), 0);
    nanosleep(&stopped, NULL);
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    zoo_bytes_free(&bytes);
}

static void names_are_unique(void **state) {
    (void) state;
    for (int i = 0; i < image_zoo_count(); ++i) {
        for (int j = 0; j < i; ++j) assert_string_not_equal(image_zoo_get(i)->name, image_zoo_get(j)->name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique),    cmocka_unit_test(every_file_decodes_as_stated_or_is_refused),
        cmocka_unit_test(every_file_in_parts), cmocka_unit_test(every_file_keeps_within_memory_and_time),
        cmocka_unit_test(time_is_a_limit),     cmocka_unit_test(a_stopped_process_loses_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
