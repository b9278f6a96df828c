/* pretrain: trains an encoder by Momentum Contrast and watches it learn by kNN. The training itself is
 * moco_trainer_run, of a trainer made by a recipe; this file runs it epoch by epoch.
 */
#include <moco.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pretrain/learned.h"
#include "pretrain/metrics_file.h"
#include "pretrain/pretrain_options.h"
#include "pretrain/pretrain_parts.h"
#include "pretrain/progress_display.h"
#include "pretrain/run_folder.h"
#include "support/example_support.h"

/* --- Ctrl-C --- */

static moco_trainer *interrupted_trainer;
static volatile sig_atomic_t interrupted_by;

/* moco_trainer_request_stop may be called from a signal handler. The second signal acts as if there were none. */
static void on_signal(int number) {
    interrupted_by = number;
    moco_trainer_request_stop(interrupted_trainer);
}

static void catch_signals(moco_trainer *trainer) {
    interrupted_trainer = trainer;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int) (SA_RESETHAND | SA_RESTART)};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* --- A run --- */

typedef struct run_state {
    const pretrain_options *options;
    pretrain_parts parts;
    progress_display display;
    metrics_file metrics;
    image_progress images_measured;
    epoch_metrics sums; /* of the epoch in progress, until finish_epoch makes them means */
    double seconds;     /* of its steps */
    int64_t images;
    moco_loader_statistics loader; /* before the epoch in progress */
    double untrained_top1;         /* fractions */
    double pixels_top1;
    double last_top1;
} run_state;

static int32_t on_step(const moco_step_stats *stats, void *user) {
    run_state *run = (run_state *) user;
    write_step(&run->metrics, stats);
    progress_step(&run->display, stats);
    epoch_metrics *sums = &run->sums;
    sums->epoch = stats->epoch;
    sums->step = stats->step + 1;
    sums->steps++;
    sums->loss += stats->loss;
    sums->top1 += stats->top1;
    sums->top5 += stats->top5;
    sums->learning_rate = stats->learning_rate;
    sums->momentum = stats->momentum;
    sums->chance_loss = stats->chance_loss;
    sums->queue_filled = stats->queue_filled;
    run->seconds += stats->seconds;
    run->images += stats->samples;
    return 0;
}

static int32_t on_knn_progress(const moco_knn_progress *progress, void *user) {
    run_state *run = (run_state *) user;
    show_images(&run->images_measured, progress->stage, progress->done, progress->total);
    write_progress(&run->metrics, run->sums.epoch, moco_trainer_step_count(run->parts.trainer), progress);
    return interrupted_by != 0;
}

/* 1 and the accuracy; 0 where Ctrl-C has ended the measurement. `label` is what is measured. */
static int knn_of(run_state *run, moco_encoder *encoder, int32_t output, const char *label,
                  moco_knn_accuracy *accuracy) {
    const pretrain_options *options = run->options;
    moco_knn_measure_config config;
    check(moco_knn_measure_config_init(&config, sizeof config));
    config.output = output;
    config.bank = options->knn_bank;
    config.k = (int32_t) options->knn_k;
    config.temperature = options->knn_temperature;
    config.batch_size = evaluation_batch(run->parts.augment);
    config.progress = on_knn_progress;
    config.user = run;
    run->images_measured = count_images(&run->display.bar, label);
    *accuracy = (moco_knn_accuracy){.struct_size = sizeof *accuracy};
    const moco_status status =
        moco_knn_measure(encoder, run->parts.data.train, run->parts.data.test, run->parts.augment, &config, accuracy);
    progress_clear(&run->display);
    if (status == MOCO_CALLBACK && interrupted_by != 0) return 0;
    check(status);
    return 1;
}

/* What the loader did in the epoch that ends. */
static void add_loader(run_state *run, epoch_metrics *means) {
    const moco_loader_statistics before = run->loader;
    moco_loader_statistics *now = &run->loader;
    now->struct_size = sizeof *now;
    check(moco_loader_read_statistics(run->parts.loader, now));
    means->wait_share = run->seconds > 0 ? 1e-9 * (double) (now->ns_wait - before.ns_wait) / run->seconds : 0;
    means->load_seconds = 1e-9 * (double) (now->ns_load - before.ns_load);
    means->augment_seconds = 1e-9 * (double) (now->ns_augment - before.ns_augment);
    means->broken = now->replaced - before.replaced;
    means->cache_bytes = now->cache_bytes;
}

