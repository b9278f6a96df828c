/* pretrain: trains an encoder by Momentum Contrast and watches it learn by kNN. The training itself is
 * moco_trainer_run, of a trainer made by a recipe; this file runs it epoch by epoch.
 */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pretrain/checkpoints.h"
#include "pretrain/learned.h"
#include "pretrain/pretrain_options.h"
#include "pretrain/pretrain_parts.h"
#include "pretrain/progress_display.h"
#include "pretrain/run_files.h"
#include "pretrain/run_folder.h"
#include "pretrain/run_progress.h"
#include "pretrain/stop_signals.h"
#include "support/example_support.h"

/* --- A run --- */

typedef struct run_state {
    const pretrain_options *options;
    pretrain_parts parts;
    progress_display display;
    metrics_file metrics;
    image_progress images_measured;
    run_progress done;             /* what a checkpoint keeps of all this */
    moco_loader_statistics loader; /* before this process's part of the epoch in progress */
    checkpoints saved;
    run_status status;
    double started; /* seconds_now(), less what the run took before it was resumed */
} run_state;

/* Adds what the loader did since it was last asked to the sums. */
static void add_loader(run_state *run) {
    run_progress *done = &run->done;
    const moco_loader_statistics before = run->loader;
    moco_loader_statistics *now = &run->loader;
    now->struct_size = sizeof *now;
    check(moco_loader_read_statistics(run->parts.loader, now));
    done->wait_seconds += 1e-9 * (double) (now->ns_wait - before.ns_wait);
    done->load_seconds += 1e-9 * (double) (now->ns_load - before.ns_load);
    done->augment_seconds += 1e-9 * (double) (now->ns_augment - before.ns_augment);
    done->broken += (double) (now->replaced - before.replaced);
}

/* Rewrites the encoder's file, and its folder for other programs. A full disk is no reason to end a training: the user is
 * told, and it goes on. */
static void write_encoder(const run_state *run, double top1, int32_t for_others) {
    moco_status status = save_encoder(&run->parts, run->options, top1);
    if (status == MOCO_OK && for_others) status = export_encoder(&run->parts, run->options);
    if (status != MOCO_OK) {
        fprintf(stderr, "%s: the encoder was not saved: %s; training goes on\n", example_program, moco_last_error());
    }
}

/* Begins a checkpoint of the run as it is now, and rewrites the encoder's file and folder beside it. `top1` is what kNN has measured of
 * just this encoder; below 0: it has not. */
static void save_run(run_state *run, int32_t as_best, double top1) {
    add_loader(run);
    run->done.trained_seconds = seconds_now() - run->started;
    run->done.metrics_bytes = (double) run->metrics.bytes;
    sync_metrics(&run->metrics); /* the lines that the checkpoint counts on come first */
    save_checkpoint(&run->saved, &run->done, as_best);
    write_encoder(run, top1, 1);
}

/* The same to its end, and once more where there was no room before an older checkpoint was given up; 0 where it failed. */
static int32_t save_last(run_state *run, double top1) {
    save_run(run, 0, top1);
    if (finish_checkpoints(&run->saved)) return 1;
    if (!run->saved.made_room) return 0;
    save_run(run, 0, top1);
    return finish_checkpoints(&run->saved);
}

static void tell_status(run_state *run, const char *state) {
    run->status.state = state;
    run->status.step = moco_trainer_step_count(run->parts.trainer);
    run->status.best_top1 = run->done.best_top1;
    snprintf(run->status.checkpoint, sizeof run->status.checkpoint, "%s", run->saved.last);
    write_status(&run->status);
}

static int32_t on_step(const moco_step_stats *stats, void *user) {
    run_state *run = (run_state *) user;
    write_step(&run->metrics, stats);
    progress_step(&run->display, stats);
    epoch_metrics *sums = &run->done.sums;
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
    run->done.seconds += stats->seconds;
    run->done.images += (double) stats->samples;
    run->status.loss = stats->loss;
    run->status.step = stats->step + 1;
    if (checkpoint_is_due(&run->saved, stats->step + 1, 0)) save_run(run, 0, -1);
    if (checkpoint_came(&run->saved)) {
        tell_status(run, "running");
    } else {
        keep_status_fresh(&run->status);
    }
    return 0;
}

