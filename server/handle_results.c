/* GET /v1/results[/{path}]: the result tree, listed and downloaded. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/mem.h"
#include "proto/timestamp.h"
#include "server/app.h"
#include "server/byte_range.h"
#include "server/conditional.h"
#include "server/path.h"
#include "server/respond.h"
#include "server/tree_file.h"

enum { LIST_DEFAULT_LIMIT = 1000, LIST_MAX_LIMIT = 10000 };

/* ---- types ----------------------------------------------------------------------------------- */

/* What a file is by the end of its name. What a browser could run is among none of them but SVG,
 * which is locked up by the policy below. */
/* clang-format off */
static const struct file_type {
    const char *suffix, *type;
    bool is_shown; /* in a browser; else it is saved */
} file_types[] = {
    {".json", "application/json", true},
    {".txt", "text/plain; charset=utf-8", true},
    {".log", "text/plain; charset=utf-8", true},
    {".csv", "text/csv; charset=utf-8", true},
    {".svg", "image/svg+xml", true},
    {".png", "image/png", true},
    {".safetensors", "application/octet-stream", false},
    {".onnx", "application/octet-stream", false},
    {".pt", "application/octet-stream", false},
    {".pth", "application/octet-stream", false},
    {".zip", "application/zip", false},
    {"", "application/octet-stream", false},
};
/* clang-format on */

static const struct file_type *find_type(const char *path)
{
    const struct file_type *type = file_types;
    size_t length = strlen(path);

    for (;; type++) {
        size_t n = strlen(type->suffix);
        if (n <= length && strcasecmp(path + length - n, type->suffix) == 0) {
            return type;
        }
    }
}

/* ---- download -------------------------------------------------------------------------------- */

/* What tells one state of a file from another. Results are renamed into place whole, so another
 * content is another inode and time. */
static void make_etag(const struct tree_file *file, char etag[ETAG_BYTES])
{
    char state[128];
    int length = snprintf(state, sizeof state, "%" PRIu64 " %" PRIu64 " %lld.%09ld", file->inode,
                          file->size, (long long)file->modified.tv_sec, file->modified.tv_nsec);

    etag_make(state, (size_t)length, NULL, etag);
}

static void put_validators(struct reply *reply, const struct tree_file *file, const char *etag)
{
    char date[HTTP_DATE_BYTES];

    http_date_format(file->modified.tv_sec, date);
    respond_header(reply, "ETag", "%s", etag);
    respond_header(reply, "Last-Modified", "%s", date);
}

/* Whether If-Modified-Since says that the client has the file as it is. */
static bool is_unmodified(const char *since, const struct tree_file *file)
{
    time_t at;

    return since != NULL && http_date_parse(since, &at) && file->modified.tv_sec <= at;
}

/* Whether If-Unmodified-Since says that the client knows an older file; a tag would say more. */
static bool is_modified(const struct request *request, const struct tree_file *file)
{
    const char *since = request_header(request, "If-Unmodified-Since");
    time_t at;

    return since != NULL && request_header(request, "If-Match") == NULL &&
           http_date_parse(since, &at) && file->modified.tv_sec > at;
}

/* The conditions of RFC 9110, section 13.2.2, in its order. True where they leave the file to be
 * sent; else the reply is made. */
static bool check_conditions(const struct request *request, const struct tree_file *file,
                             const char *etag, struct reply *reply)
{
    const struct conditions conditions = {
        .if_match = request_header(request, "If-Match"),
        .if_none_match = request_header(request, "If-None-Match"),
    };
    struct error err;
    enum condition condition = condition_check(&conditions, true, etag, &err);

    if (condition == CONDITION_FAILED) {
        respond_problem(reply, request, 412, err.text, NULL);
        return false;
    }
    if (is_modified(request, file)) {
        respond_problem(reply, request, 412, "the file was changed after If-Unmodified-Since",
                        NULL);
        return false;
    }
    if (condition == CONDITION_NOT_MODIFIED ||
        (conditions.if_none_match == NULL &&
         is_unmodified(request_header(request, "If-Modified-Since"), file))) {
        respond_empty(reply, 304);
        put_validators(reply, file, etag);
        return false;
    }
    return true;
}

/* Whether a date tells this very file from all others: it is the file's own, and so old that
 * nothing can have happened since within the same second. */
static bool is_exact_date(const char *field, const struct tree_file *file)
{
    time_t at;

    return http_date_parse(field, &at) && at == file->modified.tv_sec && at + 1 < time(NULL);
}

/* Whether If-Range lets a Range stand: the client's parts are of this very file. */
static bool may_send_part(const struct request *request, const struct tree_file *file,
                          const char *etag)
{
    const char *field = request_header(request, "If-Range");

    if (strcmp(request->method, "GET") != 0) {
        return false; /* Range means nothing for HEAD */
    }
    return field == NULL || etag_is_exactly(field, etag) || is_exact_date(field, file);
}

static void put_file_headers(struct reply *reply, const struct tree_file *file, const char *path,
                             const char *etag)
{
    const struct file_type *type = find_type(path);

    reply->content_type = type->type;
    put_validators(reply, file, etag);
    respond_header(reply, "Accept-Ranges", "bytes");
    if (!type->is_shown) {
        respond_header(reply, "Content-Disposition", "attachment"); /* named as in the path */
    }
}

