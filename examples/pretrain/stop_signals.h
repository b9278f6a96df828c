/* Ctrl-C, and what a cluster sends before it takes the machine away. */
#ifndef MOCO_EXAMPLE_STOP_SIGNALS_H
#define MOCO_EXAMPLE_STOP_SIGNALS_H

#include <moco.h>
#include <signal.h>

/* The signal that has asked the run to stop; 0: none. */
extern volatile sig_atomic_t interrupted_by;

/* Before there is a trainer: SIGTERM and SIGUSR1 end the program at once with 0, since there is nothing to save. */
void end_on_signals(void);

/* From now on a signal stops the trainer's run after the step in progress. A second Ctrl-C or SIGTERM acts as if there were no
 * handler; SIGUSR1 may come as often as it likes. */
void catch_signals(moco_trainer *trainer);

/* What the program ends with: 130 where Ctrl-C has cut the run short; the other signals asked for what then was done: it is saved,
 * to go on from. */
int exit_code(void);

#endif
