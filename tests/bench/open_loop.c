/* An open loop of requests: they are due at fixed points in time, whether or not earlier ones were
 * answered, and latency counts from when a request was due. A client that waits for its answer before
 * it asks again would not see the very delays that are looked for.
 *
 *     open_loop PORT RATE SECONDS CONNECTIONS FILE
 *
 * FILE holds a whole request, byte for byte. Ends with one line for bench.py. */
#define _GNU_SOURCE /* ppoll: a timer of nanoseconds */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 1024, REPLY_BYTES = 65536, GRACE_S = 5 };

static int64_t due_ns[MAX_CONNECTIONS]; /* when the request that is out was due */
static struct pollfd polls[MAX_CONNECTIONS];
static char reply[REPLY_BYTES];

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "open_loop: %s: %s\n", what, strerror(errno));
    exit(1);
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(1 << 20);

    if (file == NULL || bytes == NULL) {
        die(path);
    }
    *size = fread(bytes, 1, 1 << 20, file);
    (void)fclose(file);
    return bytes;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        die("connect");
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* Whether these are all of a reply, which says its length. */
static bool is_whole(const char *bytes, size_t size)
{
    const char *end = strstr(bytes, "\r\n\r\n");
    const char *length = strstr(bytes, "Content-Length: ");

    return end != NULL && length != NULL &&
           size >= (size_t)(end + 4 - bytes) + strtoul(length + 16, NULL, 10);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Takes the reply that came on connection i. Small replies come in one piece; others would need more
 * than the loop below does. */
static bool take(size_t i, long *n_errors)
{
    ssize_t n = recv(polls[i].fd, reply, sizeof reply - 1, MSG_DONTWAIT);

    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return false;
        }
        errno = n == 0 ? ECONNRESET : errno;
        die("a connection ended");
    }
    reply[n] = '\0';
    *n_errors += strncmp(reply, "HTTP/1.1 200", 12) != 0;
    if (!is_whole(reply, (size_t)n)) {
        errno = EMSGSIZE;
        die("a reply came in pieces: ask for less at a time");
    }
    return true;
}

int main(int argc, char **argv)
{
    size_t size;
    size_t n_connections;
    size_t n_free;
    size_t free_list[MAX_CONNECTIONS];
    int64_t interval_ns;
    int64_t start_ns;
    long n_total;
    long n_due = 0; /* requests that went out */
    long n_done = 0;
    long n_errors = 0;
    char *request;
    int64_t *latencies_ns;

    if (argc != 6) {
        fprintf(stderr, "usage: open_loop PORT RATE SECONDS CONNECTIONS FILE\n");
        return 2;
    }
    request = read_file(argv[5], &size);
    n_connections = strtoul(argv[4], NULL, 10);
    n_connections = n_connections < MAX_CONNECTIONS ? n_connections : MAX_CONNECTIONS;
    interval_ns = (int64_t)(1e9 / strtod(argv[2], NULL));
    n_total = (long)(strtod(argv[3], NULL) * strtod(argv[2], NULL));
    latencies_ns = calloc((size_t)n_total, sizeof *latencies_ns);
    if (latencies_ns == NULL) {
        die("memory");
    }
    for (size_t i = 0; i < n_connections; i++) {
        polls[i] = (struct pollfd){.fd = connect_to((uint16_t)atoi(argv[1])), .events = POLLIN};
        free_list[i] = i;
    }
    n_free = n_connections;
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    start_ns = now_ns() + 10000000;
    while (n_done < n_total) {
        int64_t now = now_ns();
        int64_t next_ns = start_ns + n_due * interval_ns;
        struct timespec wait = {0, 100000000};
        while (n_due < n_total && next_ns <= now && n_free > 0) {
            size_t i = free_list[--n_free];
            due_ns[i] = next_ns;
            if (send(polls[i].fd, request, size, MSG_NOSIGNAL) != (ssize_t)size) {
                die("send");
            }
            next_ns = start_ns + ++n_due * interval_ns;
        }
        if (now - start_ns > n_total * interval_ns + (int64_t)GRACE_S * 1000000000) {
            break; /* what is out still counts as failed */
        }
        now = now_ns();
        if (n_due < n_total && n_free > 0 && next_ns - now < wait.tv_nsec) {
            wait.tv_nsec = next_ns > now ? (long)(next_ns - now) : 0;
        }
        if (ppoll(polls, n_connections, &wait, NULL) < 0 && errno != EINTR) {
            die("poll");
        }
        for (size_t i = 0; i < n_connections; i++) {
            if ((polls[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && take(i, &n_errors)) {
                latencies_ns[n_done++] = now_ns() - due_ns[i];
                free_list[n_free++] = i;
            }
        }
    }
    n_errors += n_total - n_done;
    qsort(latencies_ns, (size_t)n_done, sizeof *latencies_ns, compare);
    if (n_done > 0) {
        printf("result requests=%ld errors=%ld p50_us=%.1f p99_us=%.1f max_us=%.1f\n", n_done,
               n_errors, (double)latencies_ns[n_done / 2] / 1e3,
               (double)latencies_ns[n_done - 1 - n_done / 100] / 1e3,
               (double)latencies_ns[n_done - 1] / 1e3);
    }
    free(latencies_ns);
    free(request);
    return n_done > 0 ? 0 : 1;
}