static void refuse_range(struct reply *reply, const struct request *request,
                         const struct tree_file *file)
{
    struct error err;

    (void)error_set(&err, ERR_INVALID,
                    "the range lies behind the end of the file, which has %" PRIu64 " bytes",
                    file->size);
    respond_problem(reply, request, 416, err.text, NULL);
    respond_header(reply, "Content-Range", "bytes */%" PRIu64, file->size);
}

/* Sends the file or a part of it; its descriptor goes to the reply. */
static void send_file(const struct request *request, struct tree_file *file, const char *path,
                      struct reply *reply)
{
    char etag[ETAG_BYTES];
    uint64_t first = 0;
    uint64_t n_bytes = file->size;
    enum byte_range range = BYTE_RANGE_WHOLE;

    make_etag(file, etag);
    if (!check_conditions(request, file, etag, reply)) {
        return;
    }
    if (may_send_part(request, file, etag)) {
        range = byte_range_parse(request_header(request, "Range"), file->size, &first, &n_bytes);
    }
    if (range == BYTE_RANGE_UNSATISFIABLE) {
        refuse_range(reply, request, file);
        return;
    }
    reply->status = range == BYTE_RANGE_PART ? 206 : 200;
    put_file_headers(reply, file, path, etag);
    if (range == BYTE_RANGE_PART) {
        respond_header(reply, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                       first + n_bytes - 1, file->size);
    }
    if (n_bytes > 0) {
        reply->has_file = true;
        reply->fd = file->fd;
        reply->file_offset = first;
        reply->file_size = n_bytes;
        file->fd = -1;
    }
}

/* ---- listing --------------------------------------------------------------------------------- */

/* The argument "limit". False where it is none that may be asked for. */
static bool read_limit(const struct request *request, size_t *out)
{
    const char *text = request_query(request, "limit");
    size_t value = 0;

    *out = LIST_DEFAULT_LIMIT;
    if (text == NULL) {
        return true;
    }
    for (; isdigit((unsigned char)*text) && value <= LIST_MAX_LIMIT; text++) {
        value = value * 10 + (size_t)(*text - '0');
    }
    *out = value;
    return *text == '\0' && value >= 1 && value <= LIST_MAX_LIMIT;
}

static void send_listing(const char *top, const char *path, size_t limit,
                         const struct request *request, struct reply *reply)
{
    const char *after = request_query(request, "after");
    struct tree_listing listing;
    struct text text = {0};
    struct error err;

    if (tree_list(top, path, after != NULL ? after : "", limit, &listing, &err) == ERR_OK) {
        msg_result_encode(path, listing.entries, listing.n, listing.next, &text);
        respond_json(reply, 200, &text);
    } else if (err.code == ERR_NOT_FOUND) {
        respond_problem(reply, request, 404, err.text, NULL);
    } else {
        respond_error(reply, request, &err, NULL);
    }
    tree_listing_close(&listing);
    text_close(&text);
}

/* ---- routes ---------------------------------------------------------------------------------- */

/* Answers for a path without a slash at its end; `must_be_directory` where one stood there. */
static void answer(struct app *app, const char *path, bool must_be_directory,
                   const struct request *request, struct reply *reply)
{
    struct tree_file file = {.fd = -1};
    char top[PATH_BYTES];
    struct error err;
    size_t limit;
    enum err rc = path_format(top, &err, "%s/result", app->tree.root);

    if (rc == ERR_OK && !read_limit(request, &limit)) { /* whatever stands at the path */
        rc =
            error_set(&err, ERR_INVALID, "limit must be a whole number of 1 to %d", LIST_MAX_LIMIT);
    }
    rc = rc != ERR_OK ? rc : tree_open(top, path, &file, &err);
    if (rc == ERR_OK && must_be_directory && !file.is_directory) {
        rc = error_set(&err, ERR_NOT_FOUND, "this path of the result tree is no directory");
    }
    if (rc == ERR_NOT_FOUND) {
        respond_problem(reply, request, 404, err.text, NULL);
    } else if (rc != ERR_OK) {
        respond_error(reply, request, &err, NULL);
    } else if (file.is_directory) {
        send_listing(top, path, limit, request, reply);
    } else {
        send_file(request, &file, path, reply);
    }
    tree_close(&file);
}

void results_get_top(struct app *app, const struct request *request, struct reply *reply)
{
    answer(app, "", true, request, reply);
}

void results_get(struct app *app, const struct request *request, struct reply *reply)
{
    size_t length = strlen(request->params[0]);
    bool has_slash = request->params[0][length - 1] == '/';
    char *path = mem_strndup(request->params[0], has_slash ? length - 1 : length);

    if (path == NULL) {
        struct error err;
        (void)error_set(&err, ERR_NOMEM, "no memory for a path");
        respond_error(reply, request, &err, NULL);
        return;
    }
    if (path[0] == '\0') { /* "//": an empty name */
        respond_problem(reply, request, 404, "there is nothing at this path of the result tree",
                        NULL);
    } else {
        answer(app, path, has_slash, request, reply);
    }
    mem_free(path);
}
