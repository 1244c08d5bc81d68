/* libcurl's functions, loaded by commands that ask a service. See core/late_library.h. */
#ifndef DGLD_SERVER_LIBCURL_H
#define DGLD_SERVER_LIBCURL_H

/* libcurl's check of arguments by the compiler calls the functions by their names, past the table */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "core/error.h"
#include "core/late_library.h"

#define LIBCURL_FUNCTIONS(X) \
    X(curl_easy_cleanup)     \
    X(curl_easy_getinfo)     \
    X(curl_easy_init)        \
    X(curl_easy_perform)     \
    X(curl_easy_setopt)      \
    X(curl_easy_strerror)    \
    X(curl_global_cleanup)   \
    X(curl_global_init)      \
    X(curl_slist_append)     \
    X(curl_slist_free_all)

struct libcurl {
    LIBCURL_FUNCTIONS(LATE_MEMBER)
};

/* Nobody calls any of it before libcurl_load() succeeded. */
extern struct libcurl libcurl;

/* See late_library_load(). */
enum err libcurl_load(struct error *err);

#endif
