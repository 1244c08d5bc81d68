/* The whole HTTP server: an input is what a client sends, byte for byte. Tokens are asked for. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/service.h"

/* The reply behind this one, or NULL: where it ends is only followed where it has a length. Which of
 * them are to HEAD is not known here: then what follows does not begin as a reply does. */
static const char *next_reply(const char *reply, const char *end)
{
    const char *body = strstr(reply, "\r\n\r\n");
    const char *length = strstr(reply, "\r\nContent-Length: ");
    size_t size = 0;

    if (body == NULL || (length == NULL && strncmp(reply, "HTTP/1.1 1", 10) != 0)) {
        return NULL;
    }
    body += 4;
    if (length != NULL && length < body) {
        size = strtoull(length + 18, NULL, 10);
    }
    return size < (size_t)(end - body) ? body + size : NULL;
}

/* Whatever is sent, what comes back is HTTP, and no failure of ours. */
static void check_replies(const char *reply, size_t size)
{
    const char *const end = reply + size;
    static const char version[] = "HTTP/1.1 ";

    require(strncmp(reply, version, size < sizeof version - 1 ? size : sizeof version - 1) == 0);
    while (reply != NULL && strncmp(reply, version, sizeof version - 1) == 0) {
        require(strncmp(reply + sizeof version - 1, "500", 3) != 0);
        reply = next_reply(reply, end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t reply_size;
    const char *reply;

    service_ready(true);
    reply = service_talk((const char *)bytes, size, &reply_size);
    check_replies(reply, reply_size);
    return 0;
}
