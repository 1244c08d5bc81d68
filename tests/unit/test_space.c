/* core/space.h: golden counts, notations, domains. The golden counts are those of the method's
 * description; multiply-accumulates and parameters, to the last unit. */
#include "core/dataset.h"
#include "core/rng.h"
#include "core/space.h"
#include "tests/support/check.h"

static const int32_t cell[] = {4, 4, 4, 2, 4, 4};
static const char cell_notation[] = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_"
                                    "connect~0|nor_conv_3x3~1|nor_conv_3x3~2|";

static void random_genes(const struct space *space, struct rng *rng, int32_t *genes)
{
    for (size_t g = 0; g < space->n_genes; g++) {
        const struct gene *gene = &space->genes[g];
        genes[g] = gene->first + gene->step * (int32_t)rng_below(rng, (size_t)gene->n_values);
    }
}

static void assert_counts(const struct space *space, const int32_t *genes, uint64_t macs,
                          uint64_t params)
{
    struct cost cost;
    struct error err = {0};

    assert_ok(space_count(space, genes, &cost, &err), &err);
    assert_int_equal(cost_total_macs(&cost), macs);
    assert_int_equal(cost.params, params);
}

/* ---- spaces and genes ------------------------------------------------------------------------ */

static void spaces_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(space_find("nasbench201"), &space_nasbench201);
    assert_ptr_equal(space_find("fbnetv3"), &space_fbnetv3);
    assert_null(space_find("fbnetv"));
    assert_null(space_find(""));
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        assert_contains(space_names(), (*s)->name);
        assert_int_equal((*s)->slot, s - built_in_spaces);
    }
}

static void gene_index_is_the_place_in_the_domain(void **state)
{
    const struct gene gene = {"g", 16, 2, 5, NULL};
    (void)state;
    assert_int_equal(gene_index(&gene, 16), 0);
    assert_int_equal(gene_index(&gene, 24), 4);
    assert_int_equal(gene_index(&gene, 17), -1);
    assert_int_equal(gene_index(&gene, 14), -1);
    assert_int_equal(gene_index(&gene, 26), -1);
    assert_int_equal(gene_index(&gene, INT32_MIN), -1);
    assert_int_equal(gene_index(&gene, INT32_MAX), -1);
}

/* Domains as the method's description lists them: first, last and number of values of each gene. */
static void fbnetv3_has_the_domains_of_its_description(void **state)
{
    static const int32_t rows[28][3] = {
        {3,   5,   2 },
        {3,   5,   2 },
        {3,   5,   2 },
        {3,   5,   2 },
        {3,   5,   2 },
        {3,   5,   2 },
        {3,   5,   2 },
        {4,   7,   4 },
        {2,   5,   4 },
        {4,   7,   4 },
        {2,   5,   4 },
        {4,   7,   4 },
        {2,   5,   4 },
        {4,   7,   4 },
        {16,  24,  5 },
        {16,  24,  5 },
        {20,  32,  4 },
        {24,  48,  7 },
        {56,  84,  8 },
        {96,  144, 13},
        {180, 224, 12},
        {180, 224, 12},
        {1,   4,   4 },
        {4,   7,   4 },
        {4,   7,   4 },
        {4,   8,   5 },
        {6,   10,  5 },
        {5,   9,   5 },
    };
    (void)state;
    assert_int_equal(space_fbnetv3.n_genes, 28);
    for (size_t g = 0; g < 28; g++) {
        const struct gene *gene = &space_fbnetv3.genes[g];
        assert_int_equal(gene->first, rows[g][0]);
        assert_int_equal(gene->first + (gene->n_values - 1) * gene->step, rows[g][1]);
        assert_int_equal(gene->n_values, rows[g][2]);
    }
}

