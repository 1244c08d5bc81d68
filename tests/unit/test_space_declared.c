/* core/space_declared.h: search spaces that are declared while others are in use. */
#include <pthread.h>
#include <stdatomic.h>

#include "core/dataset.h"
#include "core/metrics.h"
#include "core/predictor.h"
#include "core/rng.h"
#include "core/space_declared.h"
#include "proto/model_file.h"
#include "proto/msg_space_declaration.h"
#include "tests/support/check.h"

/* Spaces are never freed, so these tests do not count blocks. */
static const struct space *declare(const char *name, const char *text)
{
    struct space_declaration *d = NULL;
    struct field_errors errors = {0};
    const struct space *space = NULL;
    struct error err = {0};

    assert_ok(msg_space_declaration_decode(text, strlen(text), name, &d, &errors, &err), &err);
    assert_ok(space_declare(d, &space, &err), &err);
    mem_free(d);
    return space;
}

static size_t count_built_in(void)
{
    size_t n = 0;

    while (built_in_spaces[n] != NULL) {
        n++;
    }
    return n;
}

static const char small[] =
    "{\"genes\":[{\"name\":\"a\",\"values\":[2,3,5,7],\"macs\":[4,9,25,49],\"params\":[1,1,2,3]},"
    "{\"name\":\"b\",\"first\":0,\"step\":3,\"n_values\":4,\"traffic_bytes\":[1,2,3,4]}],"
    "\"fixed\":{\"macs\":100,\"traffic_bytes\":10}}";

static void a_declared_space_is_a_space(void **state)
{
    const struct space *space = declare("small", small);
    static const int32_t genes[] = {5, 9};
    int32_t read[2];
    char text[SPACE_TEXT_BYTES];
    struct error err = {0};
    size_t bad_gene = 0;
    (void)state;
    assert_ptr_equal(space_find("small"), space);
    assert_true(space->slot >= 2 && space->slot < SPACE_N_SLOTS);
    assert_int_equal(space->n_architectures, 16);
    assert_null(space->genes[1].values);
    assert_int_equal(space->genes[1].step, 3);
    space_print(space, genes, text);
    assert_string_equal(text, "59");
    assert_ok(space_parse(space, "[5, 9]", 6, read, NULL, &err), &err);
    assert_memory_equal(read, genes, sizeof genes);
    assert_error(space_parse(space, "49", 2, read, &bad_gene, &err), ERR_INVALID, &err,
                 "gene 1 of small must be 2, 3, 5 or 7, not 4 (it is the a)");
    for (size_t rank = 0; rank < 16; rank++) {
        space_unrank(space, rank, read);
        assert_ok(space_validate(space, read, NULL, &err), &err);
        assert_int_equal(space_rank(space, read), rank);
    }
    space_withdraw(space);
    assert_null(space_find("small"));
    assert_int_equal(space->n_genes, 2); /* who has it has it still */
}

static void costs_are_the_sums_of_the_tables(void **state)
{
    const struct space *space = declare("small", small);
    const struct space *bare = declare("bare", "{\"genes\":[{\"name\":\"a\",\"values\":[1,2]}]}");
    static const int32_t genes[] = {7, 3};
    static const int32_t wrong[] = {7, 2};
    struct cost cost;
    struct error err = {0};
    (void)state;
    assert_ok(space_count(space, genes, &cost, &err), &err);
    assert_int_equal(cost_total_macs(&cost), 149);
    assert_int_equal(cost_total_traffic_bytes(&cost), 12);
    assert_int_equal(cost.params, 3);
    assert_error(space_count(space, wrong, &cost, &err), ERR_INVALID, &err, "gene 2 of small");
    assert_error(space_count(bare, wrong + 1, &cost, &err), ERR_INVALID, &err,
                 "declared without costs");
    space_withdraw(space);
    space_withdraw(bare);
}

static void names_are_safe_and_not_taken(void **state)
{
    static const struct {
        const char *name, *phrase;
    } rows[] = {
        {"",                                  "1 to 32 characters"     },
        {"Own",                               "1 to 32 characters"     },
        {"../own",                            "1 to 32 characters"     },
        {"own/x",                             "1 to 32 characters"     },
        {".own",                              "1 to 32 characters"     },
        {"-own",                              "begins with a letter"   },
        {"_own",                              "begins with a letter"   },
        {"own.json",                          "1 to 32 characters"     },
        {"\xc3\xb6wn",                        "1 to 32 characters"     },
        {"own\n",                             "1 to 32 characters"     },
        {"abcdefghijklmnopqrstuvwxyz0123456", "1 to 32 characters"     },
        {"nasbench201",                       "nasbench201 is built in"},
        {"fbnetv3",                           "fbnetv3 is built in"    },
        {"devices",                           "cannot be called"       },
        {"stats",                             "cannot be called"       },
    };
    struct error err = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_error(space_name_validate(rows[i].name, &err), ERR_INVALID, &err, rows[i].phrase);
    }
    assert_ok(space_name_validate("own-space_2", &err), &err);
    assert_ok(space_name_validate("0", &err), &err);
    assert_ok(space_name_validate("abcdefghijklmnopqrstuvwxyz012345", &err), &err);
}

