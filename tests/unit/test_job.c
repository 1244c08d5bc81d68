/* proto/job.h: what is asked of a job, and what is told of it. */
#include "proto/job.h"
#include "tests/support/check.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"

static enum err decode(const char *body, struct job_order *order, struct field_errors *errors,
                       struct error *err)
{
    return msg_job_decode(body, strlen(body), order, errors, err);
}

/* The params of a body as they are written, which read back give the same again. */
static void check_params(const char *body, const char *expected)
{
    struct job_order order, again;
    struct field_errors errors = {0};
    struct error err;
    struct text text = {0};
    struct text second = {0};

    assert_ok(decode(body, &order, &errors, &err), &err);
    msg_job_put_params(&order, &text);
    assert_string_equal(text.bytes, expected);
    assert_ok(msg_job_decode_params(order.kind, order.space, text.bytes, &again, &err), &err);
    assert_int_equal(again.kind, order.kind);
    assert_ptr_equal(again.space, order.space);
    msg_job_put_params(&again, &second);
    assert_string_equal(second.bytes, expected);
    text_close(&text);
    text_close(&second);
    job_order_close(&order);
    job_order_close(&again);
    field_errors_close(&errors);
}

#define OF(kind, rest) \
    "{\"kind\":\"" kind "\",\"search_space\":\"nasbench201\",\"params\":{" rest "}}"

