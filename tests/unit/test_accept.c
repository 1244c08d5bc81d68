/* server/accept.h: the form that a client asks for. */
#include "server/accept.h"
#include "tests/support/check.h"

enum { JSON, CSV, NONE };

static const char *const types[] = {"application/json", "text/csv"};

static void the_heaviest_acceptable_type_is_chosen(void **state)
{
    static const struct {
        const char *accept;
        size_t expected;
    } rows[] = {
        {NULL,                                          JSON},
        {"",                                            JSON},
        {"  ",                                          JSON},
        {"*/*",                                         JSON},
        {"application/json",                            JSON},
        {"text/csv",                                    CSV },
        {"TEXT/CSV",                                    CSV },
        {"text/*",                                      CSV },
        {"text/csv; charset=utf-8; header=present",     CSV },
        {"text/csv, application/json",                  JSON},
        {"text/csv, application/json;q=0.9",            CSV },
        {"text/csv;q=0.5, */*;q=0.4",                   CSV },
        {"text/csv;q=0.5,*/*",                          JSON},
        {"*/*;q=0.9, text/csv;q=0.1",                   JSON},
        {"application/json;q=0, */*",                   CSV },
        {"application/json;q=0.000, text/*;q=0.001",    CSV },
        {"application/*;q=0.2, text/csv ; Q=0.3",       CSV },
        {"text/html, application/xhtml+xml, */*;q=0.8", JSON},
        {"text/html",                                   NONE},
        {"text/csv;q=0",                                NONE},
        {"*/*;q=0",                                     NONE},
        {"text/csvx",                                   NONE},
        {"text",                                        NONE},
        {"csv",                                         NONE},
        {"a/b;x=\"text/csv, text/csv\"",                NONE},
        {"a/b;x=\"\\\",\", text/csv",                   CSV },
        {"text/csv;q=2",                                NONE},
        {"text/csv;q=1.001",                            NONE},
        {"text/csv;q=0.0001",                           NONE},
        {"text/csv;q=x, application/json;q=0.1",        JSON},
        {"text/csv;q=",                                 NONE},
        {",,, text/csv ,,",                             CSV },
        {";;;, text/csv",                               CSV },
        {"text/csv junk; q=1, application/json",        JSON},
        {"\"",                                          NONE},
        {";q=\"",                                       NONE},
        {";q=\"\\",                                     NONE},
        {"*",                                           NONE},
        {"*/csv",                                       NONE},
        {"text/csv;q=1.0",                              CSV },
        {"text/csv;q=1.",                               CSV },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t chosen = accept_choose(rows[i].accept, types, COUNT_OF(types));
        if (chosen != rows[i].expected) {
            fail_msg("%s: %zu", rows[i].accept, chosen);
        }
    }
}

static void a_coding_weighs_what_the_header_says_and_nothing_that_is_no_weight(void **state)
{
    static const struct {
        const char *accepted, *coding;
        int expected;
    } rows[] = {
        {"gzip",                        "gzip", 1000},
        {"GZIP",                        "gzip", 1000},
        {"deflate, gzip;q=0.5",         "gzip", 500 },
        {"gzip ; q=1.0",                "gzip", 1000},
        {"gzip;level=1;q=0.25",         "gzip", 250 },
        {"br;x=\"gzip, gzip\"",         "gzip", -1  },
        {"gzip;q=0, *",                 "gzip", 0   },
        {"gzip;q=0, *",                 "*",    1000},
        {"gzip;q=0.001",                "gzip", 1   },
        {"gzip;q=1e300",                "gzip", 0   },
        {"gzip;q=-1e300",               "gzip", 0   },
        {"gzip;q=9e9",                  "gzip", 0   },
        {"gzip;q=inf",                  "gzip", 0   },
        {"gzip;q=nan",                  "gzip", 0   },
        {"gzip;q=99999",                "gzip", 0   },
        {"gzip;q=",                     "gzip", 0   },
        {"xgzip, gzipped",              "gzip", -1  },
        {"",                            "gzip", -1  },
        {" ,;,\t",                      "gzip", -1  },
        {";;;q=0,,gzip x;y,identity;q", "gzip", 1000},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int weight = accept_coding_weight(rows[i].accepted, rows[i].coding);
        if (weight != rows[i].expected) {
            fail_msg("%s: %d", rows[i].accepted, weight);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(the_heaviest_acceptable_type_is_chosen),
        counted_test(a_coding_weighs_what_the_header_says_and_nothing_that_is_no_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
