/* server/run_infer.h: tensors to latencies, for every type and form, across the ends of chunks. */
#include "core/device.h"
#include "core/matrix.h"
#include "core/rng.h"
#include "server/run_infer.h"
#include "tests/support/check.h"

enum { MOST_ROWS = 2500, N_FITTED = 30 };

/* Rows with a device each, as a test asks for them. */
struct rows {
    const struct space *space;
    struct model model; /* a predictor alone */
    int32_t genes[MOST_ROWS * 28];
    double hardware[MOST_ROWS * 4];
    double expected[MOST_ROWS]; /* A */
};

static struct rows rows;

static void make_rows(const struct space *space)
{
    const struct fit_options options = {.seed = 1};
    double a[N_FITTED];
    struct rng rng;
    struct error err = {0};

    rng_init(&rng, 9);
    rows.space = space;
    for (size_t i = 0; i < MOST_ROWS; i++) {
        for (size_t g = 0; g < space->n_genes; g++) {
            const struct gene *gene = &space->genes[g];
            rows.genes[i * space->n_genes + g] =
                gene->first + gene->step * (int32_t)rng_below(&rng, (size_t)gene->n_values);
        }
        for (size_t h = 0; h < 4; h++) {
            rows.hardware[i * 4 + h] = 1.0 + (double)rng_below(&rng, 40) / 8.0;
        }
    }
    for (size_t i = 0; i < N_FITTED; i++) {
        a[i] = 900.0 + 100.0 * rows.genes[i * space->n_genes];
    }
    assert_ok(predictor_fit(&predictor_kind_cost, space, rows.genes, a, N_FITTED, &options,
                            &rows.model.predictor, NULL, &err),
              &err);
    assert_ok(
        predictor_predict(rows.model.predictor, rows.genes, MOST_ROWS, rows.expected, NULL, &err),
        &err);
}

/* Elements of a tensor of that type, in a block of their very size at an odd address. */
static unsigned char *pack_genes(enum infer_type type, size_t n)
{
    const size_t bytes = infer_type_bytes(type);
    unsigned char *block = mem_calloc(n * bytes + 1, 1);

    for (size_t i = 0; i < n; i++) {
        int64_t wide = rows.genes[i];
        memcpy(block + 1 + i * bytes, &wide, bytes);
    }
    return block;
}

static unsigned char *pack_hardware(enum infer_type type, size_t n)
{
    const size_t bytes = infer_type_bytes(type);
    unsigned char *block = mem_calloc(n * bytes + 1, 1);

    for (size_t i = 0; i < n; i++) {
        float single = (float)rows.hardware[i];
        memcpy(block + 1 + i * bytes,
               type == INFER_FP32 ? (void *)&single : (void *)&rows.hardware[i], bytes);
    }
    return block;
}

static double factor_of(size_t row)
{
    struct hardware hw = hardware_from_vector(rows.hardware + row * 4);

    return hardware_factor(&hw);
}

/* A request of the first n rows, on the first device or on one each. */
static struct infer_request make_request(size_t n, enum infer_type genes_type,
                                         const unsigned char *genes, enum infer_type hardware_type,
                                         const unsigned char *hardware, bool is_one_device)
{
    return (struct infer_request){
        .n = n,
        .architecture = {.name = "architecture",
                         .type = genes_type,
                         .n_rows = n,
                         .n_columns = rows.space->n_genes,
                         .bytes = genes + 1   },
        .hardware = { .name = "hardware",
                         .type = hardware_type,
                         .n_rows = is_one_device ? 1 : n,
                         .n_columns = 4,
                         .is_vector = is_one_device,
                         .bytes = hardware + 1},
    };
}

static void check_run(const struct infer_request *request, double tolerance)
{
    unsigned char *out = mem_calloc(request->n * sizeof(float) + 1, 1); /* at an odd address too */
    struct error err = {0};

    assert_ok(run_infer(&rows.model, request, out + 1, &err), &err);
    for (size_t i = 0; i < request->n; i++) {
        double k = factor_of(request->hardware.n_rows == 1 ? 0 : i);
        float latency;
        memcpy(&latency, out + 1 + i * sizeof latency, sizeof latency);
        assert_near_relative((double)latency, rows.expected[i] * k, tolerance);
    }
    mem_free(out);
}