static void lists_name_the_built_in_spaces_first_and_then_go_by_name(void **state)
{
    const struct space *b = declare("b", "{\"genes\":[{\"name\":\"x\",\"values\":[1]}]}");
    const struct space *a = declare("a", "{\"genes\":[{\"name\":\"x\",\"values\":[1]}]}");
    const size_t n_built_in = count_built_in();
    struct space_list list;
    const char *names;
    (void)state;
    space_list_get(&list);
    assert_int_equal(list.n, n_built_in + 2);
    assert_memory_equal(list.items, built_in_spaces, n_built_in * sizeof *list.items);
    assert_ptr_equal(list.items[n_built_in], a);
    assert_ptr_equal(list.items[n_built_in + 1], b);
    names = space_names();
    assert_int_equal(strncmp(names, "nasbench201, fbnetv3, ", 22), 0);
    assert_string_equal(names + strlen(names) - 6, ", a, b");
    space_withdraw(a);
    space_withdraw(b);
    assert_null(strstr(space_names(), ", a"));
}

static void the_same_words_are_the_same_space(void **state)
{
    static const char other[] = "{\"genes\":[{\"name\":\"a\",\"values\":[1,2,3]}]}";
    const struct space *first = declare("twice", small);
    const struct space *second = declare("twice", other);
    long n_blocks;
    (void)state;
    assert_ptr_not_equal(first, second);
    assert_int_not_equal(first->slot, second->slot);
    assert_ptr_equal(space_find("twice"), second);
    assert_int_equal(first->n_genes, 2);
    n_blocks = mem_live_blocks();
    for (int i = 0; i < 1000; i++) {
        assert_ptr_equal(declare("twice", small), first);
        assert_ptr_equal(declare("twice", other), second);
    }
    assert_int_equal(mem_live_blocks(), n_blocks);
    space_withdraw(second);
}

/* 22 layers of nine and more: what does not fit column by column becomes numbers. */
static void features_fit_whatever_is_declared(void **state)
{
    static const struct {
        const char *text;
        size_t n_features, n_groups;
    } rows[] = {
        {"{\"genes\":[{\"name\":\"l\",\"first\":1,\"n_values\":9,\"repeat\":22}]}",   198,          1},
        {"{\"genes\":[{\"name\":\"l\",\"first\":1,\"n_values\":2,\"repeat\":64}]}",   64,           1},
        {"{\"genes\":[{\"name\":\"l\",\"first\":1,\"n_values\":1,\"repeat\":64}]}",   0,            0},
        {"{\"genes\":[{\"name\":\"l\",\"first\":1,\"n_values\":64,\"repeat\":64}]}",  500,          2},
        {"{\"genes\":[{\"name\":\"l\",\"first\":1,\"n_values\":256,\"repeat\":16}]}", 256 + 15 * 2,
         2                                                                                           },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct space *space = declare("wide", rows[i].text);
        double features[SPACE_MAX_FEATURES];
        int32_t genes[SPACE_MAX_GENES];
        double nominal = NAN;
        size_t n = 0;
        for (size_t g = 0; g < space->n_genes; g++) {
            genes[g] = gene_value(&space->genes[g], space->genes[g].n_values / 2);
        }
        for (size_t g = 0; g < SPACE_MAX_FEATURES; g++) {
            features[g] = NAN;
        }
        space->features->compute(space, genes, &nominal, features);
        for (size_t g = 0; g < space->features->n_groups; g++) {
            n += space->features->group_sizes[g];
        }
        assert_int_equal(n, space->features->n_features);
        assert_int_equal(n, rows[i].n_features);
        assert_int_equal(space->features->n_groups, rows[i].n_groups);
        assert_true(nominal == 0.0);
        for (size_t f = 0; f < SPACE_MAX_FEATURES; f++) {
            assert_int_equal(isfinite(features[f]), f < n);
        }
    }
    space_withdraw(space_find("wide"));
}

/* ---- predictors ------------------------------------------------------------------------------ */

