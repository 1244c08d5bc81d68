#include "proto/msg_architecture.h"

#include <inttypes.h>

/* {"conv":[...],...} */
static void put_by_kind(const struct space *space, const uint64_t counts[][COST_MAX_STAGES],
                        struct text *out)
{
    for (unsigned kind = 0; kind < COST_N_KINDS; kind++) {
        text_printf(out, "%s\"%s\":[", kind > 0 ? "," : "{", cost_kind_name((enum cost_kind)kind));
        for (size_t stage = 0; stage < space->n_stages; stage++) {
            text_printf(out, "%s%" PRIu64, stage > 0 ? "," : "", counts[kind][stage]);
        }
        text_puts(out, "]");
    }
    text_puts(out, "}");
}

void msg_architecture_encode(const struct space *space, const int32_t *genes,
                             const struct cost *cost, struct text *out)
{
    char notation[SPACE_TEXT_BYTES];

    space_print(space, genes, notation);
    text_puts(out, "{\"search_space\":");
    text_put_json_string(out, space->name);
    text_puts(out, ",\"architecture\":");
    text_put_json_string(out, notation);
    text_puts(out, ",\"genes\":[");
    for (size_t i = 0; i < space->n_genes; i++) {
        text_printf(out, i > 0 ? ",%d" : "%d", genes[i]);
    }
    text_printf(out,
                "],\"macs\":%" PRIu64 ",\"params\":%" PRIu64 ",\"traffic_bytes\":%" PRIu64
                ",\"stages\":[",
                cost_total_macs(cost), cost->params, cost_total_traffic_bytes(cost));
    for (size_t stage = 0; stage < space->n_stages; stage++) {
        text_puts(out, stage > 0 ? "," : "");
        text_put_json_string(out, space->stage_names[stage]);
    }
    text_puts(out, "],\"macs_by_kind\":");
    put_by_kind(space, cost->macs, out);
    text_puts(out, ",\"traffic_bytes_by_kind\":");
    put_by_kind(space, cost->traffic_bytes, out);
    text_puts(out, "}");
}
