/* Text of a service that may be anybody's, on its way to a terminal. Thread-safe. */
#ifndef DGLD_SERVER_UNTRUSTED_H
#define DGLD_SERVER_UNTRUSTED_H

#include <stdbool.h>

#include "proto/text.h"

/* Appends text with a question mark for each control; `is_json`: a whole JSON document, whose line
 * breaks stay and whose controls, which can only stand in its strings, are escaped. */
void untrusted_put(struct text *out, const char *bytes, bool is_json);

#endif