/* Rows: genes, a wrong value at one place, what the message says. */
static void a_wrong_gene_is_named_with_its_value_and_domain(void **state)
{
    static const struct {
        const struct space *space;
        size_t at;
        int32_t value;
        const char *phrase;
    } rows[] = {
        {&space_nasbench201, 2,  9,         "gene 3 of nasbench201 must be 1 to 5, not 9"               },
        {&space_nasbench201, 5,  0,         "gene 6 of nasbench201 must be 1 to 5, not 0"               },
        {&space_nasbench201, 0,  INT32_MIN, "gene 1 of nasbench201 must be 1 to 5, not -2147483648"     },
        {&space_fbnetv3,     0,  4,         "gene 1 of fbnetv3 must be 3 or 5, not 4"                   },
        {&space_fbnetv3,     21, 182,       "gene 22 of fbnetv3 must be 180 to 224 in steps of 4, not 1"},
        {&space_fbnetv3,     27, 10,        "gene 28 of fbnetv3 must be 5 to 9, not 10"                 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int32_t genes[SPACE_MAX_GENES];
        size_t bad_gene = 99;
        struct error err = {0};
        struct rng rng;
        rng_init(&rng, i);
        random_genes(rows[i].space, &rng, genes);
        assert_ok(space_validate(rows[i].space, genes, &bad_gene, &err), &err);
        genes[rows[i].at] = rows[i].value;
        assert_error(space_validate(rows[i].space, genes, &bad_gene, &err), ERR_INVALID, &err,
                     rows[i].phrase);
        assert_int_equal(bad_gene, rows[i].at);
    }
}

/* ---- golden counts --------------------------------------------------------------------------- */

static void nasbench201_has_its_golden_counts(void **state)
{
    static const int32_t empty[] = {1, 1, 1, 1, 1, 1};
    static const int32_t mixed[] = {5, 3, 2, 3, 2, 2};
    (void)state;
    assert_counts(&space_nasbench201, cell, 9051756800, 1294356);
    assert_counts(&space_nasbench201, empty, 381344000, 79156);
    assert_counts(&space_nasbench201, mixed, 766695680, 135156);
}

static void fbnetv3_has_its_golden_count_for_the_first_row(void **state)
{
    struct dataset rows = {0};
    struct error err = {0};
    (void)state;
    assert_ok(dataset_load(&space_fbnetv3, shared_path("data/dgl/fbnetv3/net.txt"), &rows, &err),
              &err);
    assert_counts(&space_fbnetv3, rows.genes, 936715864, 20116624);
    dataset_close(&rows);
}

/* Reads the genes of a published network, by its letter. */
static void published(char letter, int32_t *genes)
{
    FILE *fp = fopen(shared_path("data/fbnetv3_published.txt"), "r");
    char line[512];
    bool is_found = false;

    assert_non_null(fp);
    while (!is_found && fgets(line, sizeof line, fp) != NULL) {
        if (strncmp(line, "FBNetV3-", 8) == 0 && line[8] == letter) {
            const char *start = strchr(line, '|') + 1;
            struct error err = {0};
            is_found = true;
            assert_ok(space_read(&space_fbnetv3, start, (size_t)(strrchr(line, '|') - start), genes,
                                 &err),
                      &err);
        }
    }
    (void)fclose(fp);
    assert_true(is_found);
}

static void fbnetv3_a_has_its_golden_count(void **state)
{
    int32_t genes[28];
    (void)state;
    published('A', genes);
    assert_counts(&space_fbnetv3, genes, 457828592, 13072632);
    assert_int_equal(space_validate(&space_fbnetv3, genes, NULL, NULL), ERR_OK);
}

static void the_larger_published_networks_can_be_counted_and_are_outside_the_space(void **state)
{
    uint64_t previous = 0;
    (void)state;
    for (char letter = 'D'; letter <= 'G'; letter++) {
        int32_t genes[28];
        struct cost cost;
        struct error err = {0};
        published(letter, genes);
        assert_error(space_validate(&space_fbnetv3, genes, NULL, &err), ERR_INVALID, &err,
                     "of fbnetv3 must be");
        assert_ok(space_count(&space_fbnetv3, genes, &cost, &err), &err);
        assert_true(cost_total_macs(&cost) > previous); /* they grow from letter to letter */
        previous = cost_total_macs(&cost);
    }
}

static void genes_that_describe_no_network_are_not_counted(void **state)
{
    static const size_t places[] = {0, 7, 14, 22};
    struct rng rng;
    struct cost cost;
    (void)state;
    rng_init(&rng, 1);
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        static const int32_t values[] = {0, -1, INT32_MIN, INT32_MAX};
        for (size_t v = 0; v < COUNT_OF(values); v++) {
            int32_t genes[28];
            struct error err = {0};
            random_genes(&space_fbnetv3, &rng, genes);
            genes[places[i]] = values[v];
            assert_error(space_count(&space_fbnetv3, genes, &cost, &err), ERR_INVALID, &err,
                         "to describe a network");
        }
    }
    assert_int_equal(
        space_count(&space_nasbench201, (const int32_t[]){1, 1, 1, 1, 1, 6}, &cost, NULL),
        ERR_INVALID);
}