static void every_type_gives_the_same_across_chunks(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 1023, 1024, 1025, 2048, 2500};

    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        make_rows(*s);
        for (unsigned g = INFER_UINT8; g <= INFER_INT64; g++) {
            for (unsigned h = INFER_FP32; h <= INFER_FP64; h++) {
                for (size_t i = 0; i < COUNT_OF(sizes); i++) {
                    unsigned char *genes = pack_genes((enum infer_type)g, sizes[i] * (*s)->n_genes);
                    unsigned char *hardware =
                        pack_hardware((enum infer_type)h, sizes[i] > 0 ? sizes[i] * 4 : 4);
                    for (int one = 0; one < 2; one++) {
                        struct infer_request request =
                            make_request(sizes[i], (enum infer_type)g, genes, (enum infer_type)h,
                                         hardware, one == 1);
                        check_run(&request, 1e-6);
                    }
                    mem_free(genes);
                    mem_free(hardware);
                }
            }
        }
        predictor_destroy(rows.model.predictor);
    }
}

/* JSON gives what binary gives. */
static void json_gives_the_same(void **state)
{
    static char body[MOST_ROWS * 24];

    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        const size_t n = 1100 / (*s)->n_genes * 6;
        struct infer_request request;
        struct error err = {0};
        size_t size = (size_t)snprintf(body, sizeof body,
                                       "{\"inputs\":[{\"name\":\"architecture\",\"datatype\":"
                                       "\"INT64\",\"shape\":[%zu,%zu],\"data\":[",
                                       n, (*s)->n_genes);
        make_rows(*s);
        for (size_t i = 0; i < n * (*s)->n_genes; i++) {
            size += (size_t)snprintf(body + size, sizeof body - size, "%s%d", i > 0 ? "," : "",
                                     rows.genes[i]);
        }
        size += (size_t)snprintf(body + size, sizeof body - size,
                                 "]},{\"name\":\"hardware\",\"datatype\":\"FP64\",\"shape\":[%zu,"
                                 "4],\"data\":[",
                                 n);
        for (size_t i = 0; i < n; i++) {
            const double *h = rows.hardware + 4 * i;
            size += (size_t)snprintf(body + size, sizeof body - size, "%s[%g,%g,%g,%g]",
                                     i > 0 ? "," : "", h[0], h[1], h[2], h[3]);
        }
        size += (size_t)snprintf(body + size, sizeof body - size, "]}]}");
        assert_true(size < sizeof body);
        assert_ok(msg_infer_decode(*s, body, size, NULL, &request, &err), &err);
        check_run(&request, 1e-6);
        predictor_destroy(rows.model.predictor);
    }
}

/* Every gene of several rows, out of its domain in all three types: the row is named. */
static void wrong_genes_are_named_with_their_row(void **state)
{
    static const size_t bad_rows[] = {0, 1023, 1024, 2499};

    (void)state;
    make_rows(&space_nasbench201);
    for (unsigned type = INFER_UINT8; type <= INFER_INT64; type++) {
        const size_t bytes = infer_type_bytes((enum infer_type)type);
        unsigned char *genes = pack_genes((enum infer_type)type, (size_t)MOST_ROWS * 6);
        unsigned char *hardware = pack_hardware(INFER_FP64, 4);
        unsigned char *out = mem_calloc(MOST_ROWS, sizeof(float));
        for (size_t i = 0; i < COUNT_OF(bad_rows); i++) {
            for (size_t g = 0; g < 6; g++) {
                unsigned char *place = genes + 1 + (bad_rows[i] * 6 + g) * bytes;
                struct infer_request request = make_request(MOST_ROWS, (enum infer_type)type, genes,
                                                            INFER_FP64, hardware, true);
                struct error err = {0};
                char phrase[128];
                unsigned char kept = *place;
                *place = 9;
                (void)snprintf(phrase, sizeof phrase,
                               "architecture[%zu]: gene %zu of nasbench201 must be 1 to 5, not 9",
                               bad_rows[i], g + 1);
                assert_error(run_infer(&rows.model, &request, out, &err), ERR_INVALID, &err,
                             phrase);
                *place = kept;
            }
        }
        mem_free(out);
        mem_free(genes);
        mem_free(hardware);
    }
    predictor_destroy(rows.model.predictor);
}

