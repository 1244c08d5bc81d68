#include "server/job_respond.h"

enum { POLL_AFTER_S = 1 };

bool job_check_kept(const struct app *app, const struct request *request, struct reply *reply)
{
    struct error err = {0};

    if (app->jobs != NULL) {
        return true;
    }
    if (app->jobs_error.code != ERR_OK) {
        err = app->jobs_error;
        (void)error_wrap(&err, "no jobs are kept here, since job_store cannot be used");
    } else {
        error_describe(&err, ERR_IO, "no jobs are kept here: the setting job_store is empty");
    }
    respond_problem(reply, request, 503, err.text, NULL);
    return false;
}

static void respond_missing(const struct request *request, struct reply *reply)
{
    respond_problem(reply, request, 404,
                    "there is no such job; ended jobs are removed after job_retention_s", NULL);
}

bool job_check_id(const struct request *request, struct reply *reply)
{
    if (job_id_is_valid(request->params[0])) {
        return true;
    }
    respond_missing(request, reply);
    return false;
}

void job_respond_error(const struct app *app, const struct request *request, struct reply *reply,
                       const struct error *err)
{
    struct error told = *err;

    if (err->code == ERR_NOT_FOUND) {
        respond_missing(request, reply);
        return;
    }
    data_localize(&app->tree, &told);
    respond_problem(reply, request, 503, told.text, NULL);
}

static void respond_text_of(struct reply *reply, unsigned status, const struct job *job,
                            struct text *text)
{
    respond_json(reply, status, text);
    if (!job_has_ended(job->state)) {
        reply->retry_after_s = POLL_AFTER_S;
    }
}

void job_respond(struct reply *reply, unsigned status, const struct job *job)
{
    struct text text = {0};

    msg_job_put(job, &text);
    text_puts(&text, "\n");
    respond_text_of(reply, status, job, &text);
}

/* Writes the document and its tag. False for want of memory. */
static bool put_tagged(const struct job *job, struct text *text, char etag[ETAG_BYTES])
{
    msg_job_put(job, text);
    text_puts(text, "\n");
    if (text->has_failed) {
        return false;
    }
    etag_make(text->bytes, text->size, NULL, etag);
    return true;
}

bool job_etag(const struct job *job, char out[ETAG_BYTES])
{
    struct text text = {0};
    bool is_made = put_tagged(job, &text, out);

    text_close(&text);
    return is_made;
}

void job_respond_tagged(const struct request *request, struct reply *reply, const struct job *job)
{
    struct text text = {0};
    char etag[ETAG_BYTES];

    if (!put_tagged(job, &text, etag)) {
        respond_problem(reply, request, 503, "no memory for the job", NULL);
    } else if (!condition_answer(request, reply, etag)) {
        respond_text_of(reply, 200, job, &text);
        respond_header(reply, "ETag", "%s", etag);
    }
    text_close(&text);
}
