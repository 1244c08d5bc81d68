#include "server/accuracy_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/table.h"
#include "server/data_tree.h"

enum {
    PUBLISHED_MAX_ROWS = 1000,
    PUBLISHED_MAX_BYTES = 1 << 20,
    RESOLUTION_MAX = 4096,
};

void accuracy_data_close(struct accuracy_data *data)
{
    mem_free(data->genes);
    mem_free(data->accuracy);
    mem_free(data->resolution);
    memset(data, 0, sizeof *data);
}

static enum err make_room(struct accuracy_data *data, size_t n, size_t n_genes, struct error *err)
{
    data->genes = mem_calloc(n, n_genes * sizeof *data->genes);
    data->accuracy = mem_calloc(n, sizeof *data->accuracy);
    return data->genes != NULL && data->accuracy != NULL
               ? ERR_OK
               : error_set(err, ERR_NOMEM, "no memory for %zu networks", n);
}

/* `file` beside net.txt. */
static enum err read_columns(const struct space *space, const char *directory, const char *file,
                             struct accuracy_data *data, struct error *err)
{
    struct accuracy_table table = {0};
    char net[PATH_BYTES];
    char path[PATH_BYTES];
    enum err rc = path_format(net, err, "%s/net.txt", directory);

    rc = rc != ERR_OK ? rc : path_format(path, err, "%s/%s", directory, file);
    rc = rc != ERR_OK ? rc : data_read_accuracy(space, net, path, &table, err);
    if (rc != ERR_OK) {
        return rc;
    }
    data->n = table.architectures.n_rows;
    data->genes = table.architectures.genes; /* handed over */
    data->accuracy = table.accuracy;
    return ERR_OK;
}

/* ---- dataxy.txt ------------------------------------------------------------------------------ */

/* One row: genes, top-1, top-5. */
static enum err check_row(const struct space *space, const double *values, int32_t *genes,
                          struct error *err)
{
    const double top1 = values[space->n_genes];
    const double top5 = values[space->n_genes + 1];

    for (size_t g = 0; g < space->n_genes; g++) {
        if (values[g] != floor(values[g]) || fabs(values[g]) > 1e6) {
            return error_set(err, ERR_INVALID, "gene %zu must be a whole number, not %.12g", g + 1,
                             values[g]);
        }
        genes[g] = (int32_t)values[g];
    }
    if (!(top1 > 0.0 && top1 <= top5 && top5 <= 100.0)) {
        return error_set(err, ERR_INVALID,
                         "top-1 must be above 0, top-5 at least top-1 and at most 100 %%, not %g "
                         "and %g",
                         top1, top5);
    }
    return space_validate(space, genes, NULL, err);
}

static enum err read_rows(const struct space *space, const char *directory, const char *file,
                          struct accuracy_data *data, struct error *err)
{
    const size_t n_columns = space->n_genes + 2;
    struct table table = {0};
    char path[PATH_BYTES];
    enum err rc = path_format(path, err, "%s/%s", directory, file);

    rc = rc != ERR_OK ? rc : table_read(path, n_columns, &table, err);
    if (rc == ERR_OK && table.n_rows > ACCURACY_MAX_ROWS) {
        rc = error_set(err, ERR_LIMIT, "%s: accuracy is learned from at most %d networks, not %zu",
                       path, ACCURACY_MAX_ROWS, table.n_rows);
    }
    rc = rc != ERR_OK ? rc : make_room(data, table.n_rows, space->n_genes, err);
    for (size_t i = 0; rc == ERR_OK && i < table.n_rows; i++) {
        const double *values = table.values + i * n_columns;
        rc = check_row(space, values, data->genes + i * space->n_genes, err);
        if (rc != ERR_OK) {
            rc = error_wrap(err, "%s:%zu", path, i + 1);
        }
        data->accuracy[i] = values[space->n_genes];
    }
    data->n = table.n_rows;
    table_close(&table);
    return rc;
}

/* ---- fbnetv3_published.txt ------------------------------------------------------------------- */