static void params_are_written_with_their_defaults_and_read_back(void **state)
{
    /* clang-format off */
    static const char *const cases[][2] = {
        {"{\"kind\":\"train\",\"search_space\":\"fbnetv3\"}",
         "{\"predictor\":\"cost\",\"seed\":0,\"activate\":false,\"force\":false}"},
        {OF("train", "\"lr\":0.30000000000000004"),
         "{\"predictor\":\"mlp\",\"epoch\":50000,\"lr\":0.30000000000000004,\"seed\":0,"
         "\"activate\":false,\"force\":false}"},
        {OF("train", "\"epoch\":1000000000,\"train_devices\":[\"S8+\",\"\\u00e9\"],"
                     "\"seed\":9223372036854775807,\"activate\":true,\"force\":true"),
         "{\"predictor\":\"mlp\",\"train_devices\":[\"S8+\",\"\u00e9\"],\"epoch\":1000000000,"
         "\"lr\":0.1,\"seed\":9223372036854775807,\"activate\":true,\"force\":true}"},
        {OF("train", "\"predictor\":\"mlp\",\"activate\":true"),
         "{\"predictor\":\"mlp\",\"epoch\":50000,\"lr\":0.1,\"seed\":0,\"activate\":true,"
         "\"force\":false}"},
        {"{\"kind\":\"test\",\"search_space\":\"nasbench201\"}", "{\"holdout\":false}"},
        {OF("test", "\"holdout\":true"), "{\"seed\":0,\"holdout\":true}"},
        {OF("test", "\"holdout\":\"devices\",\"seed\":4"), "{\"seed\":4,\"holdout\":\"devices\"}"},
        {OF("test", "\"calibrate\":20,\"seed\":4"),
         "{\"calibrate\":20,\"seed\":4,\"holdout\":false}"},
        {OF("train", "\"library\":true"), "{\"predictor\":\"cost\",\"seed\":0,\"activate\":false,"
                                        "\"force\":false,\"library\":true}"},
        {OF("train", "\"library\":false"),
         "{\"predictor\":\"cost\",\"seed\":0,\"activate\":false,\"force\":false}"},
        {OF("train", "\"library\":[\"a\",\"b\"],\"input\":\"1x3x32x32\",\"batch\":32,"
                     "\"runtime\":\"TFLite\""),
         "{\"predictor\":\"cost\",\"seed\":0,\"activate\":false,\"force\":false,"
         "\"library\":[\"a\",\"b\"],\"input\":\"1x3x32x32\",\"batch\":32,\"runtime\":\"TFLite\"}"},
        {OF("test", "\"holdout\":true,\"predictor\":\"mlp\",\"seed\":7,\"version\":\"cost-1\","
                    "\"test_devices\":[\"a\",\"b\"]"),
         "{\"test_devices\":[\"a\",\"b\"],\"version\":\"cost-1\",\"predictor\":\"mlp\","
         "\"seed\":7,\"holdout\":true}"},
        {OF("nas", "\"device\":\"Galaxy A9\",\"latency_constraint_ms\":40"),
         "{\"device\":\"Galaxy A9\",\"latency_constraint_ms\":40,\"objective\":\"accuracy\","
         "\"seed\":0,\"export\":[\"onnx\",\"torchscript\"]}"},
        {OF("nas", "\"hardware\":[2.0,3,1,7.4600000000000009],\"latency_constraint_ms\":1e-3,"
                   "\"seed\":1"),
         "{\"hardware\":{\"frequency_ghz\":2,\"dispatch_width\":3,\"cache_mb\":1,"
         "\"memory_bandwidth_gbs\":7.460000000000001},\"latency_constraint_ms\":0.001,"
         "\"objective\":\"accuracy\",\"seed\":1,\"export\":[\"onnx\",\"torchscript\"]}"},
        {OF("nas", "\"targets\":[{\"device\":\"a\",\"latency_constraint_ms\":1},"
                   "{\"hardware\":[2,3,1,7.5],\"latency_constraint_ms\":2}],"
                   "\"confidence\":0.9,\"macs_max\":1000,\"params_max\":20,\"version\":\"mlp\","
                   "\"export\":[\"torchscript\"],\"method\":\"exhaustive\""),
         "{\"targets\":[{\"device\":\"a\",\"latency_constraint_ms\":1},{\"hardware\":"
         "{\"frequency_ghz\":2,\"dispatch_width\":3,\"cache_mb\":1,\"memory_bandwidth_gbs\":7.5},"
         "\"latency_constraint_ms\":2}],\"objective\":\"accuracy\",\"method\":\"exhaustive\","
         "\"confidence\":0.9,\"macs_max\":1000,\"params_max\":20,\"version\":\"mlp\",\"seed\":0,"
         "\"export\":[\"torchscript\"]}"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"calibrate\":true"),
         "{\"device\":\"a\",\"latency_constraint_ms\":1,\"objective\":\"accuracy\",\"seed\":0,"
         "\"export\":[\"onnx\",\"torchscript\"],\"calibrate\":true}"},
        {OF("nas", "\"objective\":\"pareto\",\"measurements\":{\"architectures\":"
                   "[\"444244\",[1,1,1,1,1,2]],\"latency_ms\":[12.5,1e-3]}"),
         "{\"objective\":\"pareto\",\"seed\":0,\"export\":[\"onnx\",\"torchscript\"],"
         "\"measurements\":{\"architectures\":[\"444244\",\"111112\"],\"latency_ms\":[12.5,0.001]}}"},
        {OF("nas", "\"device\":\"a\",\"objective\":\"pareto\",\"mutation_rate\":0,\"export\":[]"),
         "{\"device\":\"a\",\"objective\":\"pareto\",\"method\":\"genetic\","
         "\"population_size\":50,\"generations\":40,\"crossover_rate\":2,\"mutation_rate\":0,"
         "\"seed\":0,\"export\":[]}"},
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        check_params(cases[i][0], cases[i][1]);
    }
}

static void an_order_has_its_space_priority_and_deadline(void **state)
{
    struct job_order order;
    struct field_errors errors = {0};
    struct error err;
    (void)state;
    assert_ok(decode("{\"kind\":\"train\",\"search_space\":\"fbnetv3\",\"priority\":-100,"
                     "\"deadline_s\":31536000}",
                     &order, &errors, &err),
              &err);
    assert_int_equal(order.kind, JOB_TRAIN);
    assert_ptr_equal(order.space, &space_fbnetv3);
    assert_int_equal(order.priority, -100);
    assert_int_equal(order.deadline_s, 31536000);
    assert_ptr_equal(order.params.train.predictor, &predictor_kind_cost);
    job_order_close(&order);
    field_errors_close(&errors);
}

