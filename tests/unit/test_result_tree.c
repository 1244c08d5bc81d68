/* server/result_tree.h: a file is whole or absent. */
#define _GNU_SOURCE /* unshare(); NOLINT(bugprone-reserved-identifier) */
#include <sched.h>
#include <sys/wait.h>

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

/* Another process, that stages a file and ends without result_close(), as one that is killed does. */
struct elsewhere {
    pid_t pid; /* 0: there can be none */
    int life;  /* it lives until this is closed */
};

/* `is_namespaced`: in a pid namespace of its own, as in another container, where its number means
 * nothing to us. */
static struct elsewhere stage_elsewhere(bool is_namespaced)
{
    int ready[2];
    int life[2];
    char token = 0;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(life), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct result_batch batch = {0};
        pid_t inner = 0;
        (void)close(life[1]);
        if (is_namespaced) {
            inner = unshare(CLONE_NEWPID) == 0 ? fork() : -1;
        }
        if (inner == 0) {
            token = stage(&batch, "far.txt", "x", NULL) == ERR_OK ? 'y' : 'n';
            _exit(write(ready[1], &token, 1) == 1 && read(life[0], &token, 1) == 0 ? 0 : 1);
        }
        (void)close(ready[1]);
        _exit(inner > 0 && waitpid(inner, NULL, 0) == inner ? 0 : 1);
    }
    (void)close(ready[1]);
    (void)close(life[0]);
    if (read(ready[0], &token, 1) != 1) {
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        pid = 0;
    }
    (void)close(ready[0]);
    assert_true(pid == 0 || token == 'y');
    return (struct elsewhere){pid, life[1]};
}

static void end_elsewhere(const struct elsewhere *other)
{
    (void)close(other->life);
    if (other->pid > 0) {
        assert_int_equal(waitpid(other->pid, NULL, 0), other->pid);
    }
}

static void only_what_nobody_stages_any_more_is_swept(void **state)
{
    struct result_batch batch = {0};
    struct error err = {0};
    struct elsewhere other;
    struct elsewhere gone;
    (void)state;
    assert_ok(stage(&batch, "near.txt", "near", &err), &err);
    gone = stage_elsewhere(false);
    end_elsewhere(&gone);
    other = stage_elsewhere(false); /* which sweeps the directory, too */
    assert_int_equal(count_files(check_directory), 2);
    result_sweep(check_directory);
    assert_int_equal(count_files(check_directory), 2);
    end_elsewhere(&other);
    result_sweep(check_directory);
    assert_int_equal(count_files(check_directory), 1);
    assert_ok(result_commit(&batch, &err), &err);
    result_close(&batch);
    assert_true(file_holds(own_path("near.txt"), "near"));
}

static void what_a_process_of_another_pid_namespace_stages_is_left_alone(void **state)
{
    struct elsewhere other = stage_elsewhere(true);
    (void)state;
    if (other.pid == 0) {
        end_elsewhere(&other);
        print_message("skipped: this takes the right to make namespaces\n");
        skip();
    }
    result_sweep(check_directory);
    assert_int_equal(count_files(check_directory), 1);
    end_elsewhere(&other);
    assert_int_equal(count_files(check_directory), 1);
    result_sweep(check_directory);
    assert_int_equal(count_files(check_directory), 0);
}

/* A file of an older version goes by the number of a process that may well live. */
static void what_another_version_left_is_swept(void **state)
{
    char name[64];
    (void)state;
    (void)snprintf(name, sizeof name, ".model.safetensors.%d.7.tmp", (int)getpid());
    (void)write_text(name, "x");
    (void)write_text("kept.tmp", "x");
    (void)write_text(".kept", "x");
    result_sweep(check_directory);
    assert_int_equal(count_files(check_directory), 2);
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
        directory_test(only_what_nobody_stages_any_more_is_swept),
        directory_test(what_a_process_of_another_pid_namespace_stages_is_left_alone),
        directory_test(what_another_version_left_is_swept),
        directory_test(running_out_of_memory_is_told_and_leaves_neither_block_nor_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
