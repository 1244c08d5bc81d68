/* The body of POST /v2/models/{model}/infer, JSON and binary: tensors and their rows.
 *
 * An input is the model's initial (n, f), the value of Inference-Header-Content-Length ("-": there is
 * none) and a line end, then the body. */
#include "core/device.h"
#include "proto/msg_infer.h"
#include "tests/fuzz/fuzz.h"

enum { ROWS_AT_ONCE = 5 };

/* Reads all rows by both ways, which have to tell the same. */
static void read_genes(const struct infer_tensor *tensor)
{
    int32_t genes[ROWS_AT_ONCE * INFER_MAX_COLUMNS];
    uint8_t scratch[ROWS_AT_ONCE * INFER_MAX_COLUMNS];
    struct infer_rows rows, narrow;
    struct error err = {0};
    enum err rc = ERR_OK;

    infer_rows_begin(&rows, tensor);
    infer_rows_begin(&narrow, tensor);
    for (size_t done = 0; rc == ERR_OK && done < tensor->n_rows;) {
        const size_t left = tensor->n_rows - done;
        const size_t n = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
        const uint8_t *bytes = infer_rows_bytes(&narrow, n, scratch);
        rc = infer_rows_genes(&rows, n, genes, &err);
        require(bytes == NULL || rc == ERR_OK);
        for (size_t i = 0; bytes != NULL && i < n * tensor->n_columns; i++) {
            require(bytes[i] == genes[i]);
        }
        if (bytes == NULL) { /* nothing was read: go on where the other one is */
            narrow = rows;
        }
        done += n;
    }
    rc = rc != ERR_OK ? rc : infer_rows_end(&rows, &err);
    require_told(rc, &err, NULL);
}

static void read_numbers(const struct infer_tensor *tensor)
{
    double numbers[ROWS_AT_ONCE * INFER_MAX_COLUMNS];
    struct infer_rows rows;
    struct error err = {0};
    enum err rc = ERR_OK;

    infer_rows_begin(&rows, tensor);
    for (size_t done = 0; rc == ERR_OK && done < tensor->n_rows;) {
        const size_t left = tensor->n_rows - done;
        const size_t n = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
        rc = infer_rows_numbers(&rows, n, numbers, &err);
        done += n;
    }
    rc = rc != ERR_OK ? rc : infer_rows_end(&rows, &err);
    require_told(rc, &err, NULL);
}

static void check_reply(const struct infer_request *request)
{
    float *latency_ms = calloc(request->n + 1, sizeof *latency_ms);
    struct text text = {0};

    require(latency_ms != NULL);
    msg_infer_encode(&(struct infer_reply){.request = request,
                                           .model_name = "nasbench201",
                                           .model_version = "cost-0123456789ab",
                                           .latency_ms = request->is_binary ? NULL : latency_ms},
                     &text);
    require_json_text(&text);
    text_close(&text);
    free(latency_ms);
}

static void run(const char *bytes, size_t size)
{
    struct fuzz_parts parts = fuzz_parts(bytes, size);
    char *length = fuzz_next(&parts, "\n", NULL);
    const bool is_nasbench = length[0] == 'n';
    const char *header = length[0] != '\0' && strcmp(length + 1, "-") != 0 ? length + 1 : NULL;
    const struct space *space = is_nasbench ? &space_nasbench201 : &space_fbnetv3;
    struct infer_request request = {0};
    struct error err = {0};
    enum err rc = msg_infer_decode(space, parts.at, parts.left, header, &request, &err);

    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        require(request.n == request.architecture.n_rows);
        require(request.architecture.n_columns == space->n_genes);
        require(request.hardware.n_columns == HARDWARE_N_FIELDS);
        require(request.hardware.n_rows == 1 || request.hardware.n_rows == request.n);
        require(request.n <= size); /* no memory is asked for that was not sent */
        read_genes(&request.architecture);
        read_numbers(&request.hardware);
        check_reply(&request);
    }
    free(length);
}

FUZZ_TARGET(run)
