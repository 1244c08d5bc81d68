/* Documents that the program carries inside, or makes once: answered with an ETag, and to HEAD and
 * If-None-Match as HTTP has it. Thread-safe. */
#ifndef DGLD_SERVER_DOCUMENT_H
#define DGLD_SERVER_DOCUMENT_H

#include <stddef.h>

#include "core/error.h"
#include "server/conditional.h"
#include "server/respond.h"

/* Lives as long as the program. What `make` leaves out or is not there to fill in is known from the
 * beginning. */
struct document {
    const char *content_type;
    const char *policy; /* its Content-Security-Policy; NULL: none */
    const char *body;   /* terminated */
    /* Fills in the body and the policy when the document is first asked for; NULL: they are there. A
     * failure is not kept, for there may be memory later. */
    enum err (*make)(struct document *document, struct error *err);
    size_t size;
    char etag[ETAG_BYTES]; /* of the body; "" as long as nobody has asked */
};

/* Answers 200 with the document, or 304. */
void document_answer(struct document *document, const struct request *request, struct reply *reply);

#endif
