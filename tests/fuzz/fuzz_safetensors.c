/* The file format of weights: what is read is written, and read again the same. */
#include "proto/safetensors.h"
#include "tests/fuzz/fuzz.h"

static void require_same(const struct safetensors *a, const struct safetensors *b)
{
    require(a->n_tensors == b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        const struct tensor *tensor = &a->tensors[i];
        const struct tensor *other = tensor_find(b->tensors, b->n_tensors, tensor->name);
        size_t count;
        require(other != NULL && other->type == tensor->type && other->n_dims == tensor->n_dims);
        require(memcmp(other->shape, tensor->shape, tensor->n_dims * sizeof *tensor->shape) == 0);
        require(tensor_count(tensor, &count));
        require(count == 0 ||
                memcmp(other->data, tensor->data, count * tensor_type_bytes(tensor->type)) == 0);
    }
    for (size_t i = 0; i < a->n_meta; i++) {
        const char *value = safetensors_meta(b, a->meta[i].key);
        require(value != NULL);
        require(strcmp(a->meta[i].key, "sha256") == 0 || strcmp(value, a->meta[i].value) == 0);
    }
}

/* Every byte of every tensor may be read. */
static void touch(const struct safetensors *st, const char *bytes, size_t size)
{
    for (size_t i = 0; i < st->n_tensors; i++) {
        const char *data = st->tensors[i].data;
        size_t count = 0;
        require(tensor_count(&st->tensors[i], &count));
        count *= tensor_type_bytes(st->tensors[i].type);
        require(count == 0 || (data >= bytes && count <= (size_t)(bytes + size - data)));
    }
}

/* "sha256" is the writer's: it is added. */
static void check_again(const struct safetensors *st)
{
    struct safetensors_meta *meta = calloc(st->n_meta + 1, sizeof *meta);
    struct safetensors again = {0};
    struct error err = {0};
    char *bytes = NULL;
    size_t size = 0, n_meta = 0;

    require(meta != NULL);
    for (size_t i = 0; i < st->n_meta; i++) {
        if (strcmp(st->meta[i].key, "sha256") != 0) {
            meta[n_meta++] = st->meta[i];
        }
    }
    require(safetensors_encode(st->tensors, st->n_tensors, meta, n_meta, &bytes, &size, &err) ==
            ERR_OK);
    if (safetensors_parse(bytes, size, &again, &err) != ERR_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    require_same(st, &again);
    safetensors_close(&again);
    mem_free(bytes);
    free(meta);
}

static void run(const char *bytes, size_t size)
{
    struct safetensors whole = {0}, head = {0};
    struct error err = {0};
    size_t head_bytes = 0;
    enum err rc;

    if (size >= SAFETENSORS_LENGTH_BYTES) {
        rc = safetensors_head_bytes(bytes, size, &head_bytes, &err);
        require_told(rc, &err, NULL);
        require(rc != ERR_OK || head_bytes <= size);
        rc = rc != ERR_OK ? rc : safetensors_parse_header(bytes, head_bytes, size, &head, &err);
        require_told(rc, &err, NULL);
    }
    rc = safetensors_parse(bytes, size, &whole, &err);
    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        require(head.n_tensors == whole.n_tensors && head.n_meta == whole.n_meta);
        touch(&whole, bytes, size);
        check_again(&whole);
    }
    safetensors_close(&head);
    safetensors_close(&whole);
}

FUZZ_TARGET(run)
