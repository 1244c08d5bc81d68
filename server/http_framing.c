#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/http_server.h"

/* Whether what the library made of a request's head is what everyone else makes of it.
 *
 * A proxy before us decides where a request ends, and the library decides once more. Where the two
 * differ, the rest of a body passes for a request that nobody judged. The library (0.9.75) is
 * lenient: it takes the name of a header for anything before a colon, glues a continued line to the
 * name of the one before, ends a value at a NUL, and a line at a bare LF. What it hands out are
 * pointers into the head as it was received, with NULs in the place of delimiters, and the size of
 * that head. So each part has to begin just behind the one before, and the last at the end: a part
 * that does not had something in it that the library passed over. */

static const char known_library[] = "0.9.75";

enum {
    NO = 0,
    VALUE = 1,          /* may stand in a header's value */
    TARGET = 2 | VALUE, /* and in the target of a request; bytes above 0x7f are no harm there */
    HOST = 4 | TARGET,  /* and in Host */
    TOKEN = 8 | TARGET, /* but not there, yet in a header's name and in a method */
    ANY = HOST | TOKEN,
};

/* What RFC 9110 (5.6.2, 5.5, 7.2) and RFC 3986 (3.2.2) let stand where. */
/* clang-format off */
static const unsigned char classes[256] = {
    /* 00 */ NO,     NO,     NO,     NO,     NO,     NO,     NO,     NO,
    /* 08 */ NO,     VALUE,  NO,     NO,     NO,     NO,     NO,     NO,
    /* 10 */ NO,     NO,     NO,     NO,     NO,     NO,     NO,     NO,
    /* 18 */ NO,     NO,     NO,     NO,     NO,     NO,     NO,     NO,
    /*  ! */ VALUE,  ANY,    TARGET, TOKEN,  ANY,    ANY,    ANY,    ANY,
    /* () */ HOST,   HOST,   ANY,    ANY,    HOST,   ANY,    ANY,    TARGET,
    /* 01 */ ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,
    /* 89 */ ANY,    ANY,    HOST,   HOST,   TARGET, HOST,   TARGET, TARGET,
    /* @A */ TARGET, ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,
    /* HI */ ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,
    /* PQ */ ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,
    /* XY */ ANY,    ANY,    ANY,    HOST,   TARGET, HOST,   TOKEN,  ANY,
    /* `a */ TOKEN,  ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,
    /* hi */ ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,
    /* pq */ ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,    ANY,
    /* xy */ ANY,    ANY,    ANY,    TARGET, TOKEN,  TARGET, ANY,    NO,
    /* 80 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* 88 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* 90 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* 98 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* a0 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* a8 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* b0 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* b8 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* c0 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* c8 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* d0 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* d8 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* e0 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* e8 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* f0 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
    /* f8 */ TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET, TARGET,
};
/* clang-format on */

/* Whether each of (n) bytes is of the class; so it is where there are none. */
static bool are_all(const char *bytes, size_t n, unsigned char class)
{
    unsigned char common = class;

    for (size_t i = 0; i < n; i++) {
        common &= classes[(unsigned char)bytes[i]];
    }
    return common == class;
}

/* The same for VALUE, which is most of a head: eight bytes at a time as long as none of them can be a
 * control character. */
static bool is_value(const char *bytes, size_t n)
{
    const uint64_t ones = UINT64_MAX / 0xff;
    size_t i = 0;

    for (uint64_t word; i + sizeof word <= n; i += sizeof word) {
        uint64_t as_zero; /* of a DEL */
        memcpy(&word, bytes + i, sizeof word);
        as_zero = word ^ ones * 0x7f;
        if ((((word - ones * ' ') & ~word) | ((as_zero - ones) & ~as_zero)) & ones * 0x80) {
            break;
        }
    }
    return are_all(bytes + i, n - i, VALUE);
}

bool framing_is_library_known(void)
{
    return strcmp(MHD_get_version(), known_library) == 0;
}

/* ---- target ---------------------------------------------------------------------------------- */

/* The library splits off the arguments and undoes escapes right after this. */
void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct connection *record = connection_of(connection);

    (void)cls;
    if (record != NULL) {
        record->target_bytes = strlen(target);
        record->is_target_fit = are_all(target, record->target_bytes, TARGET);
    }
    return NULL;
}

/* ---- headers --------------------------------------------------------------------------------- */

struct reading {
    struct framing *framing;
    const char *next; /* where the next line has to begin */
    unsigned n_lengths, n_hosts;
    bool is_out_of_line, has_bad_name, has_bad_value, has_bad_coding, has_bad_host;
};

static bool is_name(const char *name, size_t size, const char *wanted, size_t wanted_size)
{
    return size == wanted_size && strncasecmp(name, wanted, size) == 0;
}

#define IS_NAME(name, size, wanted) is_name(name, size, wanted, sizeof(wanted) - 1)

