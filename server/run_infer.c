#include "server/run_infer.h"

#include <string.h>

#include "core/device.h"
#include "core/mem.h"
#include "core/scale_each.h"
#include "server/unmeasured.h"

enum { CHUNK_ROWS = 1024 }; /* what a step works on stays in the first level of cache */

/* One request under way, and room for a chunk of it. */
struct run {
    const struct model *model;
    const struct space *space;
    const struct infer_request *request;
    struct infer_rows architectures, devices;
    size_t done;     /* rows */
    bool has_factor; /* one device for all: the factors are read once */
    double rate[CHUNK_ROWS];
    double factors[CHUNK_ROWS];
    float latency_ms[CHUNK_ROWS]; /* what is written */
    double *hardware;             /* (CHUNK_ROWS, 4), in `block` */
    int32_t *genes;               /* (CHUNK_ROWS, n_genes), likewise */
    unsigned char block[];
};

static struct run *run_create(const struct model *model, const struct infer_request *request)
{
    const size_t n_rows = request->n < CHUNK_ROWS ? request->n : CHUNK_ROWS;
    const size_t hardware_bytes = (n_rows + 1) * HARDWARE_N_FIELDS * sizeof(double);
    const size_t genes_bytes = n_rows * model->predictor->space->n_genes * sizeof(int32_t);
    /* not zeroed, which of so large a block may be done by new pages */
    struct run *run = mem_resize(NULL, 1, sizeof *run + hardware_bytes + genes_bytes);

    if (run != NULL) {
        run->model = model;
        run->space = model->predictor->space;
        run->request = request;
        run->done = 0;
        run->has_factor = request->hardware.n_rows == 1;
        run->hardware = (void *)run->block; /* aligned: it follows pointers */
        run->genes = (void *)(run->block + hardware_bytes);
        infer_rows_begin(&run->architectures, &request->architecture);
        infer_rows_begin(&run->devices, &request->hardware);
    }
    return run;
}

/* Factors of the next n rows of hardware. */
static enum err read_factors(struct run *run, size_t n, double *factors, struct error *err)
{
    const size_t first = run->devices.next;
    enum err rc = infer_rows_numbers(&run->devices, n, run->hardware, err);

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        struct hardware hw = hardware_from_vector(run->hardware + i * HARDWARE_N_FIELDS);
        size_t bad_field = 0;
        rc = hardware_validate(&hw, &bad_field, err);
        if (rc != ERR_OK && run->request->hardware.is_vector) {
            return error_wrap(err, INFER_HARDWARE "[%zu]", bad_field);
        }
        if (rc != ERR_OK) {
            return error_wrap(err, INFER_HARDWARE "[%zu][%zu]", first + i, bad_field);
        }
        factors[i] = unmeasured_factor(run->model, &hw);
    }
    return rc;
}

/* Rates of the next n rows. Bytes take the predictor's short way, where it is asked; all else goes by
 * genes. */
static enum err predict_rows(struct run *run, size_t n, struct error *err)
{
    const struct space *space = run->space;
    const uint8_t *bytes = run->model->prior == NULL
                               ? infer_rows_bytes(&run->architectures, n, (uint8_t *)run->genes)
                               : NULL;
    size_t bad_row = 0;
    size_t bad_gene = 0;
    enum err rc;

    if (bytes != NULL) {
        rc = predictor_predict_bytes(run->model->predictor, bytes, n, run->rate, &bad_row, err);
        return rc != ERR_INVALID ? rc
                                 : error_wrap(err, INFER_ARCHITECTURE "[%zu]", run->done + bad_row);
    }
    rc = infer_rows_genes(&run->architectures, n, run->genes, err);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        rc = space_validate(space, run->genes + i * space->n_genes, &bad_gene, err);
        if (rc != ERR_OK) {
            return error_wrap(err, INFER_ARCHITECTURE "[%zu]", run->done + i);
        }
    }
    return rc != ERR_OK ? rc : unmeasured_predict(run->model, run->genes, n, run->rate, NULL, err);
}

static enum err run_chunk(struct run *run, size_t n, unsigned char *out, struct error *err)
{
    enum err rc = run->has_factor ? ERR_OK : read_factors(run, n, run->factors, err);

    rc = rc != ERR_OK ? rc : predict_rows(run, n, err);
    if (rc == ERR_OK && !scale_each(run->rate, run->factors, n, run->latency_ms)) {
        rc = error_set(err, ERR_NUMERIC, "a latency is too large for single precision");
    }
    if (rc == ERR_OK) {
        memcpy(out + run->done * sizeof *run->latency_ms, run->latency_ms,
               n * sizeof *run->latency_ms);
        run->done += n;
    }
    return rc;
}

enum err run_infer(const struct model *model, const struct infer_request *request,
                   unsigned char *out, struct error *err)
{
    struct run *run = run_create(model, request);
    enum err rc = ERR_OK;

    if (run == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu predictions", request->n);
    }
    if (run->has_factor) {
        rc = read_factors(run, 1, run->factors, err);
        for (size_t i = 1; i < CHUNK_ROWS && i < request->n; i++) {
            run->factors[i] = run->factors[0];
        }
    }
    while (rc == ERR_OK && run->done < request->n) {
        size_t left = request->n - run->done;
        rc = run_chunk(run, left < CHUNK_ROWS ? left : CHUNK_ROWS, out, err);
    }
    rc = rc != ERR_OK ? rc : infer_rows_end(&run->architectures, err);
    rc = rc != ERR_OK ? rc : infer_rows_end(&run->devices, err);
    mem_free(run);
    return rc;
}
