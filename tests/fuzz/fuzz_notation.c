/* Architectures as text, and what is told of them. An input is the space's initial (n, f, d of a
 * declared one), and the text. */
#include "core/graph.h"
#include "core/space_declared.h"
#include "proto/msg_architecture.h"
#include "proto/msg_space_declaration.h"
#include "proto/torchscript.h"
#include "tests/fuzz/fuzz.h"

static const char declaration[] =
    "{\"genes\":[{\"name\":\"a\",\"values\":[-7,0,12,1000000],\"macs\":[1,2,3,4]},"
    "{\"name\":\"b\",\"first\":1,\"n_values\":9,\"repeat\":3,\"params\":[1,2,3,4,5,6,7,8,9]}]}";

/* Declared once, and never given back. */
static const struct space *declare(void)
{
    static const struct space *space;

    if (space == NULL) {
        struct space_declaration *made = NULL;
        struct field_errors errors = {0};
        require(msg_space_declaration_decode(declaration, strlen(declaration), "fuzz", &made,
                                             &errors, NULL) == ERR_OK);
        require(space_declare(made, &space, NULL) == ERR_OK);
        field_errors_close(&errors);
        mem_free(made);
    }
    return space;
}

static const struct space *find(char letter)
{
    return letter == 'n' ? &space_nasbench201 : letter == 'f' ? &space_fbnetv3 : declare();
}

/* Whatever is written of genes reads as these. */
static void check_print(const struct space *space, const int32_t *genes)
{
    char texts[2][SPACE_TEXT_BYTES];
    int32_t again[SPACE_MAX_GENES];

    require(space_print_genes(space, genes, texts[0]) == strlen(texts[0]));
    space_print(space, genes, texts[1]);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        require(strlen(texts[i]) < SPACE_TEXT_BYTES);
        require(space_parse(space, texts[i], strlen(texts[i]), again, NULL, NULL) == ERR_OK);
        require(memcmp(genes, again, space->n_genes * sizeof *genes) == 0);
    }
}

static void check_costs(const struct space *space, const int32_t *genes)
{
    struct cost cost = {0};
    struct error err = {0};
    struct text text = {0};
    enum err rc = space_check_countable(space, genes, &err);

    require_told(rc, &err, NULL);
    if (rc != ERR_OK) {
        return;
    }
    rc = space_count(space, genes, &cost, &err);
    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        msg_architecture_encode(space, genes, &cost, &text);
        require_json_text(&text);
        text_close(&text);
    }
}

/* A graph agrees with the counting, and can be written as code. */
static void check_graph(const struct space *space, const int32_t *genes)
{
    struct cost cost = {0};
    struct graph graph = {0};
    struct error err = {0};
    struct text code = {0};
    enum err rc;

    if (space->build_graph == NULL || space_check_countable(space, genes, NULL) != ERR_OK ||
        space_count(space, genes, &cost, NULL) != ERR_OK) {
        return;
    }
    rc = graph_build(space, genes, 1, &graph, &err);
    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        require(graph_params(&graph) == cost.params);
        require(graph_macs(&graph) == cost_total_macs(&cost));
        torchscript_put_code(&graph, &code);
        require(!code.has_failed && code.size > 0);
        text_close(&code);
    }
    graph_close(&graph);
}

static void run(const char *bytes, size_t size)
{
    static long n_made;
    int32_t genes[SPACE_MAX_GENES], parsed[SPACE_MAX_GENES];
    struct error err = {0};
    const struct space *space;
    size_t bad_gene = SIZE_MAX;
    enum err rc;

    if (size == 0) {
        return;
    }
    space = find(bytes[0]);
    rc = space_read(space, bytes + 1, size - 1, genes, &err);
    require_told(rc, &err, NULL);
    if (rc != ERR_OK) {
        return;
    }
    check_costs(space, genes);
    rc = space_parse(space, bytes + 1, size - 1, parsed, &bad_gene, &err);
    require_told(rc, &err, NULL);
    require(rc == space_validate(space, genes, NULL, NULL));
    if (rc == ERR_OK) {
        require(memcmp(genes, parsed, space->n_genes * sizeof *genes) == 0);
        check_print(space, genes);
    }
    if (n_made++ % 8 == 0) { /* takes a hundred times as long as the rest */
        check_graph(space, genes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    long n_blocks;

    (void)declare();
    n_blocks = mem_live_blocks();
    run((const char *)bytes, size);
    require(mem_live_blocks() == n_blocks);
    return 0;
}
