/* How far something is: a bar that is redrawn on a terminal, plain lines now and then elsewhere. */
#ifndef MOCO_EXAMPLE_PROGRESS_BAR_H
#define MOCO_EXAMPLE_PROGRESS_BAR_H

#include <stdint.h>
#include <stdio.h>

typedef struct progress_bar {
    FILE *stream;
    int32_t on_terminal;
    int32_t is_drawn;
    double last_drawn; /* seconds_now() */
} progress_bar;

void progress_bar_start(progress_bar *bar, FILE *stream);

/* 1 ten times a second on a terminal, every ten seconds elsewhere: draw, or print a line, now. */
int32_t progress_bar_is_due(progress_bar *bar);

/* "HEAD[====>    ]TAIL", as much of it as fits; only on a terminal. `done` is a fraction. */
void progress_bar_draw(progress_bar *bar, const char *head, double done, const char *tail);

/* Takes the bar away. */
void progress_bar_clear(progress_bar *bar);

/* 75 -> "1:15", 3700 -> "1:01:40" */
void progress_time_text(double seconds, char text[32]);

/* Images that are counted one stage after the other, such as those of an evaluation. */
typedef struct image_progress {
    progress_bar *bar;
    const char *label;
    int32_t stage;
    int64_t first_done; /* the stage's first count, from which on time is taken; -1: none yet */
    double first_seen;
} image_progress;

image_progress count_images(progress_bar *bar, const char *label);

/* "LABEL [===>   ] 40 %  12000 of 30000 images  1:15 left", or once in a while a line. `stage` tells one total from the
 * next. */
void show_images(image_progress *progress, int32_t stage, int64_t done, int64_t total);

#endif
