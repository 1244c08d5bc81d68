/* server/result_tree.h: a file is whole or absent. */
#include "server/result_tree.h"
#include "tests/support/check.h"

static enum err stage(struct result_batch *batch, const char *name, const char *text,
                      struct error *err)
{
    return result_stage(batch, own_path(name), text, strlen(text), err);
}

static void staged_files_appear_at_the_commit_all_with_their_content(void **state)
{
    struct result_batch batch = {0};
    struct error err = {0};
    (void)state;
    assert_ok(stage(&batch, "a/b/one.txt", "one", &err), &err);
    assert_ok(stage(&batch, "a/two.txt", "two", &err), &err);
    assert_int_not_equal(access(own_path("a/b/one.txt"), F_OK), 0);
    assert_int_not_equal(access(own_path("a/two.txt"), F_OK), 0);
    assert_ok(result_commit(&batch, &err), &err);
    result_close(&batch);
    assert_true(file_holds(own_path("a/b/one.txt"), "one"));
    assert_true(file_holds(own_path("a/two.txt"), "two"));
    assert_int_equal(count_files(check_directory), 2); /* no temporary is left */
}

enum { MADE_BYTES = 100000 };

/* Byte i is i modulo 251, `*source` of them made so far. */
static size_t make_bytes(void *source, char *bytes, size_t size)
{
    size_t *n_made = source;
    size_t n = MADE_BYTES - *n_made < size ? MADE_BYTES - *n_made : size;

    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)((*n_made + i) % 251);
    }
    *n_made += n;
    return n;
}

static void a_file_may_be_made_while_it_is_written(void **state)
{
    static char held[MADE_BYTES + 1];
    struct result_batch batch = {0};
    struct error err = {0};
    size_t n_made = 0;
    FILE *fp;
    (void)state;
    assert_ok(result_stage_from(&batch, own_path("a/made"), make_bytes, &n_made, &err), &err);
    assert_ok(result_commit(&batch, &err), &err);
    result_close(&batch);
    fp = fopen(own_path("a/made"), "rb");
    assert_non_null(fp);
    assert_int_equal(fread(held, 1, sizeof held, fp), MADE_BYTES);
    (void)fclose(fp);
    for (size_t i = 0; i < MADE_BYTES; i++) {
        assert_int_equal(held[i], (char)(i % 251));
    }
}

static void a_batch_that_is_not_committed_leaves_nothing(void **state)
{
    struct result_batch batch = {0};
    struct error err = {0};
    (void)state;
    (void)write_text("kept.txt", "old");
    assert_ok(stage(&batch, "kept.txt", "new", &err), &err);
    assert_ok(stage(&batch, "x/new.txt", "new", &err), &err);
    result_close(&batch);
    assert_true(file_holds(own_path("kept.txt"), "old"));
    assert_int_equal(count_files(check_directory), 1);
    result_close(&batch);
}

static void a_commit_replaces_what_was_there(void **state)
{
    struct result_batch batch = {0};
    struct error err = {0};
    (void)state;
    (void)write_text("file.txt", "a longer old text");
    assert_ok(stage(&batch, "file.txt", "new", &err), &err);
    assert_ok(result_commit(&batch, &err), &err);
    result_close(&batch);
    assert_true(file_holds(own_path("file.txt"), "new"));
}

static void what_is_staged_is_no_result_by_its_name(void **state)
{
    struct result_batch batch = {0};
    const char *name;
    (void)state;
    assert_int_equal(stage(&batch, "dir/file.txt", "x", NULL), ERR_OK);
    name = strrchr(batch.files[0].temporary, '/') + 1;
    assert_int_equal(name[0], '.');
    assert_string_equal(name + strlen(name) - 4, ".tmp");
    result_close(&batch);
}

static void a_directory_that_cannot_be_written_is_told_and_nothing_is_left(void **state)
{
    struct result_batch batch = {0};
    struct error err = {0};
    (void)state;
    (void)write_text("file", "x");
    assert_error(stage(&batch, "file/below.txt", "x", &err), ERR_IO, &err, "file");
    assert_int_equal(mkdir(own_path("closed"), 0500), 0);
    if (geteuid() != 0) { /* root may write everywhere */
        assert_error(stage(&batch, "closed/a.txt", "x", &err), ERR_IO, &err, "closed");
    }
    assert_error(result_stage(&batch, "/proc/nowhere/a.txt", "x", 1, &err), ERR_NOT_FOUND, &err,
                 "/proc/nowhere");
    assert_int_equal(batch.n_files, 0);
    result_close(&batch);
    assert_int_equal(count_files(check_directory), 1);
}

static void a_place_that_is_taken_by_a_directory_is_refused(void **state)
{
    struct result_batch batch = {0};
    struct error err = {0};
    (void)state;
    (void)write_text("taken/inner.txt", "x");
    assert_error(stage(&batch, "taken", "x", &err), ERR_IO, &err, "it is a directory");
    result_close(&batch);
    assert_int_equal(count_files(check_directory), 1);
}

static void a_place_that_a_directory_takes_meanwhile_fails_the_commit(void **state)
{
    struct result_batch batch = {0};
    struct error err = {0};
    (void)state;
    assert_ok(stage(&batch, "taken", "x", &err), &err);
    (void)write_text("taken/inner.txt", "x");
    assert_error(result_commit(&batch, &err), ERR_IO, &err, "taken in place");
    result_close(&batch);
    assert_int_equal(count_files(check_directory), 1);
}

static enum err stage_once(void *context, struct error *err)
{
    struct result_batch batch = {0};
    enum err rc = stage(&batch, "a.txt", "x", err);

    (void)context;
    rc = rc != ERR_OK ? rc : stage(&batch, "b.txt", "x", err);
    result_close(&batch);
    return rc;
}

static void running_out_of_memory_is_told_and_leaves_neither_block_nor_file(void **state)
{
    (void)state;
    fail_each_allocation(stage_once, NULL);
    assert_int_equal(count_files(check_directory), 0);
}

static void a_file_is_removed_once(void **state)
{
    struct error err = {0};
    (void)state;
    write_text("a/b", "x");
    assert_ok(result_remove(own_path("a/b"), &err), &err);
    assert_int_equal(count_files(check_directory), 0);
    assert_error(result_remove(own_path("a/b"), &err), ERR_NOT_FOUND, &err, "cannot remove");
    assert_error(result_remove(own_path("a"), &err), ERR_IO, &err, "cannot remove");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(staged_files_appear_at_the_commit_all_with_their_content),
        directory_test(a_file_may_be_made_while_it_is_written),
        directory_test(a_batch_that_is_not_committed_leaves_nothing),
        directory_test(a_commit_replaces_what_was_there),
        directory_test(what_is_staged_is_no_result_by_its_name),
        directory_test(a_directory_that_cannot_be_written_is_told_and_nothing_is_left),
        directory_test(a_place_that_is_taken_by_a_directory_is_refused),
        directory_test(a_place_that_a_directory_takes_meanwhile_fails_the_commit),
        directory_test(a_file_is_removed_once),
        directory_test(running_out_of_memory_is_told_and_leaves_neither_block_nor_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
