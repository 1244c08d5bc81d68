#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "core/mem.h"
#include "server/accept.h"
#include "server/app.h"
#include "server/http_server.h"
#include "server/respond.h"

/* Level 1: digits shrink to less than half with it, and further levels take thrice as long for a
 * tenth less. */
enum { COMPRESSION_LEVEL = 1, GZIP_WINDOW_BITS = 15 + 16, COMPRESSION_MEMORY_LEVEL = 8 };

/* ---- compression ----------------------------------------------------------------------------- */

static bool is_gzip_accepted(const struct request *request)
{
    const char *accepted = request_header(request, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    int weight;

    if (accepted == NULL) {
        return false;
    }
    weight = accept_coding_weight(accepted, "gzip");
    return weight > 0 || (weight < 0 && accept_coding_weight(accepted, "*") > 0);
}

static bool is_compressible(const char *type)
{
    static const char *const types[] = {"application/json", "application/problem+json", "text/",
                                        "image/svg+xml"};

    for (size_t i = 0; type != NULL && i < sizeof types / sizeof *types; i++) {
        if (strncmp(type, types[i], strlen(types[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* gzip of the body in a fresh block; NULL where it would not be smaller, or memory is out. */
static char *gzip(const struct reply *reply, size_t *size)
{
    z_stream stream = {0};
    char *out = mem_calloc(1, reply->body_size);
    bool is_whole;

    if (out == NULL || deflateInit2(&stream, COMPRESSION_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS,
                                    COMPRESSION_MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        mem_free(out);
        return NULL;
    }
    stream.next_in = (Bytef *)reply->body;
    stream.avail_in = (uInt)reply->body_size;
    stream.next_out = (Bytef *)out;
    stream.avail_out = (uInt)reply->body_size - 1;
    is_whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    *size = stream.total_out;
    (void)deflateEnd(&stream);
    if (!is_whole) {
        mem_free(out);
        return NULL;
    }
    return out;
}

/* A body that has a strong validator, or comes from a file, is sent as it is: compressed it would be
 * another representation. */
void compress_reply(struct context *context)
{
    struct reply *reply = &context->reply;
    int64_t smallest = context->server->app->config.compression_min_bytes;
    char *smaller;
    size_t size;

    if (smallest == 0 || reply->has_file || reply->stream != NULL ||
        reply->body_size < (size_t)smallest || reply->body_size > UINT32_MAX ||
        !is_compressible(reply->content_type) || reply_has_header(reply, MHD_HTTP_HEADER_ETAG) ||
        reply_has_header(reply, MHD_HTTP_HEADER_CONTENT_ENCODING)) {
        return;
    }
    respond_header(reply, MHD_HTTP_HEADER_VARY, "%s", MHD_HTTP_HEADER_ACCEPT_ENCODING);
    if (!is_gzip_accepted(&context->request)) {
        return;
    }
    smaller = gzip(reply, &size);
    if (smaller != NULL) {
        if (!reply->is_static) {
            mem_free(reply->body);
        }
        reply->is_static = false;
        reply->body = smaller;
        reply->body_size = size;
        respond_header(reply, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    }
}

/* ---- streams --------------------------------------------------------------------------------- */

/* What the kernel holds of an endless stream for a client that does not read; what is read of a
 * stream at a time, which takes the I/O thread microseconds; and that of one whose size is known. */
enum { STREAM_SEND_BYTES = 16 << 10, STREAM_BLOCK_BYTES = 4096, SIZED_BLOCK_BYTES = 64 << 10 };

/* MHD_ContentReaderCallback: called when all that was read before is in the socket. */
static ssize_t read_stream(void *cls, uint64_t position, char *bytes, size_t size)
{
    struct reply_stream *stream = cls;
    struct context *context = stream->context;
    ptrdiff_t n = stream->read(stream, bytes, size);
    int64_t limit_ms = n == 0 ? DEADLINE_NONE : stream->write_timeout_ms;

    (void)position;
    if (n < 0) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (stream->size == 0 &&
        !connection_wait(context->connection, WAIT_REPLY_READ, clock_ms(), limit_ms)) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (n == 0) {
        MHD_suspend_connection(context->request.connection);
        stream->wait(stream);
    }
    return n;
}

static void close_stream(void *cls)
{
    struct reply_stream *stream = cls;

    stream->close(stream);
}

void stream_resume(struct reply_stream *stream)
{
    MHD_resume_connection(stream->context->request.connection);
}

/* The stream is the library's from here on. */
static struct MHD_Response *make_stream(struct context *context)
{
    struct reply_stream *stream = context->reply.stream;
    int size = STREAM_SEND_BYTES;
    struct MHD_Response *response;

    stream->context = context;
    if (context->connection != NULL && stream->size == 0) {
        (void)setsockopt(context->connection->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
    response =
        MHD_create_response_from_callback(stream->size > 0 ? stream->size : MHD_SIZE_UNKNOWN,
                                          stream->size > 0 ? SIZED_BLOCK_BYTES : STREAM_BLOCK_BYTES,
                                          read_stream, stream, close_stream);
    if (response != NULL) {
        context->reply.stream = NULL;
        if (stream->size == 0 && strcmp(context->request.method, MHD_HTTP_METHOD_HEAD) == 0) {
            /* the library would send the end of the chunks that HEAD does not have */
            (void)MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
        }
    }
    return response;
}

/* ---- hand-over ------------------------------------------------------------------------------- */

static enum MHD_Result add_headers(struct MHD_Response *response, const struct reply *reply,
                                   const char *request_id, bool is_closing)
{
    enum MHD_Result ok = MHD_add_response_header(response, "X-Request-Id", request_id);
    char seconds[16];

    if (reply->content_type != NULL) {
        ok &= MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    }
    if (reply->allow != NULL) {
        ok &= MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
    }
    if (reply->retry_after_s > 0) {
        (void)snprintf(seconds, sizeof seconds, "%d", reply->retry_after_s);
        ok &= MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    for (size_t i = 0; i < reply->n_headers; i++) {
        ok &= MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    }
    if (is_closing) {
        ok &= MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    return ok;
}

/* Gives the reply's body to the library, or keeps it where that fails. */
static struct MHD_Response *make_response(struct context *context)
{
    struct reply *reply = &context->reply;
    struct MHD_Response *response;

    if (reply->stream != NULL) {
        return make_stream(context);
    }
    if (reply->has_file) {
        return MHD_create_response_from_fd_at_offset64(reply->file_size, reply->fd,
                                                       reply->file_offset);
    }
    if (reply->is_static) {
        return MHD_create_response_from_buffer(reply->body_size, reply->body,
                                               MHD_RESPMEM_PERSISTENT);
    }
    response =
        MHD_create_response_from_buffer_with_free_callback(reply->body_size, reply->body, mem_free);
    if (response != NULL) {
        reply->body = NULL;
    }
    return response;
}

enum MHD_Result send_reply(struct context *context)
{
    struct http_server *server = context->server;
    struct reply *reply = &context->reply;
    struct MHD_Response *response;
    unsigned status = reply->status;
    uint64_t size;
    enum MHD_Result ok = MHD_NO;

    if (reply->is_starved) {
        respond_starved(reply, &context->request);
    }
    size = reply->has_file         ? reply->file_size
           : reply->stream != NULL ? reply->stream->size
                                   : reply->body_size;
    if (connection_wait(context->connection, WAIT_REPLY_READ, clock_ms(),
                        server->app->config.reply_timeout_s * 1000)) {
        response = make_response(context);
        if (response != NULL) {
            ok = add_headers(response, reply, context->request.id,
                             context->is_closing || atomic_load(&server->is_refusing)) &
                 browser_add_headers(response, context);
            if (ok == MHD_YES) {
                ok = MHD_queue_response(context->request.connection, status, response);
            }
            if (ok == MHD_YES) {
                observe_reply(context, status, size);
            }
            reply->has_file = false; /* the library closes it */
            MHD_destroy_response(response);
        }
    }
    reply_close(reply);
    return ok;
}
