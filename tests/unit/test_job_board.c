/* The board: progress, stops, watches and events, without any store. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "server/clock.h"
#include "server/job_board.h"
#include "tests/support/check.h"

static const char id[] = "01890a5d-ac96-774b-bcce-b302099a8057";
static const char other_id[] = "01890a5d-ac96-774b-bcce-b302099a8058";

enum { PAUSE_MS = BOARD_PUBLISH_MS + 10 };

/* As the store gives a job that was claimed. */
static void make_job(struct job *job)
{
    memset(job, 0, sizeof *job);
    memcpy(job->id, id, sizeof id);
    (void)snprintf(job->space, sizeof job->space, "nasbench201");
    job->state = JOB_RUNNING;
    job->attempt = 1;
    job->revision = (int64_t)1 << 32;
    job->submitted_ms = job->started_ms = 1;
    job->params = mem_strdup("{}");
}

struct fixture {
    struct job_board *board;
    struct job_run *run;
    struct job job;
};

static void set_up(struct fixture *f)
{
    assert_int_equal(job_board_create(&f->board, NULL), ERR_OK);
    make_job(&f->job);
    assert_int_equal(job_board_begin(f->board, &f->job, &f->run, NULL), ERR_OK);
}

static void tear_down(struct fixture *f)
{
    if (f->run != NULL) {
        job_board_end(f->board, f->run, true);
    }
    job_board_destroy(f->board);
    job_close(&f->job);
}

/* Publishes, whatever was published a moment ago. */
static bool report(struct fixture *f, double percent)
{
    const struct job_progress progress = {.percent = percent, .stage = "training"};

    pause_ms(PAUSE_MS);
    return job_run_report(f->run, &progress);
}

static int n_woken;

static void count(struct job_watch *watch)
{
    (void)watch;
    n_woken++;
}

static struct job_watch watch_of(const char *job_id, int64_t after_revision, bool is_for_end)
{
    struct job_watch watch = {.after_revision = after_revision,
                              .until_ms = INT64_MAX,
                              .is_for_end = is_for_end,
                              .wake = count};

    memcpy(watch.id, job_id, JOB_ID_BYTES);
    n_woken = 0;
    return watch;
}

static void progress_lies_over_what_the_store_has(void **state)
{
    struct fixture f = {0};

    (void)state;
    set_up(&f);
    assert_int_equal(job_board_overlay(f.board, &f.job, NULL), ERR_OK);
    assert_null(f.job.progress); /* nothing was published */
    assert_true(report(&f, 25));
    assert_int_equal(job_board_overlay(f.board, &f.job, NULL), ERR_OK);
    assert_non_null(strstr(f.job.progress, "25"));
    assert_int_equal(f.job.revision, ((int64_t)1 << 32) + 1);
    f.job.attempt = 2; /* another process runs it by now */
    f.job.revision = (int64_t)2 << 32;
    assert_true(report(&f, 75));
    assert_int_equal(job_board_overlay(f.board, &f.job, NULL), ERR_OK);
    assert_non_null(strstr(f.job.progress, "25"));
    tear_down(&f);
}

static void cancel(struct job_board *board, const char *job_id)
{
    job_board_cancel(board, job_id);
}

static void lose(struct job_board *board, const char *job_id)
{
    job_board_lose(board, job_id, 1);
}

static void a_run_that_is_stopped_is_told_why(void **state)
{
    static const struct {
        void (*stop)(struct job_board *board, const char *job_id);
        enum stop_reason reason;
    } stops[] = {
        {cancel, STOP_CANCEL},
        {lose,   STOP_LOST  },
    };

    (void)state;
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        struct fixture f = {0};
        set_up(&f);
        assert_true(report(&f, 1));
        stops[i].stop(f.board, other_id);
        assert_true(report(&f, 2));
        stops[i].stop(f.board, id);
        job_board_drain(f.board); /* the first reason stays */
        assert_false(report(&f, 3));
        assert_false(job_run_may_commit(f.run));
        assert_int_equal(job_run_stop_reason(f.run), stops[i].reason);
        tear_down(&f);
    }
}

