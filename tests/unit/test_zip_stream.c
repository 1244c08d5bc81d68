/* proto/zip_stream.h: an archive that a reader accepts, whatever its entries and their sizes. */
#include "tests/support/zip.h"

/* Numbers of some size, of which so many are there. */
struct numbers {
    size_t n_read, n_there;
};

static char number_at(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static size_t read_numbers(void *source, char *bytes, size_t size)
{
    struct numbers *numbers = source;
    size_t n = 0;

    while (n < size && numbers->n_read < numbers->n_there) {
        bytes[n++] = number_at(numbers->n_read++);
    }
    return n;
}

static const struct {
    const char *name;
    size_t size;
    uint32_t alignment;
} entries[] = {
    {"a/none",    0,      0   },
    {"a/one",     1,      64  },
    {"a/some",    100,    1   },
    {"a/odd",     8191,   64  },
    {"a/large",   300001, 4096},
    {"a/aligned", 64,     2   },
};

enum { N_ENTRIES = COUNT_OF(entries) };

static enum err write_entries(struct memory_sink *memory, size_t n_missing, uint64_t *n_bytes,
                              struct error *err)
{
    struct numbers numbers[N_ENTRIES];
    struct zip_stream *zip = NULL;
    enum err rc = zip_stream_open(put_in_memory, memory, &zip, err);

    for (size_t i = 0; rc == ERR_OK && i < N_ENTRIES; i++) {
        const struct zip_entry entry = {.name = entries[i].name,
                                        .read = read_numbers,
                                        .source = &numbers[i],
                                        .size = entries[i].size,
                                        .alignment = entries[i].alignment};
        numbers[i] = (struct numbers){.n_there = entries[i].size};
        rc = zip_stream_add(zip, &entry, err);
    }
    numbers[N_ENTRIES - 1].n_there -= n_missing;
    rc = rc != ERR_OK ? rc : zip_stream_finish(zip, n_bytes, err);
    zip_stream_close(zip);
    return rc;
}

static void entries_are_stored_whole_in_order_and_aligned(void **state)
{
    struct memory_sink memory = {0};
    struct error err = {0};
    uint64_t n_bytes = 0;
    zip_t *zip;
    (void)state;
    assert_ok(write_entries(&memory, 0, &n_bytes, &err), &err);
    assert_int_equal(n_bytes, memory.size);
    zip = read_archive(&memory);
    assert_int_equal(zip_get_num_entries(zip, 0), N_ENTRIES);
    for (size_t i = 0; i < N_ENTRIES; i++) {
        size_t size, at = find_entry(&memory, entries[i].name);
        char *bytes = read_stored(zip, entries[i].name, &size);
        assert_string_equal(zip_get_name(zip, i, 0), entries[i].name);
        assert_int_equal(size, entries[i].size);
        for (size_t k = 0; k < size; k++) {
            assert_int_equal(bytes[k], number_at(k));
        }
        assert_memory_equal(memory.bytes + at, bytes, size); /* where its header says */
        assert_int_equal(entries[i].alignment > 1 ? at % entries[i].alignment : 0, 0);
        mem_free(bytes);
    }
    zip_discard(zip);
    mem_free(memory.bytes);
}

static void the_same_entries_are_the_same_bytes_at_any_time(void **state)
{
    static const unsigned char beginning_of_1980[] = {0, 0, 0x21, 0};
    struct memory_sink memory = {0};
    struct error err = {0};
    uint64_t n_bytes;
    (void)state;
    assert_ok(write_entries(&memory, 0, &n_bytes, &err), &err);
    assert_memory_equal(memory.bytes + 10, beginning_of_1980, sizeof beginning_of_1980);
    mem_free(memory.bytes);
}

/* Wherever in the archive room ends. */
static void a_full_sink_is_told_with_its_reason(void **state)
{
    struct memory_sink whole = {0};
    struct error err = {0};
    uint64_t n_bytes;
    (void)state;
    assert_ok(write_entries(&whole, 0, &n_bytes, &err), &err);
    for (size_t room = 1; room < whole.size; room += 1 + room / 3) {
        struct memory_sink memory = {.room = room};
        err = (struct error){0};
        assert_error(write_entries(&memory, 0, &n_bytes, &err), ERR_IO, &err, "No space left");
        mem_free(memory.bytes);
    }
    mem_free(whole.bytes);
}

static void an_entry_that_ends_early_is_an_error(void **state)
{
    struct memory_sink memory = {0};
    struct error err = {0};
    uint64_t n_bytes;
    (void)state;
    assert_error(write_entries(&memory, 1, &n_bytes, &err), ERR_INTERNAL, &err,
                 "cannot be written");
    mem_free(memory.bytes);
}

static void four_gibibytes_are_refused_before_anything_is_written(void **state)
{
    struct memory_sink memory = {0};
    struct numbers numbers = {0};
    struct zip_entry entry = {
        .name = "two", .read = read_numbers, .source = &numbers, .size = (uint64_t)1 << 31};
    struct zip_stream *zip = NULL;
    struct error err = {0};
    (void)state;
    assert_ok(zip_stream_open(put_in_memory, &memory, &zip, &err), &err);
    assert_ok(zip_stream_add(zip, &entry, &err), &err);
    entry.name = "four";
    assert_error(zip_stream_add(zip, &entry, &err), ERR_LIMIT, &err, "less than 4 GiB");
    zip_stream_close(zip);
    assert_int_equal(memory.size, 0);
}

static enum err write_once(void *context, struct error *err)
{
    struct memory_sink *memory = context;
    uint64_t n_bytes;

    return write_entries(memory, 0, &n_bytes, err);
}

static void every_failed_allocation_is_told(void **state)
{
    struct memory_sink memory = {0};
    uint64_t n_bytes;
    struct error err = {0};
    (void)state;
    assert_ok(write_entries(&memory, 0, &n_bytes, &err), &err); /* it needs no more room then */
    fail_each_allocation(write_once, &memory);
    mem_free(memory.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(entries_are_stored_whole_in_order_and_aligned),
        counted_test(the_same_entries_are_the_same_bytes_at_any_time),
        counted_test(a_full_sink_is_told_with_its_reason),
        counted_test(an_entry_that_ends_early_is_an_error),
        counted_test(four_gibibytes_are_refused_before_anything_is_written),
        counted_test(every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