/* host [":" port] */
static bool is_host(const char *host, size_t size)
{
    const char *bracket = memchr(host, ']', size);
    const char *name_end = bracket != NULL ? bracket + 1 : host;
    const char *colon = memchr(name_end, ':', size - (size_t)(name_end - host));

    return are_all(host, size, HOST) && (bracket == NULL) == (host[0] != '[') &&
           (bracket == NULL || *name_end == ':' || *name_end == '\0') &&
           (bracket == NULL || memchr(host, ':', (size_t)(bracket - host)) != NULL) &&
           (colon == NULL || colon[1 + strspn(colon + 1, "0123456789")] == '\0');
}

/* The few headers by which it is decided where the body ends, what it is, and whom it is for. */
static void read_one(struct reading *reading, const char *name, size_t name_size, const char *value,
                     size_t value_size)
{
    struct framing *framing = reading->framing;

    if (IS_NAME(name, name_size, MHD_HTTP_HEADER_HOST)) {
        reading->n_hosts++;
        reading->has_bad_host |= !is_host(value, value_size);
    } else if (IS_NAME(name, name_size, MHD_HTTP_HEADER_EXPECT)) {
        framing->is_expecting |= strcasecmp(value, "100-continue") == 0;
        framing->has_other_expectation |= strcasecmp(value, "100-continue") != 0;
    } else if (IS_NAME(name, name_size, MHD_HTTP_HEADER_CONTENT_LENGTH)) {
        reading->n_lengths++;
        framing->length = strtoull(value, NULL, 10); /* the library has checked that it is one */
    } else if (IS_NAME(name, name_size, MHD_HTTP_HEADER_TRANSFER_ENCODING)) {
        reading->n_lengths++;
        framing->is_chunked = true;
        reading->has_bad_coding |= strcasecmp(value, "chunked") != 0;
    } else if (IS_NAME(name, name_size, MHD_HTTP_HEADER_CONTENT_ENCODING) && value_size > 0 &&
               strcasecmp(value, "identity") != 0) {
        framing->coding = value;
    }
}

/* MHD_KeyValueIteratorN: called for one header after the other, as they came. */
static enum MHD_Result read_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                   size_t name_size, const char *value, size_t value_size)
{
    struct reading *reading = cls;

    (void)kind;
    reading->is_out_of_line |= name != reading->next;
    reading->next = value + value_size + 2;
    reading->has_bad_name |= name_size == 0 || !are_all(name, name_size, TOKEN);
    reading->has_bad_value |= !is_value(value, value_size);
    read_one(reading, name, name_size, value, value_size);
    return MHD_YES;
}

/* Whether the line of the request is one word after the other, with nothing between and behind. */
static bool is_line_whole(const struct connection *record, const char *method, const char *target,
                          const char *version)
{
    return record == NULL || /* for want of memory, which nobody can bring about at will */
           (record->is_target_fit && target == method + strlen(method) + 1 &&
            version == target + record->target_bytes + 1);
}

static bool is_head_whole(struct MHD_Connection *connection, const char *method,
                          const struct reading *reading)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    return !reading->is_out_of_line && info != NULL &&
           reading->next + 2 == method + info->header_size;
}

static const char *find_wrong(const struct reading *reading, bool is_whole, bool is_host_needed)
{
    if (reading->n_lengths > 1) {
        return "a request gives its length once: by one Content-Length, or by Transfer-Encoding";
    }
    if (reading->has_bad_name || reading->has_bad_coding) {
        return "a header's name holds no blanks and no signs such as ( or @, and the only "
               "Transfer-Encoding that is understood here is chunked";
    }
    if (reading->has_bad_value) { /* others may take one for the end of the line */
        return "a header holds a carriage return or another control character";
    }
    if (reading->n_hosts > 1 || (reading->n_hosts == 0 && is_host_needed)) {
        return "a request names its Host once";
    }
    if (reading->has_bad_host) {
        return "Host is the name or the address of a host, and perhaps a port";
    }
    if (!is_whole) {
        return "a line of the request's head ends with CR LF, is not continued on the next, and "
               "holds no NUL; method, target and version stand apart by one blank, and the target "
               "holds none";
    }
    return NULL;
}

const char *framing_read(const struct context *context, const char *target, const char *version,
                         struct framing *out)
{
    const char *method = context->request.method;
    struct MHD_Connection *connection = context->request.connection;
    struct reading reading = {.framing = out, .next = version + strlen(version) + 2};
    bool is_latest = strcmp(version, MHD_HTTP_VERSION_1_0) != 0;
    bool is_whole;

    *out = (struct framing){0};
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, read_header, &reading);
    is_whole = !context->server->is_library_known ||
               (is_line_whole(context->connection, method, target, version) &&
                is_head_whole(connection, method, &reading));
    if (!is_latest) { /* has no expectations */
        out->is_expecting = out->has_other_expectation = false;
    }
    reading.has_bad_name |= !are_all(method, strlen(method), TOKEN);
    return find_wrong(&reading, is_whole, is_latest);
}
