/* The paths that most requests take, from the bytes of a body to those of a reply, without HTTP.
 *
 *     hot_paths ROOT RUNS         measures each, one CSV line a path:
 *                                     metric,unit,aim,better,median,low,high,runs
 *     hot_paths ROOT RUNS PATH    runs one so many times, for callgrind (instructions.py), after as many
 *                                 runs that do not count; says for how many architectures a run answers
 *
 * The paths jansson_... parse the same body and print the same reply with jansson, and do nothing in
 * between: what JSON costs somebody who reads it into a tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/matrix.h"
#include "core/mem.h"
#include "core/rng.h"
#include "proto/msg_predict.h"
#include "server/calibrator.h"
#include "server/model_store.h"
#include "server/run_infer.h"
#include "tests/bench/search_problem.h"

enum { MAX_RUNS = 1000, SEED = 1, N_MEASURED = 10 };

static const struct hardware phone = {2.0, 4.0, 2.0, 14.9};

struct path;

/* What a path works on: its body, the reply it gave last, and for jansson the reply as a tree. */
struct work {
    const struct path *path;
    struct model model;
    struct text body, reply;
    size_t json_size; /* of the body, where tensors follow */
    struct fitted *fitted;
    json_t *tree;
};

struct path {
    const char *name;
    const struct space *space;
    size_t n; /* architectures in a body */
    void (*write)(struct work *work);
    enum err (*run)(struct work *work, struct error *err);
    bool is_calibrated;
};

/* ---- bodies ---------------------------------------------------------------------------------- */

static void draw_genes(const struct space *space, size_t n, int32_t *genes)
{
    struct rng rng;

    rng_init(&rng, SEED);
    for (size_t i = 0; i < n * space->n_genes; i++) {
        const struct gene *gene = &space->genes[i % space->n_genes];
        genes[i] = gene->first + gene->step * (int32_t)rng_below(&rng, (size_t)gene->n_values);
    }
}

/* In the short notation where all values are digits, else as lists. */
static void put_architecture(struct text *body, const struct space *space, const int32_t *genes)
{
    const bool is_short = space == &space_nasbench201;

    text_puts(body, is_short ? "\"" : "[");
    for (size_t i = 0; i < space->n_genes; i++) {
        text_printf(body, i > 0 && !is_short ? ",%d" : "%d", genes[i]);
    }
    text_puts(body, is_short ? "\"" : "]");
}

static void write_json(struct work *work)
{
    const struct space *space = work->path->space;
    int32_t *genes = mem_calloc(work->path->n, space->n_genes * sizeof *genes);

    if (genes == NULL) {
        work->body.has_failed = true;
        return;
    }
    draw_genes(space, work->path->n, genes);
    text_printf(&work->body,
                "{\"search_space\":\"%s\",\"hardware\":[2.0,4,2,14.9],\"architectures\":[",
                space->name);
    for (size_t i = 0; i < work->path->n; i++) {
        text_puts(&work->body, i > 0 ? "," : "");
        put_architecture(&work->body, space, genes + i * space->n_genes);
    }
    text_puts(&work->body, "]}");
    mem_free(genes);
}

static void write_tensors(struct work *work)
{
    const struct space *space = work->path->space;
    const size_t size = work->path->n * space->n_genes;
    const float hardware[HARDWARE_N_FIELDS] = {2.0F, 4.0F, 2.0F, 14.9F};
    int32_t *genes = mem_calloc(work->path->n, space->n_genes * sizeof *genes);

    if (genes == NULL) {
        work->body.has_failed = true;
        return;
    }
    draw_genes(space, work->path->n, genes);
    text_printf(
        &work->body,
        "{\"inputs\":[{\"name\":\"architecture\",\"datatype\":\"UINT8\",\"shape\":[%zu,%zu],"
        "\"parameters\":{\"binary_data_size\":%zu}},{\"name\":\"hardware\",\"datatype\":"
        "\"FP32\",\"shape\":[4],\"parameters\":{\"binary_data_size\":16}}],"
        "\"parameters\":{\"binary_data_output\":true}}",
        work->path->n, space->n_genes, size);
    work->json_size = work->body.size;
    for (size_t i = 0; i < size; i++) {
        const char gene = (char)genes[i];
        text_put(&work->body, &gene, 1);
    }
    text_put(&work->body, (const char *)hardware, sizeof hardware);
    mem_free(genes);
}

