/* How a file that never is in memory whole can be one protobuf message.
 *
 * A message is its fields one after the other, in any order. A field that is a message or bytes is a
 * tag, a length, and so many bytes; a repeated field is several of them. So the elements of the
 * large repeated fields (a graph's nodes, its initializers) and the raw bytes of an initializer are
 * framed here by hand, and everything else is packed by protobuf-c:
 *
 *     ModelProto without graph | tag and length of the graph
 *         { tag and length { NodeProto } } ...
 *         GraphProto without nodes and initializers
 *         { tag and length { TensorProto without bytes | tag and length of the bytes | bytes } } ...
 *
 * The lengths are known beforehand, since a weight's number of values is. */
#include "proto/onnx.h"

#include <inttypes.h>
#include <onnx.pb-c.h>
#include <string.h>

#include "core/mem.h"
#include "core/version.h"
#include "proto/network_facts.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ONNX holds little-endian values");

enum { OPSET = 17, MAX_ATTRIBUTES = 4, MAX_NODE_INPUTS = 5 };

#define MAX_FILE_BYTES INT32_MAX /* protobuf's, for one message */

#define ZERO_NAME "constants.zero" /* a scalar */
#define AXES_NAME "constants.axes" /* of a vector that becomes a map */

/* ---- framing --------------------------------------------------------------------------------- */

enum { WIRE_LENGTH_DELIMITED = 2, VARINT_BYTES = 10 };

static size_t put_varint(uint64_t value, char *out)
{
    size_t n = 0;

    while (value >= 0x80) {
        out[n++] = (char)(value | 0x80);
        value >>= 7;
    }
    out[n++] = (char)value;
    return n;
}

/* Tag and length of a field that is known by the message's descriptor and its name. */
static size_t make_frame(const ProtobufCMessageDescriptor *message, const char *field,
                         uint64_t length, char out[2 * VARINT_BYTES])
{
    uint32_t id = protobuf_c_message_descriptor_get_field_by_name(message, field)->id;
    size_t n = put_varint((uint64_t)id << 3 | WIRE_LENGTH_DELIMITED, out);

    return n + put_varint(length, out + n);
}

static void put_frame(const ProtobufCMessageDescriptor *message, const char *field, uint64_t length,
                      struct text *out)
{
    char frame[2 * VARINT_BYTES];

    text_put(out, frame, make_frame(message, field, length, frame));
}

static void put_message(const ProtobufCMessage *message, struct text *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);

    text_reserve(out, size);
    if (!out->has_failed) {
        (void)protobuf_c_message_pack(message, (uint8_t *)out->bytes + out->size);
        out->size += size;
    }
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* A NodeProto with room for what it points to. */
struct draft {
    Onnx__NodeProto node;
    char *inputs[MAX_NODE_INPUTS], *output;
    char weight_names[MAX_NODE_INPUTS][GRAPH_WEIGHT_NAME_BYTES];
    Onnx__AttributeProto attributes[MAX_ATTRIBUTES], *attribute_list[MAX_ATTRIBUTES];
    int64_t kernel[2], strides[2], pads[4];
};

static void draft_init(struct draft *draft, const char *type, const char *name, const char *output)
{
    onnx__node_proto__init(&draft->node);
    draft->output = (char *)output; /* protobuf-c reads what it packs, and does not say const */
    draft->node.op_type = (char *)type;
    draft->node.name = (char *)name;
    draft->node.input = draft->inputs;
    draft->node.output = &draft->output;
    draft->node.n_output = 1;
    draft->node.attribute = draft->attribute_list;
}

static void add_input(struct draft *draft, const char *name)
{
    draft->inputs[draft->node.n_input++] = (char *)name;
}

static Onnx__AttributeProto *add_attribute(struct draft *draft, const char *name,
                                           Onnx__AttributeProto__AttributeType type)
{
    size_t n = draft->node.n_attribute++;
    Onnx__AttributeProto *attribute = &draft->attributes[n];

    onnx__attribute_proto__init(attribute);
    attribute->name = (char *)name;
    attribute->has_type = 1;
    attribute->type = type;
    draft->attribute_list[n] = attribute;
    return attribute;
}

static void add_float(struct draft *draft, const char *name, float value)
{
    Onnx__AttributeProto *attribute =
        add_attribute(draft, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);

    attribute->has_f = 1;
    attribute->f = value;
}

static void add_int(struct draft *draft, const char *name, int64_t value)
{
    Onnx__AttributeProto *attribute =
        add_attribute(draft, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);

    attribute->has_i = 1;
    attribute->i = value;
}

