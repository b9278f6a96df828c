#include "pretrain/stop_signals.h"

#include <unistd.h>

volatile sig_atomic_t interrupted_by;
static moco_trainer *interrupted_trainer;

static void handle(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | flags};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* --- Before there is a trainer --- */

static void end_at_once(int number) {
    static const char text[] = "stopped before the first step; nothing was written\n";
    (void) number;
    const ssize_t told = write(STDERR_FILENO, text, sizeof text - 1);
    (void) told;
    _exit(0);
}

void end_on_signals(void) {
    handle(SIGTERM, end_at_once, 0);
    handle(SIGUSR1, end_at_once, 0);
}

/* --- While it trains --- */

/* moco_trainer_request_stop may be called from a signal handler. */
static void on_signal(int number) {
    interrupted_by = number;
    moco_trainer_request_stop(interrupted_trainer);
}

void catch_signals(moco_trainer *trainer) {
    interrupted_trainer = trainer;
    handle(SIGINT, on_signal, (int) SA_RESETHAND);
    handle(SIGTERM, on_signal, (int) SA_RESETHAND);
    handle(SIGUSR1, on_signal, 0);
}

int exit_code(void) {
    return interrupted_by == SIGINT ? 128 + SIGINT : 0;
}
