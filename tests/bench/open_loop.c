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

struct load {
    char *request; /* (size), owned */
    size_t size;
    size_t n_connections;
    size_t n_free, free_list[MAX_CONNECTIONS]; /* connections on which no request is out */
    int64_t start_ns, interval_ns;
    long n_total, n_due, n_done; /* requests in all, that went out, that were answered */
    long n_errors;
    int64_t *latencies_ns; /* (n_total), of those that were answered */
};

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
 * than what is done here. */
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

/* ---- the load -------------------------------------------------------------------------------- */

static void connect_all(struct load *load, uint16_t port)
{
    for (size_t i = 0; i < load->n_connections; i++) {
        polls[i] = (struct pollfd){.fd = connect_to(port), .events = POLLIN};
        load->free_list[i] = i;
    }
    load->n_free = load->n_connections;
}

/* When the next request is due. */
static int64_t next_due_ns(const struct load *load)
{
    return load->start_ns + load->n_due * load->interval_ns;
}

/* Sends what is due by now, as long as there is a connection for it. */
static void send_due(struct load *load)
{
    const int64_t now = now_ns();

    while (load->n_due < load->n_total && next_due_ns(load) <= now && load->n_free > 0) {
        size_t i = load->free_list[--load->n_free];
        due_ns[i] = next_due_ns(load);
        if (send(polls[i].fd, load->request, load->size, MSG_NOSIGNAL) != (ssize_t)load->size) {
            die("send");
        }
        load->n_due++;
    }
}

/* Waits for replies until the next request can be sent, at most a tenth of a second. */
static void wait_for_replies(const struct load *load)
{
    struct timespec wait = {0, 100000000};
    const int64_t left_ns = next_due_ns(load) - now_ns();

    if (load->n_due < load->n_total && load->n_free > 0 && left_ns < wait.tv_nsec) {
        wait.tv_nsec = left_ns > 0 ? (long)left_ns : 0;
    }
    if (ppoll(polls, load->n_connections, &wait, NULL) < 0 && errno != EINTR) {
        die("poll");
    }
}

static void take_replies(struct load *load)
{
    for (size_t i = 0; i < load->n_connections; i++) {
        if ((polls[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && take(i, &load->n_errors)) {
            load->latencies_ns[load->n_done++] = now_ns() - due_ns[i];
            load->free_list[load->n_free++] = i;
        }
    }
}

/* Ends when all was answered, or some time after it should have been. */
static void run(struct load *load)
{
    int64_t end_ns;

    load->start_ns = now_ns() + 10000000;
    end_ns = load->start_ns + load->n_total * load->interval_ns + (int64_t)GRACE_S * 1000000000;
    while (load->n_done < load->n_total && now_ns() <= end_ns) {
        send_due(load);
        wait_for_replies(load);
        take_replies(load);
    }
    load->n_errors += load->n_total - load->n_done;
}

static void report(const struct load *load)
{
    const long n = load->n_done;

    if (n == 0) {
        return;
    }
    qsort(load->latencies_ns, (size_t)n, sizeof *load->latencies_ns, compare);
    printf("result requests=%ld errors=%ld p50_us=%.1f p99_us=%.1f max_us=%.1f\n", n,
           load->n_errors, (double)load->latencies_ns[n / 2] / 1e3,
           (double)load->latencies_ns[n - 1 - n / 100] / 1e3,
           (double)load->latencies_ns[n - 1] / 1e3);
}

int main(int argc, char **argv)
{
    static struct load load;
    double rate;

    if (argc != 6) {
        fprintf(stderr, "usage: open_loop PORT RATE SECONDS CONNECTIONS FILE\n");
        return 2;
    }
    rate = strtod(argv[2], NULL);
    load.request = read_file(argv[5], &load.size);
    load.n_connections = strtoul(argv[4], NULL, 10);
    load.n_connections =
        load.n_connections < MAX_CONNECTIONS ? load.n_connections : MAX_CONNECTIONS;
    load.interval_ns = (int64_t)(1e9 / rate);
    load.n_total = (long)(strtod(argv[3], NULL) * rate);
    load.latencies_ns = calloc((size_t)load.n_total, sizeof *load.latencies_ns);
    if (load.latencies_ns == NULL) {
        die("memory");
    }
    connect_all(&load, (uint16_t)atoi(argv[1]));
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    run(&load);
    report(&load);
    free(load.latencies_ns);
    free(load.request);
    return load.n_done > 0 ? 0 : 1;
}
