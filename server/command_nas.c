/* dgld nas: the best network under a latency limit, in the foreground. Its flags become the params
 * of a search job, so that one reader checks both. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/matrix.h"
#include "core/mem.h"
#include "server/clock.h"
#include "server/command.h"
#include "server/data_tree.h"
#include "server/progress.h"
#include "server/run_nas.h"

enum { STEM_BYTES = 200 }; /* of a file's name; with the endings it fits the file system */

#define GENERATIONS_FLAG "generations (EPOCH)" /* which does not tell itself from the other name */

/* A search, from the flags to the files. */
struct nas {
    const struct options *options;
    const struct space *space;
    struct data_tree tree;
    struct job_order order;
    struct device_sheet sheets[JOB_MAX_TARGETS];
    struct model model;
    struct accuracy_known *accuracy;
    struct nas_calibration calibration;
    struct search_report report;
    struct progress progress;
    double seconds;        /* that the search took */
    char stem[STEM_BYTES]; /* of the files' names */
    char json_path[PATH_BYTES], onnx_path[PATH_BYTES], torchscript_path[PATH_BYTES];
};

static void nas_close(struct nas *nas)
{
    search_report_close(&nas->report);
    nas_calibration_close(&nas->calibration);
    accuracy_cache_release(NULL, nas->accuracy);
    model_close(&nas->model);
    job_order_close(&nas->order);
}

/* ---- flags to params ------------------------------------------------------------------------- */

static enum err read_number(const char *flag, const char *text, double *out, struct error *err)
{
    return command_number(text, out)
               ? ERR_OK
               : error_set(err, ERR_USAGE, "--%s must be a number, not \"%.60s\"", flag, text);
}

