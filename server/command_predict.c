#include <stdbool.h>
#include <stdio.h>

#include "core/matrix.h"
#include "core/mem.h"
#include "proto/msg_predict.h"
#include "server/command.h"
#include "server/data_tree.h"

static enum err find_hardware(const struct options *options, const struct space *space,
                              struct hardware *out, struct error *err)
{
    struct data_tree tree;
    struct device_sheet sheet;
    enum err rc;

    if ((options->hardware != NULL) == (options->device != NULL)) {
        return error_set(err, ERR_USAGE,
                         "predict needs one of --hardware F,D,C,M and --device NAME");
    }
    if (options->hardware != NULL) {
        return command_hardware(options->hardware, out, err);
    }
    rc = data_tree_init(&tree, options->root, options->data_path, err);
    rc = rc != ERR_OK ? rc : data_find_device(&tree, space, options->device, &sheet, err);
    if (rc == ERR_OK) {
        *out = sheet.hardware;
    }
    return rc;
}

static void print_lines(const struct space *space, const int32_t *genes, size_t n, const double *a,
                        double factor)
{
    for (size_t i = 0; i < n; i++) {
        char notation[SPACE_TEXT_BYTES];
        space_print(space, genes + i * space->n_genes, notation);
        (void)printf("%.9g\t%s\n", a[i] * factor, notation);
    }
}

static enum err print_json(const struct model *model, int32_t *genes, size_t n, const double *a,
                           double factor, struct error *err)
{
    bool *is_bad = mem_calloc(n, sizeof *is_bad);
    const struct predict_request request = {
        .space = model->predictor->space,
        .n_targets = 1,
        .genes = genes,
        .is_bad = is_bad,
        .n_architectures = n,
    };
    const struct predict_reply reply = {
        .request = &request,
        .version = model->info.version,
        .predictor = model->predictor->kind->name,
        .info = &model->info,
        .parameter = a,
        .factors = &factor,
    };
    struct text text = {0};
    enum err rc;

    if (is_bad == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to print %zu predictions", n);
    }
    msg_predict_encode(&reply, &text);
    rc = command_print(&text, err);
    mem_free(is_bad);
    return rc;
}

enum err command_predict(const struct options *options, struct error *err)
{
    const struct space *space;
    struct hardware hardware;
    struct model model = {0};
    int32_t *genes = NULL;
    double *a = NULL;
    size_t n = 0;
    enum err rc = command_space(options, &space, err);

    rc = rc != ERR_OK ? rc : matrix_init(err);
    rc = rc != ERR_OK ? rc : find_hardware(options, space, &hardware, err);
    rc = rc != ERR_OK ? rc : command_architectures(options, space, false, &genes, &n, err);
    rc = rc != ERR_OK ? rc : command_load_model(options, space, &model, err);
    if (rc == ERR_OK) {
        a = mem_calloc(n, sizeof *a);
        rc = a == NULL ? error_set(err, ERR_NOMEM, "no memory for %zu predictions", n)
                       : predictor_predict(model.predictor, genes, n, a, NULL, err);
    }
    if (rc == ERR_OK && options->is_json) {
        rc = print_json(&model, genes, n, a, hardware_factor(&hardware), err);
    } else if (rc == ERR_OK) {
        print_lines(space, genes, n, a, hardware_factor(&hardware));
    }
    mem_free(a);
    mem_free(genes);
    model_close(&model);
    return rc;
}
