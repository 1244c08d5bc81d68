/* server/byte_range.h: which part of a file a Range asks for. */
#include "server/byte_range.h"
#include "tests/support/check.h"

static void parts_are_cut_to_what_is_there(void **state)
{
    static const struct {
        const char *header;
        uint64_t size, first, n;
    } parts[] = {
        {"bytes=0-0",                       10,         0,          1         },
        {"bytes=0-9",                       10,         0,          10        },
        {"bytes=0-",                        10,         0,          10        },
        {"bytes=3-5",                       10,         3,          3         },
        {"bytes=9-",                        10,         9,          1         },
        {"bytes=9-9",                       10,         9,          1         },
        {"bytes=5-99",                      10,         5,          5         },
        {"bytes=5-18446744073709551615",    10,         5,          5         },
        {"bytes=5-99999999999999999999999", 10,         5,          5         },
        {"bytes=-1",                        10,         9,          1         },
        {"bytes=-10",                       10,         0,          10        },
        {"bytes=-11",                       10,         0,          10        },
        {"bytes=-99999999999999999999999",  10,         0,          10        },
        {"BYTES=3-5",                       10,         3,          3         },
        {"bytes= 3-5 ",                     10,         3,          3         },
        {"bytes=0018-0019",                 100,        18,         2         },
        {"bytes=4294967296-4294967297",     UINT64_MAX, 4294967296, 2         },
        {"bytes=0-",                        UINT64_MAX, 0,          UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        uint64_t first = 77;
        uint64_t n = 77;
        assert_int_equal(byte_range_parse(parts[i].header, parts[i].size, &first, &n),
                         BYTE_RANGE_PART);
        assert_true(first == parts[i].first && n == parts[i].n);
    }
}

static void what_cannot_be_read_or_is_several_asks_for_the_whole(void **state)
{
    static const char *const headers[] = {
        NULL,           "",          "bytes",         "bytes=",     "bytes=-",       "bytes=5",
        "bytes=5-3",    "bytes=a-b", "bytes=1-2,",    "bytes=,1-2", "bytes=0-0,3-4", "bytes=1 -2",
        "bytes=1- 2",   "bytes 1-2", "bytes=-1-2",    "bytes=--2",  "items=1-2",     "seconds=1-2",
        "bytes=0x1-2",  "bytes=+1-", "bytes=1-2;q=1", "bytes==1-2", "bytes=1.0-2",   "bytes:1-2",
        "bytes=\xff-2",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        uint64_t first = 77;
        uint64_t n = 77;
        assert_int_equal(byte_range_parse(headers[i], 10, &first, &n), BYTE_RANGE_WHOLE);
        assert_true(first == 77 && n == 77);
    }
}

static void what_lies_behind_the_end_cannot_be_satisfied(void **state)
{
    static const char *const headers[] = {"bytes=10-", "bytes=10-10", "bytes=99-100", "bytes=-0",
                                          "bytes=99999999999999999999999-"};
    uint64_t first;
    uint64_t n;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        assert_int_equal(byte_range_parse(headers[i], 10, &first, &n), BYTE_RANGE_UNSATISFIABLE);
    }
}

static void an_empty_file_has_no_part(void **state)
{
    uint64_t first;
    uint64_t n;
    (void)state;
    assert_int_equal(byte_range_parse("bytes=0-", 0, &first, &n), BYTE_RANGE_UNSATISFIABLE);
    assert_int_equal(byte_range_parse("bytes=0-0", 0, &first, &n), BYTE_RANGE_UNSATISFIABLE);
    assert_int_equal(byte_range_parse("bytes=-5", 0, &first, &n), BYTE_RANGE_WHOLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(parts_are_cut_to_what_is_there),
        counted_test(what_cannot_be_read_or_is_several_asks_for_the_whole),
        counted_test(what_lies_behind_the_end_cannot_be_satisfied),
        counted_test(an_empty_file_has_no_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
