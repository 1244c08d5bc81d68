/* What is asked of a job, as JSON. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/space_declared.h"
#include "proto/job.h"
#include "proto/json_spec.h"
#include "proto/msg_device.h"
#include "proto/msg_job_params.h"
#include "proto/msg_model.h"
#include "proto/msg_space.h"

#define DEADLINE_MAX_S INT64_C(31536000)
#define EPOCHS_MAX     INT64_C(1000000000)
#define CALIBRATE_MAX  INT64_C(10000)

/* ---- values ---------------------------------------------------------------------------------- */

bool job_read_boolean(const struct json_reader *reader, struct json_view value, bool *out)
{
    if (json_view_kind(value) != JSON_KIND_BOOLEAN) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be true or false, not %s",
                         json_view_kind_name(value));
        return false;
    }
    *out = json_view_is_true(value);
    return true;
}

bool job_read_positive(const struct json_reader *reader, struct json_view value, double *out)
{
    double number = json_view_kind(value) == JSON_KIND_NUMBER ? json_view_number(value) : NAN;

    if (!(number > 0.0) || number > DBL_MAX) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a positive number");
        return false;
    }
    *out = number;
    return true;
}

/* A text of `names`, which are told where it is none of them. */
bool job_read_word(const struct json_reader *reader, struct json_view value, const char *what,
                   char out[JOB_WORD_BYTES])
{
    if (json_view_kind(value) != JSON_KIND_STRING) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be %s, not %s", what,
                         json_view_kind_name(value));
        return false;
    }
    if (!json_view_text(value, out, JOB_WORD_BYTES)) {
        out[0] = '\0'; /* too long, or with a NUL: no name of anything */
    }
    return true;
}

void job_read_model(const struct json_reader *reader, struct json_view value, const char *param,
                    struct job_model *out)
{
    if (out->param != NULL) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "means the same as %s: give one of them", out->param);
        return;
    }
    out->param = param;
    (void)msg_model_name_read(reader, value, out->name);
}

void job_put_model(const struct job_model *model, const char *before, const char *after,
                   struct text *out)
{
    if (model->name[0] != '\0') {
        text_printf(out, "%s\"%s\":\"%s\"%s", before, model->param, model->name, after);
    }
}

/* Whether a name stands among the first `n`, case and likenesses apart. */
static bool is_repeated(char *const *names, size_t n, const char *name)
{
    char folded[DEVICE_NAME_BYTES];
    char other[DEVICE_NAME_BYTES];

    for (size_t i = 0; i < n; i++) {
        if (device_name_fold(name, folded) && device_name_fold(names[i], other) &&
            strcmp(folded, other) == 0) {
            return true;
        }
    }
    return false;
}

/* A list of device names, each once. */
static void read_device_names(const struct json_reader *reader, struct json_view value,
                              char ***names, size_t *n_names)
{
    bool is_list = json_view_kind(value) == JSON_KIND_ARRAY;
    size_t n = is_list ? json_view_count(value) : 0;
    struct json_view item;
    size_t i = 0;

    if (n == 0 || n > JOB_MAX_DEVICES) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a list of 1 to %d device names", JOB_MAX_DEVICES);
        return;
    }
    *names = mem_calloc(n, sizeof **names);
    reader->errors->has_failed |= *names == NULL;
    for (bool more = *names != NULL && json_view_first(value, &item); more;
         more = json_view_next(&item), i++) {
        char at[JSON_POINTER_BYTES];
        char name[DEVICE_NAME_BYTES];
        const struct json_reader inner = {reader->out, reader->errors, at};
        (void)snprintf(at, sizeof at, "%.*s/%zu", JSON_POINTER_BYTES - 24, reader->pointer, i);
        if (!msg_device_name_read(&inner, item, name)) {
            continue;
        }
        if (is_repeated(*names, *n_names, name)) {
            field_errors_add(reader->errors, 0, at, "\"%s\" is named twice", name);
            continue;
        }
        (*names)[*n_names] = mem_strdup(name);
        reader->errors->has_failed |= (*names)[*n_names] == NULL;
        *n_names += (*names)[*n_names] != NULL;
    }
}

