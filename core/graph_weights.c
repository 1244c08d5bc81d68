/* What a graph's weights are: drawn by their number from the seed, and for normalisations what the
 * first batch would leave.
 *
 * Running variances are read off a caricature: each value of the network is N_SAMPLES numbers, as
 * if it had so many elements. A convolution of random weights gives new normal numbers of the
 * variance that follows from its fan-in; everything else does with the numbers what it does with
 * elements, so that what is added to itself grows as it does in the network. Neighbours are taken
 * for equal, which makes an average pool nothing. */
#include "core/graph_weights.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"

enum { N_SAMPLES = 128 };

/* ---- drawing --------------------------------------------------------------------------------- */

/* Both halves of a draw are values, so that twenty million take some 30 ms. */
static float scale_bits(uint64_t bits32, float scale)
{
    return ((float)(int32_t)(bits32 >> 8) - 8388607.5F) * scale; /* exact but for the product */
}

static void fill_uniform(uint64_t key, float bound, size_t first, size_t n, float *out)
{
    const float scale = bound * 0x1p-23F;
    size_t i = 0;

    if (first % 2 == 1 && n > 0) {
        out[i++] = scale_bits(rng_at(key, first / 2) >> 32, scale);
    }
    for (; i + 1 < n; i += 2) {
        uint64_t bits = rng_at(key, (first + i) / 2);
        out[i] = scale_bits(bits & UINT32_MAX, scale);
        out[i + 1] = scale_bits(bits >> 32, scale);
    }
    if (i < n) {
        out[i] = scale_bits(rng_at(key, (first + i) / 2) & UINT32_MAX, scale);
    }
}

void graph_fill(const struct graph *graph, size_t weight, size_t first, size_t n, float *out)
{
    const struct graph_weight *w = &graph->weights[weight];

    if (w->is_constant) {
        for (size_t i = 0; i < n; i++) {
            out[i] = w->value;
        }
        return;
    }
    fill_uniform(rng_at(rng_at(graph->seed, 0), weight), w->value, first, n, out);
}

/* ---- the caricature -------------------------------------------------------------------------- */

static double mean_square(const double *samples)
{
    double sum = 0.0;

    for (size_t i = 0; i < N_SAMPLES; i++) {
        sum += samples[i] * samples[i];
    }
    return sum / N_SAMPLES;
}

static double mean(const double *samples)
{
    double sum = 0.0;

    for (size_t i = 0; i < N_SAMPLES; i++) {
        sum += samples[i];
    }
    return sum / N_SAMPLES;
}

/* Nearly normal numbers of exactly that variance and mean 0, else errors would pile up from layer to
 * layer: sums of four uniform numbers, which every host computes alike, and their opposites. */
static void draw_normal(uint64_t key, double variance, double *out)
{
    double scale;

    for (size_t i = 0; i < N_SAMPLES; i += 2) {
        uint64_t bits = rng_at(key, i);
        uint64_t sum =
            (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        out[i] = (double)sum - 131070.0;
        out[i + 1] = -out[i];
    }
    scale = sqrt(variance / mean_square(out));
    for (size_t i = 0; i < N_SAMPLES; i++) {
        out[i] *= scale;
    }
}

static double hard_sigmoid(double x)
{
    return fmax(0.0, fmin(1.0, x / 6.0 + 0.5));
}

static double apply(enum graph_op op, double x)
{
    switch (op) {
    case GRAPH_RELU:
        return fmax(0.0, x);
    case GRAPH_HARD_SWISH:
        return x * hard_sigmoid(x);
    case GRAPH_HARD_SIGMOID:
        return hard_sigmoid(x);
    case GRAPH_ZERO:
        return 0.0;
    default: /* pools, and what changes the shape alone */
        return x;
    }
}

/* The variance that a convolution or linear layer gives: fan-in x that of a weight x the input's
 * mean square. */
static double weighted_variance(const struct graph_weight *weight, double input_mean_square)
{
    double fan_in = (double)weight->n_values / weight->shape[0];

    return fan_in * ((double)weight->value * weight->value / 3.0) * input_mean_square;
}

static void imitate(struct graph *graph, const struct graph_node *node, const double *a,
                    const double *b, double *out)
{
    struct graph_weight *weights = graph->weights + node->first_weight;
    uint64_t key = rng_at(rng_at(graph->seed, 1), (uint64_t)(node - graph->nodes));
    double variance;

    switch (node->op) {
    case GRAPH_INPUT:
        draw_normal(key, 1.0, out);
        break;
    case GRAPH_CONV:
    case GRAPH_LINEAR:
        draw_normal(key, weighted_variance(&weights[0], mean_square(a)), out);
        break;
    case GRAPH_NORM:
        variance = mean_square(a) * graph->norm_margin * graph->norm_margin;
        variance = variance > 0.0 ? variance : 1.0; /* of zeroes alone: as if it were new */
        weights[3].value = (float)variance;
        for (size_t i = 0; i < N_SAMPLES; i++) {
            out[i] = a[i] / sqrt(variance + GRAPH_NORM_EPSILON);
        }
        break;
    case GRAPH_GLOBAL_POOL:
        out[0] = mean(a);
        for (size_t i = 1; i < N_SAMPLES; i++) {
            out[i] = out[0];
        }
        break;
    case GRAPH_ADD:
    case GRAPH_MULTIPLY:
        for (size_t i = 0; i < N_SAMPLES; i++) {
            out[i] = node->op == GRAPH_ADD ? a[i] + b[i] : a[i] * b[i];
        }
        break;
    default:
        for (size_t i = 0; i < N_SAMPLES; i++) {
            out[i] = apply(node->op, a[i]);
        }
    }
}

bool graph_estimate_norms(struct graph *graph)
{
    double(*samples)[N_SAMPLES] = mem_calloc(graph->n_nodes, sizeof *samples);

    if (samples == NULL) {
        return false;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        imitate(graph, node, samples[node->inputs[0]], samples[node->inputs[1]], samples[i]);
    }
    mem_free(samples);
    return true;
}
