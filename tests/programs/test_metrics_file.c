/* Lines of metrics.jsonl are in the file at once and whole, also where the disk is full; progress is written every ten
 * seconds and no more often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pretrain/metrics_file.h"
#include "support/example_support.h"

enum { MOST = 1 << 16 };

static char path[] = "/tmp/moco_metrics_XXXXXX";
static int descriptor;
static char text[MOST];

static int setup(void **state) {
    (void) state;
    strcpy(path + sizeof path - 7, "XXXXXX");
    descriptor = mkstemp(path);
    return descriptor < 0;
}

static int teardown(void **state) {
    (void) state;
    close(descriptor);
    return unlink(path);
}

/* What another process would read now. */
static size_t read_file(void) {
    const int reader = open(path, O_RDONLY);
    const ssize_t bytes = read(reader, text, MOST - 1);
    close(reader);
    assert_true(bytes >= 0);
    text[bytes] = '\0';
    return (size_t) bytes;
}

static int count_lines(void) {
    int lines = 0;
    for (const char *at = text; *at != '\0'; ++at) lines += *at == '\n';
    return lines;
}

static void each_line_is_there_at_once(void **state) {
    (void) state;
    metrics_file file;
    const moco_step_stats step = {.struct_size = sizeof step, .epoch = 3, .step = 40, .loss = 1.5, .queue_filled = 12};
    open_metrics(&file, descriptor);
    write_start(&file, "onednn", 2, 99);
    read_file();
    assert_non_null(strstr(text, "{\"kind\": \"start\", \"epoch\": 0, \"step\": 0, \"version\": \""));
    assert_non_null(strstr(text, "\"backend\": \"onednn\", \"threads\": 2, \"total_steps\": 99}\n"));
    write_step(&file, &step);
    assert_int_equal(read_file(), file.bytes);
    assert_int_equal(count_lines(), 2);
    assert_non_null(strstr(text, "{\"kind\": \"step\", \"epoch\": 3, \"step\": 40, \"loss\": 1.5, "));
    assert_non_null(strstr(text, "\"queue_filled\": 12}\n"));
    assert_false(file.failed);
    /* What is in a file stays. */
    open_metrics(&file, descriptor);
    write_baselines(&file, 0.25, NAN);
    assert_int_equal(read_file(), file.bytes);
    assert_int_equal(count_lines(), 3);
    assert_non_null(strstr(text, "\"knn_top1\": 0.25, \"pixels_knn_top1\": null}\n"));
}

static void progress_is_written_every_ten_seconds(void **state) {
    (void) state;
    metrics_file file;
    const moco_knn_progress progress = {.stage = MOCO_KNN_STAGE_COMPARE, .done = 5, .total = 7};
    open_metrics(&file, descriptor);
    write_progress(&file, 1, 8, &progress);
    assert_int_equal(read_file(), 0);
    file.written -= 9;
    write_progress(&file, 1, 8, &progress);
    assert_int_equal(read_file(), 0);
    file.written -= 1;
    write_progress(&file, 1, 8, &progress);
    write_progress(&file, 1, 8, &progress);
    read_file();
    assert_string_equal(text, "{\"kind\": \"progress\", \"epoch\": 1, \"step\": 8, \"knn_stage\": \"compare\", "
                              "\"images\": 5, \"total_images\": 7}\n");
}

static void a_full_disk_leaves_whole_lines(void **state) {
    (void) state;
    metrics_file file;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    open_metrics(&file, descriptor);
    write_start(&file, "cblas", 1, 10);
    const size_t first = read_file();
    const struct rlimit full = {.rlim_cur = first + first / 2, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    write_start(&file, "cblas", 1, 10); /* fits in half */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(file.failed);
    assert_int_equal(read_file(), first);
    write_start(&file, "cblas", 1, 10); /* there is room again */
    assert_int_equal(read_file(), 2 * first);
    assert_int_equal(count_lines(), 2);
    assert_memory_equal(text, text + first, first);
    assert_true(file.failed); /* the user is told of the line that is missing */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_line_is_there_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(progress_is_written_every_ten_seconds, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_whole_lines, setup, teardown),
    };
    return cmocka_run_group_tests_name("metrics file", tests, NULL, NULL);
}