/* Ends the epoch's line in file and display; `measure` 1: with kNN, and the encoder saved. */
static void finish_epoch(run_state *run, int32_t measure) {
    epoch_metrics *means = &run->sums;
    if (means->steps == 0) return;
    means->loss /= (double) means->steps;
    means->top1 /= (double) means->steps;
    means->top5 /= (double) means->steps;
    means->images_per_second = run->seconds > 0 ? (double) run->images / run->seconds : 0;
    means->knn_top1 = -1;
    add_loader(run, means);
    char knn_text[64] = "", broken_text[64] = "";
    if (means->broken > 0) snprintf(broken_text, sizeof broken_text, "  %lld broken", (long long) means->broken);
    if (measure) {
        check(save_encoder(&run->parts, run->options, -1)); /* first: a failing measurement loses nothing */
    }
    char label[64];
    snprintf(label, sizeof label, "epoch %lld, kNN ", (long long) means->epoch + 1);
    moco_knn_accuracy accuracy;
    if (measure && can_measure_knn(&run->parts.data) &&
        knn_of(run, run->parts.encoder, run->options->knn_output, label, &accuracy)) {
        means->knn_top1 = run->last_top1 = accuracy.top1;
        means->knn_top5 = accuracy.top5;
        snprintf(knn_text, sizeof knn_text, "  kNN %.1f %%", 100 * accuracy.top1);
        check(save_encoder(&run->parts, run->options, accuracy.top1));
    }
    progress_print(
        &run->display,
        "epoch %3lld/%lld  loss %.3f (chance %.3f)  top-1 %5.1f %%  lr %.4f  %.0f images/s, wait %.1f %%%s%s",
        (long long) means->epoch + 1, (long long) run->options->epochs, means->loss, means->chance_loss,
        100 * means->top1, means->learning_rate, means->images_per_second, 100 * means->wait_share, broken_text,
        knn_text);
    write_epoch(&run->metrics, means);
    run->sums = (epoch_metrics){0};
    run->seconds = 0;
    run->images = 0;
}

/* Runs to the end, to --max-steps or to Ctrl-C, one epoch at a time. */
static void train(run_state *run) {
    const pretrain_options *options = run->options;
    for (int64_t epoch = 1; epoch <= options->epochs && interrupted_by == 0; ++epoch) {
        const moco_status status = moco_trainer_run(run->parts.trainer, NULL, epoch, options->max_steps, on_step, run);
        progress_clear(&run->display);
        if (status != MOCO_CANCELLED) check(status);
        const int32_t last =
            epoch == options->epochs ||
            (options->max_steps > 0 && moco_trainer_step_count(run->parts.trainer) >= options->max_steps);
        const int32_t due = options->knn_every > 0 && epoch % options->knn_every == 0;
        finish_epoch(run, interrupted_by == 0 && (last || due));
        if (last) break;
    }
}

/* --- Before and after --- */

static void describe(const run_state *run) {
    const pretrain_options *options = run->options;
    const pretrain_parts *parts = &run->parts;
    moco_recipe *recipe = options->recipe;
    printf("libmoco %s, backend %s, %d threads, recipe %s\n", moco_version_string(),
           moco_context_backend(parts->context), moco_context_threads(parts->context), moco_recipe_name(recipe));
    printf("data      %s: %lld images to train, %lld to test, %lld classes; views %d x %d, recipe %s\n", options->data,
           (long long) moco_dataset_count(parts->data.train), (long long) moco_dataset_count(parts->data.test),
           (long long) moco_dataset_classes(parts->data.train), moco_augment_height(parts->augment),
           moco_augment_width(parts->augment), moco_enum_name("augment", moco_recipe_augment(recipe)->recipe));
    printf("encoder   %s, %.2f million parameters, %lld-d embeddings, BatchNorm in %d groups\n",
           moco_recipe_encoder(recipe)->architecture, 1e-6 * (double) moco_encoder_learnable_elements(parts->encoder),
           (long long) moco_encoder_embedding_dim(parts->encoder), moco_recipe_encoder(recipe)->bn_groups);
    printf("training  %lld epochs of %lld steps of %lld images; K %lld, m %g, T %g, lr %g\n",
           (long long) options->epochs, (long long) moco_loader_batches_per_epoch(parts->loader),
           (long long) moco_loader_batch_size(parts->loader),
           (long long) moco_queue_capacity(moco_trainer_queue(parts->trainer)),
           moco_recipe_momentum_encoder(recipe)->momentum, moco_recipe_loss(recipe)->temperature,
           moco_recipe_schedule(recipe)->base);
    fflush(stdout);
}

