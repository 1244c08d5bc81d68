/* proto/msg_space_declaration.h: search spaces that are declared as JSON. */
#include "proto/msg_space_declaration.h"
#include "tests/support/check.h"

static const char whole[] =
    "{\"name\":\"own\",\"about\":\"a space of one's own\",\"input\":\"1x3x32x32\",\"batch\":4,"
    "\"genes\":[{\"name\":\"stem\",\"values\":[16,24,40],\"macs\":[10,20,30],\"params\":[1,2,3]},"
    "{\"name\":\"layer\",\"first\":1,\"step\":2,\"n_values\":4,\"repeat\":3,"
    "\"macs\":[0,5,6,1000000000000000]}],"
    "\"fixed\":{\"macs\":7,\"params\":0}}";

static enum err decode_n(const char *text, size_t size, struct space_declaration **out,
                         struct error *err)
{
    struct field_errors errors = {0};
    enum err rc = msg_space_declaration_decode(text, size, "own", out, &errors, err);

    assert_true(errors.n <= 32);
    field_errors_close(&errors);
    return rc;
}

static enum err decode(const char *text, struct space_declaration **out, struct error *err)
{
    return decode_n(text, strlen(text), out, err);
}

static void a_declaration_is_read_with_all_its_fields(void **state)
{
    static const int32_t layer[] = {1, 3, 5, 7};
    struct space_declaration *d = NULL;
    struct error err = {0};
    (void)state;
    assert_ok(decode(whole, &d, &err), &err);
    assert_string_equal(d->name, "own");
    assert_string_equal(d->about, "a space of one's own");
    assert_string_equal(d->input, "1x3x32x32");
    assert_int_equal(d->batch, 4);
    assert_int_equal(d->n_genes, 4);
    assert_int_equal(d->n_values, 3 + 3 * 4);
    assert_string_equal(d->genes[0].name, "stem");
    assert_string_equal(d->genes[1].name, "layer 1");
    assert_string_equal(d->genes[3].name, "layer 3");
    assert_int_equal(d->genes[3].first_value, 11);
    assert_memory_equal(d->values + 11, layer, sizeof layer);
    assert_true(d->has_table[SPACE_MACS] && d->has_table[SPACE_PARAMS]);
    assert_false(d->has_table[SPACE_TRAFFIC_BYTES] || d->genes[1].has_table[SPACE_PARAMS]);
    assert_int_equal(d->costs[SPACE_MACS][14], SPACE_MAX_COST);
    assert_int_equal(d->fixed[SPACE_MACS], 7);
    assert_int_equal(space_declaration_least(d, SPACE_MACS), 17);
    assert_int_equal(strlen(d->digest), 64);
    mem_free(d);
}

static void what_is_not_said_has_a_default(void **state)
{
    struct space_declaration *d = NULL;
    struct error err = {0};
    (void)state;
    assert_ok(decode("{\"genes\":[{\"name\":\"a\",\"first\":-3,\"n_values\":2}]}", &d, &err), &err);
    assert_string_equal(d->about, "");
    assert_string_equal(d->input, "unspecified");
    assert_int_equal(d->batch, 1);
    assert_int_equal(d->values[0], -3);
    assert_int_equal(d->values[1], -2);
    assert_false(d->has_table[SPACE_MACS]);
    mem_free(d);
}

static void what_is_written_declares_the_same(void **state)
{
    (void)state;
    for (int is_file = 0; is_file < 2; is_file++) {
        struct space_declaration *first = NULL;
        struct space_declaration *second = NULL;
        struct text text = {0};
        struct error err = {0};
        assert_ok(decode(whole, &first, &err), &err);
        msg_space_declaration_encode(first, is_file == 1, &text);
        assert_ok(decode_n(text.bytes, text.size, &second, &err), &err);
        assert_memory_equal(first, second, sizeof *first);
        text_close(&text);
        mem_free(first);
        mem_free(second);
    }
}