/* `values` is (n), borrowed until the draft is put. */
static void add_ints(struct draft *draft, const char *name, int64_t *values, size_t n)
{
    Onnx__AttributeProto *attribute =
        add_attribute(draft, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);

    attribute->ints = values;
    attribute->n_ints = n;
}

static void put_node(const struct draft *draft, struct text *out)
{
    put_frame(&onnx__graph_proto__descriptor, "node",
              protobuf_c_message_get_packed_size(&draft->node.base), out);
    put_message(&draft->node.base, out);
}

/* What slides over a map. */
static void add_window(struct draft *draft, const struct graph_node *node)
{
    for (size_t i = 0; i < 4; i++) {
        draft->kernel[i % 2] = node->kernel;
        draft->strides[i % 2] = node->stride;
        draft->pads[i] = node->padding;
    }
    add_ints(draft, "kernel_shape", draft->kernel, 2);
    add_ints(draft, "strides", draft->strides, 2);
    add_ints(draft, "pads", draft->pads, 4);
}

static void add_conv(struct draft *draft, const struct graph_node *node)
{
    add_window(draft, node);
    add_int(draft, "group", node->groups);
}

static void add_norm(struct draft *draft, const struct graph_node *node)
{
    (void)node;
    add_float(draft, "epsilon", (float)GRAPH_NORM_EPSILON);
}

static void add_hard_sigmoid(struct draft *draft, const struct graph_node *node)
{
    (void)node;
    add_float(draft, "alpha", 1.0F / 6.0F);
    add_float(draft, "beta", 0.5F);
}

static void add_pool(struct draft *draft, const struct graph_node *node)
{
    add_window(draft, node);
    add_int(draft, "count_include_pad", 0);
}

/* x W^T + b */
static void add_linear(struct draft *draft, const struct graph_node *node)
{
    (void)node;
    add_int(draft, "transB", 1);
}

/* The operator of ONNX, a constant that it reads after the node's inputs, and its attributes. */
static const struct onnx_operator {
    const char *type;
    const char *constant;
    void (*add_attributes)(struct draft *draft, const struct graph_node *node);
} operators[GRAPH_N_OPS] = {
    [GRAPH_CONV] = {"Conv",               NULL,      add_conv        },
    [GRAPH_NORM] = {"BatchNormalization", NULL,      add_norm        },
    [GRAPH_RELU] = {"Relu",               NULL,      NULL            },
    [GRAPH_HARD_SWISH] = {"HardSwish",          NULL,      NULL            },
    [GRAPH_HARD_SIGMOID] = {"HardSigmoid",        NULL,      add_hard_sigmoid},
    [GRAPH_AVERAGE_POOL] = {"AveragePool",        NULL,      add_pool        },
    [GRAPH_GLOBAL_POOL] = {"GlobalAveragePool",  NULL,      NULL            },
    [GRAPH_FLATTEN] = {"Flatten",            NULL,      NULL            },
    [GRAPH_UNFLATTEN] = {"Unsqueeze",          AXES_NAME, NULL            },
    [GRAPH_LINEAR] = {"Gemm",               NULL,      add_linear      },
    [GRAPH_ADD] = {"Add",                NULL,      NULL            },
    [GRAPH_MULTIPLY] = {"Mul",                NULL,      NULL            },
    [GRAPH_ZERO] = {"Mul",                ZERO_NAME, NULL            },
};

/* The name under which a node's output is read. */
static const char *value_name(const struct graph *graph, size_t node)
{
    return node + 1 == graph->n_nodes ? "logits" : graph->nodes[node].name;
}

static void put_graph_node(const struct graph *graph, size_t i, struct text *out)
{
    const struct graph_node *node = &graph->nodes[i];
    const struct onnx_operator *op = &operators[node->op];
    struct draft draft;

    draft_init(&draft, op->type, node->name, value_name(graph, i));
    for (size_t k = 0; k < node->n_inputs; k++) {
        add_input(&draft, value_name(graph, node->inputs[k]));
    }
    if (op->constant != NULL) {
        add_input(&draft, op->constant);
    }
    for (size_t w = 0; w < node->n_weights; w++) {
        graph_weight_name(graph, node->first_weight + w, draft.weight_names[w]);
        add_input(&draft, draft.weight_names[w]);
    }
    if (op->add_attributes != NULL) {
        op->add_attributes(&draft, node);
    }
    put_node(&draft, out);
}

static bool has_op(const struct graph *graph, enum graph_op op)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i].op == op) {
            return true;
        }
    }
    return false;
}