/* Sums by kind and by stage must agree, and no operator may land outside of the stages in use. */
static void totals_are_the_sums_over_kinds_and_stages(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        int32_t genes[SPACE_MAX_GENES];
        struct cost cost;
        struct rng rng;
        uint64_t macs = 0;
        uint64_t bytes = 0;
        rng_init(&rng, 2);
        random_genes(*s, &rng, genes);
        assert_int_equal(space_count(*s, genes, &cost, NULL), ERR_OK);
        for (unsigned k = 0; k < COST_N_KINDS; k++) {
            macs += cost_kind_macs(&cost, (enum cost_kind)k);
            bytes += cost_kind_traffic_bytes(&cost, (enum cost_kind)k);
            assert_true(strlen(cost_kind_name((enum cost_kind)k)) > 0);
            for (size_t stage = (*s)->n_stages; stage < COST_MAX_STAGES; stage++) {
                assert_int_equal(cost.macs[k][stage] + cost.traffic_bytes[k][stage], 0);
            }
        }
        assert_int_equal(macs, cost_total_macs(&cost));
        assert_int_equal(bytes, cost_total_traffic_bytes(&cost));
        assert_true(bytes > 4 * cost.params / 2); /* most weights are read once, as 4 bytes */
    }
}

/* ---- notations ------------------------------------------------------------------------------- */

static void rank_and_every_notation_return_all_architectures_of_nasbench201(void **state)
{
    const struct space *space = &space_nasbench201;
    (void)state;
    assert_int_equal(space->n_architectures, 15625);
    for (size_t rank = 0; rank < 15625; rank++) {
        int32_t genes[6];
        int32_t read[6];
        char texts[4][SPACE_TEXT_BYTES];
        space_unrank(space, rank, genes);
        assert_int_equal(space_rank(space, genes), rank);
        space_print(space, genes, texts[0]);
        (void)sprintf(texts[1], "%d%d%d%d%d%d", genes[0], genes[1], genes[2], genes[3], genes[4],
                      genes[5]);
        (void)sprintf(texts[2], "[%d,%d,%d, %d,%d,%d]", genes[0], genes[1], genes[2], genes[3],
                      genes[4], genes[5]);
        (void)sprintf(texts[3], " %d %d\t%d %d %d %d ", genes[0], genes[1], genes[2], genes[3],
                      genes[4], genes[5]);
        for (size_t t = 0; t < 4; t++) {
            if (space_parse(space, texts[t], strlen(texts[t]), read, NULL, NULL) != ERR_OK ||
                memcmp(genes, read, sizeof genes) != 0) {
                fail_msg("\"%s\" is read as something else", texts[t]);
            }
        }
    }
}

static void the_last_gene_runs_fastest_in_the_numbering(void **state)
{
    int32_t genes[6];
    (void)state;
    space_unrank(&space_nasbench201, 1, genes);
    assert_memory_equal(genes, ((int32_t[]){1, 1, 1, 1, 1, 2}), sizeof genes);
    space_unrank(&space_nasbench201, 15624, genes);
    assert_memory_equal(genes, ((int32_t[]){5, 5, 5, 5, 5, 5}), sizeof genes);
}

static void the_cell_notation_stands_for_its_genes(void **state)
{
    int32_t genes[6];
    char text[SPACE_TEXT_BYTES];
    struct error err = {0};
    (void)state;
    assert_ok(
        space_parse(&space_nasbench201, cell_notation, strlen(cell_notation), genes, NULL, &err),
        &err);
    assert_memory_equal(genes, cell, sizeof cell);
    space_print(&space_nasbench201, cell, text);
    assert_string_equal(text, cell_notation);
}

