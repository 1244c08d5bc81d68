#include "tests/fuzz/service.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <jansson.h>

#include "proto/digest.h"
#include "server/app.h"
#include "server/http.h"
#include "server/jobs.h"
#include "server/log.h"
#include "server/options.h"
#include "server/shipped.h"
#include "server/trace.h"
#include "tests/fuzz/fuzz.h"

enum {
    INPUTS_A_LIFE = 1000, /* then everything is begun anew */
    SILENCE_MS = 60,      /* once all was sent */
    REPLY_BYTES = 4 << 20,
    N_NETWORKS = 40
};

static struct app *app;
static struct http_server *server;
static char root[] = "/tmp/dgld-fuzz-XXXXXX";
static bool are_tokens_asked;
static char reply[REPLY_BYTES];

/* ---- its root -------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static void put_file(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + sizeof root, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    file = fopen(path, "w");
    require(file != NULL);
    (void)fputs(text, file);
    require(fclose(file) == 0);
}

static void put_settings(void)
{
    char text[1024];

    (void)snprintf(text, sizeof text,
                   "{\"http_threads\": 1, \"pool_threads\": 1, \"job_workers\": 1,"
                   " \"job_store\": \"jobs.db\", \"job_queue_max\": 8, \"batch_max\": 20000,"
                   " \"body_max_bytes\": 65536, \"event_streams_max\": 8, \"port\": 0,"
                   " \"connections_max\": 4096, \"log_level\": \"error\","
                   " \"cors_origins\": \"https://a.example\"%s}",
                   are_tokens_asked ? ", \"tokens_file\": \"tokens.json\"" : "");
    put_file("config/dgld.json", text);
}

static void put_tokens(void)
{
    char hex[DIGEST_HEX_BYTES];
    char text[256];

    digest_hex(&(struct digest_part){SERVICE_TOKEN, sizeof SERVICE_TOKEN - 1}, 1, hex);
    (void)snprintf(
        text, sizeof text,
        "{\"tokens\": [{\"name\": \"fuzz\", \"role\": \"operator\", \"sha256\": \"%s\"}]}", hex);
    put_file("tokens.json", text);
}

/* Made-up data of nasbench201, enough to train, to test and to search. */
static void put_data(void)
{
    static const char *const devices[] = {"Galaxy A9", "Oppo A5", "Huawei Mate 20", "A", "B"};
    struct text networks = {0}, numbers = {0};

    for (int i = 0; i < N_NETWORKS; i++) {
        for (int g = 0, rest = i * 389; g < 6; g++, rest /= 5) {
            text_printf(&networks, "%d%s", 1 + rest % 5, g < 5 ? " " : "\n");
        }
        text_printf(&numbers, "%.3f\n", 10.0 + (i * 37 % 50));
    }
    put_file("data/nasbench201/net.txt", networks.bytes);
    put_file("data/nasbench201/NAS/net.txt", networks.bytes);
    put_file("data/nasbench201/NAS/acc.txt", numbers.bytes);
    for (size_t i = 0; i < COUNT_OF(devices); i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "data/nasbench201/latency/%s.txt", devices[i]);
        put_file(name, numbers.bytes);
    }
    put_file("data/nasbench201/hardware/A.txt", "2.0 3 1 7.46\n");
    put_file("data/nasbench201/measurements/C.csv", "architecture,latency_ms\n444244,12.5\n");
    put_file("result/nasbench201/jobs/notes.txt", "a file to be read in parts\n");
    text_close(&networks);
    text_close(&numbers);
}

/* ---- its life -------------------------------------------------------------------------------- */

static void stop(void)
{
    jobs_drain(app->jobs);
    http_stop(server);
    app_destroy(app);
    app = NULL;
    require(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static void stop_at_exit(void)
{
    if (app != NULL) {
        stop();
    }
}

static void start(void)
{
    static char *arguments[] = {(char *)"fuzz", NULL};
    struct options options = {.root = root, .arguments = arguments};
    struct error err = {0};

    memcpy(root + sizeof root - sizeof "XXXXXX", "XXXXXX", sizeof "XXXXXX");
    require(mkdtemp(root) != NULL);
    put_settings();
    put_tokens();
    put_data();
    if (app_create(&options, &app, &err) != ERR_OK || app_load(app, &err) != ERR_OK ||
        http_start(app, &server, &err) != ERR_OK) {
        (void)fprintf(stderr, "the service does not start: %s\n", err.text);
        abort();
    }
    require(app->jobs != NULL && app_is_ready(app));
}

/* What an input has unloaded is loaded for the next one. */
static void load_again(void)
{
    char version[MODEL_VERSION_BYTES];

    for (size_t i = 0; built_in_spaces[i] != NULL; i++) {
        serving_version(app, built_in_spaces[i], version);
        if (version[0] == '\0') {
            (void)serving_load(app, built_in_spaces[i], NULL);
        }
    }
}

void service_ready(bool has_tokens)
{
    static unsigned long n_inputs;

    if (n_inputs == 0) {
        are_tokens_asked = has_tokens;
        (void)signal(SIGPIPE, SIG_IGN);
        (void)unsetenv("LISTEN_FDS");
        json_object_seed(1);
        trace_init();
        require(shipped_init(".", NULL) == ERR_OK); /* the tree that the test runs in */
        (void)atexit(stop_at_exit);
        start();
    } else if (n_inputs % INPUTS_A_LIFE == 0) {
        stop();
        start();
    } else {
        load_again();
    }
    n_inputs++;
}

/* ---- talking --------------------------------------------------------------------------------- */

/* Sends what the socket takes; half-closes after the last of it. */
static void send_some(int fd, const char *bytes, size_t size, size_t *n_sent)
{
    ssize_t n = *n_sent < size ? send(fd, bytes + *n_sent, size - *n_sent, MSG_DONTWAIT) : 0;

    if (n < 0 && errno != EAGAIN) {
        *n_sent = size; /* it was closed: nobody wants the rest */
    } else if (n > 0) {
        *n_sent += (size_t)n;
    }
    if (*n_sent == size) {
        (void)shutdown(fd, SHUT_WR);
    }
}

/* False at the end. */
static bool receive_some(int fd, size_t *n_received)
{
    ssize_t n = recv(fd, reply + *n_received, sizeof reply - 1 - *n_received, MSG_DONTWAIT);

    if (n > 0) {
        *n_received += (size_t)n;
    }
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static size_t exchange(int fd, const char *bytes, size_t size)
{
    size_t n_sent = 0, n_received = 0;
    bool is_open = true;

    send_some(fd, bytes, size, &n_sent);
    while (is_open && n_received < sizeof reply - 1) {
        struct pollfd at = {.fd = fd, .events = (short)(POLLIN | (n_sent < size ? POLLOUT : 0))};
        if (poll(&at, 1, SILENCE_MS) == 0) {
            break;
        }
        if (n_sent < size && (at.revents & (POLLOUT | POLLERR)) != 0) {
            send_some(fd, bytes, size, &n_sent);
        }
        if ((at.revents & (POLLIN | POLLHUP)) != 0) {
            is_open = receive_some(fd, &n_received);
        }
        (void)http_reap(server); /* as the loop does now and then: it finds what was half-closed */
    }
    return n_received;
}

const char *service_talk(const char *bytes, size_t size, size_t *reply_size)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(40000), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int ends[2];

    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    http_take(server, ends[1], (const struct sockaddr *)&address, sizeof address);
    *reply_size = exchange(ends[0], bytes, size);
    (void)close(ends[0]);
    reply[*reply_size] = '\0';
    return reply;
}
