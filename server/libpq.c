#include "server/libpq.h"

#include <late_sonames.h>

struct libpq libpq;

static struct late_library library = {
    .soname = LIBPQ_SONAME,
    .package = "libpq5",
    .names = (const char *const[]){LIBPQ_FUNCTIONS(LATE_NAME)},
    .n_functions = sizeof libpq / sizeof(void (*)(void)),
    .functions = &libpq,
};

enum err libpq_load(struct error *err)
{
    return late_library_load(&library, err);
}