struct wrong {
    const char *body, *pointer, *phrase;
};

/* Each body has one thing wrong. */
static void check_wrong(const struct wrong *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct job_order order;
        struct field_errors errors = {0};
        struct error err;
        assert_error(decode(cases[i].body, &order, &errors, &err), ERR_INVALID, &err,
                     cases[i].phrase);
        assert_int_equal(errors.n, 1);
        assert_string_equal(errors.items[0].pointer, cases[i].pointer);
        assert_contains(errors.items[0].detail, cases[i].phrase);
        field_errors_close(&errors);
        job_order_close(&order); /* nothing is left to end, and it may be done */
    }
}

static void what_is_wrong_with_an_order_is_told_with_its_pointer(void **state)
{
    /* clang-format off */
    static const struct wrong cases[] = {
        {"[]", "", "must be an object"},
        {"{\"search_space\":\"nasbench201\"}", "/kind", "kind is missing"},
        {"{\"kind\":\"test\"}", "/search_space", "search_space is missing"},
        {"{\"kind\":\"tset\",\"search_space\":\"nasbench201\"}", "/kind",
         "no kind of job \"tset\"; there are train, test, nas"},
        {"{\"kind\":\"test\\u0000\",\"search_space\":\"nasbench201\"}", "/kind", "no kind of job"},
        {"{\"kind\":5,\"search_space\":\"nasbench201\"}", "/kind", "a kind of job, not a number"},
        {"{\"kind\":\"test\",\"search_space\":\"x\"}", "/search_space", "no search space \"x\""},
        {"{\"kind\":\"nas\",\"search_space\":\"nasbench201\"}", "/params", "params is missing"},
        {"{\"kind\":\"test\",\"search_space\":\"nasbench201\",\"params\":null}", "/params",
         "must be an object, not null"},
        {"{\"kind\":\"test\",\"search_space\":\"nasbench201\",\"priority\":101}", "/priority",
         "from -100 to 100"},
        {"{\"kind\":\"test\",\"search_space\":\"nasbench201\",\"priority\":0.5}", "/priority",
         "whole number"},
        {"{\"kind\":\"test\",\"search_space\":\"nasbench201\",\"deadline_s\":0}", "/deadline_s",
         "from 1 to 31536000"},
        {"{\"kind\":\"test\",\"search_space\":\"nasbench201\",\"id\":1}", "/id", "not a field"},
    };
    /* clang-format on */
    (void)state;
    check_wrong(cases, COUNT_OF(cases));
}

