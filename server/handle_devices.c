/* GET /v1/devices; GET, PUT and DELETE /v1/devices/{device}. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "server/conditional.h"
#include "server/data_request.h"
#include "server/result_tree.h"

/* A device as it is now: its files, what they say, and the reply that tells it. */
struct device_state {
    struct device_index index;
    struct device_files files; /* of the index */
    struct device_view view;
    struct text json;
    char etag[ETAG_BYTES];
};

static void close_state(struct device_state *state)
{
    device_index_close(&state->index);
    text_close(&state->json);
}

/* ERR_NOT_FOUND where there is no such device: the index is loaded then, too. The caller ends
 * `state` with close_state() in every case. */
static enum err load_state(const struct app *app, const char *name, struct device_state *state,
                           struct error *err)
{
    enum err rc;

    memset(state, 0, sizeof *state);
    rc = device_index_load(&app->tree, &state->index, err);
    rc = rc != ERR_OK ? rc : device_index_find(&state->index, name, &state->files, err);
    rc = rc != ERR_OK ? rc : device_view_load(&app->tree, &state->files, &state->view, err);
    if (rc != ERR_OK) {
        return rc;
    }
    msg_device_encode(&state->view, &state->json);
    text_puts(&state->json, "\n");
    if (state->json.has_failed) {
        return error_set(err, ERR_NOMEM, "no memory to write of a device");
    }
    etag_make(state->json.bytes, state->json.size, NULL, state->etag);
    return ERR_OK;
}

