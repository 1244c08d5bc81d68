/* The modules of a network as TorchScript has them: classes, and objects of them.
 *
 * A graph knows no modules but by its names: sorted, the weights of one stand together, and so do
 * those of each module in it. One pass over them writes the classes and another the objects; a
 * class is named by where its module is, "stages__3__block__2", since a module inside of it is one
 * of its types. Classes hold weights alone; that of the whole has forward(), one line for a node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "proto/pickle.h"
#include "proto/torchscript.h"

#define ROOT_CLASS "Network"
#define CODE       "__torch__" /* the Python module of the classes */

/* ---- names ----------------------------------------------------------------------------------- */

struct named_weight {
    char name[GRAPH_WEIGHT_NAME_BYTES];
    size_t weight;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct named_weight *)a)->name, ((const struct named_weight *)b)->name);
}

/* The weights by name: a dot is below all that names have else, so that modules are not torn. NULL
 * where memory is out. */
static struct named_weight *sort_weights(const struct graph *graph)
{
    struct named_weight *sorted = mem_calloc(graph->n_weights, sizeof *sorted);

    for (size_t w = 0; sorted != NULL && w < graph->n_weights; w++) {
        graph_weight_name(graph, w, sorted[w].name);
        sorted[w].weight = w;
    }
    if (sorted != NULL) {
        qsort(sorted, graph->n_weights, sizeof *sorted, compare_names);
    }
    return sorted;
}

/* A module, or a weight where `is_weight`: the weights first .. first + n - 1, whose names have the
 * first `n_prefix` bytes in common, with a dot at their end unless there are none. */
struct part {
    const struct graph *graph;
    const struct named_weight *weights;
    size_t n, n_prefix;
    bool is_weight;
};

/* The part of a module that begins at its weight `first`; `name` receives what the module calls it. */
static struct part part_at(const struct part *module, size_t first,
                           char name[GRAPH_WEIGHT_NAME_BYTES])
{
    struct part part = {
        .graph = module->graph, .weights = &module->weights[first], .n = 1, .is_weight = true};
    const char *own = part.weights[0].name + module->n_prefix;
    const size_t length = strcspn(own, ".");

    memcpy(name, own, length);
    name[length] = '\0';
    if (own[length] == '.') {
        part.is_weight = false;
        part.n_prefix = module->n_prefix + length + 1;
        while (first + part.n < module->n &&
               strncmp(part.weights[part.n].name, part.weights[0].name, part.n_prefix) == 0) {
            part.n++;
        }
    }
    return part;
}

/* A dotted name as one word; `size` is how much of it. */
static void put_word(const char *name, size_t size, struct text *out)
{
    for (size_t i = 0; i < size; i++) {
        text_put(out, name[i] == '.' ? "__" : &name[i], name[i] == '.' ? 2 : 1);
    }
}

static void put_class_name(const struct part *module, struct text *out)
{
    if (module->n_prefix == 0) {
        text_puts(out, ROOT_CLASS);
    } else {
        put_word(module->weights[0].name, module->n_prefix - 1, out);
    }
}

/* ---- classes --------------------------------------------------------------------------------- */

/* Names of the module's own weights that are parameters, or that are not: `"weight", "bias", `. */
static void put_weight_names(const struct part *module, bool are_parameters, struct text *out)
{
    char name[GRAPH_WEIGHT_NAME_BYTES];
    struct part part;

    for (size_t i = 0; i < module->n; i += part.n) {
        part = part_at(module, i, name);
        if (part.is_weight &&
            module->graph->weights[part.weights[0].weight].is_parameter == are_parameters) {
            text_printf(out, "\"%s\", ", name);
        }
    }
}

static bool is_number(const char *name)
{
    return name[0] >= '0' && name[0] <= '9';
}

/* The class of a module, behind those of the modules in it. */
static void put_class(const struct part *module, struct text *out)
{
    char name[GRAPH_WEIGHT_NAME_BYTES];
    struct part part;

    for (size_t i = 0; i < module->n; i += part.n) {
        part = part_at(module, i, name);
        if (!part.is_weight) {
            put_class(&part, out);
        }
    }
    text_puts(out, "class ");
    put_class_name(module, out);
    text_puts(out, "(Module):\n  __parameters__ = [");
    put_weight_names(module, true, out);
    text_puts(out, "]\n  __buffers__ = [");
    put_weight_names(module, false, out);
    text_puts(out, "]\n  training : bool\n");
    for (size_t i = 0; i < module->n; i += part.n) {
        part = part_at(module, i, name);
        text_printf(out, is_number(name) ? "  __annotations__[\"%s\"] = " : "  %s : ", name);
        if (part.is_weight) {
            text_puts(out, "Tensor\n");
        } else {
            text_puts(out, CODE ".");
            put_class_name(&part, out);
            text_puts(out, "\n");
        }
    }
}

