/* GET /v1/spaces/{space}/architectures/{notation}: what an architecture costs, and its network as
 * ONNX.
 *
 * An ONNX file is made while it is sent, in the I/O thread: a block of 64 KiB takes some 50
 * microseconds, which is what others wait for meanwhile. A client that stops reading holds the
 * nodes' descriptions and no weights; they count to transfer_max_bytes. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/version.h"
#include "proto/msg_architecture.h"
#include "proto/onnx.h"
#include "server/accept.h"
#include "server/conditional.h"
#include "server/data_request.h"
#include "server/respond.h"

enum form { FORM_JSON, FORM_ONNX, N_FORMS };

static const char *const form_types[N_FORMS] = {"application/json", ONNX_MEDIA_TYPE};
static const char *const form_names[N_FORMS] = {"json", "onnx"};

/* What is asked for. */
struct question {
    const struct space *space;
    int32_t genes[SPACE_MAX_GENES];
    enum form form;
    int64_t seed;
};

/* ---- the network, while it is sent ----------------------------------------------------------- */

struct network_stream {
    struct reply_stream reply; /* first */
    struct graph graph;
    struct onnx onnx;
};

static ptrdiff_t stream_read(struct reply_stream *reply, char *bytes, size_t size)
{
    struct network_stream *stream = (struct network_stream *)reply;
    size_t n = onnx_read(&stream->onnx, bytes, size);

    return n > 0 ? (ptrdiff_t)n : -1;
}

static void stream_close(struct reply_stream *reply)
{
    struct network_stream *stream = (struct network_stream *)reply;

    onnx_close(&stream->onnx);
    graph_close(&stream->graph);
    mem_free(stream);
}

static enum err stream_create(const struct question *question, struct reply_stream **out,
                              struct error *err)
{
    struct network_stream *stream = mem_calloc(1, sizeof *stream);
    enum err rc;

    if (stream == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a network");
    }
    rc = graph_build(question->space, question->genes, (uint64_t)question->seed, &stream->graph,
                     err);
    rc = rc != ERR_OK ? rc : onnx_open(&stream->graph, &stream->onnx, err);
    if (rc != ERR_OK) {
        stream_close(&stream->reply);
        return rc;
    }
    stream->reply.read = stream_read;
    stream->reply.close = stream_close;
    stream->reply.size = stream->onnx.size;
    stream->reply.held_bytes =
        sizeof *stream + graph_held_bytes(&stream->graph) + stream->onnx.piece.capacity;
    *out = &stream->reply;
    return ERR_OK;
}

/* The same program makes the same file of the same question. */
static void make_network_etag(const struct question *question, char etag[ETAG_BYTES])
{
    char genes[SPACE_TEXT_BYTES], identity[SPACE_TEXT_BYTES + 128];
    int length;

    (void)space_print_genes(question->space, question->genes, genes);
    length = snprintf(identity, sizeof identity, "%s %s %s %" PRId64, DGLD_VERSION,
                      question->space->name, genes, question->seed);
    etag_make(identity, (size_t)length, form_names[FORM_ONNX], etag);
}

/* "nasbench201-444244.onnx"; the blanks between genes become dashes. */
static void put_file_name(const struct question *question, struct reply *reply)
{
    char genes[SPACE_TEXT_BYTES];

    (void)space_print_genes(question->space, question->genes, genes);
    for (char *c = genes; *c != '\0'; c++) {
        *c = *c == ' ' ? '-' : *c;
    }
    respond_header(reply, "Content-Disposition", "attachment; filename=\"%s-%s.onnx\"",
                   question->space->name, genes);
}

static void answer_network(const struct question *question, const struct request *request,
                           struct reply *reply)
{
    char etag[ETAG_BYTES];
    struct error err;

    make_network_etag(question, etag);
    if (condition_answer(request, reply, etag)) {
        return;
    }
    if (stream_create(question, &reply->stream, &err) != ERR_OK) {
        respond_error(reply, request, &err, NULL);
        return;
    }
    reply->status = 200;
    reply->content_type = form_types[FORM_ONNX];
    respond_header(reply, "ETag", "%s", etag);
    put_file_name(question, reply);
}

/* ---- the costs ------------------------------------------------------------------------------- */

static void answer_costs(const struct question *question, const struct request *request,
                         struct reply *reply)
{
    char etag[ETAG_BYTES];
    struct text text = {0};
    struct cost cost;
    struct error err;

    if (space_count(question->space, question->genes, &cost, &err) != ERR_OK) {
        respond_error(reply, request, &err, NULL);
        return;
    }
    msg_architecture_encode(question->space, question->genes, &cost, &text);
    text_puts(&text, "\n");
    if (!text.has_failed) {
        etag_make(text.bytes, text.size, form_names[FORM_JSON], etag);
        if (condition_answer(request, reply, etag)) {
            text_close(&text);
            return;
        }
        respond_header(reply, "ETag", "%s", etag);
    }
    respond_json(reply, 200, &text);
    text_close(&text);
}

/* ---- the question ---------------------------------------------------------------------------- */

/* By ?format where it is given, else by Accept; else the reply is made. */
static bool read_form(const struct request *request, enum form *out, struct reply *reply)
{
    const char *name = request_query(request, "format");
    size_t form = 0;

    if (name == NULL) {
        form = accept_choose(request_header(request, "Accept"), form_types, N_FORMS);
    } else {
        while (form < N_FORMS && strcmp(name, form_names[form]) != 0) {
            form++;
        }
    }
    if (form == N_FORMS && name != NULL) {
        respond_problem(reply, request, 422, "format must be json or onnx", NULL);
        return false;
    }
    if (form == N_FORMS) {
        respond_problem(reply, request, 406,
                        "an architecture is there as application/json and as application/onnx",
                        NULL);
        return false;
    }
    *out = (enum form)form;
    return true;
}

static bool read_seed(const struct request *request, int64_t *out, struct reply *reply)
{
    const char *text = request_query(request, "seed");
    char *end = NULL;

    *out = 0;
    if (text == NULL) {
        return true;
    }
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0) {
        respond_problem(reply, request, 422, "seed must be a whole number of 0 to 2^63 - 1", NULL);
        return false;
    }
    return true;
}

/* An architecture that the space does not have is no resource that could not be found, but a
 * mistake in how it is written, as in the body of a prediction. */
static bool read_architecture(const struct request *request, struct question *out,
                              struct reply *reply)
{
    const char *text = request->params[1];
    struct error err;

    if (space_parse(out->space, text, strlen(text), out->genes, NULL, &err) != ERR_OK) {
        respond_problem(reply, request, 422, err.text, NULL);
        return false;
    }
    return true;
}

void architectures_get(struct app *app, const struct request *request, struct reply *reply)
{
    struct question question = {.space = data_find_space(request, request->params[0], reply)};

    (void)app;
    if (question.space == NULL || !read_form(request, &question.form, reply) ||
        !read_seed(request, &question.seed, reply) ||
        !read_architecture(request, &question, reply)) {
        return;
    }
    if (question.form == FORM_ONNX) {
        answer_network(&question, request, reply);
    } else {
        answer_costs(&question, request, reply);
    }
    if (reply->status == 200 || reply->status == 304) {
        respond_header(reply, "Vary", "Accept");
    }
}
