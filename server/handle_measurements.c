/* GET, PUT and DELETE /v1/devices/{device}/measurements/{space}. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/file.h"
#include "core/mem.h"
#include "proto/msg_measurements.h"
#include "server/accept.h"
#include "server/conditional.h"
#include "server/data_request.h"
#include "server/result_tree.h"

/* The forms that measurements have, in the order in which they are preferred. */
enum form { FORM_JSON, FORM_CSV, N_FORMS };

static const char *const form_types[N_FORMS] = {"application/json", "text/csv"};
static const char *const form_variants[N_FORMS] = {"json", "csv"};

/* The stored measurements of a device as they are now. */
struct stored {
    struct device_index index;
    struct device_files files; /* of the index; files.name is NULL where there is no such device */
    char path[PATH_BYTES];
    char *bytes; /* owned; NULL where there are none */
    size_t size;
    enum data_place at;
};

static void close_stored(struct stored *stored)
{
    device_index_close(&stored->index);
    mem_free(stored->bytes);
}

/* ERR_NOT_FOUND where there are none: the device may be there, then. The caller ends `stored` with
 * close_stored() in every case. */
static enum err load_stored(const struct app *app, const char *name, const struct space *space,
                            struct stored *stored, struct error *err)
{
    enum err rc;

    memset(stored, 0, sizeof *stored);
    rc = device_index_load(&app->tree, &stored->index, err);
    rc = rc != ERR_OK ? rc : device_index_find(&stored->index, name, &stored->files, err);
    rc = rc != ERR_OK ? rc
                      : device_measurements_path(&app->tree, &stored->files, space, &stored->at,
                                                 stored->path, err);
    return rc != ERR_OK ? rc
                        : file_read(stored->path, MEASUREMENTS_MAX_FILE_BYTES, &stored->bytes,
                                    &stored->size, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void respond_rows(struct reply *reply, const struct measurements *rows, const char *device,
                         const char *source, enum form form, struct text *out)
{
    if (form == FORM_CSV) {
        msg_measurements_encode_csv(rows, "\r\n", out);
        respond_text(reply, 200, "text/csv; charset=utf-8", out);
    } else {
        msg_measurements_encode_json(rows, device, source, out);
        respond_json(reply, 200, out);
    }
}

/* Answers with what is stored. */
static void get_stored(struct app *app, const struct request *request, const struct space *space,
                       const struct stored *stored, enum form form, struct reply *reply)
{
    struct measurements rows = {0};
    struct field_errors errors = {0};
    struct text text = {0};
    char etag[ETAG_BYTES];
    struct error err;

    etag_make(stored->bytes, stored->size, form_variants[form], etag);
    if (condition_answer(request, reply, etag)) {
        return;
    }
    if (msg_measurements_decode_csv(space, stored->bytes, stored->size, &rows, &errors, &err) !=
        ERR_OK) {
        error_wrap(&err, "%s", stored->path);
        data_respond_error(app, request, reply, &err);
    } else {
        respond_rows(reply, &rows, stored->files.name, "measurements", form, &text);
        respond_header(reply, "ETag", "%s", etag);
    }
    text_close(&text);
    field_errors_close(&errors);
    measurements_close(&rows);
}

/* Reads the reference's latencies, row for row with net.txt. */
static enum err load_latency(const struct app *app, const struct space *space, const char *device,
                             struct measurements *out, struct error *err)
{
    struct dataset rows = {0};
    enum err rc = data_load_architectures(&app->tree, space, &rows, err);

    rc = rc != ERR_OK
             ? rc
             : data_load_latency(&app->tree, space, device, rows.n_rows, &out->latency_ms, err);
    if (rc != ERR_OK) {
        dataset_close(&rows);
        return rc;
    }
    out->space = space;
    out->genes = rows.genes; /* handed over */
    out->n_rows = rows.n_rows;
    return ERR_OK;
}

static void get_latency(struct app *app, const struct request *request, const struct space *space,
                        const struct device_files *files, enum form form, struct reply *reply)
{
    struct measurements rows = {0};
    struct text text = {0};
    char etag[ETAG_BYTES];
    struct error err;

    if (load_latency(app, space, files->name, &rows, &err) != ERR_OK) {
        data_respond_error(app, request, reply, &err);
        return;
    }
    respond_rows(reply, &rows, files->name, "latency", form, &text);
    measurements_close(&rows);
    if (reply->body != NULL) {
        struct reply whole = *reply;
        etag_make(whole.body, whole.body_size, form_variants[form], etag);
        memset(reply, 0, sizeof *reply);
        if (condition_answer(request, reply, etag)) {
            reply_close(&whole);
            return;
        }
        *reply = whole;
        respond_header(reply, "ETag", "%s", etag);
    }
}

static bool has_latency(const struct device_files *files, const struct space *space)
{
    return device_file_at(files, space, DATA_LATENCY) != NULL;
}

/* Answers from the source that was asked for, or from the first that there is. */
static void get_from(struct app *app, const struct request *request, const struct space *space,
                     const char *source, enum form form, struct reply *reply)
{
    struct stored stored;
    struct error err;
    enum err rc = load_stored(app, request->params[0], space, &stored, &err);
    bool is_latency_asked = source != NULL && strcmp(source, "latency") == 0;
    bool may_be_latency = source == NULL || is_latency_asked;

    if (stored.files.name != NULL && may_be_latency && has_latency(&stored.files, space) &&
        (is_latency_asked || rc == ERR_NOT_FOUND)) {
        get_latency(app, request, space, &stored.files, form, reply);
    } else if (stored.files.name != NULL && is_latency_asked) {
        error_describe(&err, ERR_NOT_FOUND, "there is no latency file of \"%s\" for %s",
                       stored.files.name, space->name);
        data_respond_error(app, request, reply, &err);
    } else if (rc != ERR_OK) {
        data_respond_error(app, request, reply, &err);
    } else {
        get_stored(app, request, space, &stored, form, reply);
    }
    close_stored(&stored);
}

void measurements_get(struct app *app, const struct request *request, struct reply *reply)
{
    const char *source = request_query(request, "source");
    size_t form = accept_choose(request_header(request, "Accept"), form_types, N_FORMS);
    const struct space *space;

    if (!data_check_name(request, reply, false)) {
        return;
    }
    space = data_find_space(request, request->params[1], reply);
    if (space == NULL) {
        return;
    }
    if (source != NULL && strcmp(source, "measurements") != 0 && strcmp(source, "latency") != 0) {
        respond_problem(reply, request, 422, "source must be measurements or latency", NULL);
        return;
    }
    if (form == N_FORMS) {
        respond_problem(reply, request, 406,
                        "measurements are there as application/json and as text/csv", NULL);
        return;
    }
    get_from(app, request, space, source, (enum form)form, reply);
    if (reply->status == 200 || reply->status == 304) {
        respond_header(reply, "Vary", "Accept");
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Writes `bytes` to the root's own data. */
static enum err save_rows(const struct app *app, const struct space *space, const char *name,
                          const struct text *bytes, struct error *err)
{
    struct result_batch batch = {0};
    char path[PATH_BYTES];
    enum err rc = data_place_path(&app->tree, space, DATA_MEASUREMENTS, name, path, err);

    rc = rc != ERR_OK ? rc : result_stage(&batch, path, bytes->bytes, bytes->size, err);
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    return rc;
}

static void respond_stored(struct reply *reply, const char *device, const struct space *space,
                           size_t n_rows, bool is_new, const char *etag)
{
    struct text text = {0};

    text_puts(&text, "{\"device\":");
    text_put_json_string(&text, device);
    text_printf(&text, ",\"search_space\":\"%s\",\"n_measurements\":%zu}\n", space->name, n_rows);
    respond_json(reply, is_new ? 201 : 200, &text);
    respond_header(reply, "ETag", "%s", etag);
    if (is_new) {
        data_respond_location(reply, "/v1/devices/%s/measurements/%s", device, space->name);
    }
    text_close(&text);
}

/* The name that the device's file of measurements has, or will have: as it is spelled there, else
 * as the device is. */
static const char *file_name(const struct stored *stored, const struct space *space,
                             const char *asked)
{
    const struct device_file *file = device_file_at(&stored->files, space, DATA_MEASUREMENTS);

    if (file != NULL) {
        return file->name;
    }
    return stored->files.name != NULL ? stored->files.name : asked;
}

/* For who holds the lock of writers. */
static void put_rows(struct app *app, const struct request *request, const struct space *space,
                     size_t n_rows, const struct text *csv, struct reply *reply)
{
    const char *asked = request->params[0];
    struct stored stored;
    char etag[ETAG_BYTES];
    struct error err;
    enum err rc = load_stored(app, asked, space, &stored, &err);
    bool is_new = rc == ERR_NOT_FOUND;

    /* a name that could mean several, no memory; but what cannot be read can be replaced */
    if (!is_new && rc != ERR_OK && (stored.path[0] == '\0' || rc == ERR_NOMEM)) {
        data_respond_error(app, request, reply, &err);
        close_stored(&stored);
        return;
    }
    etag_make(stored.bytes, stored.size, NULL, etag);
    if (!condition_answer(request, reply, is_new ? NULL : etag)) {
        rc = save_rows(app, space, file_name(&stored, space, asked), csv, &err);
        if (rc == ERR_OK) {
            etag_make(csv->bytes, csv->size, NULL, etag);
            respond_stored(reply, stored.files.name != NULL ? stored.files.name : asked, space,
                           n_rows, is_new, etag);
        } else {
            data_respond_error(app, request, reply, &err);
        }
    }
    close_stored(&stored);
}

/* Whether the body is CSV; the router lets nothing else but JSON through. */
static bool is_csv(const struct request *request)
{
    const char *type = request_header(request, "Content-Type");

    return type != NULL && strncasecmp(type, "text/csv", strlen("text/csv")) == 0;
}

void measurements_put(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space;
    struct measurements rows = {0};
    struct field_errors errors = {0};
    struct text csv = {0};
    struct tree_lock lock;
    struct error err;
    enum err rc;

    if (!data_check_name(request, reply, true)) {
        return;
    }
    space = data_find_space(request, request->params[1], reply);
    if (space == NULL) {
        return;
    }
    rc = is_csv(request) ? msg_measurements_decode_csv(space, request->body, request->body_size,
                                                       &rows, &errors, &err)
                         : msg_measurements_decode_json(space, request->body, request->body_size,
                                                        &rows, &errors, &err);
    if (rc == ERR_OK) {
        msg_measurements_encode_csv(&rows, "\n", &csv);
        rc = csv.has_failed ? error_set(&err, ERR_NOMEM, "no memory to write the measurements")
                            : ERR_OK;
    }
    if (rc != ERR_OK) {
        respond_error(reply, request, &err, &errors);
    } else if (data_write_begin(app, request, reply, &lock)) {
        put_rows(app, request, space, rows.n_rows, &csv, reply);
        tree_lock_release(&lock);
    }
    text_close(&csv);
    field_errors_close(&errors);
    measurements_close(&rows);
}

/* For who holds the lock of writers. */
static void delete_rows(struct app *app, const struct request *request, const struct space *space,
                        struct reply *reply)
{
    struct stored stored;
    char etag[ETAG_BYTES];
    struct error err;
    enum err rc = load_stored(app, request->params[0], space, &stored, &err);

    if (rc == ERR_NOT_FOUND && stored.files.name != NULL && has_latency(&stored.files, space)) {
        respond_problem(reply, request, 409,
                        "the device has no measurements for this search space but a latency file, "
                        "which is not removed here",
                        NULL);
    } else if (stored.path[0] == '\0' || rc == ERR_NOT_FOUND) {
        data_respond_error(app, request, reply, &err);
    } else if (stored.at != DATA_MEASUREMENTS) {
        respond_problem(reply, request, 409,
                        "the measurements came with the data path, where nothing is removed", NULL);
    } else {
        etag_make(stored.bytes, stored.size, NULL, etag);
        if (!condition_answer(request, reply, etag)) {
            if (result_remove(stored.path, &err) == ERR_OK) {
                respond_empty(reply, 204);
            } else {
                data_respond_error(app, request, reply, &err);
            }
        }
    }
    close_stored(&stored);
}

void measurements_delete(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space;
    struct tree_lock lock;

    if (!data_check_name(request, reply, false)) {
        return;
    }
    space = data_find_space(request, request->params[1], reply);
    if (space == NULL) {
        return;
    }
    if (data_write_begin(app, request, reply, &lock)) {
        delete_rows(app, request, space, reply);
        tree_lock_release(&lock);
    }
}