static void random_architectures_of_fbnetv3_survive_printing(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 7);
    for (size_t i = 0; i < 2000; i++) {
        int32_t genes[28];
        int32_t read[28];
        char text[SPACE_TEXT_BYTES + 2];
        struct error err = {0};
        random_genes(&space_fbnetv3, &rng, genes);
        space_print(&space_fbnetv3, genes, text + 1);
        assert_ok(space_parse(&space_fbnetv3, text + 1, strlen(text + 1), read, NULL, &err), &err);
        assert_memory_equal(genes, read, sizeof genes);
        text[0] = '[';
        (void)strcat(text, "]");
        for (char *c = text; *c != '\0'; c++) {
            *c = *c == ' ' ? ',' : *c;
        }
        assert_ok(space_parse(&space_fbnetv3, text, strlen(text), read, NULL, &err), &err);
        assert_memory_equal(genes, read, sizeof genes);
    }
}

static void the_inputs_of_a_node_come_in_any_order(void **state)
{
    static const char text[] =
        "|nor_conv_3x3~0|+|none~1|nor_conv_1x1~0|+|avg_pool_3x3~2|skip_connect~0|nor_conv_3x3~1|";
    static const int32_t expected[] = {4, 3, 1, 2, 4, 5};
    int32_t genes[6];
    struct error err = {0};
    (void)state;
    assert_ok(space_parse(&space_nasbench201, text, strlen(text), genes, NULL, &err), &err);
    assert_memory_equal(genes, expected, sizeof expected);
}

static void a_notation_that_breaks_off_anywhere_is_refused(void **state)
{
    static const char *const texts[] = {cell_notation, "444244", "4 4 4 2 4 4", "[4,4,4,2,4,4]"};
    (void)state;
    for (size_t t = 0; t < COUNT_OF(texts); t++) {
        for (size_t length = 0; length < strlen(texts[t]); length++) {
            char *exact = malloc(length + 1); /* exactly so long, for the address sanitizer */
            int32_t genes[6];
            size_t bad_gene = 0;
            struct error err = {0};
            memcpy(exact, texts[t], length);
            assert_error(space_parse(&space_nasbench201, exact, length, genes, &bad_gene, &err),
                         ERR_SYNTAX, &err, "nasbench201");
            assert_true(bad_gene == SIZE_MAX);
            free(exact);
        }
    }
}

/* Rows: text (with its length, for embedded NUL), code, phrase of the message. */
static void malformed_notations_are_refused_with_the_reason(void **state)
{
#define TEXT(literal) literal, sizeof(literal) - 1
    static const struct {
        const char *text;
        size_t length;
        enum err code;
        const char *phrase;
    } rows[] = {
        {TEXT("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|"),   ERR_SYNTAX,  "an earlier node"   },
        {TEXT("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|"),   ERR_SYNTAX,  "character 6"       },
        {TEXT("|none~0|+|none~0|none~2|+|none~0|none~1|none~2|"),   ERR_SYNTAX,  "an earlier node"   },
        {TEXT("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|x"),  ERR_SYNTAX,  "expected the end"  },
        {TEXT("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|\0"), ERR_SYNTAX,  "expected the end"  },
        {TEXT("|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|"),   ERR_SYNTAX,
         "expected none, skip"                                                                       },
        {TEXT("|none~0||none~0|none~1|+|none~0|none~1|none~2|"),    ERR_SYNTAX,  "expected \"+\""    },
        {TEXT(""),                                                  ERR_SYNTAX,  "has 6 genes, not 0"},
        {TEXT("[]"),                                                ERR_SYNTAX,  "has 6 genes, not 0"},
        {TEXT("4 4 4 2 4"),                                         ERR_SYNTAX,  "has 6 genes, not 5"},
        {TEXT("4 4 4 2 4 4 4"),                                     ERR_SYNTAX,  "has 6 genes, not 7"},
        {TEXT("4442444"),                                           ERR_SYNTAX,  "has 6 genes, not 1"},
        {TEXT("4 4 4 2 4 4]"),                                      ERR_SYNTAX,  "is no architecture"},
        {TEXT("[4 4 4 2 4 4] x"),                                   ERR_SYNTAX,  "is no architecture"},
        {TEXT("4 4 4 2 4 x"),                                       ERR_SYNTAX,  "is no architecture"},
        {TEXT("4 4 4 2 4 4.0"),                                     ERR_SYNTAX,  "is no architecture"},
        {TEXT("4 4 4 2 4 -"),                                       ERR_SYNTAX,  "is no architecture"},
        {TEXT("4-4 4 2 4 4"),                                       ERR_SYNTAX,  "is no architecture"},
        {TEXT("4 4 4 2 4 4\0"),                                     ERR_SYNTAX,  "is no architecture"},
        {TEXT("44\00044"),                                          ERR_SYNTAX,  "is no architecture"},
        {TEXT("4442\0004"),                                         ERR_SYNTAX,  "is no architecture"},
        {TEXT("444294"),                                            ERR_INVALID, "not 9"             },
        {TEXT("4 4 4 2 4 -4"),                                      ERR_INVALID, "gene 6"            },
        {TEXT("4 4 4 2 4 2147483648"),                              ERR_INVALID, "gene 6"            },
        {TEXT("4 4 4 2 4 4294967300"),                              ERR_INVALID, "gene 6"            },
        {TEXT("4 4 4 2 4 99999999999999999999999999"),              ERR_INVALID, "gene 6"            },
        {TEXT("4 4 4 2 4 -99999999999999999999999999"),             ERR_INVALID, "gene 6"            },
    };
#undef TEXT
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int32_t genes[6];
        struct error err = {0};
        assert_error(
            space_parse(&space_nasbench201, rows[i].text, rows[i].length, genes, NULL, &err),
            rows[i].code, &err, rows[i].phrase);
    }
}

