#include "server/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections that the kernel keeps until they are accepted; it cuts this to net.core.somaxconn. One
 * beyond them waits for seconds without a word. */
enum { BACKLOG = 65535 };

/* What is handed over begins here. */
enum { FIRST_FD = 3 };

enum { NAME_BYTES = 64 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

/* ---- where a socket is ----------------------------------------------------------------------- */

/* The name of a socket in the file system, or "@name" in the abstract name space. Both may hold any
 * bytes, and are printed where control characters would do harm. */
static void print_path(const struct sockaddr_un *local, socklen_t size, char *out, size_t capacity)
{
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    size_t length = size > offset ? size - offset : 0;
    bool is_abstract = length > 0 && local->sun_path[0] == '\0';
    size_t used;

    length = is_abstract ? length : strnlen(local->sun_path, length);
    (void)snprintf(out, capacity, "unix:");
    used = strlen(out);
    for (size_t i = 0; i < length && used + 1 < capacity; i++) {
        char c = local->sun_path[i];
        if (i == 0 && is_abstract) {
            c = '@';
        }
        out[used++] = c;
        if (c < 0x20 || c > 0x7e) { /* beyond ASCII too, where char is signed and where it is not */
            out[used - 1] = '?';
        }
    }
    out[used] = '\0';
}

static void describe(const union address *address, socklen_t size, struct listener *out)
{
    bool is_v6 = address->any.sa_family == AF_INET6;
    char host[INET6_ADDRSTRLEN] = "";

    out->is_unix = address->any.sa_family == AF_UNIX;
    if (out->is_unix) {
        print_path(&address->local, size, out->address, sizeof out->address);
        out->is_local = true;
        return;
    }
    (void)inet_ntop(address->any.sa_family,
                    is_v6 ? (const void *)&address->v6.sin6_addr : &address->v4.sin_addr, host,
                    sizeof host);
    (void)snprintf(out->address, sizeof out->address, is_v6 ? "[%s]:%u" : "%s:%u", host,
                   ntohs(is_v6 ? address->v6.sin6_port : address->v4.sin_port));
    out->is_local = config_is_loopback(host);
}

/* ---- what a supervisor hands over ------------------------------------------------------------ */

static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};

/* A whole number from 1 to `max`, or 0. */
static long read_number(const char *text, long max)
{
    long number;
    char *end;

    if (text == NULL || text[0] < '1' || text[0] > '9') {
        return 0;
    }
    errno = 0;
    number = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && number <= max ? number : 0;
}

/* The i-th of names between colons, for messages; "" where there is none that can be printed. */
static void copy_name(const char *names, size_t i, char out[NAME_BYTES])
{
    size_t length;

    out[0] = '\0';
    for (; names != NULL && i > 0; i--) {
        names = strchr(names, ':');
        names = names != NULL ? names + 1 : NULL;
    }
    length = names != NULL ? strcspn(names, ":") : 0;
    for (size_t k = 0; k < length; k++) {
        if (names[k] < 0x20 || names[k] > 0x7e) {
            return;
        }
    }
    (void)snprintf(out, NAME_BYTES, "%.*s", (int)length, length > 0 ? names : "");
}

static bool option_is(int fd, int option, int expected)
{
    int value = 0;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == expected;
}

static enum err adopt(int fd, struct listener *out, struct error *err)
{
    union address address;
    socklen_t size = sizeof address;
    int flags;
    int family;

    if (!option_is(fd, SO_TYPE, SOCK_STREAM) || !option_is(fd, SO_ACCEPTCONN, 1)) {
        return error_set(err, ERR_INVALID,
                         "it is not a listening stream socket; in a socket unit ListenStream= with "
                         "Accept=no makes one");
    }
    memset(&address, 0, sizeof address);
    if (getsockname(fd, &address.any, &size) != 0) {
        return error_sys(err, errno, "its address is not known");
    }
    family = address.any.sa_family;
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX) {
        return error_set(err, ERR_INVALID,
                         "it is of address family %d; served are IPv4, IPv6 and unix", family);
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return error_sys(err, errno, "its flags cannot be set");
    }
    out->fd = fd;
    describe(&address, size, out);
    return ERR_OK;
}