/* Constants are nodes, so that the initializers are the network's weights alone. */
static void put_constants(const struct graph *graph, struct text *out)
{
    struct draft draft;

    if (has_op(graph, GRAPH_ZERO)) {
        draft_init(&draft, "Constant", ZERO_NAME, ZERO_NAME);
        add_float(&draft, "value_float", 0.0F);
        put_node(&draft, out);
    }
    if (has_op(graph, GRAPH_UNFLATTEN)) {
        int64_t axes[] = {2, 3};
        draft_init(&draft, "Constant", AXES_NAME, AXES_NAME);
        add_ints(&draft, "value_ints", axes, 2);
        put_node(&draft, out);
    }
}

/* ---- the model's own fields ------------------------------------------------------------------ */

/* A ValueInfoProto with what it points to: a tensor of floats of that shape. */
struct value_info {
    Onnx__ValueInfoProto info, *list[1];
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor;
    Onnx__TensorShapeProto shape;
    Onnx__TensorShapeProto__Dimension dims[GRAPH_MAX_DIMS], *dim_list[GRAPH_MAX_DIMS];
};

static void value_info_init(struct value_info *v, const char *name, const struct graph_node *node)
{
    const int64_t dims[GRAPH_MAX_DIMS] = {1, node->channels, node->side, node->side};
    const size_t n_dims = node->is_vector ? 2 : 4;

    onnx__value_info_proto__init(&v->info);
    onnx__type_proto__init(&v->type);
    onnx__type_proto__tensor__init(&v->tensor);
    onnx__tensor_shape_proto__init(&v->shape);
    for (size_t d = 0; d < n_dims; d++) {
        onnx__tensor_shape_proto__dimension__init(&v->dims[d]);
        v->dims[d].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        v->dims[d].dim_value = dims[d];
        v->dim_list[d] = &v->dims[d];
    }
    v->shape.n_dim = n_dims;
    v->shape.dim = v->dim_list;
    v->tensor.has_elem_type = 1;
    v->tensor.elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    v->tensor.shape = &v->shape;
    v->type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    v->type.tensor_type = &v->tensor;
    v->info.name = (char *)name;
    v->info.type = &v->type;
    v->list[0] = &v->info;
}

/* The graph's name, input and output. */
static void put_ends(const struct graph *graph, struct text *out)
{
    Onnx__GraphProto ends = ONNX__GRAPH_PROTO__INIT;
    struct value_info input, output;

    value_info_init(&input, value_name(graph, 0), &graph->nodes[0]);
    value_info_init(&output, value_name(graph, graph->n_nodes - 1),
                    &graph->nodes[graph->n_nodes - 1]);
    ends.name = (char *)graph->space->name;
    ends.n_input = 1;
    ends.input = input.list;
    ends.n_output = 1;
    ends.output = output.list;
    put_message(&ends.base, out);
}

/* The model without its graph. */
static void put_model(const struct graph *graph, struct text *out)
{
    enum { N_FACTS = NETWORK_N_FACTS };
    struct network_fact facts[N_FACTS];
    Onnx__StringStringEntryProto entries[N_FACTS], *entry_list[N_FACTS];
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opset_list[] = {&opset};
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;

    network_facts(graph, facts);
    for (size_t i = 0; i < N_FACTS; i++) {
        onnx__string_string_entry_proto__init(&entries[i]);
        entries[i].key = (char *)facts[i].key;
        entries[i].value = facts[i].value;
        entry_list[i] = &entries[i];
    }
    opset.domain = "";
    opset.has_version = 1;
    opset.version = OPSET;
    model.has_ir_version = 1;
    model.ir_version = ONNX__VERSION__IR_VERSION;
    model.producer_name = "dgld";
    model.producer_version = DGLD_VERSION;
    model.doc_string = "Weights are initialised from the seed; they are not trained.";
    model.n_opset_import = 1;
    model.opset_import = opset_list;
    model.n_metadata_props = N_FACTS;
    model.metadata_props = entry_list;
    put_message(&model.base, out);
}

/* ---- weights --------------------------------------------------------------------------------- */

static uint64_t raw_bytes(const struct graph_weight *weight)
{
    return (uint64_t)weight->n_values * sizeof(float);
}

/* Appends what stands before the values of a weight, with the frame of the whole; returns how many
 * bytes the initializer takes with its values. */
