/* server/space_tree.h: files that declare search spaces. */
#include <unistd.h>
#include <utime.h>

#include "server/space_tree.h"
#include "tests/support/check.h"

/* Spaces are never freed, so blocks are not counted here; each test leaves none declared. */
static int leave_tree(void **state)
{
    struct space_list list;

    (void)state;
    remove_tree(check_directory);
    space_list_get(&list);
    for (size_t i = 0; i < list.n; i++) {
        assert_null(list.items[i]->declaration);
    }
    return 0;
}

#define tree_test(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_tree)

static const char two[] = "{\"genes\":[{\"name\":\"a\",\"values\":[1,2]}]}";
static const char three[] = "{\"genes\":[{\"name\":\"a\",\"values\":[1,2,3]}]}";

/* What the tree told, in short: "+own" came, "~own" changed, "-own" went. */
static char told[256];

static void on_change(void *context, const struct space *before, const struct space *now)
{
    size_t used = strlen(told);

    assert_ptr_equal(context, told);
    (void)snprintf(told + used, sizeof told - used, "%s%s ",
                   before == NULL ? "+" : (now == NULL ? "-" : "~"),
                   now != NULL ? now->name : before->name);
}

static struct space_tree *open_tree(void)
{
    struct space_tree *tree = calloc(1, sizeof *tree);
    struct error err = {0};

    assert_non_null(tree);
    assert_ok(space_tree_init(tree, check_directory, &err), &err);
    tree->on_change = on_change;
    tree->context = told;
    tree->is_quiet = true;
    told[0] = '\0';
    return tree;
}

/* Removes every file, and takes what they declared away. */
static void close_tree(struct space_tree *tree)
{
    struct error err = {0};

    remove_tree(own_path("config"));
    assert_ok(space_tree_refresh(tree, &err), &err);
    assert_int_equal(tree->n_files, 0);
    space_tree_close(tree);
    free(tree);
}

static void refresh(struct space_tree *tree)
{
    struct error err = {0};

    assert_ok(space_tree_refresh(tree, &err), &err);
}

/* Writes a file that a look tells from the one before, however coarse the clock. */
static void write_space(const char *name, const char *text)
{
    static time_t now = 1000000;
    char file[300];
    struct utimbuf times;

    (void)snprintf(file, sizeof file, "config/spaces/%s.json", name);
    times.actime = times.modtime = now++;
    assert_int_equal(utime(write_text(file, text), &times), 0);
}

static void a_root_without_the_directory_declares_nothing(void **state)
{
    struct space_tree *tree = open_tree();
    (void)state;
    refresh(tree);
    assert_string_equal(told, "");
    close_tree(tree);
}

static void files_come_change_and_go(void **state)
{
    struct space_tree *tree = open_tree();
    const struct space *first;
    (void)state;
    write_space("one", two);
    write_space("two", two);
    (void)write_text("config/spaces/notes.txt", "not a declaration");
    (void)write_text("config/spaces/.hidden.json", "neither");
    refresh(tree);
    assert_int_equal(tree->n_files, 2);
    first = space_find("one");
    assert_non_null(first);
    told[0] = '\0';
    refresh(tree); /* nothing has changed */
    assert_string_equal(told, "");
    write_space("one", three);
    refresh(tree);
    assert_string_equal(told, "~one ");
    assert_int_equal(space_find("one")->genes[0].n_values, 3);
    assert_int_equal(first->genes[0].n_values, 2);
    told[0] = '\0';
    assert_int_equal(unlink(own_path("config/spaces/one.json")), 0);
    refresh(tree);
    assert_string_equal(told, "-one ");
    assert_null(space_find("one"));
    assert_non_null(space_find("two"));
    close_tree(tree);
}

static void a_malformed_file_harms_no_other(void **state)
{
    static const struct {
        const char *name, *text, *phrase;
    } rows[] = {
        {"cut",         "{\"genes\":",          "config/spaces/cut.json: line 1"               },
        {"empty",       "",                     "config/spaces/empty.json: line 1"             },
        {"wrong",       "{\"genes\":[{}]}",     "config/spaces/wrong.json: /genes/0/name"      },
        {"named",       "{\"name\":\"other\"}", "config/spaces/named.json: /name: must be"     },
        {"nasbench201", two,                    "nasbench201 is built in"                      },
        {"devices",     two,                    "cannot be called \"devices\""                 },
        {"Upper",       two,                    "config/spaces/Upper.json: a search space's na"},
        {"a b\x1b\xff", two,                    "config/spaces/a b??.json: a search space's na"},
    };
    struct space_tree *tree = open_tree();
    struct text text = {0};
    struct error err = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        write_space(rows[i].name, rows[i].text);
    }
    (void)write_text("config/spaces/directory.json/x", "");
    write_space("good", two);
    refresh(tree);
    assert_string_equal(told, "+good ");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct space_file *file = space_tree_find(tree, rows[i].name);
        assert_non_null(file);
        assert_contains(file->error, rows[i].phrase);
        assert_null(strstr(file->error, check_directory));
        assert_error(space_tree_check(tree, rows[i].name, &err), ERR_INVALID, &err, rows[i].phrase);
    }
    assert_contains(space_tree_find(tree, "directory")->error, "is not a regular file");
    assert_ok(space_tree_check(tree, "good", &err), &err);
    assert_ok(space_tree_check(tree, "absent", &err), &err);
    space_tree_put_malformed(tree, &text);
    assert_contains(text.bytes, "{\"file\":\"config/spaces/a b??.json\",\"error\":\"config/spa");
    assert_null(strstr(text.bytes, "good"));
    text_close(&text);
    close_tree(tree);
}

