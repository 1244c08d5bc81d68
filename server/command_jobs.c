/* dgld jobs: lists, shows, submits, awaits and cancels jobs of a running service, over HTTP.
 *
 * A service may be anybody's, so nothing of what it says reaches a terminal as it is: controls are
 * replaced, in JSON escaped. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "core/file.h"
#include "core/mem.h"
#include "proto/json_view.h"
#include "server/clock.h"
#include "server/command.h"
#include "server/http_client.h"
#include "server/path.h"
#include "server/progress.h"
#include "server/untrusted.h"

#define DEFAULT_URL          "http://127.0.0.1:8080"
#define MAX_TOKEN_BYTES      ((size_t)4096)
#define MAX_SUBMISSION_BYTES ((size_t)16 << 20)
#define PAGE_MAX             100 /* jobs asked for at a time */
#define DEFAULT_LIMIT        100
#define MAX_TRIES            5    /* of a submission */
#define LOST_MAX_S           60.0 /* for which a service that was seen may be away from who waits */

enum { FIELD_BYTES = 512, KEY_BYTES = 33 };

/* ---- JSON of the service --------------------------------------------------------------------- */

/* Any value as it is written. */
static void put_value(struct text *out, struct json_view value, bool is_json)
{
    char *copy = mem_strndup(value.at, json_view_size(value));

    if (copy == NULL) {
        out->has_failed = true;
        return;
    }
    untrusted_put(out, copy, is_json);
    mem_free(copy);
}

/* A member as text for people: a string as it reads, anything else as it is written; "" without it
 * and for null. */
static void put_member(struct text *out, struct json_view object, const char *name)
{
    struct json_view value;
    char decoded[FIELD_BYTES];

    if (!json_view_find(object, name, &value) || json_view_is_null(value)) {
        return;
    }
    if (json_view_kind(value) == JSON_KIND_STRING &&
        json_view_string(value, decoded, sizeof decoded) < sizeof decoded) {
        untrusted_put(out, decoded, false);
    } else {
        put_value(out, value, false);
    }
}

/* The same into `field` (FIELD_BYTES), cut where it is longer; `absent` where it is empty. */
static void read_member(struct json_view object, const char *name, const char *absent, char *field)
{
    struct text text = {0};

    put_member(&text, object, name);
    (void)snprintf(field, FIELD_BYTES, "%s", text.size > 0 ? text.bytes : absent);
    text_close(&text);
}

static double read_number(struct json_view object, const char *name)
{
    struct json_view value;

    return json_view_find(object, name, &value) && json_view_kind(value) == JSON_KIND_NUMBER
               ? json_view_number(value)
               : (double)NAN;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* What an action works with. */
struct session {
    const struct options *options;
    const char *word; /* the id or file, or NULL */
    const char *url;
    struct http_client *client;
};

/* The sentence of a problem (RFC 9457), or what can be said without one. */
static enum err tell_refusal(const struct session *session, const struct http_answer *answer,
                             struct error *err)
{
    struct json_view root = {0};
    char detail[FIELD_BYTES] = "";
    const char *hint =
        answer->status == 401 ? "; a token is given by --token-file FILE or DGLD_TOKEN" : "";

    if (answer->body.size > 0 &&
        json_view_check(answer->body.bytes, answer->body.size, &root, NULL) == ERR_OK) {
        read_member(root, "detail", "", detail);
        if (detail[0] == '\0') {
            read_member(root, "title", "", detail);
        }
    }
    if (detail[0] == '\0') {
        return error_set(err, ERR_IO, "%s answers %ld without saying why, as no dgld does",
                         session->url, answer->status);
    }
    return error_set(err, answer->status == 404 ? ERR_NOT_FOUND : ERR_INVALID, "%ld: %s%s",
                     answer->status, detail, hint);
}

/* Asks for what has to be a JSON object; `answer` is closed by the caller. */
static enum err ask(const struct session *session, const struct http_question *question,
                    struct http_answer *answer, struct json_view *root, struct error *err)
{
    enum err rc = http_client_ask(session->client, question, answer, err);

    if (rc != ERR_OK) {
        return rc;
    }
    if (answer->status < 200 || answer->status > 299) {
        return tell_refusal(session, answer, err);
    }
    if (answer->body.size == 0 || strlen(answer->body.bytes) != answer->body.size ||
        json_view_check(answer->body.bytes, answer->body.size, root, NULL) != ERR_OK ||
        json_view_kind(*root) != JSON_KIND_OBJECT) {
        return error_set(err, ERR_SYNTAX, "%s answers something else than a JSON object",
                         session->url);
    }
    return ERR_OK;
}

/* Asks about the job of the session: `tail` is what follows its id in the path. */
static enum err ask_job(const struct session *session, const char *method, const char *tail,
                        long wait_s, struct http_answer *answer, struct json_view *root,
                        struct error *err)
{
    struct text path = {0};
    struct http_question question = {.method = method, .wait_s = wait_s};
    enum err rc;

    text_puts(&path, "/v1/jobs/");
    http_client_put_escaped(&path, session->word);
    text_puts(&path, tail);
    question.path = path.bytes;
    rc = path.has_failed ? error_set(err, ERR_NOMEM, "no memory for a request")
                         : ask(session, &question, answer, root, err);
    text_close(&path);
    return rc;
}

static enum err print_document(const struct http_answer *answer, struct error *err)
{
    struct text out = {0};

    untrusted_put(&out, answer->body.bytes, true);
    if (out.size == 0 || out.bytes[out.size - 1] != '\n') {
        text_puts(&out, "\n");
    }
    return command_print(&out, err);
}

/* ---- list ------------------------------------------------------------------------------------ */

static void put_percent(struct text *out, struct json_view job)
{
    struct json_view progress;
    double percent = (double)NAN;

    if (json_view_find(job, "progress", &progress)) {
        percent = read_number(progress, "percent");
    }
    if (percent >= 0.0 && percent <= 100.0) {
        text_printf(out, "%3.0f %%", percent);
    } else {
        text_puts(out, "    -");
    }
}

static void put_row(struct text *out, struct json_view job)
{
    static const struct {
        const char *name;
        int width;
    } columns[] = {
        {"id",           36},
        {"kind",         5 },
        {"search_space", 12},
        {"state",        9 }
    };
    char field[FIELD_BYTES];

    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        read_member(job, columns[i].name, "-", field);
        text_printf(out, "%-*s  ", columns[i].width, field);
    }
    put_percent(out, job);
    read_member(job, "submitted_at", "-", field);
    text_printf(out, "  %s\n", field);
}

