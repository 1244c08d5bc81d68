#include "core/cost.h"

#define BYTES_PER_VALUE 4 /* 32-bit floats */

static const char *const kind_names[COST_N_KINDS] = {
#define COST_KIND_NAME(kind, name) [kind] = name,
    COST_KIND_LIST(COST_KIND_NAME)
#undef COST_KIND_NAME
};

void cost_add_conv(struct cost *cost, const struct cost_conv *conv)
{
    uint64_t weights =
        (uint64_t)conv->kernel * conv->kernel * (conv->c_in / conv->groups) * conv->c_out;
    uint64_t values_in = (uint64_t)conv->side_in * conv->side_in * conv->c_in;
    uint64_t pixels_out = (uint64_t)conv->side_out * conv->side_out;
    uint64_t values_out = pixels_out * conv->c_out;
    uint64_t extra =
        (uint64_t)conv->c_out * ((conv->has_bias ? 1U : 0U) + (conv->has_norm ? 2U : 0U));

    cost->macs[conv->kind][conv->stage] += conv->times * weights * pixels_out;
    cost->traffic_bytes[conv->kind][conv->stage] +=
        (uint64_t)conv->times * BYTES_PER_VALUE * (values_in + weights + values_out);
    cost->params += conv->times * (weights + extra);
}

void cost_add_linear(struct cost *cost, enum cost_kind kind, unsigned stage, uint32_t times,
                     uint32_t n_in, uint32_t n_out, bool has_bias)
{
    uint64_t weights = (uint64_t)n_in * n_out;

    cost->macs[kind][stage] += times * weights;
    cost->traffic_bytes[kind][stage] +=
        (uint64_t)times * BYTES_PER_VALUE * (n_in + weights + n_out);
    cost->params += times * (weights + (has_bias ? n_out : 0U));
}

void cost_add_traffic(struct cost *cost, enum cost_kind kind, unsigned stage, uint32_t times,
                      uint64_t n_values)
{
    cost->traffic_bytes[kind][stage] += (uint64_t)times * BYTES_PER_VALUE * n_values;
}

static uint64_t sum_stages(const uint64_t stages[COST_MAX_STAGES])
{
    uint64_t sum = 0;

    for (unsigned stage = 0; stage < COST_MAX_STAGES; stage++) {
        sum += stages[stage];
    }
    return sum;
}

uint64_t cost_kind_macs(const struct cost *cost, enum cost_kind kind)
{
    return sum_stages(cost->macs[kind]);
}

uint64_t cost_kind_traffic_bytes(const struct cost *cost, enum cost_kind kind)
{
    return sum_stages(cost->traffic_bytes[kind]);
}

uint64_t cost_total_macs(const struct cost *cost)
{
    uint64_t sum = 0;

    for (unsigned kind = 0; kind < COST_N_KINDS; kind++) {
        sum += sum_stages(cost->macs[kind]);
    }
    return sum;
}

uint64_t cost_total_traffic_bytes(const struct cost *cost)
{
    uint64_t sum = 0;

    for (unsigned kind = 0; kind < COST_N_KINDS; kind++) {
        sum += sum_stages(cost->traffic_bytes[kind]);
    }
    return sum;
}

const char *cost_kind_name(enum cost_kind kind)
{
    return (size_t)kind < COST_N_KINDS ? kind_names[kind] : "";
}
