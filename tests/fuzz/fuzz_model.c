/* Files of trained predictors, of latency and of accuracy. An input is such a file; no mutation of
 * one would ever get past the digests in it, so it is tried with digests that are made right, too. */
#include "core/space_declared.h"
#include "proto/accuracy_file.h"
#include "proto/model_file.h"
#include "proto/msg_model.h"
#include "proto/msg_space_declaration.h"
#include "proto/safetensors.h"
#include "tests/fuzz/fuzz.h"

/* A space whose models are small, and read in no time. */
static const char declaration[] =
    "{\"genes\":[{\"name\":\"a\",\"values\":[1,2,3],\"macs\":[10,20,30]},"
    "{\"name\":\"b\",\"first\":1,\"n_values\":4,\"macs\":[1,5,9,30]}]}";

static const struct space *all[] = {&space_nasbench201, &space_fbnetv3, NULL};

/* Declared once, and never given back. */
static void declare(void)
{
    struct space_declaration *made = NULL;
    struct field_errors errors = {0};
    const size_t last = COUNT_OF(all) - 1;

    if (all[last] == NULL) {
        require(msg_space_declaration_decode(declaration, strlen(declaration), "tiny", &made,
                                             &errors, NULL) == ERR_OK);
        require(space_declare(made, &all[last], NULL) == ERR_OK);
        field_errors_close(&errors);
        mem_free(made);
    }
}

/* Any valid genes will do. */
static void make_genes(const struct space *space, int32_t *genes)
{
    for (size_t i = 0; i < space->n_genes; i++) {
        genes[i] = gene_value(&space->genes[i], space->genes[i].n_values / 2);
    }
}

static void use_model(const struct model *model)
{
    int32_t genes[SPACE_MAX_GENES];
    double a = NAN, sd = NAN;
    struct error err = {0};
    struct model_view view = {.info = &model->info, .predictor = model->predictor->kind->name};
    struct text text = {0};
    enum err rc;

    make_genes(model->predictor->space, genes);
    rc = predictor_predict(model->predictor, genes, 1, &a, &sd, &err);
    require_told(rc, &err, NULL);
    if (rc == ERR_OK && !(isfinite(a) && isfinite(sd) && a > 0 && sd >= 0)) {
        (void)fprintf(stderr, "%s predicts %g, sd %g\n", model->predictor->kind->name, a, sd);
        abort();
    }
    msg_model_encode(&view, &text);
    require_json_text(&text);
    text_close(&text);
}

/* Writing the model gives a file that holds the same. */
static void check_again(const struct model *model, const struct space *space)
{
    struct model again = {0};
    struct model_info info = {0};
    const struct predictor_kind *kind = NULL;
    struct error err = {0};
    char *bytes = NULL;
    size_t size = 0;

    require(model_encode(model, &bytes, &size, &err) == ERR_OK);
    if (model_decode(bytes, size, space, &again, &err) != ERR_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    require(strcmp(again.info.version, model->info.version) == 0);
    require(again.info.n_devices == model->info.n_devices);
    require(model_peek(bytes, size, size, space, &info, &kind, &err) == ERR_OK);
    require(kind == model->predictor->kind && info.n_rows == model->info.n_rows);
    model_info_close(&info);
    model_close(&again);
    mem_free(bytes);
}

static void try_model(const char *bytes, size_t size, const struct space *space)
{
    struct model model = {0};
    struct error err = {0};
    enum err rc = model_decode(bytes, size, space, &model, &err);

    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        use_model(&model);
        check_again(&model, space);
    }
    model_close(&model);
}

static void try_accuracy(const char *bytes, size_t size, const struct space *space)
{
    struct accuracy_model model = {0};
    struct error err = {0};
    enum err rc = accuracy_model_decode(bytes, size, space, &model, &err);

    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        int32_t genes[SPACE_MAX_GENES];
        double percent = NAN;
        struct text text = {0};
        make_genes(space, genes);
        rc = accuracy_predict(model.predictor, genes, 1, &percent, &err);
        require_told(rc, &err, NULL);
        require(rc != ERR_OK || (percent >= 0 && percent <= 100));
        text_puts(&text, "{");
        accuracy_model_put_json(&model, &text);
        text_puts(&text, "}");
        require_json_text(&text);
        text_close(&text);
    }
    accuracy_model_close(&model);
}

static void try_all(const char *bytes, size_t size)
{
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        try_model(bytes, size, all[i]);
        try_accuracy(bytes, size, all[i]);
    }
}

/* The same tensors and papers, with the version that these weights have, and their digest. */
static void try_repaired(const struct safetensors *st)
{
    const char *kind = safetensors_meta(st, "kind");
    struct safetensors_meta *meta = calloc(st->n_meta + 2, sizeof *meta);
    char version[MODEL_VERSION_BYTES];
    char *bytes = NULL;
    size_t size = 0, n_meta = 0;

    require(meta != NULL);
    for (size_t i = 0; i < st->n_meta; i++) {
        if (strcmp(st->meta[i].key, "sha256") != 0 && strcmp(st->meta[i].key, "version") != 0) {
            meta[n_meta++] = st->meta[i];
        }
    }
    if (kind != NULL && st->n_tensors <= MODEL_META_MAX_TENSORS) {
        model_meta_version(kind, st->tensors, st->n_tensors, version);
        meta[n_meta++] = (struct safetensors_meta){(char *)"version", version};
        require(safetensors_encode(st->tensors, st->n_tensors, meta, n_meta, &bytes, &size, NULL) ==
                ERR_OK);
        try_all(bytes, size);
    }
    mem_free(bytes);
    free(meta);
}

/* Puts a digest into the header that is none, so that nothing vouches for the tensors. */
static void parse_unsigned(const char *bytes, size_t size, struct safetensors *out)
{
    char *copy = fuzz_string(bytes, size);
    char *key = memmem(copy, size, "\"sha256\"", 8);

    if (key != NULL) {
        memcpy(key, "\"sha257\"", 8);
    }
    if (safetensors_parse(copy, size, out, NULL) == ERR_OK) {
        try_repaired(out);
    }
    safetensors_close(out);
    free(copy);
}

static void run(const char *bytes, size_t size)
{
    struct safetensors st = {0};

    try_all(bytes, size);
    parse_unsigned(bytes, size, &st);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    long n_blocks;

    declare();
    n_blocks = mem_live_blocks();
    run((const char *)bytes, size);
    require(mem_live_blocks() == n_blocks);
    return 0;
}