static void put_query(struct text *out, char *separator, const char *name, const char *value)
{
    if (value != NULL) {
        text_printf(out, "%c%s=", *separator, name);
        http_client_put_escaped(out, value);
        *separator = '&';
    }
}

/* A part of the list, at most `limit` jobs from `cursor` on, into `out`: rows, or items of a JSON
 * array. `n` receives how many; `cursor` becomes that of the next part, "" at the end. */
static enum err list_part(const struct session *session, int64_t limit, char *cursor,
                          struct text *out, int64_t *n, struct error *err)
{
    const struct options *options = session->options;
    struct http_answer answer = {0};
    struct http_question question = {.method = "GET"};
    struct text path = {0};
    struct json_view root = {0};
    struct json_view jobs;
    struct json_view job;
    char number[32];
    char separator = '?';
    enum err rc;

    (void)snprintf(number, sizeof number, "%lld", (long long)(limit < PAGE_MAX ? limit : PAGE_MAX));
    text_puts(&path, "/v1/jobs");
    put_query(&path, &separator, "limit", number);
    put_query(&path, &separator, "state", options->state);
    put_query(&path, &separator, "kind", options->kind);
    put_query(&path, &separator, "cursor", cursor[0] != '\0' ? cursor : NULL);
    question.path = path.bytes;
    rc = path.has_failed ? error_set(err, ERR_NOMEM, "no memory for a request")
                         : ask(session, &question, &answer, &root, err);
    if (rc == ERR_OK &&
        (!json_view_find(root, "jobs", &jobs) || json_view_kind(jobs) != JSON_KIND_ARRAY)) {
        rc = error_set(err, ERR_SYNTAX, "%s answers something else than a list of jobs",
                       session->url);
    }
    *n = 0;
    if (rc == ERR_OK) {
        for (bool more = json_view_first(jobs, &job); more && *n < limit;
             more = json_view_next(&job), ++*n) {
            if (options->is_json) {
                text_puts(out, out->size > 0 ? ",\n" : "");
                put_value(out, job, true);
            } else {
                put_row(out, job);
            }
        }
        read_member(root, "next", "", cursor);
    }
    text_close(&path);
    text_close(&answer.body);
    return rc;
}

static enum err run_list(const struct session *session, struct error *err)
{
    const struct options *options = session->options;
    int64_t left = options->limit > 0 ? options->limit : DEFAULT_LIMIT;
    char cursor[FIELD_BYTES] = "";
    struct text rows = {0};
    struct text out = {0};
    int64_t n;
    enum err rc;

