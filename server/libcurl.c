#include "server/libcurl.h"

#include <late_sonames.h>

struct libcurl libcurl;

static struct late_library library = {
    .soname = LIBCURL_SONAME,
    .package = "libcurl3-gnutls",
    .names = (const char *const[]){LIBCURL_FUNCTIONS(LATE_NAME)},
    .n_functions = sizeof libcurl / sizeof(void (*)(void)),
    .functions = &libcurl,
};

enum err libcurl_load(struct error *err)
{
    return late_library_load(&library, err);
}
