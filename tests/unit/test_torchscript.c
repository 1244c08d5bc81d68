/* proto/torchscript.h: what is in the archive. That PyTorch reads it is for
 * tests/api/test_torchscript.py. */
#include "proto/torchscript.h"
#include "tests/support/zip.h"

static const int32_t cell[] = {4, 1, 3, 5, 2, 1};
static const int32_t bottlenecks[] = {3,  3,  5,  3,  5,  3,  3,   4,   2, 4, 2, 4, 2, 4,
                                      16, 18, 20, 24, 56, 96, 180, 180, 1, 4, 4, 4, 6, 5};

static void build(const struct space *space, const int32_t *genes, struct graph *out)
{
    struct error err = {0};

    assert_ok(graph_build(space, genes, 11, out, &err), &err);
}

static void write_archive(const struct graph *graph, struct memory_sink *memory)
{
    struct error err = {0};
    uint64_t n_bytes = 0;

    assert_ok(torchscript_write(graph, put_in_memory, memory, &n_bytes, &err), &err);
    assert_int_equal(n_bytes, memory->size);
}

static void assert_weight(const struct graph *graph, size_t weight, zip_t *zip)
{
    const size_t n = graph->weights[weight].n_values;
    float *values = mem_calloc(n, sizeof *values);
    char name[64], *bytes;
    size_t size;

    assert_non_null(values);
    graph_fill(graph, weight, 0, n, values);
    (void)snprintf(name, sizeof name, "network/data/%zu", weight);
    bytes = read_stored(zip, name, &size);
    assert_int_equal(size, n * sizeof *values);
    assert_memory_equal(bytes, values, size);
    mem_free(bytes);
    mem_free(values);
}

static void assert_entry(zip_t *zip, const char *name, const char *expected)
{
    size_t size;
    char *bytes = read_stored(zip, name, &size);

    assert_int_equal(size, strlen(expected));
    assert_memory_equal(bytes, expected, size);
    mem_free(bytes);
}

static void an_archive_has_the_entries_that_pytorch_reads(void **state)
{
    struct memory_sink memory = {0};
    struct graph graph;
    zip_t *zip;
    (void)state;
    build(&space_nasbench201, cell, &graph);
    write_archive(&graph, &memory);
    zip = read_archive(&memory);
    assert_int_equal(zip_get_num_entries(zip, 0), 5 + 6 + graph.n_weights);
    for (zip_int64_t i = 0; i < zip_get_num_entries(zip, 0); i++) {
        assert_memory_equal(zip_get_name(zip, (zip_uint64_t)i, 0), "network/", 8);
    }
    assert_entry(zip, "network/version", "3\n");
    assert_entry(zip, "network/byteorder", "little");
    assert_entry(zip, "network/constants.pkl", "\x80\2).");
    assert_entry(zip, "network/extra/space", "nasbench201");
    assert_entry(zip, "network/extra/genes", "413521");
    assert_entry(zip, "network/extra/seed", "11");
    zip_discard(zip);
    mem_free(memory.bytes);
    graph_close(&graph);
}

static void weights_are_those_of_the_graph_and_aligned(void **state)
{
    static const struct {
        const struct space *space;
        const int32_t *genes;
    } rows[] = {
        {&space_nasbench201, cell       },
        {&space_fbnetv3,     bottlenecks},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct memory_sink memory = {0};
        struct graph graph;
        zip_t *zip;
        build(rows[i].space, rows[i].genes, &graph);
        write_archive(&graph, &memory);
        zip = read_archive(&memory);
        for (size_t w = 0; w < graph.n_weights; w++) {
            assert_weight(&graph, w, zip);
        }
        for (size_t w = 0; w < graph.n_weights && w < 12; w++) {
            char name[64];
            (void)snprintf(name, sizeof name, "network/data/%zu", w);
            assert_int_equal(find_entry(&memory, name) % TORCHSCRIPT_ALIGNMENT, 0);
        }
        zip_discard(zip);
        mem_free(memory.bytes);
        graph_close(&graph);
    }
}

/* A line of forward(), and a class, of each shape that there is. */
static void the_code_calls_the_operators_of_the_graph(void **state)
{
    static const char *const lines[] = {
        "class Network(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
        "  head : __torch__.head\n  stages : __torch__.stages\n  stem : __torch__.stem\n"
        "  def forward(self: __torch__.Network,\n    input: Tensor) -> Tensor:\n",
        "class stages(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
        "  __annotations__[\"1\"] = __torch__.stages__1\n",
        "class stem__norm(Module):\n  __parameters__ = [\"bias\", \"weight\", ]\n"
        "  __buffers__ = [\"running_mean\", \"running_var\", ]\n",
        "    stem__conv = torch.conv2d(input, self.stem.conv.weight, None, [2, 2], [1, 1], [1, 1], "
        "1)\n",
        "    stem__norm = torch.batch_norm(stem__conv, self.stem.norm.weight, self.stem.norm.bias, "
        "self.stem.norm.running_mean, self.stem.norm.running_var, False, 0.1, "
        "1.0000000000000001e-05, True)\n",
        " = torch.linear(stages__3__block__1__squeeze__relu, getattr(getattr(self.stages, "
        "\"3\").block, \"1\").squeeze.restore.weight)\n",
        "head__wide__conv = torch.conv2d(head__pool, self.head.wide.conv.weight, "
        "self.head.wide.conv.bias, [1, 1], [0, 0], [1, 1], 1)\n",
        "    return head__linear\n",
    };
    struct graph graph;
    struct text code = {0};
    (void)state;
    build(&space_fbnetv3, bottlenecks, &graph);
    torchscript_put_code(&graph, &code);
    assert_false(code.has_failed);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        assert_contains(code.bytes, lines[i]);
    }
    text_close(&code);
    graph_close(&graph);
}

static void a_network_of_four_gibibytes_is_refused_before_anything_is_written(void **state)
{
    struct memory_sink memory = {0};
    int32_t genes[28];
    struct graph graph;
    uint64_t n_bytes;
    struct error err = {0};
    (void)state;
    memcpy(genes, bottlenecks, sizeof genes);
    genes[19] = genes[20] = genes[21] = 4096; /* channels */
    genes[26] = genes[27] = 10;               /* expansions */
    build(&space_fbnetv3, genes, &graph);
    assert_error(torchscript_write(&graph, put_in_memory, &memory, &n_bytes, &err), ERR_LIMIT, &err,
                 "less than 4 GiB");
    assert_int_equal(memory.size, 0);
    graph_close(&graph);
}

/* Takes all and keeps nothing. */
static bool put_nowhere(void *sink, uint64_t offset, const char *bytes, size_t size)
{
    (void)sink;
    (void)offset;
    (void)bytes;
    (void)size;
    return true;
}

static enum err write_nowhere(void *context, struct error *err)
{
    uint64_t n_bytes;

    return torchscript_write(context, put_nowhere, NULL, &n_bytes, err);
}

static void every_failed_allocation_is_told(void **state)
{
    struct graph graph;
    (void)state;
    build(&space_nasbench201, cell, &graph);
    fail_each_allocation(write_nowhere, &graph);
    graph_close(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(an_archive_has_the_entries_that_pytorch_reads),
        counted_test(weights_are_those_of_the_graph_and_aligned),
        counted_test(the_code_calls_the_operators_of_the_graph),
        counted_test(a_network_of_four_gibibytes_is_refused_before_anything_is_written),
        counted_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