/* The limits in ms: one for all devices or as many as devices. */
static enum err read_limits(const struct nas *nas, size_t n_devices, double *limits_ms,
                            size_t *n_limits, struct error *err)
{
    const struct options *o = nas->options;
    const bool is_ms = o->latency_constraint_ms != NULL;
    const char *flag = is_ms ? "latency_constraint_ms" : "latency_constraint";
    const char *at = is_ms ? o->latency_constraint_ms : o->latency_constraint;
    const double unit_ms = is_ms ? 1.0 : nas->space->constraint_unit_ms;

    *n_limits = 0;
    if (at == NULL) {
        return ERR_OK;
    }
    while (*n_limits < JOB_MAX_TARGETS) {
        const size_t length = strcspn(at, ",");
        char word[64];
        double limit;
        enum err rc;
        (void)snprintf(word, sizeof word, "%.*s", (int)(length < 60 ? length : 60), at);
        rc = read_number(flag, word, &limit, err);
        if (rc != ERR_OK) {
            return rc;
        }
        if (!(limit > 0.0 && isfinite(limit * unit_ms))) {
            return error_set(err, ERR_USAGE, "--%s must be positive and finite, not %g", flag,
                             limit);
        }
        limits_ms[(*n_limits)++] = limit * unit_ms;
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    if (*n_limits != 1 && *n_limits != n_devices) {
        return error_set(err, ERR_USAGE,
                         "--%s gives %zu limits for %zu devices: give one for all "
                         "or one for each",
                         flag, *n_limits, n_devices);
    }
    return ERR_OK;
}

/* Members of a target, without braces. */
static void put_target(const char *device, const struct hardware *hardware, double limit_ms,
                       struct text *out)
{
    const char *separator = "";

    if (device != NULL) {
        text_puts(out, "\"device\":");
        text_put_json_string(out, device);
        separator = ",";
    } else if (hardware != NULL) {
        text_puts(out, "\"hardware\":");
        msg_hardware_put(hardware, out);
        separator = ",";
    }
    if (limit_ms > 0.0) {
        text_printf(out, "%s\"latency_constraint_ms\":", separator);
        text_put_json_number_exact(out, limit_ms);
    }
}

/* Targets as JSON: the only one by itself, several as a list. */
static void put_targets(const struct names *devices, const struct hardware *hardware,
                        const double *limits_ms, size_t n_limits, struct text *out)
{
    const double first_ms = n_limits > 0 ? limits_ms[0] : 0.0;

    if (devices->n < 2) {
        put_target(devices->n > 0 ? devices->items[0] : NULL, hardware, first_ms, out);
        return;
    }
    text_puts(out, "\"targets\":[");
    for (size_t i = 0; i < devices->n; i++) {
        text_puts(out, i > 0 ? ",{" : "{");
        put_target(devices->items[i], NULL, n_limits > 1 ? limits_ms[i] : first_ms, out);
        text_puts(out, "}");
    }
    text_puts(out, "]");
}

static enum err put_devices(const struct nas *nas, struct text *out, struct error *err)
{
    const struct options *o = nas->options;
    struct names devices = {0};
    struct hardware hardware = {0};
    double limits_ms[JOB_MAX_TARGETS];
    size_t n_limits = 0;
    enum err rc = ERR_OK; /* of neither: it is what it is measured to be */

    if ((o->nas_target_device != NULL) == (o->hardware != NULL) &&
        (o->hardware != NULL || o->measurements == NULL)) {
        return error_set(err, ERR_USAGE,
                         "nas needs one of --nas_target_device NAME and --hardware F,D,C,M");
    }
    if (o->latency_constraint != NULL && o->latency_constraint_ms != NULL) {
        return error_set(err, ERR_USAGE,
                         "give one of --latency_constraint and --latency_constraint_ms");
    }
    if (o->hardware != NULL) {
        rc = command_hardware(o->hardware, &hardware, err);
    } else if (o->nas_target_device != NULL &&
               names_split(o->nas_target_device, &devices, err) != ERR_OK) {
        error_wrap(err, "--nas_target_device");
        rc = ERR_USAGE;
    }
    rc = rc != ERR_OK ? rc
                      : read_limits(nas, devices.n > 0 ? devices.n : 1, limits_ms, &n_limits, err);
    if (rc == ERR_OK) {
        put_targets(&devices, o->hardware != NULL ? &hardware : NULL, limits_ms, n_limits, out);
    }
    names_close(&devices);
    return rc;
}

/* Params of which the flag's text becomes the value, as a number or a string. */
static enum err put_others(const struct options *o, struct text *out, struct error *err)
{
    const struct {
        const char *flag, *param, *text;
        bool is_number;
    } given[] = {
        {"objective",       "objective",       o->objective,       false},
        {"method",          "method",          o->method,          false},
        {"confidence",      "confidence",      o->confidence,      true },
        {"macs_max",        "macs_max",        o->macs_max,        true },
        {"params_max",      "params_max",      o->params_max,      true },
        {"population_size", "population_size", o->population_size, true },
        {GENERATIONS_FLAG,  "generations",     o->generations,     true },
        {"crossover_rate",  "crossover_rate",  o->crossover_rate,  true },
        {"mutation_rate",   "mutation_rate",   o->mutation_rate,   true },
    };

    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        double number;
        if (given[i].text == NULL) {
            continue;
        }
        text_printf(out, ",\"%s\":", given[i].param);
        if (!given[i].is_number) {
            text_put_json_string(out, given[i].text);
        } else if (read_number(given[i].flag, given[i].text, &number, err) == ERR_OK) {
            text_put_json_number_exact(out, number);
        } else {
            return ERR_USAGE;
        }
    }
    return ERR_OK;
}

