/* server/tree_file.h: no path leaves the tree, and none blocks. */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "server/tree_file.h"
#include "tests/support/check.h"

static const char *top(void)
{
    return own_path("tree");
}

/* What a path opens: the file's text, "<directory>", or "" where there is nothing. */
static const char *look(const char *path)
{
    static char text[64];
    struct tree_file file;
    struct error err = {0};
    enum err rc = tree_open(top(), path, &file, &err);
    ssize_t n;

    if (rc != ERR_OK) {
        assert_error(rc, ERR_NOT_FOUND, &err, "");
        return "";
    }
    if (file.is_directory) {
        tree_close(&file);
        return "<directory>";
    }
    n = read(file.fd, text, sizeof text - 1);
    assert_true(n >= 0 && (uint64_t)n == file.size);
    text[n] = '\0';
    tree_close(&file);
    tree_close(&file); /* a closed one is accepted */
    return text;
}

static void files_and_directories_are_opened_by_their_paths(void **state)
{
    (void)state;
    (void)write_text("tree/a.txt", "one");
    (void)write_text("tree/b/c/d.txt", "two");
    (void)write_text("tree/b/ \xc3\xa9\\%2e.txt", "three");
    assert_string_equal(look(""), "<directory>");
    assert_string_equal(look("a.txt"), "one");
    assert_string_equal(look("b"), "<directory>");
    assert_string_equal(look("b/c/d.txt"), "two");
    assert_string_equal(look("b/ \xc3\xa9\\%2e.txt"), "three");
}

static void hostile_paths_are_as_absent(void **state)
{
    static const char *const paths[] = {
        "..",
        "../outside.txt",
        "b/../../outside.txt",
        "b/../a.txt",
        "b/..",
        ".",
        "./a.txt",
        "b/.",
        "/",
        "/a.txt",
        "//a.txt",
        "b//c",
        "a.txt/",
        "b/",
        "a.txt/x",
        "a.txt/..",
        ".hidden",
        "b/.hidden/x.txt",
        "x.tmp",
        ".tmp",
        "b/y.tmp",
        "b.tmp/z.txt",
        "absent",
        "absent/x",
        "...",
        "..a",
        "~",
        "*",
        "a.txt\n",
        "/etc/passwd",
        "proc/self/environ",
    };
    char long_path[8192];
    (void)state;
    (void)write_text("outside.txt", "secret");
    (void)write_text("tree/a.txt", "one");
    (void)write_text("tree/b/c/d.txt", "two");
    (void)write_text("tree/.hidden", "secret");
    (void)write_text("tree/..a", "secret");
    (void)write_text("tree/.../x", "secret");
    (void)write_text("tree/b/.hidden/x.txt", "secret");
    (void)write_text("tree/x.tmp", "secret");
    (void)write_text("tree/.tmp", "secret");
    (void)write_text("tree/b/y.tmp", "secret");
    (void)write_text("tree/b.tmp/z.txt", "secret");
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        assert_string_equal(look(paths[i]), "");
    }
    memset(long_path, 'a', sizeof long_path);
    for (size_t length = 250; length < sizeof long_path; length += 251) {
        long_path[length] = '\0';
        assert_string_equal(look(long_path), "");
        long_path[length] = 'a';
    }
    for (size_t i = 1; i < sizeof long_path; i += 2) {
        long_path[i] = '/';
    }
    long_path[4095] = '\0';
    assert_string_equal(look(long_path), "");
    long_path[4095] = '/';
    long_path[sizeof long_path - 1] = '\0';
    assert_string_equal(look(long_path), "");
}

static void link_to(const char *target, const char *name)
{
    assert_int_equal(symlink(target, own_path(name)), 0);
}