/* ---- forward() ------------------------------------------------------------------------------- */

static void put_value(const struct graph *graph, size_t node, struct text *out)
{
    put_word(graph->nodes[node].name, strlen(graph->nodes[node].name), out);
}

/* Where a weight is, from `self`. What is named by a number cannot stand behind a dot. */
static void put_weight(const struct graph *graph, size_t weight, struct text *out)
{
    char name[GRAPH_WEIGHT_NAME_BYTES];
    char *rest = NULL;

    graph_weight_name(graph, weight, name);
    for (const char *c = name; c != NULL; c = strchr(c, '.')) {
        c += *c == '.';
        text_puts(out, is_number(c) ? "getattr(" : "");
    }
    text_puts(out, "self");
    for (const char *c = strtok_r(name, ".", &rest); c != NULL; c = strtok_r(NULL, ".", &rest)) {
        text_printf(out, is_number(c) ? ", \"%s\")" : ".%s", c);
    }
}

static void put_conv(const struct graph_node *node, struct text *out)
{
    text_printf(out, "%s, [%u, %u], [%u, %u], [1, 1], %u", node->n_weights == 1 ? ", None" : "",
                node->stride, node->stride, node->padding, node->padding, node->groups);
}

/* Not in training; the momentum has no meaning then. */
static void put_norm(const struct graph_node *node, struct text *out)
{
    (void)node;
    text_printf(out, ", False, 0.1, %.17g, True", GRAPH_NORM_EPSILON);
}

/* Neither rounding up nor counting the padding. */
static void put_pool(const struct graph_node *node, struct text *out)
{
    text_printf(out, ", [%u, %u], [%u, %u], [%u, %u], False, False", node->kernel, node->kernel,
                node->stride, node->stride, node->padding, node->padding);
}

static void put_global_pool(const struct graph_node *node, struct text *out)
{
    (void)node;
    text_puts(out, ", [1, 1]");
}

static void put_flatten(const struct graph_node *node, struct text *out)
{
    (void)node;
    text_puts(out, ", 1");
}

static void put_unflatten(const struct graph_node *node, struct text *out)
{
    text_printf(out, ", [-1, %u, 1, 1]", node->channels);
}

static void put_zero(const struct graph_node *node, struct text *out)
{
    (void)node;
    text_puts(out, ", 0");
}

/* The operator of PyTorch, and what it takes behind the values and the weights. */
/* clang-format off */
static const struct torch_operator {
    const char *name;
    void (*put_settings)(const struct graph_node *node, struct text *out);
} operators[GRAPH_N_OPS] = {
    [GRAPH_CONV]         = {"conv2d",              put_conv       },
    [GRAPH_NORM]         = {"batch_norm",          put_norm       },
    [GRAPH_RELU]         = {"relu",                NULL           },
    [GRAPH_HARD_SWISH]   = {"hardswish",           NULL           },
    [GRAPH_HARD_SIGMOID] = {"hardsigmoid",         NULL           },
    [GRAPH_AVERAGE_POOL] = {"avg_pool2d",          put_pool       },
    [GRAPH_GLOBAL_POOL]  = {"adaptive_avg_pool2d", put_global_pool},
    [GRAPH_FLATTEN]      = {"flatten",             put_flatten    },
    [GRAPH_UNFLATTEN]    = {"reshape",             put_unflatten  },
    [GRAPH_LINEAR]       = {"linear",              NULL           },
    [GRAPH_ADD]          = {"add",                 NULL           },
    [GRAPH_MULTIPLY]     = {"mul",                 NULL           },
    [GRAPH_ZERO]         = {"mul",                 put_zero       },
};
/* clang-format on */

static void put_node(const struct graph *graph, size_t i, struct text *out)
{
    const struct graph_node *node = &graph->nodes[i];
    const struct torch_operator *op = &operators[node->op];

    text_puts(out, "    ");
    put_value(graph, i, out);
    text_printf(out, " = torch.%s(", op->name);
    for (size_t k = 0; k < node->n_inputs; k++) {
        text_puts(out, k > 0 ? ", " : "");
        put_value(graph, node->inputs[k], out);
    }
    for (size_t w = 0; w < node->n_weights; w++) {
        text_puts(out, ", ");
        put_weight(graph, node->first_weight + w, out);
    }
    if (op->put_settings != NULL) {
        op->put_settings(node, out);
    }
    text_puts(out, ")\n");
}

