/* core/graph.h: the networks as graphs agree with the operator costs, are well formed, and their
 * weights can be drawn in any pieces. That they compute something is for tests/api/test_onnx.py. */
#include "core/graph.h"
#include "core/rng.h"
#include "core/space_fbnetv3.h"
#include "core/space_nasbench201.h"
#include "tests/support/check.h"

static void random_genes(const struct space *space, struct rng *rng, int32_t *genes)
{
    for (size_t g = 0; g < space->n_genes; g++) {
        const struct gene *gene = &space->genes[g];
        genes[g] = gene->first + gene->step * (int32_t)rng_below(rng, (size_t)gene->n_values);
    }
}

static void build(const struct space *space, const int32_t *genes, uint64_t seed, struct graph *out)
{
    struct error err = {0};

    assert_ok(graph_build(space, genes, seed, out, &err), &err);
}

static void build_random(const struct space *space, uint64_t seed, struct graph *out)
{
    int32_t genes[SPACE_MAX_GENES];
    struct rng rng;

    rng_init(&rng, seed);
    random_genes(space, &rng, genes);
    build(space, genes, seed, out);
}

static void a_space_without_networks_has_none_to_build(void **state)
{
    struct space space = space_nasbench201;
    const int32_t genes[NASBENCH201_N_EDGES] = {0};
    struct graph graph;
    struct error err = {0};
    (void)state;
    space.build_graph = NULL;
    assert_error(graph_build(&space, genes, 0, &graph, &err), ERR_INVALID, &err,
                 "the search space nasbench201 tells what genes there are");
}

/* ---- costs ----------------------------------------------------------------------------------- */

static void assert_agrees(const struct space *space, const int32_t *genes)
{
    struct graph graph;
    struct cost cost;

    assert_int_equal(space_count(space, genes, &cost, NULL), ERR_OK);
    build(space, genes, 0, &graph);
    assert_int_equal(graph_macs(&graph), cost_total_macs(&cost));
    assert_int_equal(graph_params(&graph), cost.params);
    graph_close(&graph);
}

static void every_cell_of_nasbench201_has_the_counted_costs(void **state)
{
    const size_t step = IS_SANITIZED ? 29 : 1;
    (void)state;
    for (size_t rank = 0; rank < space_nasbench201.n_architectures; rank += step) {
        int32_t genes[NASBENCH201_N_EDGES];
        space_unrank(&space_nasbench201, rank, genes);
        assert_agrees(&space_nasbench201, genes);
    }
}

static void networks_of_fbnetv3_have_the_counted_costs(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 6);
    for (size_t i = 0; i < (IS_SANITIZED ? 100 : 3000); i++) {
        int32_t genes[FBNETV3_N_GENES];
        random_genes(&space_fbnetv3, &rng, genes);
        assert_agrees(&space_fbnetv3, genes);
    }
}

static void networks_outside_of_the_domain_have_the_counted_costs(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 7);
    for (size_t i = 0; i < 50; i++) {
        int32_t genes[FBNETV3_N_GENES];
        random_genes(&space_fbnetv3, &rng, genes);
        genes[0] = 7;
        genes[7 + i % 7] = 9;
        genes[14 + i % 8] = 333;
        genes[22 + i % 6] = 1 + (int32_t)(i % 20);
        assert_agrees(&space_fbnetv3, genes);
    }
}

