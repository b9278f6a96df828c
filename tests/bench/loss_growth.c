#include "loss_growth.h"

#include <stdio.h>

#include "measure.h"

#define DOUBLINGS 3
#define POINTS    16
#define MOST_REPS 1000

/* The points of one table. They are run in turns, so that a slow moment of the machine hits all of them. */
typedef struct growth_table {
    const char *name;
    int points;
    loss_sizes sizes[POINTS];
    loss_run runs[POINTS];
} growth_table;

static int64_t value_of(const char *name, const loss_sizes *s) {
    return name[0] == 'n' ? s->n : name[0] == 'k' ? s->k : name[0] == 'd' ? s->dim : s->threads;
}

static int64_t *shape_of(const char *name, loss_sizes *s) {
    return name[0] == 'n' ? &s->n : name[0] == 'k' ? &s->k : &s->dim;
}

static void list_points(growth_table *table, const char *name, const loss_sizes *largest) {
    table->name = name;
    table->points = 0;
    if (name[0] == 't') {
        for (int threads = 1; threads <= largest->threads && table->points < POINTS; threads *= 2) {
            table->sizes[table->points] = *largest;
            table->sizes[table->points++].threads = threads;
        }
        return;
    }
    for (int i = 0; i <= DOUBLINGS; ++i) {
        loss_sizes s = *largest;
        int64_t *value = shape_of(name, &s);
        *value >>= DOUBLINGS - i;
        if (*value >= 1) table->sizes[table->points++] = s;
    }
}

static int run_table(growth_table *table, int reps) {
    static double ms[POINTS][MOST_REPS];
    moco_status status = MOCO_OK;
    int opened = 0;
    while (opened < table->points && status == MOCO_OK) {
        status = loss_run_open(&table->runs[opened], &table->sizes[opened]);
        ++opened;
    }
    for (int rep = 0; rep < reps && status == MOCO_OK; ++rep) {
        for (int i = 0; i < table->points && status == MOCO_OK; ++i) {
            status = loss_run_compute(&table->runs[i], &table->sizes[i], &ms[i][rep]);
        }
    }
    if (status != MOCO_OK) fprintf(stderr, "bench_loss: %s\n", moco_last_error());
    double before = 0;
    for (int i = 0; i < table->points && status == MOCO_OK; ++i) {
        const double median = bench_median(ms[i], reps);
        const loss_sizes *s = &table->sizes[i];
        printf("{\"name\": \"loss_growth\", \"doubled\": \"%s\", \"value\": %lld, \"n\": %lld, \"dim\": %lld, \"k\": "
               "%lld, "
               "\"threads\": %d, \"ours_ms\": %.3f, \"ours_best_ms\": %.3f, \"ours_extra_bytes\": %llu",
               table->name, (long long) value_of(table->name, s), (long long) s->n, (long long) s->dim,
               (long long) s->k, s->threads, median, ms[i][0], (unsigned long long) table->runs[i].extra_bytes);
        if (i == 0) {
            printf(", \"ratio\": null, \"best_ratio\": null}\n");
        } else {
            printf(", \"ratio\": %.3f, \"best_ratio\": %.3f}\n", median / before, ms[i][0] / ms[i - 1][0]);
        }
        before = median;
    }
    for (int i = 0; i < opened; ++i) loss_run_close(&table->runs[i]);
    return status != MOCO_OK;
}

int loss_growth(const loss_sizes *sizes) {
    static const char *const names[] = {"n", "k", "dim", "threads"};
    static growth_table table;
    int failed = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && !failed; ++i) {
        list_points(&table, names[i], sizes);
        failed = run_table(&table, sizes->reps);
    }
    return failed;
}
