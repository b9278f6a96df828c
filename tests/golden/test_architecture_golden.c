/* Every architecture family against PyTorch in float64 (golden/make_architecture_goldens.py): embeddings, features,
 * running statistics and the gradient of every parameter; and torchvision's names and shapes. */
#include "support/encoder_fixture.h"

#include "encoder/architecture.h"

#define LINE 256

/* norm, projection on the pattern, four elements */
typedef struct summary {
    double norm;
    double projection;
    double samples[4];
} summary;

typedef struct golden_case {
    char name[64];
    char architecture[64];
    int stem, head, dim, normalize, groups, strided, n, h, w, mlp_hidden, mlp_layers, kinks;
    summary embeddings, evaluation, features;
    int64_t entries;
    struct {
        char name[64];
        summary values;
    } entry[300];
} golden_case;

static golden_case golden;

static summary summarise(const float *values, int64_t count) {
    summary s = {0.0, 0.0, {0.0}};
    for (int64_t i = 0; i < count; ++i) {
        s.norm += (double) values[i] * (double) values[i];
        s.projection += (double) values[i] * hashed(STREAM_PATTERN, i);
    }
    s.norm = sqrt(s.norm);
    for (int64_t k = 0; k < 4; ++k) s.samples[k] = (double) values[k * (count - 1) / 3];
    return s;
}

static void read_summary(const char *text, summary *s) {
    assert_int_equal(6, sscanf(text, "%lf %lf %lf %lf %lf %lf", &s->norm, &s->projection, &s->samples[0],
                               &s->samples[1], &s->samples[2], &s->samples[3]));
}

/* 1 with the next case in `golden`, 0 at the end of the file. */
static int read_case(FILE *file) {
    char line[LINE];
    memset(&golden, 0, sizeof golden);
    if (fgets(line, sizeof line, file) == NULL) return 0;
    assert_int_equal(1, sscanf(line, "case %63s", golden.name));
    assert_non_null(fgets(line, sizeof line, file));
    assert_int_equal(13,
                     sscanf(line, "config %63s %d %d %d %d %d %d %d %d %d %d %d %d", golden.architecture, &golden.stem,
                            &golden.head, &golden.dim, &golden.normalize, &golden.groups, &golden.strided, &golden.n,
                            &golden.h, &golden.w, &golden.mlp_hidden, &golden.mlp_layers, &golden.kinks));
    while (fgets(line, sizeof line, file) != NULL && strcmp(line, "end\n") != 0) {
        char *numbers = strchr(line, ' ');
        assert_non_null(numbers);
        *numbers++ = '\0';
        if (strcmp(line, "embeddings") == 0) {
            read_summary(numbers, &golden.embeddings);
        } else if (strcmp(line, "evaluation") == 0) {
            read_summary(numbers, &golden.evaluation);
        } else if (strcmp(line, "features") == 0) {
            read_summary(numbers, &golden.features);
        } else {
            assert_true(golden.entries < 300);
            snprintf(golden.entry[golden.entries].name, 64, "%.63s", line);
            read_summary(numbers, &golden.entry[golden.entries++].values);
        }
    }
    return 1;
}

static double worst; /* relative, of the case in progress */

/* Norm and projection within tolerance * norm, elements within 10 times that of themselves and the usual size. `floor`
 * is absolute: a gradient that is 0 in exact arithmetic is only rounding here. */
static void check(const char *what, const summary *expected, const summary *actual, int64_t count, double tolerance,
                  double floor) {
    const double scale = expected->norm + floor / tolerance;
    const double error =
        fmax(fabs(actual->norm - expected->norm), fabs(actual->projection - expected->projection)) / scale;
    if (error > worst) worst = error;
    if (!(error <= tolerance)) {
        fail_msg("%s, %s: norm %.9g and projection %.9g instead of %.9g and %.9g", golden.name, what, actual->norm,
                 actual->projection, expected->norm, expected->projection);
    }
    const double usual = scale / sqrt((double) count);
    for (int k = 0; k < 4; ++k) {
        const double off = fabs(actual->samples[k] - expected->samples[k]);
        if (!(off <= 10.0 * tolerance * (fabs(expected->samples[k]) + usual))) {
            fail_msg("%s, %s: sample %d is %.9g instead of %.9g", golden.name, what, k, actual->samples[k],
                     expected->samples[k]);
        }
    }
}

