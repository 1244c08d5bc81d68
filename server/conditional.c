#include "server/conditional.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/digest.h"
#include "server/respond.h"

enum { DIGEST_DIGITS = 32 }; /* half of SHA-256, which is plenty to tell states apart */

void etag_make(const void *bytes, size_t size, const char *variant, char out[ETAG_BYTES])
{
    const struct digest_part part = {bytes, size};
    char hex[DIGEST_HEX_BYTES];

    digest_hex(&part, 1, hex);
    (void)snprintf(out, ETAG_BYTES, "\"%.*s%s%.16s\"", DIGEST_DIGITS, hex,
                   variant != NULL ? "-" : "", variant != NULL ? variant : "");
}

bool etag_is_exactly(const char *field, const char *etag)
{
    size_t length;

    field += strspn(field, " \t");
    length = strlen(field);
    while (length > 0 && strchr(" \t", field[length - 1]) != NULL) {
        length--;
    }
    return length == strlen(etag) && memcmp(field, etag, length) == 0;
}

/* A tag inside of a header: what stands between the quotes. */
struct tag {
    const char *opaque;
    size_t length;
    bool is_weak;
};

/* Reads the tag at `*at` and moves behind it; false where there is none. */
static bool scan_tag(const char **at, struct tag *out)
{
    const char *c = *at;

    out->is_weak = strncmp(c, "W/", 2) == 0;
    c += out->is_weak ? 2 : 0;
    if (*c != '"') {
        return false;
    }
    out->opaque = ++c;
    while ((unsigned char)*c > 0x20 && *c != '"' && *c != 0x7f) {
        c++;
    }
    if (*c != '"') {
        return false;
    }
    out->length = (size_t)(c - out->opaque);
    *at = c + 1;
    return true;
}

/* The length of the part of a tag that names the state (to write) or the representation. */
static size_t significant_length(const struct tag *tag, bool is_read)
{
    static const char coded[] = "-gzip";
    const size_t n_coded = sizeof coded - 1;
    const char *dash;

    if (!is_read) {
        dash = memchr(tag->opaque, '-', tag->length);
        return dash != NULL ? (size_t)(dash - tag->opaque) : tag->length;
    }
    return tag->length >= n_coded &&
                   memcmp(tag->opaque + tag->length - n_coded, coded, n_coded) == 0
               ? tag->length - n_coded
               : tag->length;
}

static bool is_same(const struct tag *a, const struct tag *b, bool is_read)
{
    size_t length = significant_length(a, is_read);

    return length == significant_length(b, is_read) && memcmp(a->opaque, b->opaque, length) == 0;
}

/* How a list of tags relates to the resource. */
enum match { MATCH_NONE, MATCH_SOME, MATCH_MALFORMED };

/* `may_be_weak`: a weak tag may match (If-None-Match), or never does (If-Match). */
static enum match match_list(const char *list, const char *etag, bool may_be_weak, bool is_read)
{
    struct tag own = {0};
    bool is_matched = false;
    size_t n = 0;

    if (etag != NULL && !scan_tag(&etag, &own)) {
        assert(!"an entity tag of our own is malformed");
        return MATCH_MALFORMED;
    }
    list += strspn(list, " \t");
    if (*list == '*') {
        list += 1 + strspn(list + 1, " \t");
        return *list != '\0' ? MATCH_MALFORMED : own.opaque != NULL ? MATCH_SOME : MATCH_NONE;
    }
    for (;;) {
        struct tag tag;
        list += strspn(list, " \t,"); /* empty items are allowed */
        if (*list == '\0') {
            break;
        }
        if (!scan_tag(&list, &tag)) {
            return MATCH_MALFORMED;
        }
        list += strspn(list, " \t");
        if (*list != ',' && *list != '\0') {
            return MATCH_MALFORMED;
        }
        n++;
        is_matched = is_matched || (own.opaque != NULL && (may_be_weak || !tag.is_weak) &&
                                    is_same(&tag, &own, is_read));
    }
    return n == 0 ? MATCH_MALFORMED : is_matched ? MATCH_SOME : MATCH_NONE;
}

static enum condition fail(struct error *err, enum match match, const char *field, const char *etag)
{
    if (match == MATCH_MALFORMED) {
        error_describe(err, ERR_INVALID,
                       "%s must be * or a list of entity tags in double quotes, such as \"abc\"",
                       field);
    } else if (etag == NULL) {
        error_describe(err, ERR_INVALID, "%s does not hold: there is no such resource now", field);
    } else {
        error_describe(err, ERR_INVALID,
                       "%s does not hold: the resource exists, and its entity tag is %s", field,
                       etag);
    }
    return CONDITION_FAILED;
}

enum condition condition_check(const struct conditions *conditions, bool is_read, const char *etag,
                               struct error *err)
{
    if (conditions->if_match != NULL) {
        enum match match = match_list(conditions->if_match, etag, false, is_read);
        if (match != MATCH_SOME) {
            return fail(err, match, "If-Match", etag);
        }
    }
    if (conditions->if_none_match != NULL) {
        enum match match = match_list(conditions->if_none_match, etag, true, is_read);
        if (is_read) {
            return match == MATCH_SOME ? CONDITION_NOT_MODIFIED : CONDITION_HOLDS;
        }
        if (match != MATCH_NONE) {
            return fail(err, match, "If-None-Match", etag);
        }
    }
    return CONDITION_HOLDS;
}

bool condition_answer(const struct request *request, struct reply *reply, const char *etag)
{
    const struct conditions conditions = {
        .if_match = request_header(request, "If-Match"),
        .if_none_match = request_header(request, "If-None-Match"),
    };
    bool is_read = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    struct error err;

    switch (condition_check(&conditions, is_read, etag, &err)) {
    case CONDITION_HOLDS:
        return false;
    case CONDITION_NOT_MODIFIED:
        respond_empty(reply, 304);
        respond_header(reply, "ETag", "%s", etag);
        return true;
    default:
        respond_problem(reply, request, 412, err.text, NULL);
        if (etag != NULL) {
            respond_header(reply, "ETag", "%s", etag);
        }
        return true;
    }
}
