#include "proto/libzip.h"

#include <late_sonames.h>

struct libzip libzip;

static struct late_library library = {
    .soname = LIBZIP_SONAME,
    .package = "libzip4",
    .names = (const char *const[]){LIBZIP_FUNCTIONS(LATE_NAME)},
    .n_functions = sizeof libzip / sizeof(void (*)(void)),
    .functions = &libzip,
};

enum err libzip_load(struct error *err)
{
    return late_library_load(&library, err);
}
