/* server/accuracy_cache.h: what is kept holds for as long as its files look as they did, and stays
 * valid in the hands of whoever has it. */
#include "core/matrix.h"
#include "core/rng.h"
#include "core/space_standard.h"
#include "server/accuracy_cache.h"
#include "server/accuracy_data.h"
#include "tests/support/check.h"

#define NAS    "data/nasbench201/NAS/"
#define DATAXY "data/fbnetv3/NAS/dataxy.txt"
#define STORED "result/fbnetv3/accuracymodel.safetensors"

struct fixture {
    struct data_tree tree;
    struct accuracy_cache cache;
};

static void write_table(const char *accuracies)
{
    (void)write_text(NAS "net.txt", "4 4 4 2 4 4\n1 1 1 1 1 1\n");
    (void)write_text(NAS "acc.txt", accuracies);
}

static struct fixture *begin(void)
{
    static struct fixture fixture;
    struct error err = {0};

    assert_ok(data_tree_init(&fixture.tree, check_directory, NULL, &err), &err);
    assert_ok(accuracy_cache_init(&fixture.cache, &err), &err);
    write_table("73\n1\n");
    return &fixture;
}

static struct accuracy_known *acquire(struct fixture *f, const struct space *space)
{
    struct accuracy_known *known = NULL;
    struct error err = {0};

    assert_ok(accuracy_cache_acquire(&f->cache, &f->tree, space, &known, &err), &err);
    assert_ptr_equal(known->space, space);
    return known;
}

/* Accuracy of the table's first row. */
static double first(const struct accuracy_known *known)
{
    static const int32_t genes[] = {4, 4, 4, 2, 4, 4};
    double accuracy = NAN;

    assert_int_equal(accuracy_source_predict(&known->source, genes, 1, &accuracy, NULL), ERR_OK);
    return accuracy;
}

/* Until what was written looks old enough to be relied upon: times of change cannot be set, so a
 * test waits. */
static void wait_until_settled(void)
{
    const struct timespec pause = {3, 100 * 1000 * 1000};

    (void)nanosleep(&pause, NULL);
}

/* Networks of a user's, the wider the better, by `worth` a step. */
static void write_networks(double worth)
{
    char text[8192] = "";
    size_t used = 0;

    for (size_t i = 0; i < 30; i++) {
        double top1 = 70.0;
        for (size_t g = 0; g < 28; g++) {
            const struct gene *gene = &space_fbnetv3.genes[g];
            const size_t at = (i * 7 + g * 3 + i * g) % (size_t)gene->n_values;
            top1 += worth * (double)at;
            used += (size_t)snprintf(text + used, sizeof text - used, "%d ",
                                     gene->first + gene->step * (int32_t)at);
        }
        used += (size_t)snprintf(text + used, sizeof text - used, "%.3f %.3f\n", top1, top1 + 5.0);
    }
    (void)write_text(DATAXY, text);
}

static void copy_stored(void)
{
    char bytes[4096];
    FILE *fp = fopen(STORED, "rb"); /* that which ships */
    size_t size;

    assert_non_null(fp);
    size = fread(bytes, 1, sizeof bytes, fp);
    (void)fclose(fp);
    assert_in_range(size, 1, sizeof bytes - 1);
    (void)write_bytes(STORED, bytes, size);
}

/* ---- what is kept ---------------------------------------------------------------------------- */

/* Of two spaces, in turn. */
static void check_the_same_is_given(struct fixture *f)
{
    struct accuracy_known *tables[3];
    struct accuracy_known *models[2];
    bool can_list = false;

    for (size_t i = 0; i < 2; i++) {
        tables[i] = acquire(f, &space_nasbench201);
        models[i] = acquire(f, &space_fbnetv3);
    }
    assert_ptr_equal(tables[0], tables[1]);
    assert_ptr_equal(models[0], models[1]);
    assert_true(tables[0]->has_all);
    assert_int_equal(tables[0]->all.architectures.n_rows, 2);
    assert_false(models[0]->has_all);
    assert_string_equal(models[0]->source.model.predictor->kind->name, "macs");
    for (size_t i = 0; i < 2; i++) {
        accuracy_cache_release(&f->cache, tables[i]);
        accuracy_cache_release(&f->cache, models[i]);
    }
    tables[2] = acquire(f, &space_nasbench201); /* though nobody had it meanwhile */
    assert_ptr_equal(tables[2], tables[0]);
    accuracy_cache_release(&f->cache, tables[2]);
    assert_int_equal(accuracy_cache_check(&f->cache, &f->tree, &space_nasbench201, &can_list, NULL),
                     ERR_OK);
    assert_true(can_list);
    assert_int_equal(accuracy_cache_check(&f->cache, &f->tree, &space_fbnetv3, &can_list, NULL),
                     ERR_OK);
    assert_false(can_list);
}

