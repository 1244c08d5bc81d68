#include "server/document.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the making of all documents */

static enum err make_ready(struct document *document, struct error *err)
{
    enum err rc = ERR_OK;

    (void)pthread_mutex_lock(&lock);
    if (document->etag[0] == '\0') {
        rc = document->make != NULL ? document->make(document, err) : ERR_OK;
        if (rc == ERR_OK) {
            document->size = strlen(document->body);
            etag_make(document->body, document->size, NULL, document->etag);
        }
    }
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

void document_answer(struct document *document, const struct request *request, struct reply *reply)
{
    const struct conditions conditions = {
        .if_none_match = request_header(request, "If-None-Match"),
    };
    struct error err;

    if (make_ready(document, &err) != ERR_OK) {
        respond_error(reply, request, &err, NULL);
        return;
    }
    if (condition_check(&conditions, true, document->etag, NULL) == CONDITION_NOT_MODIFIED) {
        respond_empty(reply, 304);
    } else {
        reply->status = 200;
        reply->content_type = document->content_type;
        reply->body = (char *)document->body; /* is_static: nobody writes it */
        reply->body_size = document->size;
        reply->is_static = true;
    }
    respond_header(reply, "ETag", "%s", document->etag);
    if (document->policy != NULL) {
        respond_header(reply, "Content-Security-Policy", "%s", document->policy);
    }
}
