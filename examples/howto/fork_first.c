/* Fork first, then make a context in each child: the threads of a parent's context do not survive a fork. */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int work(int child) {
    enum { N = 8, DIM = 128 };
    static float q[N * DIM];
    moco_context *context = NULL;
    moco_queue *queue = NULL;
    moco_loss *loss = NULL;
    moco_loss_result result;
    for (int i = 0; i < N * DIM; ++i) q[i] = (float) ((i * 37 + child) % 11 - 5) / 40.0F;
    const int fine =
        moco_context_create(&context, NULL) == MOCO_OK && moco_queue_create(&queue, context, NULL) == MOCO_OK &&
        moco_loss_create(&loss, context, NULL) == MOCO_OK && moco_loss_result_init(&result, sizeof result) == MOCO_OK &&
        moco_loss_compute(loss, q, q, N, queue, NULL, &result, NULL) == MOCO_OK;
    if (fine) {
        printf("child %d: loss %.3f\n", child, result.loss);
    } else {
        fprintf(stderr, "child %d: %s\n", child, moco_last_error());
    }
    moco_loss_destroy(loss);
    moco_queue_destroy(queue);
    moco_context_destroy(context);
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(void) {
    enum { CHILDREN = 2 };
    int failures = 0;
    fflush(stdout);
    for (int child = 0; child < CHILDREN; ++child) {
        const pid_t pid = fork();
        if (pid == 0) exit(work(child));
        failures += pid < 0;
    }
    for (int child = 0; child < CHILDREN - failures; ++child) {
        int status = 0;
        failures += wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS;
    }
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
