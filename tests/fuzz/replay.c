/* Runs the inputs that are kept of a fuzz target, for compilers that have no libFuzzer: those of its
 * corpus, and those that once broke something. Speaks TAP, as the other test programs do.
 *
 * Called as fuzz_<name>, in the root of the tree; or with the files to run. An input that breaks
 * something ends the process: its name is on standard error, and the plan is not fulfilled. */
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>

#include "core/file.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_INPUT_BYTES = 1 << 20, REPLAY_PATH_BYTES = 1024 };

static char current[REPLAY_PATH_BYTES];

/* An abort, a fault: says of which input. */
static void on_death(int signal_number)
{
    (void)!write(STDERR_FILENO, "input: ", 7);
    (void)!write(STDERR_FILENO, current, strlen(current));
    (void)!write(STDERR_FILENO, "\n", 1);
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static bool replay(const char *path)
{
    char *bytes = NULL;
    uint8_t *exact;
    size_t size = 0;
    struct error err;

    (void)snprintf(current, sizeof current, "%s", path);
    if (file_read(path, MAX_INPUT_BYTES, &bytes, &size, &err) != ERR_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return false;
    }
    exact = malloc(size > 0 ? size : 1); /* file_read() gives a terminator besides */
    require(exact != NULL);
    memcpy(exact, bytes, size);
    mem_free(bytes);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return true;
}

/* Returns how many were run, or -1. */
static long replay_directory(const char *path)
{
    struct dirent **entries = NULL;
    char file[REPLAY_PATH_BYTES];
    long n_run = 0;
    int n = scandir(path, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        int length = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && length < (int)sizeof file && n_run >= 0) {
            n_run = replay(file) ? n_run + 1 : -1;
        }
        free(entries[i]);
    }
    free(entries);
    return n_run;
}

/* A directory that is there holds inputs; only of those that broke something there may be none. */
static bool report(int number, const char *kind, const char *name, bool may_be_absent)
{
    char path[REPLAY_PATH_BYTES];
    struct stat found;
    bool is_good;
    long n;

    (void)snprintf(path, sizeof path, "tests/fuzz/%s/%s", kind, name);
    n = stat(path, &found) == 0 ? replay_directory(path) : 0;
    is_good = n > 0 || (n == 0 && may_be_absent);
    (void)printf("%s %d - %ld inputs of %s hold\n", is_good ? "ok" : "not ok", number, n, path);
    (void)fflush(stdout);
    return is_good;
}

static int replay_kept(const char *name)
{
    bool is_good;

    (void)printf("1..2\n");
    (void)fflush(stdout);
    is_good = report(1, "corpus", name, false);
    return report(2, "regress", name, true) && is_good ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *program = slash != NULL ? slash + 1 : argv[0];
    int status = 0;

    (void)signal(SIGABRT, on_death);
    (void)signal(SIGSEGV, on_death);
    if (argc == 1) {
        return replay_kept(strncmp(program, "fuzz_", 5) == 0 ? program + 5 : program);
    }
    for (int i = 1; i < argc; i++) {
        status = replay(argv[i]) ? status : 1;
    }
    return status;
}
