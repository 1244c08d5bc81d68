/* A list of names, sorted or as given. A struct names belongs to its creator. */
#ifndef DGLD_SERVER_NAMES_H
#define DGLD_SERVER_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct names {
    char **items; /* (n), owned */
    size_t n;
};

/* Copies `name` to the end. ERR_NOMEM. */
enum err names_add(struct names *names, const char *name, struct error *err);

/* Splits "a, b,c" at the commas, blanks around a name dropped. An empty name is ERR_INVALID, a name
 * given twice too. Each is checked by device_name_validate(). */
enum err names_split(const char *list, struct names *out, struct error *err);

void names_sort(struct names *names);
bool names_contain(const struct names *names, const char *name);

/* Accepts a zeroed struct. */
void names_close(struct names *names);

#endif
