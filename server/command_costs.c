#include <inttypes.h>
#include <stdio.h>

#include "core/mem.h"
#include "core/space_declared.h"
#include "proto/msg_architecture.h"
#include "server/command.h"

/* One line of JSON for each architecture. */
static enum err print_json(const struct space *space, const int32_t *genes, const struct cost *cost,
                           struct error *err)
{
    struct text text = {0};

    msg_architecture_encode(space, genes, cost, &text);
    text_puts(&text, "\n");
    return command_print(&text, err);
}

/* One line, unless the declaration of the space has no such table. */
static void print_total(const struct space *space, enum space_table table, const char *name,
                        uint64_t total, const char *unit)
{
    if (space_tells(space, table)) {
        (void)printf("  %-11s %" PRIu64 "%s\n", name, total, unit);
    }
}

static void print_table(const struct space *space, const int32_t *genes, const struct cost *cost)
{
    char notation[SPACE_TEXT_BYTES];

    space_print(space, genes, notation);
    (void)printf("%s\n", notation);
    print_total(space, SPACE_MACS, "MACs", cost_total_macs(cost), "");
    print_total(space, SPACE_PARAMS, "parameters", cost->params, "");
    print_total(space, SPACE_TRAFFIC_BYTES, "traffic", cost_total_traffic_bytes(cost), " bytes");
    for (unsigned kind = 0; kind < COST_N_KINDS && space->n_stages > 0; kind++) {
        uint64_t macs = cost_kind_macs(cost, (enum cost_kind)kind);
        if (macs > 0) {
            (void)printf("  %-14s %12" PRIu64 " MACs:", cost_kind_name((enum cost_kind)kind), macs);
            for (size_t stage = 0; stage < space->n_stages; stage++) {
                if (cost->macs[kind][stage] > 0) {
                    (void)printf("  %s %" PRIu64, space->stage_names[stage],
                                 cost->macs[kind][stage]);
                }
            }
            (void)printf("\n");
        }
    }
}

enum err command_costs(const struct options *options, struct error *err)
{
    const struct space *space;
    int32_t *genes = NULL;
    size_t n = 0;
    enum err rc = command_space(options, &space, err);

    rc = rc != ERR_OK ? rc : command_architectures(options, space, true, &genes, &n, err);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        const int32_t *row = genes + i * space->n_genes;
        struct cost cost;
        rc = space_count(space, row, &cost, err);
        if (rc == ERR_OK && options->is_json) {
            rc = print_json(space, row, &cost, err);
        } else if (rc == ERR_OK) {
            print_table(space, row, &cost);
        }
    }
    mem_free(genes);
    return rc;
}