enum { N_ROWS = 600, N_LAYERS = 10 };

/* Latencies that add up layer by layer, as real ones nearly do. */
static void make_rows(const struct space *space, int32_t *genes, double *a)
{
    struct rng rng;

    rng_init(&rng, 3);
    for (size_t i = 0; i < N_ROWS; i++) {
        a[i] = 500.0;
        for (size_t g = 0; g < N_LAYERS; g++) {
            const size_t v = rng_below(&rng, 9);
            genes[i * N_LAYERS + g] = gene_value(&space->genes[g], (int32_t)v);
            a[i] += 20.0 * (double)((v * (g + 3)) % 7);
        }
    }
}

static const char layers[] =
    "{\"genes\":[{\"name\":\"layer\",\"values\":[1,2,3,5,8,13,21,34,55],\"repeat\":10}]}";

static void a_predictor_learns_a_declared_space_and_survives_its_file(void **state)
{
    const struct space *space = declare("layers", layers);
    static int32_t genes[N_ROWS * N_LAYERS];
    static double a[N_ROWS];
    static double predicted[N_ROWS];
    struct fit_options options = {0};
    struct model model = {0};
    struct model back = {0};
    struct model other = {0};
    struct metrics m;
    struct error err = {0};
    char *bytes = NULL;
    size_t size = 0;
    long n_blocks = mem_live_blocks();
    (void)state;
    make_rows(space, genes, a);
    assert_ok(predictor_fit(&predictor_kind_cost, space, genes, a, N_ROWS / 2, &options,
                            &model.predictor, NULL, &err),
              &err);
    assert_ok(predictor_predict(model.predictor, genes, N_ROWS, predicted, NULL, &err), &err);
    assert_ok(metrics_compute(predicted + N_ROWS / 2, a + N_ROWS / 2, N_ROWS / 2, &m, &err), &err);
    assert_at_least(m.r, 0.99); /* 0.998 */
    (void)snprintf(model.info.source, sizeof model.info.source, "latency");
    (void)snprintf(model.info.validation, sizeof model.info.validation, "none");
    memset(model.info.data_sha256, 'a', sizeof model.info.data_sha256 - 1);
    model_version(model.predictor, model.info.version);
    assert_ok(model_encode(&model, &bytes, &size, &err), &err);
    assert_ok(model_decode(bytes, size, space, &back, &err), &err);
    space = declare("layers", "{\"about\":\"in other words\",\"genes\":[{\"name\":\"block\","
                              "\"values\":[1,2,3,5,8,13,21,34,55],\"repeat\":10}]}");
    model_close(&back);
    assert_ok(model_decode(bytes, size, space, &back, &err), &err);
    space = declare("layers", "{\"genes\":[{\"name\":\"layer\",\"values\":[1,2,3,5,8,13,21,34,56],"
                              "\"repeat\":10}]}");
    assert_error(model_decode(bytes, size, space, &other, &err), ERR_INVALID, &err,
                 "declared with other genes or costs");
    space_withdraw(space);
    mem_free(bytes);
    model_close(&back);
    model_close(&model);
    assert_int_equal(mem_live_blocks(), n_blocks + 2); /* the two further declarations */
}