/* ---- paths ----------------------------------------------------------------------------------- */

static enum err predict(struct work *work, struct error *err)
{
    struct predict_request request;
    struct forecast forecast = {0};
    enum err rc = msg_predict_decode(work->body.bytes, work->body.size, 1 << 23, &request, err);

    rc = rc != ERR_OK ? rc : forecast_make(&work->model, &request, &work->fitted, &forecast, err);
    if (rc == ERR_OK) {
        text_close(&work->reply); /* a reply's block is the library's, which frees it */
        msg_predict_encode(&forecast.reply, &work->reply);
    }
    forecast_close(&forecast);
    msg_predict_close(&request);
    return rc;
}

static enum err infer(struct work *work, struct error *err)
{
    struct infer_request request;
    char header_length[24];
    enum err rc;

    (void)snprintf(header_length, sizeof header_length, "%zu", work->json_size);
    rc = msg_infer_decode(work->path->space, work->body.bytes, work->body.size, header_length,
                          &request, err);
    if (rc == ERR_OK) {
        const struct infer_reply reply = {&request, work->path->space->name, "1", NULL};
        const size_t size = request.n * sizeof(float);
        text_close(&work->reply);
        msg_infer_encode(&reply, &work->reply);
        text_reserve(&work->reply, size);
        rc = work->reply.has_failed
                 ? error_set(err, ERR_NOMEM, "no memory for a reply")
                 : run_infer(&work->model, &request,
                             (unsigned char *)work->reply.bytes + work->reply.size, err);
    }
    return rc;
}

static enum err print_tree(struct work *work, struct error *err)
{
    json_t *parsed = json_loadb(work->body.bytes, work->body.size, 0, NULL);
    char *printed = json_dumps(work->tree, JSON_COMPACT | JSON_REAL_PRECISION(9));
    const bool is_good = parsed != NULL && printed != NULL;

    json_decref(parsed);
    free(printed);
    return is_good ? ERR_OK : error_set(err, ERR_INTERNAL, "jansson reads or prints nothing");
}

static const struct path paths[] = {
    {"json_single",         &space_nasbench201, 1,      write_json,    predict,    false},
    {"json_calibrated",     &space_nasbench201, 1,      write_json,    predict,    true },
    {"json_batch",          &space_nasbench201, 15625,  write_json,    predict,    false},
    {"json_batch_fbnetv3",  &space_fbnetv3,     1000,   write_json,    predict,    false},
    {"infer_uint8",         &space_nasbench201, 100000, write_tensors, infer,      false},
    {"infer_uint8_fbnetv3", &space_fbnetv3,     1000,   write_tensors, infer,      false},
    {"jansson_single",      &space_nasbench201, 1,      write_json,    print_tree, false},
    {"jansson_batch",       &space_nasbench201, 15625,  write_json,    print_tree, false},
};

/* ---- measuring ------------------------------------------------------------------------------- */

static enum err calibrate(struct work *work, struct error *err)
{
    const struct space *space = work->path->space;
    int32_t *genes = mem_calloc(N_MEASURED, space->n_genes * sizeof *genes);
    double latency_ms[N_MEASURED];
    enum err rc = ERR_OK;

    if (genes == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for measurements");
    }
    draw_genes(space, N_MEASURED, genes);
    rc = predictor_predict(work->model.predictor, genes, N_MEASURED, latency_ms, NULL, err);
    for (size_t i = 0; i < N_MEASURED; i++) {
        latency_ms[i] *= 1.1 * hardware_factor(&phone);
    }
    rc = rc != ERR_OK ? rc
                      : fitted_create(&work->model, &phone, genes, latency_ms, N_MEASURED,
                                      &work->fitted, err);
    mem_free(genes);
    return rc;
}

/* The reply that the tree is of is what predict() answers. */
static enum err grow_tree(struct work *work, struct error *err)
{
    enum err rc = predict(work, err);