static void what_is_wrong_with_a_training_is_told_with_its_pointer(void **state)
{
    /* clang-format off */
    static const struct wrong cases[] = {
        {OF("train", "\"epochs\":5"), "/params/epochs", "\"epochs\" is not a field here"},
        {OF("train", "\"epoch\":0"), "/params/epoch", "from 1 to 1000000000"},
        {OF("train", "\"epoch\":1e99"), "/params/epoch", "from 1 to 1000000000"},
        {OF("train", "\"epoch\":5,\"predictor\":\"cost\""), "/params/epoch", "means nothing to the predictor cost"},
        {OF("train", "\"lr\":5,\"predictor\":\"cost\""), "/params/lr", "it is for mlp"},
        {OF("train", "\"lr\":0"), "/params/lr", "a positive number"},
        {OF("train", "\"lr\":1e999"), "/params/lr", "a positive number"},
        {OF("train", "\"lr\":\"1\""), "/params/lr", "a positive number"},
        {OF("train", "\"predictor\":\"linear\""), "/params/predictor", "there are cost, mlp"},
        {OF("train", "\"predictor\":null"), "/params/predictor", "a kind of predictor, not null"},
        {OF("train", "\"seed\":9223372036854775808"), "/params/seed", "from 0 to 9223372036854775807"},
        {OF("train", "\"seed\":-1"), "/params/seed", "from 0 to 9223372036854775807"},
        {OF("train", "\"seed\":1e30"), "/params/seed", "whole number"},
        {OF("train", "\"activate\":1"), "/params/activate", "true or false, not a number"},
        {OF("train", "\"force\":true"), "/params/force", "without \"activate\": true"},
        {OF("train", "\"train_devices\":[]"), "/params/train_devices", "1 to 256"},
        {OF("train", "\"train_devices\":\"a\""), "/params/train_devices", "a list"},
        {OF("train", "\"train_devices\":[\"a\",7]"), "/params/train_devices/1", "a device's name"},
        {OF("train", "\"train_devices\":[\"../a\"]"), "/params/train_devices/0", "device"},
        {OF("train", "\"train_devices\":[\"Oppo 1\",\"b\",\"oppo  l\"]"), "/params/train_devices/2",
         "\"oppo  l\" is named twice"},
        {OF("train", "\"library\":[]"), "/params/library", "1 to 64 device names"},
        {OF("train", "\"library\":\"all\""), "/params/library", "true or false"},
        {OF("train", "\"library\":[\"a\",\"../b\"]"), "/params/library/1", "device name"},
        {OF("train", "\"library\":[\"a\",\"A\"]"), "/params/library/1", "named twice"},
        {OF("train", "\"input\":\"\""), "/params/input", "1 to 63 bytes"},
        {OF("train", "\"input\":7"), "/params/input", "1 to 63 bytes"},
        {OF("train", "\"batch\":0"), "/params/batch", "from 1 to 65536"},
        {OF("train", "\"runtime\":\"a\\u0007\""), "/params/runtime", "control characters"},
    };
    /* clang-format on */
    (void)state;
    check_wrong(cases, COUNT_OF(cases));
}

static void what_is_wrong_with_a_test_is_told_with_its_pointer(void **state)
{
    /* clang-format off */
    static const struct wrong cases[] = {
        {OF("test", "\"test_devices\":[\"a\",\"a\"]"), "/params/test_devices/1", "named twice"},
        {OF("test", "\"holdout\":\"rows\""), "/params/holdout", "true or false, or \"devices\""},
        {OF("test", "\"test_devices\":[\"a\"],\"holdout\":\"devices\""), "/params/holdout",
         "test_devices has no part"},
        {OF("test", "\"holdout\":\"devices\",\"calibrate\":5"), "/params/calibrate", "no part"},
        {OF("test", "\"holdout\":\"devices\",\"predictor\":\"cost\""), "/params/predictor",
         "without \"holdout\": true"},
        {OF("test", "\"calibrate\":0"), "/params/calibrate", "from 1 to 10000"},
        {OF("test", "\"calibrate\":10001"), "/params/calibrate", "from 1 to 10000"},
        {OF("test", "\"holdout\":null"), "/params/holdout", "true or false"},
        {OF("test", "\"version\":\"../x\""), "/params/version", "model's name"},
        {OF("test", "\"predictor\":\"cost\""), "/params/predictor", "without \"holdout\": true"},
        {OF("test", "\"seed\":0"), "/params/seed",
         "without \"holdout\": true, \"devices\", or calibrate"},
    };
    /* clang-format on */
    (void)state;
    check_wrong(cases, COUNT_OF(cases));
}