static void read_predictor(const struct json_reader *reader, struct json_view value,
                           const struct predictor_kind **out)
{
    char name[JOB_WORD_BYTES];

    if (job_read_word(reader, value, "the name of a kind of predictor", name)) {
        *out = predictor_kind_find(name);
        if (*out == NULL) {
            field_errors_add(reader->errors, 0, reader->pointer,
                             "there is no predictor \"%.64s\"; there are %s", name,
                             predictor_kind_names());
        }
    }
}

/* ---- params ---------------------------------------------------------------------------------- */

#define DRAFT(reader) ((struct job_draft_params *)(reader)->out)
#define TRAIN(reader) (&DRAFT(reader)->order->params.train)
#define TEST(reader)  (&DRAFT(reader)->order->params.test)

static void train_predictor(const struct json_reader *reader, struct json_view value)
{
    read_predictor(reader, value, &TRAIN(reader)->predictor);
}

static void train_devices(const struct json_reader *reader, struct json_view value)
{
    read_device_names(reader, value, &TRAIN(reader)->train_devices,
                      &TRAIN(reader)->n_train_devices);
}

/* Epochs and learning rate select mlp where no predictor is named, as on the command line. */
static void claim_mlp(const struct json_reader *reader)
{
    struct job_train_params *train = TRAIN(reader);

    if (train->predictor == NULL) {
        train->predictor = &predictor_kind_mlp;
    } else if (!train->predictor->has_epochs) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "means nothing to the predictor %s; it is for mlp",
                         train->predictor->name);
    }
}

static void train_epoch(const struct json_reader *reader, struct json_view value)
{
    if (json_read_whole(reader, value, 1, EPOCHS_MAX, &TRAIN(reader)->epoch)) {
        claim_mlp(reader);
    }
}

static void train_lr(const struct json_reader *reader, struct json_view value)
{
    if (job_read_positive(reader, value, &TRAIN(reader)->learning_rate)) {
        claim_mlp(reader);
    }
}

static void train_seed(const struct json_reader *reader, struct json_view value)
{
    (void)json_read_whole(reader, value, 0, INT64_MAX, &TRAIN(reader)->seed);
}

static void train_activate(const struct json_reader *reader, struct json_view value)
{
    (void)job_read_boolean(reader, value, &TRAIN(reader)->activate);
}

static void train_force(const struct json_reader *reader, struct json_view value)
{
    if (job_read_boolean(reader, value, &TRAIN(reader)->force) && TRAIN(reader)->force &&
        !TRAIN(reader)->activate) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "has no effect without \"activate\": true");
    }
}

/* true, false, or the devices of the library. */
static void train_library(const struct json_reader *reader, struct json_view value)
{
    struct job_train_params *train = TRAIN(reader);

    if (json_view_kind(value) == JSON_KIND_BOOLEAN) {
        train->library = json_view_is_true(value);
    } else if (json_view_kind(value) != JSON_KIND_ARRAY || json_view_count(value) == 0 ||
               json_view_count(value) > LIBRARY_MAX_DEVICES) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be true or false, or a list of 1 to %d device names",
                         LIBRARY_MAX_DEVICES);
    } else {
        train->library = true;
        read_device_names(reader, value, &train->library_devices, &train->n_library_devices);
    }
}

static void read_condition(const struct json_reader *reader, struct json_view value,
                           char out[MODEL_CONDITION_BYTES])
{
    char text[MODEL_CONDITION_BYTES];
    struct error why;

    if (json_view_kind(value) != JSON_KIND_STRING || !json_view_text(value, text, sizeof text)) {
        text[0] = '\0'; /* of another kind, too long or with a NUL */
    }
    if (model_condition_validate(text, &why) != ERR_OK) {
        field_errors_add(reader->errors, 0, reader->pointer, "%s", why.text);
        return;
    }
    memcpy(out, text, sizeof text);
}

static void train_input(const struct json_reader *reader, struct json_view value)
{
    read_condition(reader, value, TRAIN(reader)->conditions.input);
}

static void train_batch(const struct json_reader *reader, struct json_view value)
{
    int64_t batch;

    if (json_read_whole(reader, value, 1, SPACE_MAX_BATCH, &batch)) {
        TRAIN(reader)->conditions.batch = (int)batch;
    }
}

static void train_runtime(const struct json_reader *reader, struct json_view value)
{
    read_condition(reader, value, TRAIN(reader)->conditions.runtime);
}

