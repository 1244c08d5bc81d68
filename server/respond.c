#include "server/respond.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/mem.h"
#include "proto/msg_problem.h"
#include "server/data_tree.h"

enum { RETRY_AFTER_S = 1, HEADER_VALUE_BYTES = 1024 };

void respond_text(struct reply *reply, unsigned status, const char *content_type, struct text *text)
{
    reply->status = status;
    reply->content_type = content_type;
    reply->body = text_take(text, &reply->body_size);
    if (reply->body == NULL) {
        reply_close(reply);
        reply->is_starved = true;
        reply->status = 503; /* there may be some again in a moment */
        reply->retry_after_s = RETRY_AFTER_S;
    }
}

void respond_json(struct reply *reply, unsigned status, struct text *text)
{
    respond_text(reply, status, "application/json", text);
}

void respond_empty(struct reply *reply, unsigned status)
{
    reply->status = status;
}

/* {"error": "the first thing that is wrong"} */
static void encode_inference_error(const char *detail, const struct field_errors *errors,
                                   struct text *out)
{
    text_puts(out, "{\"error\":");
    if (detail == NULL && errors != NULL && errors->n > 0) {
        detail = errors->items[0].detail;
    }
    text_put_json_string(out, detail != NULL ? detail : "the request cannot be carried out");
    text_puts(out, "}\n");
}

static bool is_inference_path(const char *path)
{
    return strncmp(path, "/v2", 3) == 0 && (path[3] == '\0' || path[3] == '/');
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

    reply_close(reply);
    if (is_inference_path(request->path)) {
        encode_inference_error(detail, errors, &text);
        respond_json(reply, status, &text);
    } else {
        msg_problem_encode(&problem, &text);
        respond_text(reply, status, "application/problem+json", &text);
    }
    if (status >= 500 && detail != NULL) {
        reply->why = mem_strdup(detail); /* without memory the log does not say it */
    }
    if (reply->status == 503) {
        reply->retry_after_s = RETRY_AFTER_S;
    } else if (reply->status == 406) { /* a cache keeps it for those who accept the same */
        respond_header(reply, "Vary", "Accept");
    }
}

void respond_starved(struct reply *reply, const struct request *request)
{
    const char *body = is_inference_path(request->path)
                           ? "{\"error\":\"no memory for the reply\"}\n"
                           : msg_problem_no_memory;

    reply->content_type =
        is_inference_path(request->path) ? "application/json" : "application/problem+json";
    reply->body = (char *)body; /* static: nobody frees or writes it */
    reply->body_size = strlen(body);
    reply->is_static = true;
    reply->is_starved = false;
}

void respond_error(struct reply *reply, const struct request *request, const struct error *err,
                   const struct field_errors *errors)
{
    static const unsigned status_of[] = {
        [ERR_NOMEM] = 503,    [ERR_IO] = 503,         [ERR_SYNTAX] = 400,
        [ERR_INVALID] = 422,  [ERR_NOT_FOUND] = 422, /* something the body names; an unknown path
                                                        never gets here */
        [ERR_LIMIT] = 413,    [ERR_USAGE] = 422,      [ERR_NUMERIC] = 500,
        [ERR_CANCELED] = 503, [ERR_INFEASIBLE] = 422, [ERR_INTERNAL] = 500,
    };

    struct error told = *err;

    if (request->tree != NULL) {
        data_localize(request->tree, &told);
    }
    respond_problem(reply, request, status_of[err->code], told.text, errors);
}

void respond_header(struct reply *reply, const char *name, const char *format, ...)
{
    char value[HEADER_VALUE_BYTES];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (length < 0 || length >= HEADER_VALUE_BYTES || reply->n_headers == REPLY_MAX_HEADERS) {
        return;
    }
    reply->headers[reply->n_headers].name = name;
    reply->headers[reply->n_headers].value = mem_strdup(value);
    reply->n_headers += reply->headers[reply->n_headers].value != NULL;
}

bool reply_has_header(const struct reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_headers; i++) {
        if (strcasecmp(reply->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

void reply_close(struct reply *reply)
{
    if (!reply->is_static) {
        mem_free(reply->body);
    }
    if (reply->has_file) {
        (void)close(reply->fd);
    }
    if (reply->stream != NULL) {
        reply->stream->close(reply->stream);
    }
    mem_free(reply->why);
    for (size_t i = 0; i < reply->n_headers; i++) {
        mem_free(reply->headers[i].value);
    }
    memset(reply, 0, sizeof *reply);
}
