/* GET /openapi.json and /docs. */
#include <stdio.h>
#include <string.h>

#include <nettle/base64.h>
#include <nettle/sha2.h>

#include "proto/contract.h"
#include "server/document.h"

/* server/web/docs.html, terminated; the Makefile puts it in. */
extern const char embedded_docs_html[];

/* Policy of the page: its own script and style by their digests, the contract, and nothing else. */
#define POLICY                                                                                 \
    "default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; img-src data:; " \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* "sha256-" and the digest in base64, terminated */
#define SOURCE_BYTES (sizeof "sha256-" + BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE))

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

static enum err make_contract(struct document *contract, struct error *err)
{
    struct text text = {0};
    enum err rc = contract_write(&text, err);

    contract->body = rc == ERR_OK ? text_take(&text, &contract->size) : NULL;
    text_close(&text);
    return rc;
}

static enum err make_docs(struct document *docs, struct error *err)
{
    static char policy[sizeof POLICY + 2 * SOURCE_BYTES];
    char script[SOURCE_BYTES];
    char style[SOURCE_BYTES];

    (void)err;
    digest_between(embedded_docs_html, "<script>", "</script>", script);
    digest_between(embedded_docs_html, "<style>", "</style>", style);
    (void)snprintf(policy, sizeof policy, POLICY, script, style);
    docs->policy = policy;
    docs->body = embedded_docs_html;
    return ERR_OK;
}

void contract_get(struct app *app, const struct request *request, struct reply *reply)
{
    static struct document contract = {.content_type = "application/json", .make = make_contract};

    (void)app;
    document_answer(&contract, request, reply);
}

void contract_get_docs(struct app *app, const struct request *request, struct reply *reply)
{
    static struct document docs = {.content_type = "text/html; charset=utf-8", .make = make_docs};

    (void)app;
    document_answer(&docs, request, reply);
}
