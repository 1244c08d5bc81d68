/* The text tables of data/. An input is a letter that says what is read of the file, and its bytes. */
#include "core/dataset.h"
#include "core/table.h"
#include "server/data_tree.h"
#include "tests/fuzz/fuzz.h"

static void table(const char *path, const char *bytes, size_t size)
{
    struct table read = {0};
    struct error err = {0};
    const size_t n_columns = 3;
    enum err rc = table_read(path, n_columns, &read, &err);

    (void)bytes;
    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        require(read.n_columns == n_columns && read.n_rows >= 1 && read.n_rows <= size);
        for (size_t i = 0; i < read.n_rows * n_columns; i++) {
            require(isfinite(read.values[i]));
        }
    }
    table_close(&read);
}

static void values(const char *path, const char *bytes, size_t size)
{
    double read[4];
    size_t lines[4] = {0};
    struct error err = {0};
    enum err rc = table_read_values(path, COUNT_OF(read), read, lines, &err);

    (void)bytes;
    require_told(rc, &err, NULL);
    for (size_t i = 0; rc == ERR_OK && i < COUNT_OF(read); i++) {
        require(isfinite(read[i]) && lines[i] >= 1 && lines[i] <= size);
        require(i == 0 || lines[i] >= lines[i - 1]);
    }
}

static void positive(const char *path, const char *bytes, size_t size)
{
    double *read = NULL;
    size_t n = 0;
    struct error err = {0};
    enum err rc = table_read_positive(path, 0, &read, &n, &err);

    (void)bytes;
    require_told(rc, &err, NULL);
    require(rc != ERR_OK || (n >= 1 && n <= size));
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        require(read[i] > 0 && isfinite(read[i]));
    }
    mem_free(read);
}

/* Groups and folds of what was read hold together. */
static void check_groups(const struct dataset *read)
{
    size_t *group = calloc(read->n_rows, sizeof *group);
    size_t *fold = calloc(read->n_rows, sizeof *fold);
    size_t n_groups = 0;
    enum err rc;

    require(group != NULL && fold != NULL);
    require(dataset_group(read->space, read->genes, read->n_rows, group, &n_groups, NULL) ==
            ERR_OK);
    require(n_groups >= 1 && n_groups <= read->n_rows);
    rc = dataset_fold(read->space, read->genes, read->n_rows, 2, 1, fold, NULL);
    require(rc == (n_groups < 2 ? ERR_INVALID : ERR_OK));
    for (size_t i = 0; rc == ERR_OK && i < read->n_rows; i++) {
        require(group[i] < n_groups && fold[i] < 2);
        require(i == 0 || group[i] != group[0] || fold[i] == fold[0]);
    }
    free(fold);
    free(group);
}

static void networks(const char *path, const char *bytes, size_t size)
{
    const struct space *space = size % 2 == 0 ? &space_nasbench201 : &space_fbnetv3;
    struct dataset read = {0};
    struct error err = {0};
    enum err rc = dataset_load(space, path, &read, &err);

    (void)bytes;
    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        require(read.n_rows >= 1 && read.n_rows <= size);
        for (size_t i = 0; i < read.n_rows; i++) {
            require(space_validate(space, read.genes + i * space->n_genes, NULL, NULL) == ERR_OK);
        }
        check_groups(&read);
    }
    dataset_close(&read);
}

static void hardware(const char *path, const char *bytes, size_t size)
{
    static const enum data_place places[] = {DATA_HARDWARE, DATA_NAS, DATA_SHEETS};

    for (size_t i = 0; i < COUNT_OF(places); i++) {
        struct device_sheet sheet = {0};
        struct error err = {0};
        enum err rc = data_read_sheet(places[i], path, &sheet, &err);
        require_told(rc, &err, NULL);
        require(rc != ERR_OK || isfinite(hardware_factor(&sheet.hardware)));
    }
    (void)bytes;
    (void)size;
}

static const struct {
    char letter;
    void (*run)(const char *path, const char *bytes, size_t size);
} readers[] = {
    {'t', table   },
    {'v', values  },
    {'p', positive},
    {'n', networks},
    {'h', hardware},
};

static void run(const char *bytes, size_t size)
{
    char path[FUZZ_PATH_BYTES];

    for (size_t i = 0; size > 0 && i < COUNT_OF(readers); i++) {
        if (readers[i].letter == bytes[0]) {
            int fd = fuzz_file(bytes + 1, size - 1, path);
            readers[i].run(path, bytes + 1, size - 1);
            (void)close(fd);
        }
    }
}

FUZZ_TARGET(run)