static enum err adopt_all(size_t n, const char *names, struct listeners *out, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        char name[NAME_BYTES];
        enum err rc = adopt(FIRST_FD + (int)i, &out->items[i], err);
        if (rc != ERR_OK) {
            copy_name(names, i, name);
            return error_wrap(err, "descriptor %d%s%s%s of LISTEN_FDS", FIRST_FD + (int)i,
                              name[0] != '\0' ? " (" : "", name, name[0] != '\0' ? ")" : "");
        }
    }
    out->n = n;
    out->is_inherited = true;
    return ERR_OK;
}

enum err listeners_inherit(struct listeners *out, struct error *err)
{
    const char *pid = getenv("LISTEN_PID");
    const char *fds = getenv("LISTEN_FDS");
    enum err rc = ERR_OK;

    if (fds != NULL && read_number(pid, INT32_MAX) == (long)getpid()) {
        size_t n = (size_t)read_number(fds, LISTENERS_MAX);
        rc = n > 0 ? adopt_all(n, getenv("LISTEN_FDNAMES"), out, err)
                   : error_set(err, ERR_INVALID,
                               "LISTEN_FDS must be a whole number from 1 to %d, not \"%.60s\"",
                               LISTENERS_MAX, fds);
    }
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        (void)unsetenv(variables[i]);
    }
    return rc;
}

/* ---- what the settings say ------------------------------------------------------------------- */

static enum err make_address(const struct config *config, union address *out, socklen_t *size,
                             struct error *err)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, config->bind, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons((uint16_t)config->port);
        *size = sizeof out->v4;
        return ERR_OK;
    }
    if (inet_pton(AF_INET6, config->bind, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)config->port);
        *size = sizeof out->v6;
        return ERR_OK;
    }
    return error_set(err, ERR_INVALID, "bind must be an IPv4 or IPv6 address, not \"%.60s\"",
                     config->bind);
}

enum err listeners_bind(const struct config *config, struct listeners *out, struct error *err)
{
    union address address;
    socklen_t size = 0;
    int yes = 1;
    int fd;
    enum err rc = make_address(config, &address, &size, err);

    if (rc != ERR_OK) {
        return rc;
    }
    fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_sys(err, errno, "cannot create a socket");
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, &address.any, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &address.any, &size) != 0) {
        error_sys(err, errno, "cannot listen on %s port %lld", config->bind,
                  (long long)config->port);
        (void)close(fd);
        return ERR_IO;
    }
    out->items[0].fd = fd;
    describe(&address, size, &out->items[0]);
    out->n = 1;
    out->is_inherited = false;
    return ERR_OK;
}

/* ---- who reaches them ------------------------------------------------------------------------ */

const char *listeners_exposed(const struct listeners *listeners, const struct config *config)
{
    for (size_t i = 0; i < listeners->n; i++) {
        if (!listeners->items[i].is_local) {
            return listeners->items[i].address;
        }
    }
    return listeners->n > 0 || config_is_loopback(config->bind) ? NULL : config->bind;
}

enum err listeners_check(const struct listeners *listeners, const struct config *config,
                         struct error *err)
{
    const char *exposed = listeners_exposed(listeners, config);

    if (exposed != NULL && config->tokens_file[0] == '\0' && !config->insecure) {
        return error_set(err, ERR_INVALID,
                         "the supervisor hands over a socket at %s, where anyone could call; name "
                         "a tokens_file, or set \"insecure\": true in the settings if that is "
                         "meant, or let it listen on 127.0.0.1",
                         exposed);
    }
    return ERR_OK;
}

void listeners_print(const struct listeners *listeners, bool has_tls, char *out)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < listeners->n && used < LISTENERS_TEXT_BYTES; i++) {
        const struct listener *listener = &listeners->items[i];
        const char *scheme = has_tls ? "https://" : "http://";
        int more = snprintf(out + used, LISTENERS_TEXT_BYTES - used, "%s%s%s", i > 0 ? ", " : "",
                            listener->is_unix ? "" : scheme, listener->address);
        used += more > 0 ? (size_t)more : 0;
    }
}

void listeners_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->n; i++) {
        (void)close(listeners->items[i].fd);
    }
    listeners->n = 0;
}
