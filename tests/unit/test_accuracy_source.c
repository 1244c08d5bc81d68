/* server/accuracy_source.h and server/accuracy_data.h: what is read, what is refused and why, and
 * which source a search gets its accuracies from. */
#include "core/matrix.h"
#include "core/rng.h"
#include "server/accuracy_data.h"
#include "server/accuracy_source.h"
#include "tests/support/check.h"

enum { N_NETWORKS = 30, TEXT_BYTES = 8192 };

#define GENES_A "3 5 5 3 5 5 5 4 2 5 3 5 3 6 16 16 24 40 72 120 184 224 2 4 5 5 6 6"
#define GENES_B "5 5 5 3 5 5 5 4 2 5 3 5 3 6 16 16 24 40 72 120 184 224 2 4 5 5 6 6"
#define NAS     "data/nasbench201/NAS/"

static void make_tree(struct data_tree *tree)
{
    assert_int_equal(data_tree_init(tree, check_directory, NULL, NULL), ERR_OK);
}

/* Networks of a user's, the wider the better, as dataxy.txt has them. */
static void write_networks(double shift)
{
    char text[TEXT_BYTES] = "";
    size_t used = 0;
    struct rng rng;

    rng_init(&rng, 1);
    for (size_t i = 0; i < N_NETWORKS; i++) {
        double top1 = 75.0 + shift;
        for (size_t g = 0; g < 28; g++) {
            const struct gene *gene = &space_fbnetv3.genes[g];
            size_t at = rng_below(&rng, (size_t)gene->n_values);
            top1 += g >= 14 && g < 22 ? 0.1 * (double)at : 0.0;
            used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%d ",
                                     gene->first + gene->step * (int32_t)at);
        }
        used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%.3f %.3f\n", top1, top1 + 10.0);
    }
    (void)write_text("data/fbnetv3/NAS/dataxy.txt", text);
}

static enum err load(const struct space *space, const char *directory, struct error *err)
{
    struct accuracy_data data = {0};
    enum err rc = accuracy_data_load(space, own_path(directory), &data, err);

