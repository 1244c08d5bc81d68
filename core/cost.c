#include "core/cost.h"

static const char *const kind_names[COST_N_KINDS] = {
#define COST_KIND_NAME(kind, name) [kind] = name,
    COST_KIND_LIST(COST_KIND_NAME)
#undef COST_KIND_NAME
};

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