static void what_is_wrong_with_a_search_is_told_with_its_pointer(void **state)
{
    /* clang-format off */
    static const struct wrong cases[] = {
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"calibrate\":1"), "/params/calibrate",
         "true or false"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"calibrate\":true,\"measurements\":"
                   "{\"architectures\":[\"444244\"],\"latency_ms\":[1]}"),
         "/params/calibrate", "give it or measurements"},
        {OF("nas", "\"targets\":[{\"device\":\"a\",\"latency_constraint_ms\":1},{\"device\":\"b\","
                   "\"latency_constraint_ms\":1}],\"measurements\":{\"architectures\":[\"444244\"],"
                   "\"latency_ms\":[1]}"),
         "/params/measurements", "a single target"},
        {OF("nas", "\"latency_constraint_ms\":1,\"measurements\":{\"architectures\":[\"444249\"],"
                   "\"latency_ms\":[1]}"),
         "/params/measurements/architectures/0", "gene 6"},
        {OF("nas", "\"latency_constraint_ms\":1,\"measurements\":{\"architectures\":[\"444244\"],"
                   "\"latency_ms\":[-1]}"),
         "/params/measurements/latency_ms/0", "positive"},
        {OF("nas", "\"latency_constraint_ms\":1"), "/params", "device is missing"},
        {OF("nas", "\"device\":\"a\""), "/params/latency_constraint_ms", "missing"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":-1"),
         "/params/latency_constraint_ms", "a positive number"},
        {OF("nas", "\"device\":\"a\",\"hardware\":[1,1,1,1],\"latency_constraint_ms\":1"),
         "/params", "only one"},
        {OF("nas", "\"hardware\":[1,1,1],\"latency_constraint_ms\":1"), "/params/hardware",
         "4 numbers"},
        {OF("nas", "\"hardware\":[1,-1,1,1],\"latency_constraint_ms\":1"), "/params/hardware/1",
         "dispatch_width"},
        {OF("nas", "\"targets\":[]"), "/params/targets", "a list of 1 to 16 targets"},
        {OF("nas", "\"targets\":[{\"latency_constraint_ms\":1}]"), "/params/targets/0",
         "device is missing"},
        {OF("nas", "\"targets\":[{\"device\":\"a\"}]"),
         "/params/targets/0/latency_constraint_ms", "missing"},
        {OF("nas", "\"targets\":[{\"device\":\"a\",\"latency_constraint_ms\":1}],"
                   "\"latency_constraint_ms\":1"),
         "/params/targets", "give it alone"},
        {OF("nas", "\"targets\":[{\"device\":\"a\",\"latency_constraint_ms\":1},"
                   "{\"device\":\"b\",\"latency_constraint_ms\":1}],\"objective\":\"pareto\""),
         "/params/targets", "a front is of one device"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"objective\":\"speed\""),
         "/params/objective", "must be accuracy or pareto, not \"speed\""},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"method\":\"\""),
         "/params/method", "must be exhaustive or genetic"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"confidence\":1"),
         "/params/confidence", "at most 0.9999"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"mutation_rate\":1.5"),
         "/params/mutation_rate", "from 0 to 1"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"population_size\":0"),
         "/params/population_size", "from 1 to 10000"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"population_size\":10000,"
                   "\"generations\":101"),
         "/params/generations", "1000000 evaluations"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"generations\":5,"
                   "\"method\":\"exhaustive\""),
         "/params/generations", "means nothing to the exhaustive method"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"macs_max\":0.5"),
         "/params/macs_max", "whole number"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"export\":[\"onnx\",\"onnx\"]"),
         "/params/export/1", "onnx is named twice"},
        {OF("nas", "\"device\":\"a\",\"latency_constraint_ms\":1,\"export\":\"onnx\""),
         "/params/export", "a list of formats"},
    };
    /* clang-format on */
    (void)state;
    check_wrong(cases, COUNT_OF(cases));
}

static void all_that_is_wrong_is_told_at_once(void **state)
{
    static const char *const pointers[] = {
        "/n", "/search_space", "/params/p", "/params/train_devices/0", "/params/seed", "/priority",
    };
    struct job_order order;
    struct field_errors errors = {0};
    struct error err;
    (void)state;
    assert_error(decode("{\"kind\":\"train\",\"search_space\":\"x\",\"priority\":1e9,\"n\":1,"
                        "\"params\":{\"seed\":1.5,\"p\":0,\"train_devices\":[\"\"]}}",
                        &order, &errors, &err),
                 ERR_INVALID, &err, "/n");
    assert_int_equal(errors.n, COUNT_OF(pointers));
    for (size_t i = 0; i < errors.n; i++) {
        assert_string_equal(errors.items[i].pointer, pointers[i]);
    }
    field_errors_close(&errors);
}

