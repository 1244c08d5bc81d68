#include "server/measured_rows.h"

#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "proto/msg_measurements.h"

enum err measured_rows_parse(const struct space *space, const char *bytes, size_t size,
                             struct measured_rows *out, struct error *err)
{
    struct measurements rows = {0};
    struct field_errors errors = {0};
    enum err rc = msg_measurements_decode_csv(space, bytes, size, &rows, &errors, err);

    field_errors_close(&errors);
    if (rc == ERR_OK) {
        *out = (struct measured_rows){rows.genes, rows.latency_ms, rows.n_rows}; /* handed over */
    }
    return rc;
}

enum err measured_rows_read(const struct space *space, const char *path, struct measured_rows *out,
                            struct error *err)
{
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = file_read(path, MEASUREMENTS_MAX_FILE_BYTES, &bytes, &size, err);

    if (rc == ERR_OK) {
        rc = measured_rows_parse(space, bytes, size, out, err);
        if (rc != ERR_OK) {
            error_wrap(err, "%s", path);
        }
    }
    mem_free(bytes);
    return rc;
}

enum err measured_rows_load(const struct data_tree *tree, const struct space *space,
                            const char *device, struct measured_rows *out, struct error *err)
{
    char path[PATH_BYTES];
    enum err rc = data_find_measurements(tree, space, device, path, NULL, err);

    memset(out, 0, sizeof *out);
    rc = rc != ERR_OK ? rc : measured_rows_read(space, path, out, err);
    return rc == ERR_NOT_FOUND ? ERR_OK : rc; /* also where it was removed a moment ago */
}

void measured_rows_close(struct measured_rows *rows)
{
    mem_free(rows->genes);
    mem_free(rows->latency_ms);
    memset(rows, 0, sizeof *rows);
}