    do {
        rc = list_part(session, left, cursor, &rows, &n, err);
        left -= n;
    } while (rc == ERR_OK && n > 0 && left > 0 && cursor[0] != '\0');
    if (rc == ERR_OK) {
        text_puts(&out, options->is_json ? "{\"jobs\": [" : "");
        text_put(&out, rows.bytes != NULL ? rows.bytes : "", rows.size);
        text_puts(&out, options->is_json ? "]}\n" : "");
        out.has_failed = out.has_failed || rows.has_failed;
        if (rows.size == 0 && !options->is_json) {
            (void)fputs("dgld: there are no such jobs\n", stderr);
        }
        rc = command_print(&out, err);
    }
    text_close(&rows);
    return rc;
}

/* ---- show ------------------------------------------------------------------------------------ */

/* "42 %, training, epoch 12 of 200, loss 0.5, 12 s left": of it what is known. */
static void put_progress(struct text *out, struct json_view job)
{
    struct json_view progress;
    double percent, epoch, epochs, loss, left;

    if (!json_view_find(job, "progress", &progress) ||
        json_view_kind(progress) != JSON_KIND_OBJECT) {
        return;
    }
    percent = read_number(progress, "percent");
    epoch = read_number(progress, "epoch");
    epochs = read_number(progress, "n_epochs");
    loss = read_number(progress, "loss");
    left = read_number(progress, "seconds_left");
    if (percent >= 0.0 && percent <= 100.0) {
        text_printf(out, "%.0f %% ", percent);
    }
    put_member(out, progress, "stage");
    if (epoch >= 0.0 && epochs > 0.0) {
        text_printf(out, ", epoch %.0f of %.0f", epoch, epochs);
    }
    if (isfinite(loss)) {
        text_printf(out, ", loss %.5g", loss);
    }
    if (left > 0.0 && isfinite(left)) {
        text_printf(out, ", %.0f s left", left);
    }
}

static void put_page(struct text *out, struct json_view job)
{
    static const struct {
        const char *label, *name;
    } lines[] = {
        {"id",        "id"          },
        {"kind",      "kind"        },
        {"space",     "search_space"},
        {"state",     "state"       },
        {"attempt",   "attempt"     },
        {"priority",  "priority"    },
        {"progress",  NULL          },
        {"submitted", "submitted_at"},
        {"started",   "started_at"  },
        {"ended",     "ended_at"    },
        {"deadline",  "deadline_at" },
        {"params",    "params"      },
        {"result",    "result"      },
        {"error",     "error"       },
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct text value = {0};
        if (lines[i].name != NULL) {
            put_member(&value, job, lines[i].name);
        } else {
            put_progress(&value, job);
        }
        if (value.size > 0) {
            text_printf(out, "%-10s %s\n", lines[i].label, value.bytes);
        }
        out->has_failed = out->has_failed || value.has_failed;
        text_close(&value);
    }
}

static enum err run_show(const struct session *session, struct error *err)
{
    struct http_answer answer = {0};
    struct json_view job = {0};
    enum err rc = ask_job(session, "GET", "", 0, &answer, &job, err);

    if (rc == ERR_OK && session->options->is_json) {
        rc = print_document(&answer, err);
    } else if (rc == ERR_OK) {
        struct text out = {0};
        put_page(&out, job);
        rc = command_print(&out, err);
    }
    text_close(&answer.body);
    return rc;
}

/* ---- wait ------------------------------------------------------------------------------------ */

static void sleep_s(double seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - floor(seconds)) * 1e9)};

    (void)nanosleep(&left, NULL);
}

static void show_progress(struct progress *progress, struct json_view job, const char *state)
{
    struct text text = {0};
    struct json_view member;
    double percent =
        json_view_find(job, "progress", &member) ? read_number(member, "percent") : (double)NAN;

    text_printf(&text, "%s ", state);
    if (strcmp(state, "running") == 0) {
        put_progress(&text, job);
    }
    progress_draw(progress, percent / 100.0, text.has_failed ? "" : text.bytes);
    text_close(&text);
}

/* Asks until the job has ended, or the service is away for too long. A service that stops and is
 * started again goes on with its jobs, so whoever waits does too. */
static enum err await_end(const struct session *session, struct progress *progress,
                          struct http_answer *answer, struct json_view *job, char *state,
                          struct error *err)
{
    const long wait_s = progress->is_terminal ? 1 : 20;
    const char *tail = progress->is_terminal ? "?wait=1" : "?wait=20";
    double seen_s = 0.0;
    bool is_seen = false;