/* Rows: a gene and its value for which no operator can be made, and what is said. */
static void networks_that_can_be_counted_and_not_built_are_refused(void **state)
{
    static const struct {
        size_t at;
        int32_t value;
        const char *phrase;
    } rows[] = {
        {1,  4, "odd kernels, and stage 2 has 4"            },
        {17, 1, "channels to squeeze, and needs 4"          },
        {22, 0, "gene 23 of fbnetv3 must be 1 to 64 to desc"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int32_t genes[FBNETV3_N_GENES];
        struct graph graph;
        struct error err = {0};
        struct rng rng;
        rng_init(&rng, i);
        random_genes(&space_fbnetv3, &rng, genes);
        genes[10] = 2; /* the later blocks of stage 3 */
        genes[rows[i].at] = rows[i].value;
        assert_error(graph_build(&space_fbnetv3, genes, 0, &graph, &err), ERR_INVALID, &err,
                     rows[i].phrase);
    }
}

/* ---- form ------------------------------------------------------------------------------------ */

static void assert_shapes(const struct graph *graph, const struct graph_node *node)
{
    const struct graph_node *a = &graph->nodes[node->inputs[0]];
    const struct graph_node *b = &graph->nodes[node->inputs[1]];
    const struct graph_weight *w = graph->weights + node->first_weight;

    switch (node->op) {
    case GRAPH_CONV:
        assert_int_equal(w->shape[0], node->channels);
        assert_int_equal(w->shape[1] * node->groups, a->channels);
        assert_int_equal((a->side + node->stride - 1) / node->stride, node->side);
        break;
    case GRAPH_LINEAR:
        assert_true(a->is_vector && node->is_vector);
        assert_int_equal(w->shape[0], node->channels);
        assert_int_equal(w->shape[1], a->channels);
        break;
    case GRAPH_NORM:
        assert_int_equal(node->n_weights, 4);
        assert_int_equal(w->shape[0], node->channels);
        break;
    case GRAPH_MULTIPLY:
        assert_int_equal(a->channels, b->channels);
        assert_int_equal(b->side, 1);
        break;
    case GRAPH_ADD:
        assert_int_equal(a->channels, b->channels);
        assert_int_equal(a->side, b->side);
        break;
    case GRAPH_FLATTEN:
        assert_int_equal(a->side, 1);
        break;
    default:
        assert_int_equal(a->channels, node->channels);
    }
}

static void nodes_follow_what_they_read_and_fit_it(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        const struct space *space = seed % 2 == 0 ? &space_nasbench201 : &space_fbnetv3;
        struct graph graph;
        build_random(space, seed, &graph);
        assert_int_equal(graph.nodes[0].op, GRAPH_INPUT);
        for (size_t i = 1; i < graph.n_nodes; i++) {
            const struct graph_node *node = &graph.nodes[i];
            for (size_t k = 0; k < node->n_inputs; k++) {
                assert_true(node->inputs[k] < i);
            }
            assert_shapes(&graph, node);
        }
        assert_int_equal(graph.nodes[graph.n_nodes - 1].op, GRAPH_LINEAR);
        assert_int_equal(graph.nodes[graph.n_nodes - 1].channels,
                         space == &space_fbnetv3 ? 1000 : 100);
        graph_close(&graph);
    }
}

static void names_are_unique(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct graph graph;
        build_random(seed % 2 == 0 ? &space_nasbench201 : &space_fbnetv3, seed, &graph);
        for (size_t i = 0; i < graph.n_nodes; i++) {
            for (size_t k = 0; k < i; k++) {
                assert_string_not_equal(graph.nodes[i].name, graph.nodes[k].name);
            }
        }
        graph_close(&graph);
    }
}

static size_t count_ops(const struct graph *graph, enum graph_op op)
{
    size_t n = 0;

    for (size_t i = 0; i < graph->n_nodes; i++) {
        n += graph->nodes[i].op == op ? 1 : 0;
    }
    return n;
}

/* Rows: a cell, and how many convolutions, sums and zero maps it has. */
static void edges_become_what_they_are(void **state)
{
    static const struct {
        int32_t genes[NASBENCH201_N_EDGES];
        size_t n_convs, n_sums, n_zeroes;
    } rows[] = {
        {{4, 4, 4, 2, 4, 4}, 5, 3, 0},
        {{1, 1, 1, 1, 1, 1}, 0, 0, 3},
        {{2, 2, 2, 2, 2, 2}, 0, 3, 0},
        {{4, 1, 1, 2, 1, 1}, 1, 0, 1}, /* nobody reads the convolution: it is there */
        {{1, 1, 3, 1, 1, 2}, 1, 0, 1}, /* a convolution of zeroes */
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const size_t n_cells = 15, n_outside = 1 + 2 * 3; /* stem, reductions */
        struct graph graph;
        build(&space_nasbench201, rows[i].genes, 0, &graph);
        assert_int_equal(count_ops(&graph, GRAPH_CONV), n_cells * rows[i].n_convs + n_outside);
        assert_int_equal(count_ops(&graph, GRAPH_ADD), n_cells * rows[i].n_sums + 2);
        assert_int_equal(count_ops(&graph, GRAPH_ZERO), n_cells * rows[i].n_zeroes);
        graph_close(&graph);
    }
}

/* ---- weights --------------------------------------------------------------------------------- */

static size_t weight_named(const struct graph *graph, const char *wanted)
{
    for (size_t w = 0; w < graph->n_weights; w++) {
        char name[GRAPH_WEIGHT_NAME_BYTES];
        graph_weight_name(graph, w, name);
        if (strcmp(name, wanted) == 0) {
            return w;
        }
    }
    fail_msg("there is no weight %s", wanted);
    return 0;
}

static void pieces_are_the_whole(void **state)
{
    struct graph graph;
    float whole[1000], piece[7];
    size_t w;
    (void)state;
    build_random(&space_fbnetv3, 1, &graph);
    w = weight_named(&graph, "head.linear.weight");
    graph_fill(&graph, w, 3, 1000, whole);
    for (size_t n = 1; n <= COUNT_OF(piece); n++) {
        for (size_t at = 0; at + n <= 1000; at += n) {
            graph_fill(&graph, w, 3 + at, n, piece);
            assert_memory_equal(piece, whole + at, n * sizeof *piece);
        }
    }
    graph_close(&graph);
}

