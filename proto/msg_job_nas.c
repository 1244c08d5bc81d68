/* What is asked of a search, as JSON. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/search_genetic.h"
#include "proto/msg_device.h"
#include "proto/msg_job_params.h"
#include "proto/msg_measurements.h"
#include "proto/msg_model.h"

#define DRAFT(reader) ((struct job_draft_params *)(reader)->out)
#define NAS(reader)   (&DRAFT(reader)->order->params.nas)

#define CONFIDENCE_MAX 0.9999
#define COUNT_MAX      INT64_C(1000000000000000)

/* Of a rate that was not given; numbers of the population are 0 then. */
#define UNSAID (-1.0)

static const char *const objective_names[SEARCH_N_OBJECTIVES] = {
    [SEARCH_ACCURACY] = "accuracy",
    [SEARCH_PARETO] = "pareto",
};
static const char *const method_names[SEARCH_N_METHODS] = {
    [SEARCH_BY_DEFAULT] = "",
    [SEARCH_EXHAUSTIVE] = "exhaustive",
    [SEARCH_GENETIC] = "genetic",
};
static const struct {
    unsigned bit;
    const char *name;
} formats[] = {
    {SEARCH_EXPORT_ONNX,        "onnx"       },
    {SEARCH_EXPORT_TORCHSCRIPT, "torchscript"},
};

enum { N_FORMATS = sizeof formats / sizeof *formats };

const char *search_objective_name(enum search_objective objective)
{
    return objective_names[objective];
}

const char *search_method_name(enum search_method method)
{
    return method_names[method];
}

static void preset(struct job_order *order)
{
    order->params.nas.formats = SEARCH_EXPORT_ALL;
    order->params.nas.crossover_rate = order->params.nas.mutation_rate = UNSAID;
}

/* ---- targets --------------------------------------------------------------------------------- */

/* A target of the list, and which of its fields were given. */
struct draft_target {
    struct job_nas_target *target;
    bool has_device, has_hardware;
};

#define TARGET(reader) ((struct draft_target *)(reader)->out)

static void target_device(const struct json_reader *reader, struct json_view value)
{
    TARGET(reader)->has_device = true;
    (void)msg_device_name_read(reader, value, TARGET(reader)->target->device);
}

static void target_hardware(const struct json_reader *reader, struct json_view value)
{
    TARGET(reader)->has_hardware = true;
    msg_hardware_read(reader, value, &TARGET(reader)->target->hardware);
}

static void target_limit(const struct json_reader *reader, struct json_view value)
{
    (void)job_read_positive(reader, value, &TARGET(reader)->target->latency_constraint_ms);
}

static void check_device(bool has_device, bool has_hardware, bool is_measured, const char *pointer,
                         struct field_errors *errors)
{
    if (has_device == has_hardware && (has_device || !is_measured)) {
        field_errors_add(errors, 0, pointer,
                         has_device ? "give only one of device and hardware"
                                    : "device is missing; give a device or its hardware");
    }
}

static void read_target(struct json_view value, const char *pointer, struct job_nas_target *out,
                        struct field_errors *errors)
{
    /* clang-format off */
    static const struct json_field fields[] = {
        {"device", false, target_device},
        {"hardware", false, target_hardware},
        {"latency_constraint_ms", true, target_limit},
    };
    /* clang-format on */
    struct draft_target draft = {.target = out};
    const size_t n_before = errors->n;

    json_spec_read(value, fields, sizeof fields / sizeof *fields, pointer, &draft, errors);
    if (errors->n == n_before) {
        check_device(draft.has_device, draft.has_hardware, false, pointer, errors);
    }
}

static void nas_targets(const struct json_reader *reader, struct json_view value)
{
    struct job_nas_params *nas = NAS(reader);
    const size_t n = json_view_kind(value) == JSON_KIND_ARRAY ? json_view_count(value) : 0;
    struct json_view item;

    DRAFT(reader)->has_targets = true;
    if (n == 0 || n > JOB_MAX_TARGETS) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a list of 1 to %d targets",
                         JOB_MAX_TARGETS);
        return;
    }
    nas->is_list = true;
    for (bool more = json_view_first(value, &item); more; more = json_view_next(&item)) {
        char pointer[JSON_POINTER_BYTES];
        (void)snprintf(pointer, sizeof pointer, "%.*s/%zu", JSON_POINTER_BYTES - 24,
                       reader->pointer, nas->n_targets);
        read_target(item, pointer, &nas->targets[nas->n_targets++], reader->errors);
    }
}

