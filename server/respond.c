#include "server/respond.h"

#include "proto/msg_problem.h"

enum { RETRY_AFTER_S = 1 };

void respond_json(struct reply *reply, unsigned status, struct text *text)
{
    reply->status = status;
    reply->content_type = "application/json";
    reply->body = text_take(text, &reply->body_size);
    if (reply->body == NULL) {
        reply->status = 503; /* no memory: there may be some again in a moment */
        reply->retry_after_s = RETRY_AFTER_S;
        reply->body_size = 0;
    }
}

void respond_problem(struct reply *reply, const struct request *request, unsigned status,
                     const char *detail, const struct field_errors *errors)
{
    const struct problem problem = {
        .status = (int)status,
        .detail = detail,
        .instance = request->path,
        .errors = errors,
    };
    struct text text = {0};

    msg_problem_encode(&problem, &text);
    respond_json(reply, status, &text);
    reply->content_type = "application/problem+json";
    if (reply->status == 503) {
        reply->retry_after_s = RETRY_AFTER_S;
    }
}

void respond_error(struct reply *reply, const struct request *request, const struct error *err,
                   const struct field_errors *errors)
{
    static const unsigned status_of[] = {
        [ERR_NOMEM] = 503,    [ERR_IO] = 503,        [ERR_SYNTAX] = 400,
        [ERR_INVALID] = 422,  [ERR_NOT_FOUND] = 422, /* something the body names; an unknown path
                                                        never gets here */
        [ERR_LIMIT] = 413,    [ERR_USAGE] = 422,     [ERR_NUMERIC] = 500,
        [ERR_CANCELED] = 503, [ERR_INTERNAL] = 500,
    };

    respond_problem(reply, request, status_of[err->code], err->text, errors);
}
