/* GET /openapi.json and /docs: what the program carries inside, made ready when it is first asked
 * for. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <nettle/base64.h>
#include <nettle/sha2.h>

#include "core/mem.h"
#include "proto/contract.h"
#include "server/conditional.h"
#include "server/respond.h"

/* server/web/docs.html, terminated; the Makefile puts it in. */
extern const char embedded_docs_html[];

/* Policy of the page: its own script and style by their digests, the contract, and nothing else. */
#define POLICY                                                                                 \
    "default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; img-src data:; " \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* "sha256-" and the digest in base64, terminated */
#define SOURCE_BYTES (sizeof "sha256-" + BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE))
#define POLICY_BYTES (sizeof POLICY + 2 * SOURCE_BYTES)

/* A document that lives as long as the program. */
struct document {
    const char *content_type;
    const char *body;
    size_t size;
    char etag[ETAG_BYTES];
    char policy[POLICY_BYTES]; /* "": none */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the making of the two */
static struct document contract = {.content_type = "application/json"};
static struct document docs = {.content_type = "text/html; charset=utf-8"};

/* The source expression of what stands between two tags, which the page holds once. */
static void digest_between(const char *page, const char *begin, const char *end,
                           char out[SOURCE_BYTES])
{
    const char *start = strstr(page, begin);
    const char *stop = start != NULL ? strstr(start, end) : NULL;
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx sha256;

    (void)snprintf(out, SOURCE_BYTES, "sha256-");
    sha256_init(&sha256);
    if (stop != NULL) {
        start += strlen(begin);
        sha256_update(&sha256, (size_t)(stop - start), (const uint8_t *)start);
    }
    sha256_digest(&sha256, sizeof digest, digest);
    base64_encode_raw(out + strlen(out), sizeof digest, digest);
    out[SOURCE_BYTES - 1] = '\0';
}

static enum err make_contract(struct error *err)
{
    struct text text = {0};
    enum err rc = contract_write(&text, err);

    contract.body = rc == ERR_OK ? text_take(&text, &contract.size) : NULL;
    text_close(&text);
    return rc;
}

static enum err make_docs(struct error *err)
{
    char script[SOURCE_BYTES];
    char style[SOURCE_BYTES];

    (void)err;
    digest_between(embedded_docs_html, "<script>", "</script>", script);
    digest_between(embedded_docs_html, "<style>", "</style>", style);
    (void)snprintf(docs.policy, sizeof docs.policy, POLICY, script, style);
    docs.body = embedded_docs_html;
    docs.size = strlen(embedded_docs_html);
    return ERR_OK;
}

/* Makes the document where it is not made yet. A failure is not kept: there may be memory later. */
static enum err make_ready(struct document *document, enum err (*make)(struct error *err),
                           struct error *err)
{
    enum err rc = ERR_OK;

    (void)pthread_mutex_lock(&lock);
    if (document->body == NULL) {
        rc = make(err);
        if (rc == ERR_OK) {
            etag_make(document->body, document->size, NULL, document->etag);
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

static void answer(struct document *document, enum err (*make)(struct error *err),
                   const struct request *request, struct reply *reply)
{
    const struct conditions conditions = {
        .if_none_match = request_header(request, "If-None-Match"),
    };
    struct error err;

    if (make_ready(document, make, &err) != ERR_OK) {
        respond_error(reply, request, &err, NULL);
        return;
    }
    if (condition_check(&conditions, true, document->etag, NULL) == CONDITION_NOT_MODIFIED) {
        respond_empty(reply, 304);
    } else {
        reply->status = 200;
        reply->content_type = document->content_type;
        reply->body = (char *)document->body; /* is_static: nobody writes it */
        reply->body_size = document->size;
        reply->is_static = true;
    }
    respond_header(reply, "ETag", "%s", document->etag);
    if (document->policy[0] != '\0') {
        respond_header(reply, "Content-Security-Policy", "%s", document->policy);
    }
}

void contract_get(struct app *app, const struct request *request, struct reply *reply)
{
    (void)app;
    answer(&contract, make_contract, request, reply);
}

void contract_get_docs(struct app *app, const struct request *request, struct reply *reply)
{
    (void)app;
    answer(&docs, make_docs, request, reply);
}