/* --export: "onnx,torchscript", or "none". */
static void put_formats(const struct options *o, struct text *out)
{
    const char *at = o->export_formats;

    if (at == NULL) {
        return;
    }
    text_puts(out, ",\"export\":[");
    while (strcmp(o->export_formats, "none") != 0) {
        const size_t length = strcspn(at, ",");
        char word[32];
        (void)snprintf(word, sizeof word, "%.*s", (int)(length < 30 ? length : 30), at);
        text_puts(out, at == o->export_formats ? "" : ",");
        text_put_json_string(out, word);
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    text_puts(out, "]");
}

/* --calibrate, and --measurements as the param has them. */
static enum err put_measured(const struct nas *nas, struct text *out, struct error *err)
{
    const struct options *o = nas->options;
    struct measured_rows rows = {0};
    enum err rc;

    if (o->calibrate != NULL && o->calibrate[0] != '\0') {
        return error_set(err, ERR_USAGE,
                         "--calibrate takes no value here: the stored measurements count");
    }
    if (o->calibrate != NULL) {
        text_puts(out, ",\"calibrate\":true");
    }
    if (o->measurements == NULL) {
        return ERR_OK;
    }
    rc = measured_rows_read(nas->space, o->measurements, &rows, err);
    if (rc == ERR_OK && rows.n > JOB_MAX_MEASUREMENTS) {
        rc = error_set(err, ERR_LIMIT, "%s: %zu measurements where at most %d are taken",
                       o->measurements, rows.n, JOB_MAX_MEASUREMENTS);
    }
    text_puts(out, ",\"measurements\":{\"architectures\":[");
    for (size_t i = 0; rc == ERR_OK && i < rows.n; i++) {
        char genes[SPACE_TEXT_BYTES];
        (void)space_print_genes(nas->space, rows.genes + i * nas->space->n_genes, genes);
        text_printf(out, "%s\"%s\"", i > 0 ? "," : "", genes);
    }
    text_puts(out, "],\"latency_ms\":[");
    for (size_t i = 0; rc == ERR_OK && i < rows.n; i++) {
        text_puts(out, i > 0 ? "," : "");
        text_put_json_number_exact(out, rows.latency_ms[i]);
    }
    text_puts(out, "]}");
    measured_rows_close(&rows);
    return rc;
}

/* The flag, without dashes, that gave a param; `pointer` begins below the params. */
static const char *flag_of(const struct options *o, const char *pointer)
{
    if (strstr(pointer, "latency_constraint_ms") != NULL) {
        return o->latency_constraint != NULL ? "latency_constraint" : "latency_constraint_ms";
    }
    if (strncmp(pointer, "targets", 7) == 0 || strcmp(pointer, "device") == 0) {
        return "nas_target_device";
    }
    if (strncmp(pointer, "export", 6) == 0) {
        return "export";
    }
    return strcmp(pointer, "generations") == 0 ? GENERATIONS_FLAG : pointer;
}

/* Where a message names a param by pointer, the flag that gave it is meant. */
static enum err name_the_flag(const struct options *o, struct error *err)
{
    static const char params[] = "/params/";

    if (err != NULL && strncmp(err->text, params, sizeof params - 1) == 0) {
        char pointer[ERROR_TEXT_BYTES];
        char *rest;
        (void)snprintf(pointer, sizeof pointer, "%s", err->text + sizeof params - 1);
        rest = strchr(pointer, ':');
        if (rest != NULL) {
            *rest++ = '\0';
            return error_set(err, ERR_USAGE, "--%s:%s", flag_of(o, pointer), rest);
        }
    }
    return err != NULL && err->code == ERR_INVALID ? (err->code = ERR_USAGE) : ERR_USAGE;
}

static enum err read_order(struct nas *nas, struct error *err)
{
    const struct options *o = nas->options;
    struct text params = {0};
    enum err rc;

    if (o->gene_length != 0 && (size_t)o->gene_length != nas->space->n_genes) {
        return error_set(err, ERR_USAGE,
                         "--GENE_LENGTH is %lld; architectures of %s have %zu genes",
                         (long long)o->gene_length, nas->space->name, nas->space->n_genes);
    }
    text_printf(&params, "{\"seed\":%lld,", (long long)o->seed);
    rc = put_devices(nas, &params, err);
    rc = rc != ERR_OK ? rc : put_others(o, &params, err);
    if (rc == ERR_OK) {
        put_formats(o, &params);
        rc = put_measured(nas, &params, err);
    }
    if (rc == ERR_OK) {
        text_puts(&params, "}");
        rc = params.has_failed ? error_set(err, ERR_NOMEM, "no memory for the search") : ERR_OK;
    }
    if (rc == ERR_OK) {
        rc = msg_job_decode_params(JOB_NAS, nas->space, params.bytes, &nas->order, err);
        rc = rc == ERR_INVALID ? name_the_flag(o, err) : rc;
    }
    text_close(&params);
    return rc;
}

/* ---- what it is about ------------------------------------------------------------------------ */

static enum err find_devices(struct nas *nas, struct error *err)
{
    const struct job_nas_params *params = &nas->order.params.nas;
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < params->n_targets; i++) {
        rc = nas_find_target(&nas->tree, nas->space, params, i, &nas->sheets[i], err);
    }
    return rc;
}

static enum err check_method(const struct nas *nas, struct error *err)
{
    const char *param = "";