static void nas_device(const struct json_reader *reader, struct json_view value)
{
    DRAFT(reader)->has_device = true;
    (void)msg_device_name_read(reader, value, NAS(reader)->targets[0].device);
}

static void nas_hardware(const struct json_reader *reader, struct json_view value)
{
    DRAFT(reader)->has_hardware = true;
    msg_hardware_read(reader, value, &NAS(reader)->targets[0].hardware);
}

static void nas_limit(const struct json_reader *reader, struct json_view value)
{
    DRAFT(reader)->has_limit = true;
    (void)job_read_positive(reader, value, &NAS(reader)->targets[0].latency_constraint_ms);
}

/* ---- the others ------------------------------------------------------------------------------ */

/* One of `n` names; returns its place, or n and adds an error. */
static int read_name(const struct json_reader *reader, struct json_view value, const char *what,
                     const char *const *names, int n)
{
    char word[JOB_WORD_BYTES];
    struct text known = {0};
    int i = 0;

    if (!job_read_word(reader, value, what, word)) {
        return n;
    }
    while (i < n && (names[i][0] == '\0' || strcmp(names[i], word) != 0)) {
        i++;
    }
    if (i == n) {
        for (int k = 0; k < n; k++) {
            text_puts(&known, known.size > 0 ? " or " : "");
            text_puts(&known, names[k]);
        }
        field_errors_add(reader->errors, 0, reader->pointer, "must be %s, not \"%.64s\"",
                         known.has_failed ? what : known.bytes, word);
        text_close(&known);
    }
    return i;
}

static void nas_objective(const struct json_reader *reader, struct json_view value)
{
    int i = read_name(reader, value, "an objective", objective_names, SEARCH_N_OBJECTIVES);

    if (i < SEARCH_N_OBJECTIVES) {
        NAS(reader)->objective = (enum search_objective)i;
    }
}

static void nas_method(const struct json_reader *reader, struct json_view value)
{
    int i = read_name(reader, value, "a method", method_names + 1, SEARCH_N_METHODS - 1);

    if (i < SEARCH_N_METHODS - 1) {
        NAS(reader)->method = (enum search_method)(i + 1);
    }
}

static void nas_confidence(const struct json_reader *reader, struct json_view value)
{
    double number = 0.0;

    if (!job_read_positive(reader, value, &number)) {
        return;
    }
    if (number > CONFIDENCE_MAX) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a share above 0, at most %g",
                         CONFIDENCE_MAX);
        return;
    }
    NAS(reader)->confidence = number;
}

/* Notes a param that is the genetic method's, for finish(); `name` is static. */
static void claim_genetic(const struct json_reader *reader, const char *name)
{
    DRAFT(reader)->genetic = name;
}

static void nas_population(const struct json_reader *reader, struct json_view value)
{
    claim_genetic(reader, "population_size");
    (void)json_read_whole(reader, value, 1, (int64_t)GENETIC_MAX_POPULATION,
                          &NAS(reader)->population_size);
}

static void nas_generations(const struct json_reader *reader, struct json_view value)
{
    claim_genetic(reader, "generations");
    (void)json_read_whole(reader, value, 1, (int64_t)GENETIC_MAX_GENERATIONS,
                          &NAS(reader)->generations);
}

/* A number of 0 and above, at most `max`. */
static void read_rate(const struct json_reader *reader, struct json_view value, double max,
                      double *out)
{
    const double number = json_view_kind(value) == JSON_KIND_NUMBER ? json_view_number(value) : NAN;

    if (!(number >= 0.0 && number <= max)) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a number from 0 to %g", max);
        return;
    }
    *out = number;
}

static void nas_crossover(const struct json_reader *reader, struct json_view value)
{
    claim_genetic(reader, "crossover_rate");
    read_rate(reader, value, SEARCH_MAX_CROSSOVER_RATE, &NAS(reader)->crossover_rate);
}

static void nas_mutation(const struct json_reader *reader, struct json_view value)
{
    claim_genetic(reader, "mutation_rate");
    read_rate(reader, value, 1.0, &NAS(reader)->mutation_rate);
}

