/* proto/safetensors.h: what is written is read back, and nothing malformed is read. */
#include "core/file.h"
#include "core/matrix.h"
#include "core/predictor.h"
#include "proto/model_file.h"
#include "proto/safetensors.h"
#include "tests/support/check.h"

/* Two tensors and two metadata, encoded. */
struct encoded {
    char *bytes;
    size_t size;
};

static const double numbers[] = {1.5, -2.25, 1e300, 0, 4, 5};
static const unsigned char octets[] = {1, 2, 3};

static enum err encode(struct encoded *out, struct error *err)
{
    const struct tensor first = {
        "numbers", TENSOR_F64, 2, {2, 3},
           numbers
    };
    const struct tensor second = {"octets", TENSOR_U8, 1, {3}, octets};
    const struct tensor tensors[] = {first, second};
    const struct safetensors_meta meta[] = {
        {(char *)"format", (char *)"x"             },
        {(char *)"note",   (char *)"\xc3\xa9 \"q\""},
    };
    return safetensors_encode(tensors, 2, meta, 2, &out->bytes, &out->size, err);
}

static int encode_fixture(void **state)
{
    static struct encoded encoded;

    (void)count_blocks(state);
    *state = &encoded;
    return encode(&encoded, NULL) == ERR_OK && matrix_init(NULL) == ERR_OK ? 0 : -1;
}

static int free_fixture(void **state)
{
    struct encoded *e = *state;

    mem_free(e->bytes);
    return check_blocks(state);
}

static void what_is_written_is_read_back(void **state)
{
    struct encoded *e = *state;
    struct safetensors st = {0};
    const struct tensor *t;
    struct error err = {0};

    assert_ok(safetensors_parse(e->bytes, e->size, &st, &err), &err);
    assert_int_equal(st.n_tensors, 2);
    t = tensor_find(st.tensors, st.n_tensors, "numbers");
    assert_non_null(t);
    assert_true(t->type == TENSOR_F64 && t->n_dims == 2 && t->shape[0] == 2 && t->shape[1] == 3);
    assert_memory_equal(t->data, numbers, sizeof numbers);
    t = tensor_find(st.tensors, st.n_tensors, "octets");
    assert_non_null(t);
    assert_true(t->type == TENSOR_U8 && t->n_dims == 1 && t->shape[0] == 3);
    assert_memory_equal(t->data, octets, sizeof octets);
    assert_string_equal(safetensors_meta(&st, "note"), "\xc3\xa9 \"q\"");
    assert_int_equal(strlen(safetensors_meta(&st, "sha256")), 64);
    assert_null(safetensors_meta(&st, "none"));
    safetensors_close(&st);
}

static void the_same_input_gives_the_same_bytes(void **state)
{
    struct encoded *e = *state;
    struct encoded again = {0};

    assert_int_equal(encode(&again, NULL), ERR_OK);
    assert_int_equal(again.size, e->size);
    assert_memory_equal(again.bytes, e->bytes, e->size);
    mem_free(again.bytes);
}

static void the_data_begins_at_a_multiple_of_eight(void **state)
{
    struct encoded *e = *state;

    assert_int_equal((e->size - sizeof numbers - sizeof octets) % 8, 0);
    assert_memory_equal(e->bytes + e->size - sizeof octets, octets, sizeof octets);
}

static void every_truncation_is_refused(void **state)
{
    struct encoded *e = *state;

    for (size_t size = 0; size < e->size; size++) {
        char *exact = malloc(size + 1); /* exactly so long, for the address sanitizer */
        struct safetensors st = {0};
        struct error err = {0};
        enum err rc;
        memcpy(exact, e->bytes, size);
        rc = safetensors_parse(exact, size, &st, &err);
        assert_true(rc == ERR_SYNTAX || rc == ERR_INVALID);
        assert_null(st.tensors);
        free(exact);
    }
}

static void a_byte_too_many_is_refused(void **state)
{
    struct encoded *e = *state;
    char *longer = mem_calloc(e->size + 1, 1);
    struct safetensors st = {0};
    struct error err = {0};

    memcpy(longer, e->bytes, e->size);
    assert_error(safetensors_parse(longer, e->size + 1, &st, &err), ERR_INVALID, &err,
                 "1 bytes follow the last tensor");
    mem_free(longer);
}