    for (;;) {
        double asked_s = monotonic_seconds();
        enum err rc = ask_job(session, "GET", tail, wait_s, answer, job, err);
        bool is_away = answer->is_lost || answer->status == 503;
        if (rc == ERR_OK) {
            is_seen = true;
            seen_s = monotonic_seconds();
            read_member(*job, "state", "", state);
            if (strcmp(state, "queued") != 0 && strcmp(state, "running") != 0) {
                return ERR_OK;
            }
            show_progress(progress, *job, state);
        } else if (!is_away || !is_seen || monotonic_seconds() - seen_s > LOST_MAX_S) {
            return rc;
        } else {
            progress_draw(progress, 0.0, "the service is away");
        }
        text_close(&answer->body);
        if (monotonic_seconds() - asked_s < 0.25) { /* it does not wait: being stopped, or away */
            sleep_s(0.25);
        }
    }
}

/* How the job has ended, as this command's own end. */
static enum err end_like(const struct session *session, struct json_view job, const char *state,
                         struct error *err)
{
    const char *verb = strcmp(state, "cancelled") == 0 ? "was " : "";
    struct text why = {0};
    enum err rc;

    if (strcmp(state, "succeeded") == 0) {
        return session->options->is_json || printf("%s\n", state) > 0
                   ? ERR_OK
                   : error_set(err, ERR_IO, "cannot write standard output");
    }
    put_member(&why, job, "error");
    rc = error_set(err, ERR_CANCELED, "the job %s%.60s%s%s", verb, state, why.size > 0 ? ": " : "",
                   why.size > 0 ? why.bytes : "");
    text_close(&why);
    return rc;
}

static enum err run_wait(const struct session *session, struct error *err)
{
    struct http_answer answer = {0};
    struct progress progress;
    struct json_view job = {0};
    char state[FIELD_BYTES] = "";
    enum err rc;

    progress_start(&progress);
    rc = await_end(session, &progress, &answer, &job, state, err);
    progress_end(&progress);
    if (rc == ERR_OK && session->options->is_json) {
        rc = print_document(&answer, err);
    }
    rc = rc != ERR_OK ? rc : end_like(session, job, state, err);
    text_close(&answer.body);
    return rc;
}

/* ---- cancel, submit -------------------------------------------------------------------------- */

static enum err run_cancel(const struct session *session, struct error *err)
{
    struct http_answer answer = {0};
    struct json_view job = {0};
    char state[FIELD_BYTES];
    enum err rc = ask_job(session, "POST", "/cancel", 0, &answer, &job, err);

    if (rc == ERR_OK) {
        read_member(job, "state", "", state);
        if (session->options->is_json) {
            rc = print_document(&answer, err);
        } else if (strcmp(state, "running") == 0) {
            (void)puts("being cancelled");
        } else if (strcmp(state, "cancelled") == 0) {
            (void)puts(state);
        }
        if (rc == ERR_OK && strcmp(state, "running") != 0 && strcmp(state, "cancelled") != 0) {
            rc = error_set(err, ERR_INVALID, "the job had ended before: %.60s", state);
        }
    }
    text_close(&answer.body);
    return rc;
}

static enum err draw_key(char key[KEY_BYTES], struct error *err)
{
    unsigned char random[(KEY_BYTES - 1) / 2];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return error_sys(err, errno, "cannot draw random bytes");
    }
    for (size_t i = 0; i < sizeof random; i++) {
        (void)snprintf(key + 2 * i, 3, "%02x", random[i]);
    }
    return ERR_OK;
}

/* Posts until there is an answer: with the same key it is one job, however often it arrives. */
static enum err post_submission(const struct session *session, const char *bytes, size_t size,
                                struct http_answer *answer, struct json_view *job,
                                struct error *err)
{
    struct http_question question = {
        .method = "POST", .path = "/v1/jobs", .body = bytes, .body_size = size};
    char key[KEY_BYTES];
    enum err rc = draw_key(key, err);
    bool is_sent = false; /* so that the service may have it */

    if (rc != ERR_OK) {
        return rc;
    }
    question.key = key;
    for (int i = 1;; i++) {
        bool is_again;
        rc = ask(session, &question, answer, job, err);
        is_sent = is_sent || answer->is_lost;
        is_again = answer->is_lost || answer->status == 409 || answer->status == 503;
        if (rc == ERR_OK || !is_again || i == MAX_TRIES) {
            break;
        }
        text_close(&answer->body);
        sleep_s(answer->retry_after_s > 0 && answer->retry_after_s < 10
                    ? (double)answer->retry_after_s
                    : 0.25 * i);
    }
    if (rc != ERR_OK && is_sent) {
        error_wrap(err, "it may have been submitted, see dgld jobs list");
    }
    return rc;
}

