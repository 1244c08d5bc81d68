#include "proto/msg_result.h"

#include <inttypes.h>

#include "proto/timestamp.h"

static void put_entry(struct text *out, const struct result_entry *entry)
{
    char stamp[TIMESTAMP_BYTES];

    timestamp_format(entry->modified, stamp);
    text_puts(out, "{\"name\":");
    text_put_json_string(out, entry->name);
    if (entry->is_directory) {
        text_puts(out, ",\"type\":\"directory\",\"size_bytes\":null");
    } else {
        text_printf(out, ",\"type\":\"file\",\"size_bytes\":%" PRIu64, entry->size_bytes);
    }
    text_printf(out, ",\"modified_at\":\"%s\"}", stamp);
}

void msg_result_encode(const char *path, const struct result_entry *entries, size_t n_entries,
                       const char *next, struct text *out)
{
    text_puts(out, "{\"path\":");
    text_put_json_string(out, path);
    text_puts(out, ",\"entries\":[");
    for (size_t i = 0; i < n_entries; i++) {
        text_puts(out, i > 0 ? "," : "");
        put_entry(out, &entries[i]);
    }
    text_puts(out, "],\"next\":");
    if (next != NULL) {
        text_put_json_string(out, next);
    } else {
        text_puts(out, "null");
    }
    text_puts(out, "}\n");
}
