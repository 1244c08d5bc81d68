/* dgld backup: a copy of a root that may be served meanwhile. */
#include <inttypes.h>
#include <stdio.h>

#include "server/backup.h"
#include "server/command.h"
#include "server/config_source.h"
#include "server/job_store.h"

static enum err print(const struct options *options, const char *to,
                      const struct backup_report *report, struct error *err)
{
    struct text text = {0};

    if (options->is_json) {
        text_puts(&text, "{\"directory\":");
        text_put_json_string(&text, to);
        text_printf(&text,
                    ",\"files\":%zu,\"links\":%zu,\"bytes\":%" PRIu64 ",\"jobs\":%" PRId64 "}\n",
                    report->n_files, report->n_links, report->n_bytes, report->n_jobs);
    } else {
        text_printf(&text, "%s: %zu files, %" PRIu64 " bytes; %" PRId64 " jobs\n", to,
                    report->n_files, report->n_bytes, report->n_jobs);
    }
    if (report->n_links > 0) {
        (void)fprintf(stderr,
                      "dgld: %zu symbolic links are copied as links: what they lead to is not in "
                      "the backup\n",
                      report->n_links);
    }
    if (report->n_keys > 0) {
        (void)fprintf(stderr, "dgld: %zu files with a private key are not in the backup\n",
                      report->n_keys);
    }
    return command_print(&text, err);
}

/* Settings as serve would take them: they tell where the jobs are. */
static enum err make(const struct options *options, const struct config *config, struct error *err)
{
    struct backup_plan plan = {.root = options->root,
                               .job_store = config->job_store,
                               .private_key = config->tls_key_file,
                               .to = options->words[0]};
    struct backup_report report;
    enum err rc;

    if (job_store_is_at_server(config->job_store)) {
        plan.job_store = "";
        (void)fprintf(stderr, "dgld: the jobs are in a database of their own; copy it with its own "
                              "tool, before this is run: pg_dump\n");
    }
    rc = backup_make(&plan, &report, err);
    return rc != ERR_OK ? rc : print(options, plan.to, &report, err);
}

enum err command_backup(const struct options *options, struct error *err)
{
    struct config_source source;
    struct config config;
    enum err rc;

    if (options->n_words != 1 || options->words[0][0] == '\0') {
        return error_set(err, ERR_USAGE, "backup needs the directory to make, and nothing else");
    }
    rc = config_source_init(&source, options, err);
    rc = rc != ERR_OK ? rc : config_read(&source, &config, NULL, err);
    return rc != ERR_OK ? rc : make(options, &config, err);
}