static void the_same_is_given_until_its_files_change_and_stays_valid_then(void **state)
{
    const long before = mem_live_blocks();
    struct fixture *f = begin();
    struct accuracy_known *old;
    struct accuracy_known *new;
    struct error err = {0};
    bool can_list;

    (void)state;
    copy_stored();
    wait_until_settled();
    check_the_same_is_given(f);
    old = acquire(f, &space_nasbench201);
    write_table("72\n1\n"); /* of the same size */
    new = acquire(f, &space_nasbench201);
    assert_ptr_not_equal(old, new);
    assert_near(first(old), 73, 0);
    assert_near(first(new), 72, 0);
    accuracy_cache_release(&f->cache, new);
    wait_until_settled();
    new = acquire(f, &space_nasbench201); /* which takes the old one's place */
    assert_near(first(new), 72, 0);
    assert_near(first(old), 73, 0);
    assert_near(old->all.accuracy[0], 73, 0);
    accuracy_cache_release(&f->cache, old);
    assert_int_equal(unlink(own_path(NAS "acc.txt")), 0);
    assert_error(accuracy_cache_check(&f->cache, &f->tree, &space_nasbench201, &can_list, &err),
                 ERR_NOT_FOUND, &err, "there is nothing to tell the accuracy");
    assert_near(first(new), 72, 0);
    accuracy_cache_release(&f->cache, new);
    accuracy_cache_close(&f->cache); /* gives back what is kept */
    assert_int_equal(mem_live_blocks(), before);
}

static void networks_and_models_that_changed_are_read_anew(void **state)
{
    struct fixture *f = begin();
    struct accuracy_known *known[5];
    struct accuracy_data data = {0};
    struct accuracy_model model = {0};
    struct error err = {0};
    char path[PATH_BYTES];

    (void)state;
    copy_stored();
    known[0] = acquire(f, &space_fbnetv3);
    assert_string_equal(known[0]->source.model.info.learned_from, "published");
    write_networks(0.05); /* wins over the model from now on */
    known[1] = acquire(f, &space_fbnetv3);
    assert_string_equal(known[1]->source.model.info.learned_from, "dataxy");
    wait_until_settled();
    known[2] = acquire(f, &space_fbnetv3);
    assert_string_equal(known[2]->source.model.info.version, known[1]->source.model.info.version);
    known[3] = acquire(f, &space_fbnetv3); /* what was learned once is not learned again */
    assert_ptr_equal(known[2], known[3]);

    /* trained on these networks with another seed, and stored: that is taken */
    assert_ok(accuracy_data_load(&space_fbnetv3, own_path("data/fbnetv3/NAS"), &data, &err), &err);
    assert_ok(accuracy_data_train(&data, 9, &model, NULL, &err), &err);
    assert_ok(accuracy_store_save(check_directory, &model, path, &err), &err);
    known[4] = acquire(f, &space_fbnetv3);
    assert_ptr_not_equal(known[4], known[3]);
    assert_int_equal(known[4]->source.model.info.seed, 9);
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        accuracy_cache_release(&f->cache, known[i]);
    }
    accuracy_model_close(&model);
    accuracy_data_close(&data);
    accuracy_cache_close(&f->cache);
}