    accuracy_data_close(&data);
    return rc;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void a_directory_without_data_is_told_what_belongs_there(void **state)
{
    struct error err = {0};

    (void)state;
    assert_error(load(&space_nasbench201, ".", &err), ERR_NOT_FOUND, &err,
                 "has no acc.txt nor acc_cifar100.txt to learn accuracy from");
    assert_error(load(&space_fbnetv3, ".", &err), ERR_NOT_FOUND, &err,
                 "has no dataxy.txt nor fbnetv3_published.txt");
    (void)write_text("acc.txt", "50\n"); /* of the other space, and alone */
    assert_error(load(&space_fbnetv3, ".", &err), ERR_NOT_FOUND, &err, "has no dataxy.txt");
    assert_error(load(&space_nasbench201, ".", &err), ERR_NOT_FOUND, &err, "net.txt");
}

static void a_bad_row_of_networks_is_named(void **state)
{
    static const struct {
        const char *row, *phrase;
    } rows[] = {
        {GENES_A " 79.5\n",             "dataxy.txt:2"                              },
        {"4" GENES_A " 79.5 94.1\n",    "dataxy.txt:2: gene 1 of fbnetv3 must be"   },
        {GENES_A " 94.1 79.5\n",        "dataxy.txt:2: top-1 must be above 0, top-5"},
        {GENES_A " 79.5 100.5\n",       "dataxy.txt:2: top-1 must be"               },
        {GENES_A " 0 94.1\n",           "dataxy.txt:2: top-1 must be"               },
        {GENES_A " nan 94.1\n",         "dataxy.txt:2"                              },
        {"3.5" GENES_A " 79.5 94.1\n",  "dataxy.txt:2"                              },
        {"1e30" GENES_A " 79.5 94.1\n", "dataxy.txt:2"                              },
        {"\n" GENES_A " 79.5 94.1\n",   "dataxy.txt:2"                              },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[512];
        struct error err = {0};
        /* where a first gene is given, it takes the place of that of GENES_A, "3" */
        const char *three = strstr(rows[i].row, "3 5 5 3");
        int before = (int)(three - rows[i].row);
        bool is_gene = before > 0 && rows[i].row[0] != '\n';
        (void)snprintf(text, sizeof text, GENES_A " 79.5 94.1\n%.*s%s", before, rows[i].row,
                       three + (is_gene ? 1 : 0));
        (void)write_text("dataxy.txt", text);
        err = (struct error){0};
        if (load(&space_fbnetv3, ".", &err) == ERR_OK) {
            fail_msg("row %zu is taken", i);
        }
        assert_contains(err.text, rows[i].phrase);
    }
}

static void a_bad_row_of_published_networks_is_named(void **state)
{
    static const struct {
        const char *row, *phrase;
    } rows[] = {
        {"A | " GENES_A "\n",                      "published.txt:3: a row is: name | genes"},
        {"A | " GENES_A " | 224 356 8.5\n",        "published.txt:3: the last column must"  },
        {"A | " GENES_A " | 224 356 8.5 79.5 1\n", "published.txt:3: the last column must"  },
        {"A | " GENES_A " | 0 356 8.5 79.5\n",     "a resolution from 1 to 4096"            },
        {"A | " GENES_A " | 224 356 8.5 100\n",    "between 0 and 100"                      },
        {"A | 1 2 3 | 224 356 8.5 79.5\n",         "published.txt:3"                        },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[512];
        struct error err = {0};
        (void)snprintf(text, sizeof text, "# networks\nA | " GENES_A " | 224 356 8.5 79.5\r\n%s",
                       rows[i].row);
        (void)write_text("fbnetv3_published.txt", text);
        if (load(&space_fbnetv3, ".", &err) == ERR_OK) {
            fail_msg("row %zu is taken", i);
        }
        assert_contains(err.text, rows[i].phrase);
    }
}

/* ---- sources --------------------------------------------------------------------------------- */

static void the_oracle_is_asked_where_it_is(void **state)
{
    static const int32_t genes[] = {4, 4, 4, 2, 4, 4, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3};
    struct data_tree tree;
    struct accuracy_source source = {0};
    struct accuracy_table all = {0};
    struct text text = {0};
    struct error err = {0};
    double accuracy[3];

    (void)state;
    make_tree(&tree);
    (void)write_text(NAS "net.txt", "4 4 4 2 4 4\n1 1 1 1 1 1\n4 4 4 2 4 4\n");
    (void)write_text(NAS "acc.txt", "73\n1\n74\n");
    assert_ok(accuracy_source_open(&tree, &space_nasbench201, &source, &err), &err);
    assert_true(source.is_table);
    assert_ok(accuracy_source_predict(&source, genes, 3, accuracy, &err), &err);
    assert_near(accuracy[0], 73.5, 1e-12);
    assert_near(accuracy[1], 1.0, 0.0);
    assert_true(isnan(accuracy[2]));
    assert_ok(accuracy_source_list(&source, &all, &err), &err);
    assert_int_equal(all.architectures.n_rows, 3);
    assert_near(all.accuracy[2], 73.5, 1e-12);
    accuracy_source_put_json(&source, &text);
    assert_string_equal(text.bytes, "{\"source\":\"table\",\"n_rows\":3}");
    text_close(&text);
    accuracy_table_close(&all);
    accuracy_source_close(&source);
    (void)write_text(NAS "acc.txt", "73\n1\n");
    assert_int_not_equal(accuracy_source_open(&tree, &space_nasbench201, &source, &err), ERR_OK);
    assert_contains(err.text, "acc.txt");
}

static void rows_of_a_space_without_numbers_are_found(void **state)
{
    struct data_tree tree;
    struct accuracy_source source = {0};
    struct error err = {0};
    int32_t genes[3][28];
    double told[3];

    (void)state;
    make_tree(&tree);
    (void)write_text("data/fbnetv3/NAS/net.txt", GENES_A "\n" GENES_B "\n" GENES_A "\n");
    (void)write_text("data/fbnetv3/NAS/acc.txt", "70\n75\n72\n");
    assert_ok(accuracy_source_open(&tree, &space_fbnetv3, &source, &err), &err);
    assert_ok(space_parse(&space_fbnetv3, GENES_B, strlen(GENES_B), genes[0], NULL, &err), &err);
    assert_ok(space_parse(&space_fbnetv3, GENES_A, strlen(GENES_A), genes[1], NULL, &err), &err);
    memcpy(genes[2], genes[1], sizeof genes[2]);
    genes[2][27] = 9; /* no row has that */
    assert_ok(accuracy_source_predict(&source, genes[0], 3, told, &err), &err);
    assert_near(told[0], 75.0, 0.0);
    assert_near(told[1], 71.0, 1e-12);
    assert_true(isnan(told[2]));
    accuracy_source_close(&source);
}

static void without_data_or_model_it_is_told_what_to_do(void **state)
{
    struct data_tree tree;
    struct accuracy_source source = {0};
    struct error err = {0};

    (void)state;
    make_tree(&tree);
    assert_error(accuracy_source_open(&tree, &space_fbnetv3, &source, &err), ERR_NOT_FOUND, &err,
                 "train one with: dgld train --target accuracy");
    (void)write_text("result/fbnetv3/accuracymodel.safetensors", "not a model");
    assert_int_not_equal(accuracy_source_open(&tree, &space_fbnetv3, &source, &err), ERR_OK);
    assert_contains(err.text, "result/fbnetv3/accuracymodel.safetensors");
}

static void networks_of_the_user_are_learned_from(void **state)
{
    struct data_tree tree;
    struct accuracy_source source = {0};
    struct accuracy_table all = {0};
    struct accuracy_data data = {0};
    struct accuracy_model model = {0};
    struct text text = {0};
    struct error err = {0};
    char path[PATH_BYTES];

    (void)state;
    make_tree(&tree);
    write_networks(0.0);
    assert_ok(accuracy_source_open(&tree, &space_fbnetv3, &source, &err), &err);
    assert_false(source.is_table);
    assert_string_equal(source.model.info.learned_from, "dataxy");
    assert_error(accuracy_source_list(&source, &all, &err), ERR_INVALID, &err, "too many");
    accuracy_source_put_json(&source, &text);
    assert_contains(text.bytes, "{\"source\":\"model\",\"predictor\":\"genes\",\"version\":");
    text_close(&text);
    accuracy_source_close(&source);

    /* what was trained on these very networks, with another seed, is taken; on others, not */
    assert_ok(accuracy_data_load(&space_fbnetv3, own_path("data/fbnetv3/NAS"), &data, &err), &err);
    assert_ok(accuracy_data_train(&data, 9, &model, NULL, &err), &err);
    assert_ok(accuracy_store_save(check_directory, &model, path, &err), &err);
    assert_ok(accuracy_source_open(&tree, &space_fbnetv3, &source, &err), &err);
    assert_int_equal(source.model.info.seed, 9);
    accuracy_source_close(&source);
    write_networks(1.0);
    assert_ok(accuracy_source_open(&tree, &space_fbnetv3, &source, &err), &err);
    assert_int_equal(source.model.info.seed, 0);
    accuracy_source_close(&source);
    accuracy_model_close(&model);
    accuracy_data_close(&data);
}

static void the_shipped_model_is_used_where_there_is_no_data(void **state)
{
    struct data_tree tree;
    struct accuracy_source source = {0};
    struct accuracy_table all = {0};
    struct error err = {0};
    double one;

    (void)state;
    assert_int_equal(data_tree_init(&tree, ".", check_directory, NULL), ERR_OK);
    assert_ok(accuracy_source_open(&tree, &space_nasbench201, &source, &err), &err);
    assert_false(source.is_table);
    assert_ok(accuracy_source_list(&source, &all, &err), &err);
    assert_int_equal(all.architectures.n_rows, 15625);
    assert_ok(accuracy_source_predict(&source, all.architectures.genes + 777 * 6L, 1, &one, &err),
              &err);
    assert_true(one == all.accuracy[777]);
    accuracy_table_close(&all);
    accuracy_source_close(&source);
    assert_ok(accuracy_source_open(&tree, &space_fbnetv3, &source, &err), &err);
    assert_string_equal(source.model.predictor->kind->name, "macs");
    accuracy_source_close(&source);
}

static enum err open_once(void *context, struct error *err)
{
    struct accuracy_source source = {0};
    enum err rc = accuracy_source_open(context, &space_nasbench201, &source, err);