static void digits_in_a_row_are_no_notation_where_genes_have_two(void **state)
{
    static const char text[] = "3333333444444433333333333333";
    int32_t genes[28];
    struct error err = {0};
    (void)state;
    assert_error(space_parse(&space_fbnetv3, text, strlen(text), genes, NULL, &err), ERR_SYNTAX,
                 &err, "has 28 genes, not 1");
}

static void the_plainest_notation_is_digits_or_genes_with_blanks(void **state)
{
    const struct gene wide[] = {
        {"a", -120, 1, 500, NULL},
        {"b", 1,    1, 5,   NULL}
    };
    const struct space space = {.name = "wide", .genes = wide, .n_genes = 2};
    const int32_t pair[] = {-117, 5};
    int32_t back[SPACE_MAX_GENES];
    char customary[SPACE_TEXT_BYTES];
    char text[SPACE_TEXT_BYTES];
    (void)state;
    assert_int_equal(space_print_genes(&space_nasbench201, cell, text), 6);
    assert_string_equal(text, "444244");
    assert_int_equal(space_print_genes(&space, pair, text), 6);
    assert_string_equal(text, "-117 5");
    for (size_t g = 0; g < space_fbnetv3.n_genes; g++) {
        const struct gene *gene = &space_fbnetv3.genes[g];
        back[g] = gene->first + (gene->n_values - 1) * gene->step;
    }
    space_print(&space_fbnetv3, back, customary);
    assert_int_equal(space_print_genes(&space_fbnetv3, back, text), strlen(customary));
    assert_string_equal(text, customary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(spaces_are_found_by_name),
        counted_test(gene_index_is_the_place_in_the_domain),
        counted_test(fbnetv3_has_the_domains_of_its_description),
        counted_test(a_wrong_gene_is_named_with_its_value_and_domain),
        counted_test(nasbench201_has_its_golden_counts),
        counted_test(fbnetv3_has_its_golden_count_for_the_first_row),
        counted_test(fbnetv3_a_has_its_golden_count),
        counted_test(the_larger_published_networks_can_be_counted_and_are_outside_the_space),
        counted_test(genes_that_describe_no_network_are_not_counted),
        counted_test(totals_are_the_sums_over_kinds_and_stages),
        counted_test(rank_and_every_notation_return_all_architectures_of_nasbench201),
        counted_test(the_last_gene_runs_fastest_in_the_numbering),
        counted_test(the_cell_notation_stands_for_its_genes),
        counted_test(random_architectures_of_fbnetv3_survive_printing),
        counted_test(the_inputs_of_a_node_come_in_any_order),
        counted_test(a_notation_that_breaks_off_anywhere_is_refused),
        counted_test(malformed_notations_are_refused_with_the_reason),
        counted_test(the_plainest_notation_is_digits_or_genes_with_blanks),
        counted_test(digits_in_a_row_are_no_notation_where_genes_have_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