/* Nobody knows the hardware of the second device; it tells of the architectures all the same. */
static void a_device_without_a_sheet_counts_but_for_its_level(void **state)
{
    static const double latency_ms[2 * 4] = {10, 20, 40, 80, 700, 1400, 2800, 5600};
    static const double factors[] = {0.5, NAN};
    double a[4];
    struct error err = {0};
    (void)state;
    assert_ok(dataset_fit_parameter(latency_ms, factors, 2, 4, a, &err), &err);
    for (size_t i = 0; i < 4; i++) {
        assert_near_relative(a[i], latency_ms[i] / 0.5, 1e-9);
    }
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { N_READERS = 3, N_CHANGES = IS_SANITIZED ? 2000 : 20000 };

static atomic_bool is_over;

/* Looks spaces up and works on them, as requests do, while they come, go and change. */
static void *look(void *context)
{
    size_t *n_seen = context;

    while (!atomic_load(&is_over)) {
        const struct space *space = space_find("moving");
        struct space_list list;
        space_list_get(&list);
        for (size_t i = 0; i < list.n; i++) {
            if (strchr(space_names(), ',') == NULL || list.items[i]->n_genes == 0) {
                return NULL;
            }
        }
        if (space != NULL) {
            double features[SPACE_MAX_FEATURES];
            int32_t genes[SPACE_MAX_GENES];
            double nominal;
            space_unrank(space, space->n_architectures - 1, genes);
            space->features->compute(space, genes, &nominal, features);
            (*n_seen)++;
        }
    }
    return NULL;
}

static void spaces_come_and_go_while_others_look(void **state)
{
    static const char *const texts[] = {
        "{\"genes\":[{\"name\":\"a\",\"values\":[1,2,3]}]}",
        "{\"genes\":[{\"name\":\"a\",\"values\":[1,2,4]},{\"name\":\"b\",\"values\":[0,9]}]}",
        "{\"genes\":[{\"name\":\"c\",\"first\":7,\"n_values\":256}]}",
    };
    pthread_t readers[N_READERS];
    size_t n_seen[N_READERS] = {0};
    (void)state;
    (void)declare("moving", texts[0]);
    for (size_t i = 0; i < N_READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, look, &n_seen[i]), 0);
    }
    for (size_t i = 0; i < N_CHANGES; i++) {
        const struct space *space = declare("moving", texts[i % COUNT_OF(texts)]);
        if (i % 5 == 0) {
            space_withdraw(space);
        }
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < N_READERS; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
        assert_true(n_seen[i] > 0);
    }
    space_withdraw(declare("moving", texts[0]));
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void there_is_a_bound_on_spaces_at_a_time(void **state)
{
    static const char text[] = "{\"genes\":[{\"name\":\"a\",\"values\":[1,2]}]}";
    struct space_declaration *d = NULL;
    struct field_errors errors = {0};
    const struct space *space = NULL;
    const struct space *held[SPACES_MAX];
    const size_t n_held = SPACES_MAX - count_built_in();
    struct error err = {0};
    char name[8];
    (void)state;
    for (size_t i = 0; i < n_held; i++) {
        (void)snprintf(name, sizeof name, "s%zu", i);
        held[i] = declare(name, text);
    }
    assert_ok(msg_space_declaration_decode(text, strlen(text), "more", &d, &errors, &err), &err);
    assert_error(space_declare(d, &space, &err), ERR_LIMIT, &err, "there are 16 search spaces");
    assert_null(space_find("more"));
    assert_ptr_equal(declare("s3", text), held[3]); /* what is there may be declared again */
    space_withdraw(held[5]);
    assert_ok(space_declare(d, &space, &err), &err);
    assert_ptr_equal(space_find("more"), space);
    space_withdraw(space);
    for (size_t i = 0; i < n_held; i++) {
        space_withdraw(held[i]);
    }
    mem_free(d);
}

/* The last test: it takes every slot that is left. */
static void there_is_a_bound_on_changes_in_a_process(void **state)
{
    struct space_declaration *d = NULL;
    struct field_errors errors = {0};
    const struct space *space = NULL;
    const struct space *last = NULL;
    struct error err = {0};
    enum err rc = ERR_OK;
    char phrase[64];
    (void)state;
    for (int i = 0; rc == ERR_OK; i++) {
        char text[96];
        assert_true(i < SPACE_N_SLOTS);
        (void)snprintf(text, sizeof text, "{\"genes\":[{\"name\":\"a\",\"values\":[1,%d]}]}",
                       i + 9);
        mem_free(d);
        last = space;
        assert_ok(msg_space_declaration_decode(text, strlen(text), "own", &d, &errors, &err), &err);
        rc = space_declare(d, &space, &err);
    }
    (void)snprintf(phrase, sizeof phrase, "%zu times since the program was started",
                   SPACE_N_SLOTS - count_built_in());
    assert_error(rc, ERR_LIMIT, &err, phrase);
    assert_ptr_equal(space_find("own"), space); /* what was declared stays */
    assert_ok(space_declare(last->declaration, &space, &err), &err);
    assert_ptr_equal(space, last);
    mem_free(d);
    space_withdraw(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_declared_space_is_a_space),
        cmocka_unit_test(costs_are_the_sums_of_the_tables),
        cmocka_unit_test(names_are_safe_and_not_taken),
        cmocka_unit_test(lists_name_the_built_in_spaces_first_and_then_go_by_name),
        cmocka_unit_test(the_same_words_are_the_same_space),
        cmocka_unit_test(features_fit_whatever_is_declared),
        cmocka_unit_test(a_predictor_learns_a_declared_space_and_survives_its_file),
        cmocka_unit_test(a_device_without_a_sheet_counts_but_for_its_level),
        cmocka_unit_test(spaces_come_and_go_while_others_look),
        cmocka_unit_test(there_is_a_bound_on_spaces_at_a_time),
        cmocka_unit_test(there_is_a_bound_on_changes_in_a_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