    accuracy_source_close(&source);
    return rc;
}

static enum err open_unnumbered_once(void *context, struct error *err)
{
    struct accuracy_source source = {0};
    enum err rc = accuracy_source_open(context, &space_fbnetv3, &source, err);

    accuracy_source_close(&source);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    struct data_tree tree;

    (void)state;
    make_tree(&tree);
    (void)write_text(NAS "net.txt", "4 4 4 2 4 4\n1 1 1 1 1 1\n");
    (void)write_text(NAS "acc.txt", "73\n1\n");
    fail_each_allocation(open_once, &tree);
    (void)write_text("data/fbnetv3/NAS/net.txt", GENES_A "\n" GENES_B "\n");
    (void)write_text("data/fbnetv3/NAS/acc.txt", "70\n75\n");
    fail_each_allocation(open_unnumbered_once, &tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(a_directory_without_data_is_told_what_belongs_there),
        directory_test(a_bad_row_of_networks_is_named),
        directory_test(a_bad_row_of_published_networks_is_named),
        directory_test(the_oracle_is_asked_where_it_is),
        directory_test(rows_of_a_space_without_numbers_are_found),
        directory_test(without_data_or_model_it_is_told_what_to_do),
        directory_test(networks_of_the_user_are_learned_from),
        directory_test(the_shipped_model_is_used_where_there_is_no_data),
        directory_test(running_out_of_memory_is_told_and_leaks_nothing),
    };

    if (matrix_init(NULL) != ERR_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