static int32_t on_knn_progress(const moco_knn_progress *progress, void *user) {
    run_state *run = (run_state *) user;
    show_images(&run->images_measured, progress->stage, progress->done, progress->total);
    write_progress(&run->metrics, run->done.sums.epoch, moco_trainer_step_count(run->parts.trainer), progress);
    keep_status_fresh(&run->status);
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

/* The sums as means, in file and display, and what comes next starts at nothing. */
static void end_epoch(run_state *run, const epoch_metrics *knn) {
    run_progress *done = &run->done;
    epoch_metrics *means = &done->sums;
    char knn_text[64] = "", broken_text[64] = "";
    add_loader(run);
    means->loss /= (double) means->steps;
    means->top1 /= (double) means->steps;
    means->top5 /= (double) means->steps;
    means->images_per_second = done->seconds > 0 ? done->images / done->seconds : 0;
    means->wait_share = done->seconds > 0 ? done->wait_seconds / done->seconds : 0;
    means->load_seconds = done->load_seconds;
    means->augment_seconds = done->augment_seconds;
    means->broken = (int64_t) done->broken;
    means->cache_bytes = run->loader.cache_bytes;
    means->knn_top1 = knn->knn_top1;
    means->knn_top5 = knn->knn_top5;
    if (means->broken > 0) snprintf(broken_text, sizeof broken_text, "  %lld broken", (long long) means->broken);
    if (knn->knn_top1 >= 0) snprintf(knn_text, sizeof knn_text, "  kNN %.1f %%", 100 * knn->knn_top1);
    progress_print(
        &run->display,
        "epoch %3lld/%lld  loss %.3f (chance %.3f)  top-1 %5.1f %%  lr %.4f  %.0f images/s, wait %.1f %%%s%s",
        (long long) means->epoch + 1, (long long) run->options->epochs, means->loss, means->chance_loss,
        100 * means->top1, means->learning_rate, means->images_per_second, 100 * means->wait_share, broken_text,
        knn_text);
    write_epoch(&run->metrics, means);
    done->sums = (epoch_metrics){0};
    done->images = done->seconds = done->wait_seconds = done->load_seconds = done->augment_seconds = done->broken = 0;
}

/* Ends an epoch; `measure` 1: with kNN, and the encoder saved; `save` 1: with a checkpoint. Where it is cut short by a signal, a run that goes on ends it
 * again, from the checkpoint that is saved first. */
static void finish_epoch(run_state *run, int32_t measure, int32_t save) {
    epoch_metrics knn = {.knn_top1 = -1};
    if (run->done.sums.steps == 0) return;
    if (measure && interrupted_by == 0) {
        write_encoder(run, -1, 0); /* first: a failing measurement loses nothing */
        char label[64];
        snprintf(label, sizeof label, "epoch %lld, kNN ", (long long) run->done.sums.epoch + 1);
        moco_knn_accuracy accuracy;
        if (can_measure_knn(&run->parts.data) &&
            knn_of(run, run->parts.encoder, run->options->knn_output, label, &accuracy)) {
            knn.knn_top1 = accuracy.top1;
            knn.knn_top5 = accuracy.top5;
        }
    }
    const int32_t is_cut = interrupted_by != 0;
    if (is_cut && run->saved.last_step != moco_trainer_step_count(run->parts.trainer)) (void) save_last(run, -1);
    if (knn.knn_top1 >= 0) run->done.last_top1 = knn.knn_top1;
    end_epoch(run, &knn);
    if (is_cut) return;
    if (knn.knn_top1 > run->done.best_top1) {
        run->done.best_top1 = knn.knn_top1;
        save_run(run, 1, knn.knn_top1);
    } else if (knn.knn_top1 >= 0) {
        write_encoder(run, knn.knn_top1, 0);
    }
    if (save) save_run(run, 0, knn.knn_top1);
}

/* Runs to the end, to --max-steps or to a signal, one epoch at a time. */
static void train(run_state *run) {
    const pretrain_options *options = run->options;
    moco_trainer *trainer = run->parts.trainer;
    const int64_t batches = moco_loader_batches_per_epoch(run->parts.loader);
    /* An epoch whose line is not written yet is ended, though there may be no step left in it. */
    int64_t epoch = moco_trainer_step_count(trainer) / batches;
    if (moco_trainer_step_count(trainer) % batches > 0 || run->done.sums.steps == 0) epoch++;
    for (; epoch <= options->epochs && interrupted_by == 0; ++epoch) {
        const moco_status status = moco_trainer_run(trainer, NULL, epoch, options->max_steps, on_step, run);
        progress_clear(&run->display);
        if (status != MOCO_CANCELLED) check(status);
        const int64_t step = moco_trainer_step_count(trainer);
        const int32_t last = epoch == options->epochs || (options->max_steps > 0 && step >= options->max_steps);
        const int32_t due = options->knn_every > 0 && epoch % options->knn_every == 0;
        finish_epoch(run, last || due, !last && checkpoint_is_due(&run->saved, step, 1));
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
    run->done.pixels_top1 = pixels.top1;
    run->done.untrained_top1 = untrained.top1;
    printf("kNN       raw pixels %.1f %%, untrained encoder %.1f %%\n", 100 * run->done.pixels_top1,
           100 * run->done.untrained_top1);
    fflush(stdout);
    write_baselines(&run->metrics, run->done.untrained_top1, run->done.pixels_top1);
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
    } else if (run->done.last_top1 >= 0) {
        char learned[LEARNED_TEXT_SIZE];
        learned_text(run->done.pixels_top1, run->done.untrained_top1, run->done.last_top1, learned);
        printf("kNN       %s\n", learned);
    }
    printf("%lld steps in %.1f s; wrote %s/encoder.safetensors and %s/metrics.jsonl\n", (long long) steps, seconds, out,
           out);
}

/* Whether the run may have its folder is asked before anything is opened. */
static int32_t choose_folder(const pretrain_options *options) {
    int32_t how = options->overwrite ? RUN_FOLDER_OVERWRITE : RUN_FOLDER_NEW;
    if (options->resume != NULL && resumes_in_place(options)) {
        const int32_t goes_on = strcmp(options->resume, "auto") != 0 || has_checkpoints(options);
        how = goes_on ? RUN_FOLDER_RESUME : RUN_FOLDER_NOTHING_TO_RESUME;
    }
    check_run_folder(options->out, how);
    return how;
}

/* Goes on where a checkpoint was taken; 0 where there is none. */
static int32_t resume(run_state *run, int metrics, int32_t in_place) {
    char path[CHECKPOINT_PATH_SIZE];
    const pretrain_options *options = run->options;
    if (options->resume == NULL ||
        !resume_checkpoint(options, run->parts.context, run->parts.trainer, &run->done, path)) {
        return 0;
    }
    const int64_t step = moco_trainer_step_count(run->parts.trainer);
    if (in_place) {
        cut_metrics(metrics, (int64_t) run->done.metrics_bytes);
        remove_later_checkpoints(options, step);
    }
    printf("resumed   after step %lld, from %s\n", (long long) step, path);
    fflush(stdout);
    return 1;
}

/* What comes before the first step of a new run. */
static void begin(run_state *run) {
    if (run->options->init != NULL) init_parts(&run->parts, run->options);
    measure_baselines(run);
}

/* The last checkpoint and the encoder; 0 where it could not be saved. */
static int32_t save_the_end(run_state *run) {
    const int64_t step = moco_trainer_step_count(run->parts.trainer);
    if (step == 0) return 1;
    const double top1 = interrupted_by == 0 ? run->done.last_top1 : -1;
    int32_t is_saved = step == run->saved.last_step && finish_checkpoints(&run->saved);
    if (!is_saved && (step != run->saved.last_step || run->saved.made_room)) is_saved = save_last(run, top1);
    check(save_encoder(&run->parts, run->options, top1));
    check(export_encoder(&run->parts, run->options));
    return is_saved;
}

int main(int argc, char **argv) {
    example_program = "pretrain";
    end_on_signals();
    pretrain_options options;
    read_pretrain_options(&options, argc, argv);
    const int32_t how = choose_folder(&options);
    run_state run = {.options = &options,
                     .done = {.untrained_top1 = -1, .pixels_top1 = -1, .last_top1 = -1, .best_top1 = -1}};
    make_parts(&run.parts, &options);
    /* By absolute paths, so that files of this run find their data from any folder. */
    options.data = moco_dataset_description(run.parts.data.train);
    if (options.test_data != NULL) options.test_data = moco_dataset_description(run.parts.data.test);
    catch_signals(run.parts.trainer);
    /* What a run of another folder goes on from is read first: where it can't be, this one is not made. */
    const int32_t is_from_elsewhere = options.resume != NULL && !resumes_in_place(&options);
    int32_t is_resumed = is_from_elsewhere && resume(&run, -1, 0);
    const int metrics = open_run_folder(options.out, how);
    int64_t total = options.epochs * moco_loader_batches_per_epoch(run.parts.loader);
    if (options.max_steps > 0 && options.max_steps < total) total = options.max_steps;
    if (!is_from_elsewhere) is_resumed = resume(&run, metrics, how == RUN_FOLDER_RESUME);
    open_metrics(&run.metrics, metrics);
    write_config(&options, run.parts.context);
    run.status = (run_status){.folder = options.out, .total_steps = total};
    open_checkpoints(&run.saved, &options, run.parts.context, run.parts.trainer);
    tell_status(&run, "running");
    watch_status(&run.status);
    describe(&run);
    progress_start(&run.display, total, options.epochs);
    if (!is_resumed || how != RUN_FOLDER_RESUME) {
        write_start(&run.metrics, moco_context_backend(run.parts.context), moco_context_threads(run.parts.context),
                    total);
    }
    if (!is_resumed) begin(&run);

    run.started = seconds_now() - run.done.trained_seconds;
    train(&run);
    const double seconds = seconds_now() - run.started;
    const int32_t is_saved = save_the_end(&run);
    report(&run, total, seconds);
    const int32_t failed = run.metrics.failed || close(run.metrics.descriptor) != 0;
    if (!failed && is_saved) tell_status(&run, interrupted_by == 0 ? "completed" : "interrupted");
    close_checkpoints(&run.saved);
    destroy_parts(&run.parts);
    moco_recipe_destroy(options.recipe);
    if (failed) stop("%s/metrics.jsonl could not be written in full", options.out);
    if (!is_saved) stop("the last checkpoint could not be saved");
    return exit_code();
}
