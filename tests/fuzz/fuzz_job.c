/* A submission of a job: what is understood of it is written down, and read again the same. */
#include "proto/job.h"
#include "tests/fuzz/fuzz.h"

static void run(const char *bytes, size_t size)
{
    struct job_order order = {0}, again = {0};
    struct field_errors errors = {0};
    struct error err = {0};
    enum err rc = msg_job_decode(bytes, size, &order, &errors, &err);

    require_told(rc, &err, &errors);
    if (rc == ERR_OK) {
        struct text first = {0}, second = {0};
        require(order.kind < JOB_N_KINDS && order.space != NULL);
        require(abs(order.priority) <= JOB_PRIORITY_MAX && order.deadline_s >= 0);
        msg_job_put_params(&order, &first);
        require_json_text(&first);
        rc = msg_job_decode_params(order.kind, order.space, first.bytes, &again, &err);
        if (rc != ERR_OK) {
            (void)fprintf(stderr, "%s: %s\n", err.text, first.bytes);
        }
        require(rc == ERR_OK);
        msg_job_put_params(&again, &second);
        require_same_text(&first, &second);
        text_close(&first);
        text_close(&second);
        job_order_close(&again);
    }
    job_order_close(&order);
    field_errors_close(&errors);
}

FUZZ_TARGET(run)
