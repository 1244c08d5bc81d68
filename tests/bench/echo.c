/* A bare libmicrohttpd handler that echoes the body: what the library alone makes possible.
 *
 *     echo PORT THREADS
 *
 * Bodies are kept and sent back as they came. Runs until it is killed. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

struct body {
    char *bytes;
    size_t size, capacity;
};

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **slot)
{
    struct body *body = *slot;
    struct MHD_Response *response;
    enum MHD_Result ok;

    (void)cls;
    (void)path;
    (void)method;
    (void)version;
    if (body == NULL) {
        *slot = calloc(1, sizeof *body);
        return *slot != NULL ? MHD_YES : MHD_NO;
    }
    if (*upload_size > 0) {
        if (body->size + *upload_size > body->capacity) {
            body->capacity = 2 * (body->size + *upload_size);
            body->bytes = realloc(body->bytes, body->capacity);
            if (body->bytes == NULL) {
                return MHD_NO;
            }
        }
        memcpy(body->bytes + body->size, upload, *upload_size);
        body->size += *upload_size;
        *upload_size = 0;
        return MHD_YES;
    }
    response = MHD_create_response_from_buffer(body->size, body->bytes, MHD_RESPMEM_MUST_FREE);
    body->bytes = NULL;
    ok = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return ok;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    struct body *body = *slot;

    (void)cls;
    (void)connection;
    (void)code;
    if (body != NULL) {
        free(body->bytes);
        free(body);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    unsigned n_threads = argc == 3 ? (unsigned)atoi(argv[2]) : 0;

    if (argc != 3) {
        fprintf(stderr, "usage: echo PORT THREADS\n");
        return 2;
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    if (MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, 0, NULL, NULL, on_request,
                         NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
                         MHD_OPTION_THREAD_POOL_SIZE, n_threads > 1 ? n_threads : 0U,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END) == NULL) {
        fprintf(stderr, "echo: cannot listen on port %s\n", argv[1]);
        return 1;
    }
    (void)pause();
    return 0;
}
