#include "support/progress_bar.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "support/example_support.h"

#define SECONDS_PER_DRAW 0.1
#define SECONDS_PER_LINE 10.0
#define DEFAULT_COLUMNS  80
#define MAX_COLUMNS      512
#define MIN_BAR          8
#define MAX_BAR          40

void progress_bar_start(progress_bar *bar, FILE *stream) {
    const char *terminal = getenv("TERM");
    *bar = (progress_bar){.stream = stream, .last_drawn = seconds_now()};
    bar->on_terminal = isatty(fileno(stream)) && (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

int32_t progress_bar_is_due(progress_bar *bar) {
    const double now = seconds_now();
    if (now - bar->last_drawn < (bar->on_terminal ? SECONDS_PER_DRAW : SECONDS_PER_LINE)) return 0;
    bar->last_drawn = now;
    return 1;
}

static int terminal_columns(const progress_bar *bar) {
    struct winsize size;
    if (ioctl(fileno(bar->stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return DEFAULT_COLUMNS;
    return size.ws_col < MAX_COLUMNS ? size.ws_col : MAX_COLUMNS;
}

void progress_bar_draw(progress_bar *bar, const char *head, double done, const char *tail) {
    if (!bar->on_terminal) return;
    const int columns = terminal_columns(bar) - 1; /* the last one would wrap on some terminals */
    char line[MAX_COLUMNS + 256];
    int used = snprintf(line, sizeof line - MAX_BAR - 2, "%s", head);
    if (used > (int) sizeof line - MAX_BAR - 3) used = (int) sizeof line - MAX_BAR - 3;
    int width = columns - used - (int) strlen(tail) - 2;
    if (width > MAX_BAR) width = MAX_BAR;
    if (width >= MIN_BAR) {
        const int filled = (int) (done * width);
        line[used++] = '[';
        for (int i = 0; i < width; ++i) line[used++] = i < filled ? '=' : i == filled ? '>' : ' ';
        line[used++] = ']';
    }
    snprintf(line + used, sizeof line - (size_t) used, "%s", tail);
    fprintf(bar->stream, "\r%.*s\033[K", columns > 0 ? columns : 0, line);
    fflush(bar->stream);
    bar->is_drawn = 1;
}

void progress_bar_clear(progress_bar *bar) {
    if (!bar->is_drawn) return;
    fprintf(bar->stream, "\r\033[K");
    fflush(bar->stream);
    bar->is_drawn = 0;
}

void progress_time_text(double seconds, char text[32]) {
    const long long s = (long long) (seconds + 0.5);
    if (s >= 3600) {
        snprintf(text, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(text, 32, "%lld:%02lld", s / 60, s % 60);
    }
}

/* --- Images --- */

image_progress count_images(progress_bar *bar, const char *label) {
    return (image_progress){.bar = bar, .label = label, .first_done = -1, .first_seen = seconds_now()};
}

void show_images(image_progress *progress, int32_t stage, int64_t done, int64_t total) {
    if (stage != progress->stage) {
        progress->first_done = -1;
        progress->stage = stage;
    }
    if (progress->first_done < 0) { /* what comes before, such as reading files for the first time, says little */
        progress->first_done = done;
        progress->first_seen = seconds_now();
    }
    if (!progress_bar_is_due(progress->bar)) return;
    const int64_t timed = done - progress->first_done;
    const double seconds = seconds_now() - progress->first_seen;
    char left[32], tail[128], line[64];
    int used = snprintf(line, sizeof line, "%lld of %lld images", (long long) done, (long long) total);
    if (timed > 0) {
        progress_time_text(seconds * (double) (total - done) / (double) timed, left);
        snprintf(line + used, sizeof line - (size_t) used, "  %s left", left);
    }
    if (progress->bar->on_terminal) {
        const double fraction = total > 0 ? (double) done / (double) total : 1;
        snprintf(tail, sizeof tail, " %3.0f %%  %s", 100 * fraction, line);
        progress_bar_draw(progress->bar, progress->label, fraction, tail);
    } else {
        fprintf(progress->bar->stream, "%s%s\n", progress->label, line);
        fflush(progress->bar->stream);
    }
}