static void nas_seed(const struct json_reader *reader, struct json_view value)
{
    (void)json_read_whole(reader, value, 0, INT64_MAX, &NAS(reader)->seed);
}

static void read_count(const struct json_reader *reader, struct json_view value, double *out)
{
    int64_t count;

    if (json_read_whole(reader, value, 1, COUNT_MAX, &count)) {
        *out = (double)count;
    }
}

static void nas_macs(const struct json_reader *reader, struct json_view value)
{
    read_count(reader, value, &NAS(reader)->macs_max);
}

static void nas_params(const struct json_reader *reader, struct json_view value)
{
    read_count(reader, value, &NAS(reader)->params_max);
}

static void nas_version(const struct json_reader *reader, struct json_view value)
{
    job_read_model(reader, value, "version", &NAS(reader)->model);
}

static void nas_model(const struct json_reader *reader, struct json_view value)
{
    job_read_model(reader, value, "model", &NAS(reader)->model);
}

static void nas_calibrate(const struct json_reader *reader, struct json_view value)
{
    (void)job_read_boolean(reader, value, &NAS(reader)->calibrate);
}

static void nas_measurements(const struct json_reader *reader, struct json_view value)
{
    struct job_nas_params *nas = NAS(reader);
    const struct space *space = DRAFT(reader)->order->space;
    struct measurements rows;

    if (space != NULL && nas->n_measured == 0 && /* else it is an error already */
        msg_measurements_read(reader, value, space, JOB_MAX_MEASUREMENTS, &rows)) {
        nas->measured_genes = rows.genes; /* handed over */
        nas->measured_ms = rows.latency_ms;
        nas->n_measured = rows.n_rows;
    }
}

static void nas_export(const struct json_reader *reader, struct json_view value)
{
    const char *names[N_FORMATS];
    struct json_view item;
    size_t n = 0;

    if (json_view_kind(value) != JSON_KIND_ARRAY) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a list of formats, not %s",
                         json_view_kind_name(value));
        return;
    }
    for (int i = 0; i < N_FORMATS; i++) {
        names[i] = formats[i].name;
    }
    DRAFT(reader)->has_export = true;
    NAS(reader)->formats = 0;
    for (bool more = json_view_first(value, &item); more && n <= N_FORMATS;
         more = json_view_next(&item), n++) {
        char at[JSON_POINTER_BYTES];
        const struct json_reader inner = {reader->out, reader->errors, at};
        int i;
        (void)snprintf(at, sizeof at, "%.*s/%zu", JSON_POINTER_BYTES - 24, reader->pointer, n);
        i = read_name(&inner, item, "a format", names, N_FORMATS);
        if (i < N_FORMATS && (NAS(reader)->formats & formats[i].bit) != 0) {
            field_errors_add(reader->errors, 0, at, "%s is named twice", formats[i].name);
        } else if (i < N_FORMATS) {
            NAS(reader)->formats |= formats[i].bit;
        }
    }
}

/* clang-format off */
static const struct json_field fields[] = {
    {"device", false, nas_device},
    {"hardware", false, nas_hardware},
    {"latency_constraint_ms", false, nas_limit},
    {"targets", false, nas_targets},
    {"objective", false, nas_objective},
    {"method", false, nas_method},
    {"confidence", false, nas_confidence},
    {"population_size", false, nas_population},
    {"generations", false, nas_generations},
    {"crossover_rate", false, nas_crossover},
    {"mutation_rate", false, nas_mutation},
    {"seed", false, nas_seed},
    {"macs_max", false, nas_macs},
    {"params_max", false, nas_params},
    {"version", false, nas_version},
    {"model", false, nas_model},
    {"export", false, nas_export},
    {"calibrate", false, nas_calibrate},
    {"measurements", false, nas_measurements},
};
/* clang-format on */

/* ---- what holds between them ------------------------------------------------------------------ */

/* A param that is at fault with others, by its own pointer. */
static void blame(struct field_errors *errors, const char *pointer, const char *name,
                  const char *reason)
{
    char at[JSON_POINTER_BYTES];

    (void)snprintf(at, sizeof at, "%s/%s", pointer, name);
    field_errors_add(errors, 0, at, "%s", reason);
}

static void finish_targets(struct job_draft_params *draft, const char *pointer,
                           struct field_errors *errors)
{
    struct job_nas_params *nas = &draft->order->params.nas;
    const bool is_front = nas->objective == SEARCH_PARETO;