    if (rc == ERR_OK) {
        work->tree = json_loadb(work->reply.bytes, work->reply.size, 0, NULL);
        rc = work->tree == NULL ? error_set(err, ERR_INTERNAL, "the reply is no JSON") : ERR_OK;
    }
    return rc;
}

static void work_close(struct work *work)
{
    fitted_unref(work->fitted);
    json_decref(work->tree);
    text_close(&work->body);
    text_close(&work->reply);
    model_close(&work->model);
}

static enum err work_open(struct work *work, const char *root, const struct path *path,
                          struct error *err)
{
    char file[PATH_BYTES];
    enum err rc = model_store_path(root, path->space, file, err);

    *work = (struct work){.path = path};
    rc = rc != ERR_OK ? rc : model_store_load(file, path->space, &work->model, NULL, err);
    if (rc == ERR_OK) {
        path->write(work);
        rc = work->body.has_failed ? error_set(err, ERR_NOMEM, "no memory for a body") : ERR_OK;
    }
    if (rc == ERR_OK && path->is_calibrated) {
        rc = calibrate(work, err);
    }
    if (rc == ERR_OK && path->run == print_tree) {
        rc = grow_tree(work, err);
    }
    return rc;
}

/* What callgrind counts: its name is what instructions.py gives as --toggle-collect. */
__attribute__((noinline)) enum err run_counted(struct work *work, size_t n_runs, struct error *err);
enum err run_counted(struct work *work, size_t n_runs, struct error *err)
{
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < n_runs; i++) {
        rc = work->path->run(work, err);
    }
    return rc;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return (x > y) - (x < y);
}

static enum err measure(struct work *work, size_t n_runs, struct error *err)
{
    const size_t n = work->path->n;
    double values[MAX_RUNS];
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < n_runs; i++) {
        const size_t n_repeats = n < 1000 ? 1000 : 1; /* a clock tells no microseconds well */
        const double start = monotonic_seconds();
        rc = run_counted(work, n_repeats, err);
        values[i] = (monotonic_seconds() - start) * 1e6 / (double)(n * n_repeats);
    }
    if (rc == ERR_OK) {
        qsort(values, n_runs, sizeof *values, compare_doubles);
        (void)printf("%s,us/arch,,lower,%.6g,%.6g,%.6g,%zu\n", work->path->name, values[n_runs / 2],
                     values[0], values[n_runs - 1], n_runs);
        (void)fflush(stdout);
    }
    return rc;
}

static enum err run_path(const char *root, const struct path *path, size_t n_runs, bool is_counted,
                         struct error *err)
{
    struct work work;
    enum err rc = work_open(&work, root, path, err);

    if (rc == ERR_OK && is_counted) {
        for (size_t i = 0; rc == ERR_OK && i < n_runs; i++) {
            rc = path->run(&work, err);
        }
        rc = rc != ERR_OK ? rc : run_counted(&work, n_runs, err);
        (void)printf("%zu\n", path->n);
    } else if (rc == ERR_OK) {
        rc = measure(&work, n_runs, err);
    }
    work_close(&work);
    return rc;
}

int main(int argc, char **argv)
{
    const long n_runs = argc >= 3 ? strtol(argv[2], NULL, 10) : 0;
    struct error err = {0};
    size_t n_found = 0;
    enum err rc;

    if (n_runs < 1 || n_runs > MAX_RUNS || argc > 4) {
        (void)fprintf(stderr, "usage: hot_paths ROOT RUNS [PATH] (RUNS: 1 to %d)\n", MAX_RUNS);
        return 2;
    }
    json_set_alloc_funcs(malloc, free); /* as it is without us */
    rc = matrix_init(&err);
    for (size_t i = 0; rc == ERR_OK && i < sizeof paths / sizeof *paths; i++) {
        if (argc == 3 || strcmp(argv[3], paths[i].name) == 0) {
            n_found++;
            rc = run_path(argv[1], &paths[i], (size_t)n_runs, argc == 4, &err);
        }
    }
    if (rc != ERR_OK || n_found == 0) {
        (void)fprintf(stderr, "hot_paths: %s\n", rc != ERR_OK ? err.text : "there is no such path");
        return 1;
    }
    return 0;
}
