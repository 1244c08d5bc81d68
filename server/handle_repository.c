/* POST /v2/repository/...: Triton's extension model_repository. The repository is the result tree;
 * what is loaded of a space is its served model. */
#include <sys/stat.h>

#include "proto/msg_repository.h"
#include "server/app.h"
#include "server/infer_handlers.h"
#include "server/log.h"
#include "server/model_store.h"
#include "server/respond.h"

enum { MAX_ENTRIES = SPACES_MAX };

/* Why nothing is loaded of a space. */
static const char *reason_of(const struct app *app, const struct space *space)
{
    char path[PATH_BYTES];
    struct stat st;

    if (model_store_path(app->tree.root, space, path, NULL) != ERR_OK || stat(path, &st) != 0) {
        return "there is no predictor of this search space; dgld train makes one";
    }
    return "unloaded";
}

void repository_post_index(struct app *app, const struct request *request, struct reply *reply)
{
    struct repository_entry entries[MAX_ENTRIES];
    const struct model *held[MAX_ENTRIES];
    struct space_list list;
    struct text text = {0};
    size_t n = 0;
    bool only_ready;
    struct error err;

    if (msg_repository_index_decode(request->body, request->body_size, &only_ready, &err) !=
        ERR_OK) {
        respond_problem(reply, request, err.code == ERR_NOMEM ? 503 : 400, err.text, NULL);
        return;
    }
    space_list_get(&list);
    for (size_t i = 0; i < list.n; i++) {
        const struct space *space = list.items[i];
        held[n] = model_registry_acquire(&app->models, space);
        if (held[n] == NULL && only_ready) {
            continue;
        }
        entries[n] = (struct repository_entry){
            .name = space->name,
            .version = held[n] != NULL ? held[n]->info.version : NULL,
            .reason = held[n] != NULL ? "" : reason_of(app, space),
        };
        n++;
    }
    msg_repository_index_encode(entries, n, &text);
    respond_json(reply, 200, &text);
    for (size_t i = 0; i < n; i++) {
        if (held[i] != NULL) {
            model_registry_release(&app->models, held[i]);
        }
    }
}

/* The space of an order to load or unload; NULL where the reply is made. */
static const struct space *read_order(const struct request *request, struct reply *reply)
{
    const struct space *space = infer_find_space(request, reply);
    struct error err;

    if (space != NULL &&
        msg_repository_order_check(request->body, request->body_size, &err) != ERR_OK) {
        respond_problem(reply, request, err.code == ERR_NOMEM ? 503 : 400, err.text, NULL);
        return NULL;
    }
    return space;
}

/* The protocol has no body for it. */
static void respond_done(struct reply *reply)
{
    struct text text = {0};

    text_puts(&text, "{}\n");
    respond_json(reply, 200, &text);
}

static void log_order(const struct request *request, const char *done, const struct space *space)
{
    log_write(LOG_INFO, "%s %s by %s (request %s)", space->name, done,
              request->client[0] != '\0' ? request->client : "an unnamed client", request->id);
}

void repository_post_load(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space = read_order(request, reply);
    struct error err;
    enum err rc;

    if (space == NULL) {
        return;
    }
    rc = serving_load(app, space, &err);
    if (rc != ERR_OK) { /* what was served before still is */
        data_localize(&app->tree, &err);
        respond_problem(reply, request, rc == ERR_NOMEM || rc == ERR_IO ? 503 : 400, err.text,
                        NULL);
        return;
    }
    log_order(request, "loaded", space);
    respond_done(reply);
}

void repository_post_unload(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space = read_order(request, reply);

    if (space != NULL) {
        serving_unload(app, space);
        log_order(request, "unloaded", space);
        respond_done(reply);
    }
}