    if (draft->has_targets) {
        if (draft->has_device || draft->has_hardware || draft->has_limit) {
            blame(errors, pointer, "targets",
                  "stands for device, hardware and latency_constraint_ms: give it alone");
        } else if (is_front && nas->n_targets > 1) {
            blame(errors, pointer, "targets",
                  "a front is of one device: accuracy against its latency");
        }
        return;
    }
    nas->n_targets = 1;
    check_device(draft->has_device, draft->has_hardware, nas->n_measured > 0, pointer, errors);
    if (!draft->has_limit && !is_front) {
        blame(errors, pointer, "latency_constraint_ms", "latency_constraint_ms is missing");
    }
}

static void finish_method(struct job_draft_params *draft, const char *pointer,
                          struct field_errors *errors)
{
    struct job_nas_params *nas = &draft->order->params.nas;

    if (draft->genetic != NULL && nas->method == SEARCH_EXHAUSTIVE) {
        blame(errors, pointer, draft->genetic, "means nothing to the exhaustive method");
    } else if (draft->genetic != NULL) {
        nas->method = SEARCH_GENETIC;
    }
    if (nas->population_size * nas->generations > (int64_t)GENETIC_MAX_EVALUATIONS) {
        char reason[96];
        (void)snprintf(reason, sizeof reason,
                       "times population_size may be at most %zu evaluations",
                       GENETIC_MAX_EVALUATIONS);
        blame(errors, pointer, "generations", reason);
    }
}

/* What nobody said of the genetic method is as the space has it by default. */
static void finish_genetic(const struct space *space, struct job_nas_params *nas)
{
    const struct genetic_options by_default = genetic_defaults(space, 0);

    if (nas->population_size == 0) {
        nas->population_size = (int64_t)by_default.population_size;
    }
    if (nas->generations == 0) {
        nas->generations = (int64_t)by_default.n_generations;
    }
    if (nas->crossover_rate < 0.0) {
        nas->crossover_rate = by_default.crossover_rate;
    }
    if (nas->mutation_rate < 0.0) {
        nas->mutation_rate = by_default.mutation_rate;
    }
}

/* What a space need not tell: a declared one has no networks, and has costs by its tables. */
static void finish_space(struct job_draft_params *draft, const char *pointer,
                         struct field_errors *errors)
{
    const struct space *space = draft->order->space;
    struct job_nas_params *nas = &draft->order->params.nas;

    if (space == NULL) {
        return;
    }
    if (space->build_graph == NULL && !draft->has_export) {
        nas->formats = 0;
    } else if (space->build_graph == NULL && nas->formats != 0) {
        blame(errors, pointer, "export", "the space tells of no networks that could be exported");
    }
    if (nas->macs_max > 0.0 && !space_tells(space, SPACE_MACS)) {
        blame(errors, pointer, "macs_max", "the space is declared without a table of macs");
    }
    if (nas->params_max > 0.0 && !space_tells(space, SPACE_PARAMS)) {
        blame(errors, pointer, "params_max", "the space is declared without a table of params");
    }
}

static void finish_measurements(const struct job_nas_params *nas, const char *pointer,
                                struct field_errors *errors)
{
    if (nas->n_measured > 0 && nas->n_targets > 1) {
        blame(errors, pointer, "measurements", "are of one device: give a single target");
    } else if (nas->n_measured > 0 && nas->calibrate) {
        blame(errors, pointer, "calibrate",
              "asks for the stored measurements: give it or measurements");
    }
}

static void finish(struct job_draft_params *draft, const char *pointer, struct field_errors *errors)
{
    finish_space(draft, pointer, errors);
    finish_targets(draft, pointer, errors);
    if (draft->order->space != NULL) { /* else it is an error already */
        finish_genetic(draft->order->space, &draft->order->params.nas);
    }
    finish_method(draft, pointer, errors);
    finish_measurements(&draft->order->params.nas, pointer, errors);
}