static void what_is_not_settled_is_not_remembered(void **state)
{
    struct fixture *f = begin();

    (void)state;
    for (int i = 0; i < 50;
         i++) { /* changes that the clock of the file system may not tell apart */
        char text[32];
        struct accuracy_known *known;
        struct accuracy_known *again;
        (void)snprintf(text, sizeof text, "%d\n1\n", 20 + i);
        write_table(text);
        known = acquire(f, &space_nasbench201);
        again = acquire(f, &space_nasbench201);
        assert_ptr_not_equal(known, again);
        assert_false(known->is_settled);
        assert_near(first(known), 20 + i, 0);
        accuracy_cache_release(&f->cache, known);
        accuracy_cache_release(&f->cache, again);
    }
    for (size_t i = 0; i < ACCURACY_CACHE_SLOTS; i++) {
        assert_null(f->cache.slots[i]);
    }
    accuracy_cache_close(&f->cache);
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* An error of the cache is that of opening without one, word for word. */
static void check_error_of_opening(struct fixture *f, const struct space *space)
{
    struct accuracy_source source = {0};
    struct accuracy_known *known = NULL;
    struct error expected = {0};
    struct error err = {0};
    struct error unkept = {0};
    enum err rc = accuracy_source_open(&f->tree, space, &source, &expected);

    assert_int_not_equal(rc, ERR_OK);
    assert_error(accuracy_cache_acquire(&f->cache, &f->tree, space, &known, &err), rc, &err,
                 expected.text);
    assert_error(accuracy_cache_acquire(NULL, &f->tree, space, &known, &unkept), rc, &unkept,
                 expected.text);
    assert_null(known);
}

static void errors_are_those_of_opening(void **state)
{
    struct fixture *f = begin();
    struct accuracy_known *known;

    (void)state;
    check_error_of_opening(f, &space_fbnetv3); /* nothing there */
    write_table("73\n");                       /* fewer than networks */
    check_error_of_opening(f, &space_nasbench201);
    write_table("73\nx\n");
    check_error_of_opening(f, &space_nasbench201);
    (void)write_text(DATAXY, "1 2 3\n");
    check_error_of_opening(f, &space_fbnetv3);
    assert_int_equal(unlink(own_path(DATAXY)), 0);
    (void)write_text(STORED, "no model");
    check_error_of_opening(f, &space_fbnetv3);
    write_table("73\n1\n"); /* an error is not kept */
    known = acquire(f, &space_nasbench201);
    assert_near(first(known), 73, 0);
    accuracy_cache_release(&f->cache, known);
    accuracy_cache_close(&f->cache);
}

static void without_a_cache_each_has_its_own(void **state)
{
    struct fixture *f = begin();
    struct accuracy_known *one = NULL;
    struct accuracy_known *other = NULL;
    bool can_list = false;

    (void)state;
    assert_int_equal(accuracy_cache_acquire(NULL, &f->tree, &space_nasbench201, &one, NULL),
                     ERR_OK);
    assert_int_equal(accuracy_cache_acquire(NULL, &f->tree, &space_nasbench201, &other, NULL),
                     ERR_OK);
    assert_int_equal(accuracy_cache_check(NULL, &f->tree, &space_nasbench201, &can_list, NULL),
                     ERR_OK);
    assert_true(can_list);
    assert_ptr_not_equal(one, other);
    accuracy_cache_release(NULL, one);
    assert_near(first(other), 73, 0);
    accuracy_cache_release(NULL, other);
    accuracy_cache_release(NULL, NULL);
    accuracy_cache_release(&f->cache, NULL);
    accuracy_cache_close(&f->cache);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { N_THREADS = 4, N_ROUNDS = 300 };

static void *use_often(void *context)
{
    struct fixture *f = context;
    struct accuracy_known *held = NULL;
    size_t n_wrong = 0;

    for (int i = 0; i < N_ROUNDS; i++) {
        const struct space *space = i % 3 == 0 ? &space_fbnetv3 : &space_nasbench201;
        struct accuracy_known *known = NULL;
        bool can_list = false;
        n_wrong += accuracy_cache_acquire(&f->cache, &f->tree, space, &known, NULL) != ERR_OK;
        if (known != NULL) {
            n_wrong += known->space != space || known->source.is_table == (i % 3 == 0);
        }
        n_wrong += accuracy_cache_check(&f->cache, &f->tree, space, &can_list, NULL) != ERR_OK;
        n_wrong += can_list == (i % 3 == 0);
        accuracy_cache_release(&f->cache, held); /* over the next one's acquisition */
        held = known;
    }
    accuracy_cache_release(&f->cache, held);
    return n_wrong == 0 ? NULL : f;
}

static void use_in_threads(struct fixture *f, bool is_changing)
{
    pthread_t threads[N_THREADS];

    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_often, f), 0);
    }
    for (int i = 0; is_changing && i < 20; i++) {
        const struct timespec pause = {0, 2 * 1000 * 1000};
        char text[32];
        const char *net = own_path(NAS "acc.txt");
        const char *beside;
        (void)snprintf(text, sizeof text, "%d\n1\n", 20 + i);
        beside = write_text(NAS "beside", text);
        assert_int_equal(rename(beside, net), 0);
        (void)nanosleep(&pause, NULL);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        void *wrong = f;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

static void many_threads_may_ask_while_files_change(void **state)
{
    struct fixture *f = begin();
    struct accuracy_known *known;

    (void)state;
    copy_stored();
    wait_until_settled();
    use_in_threads(f, false);
    use_in_threads(f, true);
    known = acquire(f, &space_nasbench201);
    assert_near(first(known), 39, 0); /* the last one that was written */
    accuracy_cache_release(&f->cache, known);
    accuracy_cache_close(&f->cache);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static enum err acquire_once(void *context, struct error *err)
{
    struct fixture *f = context;
    struct accuracy_known *known = NULL;
    enum err rc = accuracy_cache_acquire(&f->cache, &f->tree, &space_nasbench201, &known, err);

    accuracy_cache_release(&f->cache, known);
    return rc;
}

static enum err check_once(void *context, struct error *err)
{
    struct fixture *f = context;
    bool can_list;

    return accuracy_cache_check(&f->cache, &f->tree, &space_nasbench201, &can_list, err);
}

static void memory_that_is_out_is_told_and_nothing_is_kept(void **state)
{
    struct fixture *f = begin();

    (void)state;
    fail_each_allocation(acquire_once, f); /* too fresh to be remembered, so that nothing is kept */
    fail_each_allocation(check_once, f);
    accuracy_cache_close(&f->cache);
}

/* ---- what is looked up ----------------------------------------------------------------------- */

/* With what ships, and no data: nasbench201 is listed, fbnetv3 is not. */
static void what_is_looked_up_is_what_is_predicted(void **state)
{
    struct data_tree tree;
    struct error err = {0};

    (void)state;
    assert_ok(data_tree_init(&tree, ".", check_directory, &err), &err);
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        struct accuracy_known *known = NULL;
        int32_t genes[5 * SPACE_MAX_GENES];
        double looked_up[5];
        double predicted[5];
        struct rng rng;
        rng_init(&rng, 3);
        for (size_t i = 0; i < 5; i++) {
            space_draw(*s, &rng, genes + i * (*s)->n_genes);
        }
        assert_ok(accuracy_cache_acquire(NULL, &tree, *s, &known, &err), &err);
        assert_int_equal(known->has_all, *s == &space_nasbench201);
        assert_ok(accuracy_known_predict(known, genes, 5, looked_up, &err), &err);
        assert_ok(accuracy_source_predict(&known->source, genes, 5, predicted, &err), &err);
        assert_memory_equal(looked_up, predicted, sizeof predicted);
        accuracy_cache_release(NULL, known);
    }
}

static void what_a_table_lacks_is_not_looked_up_elsewhere(void **state)
{
    static const int32_t genes[] = {1, 1, 1, 1, 1, 1, 4, 4, 4, 2, 4, 4, 2, 1, 1, 1, 1, 1};
    struct fixture *f = begin();
    struct accuracy_known *known = acquire(f, &space_nasbench201);
    double told[3];

    (void)state;
    assert_int_equal(accuracy_known_predict(known, genes, 3, told, NULL), ERR_OK);
    assert_near(told[0], 1, 0);
    assert_near(told[1], 73, 0);
    assert_true(isnan(told[2]));
    accuracy_cache_release(&f->cache, known);
    accuracy_cache_close(&f->cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(the_same_is_given_until_its_files_change_and_stays_valid_then),
        directory_test(networks_and_models_that_changed_are_read_anew),
        directory_test(what_is_not_settled_is_not_remembered),
        directory_test(errors_are_those_of_opening),
        directory_test(without_a_cache_each_has_its_own),
        directory_test(many_threads_may_ask_while_files_change),
        directory_test(memory_that_is_out_is_told_and_nothing_is_kept),
        directory_test(what_is_looked_up_is_what_is_predicted),
        directory_test(what_a_table_lacks_is_not_looked_up_elsewhere),
    };

    return matrix_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