static void links_are_followed_inside_and_as_absent_where_they_lead_out(void **state)
{
    (void)state;
    (void)write_text("outside.txt", "secret");
    (void)write_text("tree/a.txt", "one");
    (void)write_text("tree/b/c/d.txt", "two");
    (void)write_text("tree/.hidden", "secret");
    link_to("a.txt", "tree/same");
    link_to("../../a.txt", "tree/b/c/up");
    link_to(".//./b/c", "tree/dir");
    link_to("dir/up", "tree/chain");
    assert_string_equal(look("same"), "one");
    assert_string_equal(look("b/c/up"), "one");
    assert_string_equal(look("dir"), "<directory>");
    assert_string_equal(look("dir/d.txt"), "two");
    assert_string_equal(look("chain"), "one");
    assert_string_equal(look("dir/../a.txt"), ""); /* dots are for links alone */
    link_to("../outside.txt", "tree/out");
    link_to("..", "tree/parent");
    link_to("../../tree/a.txt", "tree/b/around"); /* though it comes back */
    link_to(own_path("tree/a.txt"), "tree/absolute");
    link_to("/", "tree/root");
    link_to(".hidden", "tree/shown");
    link_to("loop", "tree/loop");
    link_to("absent", "tree/dangling");
    assert_string_equal(look("out"), "");
    assert_string_equal(look("parent"), "");
    assert_string_equal(look("parent/outside.txt"), "");
    assert_string_equal(look("b/around"), "");
    assert_string_equal(look("absolute"), "");
    assert_string_equal(look("root/etc/passwd"), "");
    assert_string_equal(look("shown"), "");
    assert_string_equal(look("loop"), "");
    assert_string_equal(look("dangling"), "");
}

static void what_is_neither_file_nor_directory_is_as_absent_and_does_not_block(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct tree_listing listing;
    (void)state;
    (void)write_text("tree/a.txt", "one");
    assert_int_equal(mkfifo(own_path("tree/fifo"), 0600), 0);
    link_to("fifo", "tree/to_fifo");
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", own_path("tree/socket"));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
    (void)alarm(20); /* what blocks would end the program */
    assert_string_equal(look("fifo"), "");
    assert_string_equal(look("to_fifo"), "");
    assert_string_equal(look("socket"), "");
    assert_int_equal(tree_list(top(), "", "", 10, &listing, NULL), ERR_OK);
    (void)alarm(0);
    assert_int_equal(listing.n, 1);
    tree_listing_close(&listing);
}

static void what_may_not_be_read_is_not_found_and_told(void **state)
{
    bool is_root = geteuid() == 0; /* who may read everything */
    struct tree_file file;
    struct error err[3] = {{0}};
    enum err rc[3];
    (void)state;
    (void)write_text("tree/closed/a.txt", "one");
    (void)write_text("tree/b.txt", "two");
    assert_int_equal(chmod(check_directory, 0755), 0);
    assert_int_equal(chmod(own_path("tree/closed"), 0), 0);
    assert_int_equal(chmod(own_path("tree/b.txt"), 0), 0);
    assert_true(!is_root || seteuid(65534) == 0);
    rc[0] = tree_open(top(), "closed/a.txt", &file, &err[0]);
    rc[1] = tree_open(top(), "closed", &file, &err[1]);
    rc[2] = tree_open(top(), "b.txt", &file, &err[2]);
    assert_true(!is_root || seteuid(0) == 0);
    for (size_t i = 0; i < COUNT_OF(rc); i++) {
        assert_error(rc[i], ERR_NOT_FOUND, &err[i], "no permission");
    }
}

