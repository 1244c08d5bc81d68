/* proto/onnx.h: the stream is one protobuf message, whatever the pieces, that holds the graph. */
#include <onnx.pb-c.h>

#include "proto/onnx.h"
#include "tests/support/check.h"

static const int32_t cell[] = {4, 1, 3, 5, 2, 1};
static const int32_t bottlenecks[] = {3,  3,  5,  3,  5,  3,  3,   4,   2, 4, 2, 4, 2, 4,
                                      16, 18, 20, 24, 56, 96, 180, 180, 1, 4, 4, 4, 6, 5};

static void build(const struct space *space, const int32_t *genes, struct graph *out)
{
    struct error err = {0};

    assert_ok(graph_build(space, genes, 11, out, &err), &err);
}

/* The whole file, read by at most `step` bytes at a time; a block to be mem_free()d. */
static char *read_whole(const struct graph *graph, size_t step, size_t *size)
{
    struct onnx onnx;
    struct error err = {0};
    char *bytes;
    size_t n = 0, got;

    assert_ok(onnx_open(graph, &onnx, &err), &err);
    *size = (size_t)onnx.size;
    bytes = mem_calloc(*size + step, 1);
    assert_non_null(bytes);
    while ((got = onnx_read(&onnx, bytes + n, step)) > 0) {
        n += got;
        assert_true(n <= *size);
        assert_true(got == step || n == *size); /* fewer only at the end */
    }
    assert_int_equal(n, *size);
    onnx_close(&onnx);
    return bytes;
}

static void pieces_of_any_size_are_the_same_file(void **state)
{
    static const size_t steps[] = {1, 3, 4096, 16385, 1 << 20};
    struct graph graph;
    char *whole;
    size_t size;
    (void)state;
    build(&space_nasbench201, cell, &graph);
    whole = read_whole(&graph, 65536, &size);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        size_t n;
        char *bytes = read_whole(&graph, steps[i], &n);
        assert_int_equal(n, size);
        assert_memory_equal(bytes, whole, size);
        mem_free(bytes);
    }
    mem_free(whole);
    graph_close(&graph);
}

static void assert_initializer(const struct graph *graph, size_t weight,
                               const Onnx__TensorProto *tensor)
{
    const struct graph_weight *w = &graph->weights[weight];
    char name[GRAPH_WEIGHT_NAME_BYTES];
    float *values = mem_calloc(w->n_values, sizeof *values);

    assert_non_null(values);
    graph_weight_name(graph, weight, name);
    assert_string_equal(tensor->name, name);
    assert_int_equal(tensor->n_dims, w->n_dims);
    for (size_t d = 0; d < w->n_dims; d++) {
        assert_int_equal(tensor->dims[d], w->shape[d]);
    }
    graph_fill(graph, weight, 0, w->n_values, values);
    assert_int_equal(tensor->raw_data.len, w->n_values * sizeof *values);
    assert_memory_equal(tensor->raw_data.data, values, tensor->raw_data.len);
    mem_free(values);
}

/* Rows: a network, and the constants that its nodes need besides. */
static void the_message_holds_the_graph(void **state)
{
    static const struct {
        const struct space *space;
        const int32_t *genes;
        size_t n_constants;
    } rows[] = {
        {&space_nasbench201, cell,        0},
        {&space_fbnetv3,     bottlenecks, 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Onnx__ModelProto *model;
        struct graph graph;
        size_t size;
        char *bytes;
        build(rows[i].space, rows[i].genes, &graph);
        bytes = read_whole(&graph, 65536, &size);
        model = onnx__model_proto__unpack(NULL, size, (const uint8_t *)bytes);
        assert_non_null(model);
        assert_int_equal(model->ir_version, 8);
        assert_int_equal(model->opset_import[0]->version, 17);
        assert_int_equal(model->graph->n_node, graph.n_nodes - 1 + rows[i].n_constants);
        assert_int_equal(model->graph->n_initializer, graph.n_weights);
        for (size_t w = 0; w < graph.n_weights; w++) {
            assert_initializer(&graph, w, model->graph->initializer[w]);
        }
        assert_string_equal(model->graph->input[0]->name, "input");
        assert_string_equal(model->graph->output[0]->name, "logits");
        onnx__model_proto__free_unpacked(model, NULL);
        mem_free(bytes);
        graph_close(&graph);
    }
}

static void a_network_beyond_two_gibibytes_is_refused(void **state)
{
    int32_t genes[28];
    struct graph graph;
    struct onnx onnx;
    struct error err = {0};
    (void)state;
    memcpy(genes, bottlenecks, sizeof genes);
    genes[19] = genes[20] = genes[21] = 4096;
    build(&space_fbnetv3, genes, &graph);
    assert_error(onnx_open(&graph, &onnx, &err), ERR_LIMIT, &err, "has at most 2147483647");
    graph_close(&graph);
}

static enum err open_and_close(void *context, struct error *err)
{
    struct onnx onnx;
    enum err rc = onnx_open(context, &onnx, err);

    if (rc == ERR_OK) {
        onnx_close(&onnx);
    }
    return rc;
}

static void every_failed_allocation_is_told(void **state)
{
    struct graph graph;
    (void)state;
    build(&space_fbnetv3, bottlenecks, &graph);
    fail_each_allocation(open_and_close, &graph);
    graph_close(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(pieces_of_any_size_are_the_same_file),
        counted_test(the_message_holds_the_graph),
        counted_test(a_network_beyond_two_gibibytes_is_refused),
        counted_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