static void a_changed_byte_of_data_is_noticed(void **state)
{
    struct encoded *e = *state;

    for (size_t i = 1; i <= sizeof numbers + sizeof octets; i++) {
        struct safetensors st = {0};
        struct error err = {0};
        e->bytes[e->size - i] ^= 0x10;
        assert_error(safetensors_parse(e->bytes, e->size, &st, &err), ERR_INVALID, &err, "damaged");
        e->bytes[e->size - i] ^= 0x10;
    }
}

/* Parses a header with 16 bytes of data behind it. */
static enum err parse_header(const char *header, struct safetensors *st, struct error *err)
{
    static char file[4096];
    size_t length = strlen(header);

    memset(file, 0, sizeof file);
    file[0] = (char)(length & 0xff);
    file[1] = (char)(length >> 8);
    memcpy(file + 8, header, length);
    return safetensors_parse(file, 8 + length + 16, st, err);
}

#define ENTRY(name, type, shape, begin, end) \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void headers_of_other_writers_are_read(void **state)
{
    static const char *const headers[] = {
        "{" ENTRY("a", "F64", "[2]", "0", "16") "}",
        "{" ENTRY("a", "F32", "[2,2]", "0", "16") "}  ",
        "{" ENTRY("b", "F64", "[]", "8", "16") "," ENTRY("a", "I32", "[2]", "0", "8") "}",
        "{" ENTRY("a", "F64", "[2]", "0", "16") "," ENTRY("none", "F64", "[0,7]", "16", "16") "}",
        "{\"__metadata__\":{}," ENTRY("a", "F64", "[1,1,1,2]", "0", "16") "}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        struct safetensors st = {0};
        struct error err = {0};
        assert_ok(parse_header(headers[i], &st, &err), &err);
        assert_true(st.n_tensors >= 1);
        safetensors_close(&st);
    }
}

static void malformed_headers_are_refused_with_the_reason(void **state)
{
    /* clang-format off */
    static const struct {
        const char *header, *phrase;
    } rows[] = {
        {"",                                                                                  "not a JSON object"   },
        {"[]",                                                                                "not a JSON object"   },
        {"{",                                                                                 "not a JSON object"   },
        {"{}",                                                                                "16 bytes follow"     },
        {"{" ENTRY("a", "F64", "[1]", "0", "8") "}",                                          "8 bytes follow"      },
        {"{" ENTRY("a", "F64", "[1]", "8", "16") "}",                                         "hole at byte 0"      },
        {"{" ENTRY("a", "F64", "[1]", "0", "8") "," ENTRY("b", "F64", "[1]", "0", "8") "}",   "overlap"             },
        {"{" ENTRY("a", "U8", "[12]", "0", "12") "," ENTRY("b", "U8", "[8]", "8", "16") "}",  "overlap"             },
        {"{" ENTRY("a", "U8", "[4]", "0", "4") "," ENTRY("b", "U8", "[4]", "12", "16") "}",   "hole at byte 4"      },
        {"{" ENTRY("a", "F64", "[2]", "0", "16") "," ENTRY("a", "F64", "[2]", "0", "16") "}", "duplicate"           },
        {"{" ENTRY("a", "F16", "[8]", "0", "16") "}",                                         "dtype \"F16\""       },
        {"{" ENTRY("a", "F64", "[3]", "0", "16") "}",                                         "does not fit its byt"},
        {"{" ENTRY("a", "F64", "[1,1]", "0", "16") "}",                                       "does not fit its byt"},
        {"{" ENTRY("a", "F64", "[-2]", "0", "16") "}",                                        "shape of the tensor "},
        {"{" ENTRY("a", "F64", "[2.0]", "0", "16") "}",                                       "shape of the tensor "},
        {"{" ENTRY("a", "F64", "2", "0", "16") "}",                                           "shape of the tensor "},
        {"{" ENTRY("a", "F64", "[1,1,1,1,2]", "0", "16") "}",                                 "shape of the tensor "},
        {"{" ENTRY("a", "F64", "[9223372036854775807,4]", "0", "16") "}",                     "does not fit its byt"},
        {"{" ENTRY("a", "F64", "[4611686018427387904,4,2]", "0", "0") "}",                    "does not fit its byt"},
        {"{" ENTRY("a", "F64", "[2305843009213693952]", "0", "0") "}",                        "does not fit its byt"},
        {"{" ENTRY("a", "F64", "[3]", "0", "24") "}",                                         "outside of the file" },
        {"{" ENTRY("a", "F64", "[2]", "16", "0") "}",                                         "outside of the file" },
        {"{" ENTRY("a", "F64", "[2]", "-16", "0") "}",                                        "outside of the file" },
        {"{" ENTRY("a", "F64", "[2]", "9223372036854775791", "9223372036854775807") "}",      "outside of the file" },
        {"{" ENTRY("a", "F64", "[2]", "0.0", "16") "}",                                       "outside of the file" },
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2]}}",                                         "needs dtype, shape a"},
        {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,16]}}",                       "needs dtype, shape a"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0]}}",                    "needs dtype, shape a"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16],\"x\":1}}",         "needs dtype, shape a"},
        {"{\"a\":3}",                                                                         "needs dtype, shape a"},
        {"{\"__metadata__\":3}",                                                              "must be an object"   },
        {"{\"__metadata__\":{\"a\":3}}",                                                      "must be strings"     },
        {"{\"__metadata__\":{\"sha256\":\"00\"}," ENTRY("a", "F64", "[2]", "0", "16") "}",    "damaged"             },
        {"{" ENTRY("1234567890123456789012345678901234567890123456789012345678901234", "F64", "[2]", "0", "16") "}",
         "longer than 63 bytes"                                                                                     },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct safetensors st = {0};
        struct error err = {0};
        enum err rc = parse_header(rows[i].header, &st, &err);
        if (rc != ERR_SYNTAX && rc != ERR_INVALID) {
            fail_msg("%s is accepted", rows[i].header);
        }
        assert_contains(err.text, rows[i].phrase);
    }
}

