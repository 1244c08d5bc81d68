/* Methods, paths and the names in them. An input is "<method> <path>": the table of routes, what a
 * path may name in a tree of files, and each name as what it could be. */
#include <fcntl.h>
#include <sys/stat.h>

#include "core/device.h"
#include "core/space_declared.h"
#include "core/utf8.h"
#include "proto/job.h"
#include "proto/model_file.h"
#include "server/http_client.h"
#include "server/routes.h"
#include "server/spelling.h"
#include "server/tree_file.h"
#include "tests/fuzz/fuzz.h"

static char directory[] = "/tmp/dgld-fuzz-XXXXXX";

static const char *const files[] = {"top/a", "top/b/c", "top/.hidden", "top/b/d.tmp", "secret"};

static char *below(const char *name)
{
    static char path[sizeof directory + 32];

    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void remove_tree(void)
{
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        (void)unlink(below(files[i]));
    }
    (void)unlink(below("top/link"));
    (void)rmdir(below("top/b"));
    (void)rmdir(below("top"));
    (void)rmdir(directory);
}

static void make_tree(void)
{
    require(mkdtemp(directory) != NULL);
    (void)atexit(remove_tree);
    require(mkdir(below("top"), 0700) == 0 && mkdir(below("top/b"), 0700) == 0);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        int fd = open(below(files[i]), O_WRONLY | O_CREAT, 0600);
        require(fd >= 0 && write(fd, files[i], strlen(files[i])) > 0);
        (void)close(fd);
    }
    require(symlink("../secret", below("top/link")) == 0);
}

/* What opens is one of the files that may be seen, or a directory. */
static void check_tree(const char *path)
{
    struct tree_file file;
    struct tree_listing listing = {0};
    struct error err = {0};
    char bytes[16] = "";
    enum err rc = tree_open(below("top"), path, &file, &err);

    require_told(rc, &err, NULL);
    if (rc != ERR_OK) {
        return;
    }
    if (file.is_directory) {
        require(path[0] == '\0' || strcmp(path, "b") == 0);
        require(tree_list(below("top"), path, "", 10, &listing, &err) == ERR_OK);
        require(listing.n <= 2 && listing.next == NULL);
        tree_listing_close(&listing);
    } else {
        require(read(file.fd, bytes, sizeof bytes - 1) > 0);
        require(strcmp(bytes, "top/a") == 0 || strcmp(bytes, "top/b/c") == 0);
    }
    tree_close(&file);
}

static void check_route(const char *method, const char *path)
{
    struct route_match match;
    struct route_match head;

    route_match(method, path, &match);
    if (match.route != NULL) {
        require(match.n_places <= ROUTE_MAX_PLACES && match.allow[0] == '\0');
        for (size_t i = 0; i < match.n_places; i++) {
            const char *start = match.places[i].start;
            require(start >= path && match.places[i].length > 0);
            require(match.places[i].length <= strlen(path) - (size_t)(start - path));
        }
        if (strcmp(method, "GET") == 0) {
            route_match("HEAD", path, &head);
            require(head.route == match.route);
        }
    }
}

static void check_names(const char *name)
{
    char folded[DEVICE_NAME_BYTES], twice[DEVICE_NAME_BYTES];
    struct spelling spelling = {.given = name};
    struct error err = {0};
    enum err rc = device_name_validate(name, &err);

    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        require(strchr(name, '/') == NULL && strlen(name) < DEVICE_NAME_BYTES && name[0] != '.');
        if (device_name_fold(name, folded)) {
            require(device_name_fold(folded, twice) && strcmp(folded, twice) == 0);
        }
    }
    rc = model_name_validate(name, &err);
    require_told(rc, &err, NULL);
    require(rc != ERR_OK || (strchr(name, '/') == NULL && name[0] != '.'));
    rc = space_name_validate(name, &err);
    require_told(rc, &err, NULL);
    require(rc != ERR_OK || strchr(name, '/') == NULL);
    require(!job_id_is_valid(name) || strlen(name) == JOB_ID_BYTES - 1);
    spelling_offer(&spelling, "nasbench201");
    require(spelling_distance(name, name) == 0 || strlen(name) > SPELLING_MAX_LENGTH);
    require(spelling_distance(name, "job") == spelling_distance("job", name));
}

/* What is escaped is plain, and says the same. */
static void check_escaping(const char *text)
{
    struct text escaped = {0};
    char *plain = calloc(1, strlen(text) + 1);
    size_t n = 0;

    require(plain != NULL);
    http_client_put_escaped(&escaped, text);
    for (size_t i = 0; i < escaped.size; i++) {
        unsigned code = (unsigned char)escaped.bytes[i];
        require(code > ' ' && code < 127 && strchr("/?#&=+ \"", (int)code) == NULL);
        if (code == '%') {
            require(sscanf(escaped.bytes + i + 1, "%2x", &code) == 1);
            i += 2;
        }
        plain[n++] = (char)code;
    }
    require(n == strlen(text) && memcmp(plain, text, n) == 0);
    text_close(&escaped);
    free(plain);
}

static void run(const char *bytes, size_t size)
{
    struct fuzz_parts parts = fuzz_parts(bytes, size);
    char *method = fuzz_next(&parts, " ", NULL);
    char *path = fuzz_next(&parts, "\n", NULL);
    const char *slash;

    if (strstr(directory, "XXXXXX") != NULL) {
        make_tree();
    }
    if (path != NULL) {
        check_route(method, path);
        check_tree(path);
        slash = strrchr(path, '/');
        check_names(slash != NULL ? slash + 1 : path);
        check_escaping(path);
    }
    free(path);
    free(method);
}

FUZZ_TARGET(run)
