/* What stands in headers. An input is a letter that says in which, and the value. */
#include "proto/timestamp.h"
#include "server/accept.h"
#include "server/byte_range.h"
#include "server/conditional.h"
#include "server/cors.h"
#include "server/job_request.h"
#include "server/trace.h"
#include "tests/fuzz/fuzz.h"

static void range(const char *value)
{
    static const uint64_t sizes[] = {0, 1, 1000, UINT64_MAX};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint64_t first = 0, n_bytes = 0;
        enum byte_range what = byte_range_parse(value, sizes[i], &first, &n_bytes);
        require(what != BYTE_RANGE_PART || n_bytes > 0);
        require(what != BYTE_RANGE_PART || (first < sizes[i] && n_bytes <= sizes[i] - first));
    }
}

static void prefer(const char *value)
{
    struct preference asked = {0};

    preference_parse(value, &asked);
    require(asked.wait_s >= 0 && asked.wait_s <= JOB_WAIT_MAX_S);
    require(asked.has_wait || asked.wait_s == 0);
}

static void idempotency_key(const char *value)
{
    char key[JOB_KEY_BYTES], again[JOB_KEY_BYTES];
    char quoted[JOB_KEY_BYTES + 2];
    struct error err = {0};
    enum err rc = idempotency_key_parse(value, key, &err);

    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        require(key[0] != '\0' && strlen(key) < JOB_KEY_BYTES);
        (void)snprintf(quoted, sizeof quoted, "\"%s\"", key);
        require(idempotency_key_parse(quoted, again, NULL) == ERR_OK && strcmp(key, again) == 0);
    }
}

/* Query arguments of lists: a whole number, and where the list goes on. */
static void cursor(const char *value)
{
    char text[JOB_CURSOR_BYTES];
    int64_t number = -1, before = -1, again = -1;

    require(!digits_parse(value, &number) || number >= 0);
    if (cursor_parse(value, &before)) {
        cursor_format(before, text);
        require(cursor_parse(text, &again) && again == before);
    }
}

static void accept(const char *value)
{
    static const char *const types[ACCEPT_MAX_TYPES] = {"application/json", "text/csv", "text/html",
                                                        "application/onnx"};
    static const char *const codings[] = {"gzip", "*"};

    for (size_t n = 1; n <= ACCEPT_MAX_TYPES; n++) {
        require(accept_choose(value, types, n) <= n);
    }
    for (size_t i = 0; i < COUNT_OF(codings); i++) {
        const int weight = accept_coding_weight(value, codings[i]);
        require(weight >= -1 && weight <= 1000);
    }
}

/* A tag that a list names guards what it is of. */
static void conditions(const char *value)
{
    static const char *const etags[] = {NULL, "\"0123456789abcdef0123456789abcdef\"",
                                        "\"0123456789abcdef0123456789abcdef-csv\""};

    for (size_t i = 0; i < COUNT_OF(etags); i++) {
        for (int is_read = 0; is_read < 2; is_read++) {
            struct error err = {0};
            enum condition match =
                condition_check(&(struct conditions){.if_match = value}, is_read, etags[i], &err);
            enum condition none_match = condition_check(
                &(struct conditions){.if_none_match = value}, is_read, etags[i], NULL);
            require(match != CONDITION_NOT_MODIFIED);
            require(match != CONDITION_FAILED || err.text[0] != '\0');
            require(is_read || none_match != CONDITION_NOT_MODIFIED);
            require(etags[i] != NULL || match == CONDITION_FAILED);
        }
        if (etags[i] != NULL && etag_is_exactly(value, etags[i])) {
            require(strstr(value, etags[i]) != NULL);
        }
    }
}

static void request_id(const char *value)
{
    struct trace trace;
    const bool is_traced = trace_parse(value, &trace);
    struct text text = {0};

    require(is_traced == (trace.trace_id[0] != '\0'));
    require(!is_traced || (strspn(trace.trace_id, "0123456789abcdef") == TRACE_ID_BYTES - 1 &&
                           strspn(trace.parent_id, "0123456789abcdef") == SPAN_ID_BYTES - 1));
    if (request_id_is_fit(value)) {
        require(strlen(value) < REQUEST_ID_BYTES && strpbrk(value, " \"'\\\r\n;&|$`<>") == NULL);
        text_put_json_string(&text, value);
        require(text.size == strlen(value) + 2);
        text_close(&text);
    }
}

static void date(const char *value)
{
    char text[HTTP_DATE_BYTES];
    time_t at = 0, again = -1;

    if (http_date_parse(value, &at)) {
        http_date_format(at, text);
        require(http_date_parse(text, &again));
        require(again == at || at < 0); /* what lies before 1970 is shown as its beginning */
    }
}

static void origin(const char *value)
{
    static struct cors list, any;
    struct error err = {0};
    enum err rc = cors_parse(value, &list, &err);

    require_told(rc, &err, NULL);
    require(cors_parse("*", &any, NULL) == ERR_OK);
    (void)cors_allow(&any, value);
    for (size_t i = 0; rc == ERR_OK && !list.is_any && i < list.n; i++) {
        const char *allowed = cors_allow(&list, list.origins[i]);
        require(allowed != NULL && strcmp(allowed, list.origins[i]) == 0);
    }
}

static const struct {
    char letter;
    void (*run)(const char *value);
} headers[] = {
    {'r', range          },
    {'p', prefer         },
    {'k', idempotency_key},
    {'c', cursor         },
    {'a', accept         },
    {'e', conditions     },
    {'i', request_id     },
    {'d', date           },
    {'o', origin         },
};

static void run(const char *bytes, size_t size)
{
    for (size_t i = 0; size > 0 && i < COUNT_OF(headers); i++) {
        if (headers[i].letter == bytes[0]) {
            char *value = fuzz_string(bytes + 1, size - 1);
            headers[i].run(value);
            free(value);
        }
    }
}

FUZZ_TARGET(run)