static void what_is_no_json_is_a_syntax_error(void **state)
{
    struct job_order order;
    struct field_errors errors = {0};
    struct error err;
    (void)state;
    assert_error(decode("{\"kind\":", &order, &errors, &err), ERR_SYNTAX, &err, "line 1");
    assert_int_equal(errors.n, 0);
    assert_error(msg_job_decode_params(JOB_NAS, &space_nasbench201, "{", &order, &err), ERR_SYNTAX,
                 &err, "line 1");
    assert_error(msg_job_decode_params(JOB_NAS, &space_nasbench201, "{}", &order, &err),
                 ERR_INVALID, &err, "/params: device is missing");
}

static enum err decode_in_full(void *context, struct error *err)
{
    struct job_order order;
    struct field_errors errors = {0};
    enum err rc = decode(context, &order, &errors, err);

    field_errors_close(&errors);
    job_order_close(&order);
    return rc;
}

static void reading_survives_lack_of_memory(void **state)
{
    (void)state;
    fail_each_allocation(decode_in_full,
                         (char *)OF("train", "\"train_devices\":[\"a\",\"b\",\"c\"]"));
}

static void names_are_found_again(void **state)
{
    enum job_kind kind;
    enum job_state job_state;
    (void)state;
    for (int i = 0; i < JOB_N_KINDS; i++) {
        assert_true(job_kind_find(job_kind_name((enum job_kind)i), &kind));
        assert_contains(JOB_KIND_NAMES, job_kind_name((enum job_kind)i));
        assert_int_equal(kind, i);
    }
    for (int i = 0; i < JOB_N_STATES; i++) {
        assert_true(job_state_find(job_state_name((enum job_state)i), &job_state));
        assert_contains(JOB_STATE_NAMES, job_state_name((enum job_state)i));
        assert_int_equal(job_state, i);
        assert_int_equal(job_has_ended((enum job_state)i), i >= JOB_SUCCEEDED);
    }
    assert_false(job_kind_find("", &kind));
    assert_false(job_kind_find("Train", &kind));
    assert_false(job_state_find("canceled", &job_state));
}

static void an_id_has_the_form_of_a_uuid(void **state)
{
    static const char *const bad[] = {
        "",
        "01890a5d-ac96-774b-bcce-b302099a805",
        ID "0",
        "01890a5d-ac96-774bb-cce-b302099a8057",
        "01890A5d-ac96-774b-bcce-b302099a8057",
        "01890a5d/ac96-774b-bcce-b302099a8057",
        "../../../../../../../../../../../etc",
    };
    (void)state;
    assert_true(job_id_is_valid(ID));
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(job_id_is_valid(bad[i]));
    }
}

static void progress_leaves_out_what_is_not_known(void **state)
{
    /* clang-format off */
    static const struct {
        struct job_progress progress;
        const char *expected;
    } cases[] = {
        {{.percent = NAN, .loss = NAN, .seconds_left = NAN},        "{}"                                      },
        {{.percent = 0, .loss = 3, .seconds_left = NAN},            "{\"percent\":0.0}"                         },
        {{.percent = 42.06, .stage = "training", .epoch = 3,
          .n_epochs = 9, .loss = 0.0123456789123, .seconds_left = 12.34},
         "{\"percent\":42.1,\"stage\":\"training\",\"epoch\":3,\"n_epochs\":9,"
         "\"loss\":0.01234568,\"seconds_left\":12.3}"                                               },
        {{.percent = NAN, .epoch = 1, .n_epochs = 2, .loss = 0.5, .seconds_left = 1},
         "{\"epoch\":1,\"n_epochs\":2,\"loss\":0.5,\"seconds_left\":1.0}"},
        {{.percent = NAN, .stage = "loading", .loss = INFINITY, .n_epochs = 2, .seconds_left = 0},
         "{\"stage\":\"loading\",\"epoch\":0,\"n_epochs\":2,\"seconds_left\":0.0}"                      },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct text text = {0};
        msg_job_put_progress(&cases[i].progress, &text);
        assert_string_equal(text.bytes, cases[i].expected);
        text_close(&text);
    }
}