static void put_forward(const struct graph *graph, struct text *out)
{
    text_puts(out, "  def forward(self: " CODE "." ROOT_CLASS ",\n    ");
    put_value(graph, 0, out);
    text_puts(out, ": Tensor) -> Tensor:\n");
    for (size_t i = 1; i < graph->n_nodes; i++) {
        put_node(graph, i, out);
    }
    text_puts(out, "    return ");
    put_value(graph, graph->n_nodes - 1, out);
    text_puts(out, "\n");
}

void torchscript_put_code(const struct graph *graph, struct text *out)
{
    struct named_weight *sorted = sort_weights(graph);
    const struct part root = {.graph = graph, .weights = sorted, .n = graph->n_weights};

    if (sorted == NULL) {
        out->has_failed = true;
        return;
    }
    put_class(&root, out); /* the root's comes last */
    put_forward(graph, out);
    mem_free(sorted);
}

/* ---- objects --------------------------------------------------------------------------------- */

/* The strides of a tensor without gaps, or its shape. */
static void pickle_dims(const struct graph_weight *weight, bool are_strides, struct text *out)
{
    pickle_op(out, PICKLE_MARK);
    for (size_t d = 0; d < weight->n_dims; d++) {
        int64_t stride = 1;
        for (size_t k = d + 1; k < weight->n_dims; k++) {
            stride *= weight->shape[k];
        }
        pickle_int(out, are_strides ? stride : weight->shape[d]);
    }
    pickle_op(out, PICKLE_TUPLE);
}

/* A call of PyTorch's function that makes a tensor of a storage, all of it, with no hooks. */
static void pickle_tensor(const struct graph *graph, size_t number, struct text *out)
{
    const struct graph_weight *weight = &graph->weights[number];
    char storage[24];

    (void)snprintf(storage, sizeof storage, "%zu", number);
    pickle_global(out, "torch._utils", "_rebuild_tensor_v2");
    pickle_op(out, PICKLE_MARK);
    pickle_op(out, PICKLE_MARK);
    pickle_string(out, "storage");
    pickle_global(out, "torch", "FloatStorage");
    pickle_string(out, storage);
    pickle_string(out, "cpu");
    pickle_int(out, (int64_t)weight->n_values);
    pickle_op(out, PICKLE_TUPLE);
    pickle_op(out, PICKLE_PERSISTENT_ID);
    pickle_int(out, 0); /* where it begins */
    pickle_dims(weight, false, out);
    pickle_dims(weight, true, out);
    pickle_bool(out, weight->is_parameter); /* whether it needs gradients */
    pickle_global(out, "collections", "OrderedDict");
    pickle_op(out, PICKLE_EMPTY_TUPLE);
    pickle_op(out, PICKLE_REDUCE);
    pickle_op(out, PICKLE_TUPLE);
    pickle_op(out, PICKLE_REDUCE);
}

static void pickle_class_name(const struct part *module, struct text *out)
{
    struct text name = {0};

    put_class_name(module, &name);
    if (name.has_failed) {
        out->has_failed = true;
    } else {
        pickle_global(out, CODE, name.bytes);
    }
    text_close(&name);
}

static void pickle_module(const struct part *module, struct text *out)
{
    char name[GRAPH_WEIGHT_NAME_BYTES];
    struct part part;

    pickle_class_name(module, out);
    pickle_op(out, PICKLE_EMPTY_TUPLE);
    pickle_op(out, PICKLE_NEW_OBJECT);
    pickle_op(out, PICKLE_EMPTY_DICT);
    pickle_op(out, PICKLE_MARK);
    pickle_string(out, "training");
    pickle_bool(out, false);
    for (size_t i = 0; i < module->n; i += part.n) {
        part = part_at(module, i, name);
        pickle_string(out, name);
        if (part.is_weight) {
            pickle_tensor(part.graph, part.weights[0].weight, out);
        } else {
            pickle_module(&part, out);
        }
    }
    pickle_op(out, PICKLE_SET_ITEMS);
    pickle_op(out, PICKLE_BUILD);
}

void torchscript_put_object(const struct graph *graph, struct text *out)
{
    struct named_weight *sorted = sort_weights(graph);
    const struct part root = {.graph = graph, .weights = sorted, .n = graph->n_weights};

    if (sorted == NULL) {
        out->has_failed = true;
        return;
    }
    pickle_begin(out);
    pickle_module(&root, out);
    pickle_end(out);
    mem_free(sorted);
}