static uint64_t put_weight_head(const struct graph *graph, size_t weight, struct text *out)
{
    const struct graph_weight *w = &graph->weights[weight];
    Onnx__TensorProto tensor = ONNX__TENSOR_PROTO__INIT;
    char name[GRAPH_WEIGHT_NAME_BYTES];
    char frame[2 * VARINT_BYTES];
    int64_t dims[GRAPH_MAX_DIMS];
    const size_t start = out->size;
    size_t n_frame;

    graph_weight_name(graph, weight, name);
    for (size_t d = 0; d < w->n_dims; d++) {
        dims[d] = w->shape[d];
    }
    tensor.name = name;
    tensor.dims = dims;
    tensor.n_dims = w->n_dims;
    tensor.has_data_type = 1;
    tensor.data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    n_frame = make_frame(&onnx__tensor_proto__descriptor, "raw_data", raw_bytes(w), frame);
    put_frame(&onnx__graph_proto__descriptor, "initializer",
              protobuf_c_message_get_packed_size(&tensor.base) + n_frame + raw_bytes(w), out);
    put_message(&tensor.base, out);
    text_put(out, frame, n_frame);
    return out->size - start + raw_bytes(w);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The bytes of all initializers, each made in `scratch`. */
static uint64_t measure_weights(const struct graph *graph, struct text *scratch)
{
    uint64_t size = 0;

    for (size_t w = 0; w < graph->n_weights; w++) {
        scratch->size = 0;
        size += put_weight_head(graph, w, scratch);
    }
    scratch->size = 0;
    return size;
}

enum err onnx_open(const struct graph *graph, struct onnx *out, struct error *err)
{
    struct text nodes = {0}, head = {0};
    uint64_t weights_bytes = measure_weights(graph, &head);
    uint64_t size;
    enum err rc = ERR_OK;

    put_constants(graph, &nodes);
    for (size_t i = 1; i < graph->n_nodes; i++) { /* the input is no node there */
        put_graph_node(graph, i, &nodes);
    }
    put_ends(graph, &nodes);
    put_model(graph, &head);
    put_frame(&onnx__model_proto__descriptor, "graph", nodes.size + weights_bytes, &head);
    if (!nodes.has_failed) {
        text_put(&head, nodes.bytes, nodes.size);
    }
    size = head.size + weights_bytes;
    if (nodes.has_failed || head.has_failed) {
        rc = error_set(err, ERR_NOMEM, "no memory for the nodes of an ONNX file");
    } else if (size > MAX_FILE_BYTES) {
        rc = error_set(err, ERR_LIMIT,
                       "this network takes %" PRIu64 " bytes, and an ONNX file has at most %d",
                       size, MAX_FILE_BYTES);
    }
    text_close(&nodes);
    if (rc != ERR_OK) {
        text_close(&head);
        return rc;
    }
    memset(out, 0, sizeof *out);
    out->graph = graph;
    out->size = size;
    out->piece = head;
    return ERR_OK;
}

void onnx_close(struct onnx *onnx)
{
    text_close(&onnx->piece);
}

/* Copies what is left of a block, as far as there is room. */
static size_t take(const void *block, size_t size, size_t *n_read, char *bytes, size_t room)
{
    size_t n = size - *n_read < room ? size - *n_read : room;

    memcpy(bytes, (const char *)block + *n_read, n);
    *n_read += n;
    return n;
}

static size_t n_values_left(const struct onnx *onnx)
{
    return onnx->next_weight == 0
               ? 0
               : onnx->graph->weights[onnx->next_weight - 1].n_values - onnx->next_value;
}

/* Makes the next piece or the next values; false at the file's end. */
static bool refill(struct onnx *onnx)
{
    size_t left = n_values_left(onnx);

    if (left > 0) {
        size_t n = left < ONNX_VALUES_AT_ONCE ? left : ONNX_VALUES_AT_ONCE;
        graph_fill(onnx->graph, onnx->next_weight - 1, onnx->next_value, n, onnx->values);
        onnx->next_value += n;
        onnx->n_value_bytes = n * sizeof *onnx->values;
        onnx->n_value_read = 0;
        return true;
    }
    if (onnx->next_weight == onnx->graph->n_weights) {
        return false;
    }
    /* in the block of the file's head, which is larger than that of any weight: nothing can fail */
    onnx->piece.size = 0;
    onnx->n_piece_read = 0;
    (void)put_weight_head(onnx->graph, onnx->next_weight++, &onnx->piece);
    onnx->next_value = 0;
    return true;
}

size_t onnx_read(struct onnx *onnx, char *bytes, size_t size)
{
    size_t n = 0;

    while (n < size) {
        size_t before = n;
        n += take(onnx->piece.bytes, onnx->piece.size, &onnx->n_piece_read, bytes + n, size - n);
        n += take(onnx->values, onnx->n_value_bytes, &onnx->n_value_read, bytes + n, size - n);
        if (n == before && !refill(onnx)) {
            break;
        }
    }
    return n;
}