/* A predictor goes on serving when words change, and not when values or costs do. */
static void the_digest_is_of_values_and_costs(void **state)
{
    static const struct {
        const char *text;
        bool is_same;
    } rows[] = {
        {"{\"genes\":[{\"name\":\"a\",\"values\":[1,2]}]}",                                       true },
        {"{\"about\":\"x\",\"batch\":2,\"genes\":[{\"name\":\"b\",\"first\":1,\"n_values\":2}]}",
         true                                                                                          },
        {"{\"genes\":[{\"name\":\"a\",\"values\":[1,3]}]}",                                       false},
        {"{\"genes\":[{\"name\":\"a\",\"values\":[1,2,3]}]}",                                     false},
        {"{\"genes\":[{\"name\":\"a\",\"values\":[1]},{\"name\":\"b\",\"values\":[2]}]}",         false},
        {"{\"genes\":[{\"name\":\"a\",\"values\":[1,2],\"macs\":[1,1]}]}",                        false},
        {"{\"genes\":[{\"name\":\"a\",\"values\":[1,2],\"params\":[1,1]}]}",                      false},
        {"{\"genes\":[{\"name\":\"a\",\"values\":[1,2],\"macs\":[1,1]}],\"fixed\":{\"macs\":1}}",
         false                                                                                         },
    };
    char digest[SPACE_DIGEST_BYTES] = "";
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct space_declaration *d = NULL;
        struct error err = {0};
        assert_ok(decode(rows[i].text, &d, &err), &err);
        if (i == 0) {
            memcpy(digest, d->digest, sizeof digest);
        }
        assert_int_equal(strcmp(digest, d->digest) == 0, rows[i].is_same);
        mem_free(d);
    }
}

#define A_GENE  "{\"name\":\"a\",\"values\":[1,2]}"
#define GENE(x) "{\"genes\":[{\"name\":\"a\"," x "}]}"