static void close_nas(struct job_order *order)
{
    mem_free(order->params.nas.measured_genes);
    mem_free(order->params.nas.measured_ms);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Members of a target, without braces. */
static void put_target(const struct job_nas_target *target, struct text *out)
{
    const char *separator = "";

    if (target->device[0] != '\0') {
        text_puts(out, "\"device\":");
        text_put_json_string(out, target->device);
        separator = ",";
    } else if (target->hardware.frequency_ghz > 0.0) {
        text_puts(out, "\"hardware\":");
        msg_hardware_put(&target->hardware, out);
        separator = ",";
    }
    if (target->latency_constraint_ms > 0.0) {
        text_printf(out, "%s\"latency_constraint_ms\":", separator);
        text_put_json_number_exact(out, target->latency_constraint_ms);
    }
}

/* Whether put_target() writes anything of a search that has a single target. */
static bool has_target(const struct job_nas_params *nas)
{
    const struct job_nas_target *target = &nas->targets[0];

    return nas->is_list || target->device[0] != '\0' || target->hardware.frequency_ghz > 0.0 ||
           target->latency_constraint_ms > 0.0;
}

static void put_measurements(const struct job_order *order, struct text *out)
{
    const struct job_nas_params *nas = &order->params.nas;

    text_puts(out, ",\"measurements\":{\"architectures\":[");
    for (size_t i = 0; i < nas->n_measured; i++) {
        char genes[SPACE_TEXT_BYTES];
        (void)space_print_genes(order->space, nas->measured_genes + i * order->space->n_genes,
                                genes);
        text_printf(out, "%s\"%s\"", i > 0 ? "," : "", genes);
    }
    text_puts(out, "],\"latency_ms\":[");
    for (size_t i = 0; i < nas->n_measured; i++) {
        text_puts(out, i > 0 ? "," : "");
        text_put_json_number_exact(out, nas->measured_ms[i]);
    }
    text_puts(out, "]}");
}

static void put_targets(const struct job_nas_params *nas, struct text *out)
{
    if (!nas->is_list) {
        put_target(&nas->targets[0], out);
        return;
    }
    text_puts(out, "\"targets\":[");
    for (size_t i = 0; i < nas->n_targets; i++) {
        text_puts(out, i > 0 ? ",{" : "{");
        put_target(&nas->targets[i], out);
        text_puts(out, "}");
    }
    text_puts(out, "]");
}

/* A member where the number is given at all. */
static void put_given(struct text *out, const char *name, double value)
{
    if (value > 0.0) {
        text_printf(out, ",\"%s\":", name);
        text_put_json_number_exact(out, value);
    }
}

static void put_method(const struct job_nas_params *nas, struct text *out)
{
    if (nas->method == SEARCH_BY_DEFAULT) {
        return; /* what stands for it may change by the time that the job runs */
    }
    text_printf(out, ",\"method\":\"%s\"", search_method_name(nas->method));
    if (nas->method == SEARCH_GENETIC) {
        text_printf(
            out, ",\"population_size\":%" PRId64 ",\"generations\":%" PRId64 ",\"crossover_rate\":",
            nas->population_size, nas->generations);
        text_put_json_number_exact(out, nas->crossover_rate);
        text_puts(out, ",\"mutation_rate\":");
        text_put_json_number_exact(out, nas->mutation_rate);
    }
}

static void put(const struct job_order *order, struct text *out)
{
    const struct job_nas_params *nas = &order->params.nas;
    const char *separator = "";

    text_puts(out, "{");
    put_targets(nas, out);
    text_printf(out, "%s\"objective\":\"%s\"", has_target(nas) ? "," : "",
                search_objective_name(nas->objective));
    put_method(nas, out);
    put_given(out, "confidence", nas->confidence);
    put_given(out, "macs_max", nas->macs_max);
    put_given(out, "params_max", nas->params_max);
    job_put_model(&nas->model, ",", "", out);
    text_printf(out, ",\"seed\":%" PRId64 ",\"export\":[", nas->seed);
    for (int i = 0; i < N_FORMATS; i++) {
        if ((nas->formats & formats[i].bit) != 0) {
            text_printf(out, "%s\"%s\"", separator, formats[i].name);
            separator = ",";
        }
    }
    text_puts(out, "]");
    if (nas->calibrate) {
        text_puts(out, ",\"calibrate\":true");
    }
    if (nas->n_measured > 0) {
        put_measurements(order, out);
    }
    text_puts(out, "}");
}

const struct job_params_kind job_params_nas = {
    fields, sizeof fields / sizeof *fields, true, preset, finish, put, close_nas,
};
