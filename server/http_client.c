#include "server/http_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "server/libcurl.h"

#define CONNECT_TIMEOUT_S 10L
#define ANSWER_TIMEOUT_S  10L /* besides what the question allows for */

struct http_client {
    CURL *curl;
    char *url;                   /* without slashes at its end */
    struct curl_slist *standing; /* headers of every question */
    char reason[CURL_ERROR_SIZE];
};

/* ---- opening --------------------------------------------------------------------------------- */

/* The service's address: paths are put behind it, so it has no query, and no blank that a request
 * line could end at. */
static enum err check_url(const char *url, struct error *err)
{
    bool is_http = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;

    if (!is_http || url[strcspn(url, "?# \t\r\n")] != '\0') {
        return error_set(err, ERR_USAGE,
                         "the URL of the service must be like http://127.0.0.1:8080 or "
                         "https://host, not \"%.100s\"",
                         url);
    }
    return ERR_OK;
}

static enum err add_header(struct curl_slist **list, const char *name, const char *value,
                           struct error *err)
{
    struct text line = {0};
    struct curl_slist *longer = NULL;

    text_puts(&line, name);
    text_puts(&line, value);
    if (!line.has_failed) {
        longer = libcurl.curl_slist_append(*list, line.bytes);
    }
    text_close(&line);
    if (longer == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a request");
    }
    *list = longer;
    return ERR_OK;
}

/* Options have the type of their argument in their number. False where memory is out. */
static bool set_long(CURL *curl, CURLoption option, long value)
{
    assert(option < CURLOPTTYPE_OBJECTPOINT);
    return libcurl.curl_easy_setopt(curl, option, value) == CURLE_OK;
}

static bool set_pointer(CURL *curl, CURLoption option, const void *value)
{
    assert(option > CURLOPTTYPE_OBJECTPOINT && option < CURLOPTTYPE_FUNCTIONPOINT);
    return libcurl.curl_easy_setopt(curl, option, value) == CURLE_OK;
}

static enum err set_standing(struct http_client *client, const char *ca_file, struct error *err)
{
    CURL *curl = client->curl;
    bool is_set = set_pointer(curl, CURLOPT_PROTOCOLS_STR, "http,https") &&
                  set_pointer(curl, CURLOPT_ERRORBUFFER, client->reason) &&
                  set_long(curl, CURLOPT_NOSIGNAL, 1) && set_long(curl, CURLOPT_PATH_AS_IS, 1) &&
                  set_long(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S) &&
                  set_pointer(curl, CURLOPT_USERAGENT, "dgld");

    if (is_set && ca_file != NULL) {
        is_set = set_pointer(curl, CURLOPT_CAINFO, ca_file);
    }
    if (is_set && getenv("no_proxy") == NULL && getenv("NO_PROXY") == NULL) {
        /* a proxy is for the way out; it would look for the service on its own machine */
        is_set = set_pointer(curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    }
    return is_set ? ERR_OK : error_set(err, ERR_INTERNAL, "libcurl cannot be set up");
}

enum err http_client_open(const char *url, const char *token, const char *ca_file,
                          struct http_client **out, struct error *err)
{
    struct http_client *client;
    size_t length = strlen(url);
    enum err rc = check_url(url, err);

    if (rc != ERR_OK) {
        return rc;
    }
    while (length > 0 && url[length - 1] == '/') {
        length--;
    }
    rc = libcurl_load(err);
    if (rc != ERR_OK) {
        return rc;
    }
    if (libcurl.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return error_set(err, ERR_INTERNAL, "libcurl cannot be set up");
    }
    client = mem_calloc(1, sizeof *client);
    if (client == NULL) {
        libcurl.curl_global_cleanup();
        return error_set(err, ERR_NOMEM, "no memory for a request");
    }
    client->curl = libcurl.curl_easy_init();
    client->url = mem_strndup(url, length);
    if (client->curl == NULL || client->url == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for a request");
    }
    rc = rc != ERR_OK ? rc : set_standing(client, ca_file, err);
    /* libcurl would ask whether a body may be sent, and wait a second for the answer */
    rc = rc != ERR_OK ? rc : add_header(&client->standing, "Expect:", "", err);
    rc = rc != ERR_OK ? rc : add_header(&client->standing, "Accept: ", "application/json", err);
    if (rc == ERR_OK && token != NULL) {
        rc = add_header(&client->standing, "Authorization: Bearer ", token, err);
    }
    if (rc != ERR_OK) {
        http_client_close(client);
        return rc;
    }
    *out = client;
    return ERR_OK;
}

enum err http_client_ask_own(struct http_client *client, struct error *err)
{
    bool is_set = set_pointer(client->curl, CURLOPT_NOPROXY, "*") &&
                  set_long(client->curl, CURLOPT_SSL_VERIFYPEER, 0) &&
                  set_long(client->curl, CURLOPT_SSL_VERIFYHOST, 0);