static void measure_baselines(run_state *run) {
    if (!can_measure_knn(&run->parts.data)) {
        printf("kNN       not measured: there are no %s\n",
               run->parts.data.test == NULL ? "test images (--test-data)" : "labels");
        fflush(stdout);
        return;
    }
    moco_knn_accuracy pixels, untrained;
    if (!knn_of(run, NULL, MOCO_OUTPUT_PIXELS, "kNN of raw pixels ", &pixels) ||
        !knn_of(run, run->parts.encoder, run->options->knn_output, "kNN of the untrained encoder ", &untrained)) {
        return;
    }
    run->pixels_top1 = pixels.top1;
    run->untrained_top1 = untrained.top1;
    printf("kNN       raw pixels %.1f %%, untrained encoder %.1f %%\n", 100 * run->pixels_top1,
           100 * run->untrained_top1);
    fflush(stdout);
    write_baselines(&run->metrics, run->untrained_top1, run->pixels_top1);
}

/* The last lines: what was learned, and where it is. */
static void report(const run_state *run, int64_t total, double seconds) {
    const char *out = run->options->out;
    const int64_t steps = moco_trainer_step_count(run->parts.trainer);
    if (steps == 0) {
        printf("stopped before the first step; there is no encoder to save\n");
        return;
    }
    if (interrupted_by != 0) {
        printf("stopped after step %lld of %lld\n", (long long) steps, (long long) total);
    } else if (run->last_top1 >= 0) {
        char learned[LEARNED_TEXT_SIZE];
        learned_text(run->pixels_top1, run->untrained_top1, run->last_top1, learned);
        printf("kNN       %s\n", learned);
    }
    printf("%lld steps in %.1f s; wrote %s/encoder.safetensors and %s/metrics.jsonl\n", (long long) steps, seconds, out,
           out);
}

int main(int argc, char **argv) {
    example_program = "pretrain";
    pretrain_options options;
    read_pretrain_options(&options, argc, argv);
    const int32_t how = options.overwrite ? RUN_FOLDER_OVERWRITE : RUN_FOLDER_NEW;
    check_run_folder(options.out, how);
    run_state run = {.options = &options, .last_top1 = -1};
    make_parts(&run.parts, &options);
    catch_signals(run.parts.trainer);
    open_metrics(&run.metrics, open_run_folder(options.out, how));
    int64_t total = options.epochs * moco_loader_batches_per_epoch(run.parts.loader);
    if (options.max_steps > 0 && options.max_steps < total) total = options.max_steps;
    write_start(&run.metrics, moco_context_backend(run.parts.context), moco_context_threads(run.parts.context), total);
    describe(&run);
    progress_start(&run.display, total, options.epochs);
    measure_baselines(&run);

    const double start = seconds_now();
    train(&run);
    const double seconds = seconds_now() - start;
    if (moco_trainer_step_count(run.parts.trainer) > 0) {
        check(save_encoder(&run.parts, &options, interrupted_by == 0 ? run.last_top1 : -1));
    }
    report(&run, total, seconds);
    const int32_t failed = run.metrics.failed || close(run.metrics.descriptor) != 0;
    destroy_parts(&run.parts);
    moco_recipe_destroy(options.recipe);
    if (failed) stop("%s/metrics.jsonl could not be written in full", options.out);
    return interrupted_by == 0 ? 0 : 128 + (int) interrupted_by;
}
