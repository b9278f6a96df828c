#define _GNU_SOURCE /* sched_setaffinity */
#include "peer.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define MOST_ARGUMENTS 48

struct bench_peer {
    pid_t process; /* 0: it has ended */
    FILE *to;
    FILE *from;
};

void bench_peer_use_python(int argc, char **argv) {
    const char *python = bench_option_string(argc, argv, "--python", NULL);
    if (python != NULL) setenv("MOCO_BENCH_PYTHON", python, 1);
}

/* Where OpenMP binds threads to processors, it has bound this process's first one before main began, to a single one:
 * all of a child would be confined to that. */
static void release_processors(void) {
    const char *bind = getenv("OMP_PROC_BIND");
    if (bind == NULL || strcmp(bind, "false") == 0) return;
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
}

static void run_child(const char *const *command, int threads, pid_t parent, int input, int output) {
    char count[16];
    snprintf(count, sizeof count, "%d", threads);
    setenv("OMP_NUM_THREADS", count, 1);
    setenv("MKL_NUM_THREADS", count, 1);
    setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
    char *argv[MOST_ARGUMENTS + 3];
    int argc = 0;
    for (int i = 0; command[i] != NULL && i < MOST_ARGUMENTS; ++i) argv[argc++] = (char *) (size_t) command[i];
    argv[argc++] = (char *) (size_t) "--threads";
    argv[argc++] = count;
    argv[argc] = NULL;
    release_processors();
    /* A stopped child would outlive a parent that is killed. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    execvp(argv[0], argv);
    _exit(127);
}

/* One line without its newline; 0 when the child is gone. */
static int read_line(bench_peer *peer, char *line, size_t size) {
    if (fgets(line, (int) size, peer->from) == NULL) return 0;
    line[strcspn(line, "\n")] = '\0';
    return 1;
}

/* Returns when it stands still, so that the other side has the processor for itself from the first moment on. */
static void halt(bench_peer *peer) {
    int state;
    if (peer->process == 0 || kill(peer->process, SIGSTOP) != 0) return;
    if (waitpid(peer->process, &state, WUNTRACED) == peer->process && !WIFSTOPPED(state)) peer->process = 0;
}

static void resume(const bench_peer *peer) {
    if (peer->process != 0) kill(peer->process, SIGCONT);
}

bench_peer *bench_peer_start_program(const char *const *command, int threads, char *reason, size_t reason_size) {
    int to[2], from[2];
    snprintf(reason, reason_size, "the child process could not be started");
    signal(SIGPIPE, SIG_IGN); /* a child that dies is an answer, not an end */
    if (pipe(to) != 0) return NULL;
    if (pipe(from) != 0) {
        close(to[0]);
        close(to[1]);
        return NULL;
    }
    fcntl(to[1], F_SETFD, FD_CLOEXEC); /* held by this process alone: a later child would keep an earlier one's open */
    fcntl(from[0], F_SETFD, FD_CLOEXEC);
    fflush(stdout);
    const pid_t parent = getpid();
    const pid_t process = fork();
    if (process == 0) {
        close(to[1]);
        close(from[0]);
        run_child(command, threads, parent, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    bench_peer *peer = process < 0 ? NULL : (bench_peer *) calloc(1, sizeof *peer);
    if (peer == NULL) {
        close(to[1]);
        close(from[0]);
        return NULL;
    }
    peer->process = process;
    peer->to = fdopen(to[1], "w");
    peer->from = fdopen(from[0], "r");
    char line[512];
    if (!read_line(peer, line, sizeof line)) {
        snprintf(reason, reason_size, "not installed (no such program, or it failed)");
    } else if (strcmp(line, "ready") == 0) {
        halt(peer);
        return peer;
    } else {
        snprintf(reason, reason_size, "%s", strncmp(line, "absent ", 7) == 0 ? line + 7 : line);
    }
    bench_peer_stop(peer);
    return NULL;
}

bench_peer *bench_peer_start(const char *script, const char *const *arguments, int threads, char *reason,
                             size_t reason_size) {
    char path[4096];
    const char *command[MOST_ARGUMENTS + 1];
    int count = 0;
    snprintf(path, sizeof path, "%s/%s", MOCO_BENCH_DIR, script);
    const char *python = getenv("MOCO_BENCH_PYTHON");
    command[count++] = python == NULL || python[0] == '\0' ? "python3" : python;
    command[count++] = path;
    for (int i = 0; arguments[i] != NULL && count < MOST_ARGUMENTS; ++i) command[count++] = arguments[i];
    command[count] = NULL;
    return bench_peer_start_program(command, threads, reason, reason_size);
}

static int ask(bench_peer *peer, const char *verb, const char *name, char *line, size_t size) {
    resume(peer);
    const int answered =
        fprintf(peer->to, "%s%s\n", verb, name) > 0 && fflush(peer->to) == 0 && read_line(peer, line, size);
    halt(peer);
    return answered;
}

double bench_peer_run(bench_peer *peer) {
    char line[512];
    return ask(peer, "run", "", line, sizeof line) ? strtod(line, NULL) : -1;
}

double bench_peer_get(bench_peer *peer, const char *name) {
    char line[512];
    return ask(peer, "get ", name, line, sizeof line) ? strtod(line, NULL) : -1;
}

void bench_peer_get_text(bench_peer *peer, const char *name, char *text, size_t size) {
    if (!ask(peer, "get ", name, text, size)) text[0] = '\0';
}

void bench_peer_stop(bench_peer *peer) {
    if (peer == NULL) return;
    if (peer->to != NULL) fclose(peer->to); /* the end of its input ends the child */
    resume(peer);
    if (peer->from != NULL) fclose(peer->from);
    if (peer->process != 0) waitpid(peer->process, NULL, 0);
    free(peer);
}
