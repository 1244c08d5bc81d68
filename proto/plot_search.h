/* A search as a picture: latency against accuracy of the networks that it looked at on each target,
 * with the limits, the front and the network that was found, as the dashboard's view of a space draws
 * it. Pure functions, thread-safe. */
#ifndef DGLD_PROTO_PLOT_SEARCH_H
#define DGLD_PROTO_PLOT_SEARCH_H

#include "core/error.h"
#include "proto/msg_search.h"
#include "proto/text.h"

/* Appends an SVG document of less than 2 MB. ERR_NOMEM. */
enum err plot_search(const struct search_report *report, struct text *out, struct error *err);

#endif