static void test_devices(const struct json_reader *reader, struct json_view value)
{
    read_device_names(reader, value, &TEST(reader)->test_devices, &TEST(reader)->n_test_devices);
}

static void test_holdout(const struct json_reader *reader, struct json_view value)
{
    char word[JOB_WORD_BYTES];

    if (json_view_kind(value) == JSON_KIND_STRING && json_view_text(value, word, sizeof word) &&
        strcmp(word, "devices") == 0) {
        TEST(reader)->holdout_devices = true;
    } else if (json_view_kind(value) == JSON_KIND_BOOLEAN) {
        TEST(reader)->holdout = json_view_is_true(value);
    } else {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be true or false, or \"devices\"");
        return;
    }
    if (TEST(reader)->holdout_devices && TEST(reader)->n_test_devices > 0) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "\"devices\" holds out each device of the library: test_devices has no "
                         "part in it");
    }
}

static void test_calibrate(const struct json_reader *reader, struct json_view value)
{
    if (TEST(reader)->holdout_devices) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "has no part in \"holdout\": \"devices\"");
        return;
    }
    (void)json_read_whole(reader, value, 1, CALIBRATE_MAX, &TEST(reader)->calibrate);
}

static void test_version(const struct json_reader *reader, struct json_view value)
{
    job_read_model(reader, value, "version", &TEST(reader)->model);
}

static void test_model(const struct json_reader *reader, struct json_view value)
{
    job_read_model(reader, value, "model", &TEST(reader)->model);
}

/* Without holdout nothing is trained: what belongs to training would promise what is not done. `others`
 * names what else the field is for. */
static bool check_holdout(const struct json_reader *reader, const char *others)
{
    if (!TEST(reader)->holdout) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "has no effect without \"holdout\": true%s", others);
    }
    return TEST(reader)->holdout;
}

static void test_predictor(const struct json_reader *reader, struct json_view value)
{
    if (check_holdout(reader, "")) {
        read_predictor(reader, value, &TEST(reader)->predictor);
    }
}

static void test_seed(const struct json_reader *reader, struct json_view value)
{
    if (TEST(reader)->holdout_devices || TEST(reader)->calibrate > 0 ||
        check_holdout(reader, ", \"devices\", or calibrate, which draw by it")) {
        (void)json_read_whole(reader, value, 0, INT64_MAX, &TEST(reader)->seed);
    }
}

/* A field that relies on another one stands after it. */
/* clang-format off */
static const struct json_field train_fields[] = {
    {"predictor", false, train_predictor},
    {"train_devices", false, train_devices},
    {"epoch", false, train_epoch},
    {"lr", false, train_lr},
    {"seed", false, train_seed},
    {"activate", false, train_activate},
    {"force", false, train_force},
    {"library", false, train_library},
    {"input", false, train_input},
    {"batch", false, train_batch},
    {"runtime", false, train_runtime},
};
static const struct json_field test_fields[] = {
    {"test_devices", false, test_devices},
    {"holdout", false, test_holdout},
    {"version", false, test_version},
    {"model", false, test_model},
    {"predictor", false, test_predictor},
    {"calibrate", false, test_calibrate},
    {"seed", false, test_seed},
};
/* clang-format on */

/* ---- what holds between params, and what stands for those that were not given ------------------ */

static void preset_train(struct job_order *order)
{
    order->params.train.epoch = FIT_DEFAULT_EPOCHS;
    order->params.train.learning_rate = FIT_DEFAULT_LEARNING_RATE;
}

static void finish_train(struct job_draft_params *draft, const char *pointer,
                         struct field_errors *errors)
{
    struct job_train_params *train = &draft->order->params.train;