static void genes_wider_than_a_byte_are_named_too(void **state)
{
    int64_t genes[12] = {1, 1, 1, 1, 1, 1, 1, 1, 260, 1, 1, 1}; /* 260 is 4 in its first byte */
    unsigned char *hardware;
    struct infer_request request;
    float out[2];
    struct error err = {0};

    (void)state;
    make_rows(&space_nasbench201);
    hardware = pack_hardware(INFER_FP64, 4);
    request = make_request(2, INFER_INT64, (unsigned char *)genes - 1, INFER_FP64, hardware, true);
    assert_error(run_infer(&rows.model, &request, (unsigned char *)out, &err), ERR_INVALID, &err,
                 "architecture[1]: gene 3 of nasbench201 must be 1 to 5, not 260");
    genes[8] = INT64_MIN;
    assert_error(run_infer(&rows.model, &request, (unsigned char *)out, &err), ERR_INVALID, &err,
                 "architecture[1]: gene 3 of nasbench201 must be 1 to 5, not -2147483648");
    mem_free(hardware);
    predictor_destroy(rows.model.predictor);
}

static void wrong_hardware_is_named_with_row_and_field(void **state)
{
    static const double bad[] = {0.0, -1.0, NAN, INFINITY, -INFINITY, 1e300};

    (void)state;
    make_rows(&space_nasbench201);
    for (size_t at = 0; at < COUNT_OF(bad) * 8; at++) {
        const size_t field = at % 4;
        const size_t row = at % 8 < 4 ? 0 : 1200;
        unsigned char *genes = pack_genes(INFER_UINT8, (size_t)1300 * 6);
        double kept = rows.hardware[row * 4 + field];
        for (int one = 0; one < (row == 0 ? 2 : 1); one++) {
            unsigned char *hardware;
            struct infer_request request;
            struct error err = {0};
            float out[1300];
            char phrase[128];
            rows.hardware[row * 4 + field] = bad[at / 8];
            hardware = pack_hardware(INFER_FP64, 1300 * 4);
            rows.hardware[row * 4 + field] = kept;
            request = make_request(1300, INFER_UINT8, genes, INFER_FP64, hardware, one == 1);
            if (one == 1) {
                (void)snprintf(phrase, sizeof phrase, "hardware[%zu]: %s (", field,
                               hardware_fields[field].name);
            } else {
                (void)snprintf(phrase, sizeof phrase, "hardware[%zu][%zu]: %s (", row, field,
                               hardware_fields[field].name);
            }
            assert_error(run_infer(&rows.model, &request, (unsigned char *)out, &err), ERR_INVALID,
                         &err, phrase);
            mem_free(hardware);
        }
        mem_free(genes);
    }
    predictor_destroy(rows.model.predictor);
}

/* Elements left over are found after the last row, also where the rows end with a chunk. */
static void left_over_elements_are_found(void **state)
{
    struct infer_request request;
    struct error err = {0};
    float out[1];
    const char *body = "{\"inputs\":[{\"name\":\"architecture\",\"datatype\":\"INT64\",\"shape\":"
                       "[1,6],\"data\":[1,1,1,1,1,1]},{\"name\":\"hardware\",\"datatype\":\"FP64\""
                       ",\"shape\":[4],\"data\":[1,2,3,4,5]}]}";

    (void)state;
    make_rows(&space_nasbench201);
    assert_ok(msg_infer_decode(&space_nasbench201, body, strlen(body), NULL, &request, &err), &err);
    assert_error(run_infer(&rows.model, &request, (unsigned char *)out, &err), ERR_INVALID, &err,
                 "hardware: data has more than the 4 elements");
    predictor_destroy(rows.model.predictor);
}

static enum err run_once(void *context, struct error *err)
{
    float out[100];

    return run_infer(&rows.model, context, (unsigned char *)out, err);
}

static void every_failing_allocation_is_reported(void **state)
{
    unsigned char *genes;
    unsigned char *hardware;
    struct infer_request request;

    (void)state;
    make_rows(&space_nasbench201);
    genes = pack_genes(INFER_INT64, 600);
    hardware = pack_hardware(INFER_FP32, 400);
    request = make_request(100, INFER_INT64, genes, INFER_FP32, hardware, false);
    fail_each_allocation(run_once, &request);
    mem_free(genes);
    mem_free(hardware);
    predictor_destroy(rows.model.predictor);
}

static int start(void **state)
{
    return matrix_init(NULL) == ERR_OK ? count_blocks(state) : -1;
}

#define fit_test(name) cmocka_unit_test_setup_teardown(name, start, check_blocks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fit_test(every_type_gives_the_same_across_chunks),
        fit_test(json_gives_the_same),
        fit_test(wrong_genes_are_named_with_their_row),
        fit_test(genes_wider_than_a_byte_are_named_too),
        fit_test(wrong_hardware_is_named_with_row_and_field),
        fit_test(left_over_elements_are_found),
        fit_test(every_failing_allocation_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