static void respond_device(struct reply *reply, unsigned status, struct device_state *state)
{
    respond_json(reply, status, &state->json);
    respond_header(reply, "ETag", "%s", state->etag);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Whether the device is one of the list that was asked for: predictions in the space can be made of
 * it, or could if a file were not malformed. */
static bool is_wanted(const struct device_view *view, const struct space *only)
{
    for (size_t s = 0; s < view->n_spaces; s++) {
        const struct device_in_space *in = &view->spaces[s];
        if (in->space == only) {
            return in->has_hardware || in->n_measurements > 0 || in->error[0] != '\0' ||
                   view->error[0] != '\0';
        }
    }
    return only == NULL;
}

static enum err put_devices(const struct app *app, const struct space *only, struct text *out,
                            struct error *err)
{
    struct device_index index = {0};
    struct names names = {0};
    bool is_first = true;
    enum err rc = device_index_load(&app->tree, &index, err);

    rc = rc != ERR_OK ? rc : device_index_names(&index, &names, err);
    for (size_t i = 0; rc == ERR_OK && i < names.n; i++) {
        struct device_files files;
        struct device_view view;
        rc = device_index_find(&index, names.items[i], &files, err);
        rc = rc != ERR_OK ? rc : device_view_load(&app->tree, &files, &view, err);
        if (rc == ERR_OK && is_wanted(&view, only)) {
            text_puts(out, is_first ? "" : ",");
            is_first = false;
            msg_device_encode(&view, out);
        }
    }
    names_close(&names);
    device_index_close(&index);
    return rc;
}

void devices_get_all(struct app *app, const struct request *request, struct reply *reply)
{
    const char *space_name = request_query(request, "search_space");
    const struct space *only = space_name != NULL ? space_find(space_name) : NULL;
    struct text text = {0};
    struct error err;

    if (space_name != NULL && only == NULL) {
        error_describe(&err, ERR_INVALID,
                       "search_space: there is no search space \"%.64s\"; there are %s", space_name,
                       space_names());
        respond_problem(reply, request, 422, err.text, NULL);
        return;
    }
    text_puts(&text, "{\"devices\":[");
    if (put_devices(app, only, &text, &err) == ERR_OK) {
        text_puts(&text, "]}\n");
        respond_json(reply, 200, &text);
    } else {
        data_respond_error(app, request, reply, &err);
    }
    text_close(&text);
}

void devices_get(struct app *app, const struct request *request, struct reply *reply)
{
    struct device_state state;
    struct error err;

    if (!data_check_name(request, reply, false)) {
        return;
    }
    if (load_state(app, request->params[0], &state, &err) != ERR_OK) {
        data_respond_error(app, request, reply, &err);
    } else if (state.view.error[0] != '\0') { /* it says nothing that could be relied upon */
        respond_problem(reply, request, 409, state.view.error, NULL);
    } else if (!condition_answer(request, reply, state.etag)) {
        respond_device(reply, 200, &state);
    }
    close_state(&state);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Writes the sheet of the name that is in it. */
static enum err save_sheet(const struct app *app, const struct device_sheet *sheet,
                           struct error *err)
{
    struct result_batch batch = {0};
    struct text text = {0};
    char path[PATH_BYTES];
    enum err rc = data_place_path(&app->tree, NULL, DATA_SHEETS, sheet->name, path, err);

    if (rc == ERR_OK) {
        msg_device_encode_sheet(sheet, &text);
        rc = text.has_failed ? error_set(err, ERR_NOMEM, "no memory to write a device sheet")
                             : result_stage(&batch, path, text.bytes, text.size, err);
    }
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    text_close(&text);
    return rc;
}

/* For who holds the lock of writers. */
static void put_sheet(struct app *app, const struct request *request, struct device_sheet *sheet,
                      struct reply *reply)
{
    const char *name = request->params[0];
    struct device_state before;
    struct device_state after = {0};
    struct error err;
    enum err rc = load_state(app, name, &before, &err);
    bool is_new = rc == ERR_NOT_FOUND;

    if (!is_new && rc != ERR_OK) {
        data_respond_error(app, request, reply, &err);
    } else if (!condition_answer(request, reply, is_new ? NULL : before.etag)) {
        if (before.files.sheet != NULL) {
            name = before.files.sheet->name;
        } else if (!is_new) {
            name = before.files.name;
        }
        (void)snprintf(sheet->name, sizeof sheet->name, "%s", name);
        rc = save_sheet(app, sheet, &err);
        rc = rc != ERR_OK ? rc : load_state(app, name, &after, &err);
        if (rc != ERR_OK) {
            data_respond_error(app, request, reply, &err);
        } else {
            respond_device(reply, is_new ? 201 : 200, &after);
            if (is_new) {
                data_respond_location(reply, "/v1/devices/%s", name);
            }
        }
        close_state(&after);
    }
    close_state(&before);
}

void devices_put(struct app *app, const struct request *request, struct reply *reply)
{
    struct device_sheet sheet = {0};
    struct field_errors errors = {0};
    struct tree_lock lock;
    struct error err;

    if (!data_check_name(request, reply, true)) {
        return;
    }
    if (msg_device_decode_body(request->body, request->body_size, &sheet, &errors, &err) !=
        ERR_OK) {
        respond_error(reply, request, &err, &errors);
    } else if (data_write_begin(app, request, reply, &lock)) {
        put_sheet(app, request, &sheet, reply);
        tree_lock_release(&lock);
    }
    field_errors_close(&errors);
}

/* Removes the sheet of the state that was loaded. */
static enum err remove_sheet(const struct app *app, const struct device_state *state,
                             struct error *err)
{
    char path[PATH_BYTES];
    enum err rc =
        data_place_path(&app->tree, NULL, DATA_SHEETS, state->files.sheet->name, path, err);

    return rc != ERR_OK ? rc : result_remove(path, err);
}

/* For who holds the lock of writers. Conditions are looked at last: they say whether to remove what
 * could be removed. */
static void delete_sheet(struct app *app, const struct request *request, struct reply *reply)
{
    struct device_state state;
    struct error err;

    if (load_state(app, request->params[0], &state, &err) != ERR_OK) {
        data_respond_error(app, request, reply, &err);
    } else if (state.files.sheet == NULL) {
        respond_problem(reply, request, 409,
                        "the device has no sheet in data/devices; it is known by other files of "
                        "the data tree, which are not removed here",
                        NULL);
    } else if (state.files.sheet->at == DATA_SHEETS_SHIPPED) {
        respond_problem(reply, request, 409,
                        "the device's sheet ships with the service and stays; PUT one of your own, "
                        "which wins over it",
                        NULL);
    } else if (!condition_answer(request, reply, state.etag)) {
        if (remove_sheet(app, &state, &err) == ERR_OK) {
            respond_empty(reply, 204);
        } else {
            data_respond_error(app, request, reply, &err);
        }
    }
    close_state(&state);
}

void devices_delete(struct app *app, const struct request *request, struct reply *reply)
{
    struct tree_lock lock;

    if (data_check_name(request, reply, false) && data_write_begin(app, request, reply, &lock)) {
        delete_sheet(app, request, reply);
        tree_lock_release(&lock);
    }
}