static void of_two_attempts_that_run_the_one_that_lost_its_lease_stops(void **state)
{
    struct fixture f = {0};
    struct job_run *first;

    (void)state;
    set_up(&f);
    first = f.run;
    f.job.attempt = 2; /* claimed by the same process, while the first does not know yet */
    assert_int_equal(job_board_begin(f.board, &f.job, &f.run, NULL), ERR_OK);
    job_board_lose(f.board, id, 1);
    job_board_lose(f.board, id, 3);
    assert_int_equal(job_run_stop_reason(first), STOP_LOST);
    assert_int_equal(job_run_stop_reason(f.run), STOP_NONE);
    assert_true(job_board_hold(f.board, id, 1, 5));
    assert_true(job_board_hold(f.board, id, 2, 7));
    assert_false(job_board_hold(f.board, id, 3, 9));
    assert_int_equal(job_run_held_until(first), 5);
    assert_int_equal(job_run_held_until(f.run), 7);
    job_board_cancel(f.board, id);
    assert_int_equal(job_run_stop_reason(first), STOP_LOST); /* the first reason stays */
    assert_int_equal(job_run_stop_reason(f.run), STOP_CANCEL);
    job_board_end(f.board, first, false);
    tear_down(&f);
}

static void what_commits_is_not_stopped(void **state)
{
    struct fixture f = {0};

    (void)state;
    set_up(&f);
    assert_true(job_run_may_commit(f.run));
    job_board_cancel(f.board, id);
    job_board_drain(f.board);
    assert_int_equal(job_run_stop_reason(f.run), STOP_NONE);
    tear_down(&f);
}

static void a_deadline_stops_a_run(void **state)
{
    struct fixture f = {0};

    (void)state;
    assert_int_equal(job_board_create(&f.board, NULL), ERR_OK);
    make_job(&f.job);
    f.job.deadline_ms = realtime_ms() - 1;
    assert_int_equal(job_board_begin(f.board, &f.job, &f.run, NULL), ERR_OK);
    assert_false(report(&f, 1));
    assert_int_equal(job_run_stop_reason(f.run), STOP_DEADLINE);
    tear_down(&f);
}

static void a_job_that_was_to_be_cancelled_does_not_begin(void **state)
{
    struct fixture f = {0};

    (void)state;
    assert_int_equal(job_board_create(&f.board, NULL), ERR_OK);
    make_job(&f.job);
    f.job.is_cancel_requested = true;
    assert_int_equal(job_board_begin(f.board, &f.job, &f.run, NULL), ERR_OK);
    assert_false(job_run_may_commit(f.run));
    tear_down(&f);
}

static void watches_are_woken_once_by_what_they_wait_for(void **state)
{
    struct fixture f = {0};
    struct job_watch change;
    struct job_watch end;

    (void)state;
    set_up(&f);
    end = watch_of(id, 0, true);
    assert_true(job_board_watch(f.board, &end));
    change = watch_of(id, f.job.revision, false);
    assert_true(job_board_watch(f.board, &change));
    assert_int_equal(n_woken, 0);
    assert_true(report(&f, 10));
    assert_int_equal(n_woken, 1);
    assert_true(report(&f, 20));
    assert_int_equal(n_woken, 1);
    job_board_end(f.board, f.run, true);
    f.run = NULL;
    assert_int_equal(n_woken, 2);
    tear_down(&f);
}

static void who_waits_for_an_end_is_not_woken_by_a_requeue(void **state)
{
    struct fixture f = {0};
    struct job_watch end;

    (void)state;
    set_up(&f);
    end = watch_of(id, 0, true);
    assert_true(job_board_watch(f.board, &end));
    job_board_end(f.board, f.run, false);
    f.run = NULL;
    assert_int_equal(n_woken, 0);
    job_board_changed(f.board, id, f.job.revision + 5, false);
    assert_int_equal(n_woken, 0);
    job_board_changed(f.board, id, f.job.revision + 6, true);
    assert_int_equal(n_woken, 1);
    tear_down(&f);
}

static void a_watch_that_comes_late_is_woken_at_once(void **state)
{
    struct fixture f = {0};
    struct job_watch watch;

    (void)state;
    set_up(&f);
    assert_true(report(&f, 10));
    watch = watch_of(id, f.job.revision, false);
    assert_false(job_board_watch(f.board, &watch));
    assert_int_equal(n_woken, 1);
    tear_down(&f);
}

static void watches_have_a_time(void **state)
{
    struct fixture f = {0};
    struct job_watch soon;
    struct job_watch late;

    (void)state;
    set_up(&f);
    soon = watch_of(other_id, 0, false);
    late = watch_of(other_id, 0, false);
    soon.until_ms = 100;
    late.until_ms = 200;
    assert_true(job_board_watch(f.board, &late));
    assert_true(job_board_watch(f.board, &soon));
    assert_int_equal(job_board_tick(f.board, 99), 100);
    assert_int_equal(n_woken, 0);
    assert_int_equal(job_board_tick(f.board, 100), 200);
    assert_int_equal(n_woken, 1);
    assert_true(job_board_tick(f.board, 200) == INT64_MAX);
    assert_int_equal(n_woken, 2);
    tear_down(&f);
}

