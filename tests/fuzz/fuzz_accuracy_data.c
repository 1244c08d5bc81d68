/* The files that accuracy predictors learn from. An input is the space's initial (n, f), then files,
 * each after a line "--<name>" (net.txt, acc.txt, acc_cifar100.txt, dataxy.txt, fbnetv3_published.txt).
 */
#include <sys/stat.h>

#include "server/accuracy_data.h"
#include "tests/fuzz/fuzz.h"

static const char *const names[] = {"net.txt", "acc.txt", "acc_cifar100.txt", "dataxy.txt",
                                    "fbnetv3_published.txt"};

static char directory[] = "/tmp/dgld-fuzz-XXXXXX";

static void remove_files(void)
{
    char path[sizeof directory + 32];

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
}

static void remove_directory(void)
{
    remove_files();
    (void)rmdir(directory);
}

/* `part` is a name, a line end, and what the file holds. */
static void write_file(const char *part, size_t size)
{
    const char *end = memchr(part, '\n', size);
    char path[sizeof directory + 32];

    for (size_t i = 0; end != NULL && i < COUNT_OF(names); i++) {
        if (strlen(names[i]) == (size_t)(end - part) &&
            memcmp(names[i], part, (size_t)(end - part)) == 0) {
            FILE *file;
            (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
            file = fopen(path, "wb");
            require(file != NULL);
            (void)fwrite(end + 1, 1, size - (size_t)(end + 1 - part), file);
            require(fclose(file) == 0);
        }
    }
}

static void check_data(const struct space *space, const struct accuracy_data *data, size_t size)
{
    require(data->kind != NULL && data->n >= 1 && data->n <= size);
    for (size_t i = 0; i < data->n; i++) {
        const int32_t *genes = data->genes + i * space->n_genes;
        require(data->accuracy[i] > 0 && data->accuracy[i] <= 100);
        require(data->resolution == NULL || data->resolution[i] > 0);
        require(space_check_countable(space, genes, NULL) == ERR_OK);
    }
}

static void run(const char *bytes, size_t size)
{
    struct fuzz_parts parts = fuzz_parts(bytes, size);
    const struct space *space = &space_nasbench201;
    struct accuracy_data data = {0};
    struct error err = {0};
    char *part;
    size_t length;
    enum err rc;

    if (strstr(directory, "XXXXXX") != NULL) {
        require(mkdtemp(directory) != NULL);
        (void)atexit(remove_directory);
    }
    remove_files();
    for (size_t i = 0; (part = fuzz_next(&parts, "\n--", &length)) != NULL; i++) {
        if (i == 0) {
            space = part[0] == 'f' ? &space_fbnetv3 : &space_nasbench201;
        } else {
            write_file(part, length);
        }
        free(part);
    }
    rc = accuracy_data_load(space, directory, &data, &err);
    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        check_data(space, &data, size);
    }
    accuracy_data_close(&data);
}

FUZZ_TARGET(run)