    (void)pointer;
    (void)errors;
    train->predictor = train->predictor != NULL ? train->predictor : &predictor_kind_cost;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_names(struct text *out, const char *name, char *const *names, size_t n)
{
    if (n == 0) {
        return; /* what stands for it may change by the time that the job runs */
    }
    text_printf(out, "\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        text_puts(out, i > 0 ? "," : "");
        text_put_json_string(out, names[i]);
    }
    text_puts(out, "],");
}

/* Members with a comma before them, where there is anything to say. */
static void put_library(const struct job_train_params *train, struct text *out)
{
    if (train->library && train->n_library_devices == 0) {
        text_puts(out, ",\"library\":true");
    } else if (train->library) {
        text_puts(out, ",");
        put_names(out, "library", train->library_devices, train->n_library_devices);
        text_cut(out, 1); /* the comma behind the list */
    }
}

static void put_condition(struct text *out, const char *name, const char *value)
{
    if (value[0] != '\0') {
        text_printf(out, ",\"%s\":", name);
        text_put_json_string(out, value);
    }
}

static void put_train(const struct job_order *order, struct text *out)
{
    const struct job_train_params *train = &order->params.train;

    text_printf(out, "{\"predictor\":\"%s\",", train->predictor->name);
    put_names(out, "train_devices", train->train_devices, train->n_train_devices);
    if (train->predictor->has_epochs) {
        text_printf(out, "\"epoch\":%" PRId64 ",\"lr\":", train->epoch);
        text_put_json_number_exact(out, train->learning_rate);
        text_puts(out, ",");
    }
    text_printf(out, "\"seed\":%" PRId64 ",\"activate\":%s,\"force\":%s", train->seed,
                train->activate ? "true" : "false", train->force ? "true" : "false");
    put_library(train, out);
    put_condition(out, "input", train->conditions.input);
    if (train->conditions.batch > 0) {
        text_printf(out, ",\"batch\":%d", train->conditions.batch);
    }
    put_condition(out, "runtime", train->conditions.runtime);
    text_puts(out, "}");
}

static void put_test(const struct job_order *order, struct text *out)
{
    const struct job_test_params *test = &order->params.test;

    text_puts(out, "{");
    put_names(out, "test_devices", test->test_devices, test->n_test_devices);
    job_put_model(&test->model, "", ",", out);
    if (test->predictor != NULL) {
        text_printf(out, "\"predictor\":\"%s\",", test->predictor->name);
    }
    if (test->calibrate > 0) {
        text_printf(out, "\"calibrate\":%" PRId64 ",", test->calibrate);
    }
    if (test->holdout || test->holdout_devices || test->calibrate > 0) {
        text_printf(out, "\"seed\":%" PRId64 ",", test->seed);
    }
    text_printf(out, "\"holdout\":%s}",
                test->holdout_devices ? "\"devices\""
                : test->holdout       ? "true"
                                      : "false");
}

static void close_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(names[i]);
    }
    mem_free(names);
}

static void close_train(struct job_order *order)
{
    close_names(order->params.train.train_devices, order->params.train.n_train_devices);
    close_names(order->params.train.library_devices, order->params.train.n_library_devices);
}

static void close_test(struct job_order *order)
{
    close_names(order->params.test.test_devices, order->params.test.n_test_devices);
}

/* ---- kinds ----------------------------------------------------------------------------------- */

#define FIELDS(table) table, sizeof(table) / sizeof *(table)

static const struct job_params_kind train_kind = {
    FIELDS(train_fields), false, preset_train, finish_train, put_train, close_train,
};
static const struct job_params_kind test_kind = {
    FIELDS(test_fields), false, NULL, NULL, put_test, close_test,
};

static const struct job_params_kind *const kinds[] = {
    [JOB_TRAIN] = &train_kind,
    [JOB_TEST] = &test_kind,
    [JOB_NAS] = &job_params_nas,
};

_Static_assert(sizeof kinds / sizeof *kinds == JOB_N_KINDS, "params for every kind");

void msg_job_put_params(const struct job_order *order, struct text *out)
{
    kinds[order->kind]->put(order, out);
}

void job_order_close(struct job_order *order)
{
    if (kinds[order->kind]->close != NULL) {
        kinds[order->kind]->close(order);
    }
    memset(order, 0, sizeof *order);
}

/* Reads params into an order whose kind is known. */
static void read_params(struct json_view params, const char *pointer, struct job_order *order,
                        struct field_errors *errors)
{
    struct job_draft_params draft = {.order = order};
    size_t n_before = errors->n;

    json_spec_read(params, kinds[order->kind]->fields, kinds[order->kind]->n_fields, pointer,
                   &draft, errors);
    if (errors->n == n_before && kinds[order->kind]->finish != NULL) {
        kinds[order->kind]->finish(&draft, pointer, errors);
    }
}

/* ---- a submission ---------------------------------------------------------------------------- */

struct submission {
    struct job_order *order;
    bool has_kind;
};

#define SUBMISSION(reader) ((struct submission *)(reader)->out)