static void watched_jobs_are_told_once_where_they_do_not_run(void **state)
{
    char ids[4][JOB_ID_BYTES];
    struct fixture f = {0};
    struct job_watch watches[3];

    (void)state;
    set_up(&f);
    watches[0] = watch_of(other_id, 0, false);
    watches[1] = watch_of(other_id, 0, true);
    watches[2] = watch_of(id, INT64_MAX, true);
    for (int i = 0; i < 3; i++) {
        assert_true(job_board_watch(f.board, &watches[i]));
    }
    assert_int_equal(job_board_watched(f.board, true, ids, 4), 1);
    assert_string_equal(ids[0], other_id);
    assert_int_equal(job_board_watched(f.board, true, ids, 4), 0);
    assert_int_equal(job_board_watched(f.board, false, ids, 4), 1);
    job_board_drain(f.board);
    assert_int_equal(n_woken, 3);
    assert_false(job_board_watch(f.board, &watches[0])); /* at once from now on */
    assert_int_equal(n_woken, 4);
    assert_int_equal(job_run_stop_reason(f.run), STOP_SERVICE);
    tear_down(&f);
}

static void events_go_on_where_a_client_was(void **state)
{
    struct fixture f = {0};
    struct text text = {0};
    int64_t begin = (int64_t)1 << 32;
    int64_t revision = 0;

    (void)state;
    set_up(&f);
    assert_true(report(&f, 10));
    assert_true(report(&f, 20));
    assert_false(job_board_put_events(f.board, other_id, 0, &text, &revision));
    assert_true(job_board_put_events(f.board, id, 0, &text, &revision));
    assert_int_equal(revision, begin + 2);
    assert_non_null(strstr(text.bytes, "id: 4294967296\nevent: job\ndata: {\"id\":\"01890a5d-"));
    assert_non_null(strstr(text.bytes, "id: 4294967297\nevent: progress\ndata: {\"percent\":10"));
    assert_non_null(strstr(text.bytes, "id: 4294967298\nevent: progress\ndata: {\"percent\":20"));
    text_close(&text);
    assert_true(job_board_put_events(f.board, id, begin + 1, &text, &revision));
    assert_int_equal(strncmp(text.bytes, "id: 4294967298\n", 15), 0);
    text_close(&text);
    assert_true(job_board_put_events(f.board, id, begin + 2, &text, &revision));
    assert_int_equal(text.size, 0);
    assert_int_equal(revision, begin + 2);
    tear_down(&f);
}

/* Publishes progress of a generation with a front of so many points. */
static void report_front(struct fixture *f, size_t step, size_t n)
{
    struct job_front front = {.n_changes = n, .n = n};
    const struct job_progress progress = {.percent = (double)step,
                                          .stage = "searching",
                                          .generation = step,
                                          .n_generations = 100,
                                          .accuracy = 70,
                                          .latency_ms = 3,
                                          .loss = 1,
                                          .front = &front};

    for (size_t i = 0; i < n; i++) {
        front.latency_ms[i] = 1.0 + (double)i;
        front.accuracy[i] = 60.0 + (double)i;
    }
    pause_ms(PAUSE_MS);
    assert_true(job_run_report(f->run, &progress));
    memset(&front, 0, sizeof front); /* it was lent for the call */
}

static size_t count_texts(const char *in, const char *text)
{
    size_t n = 0;

    for (const char *at = strstr(in, text); at != NULL; at = strstr(at + 1, text)) {
        n++;
    }
    return n;
}

#define FRONT_OF_2 \
    "\"front\":[{\"latency_ms\":1,\"accuracy\":60},{\"latency_ms\":2,\"accuracy\":61}]}"

