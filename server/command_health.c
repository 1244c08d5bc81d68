/* dgld health: asks a running service whether it is ready, for health checks where there is no shell.
 *
 * Without --url it is the service that the same settings would start: what starts in a container is
 * found by what is told to it there. */
#include <stdio.h>
#include <string.h>

#include "server/command.h"
#include "server/config_source.h"
#include "server/http_client.h"
#include "server/untrusted.h"

enum { URL_BYTES = CONFIG_TEXT_BYTES + 32, REASON_BYTES = 512 };

/* Where a service that listens on `bind` is reached from its own machine. */
static const char *reached_at(const char *bind)
{
    static const struct {
        const char *bind, *reached;
    } anywhere[] = {
        {"0.0.0.0", "127.0.0.1"},
        {"::",      "::1"      },
    };

    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++) {
        if (strcmp(bind, anywhere[i].bind) == 0) {
            return anywhere[i].reached;
        }
    }
    return bind;
}

/* The address of the service that the settings describe, into `url` (URL_BYTES). */
static enum err own_url(const struct options *options, char *url, struct error *err)
{
    struct config_source source;
    struct config config;
    const char *host;
    bool is_v6;
    enum err rc = config_source_init(&source, options, err);

    rc = rc != ERR_OK ? rc : config_read(&source, &config, NULL, err);
    if (rc != ERR_OK) {
        return rc;
    }
    if (config.port == 0) {
        return error_set(err, ERR_USAGE,
                         "by port 0 the service took any free port; name its place by --url");
    }
    host = reached_at(config.bind);
    is_v6 = strchr(host, ':') != NULL;
    (void)snprintf(url, URL_BYTES, "%s://%s%s%s:%u",
                   config.tls_certificate_file[0] != '\0' ? "https" : "http", is_v6 ? "[" : "",
                   host, is_v6 ? "]" : "", (unsigned)config.port);
    return ERR_OK;
}

/* Line breaks at the end go, those within become blanks. */
static void cut_to_one_line(struct text *text)
{
    while (text->size > 0 && text->bytes[text->size - 1] == '\n') {
        text->bytes[--text->size] = '\0';
    }
    for (size_t i = 0; i < text->size; i++) {
        text->bytes[i] = text->bytes[i] == '\n' ? ' ' : text->bytes[i];
    }
}

/* Prints what a healthy service says, and makes an error of what another one does. */
static enum err judge(const char *url, const char *path, const struct http_answer *answer,
                      struct error *err)
{
    struct text said = {0};
    enum err rc = ERR_OK;

    untrusted_put(&said, answer->body.size > 0 ? answer->body.bytes : "", true);
    cut_to_one_line(&said);
    if (answer->status != 200) {
        rc = error_set(err, ERR_IO, "%s%s answers %ld: %.*s", url, path, answer->status,
                       REASON_BYTES, said.size > 0 ? said.bytes : "nothing");
        text_close(&said);
        return rc;
    }
    text_puts(&said, "\n");
    return command_print(&said, err);
}

enum err command_health(const struct options *options, struct error *err)
{
    const struct http_question question = {.method = "GET",
                                           .path = options->is_live ? "/healthz" : "/readyz"};
    struct http_client *client = NULL;
    struct http_answer answer = {0};
    char own[URL_BYTES] = "";
    const char *url = options->url != NULL ? options->url : own;
    enum err rc = options->url != NULL ? ERR_OK : own_url(options, own, err);

    rc = rc != ERR_OK ? rc : http_client_open(url, NULL, options->ca_file, &client, err);
    if (rc != ERR_OK) {
        return rc;
    }
    if (options->url == NULL) {
        rc = http_client_ask_own(client, err);
    }
    rc = rc != ERR_OK ? rc : http_client_ask(client, &question, &answer, err);
    rc = rc != ERR_OK ? rc : judge(url, question.path, &answer, err);
    text_close(&answer.body);
    http_client_close(client);
    return rc;
}