static void a_job_is_written_with_all_its_members(void **state)
{
    const struct job queued = {.id = ID,
                               .kind = JOB_NAS,
                               .space = "nasbench201",
                               .submitted_ms = 1709210096007,
                               .params = (char *)"{\"seed\":0}"};
    const struct job failed = {.id = ID,
                               .kind = JOB_TRAIN,
                               .space = "fbnetv3",
                               .state = JOB_FAILED,
                               .priority = -3,
                               .attempt = 2,
                               .is_cancel_requested = true,
                               .submitted_ms = 1709210096007,
                               .started_ms = 1709210097000,
                               .ended_ms = 1709210098999,
                               .deadline_ms = 1709210099000,
                               .params = (char *)"{}",
                               .progress = (char *)"{\"percent\":1}",
                               .result = (char *)"[1]",
                               .error = (char *)"no \"room\""};
    struct text text = {0};
    (void)state;
    msg_job_put(&queued, &text);
    assert_string_equal(
        text.bytes,
        "{\"id\":\"" ID "\",\"kind\":\"nas\",\"search_space\":\"nasbench201\",\"state\":\"queued\","
        "\"attempt\":0,\"priority\":0,\"cancel_requested\":false,\"progress\":null,"
        "\"submitted_at\":\"2024-02-29T12:34:56.007Z\",\"started_at\":null,\"ended_at\":null,"
        "\"deadline_at\":null,\"params\":{\"seed\":0},\"result\":null,\"error\":null}");
    text_close(&text);
    msg_job_put(&failed, &text);
    assert_string_equal(
        text.bytes,
        "{\"id\":\"" ID "\",\"kind\":\"train\",\"search_space\":\"fbnetv3\",\"state\":\"failed\","
        "\"attempt\":2,\"priority\":-3,\"cancel_requested\":true,\"progress\":{\"percent\":1},"
        "\"submitted_at\":\"2024-02-29T12:34:56.007Z\",\"started_at\":\"2024-02-29T12:34:57.000Z\","
        "\"ended_at\":\"2024-02-29T12:34:58.999Z\",\"deadline_at\":\"2024-02-29T12:34:59.000Z\","
        "\"params\":{},\"result\":[1],\"error\":\"no \\\"room\\\"\"}");
    text_close(&text);
}

static enum err copy_and_close(void *context, struct error *err)
{
    struct job copy;
    enum err rc = job_copy(context, &copy, err);

    if (rc == ERR_OK) {
        assert_string_equal(copy.result, "{}");
        assert_null(copy.error);
        assert_int_equal(copy.seq, 4);
        job_close(&copy);
    }
    return rc;
}

static void a_copy_owns_its_texts(void **state)
{
    struct job job = {
        .seq = 4, .params = (char *)"{}", .progress = (char *)"{}", .result = (char *)"{}"};
    (void)state;
    fail_each_allocation(copy_and_close, &job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(params_are_written_with_their_defaults_and_read_back),
        counted_test(an_order_has_its_space_priority_and_deadline),
        counted_test(what_is_wrong_with_an_order_is_told_with_its_pointer),
        counted_test(what_is_wrong_with_a_training_is_told_with_its_pointer),
        counted_test(what_is_wrong_with_a_test_is_told_with_its_pointer),
        counted_test(what_is_wrong_with_a_search_is_told_with_its_pointer),
        counted_test(all_that_is_wrong_is_told_at_once),
        counted_test(what_is_no_json_is_a_syntax_error),
        counted_test(reading_survives_lack_of_memory),
        counted_test(names_are_found_again),
        counted_test(an_id_has_the_form_of_a_uuid),
        counted_test(progress_leaves_out_what_is_not_known),
        counted_test(a_job_is_written_with_all_its_members),
        counted_test(a_copy_owns_its_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
