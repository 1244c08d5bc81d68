/* The service by requests that are well formed as HTTP, so that mutations reach the handlers. An input
 * is requests, a line "%%" between:
 *
 *     PUT /v1/devices/x
 *     If-None-Match: *
 *
 *     {"hardware": [2, 3, 1, 7.46]}
 *
 * What frames a request (Host, Content-Length, Connection) is put in here. "{id}" stands for the id
 * that the reply before told. */
#include <ctype.h>
#include <strings.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/service.h"

enum { MAX_REQUESTS = 8, ID_BYTES = 64 };

static char id[ID_BYTES];

/* Appends the text with the id in its places. */
static void put_with_id(struct text *out, const char *text)
{
    const char *place;

    while ((place = strstr(text, "{id}")) != NULL) {
        text_put(out, text, (size_t)(place - text));
        text_puts(out, id);
        text = place + 4;
    }
    text_puts(out, text);
}

/* Keeps what is told of "id", where it has the form of one. */
static void keep_id(const char *body)
{
    const char *at = strstr(body, "\"id\":\"");
    size_t length;

    if (at != NULL) {
        at += 6;
        length = strspn(at, "0123456789abcdef-");
        if (length > 0 && length < sizeof id) {
            memcpy(id, at, length);
            id[length] = '\0';
        }
    }
}

static bool is_framing(const char *line)
{
    static const char *const names[] = {"host",       "content-length", "transfer-encoding",
                                        "connection", "expect",         "upgrade"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strncasecmp(line, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return strchr(line, ':') == NULL || line[0] == ' ' || line[0] == '\t' || line[0] == ':';
}

/* The head as a client would send it; false where there is no request line. */
static bool put_head(struct text *out, const char *head, size_t body_size)
{
    struct fuzz_parts lines = fuzz_parts(head, strlen(head));
    char *line = fuzz_next(&lines, "\n", NULL);
    const bool is_request = isupper((unsigned char)line[0]) && strchr(line, ' ') != NULL;

    line[strcspn(line, "\r")] = '\0';
    put_with_id(out, line);
    free(line);
    text_puts(out, " HTTP/1.1\r\nHost: x\r\n");
    while ((line = fuzz_next(&lines, "\n", NULL)) != NULL) {
        line[strcspn(line, "\r")] = '\0';
        if (!is_framing(line)) {
            put_with_id(out, line);
            text_puts(out, "\r\n");
        }
        free(line);
    }
    text_printf(out, "Content-Length: %zu\r\nConnection: close\r\n\r\n", body_size);
    return is_request;
}

/* ---- replies --------------------------------------------------------------------------------- */

/* The value of a header of the reply's head, or NULL. */
static const char *find_header(const char *head, const char *name)
{
    const size_t length = strlen(name);

    for (const char *at = strstr(head, "\r\n"); at != NULL; at = strstr(at + 2, "\r\n")) {
        if (strncasecmp(at + 2, name, length) == 0 && at[2 + length] == ':') {
            return at + 2 + length + 2;
        }
    }
    return NULL;
}

/* A body that is told to be JSON is; one that has a length has that length. */
static void check_body(const char *head, const char *body, size_t size, bool is_head)
{
    const char *type = find_header(head, "Content-Type");
    const char *length = find_header(head, "Content-Length");

    if (is_head) {
        require(size == 0);
        return;
    }
    if (length == NULL || strtoull(length, NULL, 10) != size) {
        return; /* chunked, or cut by our own patience */
    }
    if (type != NULL && find_header(head, "Content-Encoding") == NULL &&
        (strncmp(type, "application/json", 16) == 0 ||
         strncmp(type, "application/problem+json", 24) == 0)) {
        require_json(body, size);
        keep_id(body);
    }
}

static void check_reply(const char *sent, char *reply, size_t size)
{
    char *end = strstr(reply, "\r\n\r\n");
    int status;

    if (size == 0) { /* it waited for longer than we did */
        return;
    }
    require(sscanf(reply, "HTTP/1.1 %3d", &status) == 1);
    if (status == 500 || status < 100 || status > 599) {
        (void)fprintf(stderr, "%s\n-->\n%s\n", sent, reply);
        abort();
    }
    if (end != NULL && status >= 200) {
        *end = '\0';
        check_body(reply, end + 4, size - (size_t)(end + 4 - reply),
                   strncmp(sent, "HEAD ", 5) == 0);
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static void ask(const char *request, size_t size)
{
    const char *gap = memmem(request, size, "\n\n", 2);
    const size_t head_size = gap != NULL ? (size_t)(gap - request) : size;
    const char *body = gap != NULL ? gap + 2 : request + size;
    const size_t body_size = size - (size_t)(body - request);
    char *head = fuzz_string(request, head_size);
    struct text sent = {0};
    size_t reply_size;

    if (put_head(&sent, head, body_size)) {
        text_put(&sent, body, body_size);
        require(!sent.has_failed);
        char *reply = (char *)service_talk(sent.bytes, sent.size, &reply_size);
        check_reply(sent.bytes, reply, reply_size);
    }
    text_close(&sent);
    free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_parts parts = fuzz_parts((const char *)bytes, size);
    char *request;
    size_t length;

    service_ready(false);
    id[0] = '\0';
    for (int i = 0; i < MAX_REQUESTS && (request = fuzz_next(&parts, "\n%%\n", &length)) != NULL;
         i++) {
        ask(request, length);
        free(request);
    }
    return 0;
}