static moco_encoder *golden_encoder(moco_context *context) {
    moco_encoder_config config;
    assert_ok(moco_encoder_config_init(&config, sizeof config));
    config.architecture = golden.architecture;
    config.stem = golden.stem;
    config.head = golden.head;
    config.embedding_dim = golden.dim;
    config.normalize = golden.normalize;
    config.bn_groups = golden.groups;
    config.bn_layout = golden.strided ? MOCO_BN_STRIDED : MOCO_BN_CONTIGUOUS;
    config.mlp_input_dim = 3 * golden.h * golden.w;
    if (golden.mlp_hidden > 0) config.mlp_hidden_dim = golden.mlp_hidden;
    if (golden.mlp_layers > 0) config.mlp_layers = golden.mlp_layers;
    moco_encoder *encoder = make_encoder(context, &config);
    fill_encoder(encoder, golden.kinks);
    return encoder;
}

static void check_parameters(const moco_encoder *encoder, double tolerance) {
    double all = 0.0;
    assert_int_equal(golden.entries, moco_encoder_parameter_count(encoder));
    for (int64_t i = 0; i < golden.entries; ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_ok(moco_encoder_parameter_info(encoder, i, &info));
        assert_string_equal(golden.entry[i].name, info.name);
        if (info.kind == MOCO_PARAMETER_LEARNABLE) all = hypot(all, golden.entry[i].values.norm);
    }
    for (int64_t i = 0; i < golden.entries; ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        assert_ok(moco_encoder_parameter_info(encoder, i, &info));
        float *values = (float *) malloc((size_t) info.elements * sizeof *values);
        const int32_t learnable = info.kind == MOCO_PARAMETER_LEARNABLE;
        assert_ok(learnable ? moco_encoder_read_gradient(encoder, i, values)
                            : moco_encoder_read_parameter(encoder, i, values));
        const summary actual = summarise(values, info.elements);
        check(info.name, &golden.entry[i].values, &actual, info.elements, tolerance, learnable ? 1e-7 * all : 0.0);
        free(values);
    }
}

static void run_case(moco_context *context, double tolerance) {
    moco_encoder *encoder = golden_encoder(context);
    const int64_t n = golden.n, dim = moco_encoder_embedding_dim(encoder), features = moco_encoder_feature_dim(encoder);
    float *images = hashed_floats(STREAM_IMAGES, n * 3 * golden.h * golden.w, 1.5);
    float *gradient = hashed_floats(STREAM_GRADIENT, n * dim, 1.0);
    float *output = (float *) malloc((size_t) (n * (dim > features ? dim : features)) * sizeof *output);
    worst = 0.0;

    assert_ok(moco_encoder_forward(encoder, images, n, golden.h, golden.w, output));
    summary actual = summarise(output, n * dim);
    check("embeddings", &golden.embeddings, &actual, n * dim, tolerance, 0.0);
    /* Evaluating in between must not disturb the backward pass. */
    assert_ok(moco_encoder_evaluate(encoder, images, n, golden.h, golden.w, output));
    actual = summarise(output, n * dim);
    check("evaluation", &golden.evaluation, &actual, n * dim, tolerance, 0.0);
    assert_ok(moco_encoder_features(encoder, images, n, golden.h, golden.w, output));
    actual = summarise(output, n * features);
    check("features", &golden.features, &actual, n * features, tolerance, 0.0);
    assert_ok(moco_encoder_backward(encoder, gradient, n));
    check_parameters(encoder, tolerance);
    print_message("%s on %s: worst relative error %.2g\n", golden.name, moco_context_backend(context), worst);

    free(images);
    free(gradient);
    free(output);
    moco_encoder_destroy(encoder);
}

static FILE *open_golden(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", MOCO_TEST_DATA_DIR, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) fail_msg("cannot open %s", path);
    return file;
}

/* float32's rounding through 20 to 50 layers and back. */
#define TOLERANCE 1e-4

static void families_match_pytorch(void **state) {
    (void) state;
    moco_context *context = make_context(NULL, 0);
    FILE *file = open_golden("architecture_goldens.txt");
    int cases = 0;
    for (; read_case(file); ++cases) run_case(context, TOLERANCE);
    assert_int_equal(10, cases);
    fclose(file);
    moco_context_destroy(context);
}

/* The small cases on backends that are not the first of "auto": all of them on cblas, the oracle what it does in
 * reasonable time. */
static void small_cases_match_on(const char *backend, int largest, int expected_cases) {
    moco_context *context = make_context(backend, 0);
    FILE *file = open_golden("architecture_goldens.txt");
    int cases = 0;
    while (read_case(file)) {
        if (golden.h > largest) continue;
        run_case(context, TOLERANCE);
        cases++;
    }
    assert_int_equal(expected_cases, cases);
    fclose(file);
    moco_context_destroy(context);
}

static void reference_matches_pytorch(void **state) {
    (void) state;
    small_cases_match_on("reference", 16, 3);
}

static void cblas_matches_pytorch(void **state) {
    (void) state;
    small_cases_match_on("cblas", 32, 6);
}

/* --- Names and shapes --- */