    return is_set ? ERR_OK : error_set(err, ERR_INTERNAL, "libcurl cannot be set up");
}

void http_client_close(struct http_client *client)
{
    if (client == NULL) {
        return;
    }
    libcurl.curl_slist_free_all(client->standing);
    if (client->curl != NULL) {
        libcurl.curl_easy_cleanup(client->curl);
    }
    mem_free(client->url);
    mem_free(client);
    libcurl.curl_global_cleanup();
}

/* ---- asking ---------------------------------------------------------------------------------- */

static size_t take_body(char *bytes, size_t size, size_t n, void *closure)
{
    struct http_answer *answer = closure;

    if (size * n > HTTP_CLIENT_MAX_BYTES - answer->body.size) {
        return 0;
    }
    text_put(&answer->body, bytes, size * n);
    return answer->body.has_failed ? 0 : size * n;
}

/* Why there is no answer, and what to do. */
static enum err tell(const struct http_client *client, CURLcode code,
                     const struct http_answer *answer, struct error *err)
{
    const char *reason =
        client->reason[0] != '\0' ? client->reason : libcurl.curl_easy_strerror(code);

    switch (code) {
    case CURLE_WRITE_ERROR:
        return answer->body.has_failed
                   ? error_set(err, ERR_NOMEM, "no memory for the answer of %s", client->url)
                   : error_set(err, ERR_LIMIT, "%s answers with more than %d MiB", client->url,
                               HTTP_CLIENT_MAX_BYTES >> 20);
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set(err, ERR_IO,
                         "no service can be reached at %s (%s); start one with dgld serve, or name "
                         "its place by --url",
                         client->url, reason);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return error_set(err, ERR_IO,
                         "%s cannot be believed (%s); --cacert names the certificates to believe",
                         client->url, reason);
    case CURLE_OUT_OF_MEMORY:
        return error_set(err, ERR_NOMEM, "no memory for a request");
    default:
        return error_set(err, ERR_IO, "%s does not answer: %s", client->url, reason);
    }
}

/* Whether the same question may be answered later, as when the service is being started anew. */
static bool is_passing(CURLcode code)
{
    static const CURLcode passing[] = {CURLE_COULDNT_CONNECT, CURLE_OPERATION_TIMEDOUT,
                                       CURLE_GOT_NOTHING,     CURLE_SEND_ERROR,
                                       CURLE_RECV_ERROR,      CURLE_PARTIAL_FILE};

    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        if (code == passing[i]) {
            return true;
        }
    }
    return false;
}

static CURLcode perform(struct http_client *client, const struct http_question *question,
                        const char *url, const struct curl_slist *headers,
                        struct http_answer *answer)
{
    CURL *curl = client->curl;
    long limit_s = ANSWER_TIMEOUT_S + question->wait_s;
    curl_off_t retry_after_s = 0;
    CURLcode code = libcurl.curl_easy_setopt(curl, CURLOPT_URL, url);

    client->reason[0] = '\0';
    (void)set_pointer(curl, CURLOPT_HTTPHEADER, headers);
    (void)set_long(curl, CURLOPT_TIMEOUT, limit_s);
    (void)libcurl.curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)set_pointer(curl, CURLOPT_WRITEDATA, answer);
    if (strcmp(question->method, "GET") == 0) {
        (void)set_long(curl, CURLOPT_HTTPGET, 1);
    } else {
        (void)set_long(curl, CURLOPT_POST, 1);
        (void)set_pointer(curl, CURLOPT_POSTFIELDS, question->body != NULL ? question->body : "");
        (void)libcurl.curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                                       (curl_off_t)question->body_size);
    }
    code = code != CURLE_OK ? code : libcurl.curl_easy_perform(curl);
    if (code == CURLE_OK) {
        (void)libcurl.curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
        (void)libcurl.curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after_s);
        answer->retry_after_s = retry_after_s > 3600 ? 3600 : (long)retry_after_s;
    }
    return code;
}

enum err http_client_ask(struct http_client *client, const struct http_question *question,
                         struct http_answer *answer, struct error *err)
{
    struct curl_slist *headers = NULL;
    struct text url = {0};
    CURLcode code;
    enum err rc = ERR_OK;

    memset(answer, 0, sizeof *answer);
    text_printf(&url, "%s%s", client->url, question->path);
    rc = url.has_failed ? error_set(err, ERR_NOMEM, "no memory for a request") : ERR_OK;
    for (const struct curl_slist *at = client->standing; rc == ERR_OK && at != NULL;
         at = at->next) {
        rc = add_header(&headers, at->data, "", err);
    }
    /* curl would call a body without one a form */
    rc = rc != ERR_OK
             ? rc
             : add_header(&headers,
                          "Content-Type:", question->body != NULL ? " application/json" : "", err);
    if (rc == ERR_OK && question->key != NULL) {
        rc = add_header(&headers, "Idempotency-Key: ", question->key, err);
    }
    if (rc == ERR_OK) {
        code = perform(client, question, url.bytes, headers, answer);
        answer->is_lost = is_passing(code);
        rc = code == CURLE_OK ? ERR_OK : tell(client, code, answer, err);
    }
    libcurl.curl_slist_free_all(headers);
    text_close(&url);
    return rc;
}

void http_client_put_escaped(struct text *out, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    for (const char *c = text; *c != '\0'; c++) {
        if (strchr(plain, *c) != NULL) {
            text_put(out, c, 1);
        } else {
            text_printf(out, "%%%02X", (unsigned)(unsigned char)*c);
        }
    }
}