/* "name | genes | resolution, MACs, parameters, top-1", ended by a terminator. */
static enum err parse_published(const struct space *space, const char *line, int32_t *genes,
                                double *resolution, double *accuracy, struct error *err)
{
    const char *first = strchr(line, '|');
    const char *second = first != NULL ? strchr(first + 1, '|') : NULL;
    char *end = NULL;
    enum err rc;

    if (second == NULL) {
        return error_set(err, ERR_SYNTAX, "a row is: name | genes | resolution MACs params top-1");
    }
    *resolution = strtod(second + 1, &end);
    for (int column = 1; column < 4; column++) {
        *accuracy = strtod(end, &end); /* of no number leaves `end` and gives 0 */
    }
    if (end[strspn(end, " \t\r")] != '\0' || !(*resolution >= 1 && *resolution <= RESOLUTION_MAX) ||
        !(*accuracy > 0.0 && *accuracy < 100.0)) {
        return error_set(err, ERR_INVALID,
                         "the last column must be four numbers: a resolution from 1 to %d, MACs, "
                         "parameters, and a top-1 accuracy between 0 and 100",
                         RESOLUTION_MAX);
    }
    rc = space_read(space, first + 1, (size_t)(second - first - 1), genes, err);
    return rc != ERR_OK ? rc : space_check_countable(space, genes, err);
}

/* Reads the lines of `bytes`, which are cut up. */
static enum err parse_lines(const struct space *space, const char *path, char *bytes,
                            struct accuracy_data *data, struct error *err)
{
    size_t number = 0;

    for (char *line = bytes; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end++ = '\0';
        }
        number++;
        if (line[0] != '#' && line[strspn(line, " \t\r")] != '\0') {
            enum err rc = ERR_OK;
            if (data->n == PUBLISHED_MAX_ROWS) {
                rc = error_set(err, ERR_LIMIT, "more than %d networks", PUBLISHED_MAX_ROWS);
            }
            rc = rc != ERR_OK
                     ? rc
                     : parse_published(space, line, data->genes + data->n * space->n_genes,
                                       data->resolution + data->n, data->accuracy + data->n, err);
            if (rc != ERR_OK) {
                return error_wrap(err, "%s:%zu", path, number);
            }
            data->n++;
        }
        line = end;
    }
    return ERR_OK;
}

static enum err read_published(const struct space *space, const char *directory, const char *file,
                               struct accuracy_data *data, struct error *err)
{
    char path[PATH_BYTES];
    char *bytes = NULL;
    size_t size;
    enum err rc = path_format(path, err, "%s/%s", directory, file);

    rc = rc != ERR_OK ? rc : file_read(path, PUBLISHED_MAX_BYTES, &bytes, &size, err);
    rc = rc != ERR_OK ? rc : make_room(data, PUBLISHED_MAX_ROWS, space->n_genes, err);
    if (rc == ERR_OK) {
        data->resolution = mem_calloc(PUBLISHED_MAX_ROWS, sizeof *data->resolution);
        rc = data->resolution != NULL ? parse_lines(space, path, bytes, data, err)
                                      : error_set(err, ERR_NOMEM, "no memory for %s", path);
    }
    mem_free(bytes);
    return rc;
}

/* ---- all ------------------------------------------------------------------------------------- */

static const struct format {
    const struct accuracy_kind *kind;
    const char *file, *source, *dataset;
    enum err (*read)(const struct space *space, const char *directory, const char *file,
                     struct accuracy_data *data, struct error *err);
} formats[] = {
  /* clang-format off */
    {&accuracy_kind_cells, "acc.txt", "oracle", "cifar100", read_columns},
    {&accuracy_kind_cells, "acc_cifar100.txt", "benchmark", "cifar100", read_columns},
    {&accuracy_kind_genes, "dataxy.txt", "dataxy", "imagenet", read_rows},
    {&accuracy_kind_macs, "fbnetv3_published.txt", "published", "imagenet", read_published},
  /* clang-format on */
};

enum { N_FORMATS = sizeof formats / sizeof *formats };