static void a_header_length_beyond_the_file_or_the_bound_is_refused(void **state)
{
    static const unsigned char lengths[][8] = {
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0,    0,    0,    0,    0,    0,    0,    0x80},
        {9,    0,    0,    0,    0,    0,    0,    0   },
    };
    char *large = mem_calloc(SAFETENSORS_MAX_HEADER_BYTES + 100, 1);
    struct safetensors st = {0};
    struct error err = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        char file[16] = "12345678{}      ";
        memcpy(file, lengths[i], 8);
        assert_error(safetensors_parse(file, sizeof file, &st, &err), ERR_SYNTAX, &err,
                     "the header's length");
    }
    memset(large + 8, ' ', SAFETENSORS_MAX_HEADER_BYTES + 2);
    large[8] = '{';
    large[9] = '}';
    large[2] = 16; /* 1 MiB exactly is accepted, a byte more is not */
    assert_ok(safetensors_parse(large, 8 + SAFETENSORS_MAX_HEADER_BYTES, &st, &err), &err);
    safetensors_close(&st);
    large[0] = 1;
    assert_error(safetensors_parse(large, 9 + SAFETENSORS_MAX_HEADER_BYTES, &st, &err), ERR_SYNTAX,
                 &err, "the header's length");
    mem_free(large);
}

static enum err parse_once(void *context, struct error *err)
{
    struct encoded *e = context;
    struct safetensors st = {0};
    enum err rc = safetensors_parse(e->bytes, e->size, &st, err);

    safetensors_close(&st);
    return rc;
}

static enum err encode_once(void *context, struct error *err)
{
    const struct encoded *whole = context;
    struct encoded out = {0};
    enum err rc = encode(&out, err);

    if (rc == ERR_OK) { /* not with a part left out, for which there was no memory */
        assert_int_equal(out.size, whole->size);
        assert_memory_equal(out.bytes, whole->bytes, whole->size);
    }
    mem_free(out.bytes);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    fail_each_allocation(parse_once, *state);
    fail_each_allocation(encode_once, *state);
}

/* ---- the shipped files ----------------------------------------------------------------------- */

/* A shipped file, as it is and parsed. */
struct shipped {
    const struct space *space;
    char path[128];
    char *bytes;
    size_t size, header_end;
    struct safetensors good;
};

