#include "proto/msg_architecture.h"

#include <inttypes.h>

#include "core/space_declared.h"

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

void msg_architecture_put_total(const struct space *space, enum space_table table, uint64_t total,
                                struct text *out)
{
    text_printf(out, ",\"%s\":", space_table_names[table]);
    if (space_tells(space, table)) {
        text_printf(out, "%" PRIu64, total);
    } else {
        text_puts(out, "null");
    }
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
    text_puts(out, "]");
    msg_architecture_put_total(space, SPACE_MACS, cost_total_macs(cost), out);
    msg_architecture_put_total(space, SPACE_PARAMS, cost->params, out);
    msg_architecture_put_total(space, SPACE_TRAFFIC_BYTES, cost_total_traffic_bytes(cost), out);
    text_puts(out, ",\"stages\":[");
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