bool accuracy_data_has_kind(const struct space *space)
{
    size_t i = 0;

    while (i < N_FORMATS && formats[i].kind->space != space) {
        i++;
    }
    return i < N_FORMATS;
}

static enum err refuse(const struct space *space, const char *directory, struct error *err)
{
    char files[128] = "";

    if (!accuracy_data_has_kind(space)) {
        return error_set(err, ERR_INVALID,
                         "there is no accuracy predictor for %s, which is declared: put a table, "
                         "NAS/net.txt with NAS/acc.txt, into its data; searches take it as it is",
                         space->name);
    }

    for (size_t i = 0; i < N_FORMATS; i++) {
        size_t used = strlen(files);
        if (formats[i].kind->space == space) {
            (void)snprintf(files + used, sizeof files - used, "%s%s", used > 0 ? " nor " : "",
                           formats[i].file);
        }
    }
    return error_set(err, ERR_NOT_FOUND,
                     "%s has no %s to learn accuracy from; name a directory with --accuracy_data",
                     directory, files);
}

static void digest_data(const struct space *space, struct accuracy_data *data)
{
    const struct digest_part parts[] = {
        {data->genes,      data->n * space->n_genes * sizeof *data->genes                   },
        {data->accuracy,   data->n * sizeof *data->accuracy                                 },
        {data->resolution, data->resolution != NULL ? data->n * sizeof *data->resolution : 0},
    };

    digest_hex(parts, data->resolution != NULL ? 3 : 2, data->sha256);
}

enum err accuracy_data_load(const struct space *space, const char *directory,
                            struct accuracy_data *out, struct error *err)
{
    for (size_t i = 0; i < N_FORMATS; i++) {
        const struct format *format = &formats[i];
        struct accuracy_data data = {
            .kind = format->kind, .source = format->source, .dataset = format->dataset};
        char path[PATH_BYTES];
        enum err rc = path_format(path, err, "%s/%s", directory, format->file);
        if (rc == ERR_OK && (format->kind->space != space || !path_is_file(path))) {
            continue;
        }
        rc = rc != ERR_OK ? rc : format->read(space, directory, format->file, &data, err);
        if (rc != ERR_OK) {
            accuracy_data_close(&data);
            return rc;
        }
        digest_data(space, &data);
        *out = data;
        return ERR_OK;
    }
    return refuse(space, directory, err);
}

enum err accuracy_data_train(const struct accuracy_data *data, uint64_t seed,
                             struct accuracy_model *out, struct accuracy_report *report,
                             struct error *err)
{
    const struct accuracy_rows rows = {data->n, data->genes, data->accuracy, data->resolution};
    struct accuracy_model model = {0};
    struct accuracy_info *info = &model.info;
    struct accuracy_report figures = {0};
    enum err rc = accuracy_train(data->kind, &rows, seed, &model.predictor, &figures, err);

    if (rc != ERR_OK) {
        return rc;
    }
    accuracy_version(model.predictor, info->version);
    (void)snprintf(info->learned_from, sizeof info->learned_from, "%s", data->source);
    (void)snprintf(info->dataset, sizeof info->dataset, "%s", data->dataset);
    (void)snprintf(info->data_sha256, sizeof info->data_sha256, "%s", data->sha256);
    (void)snprintf(info->validation, sizeof info->validation, "none");
    if (figures.n_parts > 0) {
        (void)snprintf(info->validation, sizeof info->validation, "%u-%s",
                       (unsigned)figures.n_parts, figures.n_train > 0 ? "split" : "fold");
    }
    info->n_rows = data->n - figures.n_distrusted;
    info->n_distrusted = figures.n_distrusted;
    info->seed = seed;
    info->n_train = figures.n_train;
    info->n_held_out = figures.n_held_out;
    info->kendall = figures.kendall;
    info->rmse = figures.rmse;
    info->kendall_fitted = figures.kendall_fitted;
    info->rmse_fitted = figures.rmse_fitted;
    *out = model;
    if (report != NULL) {
        *report = figures;
    } else {
        accuracy_report_close(&figures);
    }
    return ERR_OK;
}