    if (nas_check(nas->space, &nas->order.params.nas, nas->accuracy->has_all, &param, err) !=
        ERR_OK) {
        error_wrap(err, "--%s", param);
        return ERR_USAGE;
    }
    return ERR_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* What stands for the devices in a file's name: their names, or the hardware. */
static void put_devices_name(const struct nas *nas, struct text *out)
{
    const struct job_nas_params *params = &nas->order.params.nas;

    for (size_t i = 0; i < params->n_targets; i++) {
        const struct device_sheet *sheet = &nas->sheets[i];
        text_puts(out, i > 0 ? "+" : "");
        if (sheet->name[0] != '\0') {
            text_puts(out, sheet->name);
        } else if (!nas_has_hardware(sheet)) {
            text_puts(out, "measured");
        } else {
            const struct hardware *hw = &sheet->hardware;
            text_printf(out, "%g,%g,%g,%g", hw->frequency_ghz, hw->dispatch_width, hw->cache_mb,
                        hw->memory_bandwidth_gbs);
        }
    }
}

/* And for the limit: as it was given in the reference's unit, else in ms. */
static void put_limit_name(const struct nas *nas, struct text *out)
{
    const struct options *o = nas->options;
    const char *given =
        o->latency_constraint != NULL ? o->latency_constraint : o->latency_constraint_ms;

    if (given == NULL) {
        text_puts(out, search_objective_name(nas->order.params.nas.objective));
        return;
    }
    for (const char *at = given; *at != '\0'; at++) {
        text_put(out, *at == ',' ? "+" : at, 1);
    }
    text_puts(out, o->latency_constraint != NULL ? "" : "ms");
}

/* "<devices>_<limit>_model", cut in the devices where it is too long for a file's name. */
static enum err name_files(struct nas *nas, struct error *err)
{
    struct text devices = {0};
    struct text limit = {0};
    size_t n_kept = 0;
    enum err rc = ERR_OK;

    put_devices_name(nas, &devices);
    put_limit_name(nas, &limit);
    if (devices.has_failed || limit.has_failed) {
        rc = error_set(err, ERR_NOMEM, "no memory for a file's name");
    } else if (limit.size > STEM_BYTES / 2) {
        rc = error_set(err, ERR_USAGE, "the limits are too long for a file's name");
    } else {
        const size_t room = STEM_BYTES - sizeof "__model" - limit.size;
        n_kept = devices.size < room ? devices.size : room;
        while (n_kept > 0 && n_kept < devices.size && (devices.bytes[n_kept] & 0xc0) == 0x80) {
            n_kept--; /* not in the middle of a character */
        }
        (void)snprintf(nas->stem, sizeof nas->stem, "%.*s_%s_model", (int)n_kept, devices.bytes,
                       limit.bytes);
    }
    text_close(&devices);
    text_close(&limit);
    return rc;
}

static enum err name_paths(struct nas *nas, struct error *err)
{
    const struct {
        char *path;
        const char *ending;
    } files[] = {
        {nas->json_path,        "json"},
        {nas->onnx_path,        "onnx"},
        {nas->torchscript_path, "pt"  },
    };
    enum err rc = name_files(nas, err);

    for (size_t i = 0; rc == ERR_OK && i < sizeof files / sizeof *files; i++) {
        rc = path_format(files[i].path, err, "%s/result/%s/nas/%s.%s", nas->options->root,
                         nas->space->name, nas->stem, files[i].ending);
    }
    return rc;
}

static unsigned formats_made(const struct nas *nas)
{
    return nas->report.is_feasible ? nas->order.params.nas.formats : 0;
}

/* The report as JSON, with the names of the files. */
static void put_report(const struct nas *nas, bool is_whole, struct text *out)
{
    const unsigned formats = formats_made(nas);

    msg_search_put(&nas->report, is_whole, out);
    text_puts(out, ",\"files\":[");
    text_put_json_string(out, nas->json_path);
    if ((formats & SEARCH_EXPORT_ONNX) != 0) {
        text_puts(out, ",");
        text_put_json_string(out, nas->onnx_path);
    }
    if ((formats & SEARCH_EXPORT_TORCHSCRIPT) != 0) {
        text_puts(out, ",");
        text_put_json_string(out, nas->torchscript_path);
    }
    if (nas->options->plot != NULL) {
        text_puts(out, ",");
        text_put_json_string(out, nas->options->plot);
    }
    text_puts(out, "]}\n");
}

/* All of the files, or none. A network of an earlier search by this name, which the report would not
 * be of, goes. */
static enum err save(struct nas *nas, struct error *err)
{
    const unsigned formats = formats_made(nas);
    const struct nas_files files = {
        .onnx = (formats & SEARCH_EXPORT_ONNX) != 0 ? nas->onnx_path : NULL,
        .torchscript = (formats & SEARCH_EXPORT_TORCHSCRIPT) != 0 ? nas->torchscript_path : NULL,
    };
    struct result_batch batch = {0};
    struct text text = {0};
    enum err rc;