static enum err run_submit(const struct session *session, struct error *err)
{
    struct http_answer answer = {0};
    struct json_view job = {0};
    char id[FIELD_BYTES];
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = command_read(session->word, MAX_SUBMISSION_BYTES, &bytes, &size, err);

    rc = rc != ERR_OK ? rc : post_submission(session, bytes, size, &answer, &job, err);
    if (rc == ERR_OK && session->options->is_json) {
        rc = print_document(&answer, err);
    } else if (rc == ERR_OK) {
        read_member(job, "id", "", id);
        (void)puts(id);
    }
    text_close(&answer.body);
    mem_free(bytes);
    return rc;
}

/* ---- the command ----------------------------------------------------------------------------- */

static const struct action {
    const char *name, *word; /* what follows it, or NULL */
    enum err (*run)(const struct session *session, struct error *err);
} actions[] = {
    {"list",   NULL,        run_list  },
    {"show",   "ID",        run_show  },
    {"wait",   "ID",        run_wait  },
    {"cancel", "ID",        run_cancel},
    {"submit", "FILE or -", run_submit},
};

static enum err find_action(const struct options *options, const struct action **out,
                            struct error *err)
{
    const struct action *action = NULL;
    const char *name = options->n_words > 0 ? options->words[0] : "";
    bool has_filter = options->state != NULL || options->kind != NULL || options->limit > 0;

    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        action = strcmp(actions[i].name, name) == 0 ? &actions[i] : action;
    }
    if (action == NULL) {
        return error_set(err, ERR_USAGE, "jobs needs one of list, show, wait, cancel and submit");
    }
    if (options->n_words != (action->word != NULL ? 2U : 1U) ||
        (action->word != NULL && options->words[1][0] == '\0')) {
        return error_set(err, ERR_USAGE, "jobs %s takes %s%s", name,
                         action->word != NULL ? "one " : "nothing else",
                         action->word != NULL ? action->word : "");
    }
    if (has_filter && action->run != run_list) {
        return error_set(err, ERR_USAGE, "--state, --kind and --limit are flags of jobs list");
    }
    *out = action;
    return ERR_OK;
}

/* The token to show: a block to be mem_free()d, or NULL where there is none. It never stands in the
 * arguments, where every user of the machine could see it. */
static enum err read_token(const struct options *options, char **out, struct error *err)
{
    const char *given = getenv("DGLD_TOKEN");
    char *token = NULL;
    size_t size;
    enum err rc = ERR_OK;

    if (options->token_file != NULL) {
        rc = file_read(options->token_file, MAX_TOKEN_BYTES, &token, &size, err);
        if (rc == ERR_OK && path_is_open_to_all(options->token_file)) {
            (void)fprintf(stderr, "dgld: %s may be read by every user of this machine\n",
                          options->token_file);
        }
    } else if (given != NULL && given[0] != '\0') {
        token = mem_strdup(given);
        rc = token == NULL ? error_set(err, ERR_NOMEM, "no memory for the token") : ERR_OK;
    }
    if (rc != ERR_OK || token == NULL) {
        return rc;
    }
    token[strcspn(token, " \t\r\n")] = '\0';
    for (const char *c = token; *c != '\0' || c == token; c++) {
        if (*c <= ' ' || *c > '~') { /* a header of its own making, or nothing */
            mem_free(token);
            return error_set(err, ERR_INVALID, "%s holds no token",
                             options->token_file != NULL ? options->token_file : "DGLD_TOKEN");
        }
    }
    *out = token;
    return ERR_OK;
}

enum err command_jobs(const struct options *options, struct error *err)
{
    struct session session = {.options = options};
    const struct action *action;
    const char *url = getenv("DGLD_URL");
    char *token = NULL;
    enum err rc = find_action(options, &action, err);

    rc = rc != ERR_OK ? rc : read_token(options, &token, err);
    if (rc != ERR_OK) {
        return rc;
    }
    session.word = action->word != NULL ? options->words[1] : NULL;
    session.url = options->url != NULL            ? options->url
                  : url != NULL && url[0] != '\0' ? url
                                                  : DEFAULT_URL;
    rc = http_client_open(session.url, token, options->ca_file, &session.client, err);
    mem_free(token);
    if (rc == ERR_OK) {
        rc = action->run(&session, err);
        http_client_close(session.client);
    }
    return rc;
}