static uint64_t fnv(uint64_t h, const char *text) {
    for (; *text != '\0'; ++text) h = (h ^ (uint64_t) (unsigned char) *text) * UINT64_C(0x100000001B3);
    return h;
}

static void describe(const moco_graph_parameter *parameter, char line[LINE]) {
    int length = snprintf(line, LINE, "%s %d ", parameter->name, parameter->kind == MOCO_PARAMETER_LEARNABLE);
    for (int32_t d = 0; d < parameter->rank; ++d) {
        length += snprintf(line + length, (size_t) (LINE - length), "%s%lld", d > 0 ? "x" : "",
                           (long long) parameter->dims[d]);
    }
    snprintf(line + length, (size_t) (LINE - length), "\n");
}

/* The graph alone: the largest networks' parameters need not be allocated for this. */
static void names_and_shapes_are_torchvisions(void **state) {
    (void) state;
    moco_context *context = make_context("reference", 1);
    FILE *file = open_golden("architecture_structure.txt");
    char line[LINE], expected[LINE], name[64];
    int architectures = 0;
    long long entries, elements;
    unsigned long long hash;
    int listed = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "architecture %63s %lld %lld %llx", name, &entries, &elements, &hash) != 4) {
            listed++;
            continue; /* checked below, where its architecture began */
        }
        moco_encoder_config config;
        assert_ok(moco_encoder_config_init(&config, sizeof config));
        config.architecture = name;
        config.embedding_dim = 1000;
        moco_graph *graph = NULL;
        int64_t feature_dim, embedding_dim;
        assert_ok(moco_architecture_build(&graph, context, &config, &feature_dim, &embedding_dim));
        const long place = ftell(file);
        const int in_full = strcmp(name, "resnet18") == 0 || strcmp(name, "resnet50") == 0;
        long long learnable = 0;
        uint64_t our_hash = UINT64_C(0xCBF29CE484222325);
        for (int32_t i = 0; i < graph->parameter_count; ++i) {
            const moco_graph_parameter *parameter = &graph->parameters[i];
            describe(parameter, line);
            our_hash = fnv(our_hash, line);
            const int64_t *d = parameter->dims;
            if (parameter->kind == MOCO_PARAMETER_LEARNABLE) {
                learnable += d[0] * (parameter->rank > 1 ? d[1] * d[2] * d[3] : 1);
            }
            if (!in_full) continue;
            assert_non_null(fgets(expected, sizeof expected, file));
            assert_string_equal(expected, line);
        }
        assert_int_equal(entries, graph->parameter_count);
        assert_int_equal(elements, learnable);
        if (our_hash != hash) fail_msg("the names or shapes of %s differ from torchvision's", name);
        moco_graph_destroy(graph);
        fseek(file, place, SEEK_SET);
        architectures++;
    }
    assert_int_equal(10, architectures);
    assert_int_equal(102 + 267, listed);
    fclose(file);
    moco_context_destroy(context);
}

/* Table 1 of arXiv 1911.05722, in millions: backbones without fc. (With an fc of 128, R50w4x would have 376.) */
static void sizes_are_those_of_the_papers_table(void **state) {
    (void) state;
    static const struct {
        const char *name;
        int64_t millions;
    } table[] = {{"resnet50", 24}, {"resnext50_32x8d", 46}, {"resnet50_w2", 94}, {"resnet50_w4", 375}};
    moco_context *context = make_context("reference", 1);
    for (size_t row = 0; row < sizeof table / sizeof table[0]; ++row) {
        moco_encoder_config config;
        assert_ok(moco_encoder_config_init(&config, sizeof config));
        config.architecture = table[row].name;
        config.head = MOCO_HEAD_NONE;
        moco_graph *graph = NULL;
        int64_t feature_dim, embedding_dim, elements = 0;
        assert_ok(moco_architecture_build(&graph, context, &config, &feature_dim, &embedding_dim));
        for (int32_t i = 0; i < graph->parameter_count; ++i) {
            const moco_graph_parameter *parameter = &graph->parameters[i];
            const int64_t *d = parameter->dims;
            if (parameter->kind == MOCO_PARAMETER_LEARNABLE) elements += d[0] * d[1] * d[2] * d[3];
        }
        if ((elements + 500000) / 1000000 != table[row].millions) {
            fail_msg("%s has %lld parameters, the paper's has %lld M", table[row].name, (long long) elements,
                     (long long) table[row].millions);
        }
        moco_graph_destroy(graph);
    }
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_shapes_are_torchvisions),
        cmocka_unit_test(sizes_are_those_of_the_papers_table),
        cmocka_unit_test(reference_matches_pytorch),
        cmocka_unit_test(cblas_matches_pytorch),
        cmocka_unit_test(families_match_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