static void read_kind(const struct json_reader *reader, struct json_view value)
{
    struct submission *submission = SUBMISSION(reader);
    char name[JOB_WORD_BYTES];

    if (!job_read_word(reader, value, "a kind of job", name)) {
        return;
    }
    submission->has_kind = job_kind_find(name, &submission->order->kind);
    if (!submission->has_kind) {
        submission->order->kind = (enum job_kind)0;
        field_errors_add(reader->errors, 0, reader->pointer,
                         "there is no kind of job \"%.64s\"; there are " JOB_KIND_NAMES, name);
    } else if (kinds[submission->order->kind]->preset != NULL) {
        kinds[submission->order->kind]->preset(submission->order);
    }
}

static void read_space(const struct json_reader *reader, struct json_view value)
{
    SUBMISSION(reader)->order->space = msg_space_read(reader, value);
}

static void read_submitted_params(const struct json_reader *reader, struct json_view value)
{
    if (SUBMISSION(reader)->has_kind) {
        read_params(value, reader->pointer, SUBMISSION(reader)->order, reader->errors);
    }
}

static void read_priority(const struct json_reader *reader, struct json_view value)
{
    int64_t priority;

    if (json_read_whole(reader, value, -JOB_PRIORITY_MAX, JOB_PRIORITY_MAX, &priority)) {
        SUBMISSION(reader)->order->priority = (int)priority;
    }
}

static void read_deadline(const struct json_reader *reader, struct json_view value)
{
    (void)json_read_whole(reader, value, 1, DEADLINE_MAX_S, &SUBMISSION(reader)->order->deadline_s);
}

/* Where params are left out. */
static void read_no_params(struct submission *submission, struct field_errors *errors)
{
    static const char nothing[] = "{}";
    struct json_view empty;

    if (!submission->has_kind) {
        return;
    }
    if (kinds[submission->order->kind]->is_required) {
        field_errors_add(errors, 0, "/params", "params is missing");
    } else if (json_view_check(nothing, sizeof nothing - 1, &empty, NULL) == ERR_OK) {
        read_params(empty, "/params", submission->order, errors);
    }
}

/* The error of a reading that found something wrong. */
static enum err conclude(struct job_order *order, const struct field_errors *errors,
                         struct error *err)
{
    enum err rc = field_errors_conclude(errors, "the job", err);

    if (rc != ERR_OK) {
        job_order_close(order);
    }
    return rc;
}

static bool has_member(struct json_view object, const char *name)
{
    struct json_member member;
    char text[JOB_WORD_BYTES];

    for (bool more = json_view_first_member(object, &member); more;
         more = json_view_next_member(&member)) {
        if (json_view_text(member.name, text, sizeof text) && strcmp(text, name) == 0) {
            return true;
        }
    }
    return false;
}

enum err msg_job_decode(const char *bytes, size_t size, struct job_order *out,
                        struct field_errors *errors, struct error *err)
{
    /* clang-format off */
    static const struct json_field fields[] = {
        {"kind", true, read_kind},
        {"search_space", true, read_space},
        {"params", false, read_submitted_params},
        {"priority", false, read_priority},
        {"deadline_s", false, read_deadline},
    };
    /* clang-format on */
    struct submission submission = {.order = out};
    struct json_view body;
    enum err rc;

    memset(out, 0, sizeof *out);
    rc = json_view_check(bytes, size, &body, err);
    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read(body, FIELDS(fields), "", &submission, errors);
    if (json_view_kind(body) == JSON_KIND_OBJECT && !has_member(body, "params")) {
        read_no_params(&submission, errors);
    }
    return conclude(out, errors, err);
}

enum err msg_job_decode_params(enum job_kind kind, const struct space *space, const char *params,
                               struct job_order *out, struct error *err)
{
    struct field_errors errors = {0};
    struct json_view view;
    enum err rc;

    memset(out, 0, sizeof *out);
    out->kind = kind;
    out->space = space;
    if (kinds[kind]->preset != NULL) {
        kinds[kind]->preset(out);
    }
    rc = json_view_check(params, strlen(params), &view, err);
    if (rc == ERR_OK) {
        read_params(view, "/params", out, &errors);
        rc = conclude(out, &errors, err);
    }
    field_errors_close(&errors);
    return rc;
}
