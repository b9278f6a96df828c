#include "pretrain/progress_display.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "support/example_support.h"

#define SECONDS_PER_DRAW 0.1
#define SECONDS_PER_LINE 10.0
#define SMOOTHING        0.05 /* weight of the newest step */
#define DEFAULT_COLUMNS  80
#define MAX_COLUMNS      512
#define MIN_BAR          8
#define MAX_BAR          40

void progress_start(progress_display *display, int64_t total_steps, int64_t total_epochs) {
    const char *terminal = getenv("TERM");
    memset(display, 0, sizeof *display);
    display->total_steps = total_steps;
    display->total_epochs = total_epochs;
    display->on_terminal = isatty(STDOUT_FILENO) && (terminal == NULL || strcmp(terminal, "dumb") != 0);
    display->last_drawn = seconds_now();
}

static int terminal_columns(void) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return DEFAULT_COLUMNS;
    return size.ws_col < MAX_COLUMNS ? size.ws_col : MAX_COLUMNS;
}

/* 75 -> "1:15", 3700 -> "1:01:40" */
static void time_text(double seconds, char text[32]) {
    const long long s = (long long) (seconds + 0.5);
    if (s >= 3600) {
        snprintf(text, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(text, 32, "%lld:%02lld", s / 60, s % 60);
    }
}

/* --- The bar --- */

/* "epoch 3/20 [=====>    ] 25 %  loss 6.93  top-1 12.5 %  812 img/s  1:15 left", as much of it as fits. */
static void draw_bar(progress_display *display, const moco_step_stats *stats) {
    const int columns = terminal_columns() - 1; /* the last one would wrap on some terminals */
    const double done = (double) (stats->step + 1) / (double) display->total_steps;
    char head[64];
    char tail[160];
    char left[32];
    time_text((double) (display->total_steps - stats->step - 1) * display->seconds_per_step, left);
    const int head_length = snprintf(head, sizeof head, "epoch %lld/%lld ", (long long) stats->epoch + 1,
                                     (long long) display->total_epochs);
    const double rate = display->seconds_per_step > 0 ? (double) stats->samples / display->seconds_per_step : 0;
    const int tail_length = snprintf(tail, sizeof tail, " %3.0f %%  loss %.3f  top-1 %4.1f %%  %.0f img/s  %s left",
                                     100 * done, display->loss, 100 * display->top1, rate, left);
    char line[MAX_COLUMNS + 256];
    int used = snprintf(line, sizeof line, "%s", head);
    int bar = columns - head_length - tail_length - 2;
    if (bar > MAX_BAR) bar = MAX_BAR;
    if (bar >= MIN_BAR) {
        const int filled = (int) (done * bar);
        line[used++] = '[';
        for (int i = 0; i < bar; ++i) line[used++] = i < filled ? '=' : i == filled ? '>' : ' ';
        line[used++] = ']';
    }
    snprintf(line + used, sizeof line - (size_t) used, "%s", tail);
    printf("\r%.*s\033[K", columns > 0 ? columns : 0, line);
    fflush(stdout);
    display->bar_is_drawn = 1;
}

static void print_line(const progress_display *display, const moco_step_stats *stats) {
    char left[32];
    time_text((double) (display->total_steps - stats->step - 1) * display->seconds_per_step, left);
    printf("step %lld/%lld  loss %.3f  top-1 %.1f %%  %.0f images/s  %s left%s\n", (long long) stats->step + 1,
           (long long) display->total_steps, display->loss, 100 * display->top1,
           (double) stats->samples / display->seconds_per_step, left,
           stats->warming_up ? "  (the queue is still filling)" : "");
    fflush(stdout);
}

void progress_step(progress_display *display, const moco_step_stats *stats) {
    /* A plain mean at first, so that the first steps, which are unlike the rest, are soon forgotten. */
    const double mean_weight = 1.0 / (double) ++display->steps;
    const double weight = mean_weight > SMOOTHING ? mean_weight : SMOOTHING;
    display->seconds_per_step += weight * (stats->seconds - display->seconds_per_step);
    display->loss += weight * (stats->loss - display->loss);
    display->top1 += weight * (stats->top1 - display->top1);
    const double now = seconds_now();
    const int32_t last = stats->step + 1 == display->total_steps;
    if (now - display->last_drawn < (display->on_terminal ? SECONDS_PER_DRAW : SECONDS_PER_LINE) &&
        !(last && display->on_terminal)) {
        return;
    }
    display->last_drawn = now;
    if (display->on_terminal) {
        draw_bar(display, stats);
    } else {
        print_line(display, stats);
    }
}

void progress_clear(progress_display *display) {
    if (!display->bar_is_drawn) return;
    printf("\r\033[K");
    fflush(stdout);
    display->bar_is_drawn = 0;
}

void progress_print(progress_display *display, const char *format, ...) {
    progress_clear(display);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}
