/* GET /v1/spaces; GET, PUT and DELETE /v1/spaces/{space}. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "proto/digest.h"
#include "proto/msg_space.h"
#include "proto/msg_space_declaration.h"
#include "server/app.h"
#include "server/conditional.h"
#include "server/data_request.h"
#include "server/handle_models.h"
#include "server/jobs.h"
#include "server/respond.h"

static enum err put_space(struct app *app, const struct space *space, bool is_whole,
                          struct text *out, struct error *err)
{
    struct text model = {0};
    enum err rc = models_put_served(app, space, &model, err);

    if (rc == ERR_OK && model.has_failed) {
        rc = error_set(err, ERR_NOMEM, "no memory for the space's model");
    }
    if (rc == ERR_OK) {
        msg_space_encode(space, model.bytes, is_whole, out);
    }
    text_close(&model);
    return rc;
}

/* ---- tags ------------------------------------------------------------------------------------ */

enum { VARIANT_BYTES = 17 };

/* The state of a space is its declaration: a model that is served meanwhile undoes nobody's PUT. That
 * of a built-in one is its name. */
static enum err make_state_tag(const struct space *space, const char *variant, char out[ETAG_BYTES],
                               struct error *err)
{
    struct text text = {0};
    enum err rc;

    if (space->declaration != NULL) {
        msg_space_declaration_encode(space->declaration, true, &text);
    } else {
        text_puts(&text, space->name);
    }
    rc = text.has_failed ? error_set(err, ERR_NOMEM, "no memory to write of a search space")
                         : ERR_OK;
    if (rc == ERR_OK) {
        etag_make(text.bytes, text.size, variant, out);
    }
    text_close(&text);
    return rc;
}

/* What is told of a space changes with its model, too: the tag of a reply is that of the state with
 * the beginning of the reply's digest. */
