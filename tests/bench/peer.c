#define _POSIX_C_SOURCE 200809L
#include "peer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_ARGUMENTS 32

struct bench_peer {
    pid_t process;
    FILE *to;
    FILE *from;
};

static void run_child(const char *script, const char *const *arguments, int threads, int input, int output) {
    char path[4096], count[16];
    snprintf(path, sizeof path, "%s/%s", MOCO_BENCH_DIR, script);
    snprintf(count, sizeof count, "%d", threads);
    setenv("OMP_NUM_THREADS", count, 1);
    setenv("MKL_NUM_THREADS", count, 1);
    setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
    const char *python = getenv("MOCO_BENCH_PYTHON");
    if (python == NULL || python[0] == '\0') python = "python3";
    char *argv[MOST_ARGUMENTS + 6];
    int argc = 0;
    argv[argc++] = (char *) (size_t) python;
    argv[argc++] = path;
    argv[argc++] = (char *) (size_t) "--threads";
    argv[argc++] = count;
    for (int i = 0; arguments[i] != NULL && i < MOST_ARGUMENTS; ++i) argv[argc++] = (char *) (size_t) arguments[i];
    argv[argc] = NULL;
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    execvp(python, argv);
    _exit(127);
}

/* One line without its newline; 0 when the child is gone. */
static int read_line(bench_peer *peer, char *line, size_t size) {
    if (fgets(line, (int) size, peer->from) == NULL) return 0;
    line[strcspn(line, "\n")] = '\0';
    return 1;
}

bench_peer *bench_peer_start(const char *script, const char *const *arguments, int threads, char *reason,
                             size_t reason_size) {
    int to[2], from[2];
    snprintf(reason, reason_size, "the child process could not be started");
    signal(SIGPIPE, SIG_IGN); /* a child that dies is an answer, not an end */
    if (pipe(to) != 0) return NULL;
    if (pipe(from) != 0) {
        close(to[0]);
        close(to[1]);
        return NULL;
    }
    fflush(stdout);
    const pid_t process = fork();
    if (process == 0) {
        close(to[1]);
        close(from[0]);
        run_child(script, arguments, threads, to[0], from[1]);
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
        snprintf(reason, reason_size, "not installed (no Python, or its script failed)");
    } else if (strcmp(line, "ready") == 0) {
        return peer;
    } else {
        snprintf(reason, reason_size, "%s", strncmp(line, "absent ", 7) == 0 ? line + 7 : line);
    }
    bench_peer_stop(peer);
    return NULL;
}

static double ask(bench_peer *peer, const char *verb, const char *name) {
    char line[512];
    if (fprintf(peer->to, "%s%s\n", verb, name) < 0 || fflush(peer->to) != 0) return -1;
    return read_line(peer, line, sizeof line) ? strtod(line, NULL) : -1;
}

double bench_peer_run(bench_peer *peer) {
    return ask(peer, "run", "");
}

double bench_peer_get(bench_peer *peer, const char *name) {
    return ask(peer, "get ", name);
}

void bench_peer_stop(bench_peer *peer) {
    if (peer == NULL) return;
    if (peer->to != NULL) fclose(peer->to); /* the end of its input ends the child */
    if (peer->from != NULL) fclose(peer->from);
    waitpid(peer->process, NULL, 0);
    free(peer);
}