static void a_front_is_told_where_it_has_grown(void **state)
{
    struct fixture f = {0};
    struct text text = {0};
    int64_t revision = 0;

    (void)state;
    set_up(&f);
    report_front(&f, 1, 1);
    report_front(&f, 2, 2);
    assert_true(job_board_put_events(f.board, id, 0, &text, &revision));
    assert_int_equal(count_texts(text.bytes, "event: progress"), 2);
    assert_int_equal(count_texts(text.bytes, "front"), 1); /* the last event alone has it */
    assert_non_null(strstr(text.bytes, FRONT_OF_2 "\n\n"));
    text_close(&text);
    assert_int_equal(job_board_overlay(f.board, &f.job, NULL), ERR_OK);
    assert_non_null(strstr(f.job.progress, "," FRONT_OF_2));
    report_front(&f, 3, 2); /* has not grown */
    assert_true(job_board_put_events(f.board, id, revision, &text, &revision));
    assert_int_equal(count_texts(text.bytes, "event: progress"), 1);
    assert_int_equal(count_texts(text.bytes, "front"), 0);
    text_close(&text);
    report_front(&f, 4, 3);
    assert_true(job_board_put_events(f.board, id, revision, &text, &revision));
    assert_int_equal(count_texts(text.bytes, "latency_ms"), 4); /* of the best, and of the front */
    text_close(&text);
    tear_down(&f);
}

static void a_course_is_told_up_to_where_it_is(void **state)
{
    struct job_history history = {0};
    struct board_report reports[1];
    struct fixture f = {0};
    struct text text = {0};

    (void)state;
    set_up(&f);
    assert_false(job_board_put_history(f.board, id, &text)); /* the store may know more */
    job_run_put_history(f.run, &text);
    assert_int_equal(text.size, 0);
    history.stride = 4;
    history.points[history.n++] = (struct job_point){1, NAN, 50, NAN};
    history.points[history.n++] = (struct job_point){5, NAN, 55, NAN};
    job_run_resume_history(f.run, &history);
    report_front(&f, 7, 2); /* lies between two points that are kept */
    assert_false(job_board_put_history(f.board, other_id, &text));
    assert_true(job_board_put_history(f.board, id, &text));
    assert_int_equal(count_texts(text.bytes, "generation"), 3);
    assert_non_null(strstr(text.bytes, "{\"stride\":4,\"points\":[{\"generation\":1,"));
    assert_non_null(strstr(text.bytes, "{\"generation\":7,\"accuracy\":70,\"latency_ms\":3}]"));
    assert_non_null(strstr(text.bytes, FRONT_OF_2));
    assert_int_equal(job_board_reports(f.board, reports, 1), 1);
    assert_string_equal(reports[0].history, text.bytes);
    assert_non_null(strstr(reports[0].progress, FRONT_OF_2));
    mem_free(reports[0].progress);
    mem_free(reports[0].history);
    text_close(&text);
    job_run_put_history(f.run, &text);
    assert_non_null(strstr(text.bytes, "{\"generation\":7,"));
    text_close(&text);
    tear_down(&f);
}

static void reports_have_the_latest_progress(void **state)
{
    struct board_report reports[2];
    struct fixture f = {0};

    (void)state;
    set_up(&f);
    assert_int_equal(job_board_reports(f.board, reports, 2), 1);
    assert_null(reports[0].progress);
    assert_true(report(&f, 10));
    assert_int_equal(job_board_reports(f.board, reports, 2), 1);
    assert_string_equal(reports[0].id, id);
    assert_int_equal(reports[0].attempt, 1);
    assert_int_equal(reports[0].revision, ((int64_t)1 << 32) + 1);
    assert_non_null(strstr(reports[0].progress, "10"));
    mem_free(reports[0].progress);
    assert_int_equal(job_run_next_revision(f.run), ((int64_t)1 << 32) + 2);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_lies_over_what_the_store_has),
        cmocka_unit_test(a_run_that_is_stopped_is_told_why),
        cmocka_unit_test(of_two_attempts_that_run_the_one_that_lost_its_lease_stops),
        cmocka_unit_test(what_commits_is_not_stopped),
        cmocka_unit_test(a_deadline_stops_a_run),
        cmocka_unit_test(a_job_that_was_to_be_cancelled_does_not_begin),
        cmocka_unit_test(watches_are_woken_once_by_what_they_wait_for),
        cmocka_unit_test(who_waits_for_an_end_is_not_woken_by_a_requeue),
        cmocka_unit_test(a_watch_that_comes_late_is_woken_at_once),
        cmocka_unit_test(watches_have_a_time),
        cmocka_unit_test(watched_jobs_are_told_once_where_they_do_not_run),
        cmocka_unit_test(events_go_on_where_a_client_was),
        cmocka_unit_test(a_front_is_told_where_it_has_grown),
        cmocka_unit_test(a_course_is_told_up_to_where_it_is),
        cmocka_unit_test(reports_have_the_latest_progress),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