static void seeds_and_weights_draw_apart(void **state)
{
    struct graph one, two;
    float a[64], b[64];
    size_t w;
    (void)state;
    build(&space_nasbench201, (const int32_t[]){4, 4, 4, 4, 4, 4}, 1, &one);
    build(&space_nasbench201, (const int32_t[]){4, 4, 4, 4, 4, 4}, 2, &two);
    w = weight_named(&one, "stages.1.cell.1.edge0_1.conv.weight");
    graph_fill(&one, w, 0, 64, a);
    graph_fill(&two, w, 0, 64, b);
    assert_memory_not_equal(a, b, sizeof a);
    graph_fill(&one, weight_named(&one, "stages.1.cell.1.edge0_2.conv.weight"), 0, 64, b);
    assert_memory_not_equal(a, b, sizeof a);
    graph_close(&one);
    graph_close(&two);
}

/* The same on every host: the numbers come from an independent implementation in Python. */
static void weights_are_the_same_everywhere(void **state)
{
    struct graph graph;
    float values[3];
    (void)state;
    build(&space_nasbench201, (const int32_t[]){4, 4, 4, 2, 4, 4}, 7, &graph);
    graph_fill(&graph, weight_named(&graph, "stem.conv.weight"), 0, 3, values);
    assert_near(values[0], -0x1.8b5eaep-5, 0.0);
    assert_near(values[1], 0x1.6ddb14p-5, 0.0);
    assert_near(values[2], 0x1.501032p-4, 0.0);
    graph_close(&graph);
}

/* Uniform in +-bound: within it, of mean 0 and variance bound^2 / 3. The tolerances are five
 * standard errors of 100,000 draws. */
static void weights_have_the_variance_of_their_layers(void **state)
{
    static float values[100000];
    struct graph graph;
    const struct graph_weight *w;
    double sum = 0.0, squares = 0.0, bound;
    (void)state;
    build_random(&space_fbnetv3, 2, &graph);
    w = &graph.weights[weight_named(&graph, "head.linear.weight")];
    bound = 1.0 / sqrt(1984.0);
    graph_fill(&graph, (size_t)(w - graph.weights), 0, COUNT_OF(values), values);
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        assert_true(fabs(values[i]) <= bound);
        sum += values[i];
        squares += (double)values[i] * values[i];
    }
    assert_near(sum / COUNT_OF(values) / bound, 0.0, 5 * 0.577 / sqrt(COUNT_OF(values)));
    assert_near(squares / COUNT_OF(values) / bound / bound, 1.0 / 3.0,
                5 * 0.298 / sqrt(COUNT_OF(values)));
    w = &graph.weights[weight_named(&graph, "stem.conv.weight")];
    assert_near_relative(w->value, sqrt(6.0 / (9.0 * w->shape[0])), 1e-7);
    graph_close(&graph);
}

/* All skips: each cell adds its input up to four times, which the last normalisation undoes. */
static void running_variances_follow_what_is_added_up(void **state)
{
    struct graph graph;
    const struct graph_weight *w;
    (void)state;
    build(&space_nasbench201, (const int32_t[]){2, 2, 2, 2, 2, 2}, 0, &graph);
    w = &graph.weights[weight_named(&graph, "head.norm.running_var")];
    assert_near_relative(w->value, pow(4.0, 2 * 15), 0.9);
    w = &graph.weights[weight_named(&graph, "head.norm.weight")];
    assert_near(w->value, 1.0, 0.0);
    graph_close(&graph);
    build(&space_nasbench201, (const int32_t[]){1, 1, 1, 1, 1, 1}, 0, &graph);
    w = &graph.weights[weight_named(&graph, "head.norm.running_var")];
    assert_near(w->value, 1.0, 0.0);
    graph_close(&graph);
}

static enum err build_and_close(void *context, struct error *err)
{
    const struct space *space = context;
    int32_t genes[SPACE_MAX_GENES];
    struct graph graph;
    struct rng rng;
    enum err rc;

    rng_init(&rng, 3);
    random_genes(space, &rng, genes);
    rc = graph_build(space, genes, 0, &graph, err);
    if (rc == ERR_OK) {
        graph_close(&graph);
    }
    return rc;
}

static void every_failed_allocation_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; built_in_spaces[i] != NULL; i++) {
        struct space space = *built_in_spaces[i];
        fail_each_allocation(build_and_close, &space);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_space_without_networks_has_none_to_build),
        counted_test(every_cell_of_nasbench201_has_the_counted_costs),
        counted_test(networks_of_fbnetv3_have_the_counted_costs),
        counted_test(networks_outside_of_the_domain_have_the_counted_costs),
        counted_test(networks_that_can_be_counted_and_not_built_are_refused),
        counted_test(nodes_follow_what_they_read_and_fit_it),
        counted_test(names_are_unique),
        counted_test(edges_become_what_they_are),
        counted_test(pieces_are_the_whole),
        counted_test(seeds_and_weights_draw_apart),
        counted_test(weights_are_the_same_everywhere),
        counted_test(weights_have_the_variance_of_their_layers),
        counted_test(running_variances_follow_what_is_added_up),
        counted_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