static void open_shipped(struct shipped *f, const struct space *space, const char *name)
{
    struct error err = {0};

    f->space = space;
    (void)snprintf(f->path, sizeof f->path, "result/%s/%s.safetensors", space->name, name);
    assert_ok(file_read(f->path, SAFETENSORS_MAX_FILE_BYTES, &f->bytes, &f->size, &err), &err);
    assert_ok(safetensors_parse(f->bytes, f->size, &f->good, &err), &err);
    f->header_end = 8 + (unsigned char)f->bytes[0] + 256 * (size_t)(unsigned char)f->bytes[1];
}

static void close_shipped(struct shipped *f)
{
    safetensors_close(&f->good);
    mem_free(f->bytes);
}

static void for_each_shipped(void (*check)(struct shipped *f))
{
    static const char *const names[] = {"pretrainmodel", "pretrainmodel-mlp"};

    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        for (size_t n = 0; n < COUNT_OF(names); n++) {
            struct shipped f;
            open_shipped(&f, *s, names[n]);
            check(&f);
            close_shipped(&f);
        }
    }
}

/* Whether every tensor is there, as long and at the same place: then so are the weights. */
static bool has_same_tensors(const struct safetensors *st, const struct safetensors *good)
{
    for (size_t i = 0; i < good->n_tensors; i++) {
        const struct tensor *expected = &good->tensors[i];
        const struct tensor *found = tensor_find(st->tensors, st->n_tensors, expected->name);
        size_t n_expected = 0;
        size_t n_found = 1;
        if (found == NULL || found->type != expected->type || found->data != expected->data ||
            !tensor_count(expected, &n_expected) || !tensor_count(found, &n_found) ||
            n_found != n_expected) {
            return false;
        }
    }
    return true;
}

/* With one bit flipped the file is refused, or its weights are the same: only its papers changed. */
static void check_flips(struct shipped *f)
{
    size_t n_refused = 0;

    for (size_t bit = 0; bit < 8 * f->header_end; bit++) {
        struct safetensors st = {0};
        bool is_refused;
        f->bytes[bit / 8] = (char)(f->bytes[bit / 8] ^ (1 << bit % 8));
        is_refused = safetensors_parse(f->bytes, f->size, &st, NULL) != ERR_OK;
        if (!is_refused && !has_same_tensors(&st, &f->good)) {
            struct model model = {0};
            is_refused = model_decode(f->bytes, f->size, f->space, &model, NULL) != ERR_OK;
            if (!is_refused) {
                fail_msg("%s: bit %zu of the header changes the weights", f->path, bit);
            }
        }
        n_refused += is_refused ? 1 : 0;
        safetensors_close(&st);
        f->bytes[bit / 8] = (char)(f->bytes[bit / 8] ^ (1 << bit % 8));
    }
    assert_true(n_refused > 2 * f->header_end);
}

static void no_flipped_bit_of_a_shipped_header_changes_the_weights(void **state)
{
    (void)state;
    for_each_shipped(check_flips);
}

static void check_truncations(struct shipped *f)
{
    for (size_t size = 0; size < f->size; size += IS_SANITIZED && size > f->header_end ? 97 : 1) {
        struct safetensors st = {0};
        if (safetensors_parse(f->bytes, size, &st, NULL) == ERR_OK) {
            fail_msg("%s: the first %zu bytes pass for the whole", f->path, size);
        }
    }
}

static void every_truncation_of_a_shipped_file_is_refused(void **state)
{
    (void)state;
    for_each_shipped(check_truncations);
}

#define encoded_test(name) cmocka_unit_test_setup_teardown(name, encode_fixture, free_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        encoded_test(what_is_written_is_read_back),
        encoded_test(the_same_input_gives_the_same_bytes),
        encoded_test(the_data_begins_at_a_multiple_of_eight),
        encoded_test(every_truncation_is_refused),
        encoded_test(a_byte_too_many_is_refused),
        encoded_test(a_changed_byte_of_data_is_noticed),
        encoded_test(headers_of_other_writers_are_read),
        encoded_test(malformed_headers_are_refused_with_the_reason),
        encoded_test(a_header_length_beyond_the_file_or_the_bound_is_refused),
        encoded_test(running_out_of_memory_is_told_and_leaks_nothing),
        encoded_test(every_truncation_of_a_shipped_file_is_refused),
        encoded_test(no_flipped_bit_of_a_shipped_header_changes_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
