/* proto/digest.h against the test vectors of FIPS 180-2. */
#include "proto/digest.h"
#include "tests/support/check.h"

static void the_published_vectors_come_out(void **state)
{
    static const char *const rows[][2] = {
        {"",    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct digest_part part = {rows[i][0], strlen(rows[i][0])};
        char hex[DIGEST_HEX_BYTES];
        digest_hex(&part, 1, hex);
        assert_string_equal(hex, rows[i][1]);
    }
}

static void parts_are_digested_one_after_another(void **state)
{
    const struct digest_part whole = {"abc", 3};
    const struct digest_part parts[] = {
        {"a",  1},
        {"",   0},
        {NULL, 0}, /* nothing has no address */
        {"bc", 2}
    };
    char a[DIGEST_HEX_BYTES];
    char b[DIGEST_HEX_BYTES];
    (void)state;
    digest_hex(&whole, 1, a);
    digest_hex(parts, COUNT_OF(parts), b);
    assert_string_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_come_out),
        cmocka_unit_test(parts_are_digested_one_after_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
