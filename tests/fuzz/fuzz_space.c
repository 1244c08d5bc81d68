/* The declaration of a search space: what is understood is written in both layouts and read again the
 * same. An input is the space's name, a line end, and the body. */
#include "core/space_declared.h"
#include "proto/msg_space_declaration.h"
#include "tests/fuzz/fuzz.h"

static void check_declaration(const struct space_declaration *made)
{
    size_t n_values = 0;

    require(made->n_genes >= 1 && made->n_genes <= SPACE_MAX_GENES);
    require(made->n_values <= SPACE_MAX_VALUES && made->batch >= 0);
    for (size_t g = 0; g < made->n_genes; g++) {
        const struct declared_gene *gene = &made->genes[g];
        require(gene->first_value == n_values);
        require(gene->n_values >= 1 && gene->n_values <= SPACE_GENE_MAX_VALUES);
        n_values += gene->n_values;
        for (size_t i = 1; i < gene->n_values; i++) {
            require(made->values[gene->first_value + i] > made->values[gene->first_value + i - 1]);
        }
    }
    require(n_values == made->n_values);
    for (int t = 0; t < SPACE_N_TABLES; t++) {
        require(!made->has_table[t] || space_declaration_least(made, (enum space_table)t) > 0);
    }
}

static void check_again(const struct space_declaration *made, bool is_file)
{
    struct space_declaration *again = NULL;
    struct field_errors errors = {0};
    struct error err = {0};
    struct text text = {0};

    msg_space_declaration_encode(made, is_file, &text);
    require_json_text(&text);
    if (msg_space_declaration_decode(text.bytes, text.size, made->name, &again, &errors, &err) !=
        ERR_OK) {
        (void)fprintf(stderr, "%s\n%s\n", err.text, text.bytes);
        abort();
    }
    require(memcmp(made, again, sizeof *made) == 0);
    mem_free(again);
    field_errors_close(&errors);
    text_close(&text);
}

static void run(const char *bytes, size_t size)
{
    struct fuzz_parts parts = fuzz_parts(bytes, size);
    char *name = fuzz_next(&parts, "\n", NULL);
    struct space_declaration *made = NULL;
    struct field_errors errors = {0};
    struct error err = {0};
    enum err rc = space_name_validate(name, &err);

    require_told(rc, &err, NULL);
    rc = msg_space_declaration_decode(parts.at, parts.left, rc == ERR_OK ? name : "fuzz", &made,
                                      &errors, &err);
    require_told(rc, &err, &errors);
    if (rc == ERR_OK) {
        check_declaration(made);
        check_again(made, false);
        check_again(made, true);
    }
    mem_free(made);
    field_errors_close(&errors);
    free(name);
}

FUZZ_TARGET(run)