static void running_out_of_descriptors_is_no_absence(void **state)
{
    struct rlimit before;
    struct rlimit none;
    struct tree_file file;
    struct error err = {0};
    enum err rc;
    (void)state;
    (void)write_text("tree/a.txt", "one");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    rc = tree_open(top(), "a.txt", &file, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_error(rc, ERR_NOMEM, &err, "cannot open"); /* there may be some again in a moment */
    assert_string_equal(look("a.txt"), "one");
}

/* The names of a listing, joined by blanks; "<next>" at its end where there is more. */
static const char *list(const char *path, const char *after, size_t limit)
{
    static char text[1024];
    struct tree_listing listing;
    struct error err = {0};
    size_t used = 0;

    assert_ok(tree_list(top(), path, after, limit, &listing, &err), &err);
    text[0] = '\0';
    for (size_t i = 0; i < listing.n; i++) {
        const struct result_entry *entry = &listing.entries[i];
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%s", i > 0 ? " " : "",
                                 entry->name, entry->is_directory ? "/" : "");
    }
    (void)snprintf(text + used, sizeof text - used, "%s%s", listing.next != NULL ? "|" : "",
                   listing.next != NULL ? listing.next : "");
    tree_listing_close(&listing);
    tree_listing_close(&listing);
    return text;
}

static void a_listing_is_sorted_and_shows_what_can_be_opened(void **state)
{
    (void)state;
    (void)write_text("tree/b.txt", "one");
    (void)write_text("tree/a/x", "two");
    (void)write_text("tree/C.txt", "three");
    (void)write_text("tree/.hidden", "x");
    (void)write_text("tree/x.tmp", "x");
    (void)write_text("outside.txt", "x");
    link_to("../outside.txt", "tree/out");
    link_to("a", "tree/in");
    link_to("absent", "tree/dangling");
    assert_string_equal(list("", "", 100), "C.txt a/ b.txt in/");
    assert_string_equal(list("a", "", 100), "x");
    assert_string_equal(list("in", "", 100), "x");
}

static void a_long_listing_comes_in_parts(void **state)
{
    (void)state;
    for (int i = 0; i < 25; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "tree/f%02d", i * 7 % 25);
        (void)write_text(name, "x");
    }
    assert_string_equal(list("", "", 3), "f00 f01 f02|f02");
    assert_string_equal(list("", "f02", 3), "f03 f04 f05|f05");
    assert_string_equal(list("", "f2", 4), "f20 f21 f22 f23|f23");
    assert_string_equal(list("", "f23", 1), "f24");
    assert_string_equal(list("", "f24", 3), "");
    assert_string_equal(list("", "", 1), "f00|f00");
    assert_string_equal(list("", "f21", 3), "f22 f23 f24");
}

static void only_directories_are_listed(void **state)
{
    struct tree_listing listing;
    struct error err = {0};
    (void)state;
    (void)write_text("tree/a.txt", "one");
    assert_error(tree_list(top(), "a.txt", "", 3, &listing, &err), ERR_NOT_FOUND, &err, "");
    assert_error(tree_list(top(), "../tree", "", 3, &listing, &err), ERR_NOT_FOUND, &err, "");
    assert_error(tree_list(own_path("absent"), "", "", 3, &listing, &err), ERR_NOT_FOUND, &err, "");
    tree_listing_close(&listing); /* zeroed on failure */
}

static enum err list_once(void *context, struct error *err)
{
    struct tree_listing listing;
    enum err rc = tree_list(top(), "", "", 3, &listing, err);

    (void)context;
    tree_listing_close(&listing);
    return rc;
}

static void running_out_of_memory_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "tree/f%d", i);
        (void)write_text(name, "x");
    }
    fail_each_allocation(list_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(files_and_directories_are_opened_by_their_paths),
        directory_test(hostile_paths_are_as_absent),
        directory_test(links_are_followed_inside_and_as_absent_where_they_lead_out),
        directory_test(what_is_neither_file_nor_directory_is_as_absent_and_does_not_block),
        directory_test(what_may_not_be_read_is_not_found_and_told),
        directory_test(running_out_of_descriptors_is_no_absence),
        directory_test(a_listing_is_sorted_and_shows_what_can_be_opened),
        directory_test(a_long_listing_comes_in_parts),
        directory_test(only_directories_are_listed),
        directory_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
