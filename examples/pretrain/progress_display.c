#include "pretrain/progress_display.h"

#include <stdarg.h>
#include <string.h>

#define SMOOTHING 0.05 /* weight of the newest step */

void progress_start(progress_display *display, int64_t total_steps, int64_t total_epochs) {
    memset(display, 0, sizeof *display);
    display->total_steps = total_steps;
    display->total_epochs = total_epochs;
    progress_bar_start(&display->bar, stdout);
}

/* "epoch 3/20 [=====>    ] 25 %  loss 6.93  top-1 12.5 %  812 img/s  1:15 left" */
static void draw_bar(progress_display *display, const moco_step_stats *stats) {
    const double done = (double) (stats->step + 1) / (double) display->total_steps;
    char head[64];
    char tail[160];
    char left[32];
    progress_time_text((double) (display->total_steps - stats->step - 1) * display->seconds_per_step, left);
    snprintf(head, sizeof head, "epoch %lld/%lld ", (long long) stats->epoch + 1, (long long) display->total_epochs);
    const double rate = display->seconds_per_step > 0 ? (double) stats->samples / display->seconds_per_step : 0;
    snprintf(tail, sizeof tail, " %3.0f %%  loss %.3f  top-1 %4.1f %%  %.0f img/s  %s left", 100 * done, display->loss,
             100 * display->top1, rate, left);
    progress_bar_draw(&display->bar, head, done, tail);
}

static void print_line(const progress_display *display, const moco_step_stats *stats) {
    char left[32];
    progress_time_text((double) (display->total_steps - stats->step - 1) * display->seconds_per_step, left);
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
    const int32_t last = stats->step + 1 == display->total_steps;
    if (!progress_bar_is_due(&display->bar) && !(last && display->bar.on_terminal)) return;
    if (display->bar.on_terminal) {
        draw_bar(display, stats);
    } else {
        print_line(display, stats);
    }
}

void progress_clear(progress_display *display) {
    progress_bar_clear(&display->bar);
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