static enum err make_reply_tag(const struct space *space, const struct text *reply,
                               char out[ETAG_BYTES], struct error *err)
{
    const struct digest_part part = {reply->bytes, reply->size};
    char digest[DIGEST_HEX_BYTES];
    char variant[VARIANT_BYTES];

    if (reply->has_failed) {
        return error_set(err, ERR_NOMEM, "no memory to write of a search space");
    }
    digest_hex(&part, 1, digest);
    (void)snprintf(variant, sizeof variant, "%.12s", digest);
    return make_state_tag(space, variant, out, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

void spaces_get_all(struct app *app, const struct request *request, struct reply *reply)
{
    struct space_list list;
    struct text text = {0};
    struct error err;
    enum err rc = ERR_OK;

    space_list_get(&list);
    text_puts(&text, "{\"spaces\":[");
    for (size_t i = 0; rc == ERR_OK && i < list.n; i++) {
        text_puts(&text, i > 0 ? "," : "");
        rc = put_space(app, list.items[i], false, &text, &err);
    }
    text_puts(&text, "],\"malformed\":");
    space_tree_put_malformed(&app->spaces, &text);
    text_puts(&text, "}\n");
    if (rc == ERR_OK) {
        respond_json(reply, 200, &text);
    } else {
        respond_error(reply, request, &err, NULL);
    }
    text_close(&text);
}

/* Answers with the space, as the reply to a GET where `is_read`, else to a PUT. */
static void answer_space(struct app *app, const struct request *request, const struct space *space,
                         bool is_read, unsigned status, struct reply *reply)
{
    struct text text = {0};
    char etag[ETAG_BYTES];
    struct error err;
    enum err rc = put_space(app, space, true, &text, &err);

    text_puts(&text, "\n");
    rc = rc != ERR_OK ? rc : make_reply_tag(space, &text, etag, &err);
    if (rc != ERR_OK) {
        respond_error(reply, request, &err, NULL);
    } else if (!is_read || !condition_answer(request, reply, etag)) {
        respond_json(reply, status, &text);
        respond_header(reply, "ETag", "%s", etag);
    }
    text_close(&text);
}

static void answer_unknown(const struct request *request, struct reply *reply)
{
    struct error err;

    error_describe(&err, ERR_NOT_FOUND, "there is no search space \"%.64s\"; there are %s",
                   request->params[0], space_names());
    respond_problem(reply, request, 404, err.text, NULL);
}

void spaces_get(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space = space_find(request->params[0]);
    struct error err;

    if (space != NULL) {
        answer_space(app, request, space, true, 200, reply);
    } else if (space_tree_check(&app->spaces, request->params[0], &err) != ERR_OK) {
        respond_problem(reply, request, 409, err.text, NULL);
    } else {
        answer_unknown(request, reply);
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Whether jobs of the space wait or run; else the reply is made. One that is submitted meanwhile
 * finds its space gone or changed when it begins, and fails with that. */
static bool check_idle(const struct app *app, const struct request *request,
                       const struct space *space, struct reply *reply)
{
    static const enum job_state states[] = {JOB_QUEUED, JOB_RUNNING};
    struct error err = {0};
    enum err rc = ERR_OK;
    size_t n = 0;

    for (size_t i = 0; app->jobs != NULL && rc == ERR_OK && i < 2; i++) {
        const struct job_filter filter = {
            .has_state = true, .state = states[i], .space = space->name, .limit = 1};
        struct job_list list = {0};
        rc = jobs_list(app->jobs, &filter, &list, &err);
        n += rc == ERR_OK ? list.n : 0;
        job_list_close(&list);
    }
    if (rc != ERR_OK) {
        respond_error(reply, request, &err, NULL);
    } else if (n > 0) {
        error_describe(&err, ERR_INVALID,
                       "there are jobs of %s that are queued or running; cancel them first, or "
                       "wait for their end",
                       space->name);
        respond_problem(reply, request, 409, err.text, NULL);
    }
    return rc == ERR_OK && n == 0;
}

/* Whether the path names what may be declared; else the reply is made. Built-in spaces are there, so
 * it is a conflict to write them. */
static bool check_name(const struct request *request, struct reply *reply)
{
    const struct space *space = space_find(request->params[0]);
    struct error err;

    if (space_name_validate(request->params[0], &err) == ERR_OK) {
        return true;
    }
    respond_problem(reply, request, space != NULL ? 409 : 422, err.text, NULL);
    return false;
}

/* Whether the conditions let the write go on; else the reply is made. `file` may be NULL; one that
 * declares nothing, for it is malformed, has its error for a state. */
static bool check_conditions(const struct request *request, const struct space_file *file,
                             struct reply *reply)
{
    char etag[ETAG_BYTES];
    struct error err;

    if (file == NULL) {
        return !condition_answer(request, reply, NULL);
    }
    if (file->space == NULL) {
        etag_make(file->error, strlen(file->error), NULL, etag);
    } else if (make_state_tag(file->space, NULL, etag, &err) != ERR_OK) {
        respond_error(reply, request, &err, NULL);
        return false;
    }
    return !condition_answer(request, reply, etag);
}

/* An error of the tree; too many spaces are a conflict, for the body is none the worse. */
static void answer_tree_error(const struct app *app, const struct request *request,
                              struct error *err, struct reply *reply)
{
    data_localize(&app->tree, err);
    if (err->code == ERR_LIMIT) {
        respond_problem(reply, request, 409, err->text, NULL);
    } else {
        respond_error(reply, request, err, NULL);
    }
}

/* Keeps other writers out, of this process and of others. A file that was written since the last
 * look is no file to be written over unseen. False where another process writes for too long: then
 * the reply is made. */
static bool lock_tree(struct app *app, const struct request *request, struct reply *reply,
                      struct tree_lock *lock)
{
    struct error err;

    if (tree_lock_take(app->tree.root, TREE_LOCK_SPACES, "", lock, &err) != ERR_OK) {
        respond_error(reply, request, &err, NULL);
        return false;
    }
    (void)space_tree_refresh(&app->spaces, &err); /* it has logged what it could not do */
    space_tree_lock(&app->spaces);
    return true;
}

static void unlock_tree(struct app *app, struct tree_lock *lock)
{
    space_tree_unlock(&app->spaces);
    tree_lock_release(lock);
}

/* Whether predictors of a declaration go on: words may change without. */
static bool has_digest(const struct space_declaration *declaration, const char *digest)
{
    return declaration != NULL && strcmp(declaration->digest, digest) == 0;
}

/* For who holds the tree's lock. */
static void put_declaration(struct app *app, const struct request *request,
                            const struct space_declaration *declaration, struct reply *reply)
{
    const struct space_file *file = space_tree_find(&app->spaces, declaration->name);
    const bool is_new = file == NULL;
    const struct space *before = is_new ? NULL : file->space;
    const struct space *now;
    struct error err;

    if (!check_conditions(request, file, reply)) {
        return;
    }
    if (before != NULL && !has_digest(before->declaration, declaration->digest) &&
        !check_idle(app, request, before, reply)) {
        return;
    }
    if (space_tree_put(&app->spaces, declaration, &now, &err) != ERR_OK) {
        answer_tree_error(app, request, &err, reply);
        return;
    }
    answer_space(app, request, now, false, is_new ? 201 : 200, reply);
    if (is_new && reply->status == 201) {
        data_respond_location(reply, "/v1/spaces/%s", declaration->name);
    }
}

void spaces_put(struct app *app, const struct request *request, struct reply *reply)
{
    struct space_declaration *declaration = NULL;
    struct field_errors errors = {0};
    struct tree_lock lock;
    struct error err;

    if (!check_name(request, reply)) {
        return;
    }
    if (msg_space_declaration_decode(request->body, request->body_size, request->params[0],
                                     &declaration, &errors, &err) != ERR_OK) {
        respond_error(reply, request, &err, &errors);
    } else if (lock_tree(app, request, reply, &lock)) {
        put_declaration(app, request, declaration, reply);
        unlock_tree(app, &lock);
    }
    mem_free(declaration);
    field_errors_close(&errors);
}

/* For who holds the tree's lock. */
static void delete_declaration(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space_file *file = space_tree_find(&app->spaces, request->params[0]);
    struct error err;
    enum err rc;

    if (file == NULL) {
        answer_unknown(request, reply);
        return;
    }
    if (!check_conditions(request, file, reply) ||
        (file->space != NULL && !check_idle(app, request, file->space, reply))) {
        return;
    }
    rc = space_tree_remove(&app->spaces, request->params[0], &err);
    if (rc == ERR_OK || rc == ERR_NOT_FOUND) { /* somebody removed the file by hand: so be it */
        respond_empty(reply, 204);
    } else {
        answer_tree_error(app, request, &err, reply);
    }
}

void spaces_delete(struct app *app, const struct request *request, struct reply *reply)
{
    struct tree_lock lock;

    if (space_find(request->params[0]) == NULL &&
        space_name_validate(request->params[0], NULL) != ERR_OK) {
        answer_unknown(request, reply);
        return;
    }
    if (!check_name(request, reply)) {
        return;
    }
    if (lock_tree(app, request, reply, &lock)) {
        delete_declaration(app, request, reply);
        unlock_tree(app, &lock);
    }
}