    put_report(nas, true, &text);
    rc = text.has_failed ? error_set(err, ERR_NOMEM, "no memory for the report") : ERR_OK;
    rc = rc != ERR_OK ? rc : run_nas_stage(&nas->report, &files, NULL, &batch, err);
    rc = rc != ERR_OK ? rc : result_stage(&batch, nas->json_path, text.bytes, text.size, err);
    if (rc == ERR_OK && nas->options->plot != NULL) {
        rc = run_nas_stage_plot(nas->options->plot, &nas->report, &batch, err);
    }
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    if (rc == ERR_OK && files.onnx == NULL) {
        (void)result_remove(nas->onnx_path, NULL);
    }
    if (rc == ERR_OK && files.torchscript == NULL) {
        (void)result_remove(nas->torchscript_path, NULL);
    }
    result_close(&batch);
    text_close(&text);
    return rc;
}

/* ---- telling --------------------------------------------------------------------------------- */

static bool show_progress(void *context, const struct job_progress *now)
{
    struct nas *nas = context;
    char text[128];

    if (now->n_generations > 0 && now->accuracy > 0.0) {
        (void)snprintf(text, sizeof text, "generation %zu of %zu, accuracy %.4f", now->generation,
                       now->n_generations, now->accuracy);
    } else {
        (void)snprintf(text, sizeof text, "%s", now->stage);
    }
    progress_draw(&nas->progress, now->percent / 100.0, text);
    return true;
}

static void print_targets(const struct nas *nas, const struct search_network *network)
{
    const struct search_report *report = &nas->report;

    for (size_t i = 0; i < report->params->n_targets; i++) {
        const struct device_sheet *sheet = &report->sheets[i];
        const struct hardware *hw = &sheet->hardware;
        const char *name = sheet->name[0] != '\0' ? sheet->name : "a device";
        if (nas_has_hardware(sheet)) {
            (void)printf("target            %s (%g GHz, width %g, %g MB, %g GB/s)\n", name,
                         hw->frequency_ghz, hw->dispatch_width, hw->cache_mb,
                         hw->memory_bandwidth_gbs);
        } else {
            (void)printf("target            %s (no data sheet)\n", name);
        }
        if (report->is_calibrated) {
            (void)printf("measurements      %zu\n", report->n_measurements[i]);
        }
        (void)printf("latency           %.6g ms, between %.6g and %.6g with probability %g",
                     network->latency_ms[i], network->low_ms[i], network->high_ms[i],
                     report->level);
        if (report->params->targets[i].latency_constraint_ms > 0.0) {
            (void)printf("; limit %g ms", report->params->targets[i].latency_constraint_ms);
        }
        (void)printf("\n");
    }
}

static void print_network(const struct nas *nas, const char *what,
                          const struct search_network *network)
{
    char notation[SPACE_TEXT_BYTES];
    char genes[SPACE_TEXT_BYTES];

    space_print(nas->space, network->genes, notation);
    (void)space_print_genes(nas->space, network->genes, genes);
    (void)printf("%-17s %s\n", what, notation);
    if (strcmp(notation, genes) != 0) {
        (void)printf("genes             %s\n", genes);
    }
    (void)printf("accuracy          %.6g %%\n", network->accuracy);
    if (space_tells(nas->space, SPACE_MACS) && space_tells(nas->space, SPACE_PARAMS)) {
        (void)printf("MACs, parameters  %llu, %llu\n", (unsigned long long)network->macs,
                     (unsigned long long)network->params);
    }
    print_targets(nas, network);
}

static void print_source(const struct nas *nas)
{
    const struct accuracy_source *source = &nas->accuracy->source;

    if (source->is_table) {
        (void)printf("accuracies of     a table of %zu networks\n",
                     source->table.architectures.n_rows);
    } else {
        (void)printf("accuracies of     the predictor %s, version %s\n",
                     source->model.predictor->kind->name, source->model.info.version);
    }
}

static void print_report(const struct nas *nas)
{
    const struct search_report *report = &nas->report;
    const unsigned formats = formats_made(nas);

    (void)printf("search space      %s\n", nas->space->name);
    if (report->is_feasible || report->has_fastest) {
        print_network(nas, report->is_feasible ? "found" : "fastest",
                      report->is_feasible ? &report->found : &report->fastest);
    }
    if (report->params->objective == SEARCH_PARETO) {
        (void)printf("front             %zu networks, hypervolume %.6g %% ms\n", report->n_front,
                     report->hypervolume);
    }
    (void)printf("looked at         %zu architectures, %s, in %.3f s\n", report->n_evaluated,
                 search_method_name(report->method), nas->seconds);
    (void)printf("latencies of      the predictor %s, version %s\n", report->predictor,
                 report->version);
    print_source(nas);
    (void)printf("written to        %s", nas->json_path);
    (void)printf("%s%s\n", (formats & SEARCH_EXPORT_ONNX) != 0 ? ", .onnx" : "",
                 (formats & SEARCH_EXPORT_TORCHSCRIPT) != 0 ? ", .pt" : "");
    if (nas->options->plot != NULL) {
        (void)printf("picture           %s\n", nas->options->plot);
    }
}

static enum err print(const struct nas *nas, struct error *err)
{
    struct text text = {0};