static void everything_wrong_is_named_with_pointer_and_reason(void **state)
{
    static const struct {
        const char *text;
        enum err code;
        const char *phrase;
    } rows[] = {
        {"",                                                                          ERR_SYNTAX,  "line 1"                      },
        {"[]",                                                                        ERR_INVALID, "must be an object, not an ar"},
        {"{}",                                                                        ERR_INVALID, "/genes: genes is missing"    },
        {"{\"genes\":{}}",                                                            ERR_INVALID, "/genes: must be a list of 1 "},
        {"{\"genes\":[]}",                                                            ERR_INVALID, "/genes: must be a list of 1 "},
        {"{\"genes\":[1]}",                                                           ERR_INVALID, "/genes/0: must be an object" },
        {"{\"genes\":[{}]}",                                                          ERR_INVALID, "/genes/0/name: name is missi"},
        {"{\"genes\":[{\"name\":\"a\"}]}",                                            ERR_INVALID, "/genes/0: has no values"     },
        {"{\"genes\":[{\"name\":1,\"values\":[1]}]}",                                 ERR_INVALID, "/genes/0/name: must be a str"},
        {"{\"genes\":[{\"name\":\"\",\"values\":[1]}]}",                              ERR_INVALID,
         "/genes/0/name: must be a str"                                                                                          },
        {"{\"genes\":[{\"name\":\"a\\u0000b\",\"values\":[1]}]}",                     ERR_INVALID,
         "/genes/0/name: must be a str"                                                                                          },
        {"{\"genes\":[{\"name\":\"a\\u001b[2J\",\"values\":[1]}]}",                   ERR_INVALID,
         "/genes/0/name: must not hold"                                                                                          },
        {"{\"genes\":[" A_GENE "," A_GENE "]}",                                       ERR_INVALID, "/genes/1: two genes are call"},
        {"{\"genes\":[" A_GENE "],\"colour\":1}",                                     ERR_INVALID, "/colour: \"colour\" is not a"},
        {"{\"genes\":[" A_GENE "],\"batch\":1,\"batch\":1}",                          ERR_INVALID,
         "/batch: batch is given twice"                                                                                          },
        {"{\"genes\":[" A_GENE "],\"name\":\"other\"}",                               ERR_INVALID, "/name: must be \"own\""      },
        {"{\"genes\":[" A_GENE "],\"name\":7}",                                       ERR_INVALID, "/name: must be \"own\""      },
        {"{\"genes\":[" A_GENE "],\"about\":7}",                                      ERR_INVALID, "/about: must be a string"    },
        {"{\"genes\":[" A_GENE "],\"about\":\"a\\nb\"}",                              ERR_INVALID,
         "/about: must not hold contro"                                                                                          },
        {"{\"genes\":[" A_GENE "],\"input\":\"\"}",                                   ERR_INVALID, "/input: must be a string of "},
        {"{\"genes\":[" A_GENE "],\"batch\":0}",                                      ERR_INVALID, "/batch: must be a whole numb"},
        {"{\"genes\":[" A_GENE "],\"batch\":1.5}",                                    ERR_INVALID, "/batch: must be a whole numb"},
        {"{\"genes\":[" A_GENE "],\"fixed\":1}",                                      ERR_INVALID, "/fixed: must be an object"   },
        {"{\"genes\":[" A_GENE "],\"fixed\":{\"macs\":1}}",                           ERR_INVALID,
         "/fixed/macs: no gene tells"                                                                                            },
        {"{\"genes\":[" A_GENE "],\"fixed\":{\"flops\":1}}",                          ERR_INVALID,
         "/fixed/flops: \"flops\" is n"                                                                                          },
        {GENE("\"values\":3"),                                                        ERR_INVALID, "/genes/0/values: must be a l"},
        {GENE("\"values\":[]"),                                                       ERR_INVALID, "/genes/0/values: must be a l"},
        {GENE("\"values\":[1,1]"),                                                    ERR_INVALID, "/genes/0/values/1: values mu"},
        {GENE("\"values\":[2,1]"),                                                    ERR_INVALID, "1 follows 2"                 },
        {GENE("\"values\":[1,1.5]"),                                                  ERR_INVALID, "/genes/0/values/1: must be a"},
        {GENE("\"values\":[1,\"2\"]"),                                                ERR_INVALID, "/genes/0/values/1: must be a"},
        {GENE("\"values\":[1,1000001]"),                                              ERR_INVALID, "-1000000 to 1000000"         },
        {GENE("\"values\":[1e300]"),                                                  ERR_INVALID, "-1000000 to 1000000"         },
        {GENE("\"values\":[1],\"first\":1"),                                          ERR_INVALID, "/genes/0: has both a list"   },
        {GENE("\"first\":1"),                                                         ERR_INVALID, "/genes/0: has no values"     },
        {GENE("\"first\":1,\"n_values\":0"),                                          ERR_INVALID, "/genes/0/n_values: must be a"},
        {GENE("\"first\":1,\"n_values\":257"),                                        ERR_INVALID, "/genes/0/n_values: must be a"},
        {GENE("\"first\":1,\"n_values\":2,\"step\":0"),                               ERR_INVALID,
         "/genes/0/step: must be a who"                                                                                          },
        {GENE("\"first\":999999,\"n_values\":3"),                                     ERR_INVALID, "the last value is beyond"    },
        {GENE("\"values\":[1],\"repeat\":0"),                                         ERR_INVALID, "/genes/0/repeat: must be a w"},
        {GENE("\"values\":[1],\"repeat\":65"),                                        ERR_INVALID, "/genes/0/repeat: must be a w"},
        {GENE("\"values\":[1],\"values\":[1]"),                                       ERR_INVALID, "values is given twice"       },
        {GENE("\"values\":[1,2],\"macs\":[1]"),                                       ERR_INVALID, "/genes/0/macs: must have one"},
        {GENE("\"values\":[1,2],\"macs\":[1,2,3]"),                                   ERR_INVALID, "each of the 2 values, not 3" },
        {GENE("\"values\":[1,2],\"macs\":[1,-2]"),                                    ERR_INVALID, "/genes/0/macs/1: must be a w"},
        {GENE("\"values\":[1],\"traffic_bytes\":[1e16]"),                             ERR_INVALID, "/genes/0/traffic_bytes/0"    },
        {GENE("\"values\":[1],\"params\":true"),                                      ERR_INVALID, "/genes/0/params: must be a l"},
        {GENE("\"values\":[1,2],\"macs\":[0,9]"),                                     ERR_INVALID, "/fixed/macs: the smallest ne"},
        {"{\"genes\":[{\"name\":\"a\",\"values\":[1],\"repeat\":60},{\"name\":\"b\",\"values\":[1],"
         "\"repeat\":5}]}",                                                  ERR_INVALID, "/genes/1: a search space has"},
        {"{\"genes\":[{\"name\":\"a\",\"first\":0,\"n_values\":256,\"repeat\":17}]}", ERR_INVALID,
         "/genes/0: all genes together"                                                                                          },
        {"{\"genes\":[{\"name\":\"a 2\",\"values\":[1]},{\"name\":\"a\",\"values\":[1],\"repeat\":"
         "2}]}",                                                             ERR_INVALID, "two genes are called \"a 2\""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct space_declaration *d = NULL;
        struct error err = {0};
        assert_error(decode(rows[i].text, &d, &err), rows[i].code, &err, rows[i].phrase);
        assert_null(d);
    }
}

/* A gene that is repeated is written with its number, in a name that has to be read again. */
static void the_longest_names_are_written_as_they_are_read(void **state)
{
    static const struct {
        int length, repeat;
        const char *phrase; /* NULL: it is read */
    } rows[] = {
        {60, 64, NULL                                                     },
        {61, 1,  NULL                                                     },
        {63, 1,  NULL                                                     },
        {61, 2,  "/genes/0: is repeated, so its name has at most 60 bytes"},
        {64, 1,  "/genes/0/name: must be a string of 1 to 63 bytes"       },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[256];
        struct space_declaration *d = NULL, *again = NULL;
        struct text written = {0};
        struct error err = {0};
        (void)snprintf(text, sizeof text,
                       "{\"genes\":[{\"name\":\"%0*d\",\"values\":[1],\"repeat\":%d}]}",
                       rows[i].length, 0, rows[i].repeat);
        if (rows[i].phrase != NULL) {
            assert_error(decode(text, &d, &err), ERR_INVALID, &err, rows[i].phrase);
            continue;
        }
        assert_ok(decode(text, &d, &err), &err);
        msg_space_declaration_encode(d, false, &written);
        assert_ok(decode(written.bytes, &again, &err), &err);
        assert_memory_equal(d, again, sizeof *d);
        text_close(&written);
        mem_free(again);
        mem_free(d);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n + 1 < sizeof whole; n++) {
        struct space_declaration *d = NULL;
        char *cut = malloc(n > 0 ? n : 1); /* exactly as long, so that a reader beyond it is seen */
        assert_non_null(cut);
        memcpy(cut, whole, n);
        assert_int_not_equal(decode_n(cut, n, &d, NULL), ERR_OK);
        assert_null(d);
        free(cut);
    }
}

/* Any byte of it made any of some others: read or refused, and never more. */
static void every_flipped_byte_is_read_or_refused(void **state)
{
    static const char others[] = {'\0', '"', '[', '}', '9', '-', 'e', '\xff', ','};
    char text[sizeof whole];
    (void)state;
    for (size_t at = 0; at + 1 < sizeof whole; at++) {
        for (size_t i = 0; i < sizeof others; i++) {
            struct space_declaration *d = NULL;
            enum err rc;
            memcpy(text, whole, sizeof whole);
            text[at] = others[i];
            rc = decode_n(text, sizeof whole - 1, &d, NULL);
            assert_int_equal(rc == ERR_OK, d != NULL);
            mem_free(d);
        }
    }
}

static void what_is_huge_or_deep_is_refused_in_few_words(void **state)
{
    const size_t size = SPACE_DECLARATION_MAX_BYTES;
    struct space_declaration *d = NULL;
    struct error err = {0};
    char *text = malloc(size + 1);
    (void)state;
    assert_non_null(text);
    memset(text, '[', size + 1);
    assert_error(decode_n(text, size + 1, &d, &err), ERR_LIMIT, &err, "at most 1048576 bytes");
    assert_error(decode_n(text, size, &d, &err), ERR_SYNTAX, &err, "deep");
    memset(text, ' ', size); /* 250,000 genes, all wrong */
    memcpy(text, "{\"genes\":[", 10);
    for (size_t at = 10; at + 4 <= size - 8; at += 4) {
        memcpy(text + at, "{}, ", 4);
    }
    memcpy(text + size - 8, "{}]}    ", 8);
    assert_error(decode_n(text, size, &d, &err), ERR_INVALID, &err, "/genes: must be a list of 1 ");
    free(text);
}

static enum err decode_whole(void *context, struct error *err)
{
    struct space_declaration *d = NULL;
    enum err rc = decode(context, &d, err);

    mem_free(d);
    return rc;
}

static enum err decode_wrong(void *context, struct error *err)
{
    enum err rc = decode_whole(context, err);

    return rc == ERR_INVALID ? ERR_OK : rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    char text[sizeof whole];
    (void)state;
    memcpy(text, whole, sizeof whole);
    fail_each_allocation(decode_whole, text);
    fail_each_allocation(decode_wrong, (void *)"{\"genes\":[{}, 7],\"x\":1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_declaration_is_read_with_all_its_fields),
        counted_test(what_is_not_said_has_a_default),
        counted_test(what_is_written_declares_the_same),
        counted_test(the_digest_is_of_values_and_costs),
        counted_test(everything_wrong_is_named_with_pointer_and_reason),
        counted_test(the_longest_names_are_written_as_they_are_read),
        counted_test(every_truncation_is_refused),
        counted_test(every_flipped_byte_is_read_or_refused),
        counted_test(what_is_huge_or_deep_is_refused_in_few_words),
        counted_test(running_out_of_memory_is_told_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