static void what_was_declared_stays_while_its_file_is_malformed(void **state)
{
    struct space_tree *tree = open_tree();
    struct error err = {0};
    (void)state;
    write_space("own", two);
    refresh(tree);
    write_space("own", "{");
    refresh(tree);
    assert_string_equal(told, "+own ");
    assert_non_null(space_find("own"));
    assert_contains(space_tree_find(tree, "own")->error, "config/spaces/own.json: line 1");
    assert_ok(space_tree_check(tree, "own", &err), &err);
    write_space("own", three);
    refresh(tree);
    assert_string_equal(space_tree_find(tree, "own")->error, "");
    assert_string_equal(told, "+own ~own ");
    close_tree(tree);
}

/* Looks with the 1st, 2nd, ... allocation failing, until the file is read; what was there stays. */
static void what_was_declared_stays_while_its_file_cannot_be_looked_at(void **state)
{
    struct space_tree *tree = open_tree();
    const struct space *before;
    char file[TEST_PATH_BYTES];

    (void)state;
    write_space("looped", two);
    refresh(tree);
    before = space_find("looped");
    assert_non_null(before);
    (void)snprintf(file, sizeof file, "%s", own_path("config/spaces/looped.json"));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("looped.json", file), 0); /* as any failure but that it is gone */
    refresh(tree);
    assert_ptr_equal(space_find("looped"), before);
    assert_contains(space_tree_find(tree, "looped")->error, "config/spaces/looped.json: ");
    assert_contains(space_tree_find(tree, "looped")->error, "symbolic links");
    assert_int_equal(unlink(file), 0);
    write_space("looped", two);
    refresh(tree);
    assert_ptr_equal(space_find("looped"), before);
    assert_string_equal(space_tree_find(tree, "looped")->error, "");
    close_tree(tree);
}

static void read_without_memory(struct space_tree *tree, const char *name)
{
    const struct space *before = space_find(name);
    const long blocks = mem_live_blocks();
    long n = 1;

    for (; n < 1000; n++) {
        mem_fail_after(n, 0);
        refresh(tree);
        mem_fail_after(0, 0);
        if (space_find(name) != before) {
            break;
        }
        assert_int_equal(mem_live_blocks(), blocks);
        assert_contains(space_tree_find(tree, name)->error, "memory");
    }
    assert_in_range(n, 3, 999); /* it failed at least twice */
    assert_string_equal(space_tree_find(tree, name)->error, "");
}

static void a_file_that_there_was_no_memory_for_is_read_by_a_later_look(void **state)
{
    struct space_tree *tree = open_tree();
    (void)state;
    write_space("one", two);
    read_without_memory(tree, "one");
    assert_string_equal(told, "+one ");
    told[0] = '\0';
    write_space("one", three);
    read_without_memory(tree, "one");
    assert_string_equal(told, "~one ");
    close_tree(tree);
}

static void what_is_put_is_a_file_that_declares_it(void **state)
{
    struct space_declaration *d = calloc(1, sizeof *d);
    struct space_tree *tree = open_tree();
    const struct space *put = NULL;
    struct error err = {0};
    (void)state;
    assert_non_null(d);
    write_space("own", three);
    refresh(tree);
    memcpy(d, space_find("own")->declaration, sizeof *d);
    (void)snprintf(d->name, sizeof d->name, "copy");
    space_tree_lock(tree);
    assert_ok(space_tree_put(tree, d, &put, &err), &err);
    space_tree_unlock(tree);
    assert_string_equal(told, "+own +copy ");
    assert_int_equal(count_files(own_path("config/spaces")), 2);
    refresh(tree); /* and finds nothing new */
    assert_string_equal(told, "+own +copy ");
    space_tree_lock(tree);
    assert_ok(space_tree_remove(tree, "own", &err), &err);
    assert_error(space_tree_remove(tree, "own", &err), ERR_NOT_FOUND, &err, "own.json");
    space_tree_unlock(tree);
    assert_null(space_find("own"));
    assert_int_equal(count_files(own_path("config/spaces")), 1);
    close_tree(tree);
    free(d);
}

/* A directory in the file's place: neither declared nor written. */
static void what_cannot_be_written_is_not_declared(void **state)
{
    struct space_declaration *d = calloc(1, sizeof *d);
    struct space_tree *tree = open_tree();
    const struct space *space;
    const struct space *put = NULL;
    struct error err = {0};
    (void)state;
    assert_non_null(d);
    write_space("own", two);
    refresh(tree);
    space = space_find("own");
    memcpy(d, space->declaration, sizeof *d);
    assert_int_equal(unlink(own_path("config/spaces/own.json")), 0);
    (void)write_text("config/spaces/own.json/x", "");
    d->batch = 2;
    assert_int_not_equal(space_tree_put(tree, d, &put, &err), ERR_OK);
    assert_ptr_equal(space_find("own"), space);
    (void)snprintf(d->name, sizeof d->name, "other");
    (void)write_text("config/spaces/other.json/x", "");
    assert_int_not_equal(space_tree_put(tree, d, &put, &err), ERR_OK);
    assert_null(space_find("other"));
    close_tree(tree);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        tree_test(a_root_without_the_directory_declares_nothing),
        tree_test(files_come_change_and_go),
        tree_test(a_malformed_file_harms_no_other),
        tree_test(what_was_declared_stays_while_its_file_is_malformed),
        tree_test(what_was_declared_stays_while_its_file_cannot_be_looked_at),
        tree_test(a_file_that_there_was_no_memory_for_is_read_by_a_later_look),
        tree_test(what_is_put_is_a_file_that_declares_it),
        tree_test(what_cannot_be_written_is_not_declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