    if (!nas->options->is_json) {
        print_report(nas);
        return ERR_OK;
    }
    put_report(nas, false, &text);
    return command_print(&text, err);
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum err search(struct nas *nas, struct error *err)
{
    const struct nas_subject subject = {
        .params = &nas->order.params.nas,
        .sheets = nas->sheets,
        .model = &nas->model,
        .accuracy = nas->accuracy,
        .calibration = nas_is_calibrated(&nas->order.params.nas) ? &nas->calibration : NULL,
    };
    const struct nas_hooks hooks = {nas, show_progress};
    const double started_s = monotonic_seconds();
    enum err rc;

    progress_start(&nas->progress);
    rc = run_nas(&subject, &hooks, &nas->report, err);
    progress_end(&nas->progress);
    nas->seconds = monotonic_seconds() - started_s;
    return rc;
}

enum err command_nas(const struct options *options, struct error *err)
{
    struct nas *nas = mem_calloc(1, sizeof *nas);
    enum err rc = nas != NULL ? ERR_OK : error_set(err, ERR_NOMEM, "no memory for a search");

    if (rc != ERR_OK) {
        return rc;
    }
    nas->options = options;
    rc = command_space(options, &nas->space, err);
    rc = rc != ERR_OK ? rc : matrix_init(err);
    rc = rc != ERR_OK ? rc : data_tree_init(&nas->tree, options->root, options->data_path, err);
    rc = rc != ERR_OK ? rc : read_order(nas, err);
    rc = rc != ERR_OK ? rc : find_devices(nas, err);
    rc = rc != ERR_OK ? rc : name_paths(nas, err);
    rc = rc != ERR_OK ? rc : command_check_plot(options, err);
    rc = rc != ERR_OK ? rc : command_load_model(options, nas->space, &nas->model, err);
    rc = rc != ERR_OK ? rc
                      : nas_calibrate(&nas->tree, &nas->model, &nas->order.params.nas, nas->sheets,
                                      &nas->calibration, err);
    rc = rc != ERR_OK ? rc
                      : accuracy_cache_acquire(NULL, &nas->tree, nas->space, &nas->accuracy, err);
    rc = rc != ERR_OK ? rc : check_method(nas, err);
    rc = rc != ERR_OK ? rc : search(nas, err);
    rc = rc != ERR_OK ? rc : save(nas, err);
    rc = rc != ERR_OK ? rc : print(nas, err);
    if (rc == ERR_OK && !nas->report.is_feasible) {
        rc = error_set(err, ERR_INFEASIBLE, "no architecture that was looked at keeps the limit");
    }
    nas_close(nas);
    mem_free(nas);
    return rc;
}
