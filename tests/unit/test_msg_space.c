/* proto/msg_space.h: search spaces as JSON. */
#include <jansson.h>

#include "proto/msg_space.h"
#include "tests/support/check.h"

static json_t *encode(const struct space *space, const char *model)
{
    struct text text = {0};
    json_error_t error;
    json_t *json;

    msg_space_encode(space, model, true, &text);
    assert_false(text.has_failed);
    json = json_loadb(text.bytes, text.size, 0, &error);
    assert_non_null(json);
    text_close(&text);
    return json;
}

static void every_space_says_its_genes_and_conditions(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        json_t *json = encode(*s, "null");
        const json_t *genes = json_object_get(json, "genes");
        const json_t *conditions = json_object_get(json, "conditions");
        assert_string_equal(json_string_value(json_object_get(json, "name")), (*s)->name);
        assert_string_equal(json_string_value(json_object_get(json, "notation")), (*s)->notation);
        assert_int_equal(json_integer_value(json_object_get(json, "n_genes")), (*s)->n_genes);
        assert_int_equal(json_array_size(genes), (*s)->n_genes);
        for (size_t g = 0; g < (*s)->n_genes; g++) {
            const struct gene *gene = &(*s)->genes[g];
            const json_t *values = json_object_get(json_array_get(genes, g), "values");
            assert_int_equal(json_array_size(values), gene->n_values);
            for (int32_t v = 0; v < gene->n_values; v++) {
                int32_t value = (int32_t)json_integer_value(json_array_get(values, (size_t)v));
                assert_int_equal(gene_index(gene, value), v);
            }
        }
        assert_string_equal(json_string_value(json_object_get(conditions, "input")), (*s)->input);
        assert_int_equal(json_integer_value(json_object_get(conditions, "batch")), (*s)->batch);
        assert_true(json_is_null(json_object_get(json, "model")));
        json_decref(json);
    }
}

static void an_endless_space_has_no_number_of_architectures(void **state)
{
    json_t *finite = encode(&space_nasbench201, "null");
    json_t *endless = encode(&space_fbnetv3, "null");
    (void)state;
    assert_int_equal(json_integer_value(json_object_get(finite, "n_architectures")), 15625);
    assert_true(json_is_null(json_object_get(endless, "n_architectures")));
    json_decref(finite);
    json_decref(endless);
}

static void the_example_is_one_architecture_in_both_forms(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        json_t *json = encode(*s, "null");
        const json_t *example = json_object_get(json, "example");
        const char *notation = json_string_value(json_object_get(example, "notation"));
        const json_t *listed = json_object_get(example, "genes");
        int32_t genes[SPACE_MAX_GENES];
        struct error err = {0};
        assert_ok(space_parse(*s, notation, strlen(notation), genes, NULL, &err), &err);
        assert_int_equal(json_array_size(listed), (*s)->n_genes);
        for (size_t g = 0; g < (*s)->n_genes; g++) {
            assert_int_equal(json_integer_value(json_array_get(listed, g)), genes[g]);
        }
        json_decref(json);
    }
}

static void the_model_is_put_in_as_it_is(void **state)
{
    json_t *json = encode(&space_nasbench201, "{\"version\":\"cost-1\"}");
    const json_t *model = json_object_get(json, "model");
    (void)state;
    assert_string_equal(json_string_value(json_object_get(model, "version")), "cost-1");
    json_decref(json);
}

static enum err encode_text(void *context, struct error *err)
{
    struct text text = {0};
    enum err rc;

    msg_space_encode(context, "null", false, &text);
    rc = text.has_failed ? error_set(err, ERR_NOMEM, "no memory") : ERR_OK;
    text_close(&text);
    return rc;
}

static void no_memory_is_remembered(void **state)
{
    (void)state;
    fail_each_allocation(encode_text, (void *)&space_fbnetv3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(every_space_says_its_genes_and_conditions),
        counted_test(an_endless_space_has_no_number_of_architectures),
        counted_test(the_example_is_one_architecture_in_both_forms),
        counted_test(the_model_is_put_in_as_it_is),
        counted_test(no_memory_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
