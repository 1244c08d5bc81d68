#include "server/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"

/* Sockets begin at 3, as sd_listen_fds(3) has it; the pipe comes after them. */
enum { FIRST_FD = 3, PID_DIGITS = 10 };

/* "<descriptor of the pipe>:own", or ":supervisor" where the sockets are a supervisor's. */
#define READY_VARIABLE "HANDOVER_READY_FD"
#define OF_OWN         ":own"
#define OF_SUPERVISOR  ":supervisor"

/* What is said through the pipe: that the successor serves, or that it could not be executed, and
 * then a byte with the reason. */
enum { SAID_READY = 'R', SAID_NOT_EXECUTED = 'X' };

extern char **environ;

/* ---- how this process was started ------------------------------------------------------------ */

/* A name with a slash means the same later, whatever is there by then; of one that was looked up in
 * $PATH the kernel tells what was found. */
static enum err find_program(const char *name, char *out, struct error *err)
{
    char place[PATH_BYTES];
    ssize_t n;

    if (name != NULL && name[0] == '/') {
        return path_format(out, err, "%s", name);
    }
    if (name != NULL && strchr(name, '/') != NULL) {
        return getcwd(place, sizeof place) != NULL
                   ? path_format(out, err, "%s/%s", place, name)
                   : error_sys(err, errno, "the current directory has no path");
    }
    n = readlink("/proc/self/exe", place, sizeof place - 1);
    if (n < 0) {
        out[0] = '\0'; /* it can serve, but not start another */
        return ERR_OK;
    }
    place[n] = '\0';
    return path_format(out, err, "%s", place);
}

/* Finds the pipe of a predecessor. */
static void find_predecessor(struct handover *handover)
{
    const char *text = getenv(READY_VARIABLE);
    char *end = NULL;
    long fd = text != NULL && text[0] >= '0' && text[0] <= '9' ? strtol(text, &end, 10) : -1;
    struct stat st;

    if (fd >= FIRST_FD && fd <= FIRST_FD + LISTENERS_MAX && fstat((int)fd, &st) == 0 &&
        S_ISFIFO(st.st_mode) && fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0) {
        handover->tell_fd = (int)fd;
        handover->are_sockets_own = strcmp(end, OF_OWN) == 0;
    }
    (void)unsetenv(READY_VARIABLE);
}

enum err handover_init(struct handover *handover, char *const *arguments, struct error *err)
{
    memset(handover, 0, sizeof *handover);
    handover->arguments = arguments;
    handover->hear_fd = handover->tell_fd = -1;
    find_predecessor(handover);
    return find_program(arguments[0], handover->program, err);
}

void handover_tell_ready(struct handover *handover)
{
    const char said[2] = {SAID_READY, 0};

    if (handover->tell_fd >= 0) {
        /* a predecessor that has ended meanwhile needs to hear nothing */
        while (write(handover->tell_fd, said, sizeof said) < 0 && errno == EINTR) {
        }
        (void)close(handover->tell_fd);
        handover->tell_fd = -1;
    }
}

/* ---- the successor --------------------------------------------------------------------------- */

/* What a child does between fork() and exec() is done without allocating: other threads may have
 * held the allocator's lock. So all is made ready before. */
struct launch {
    const char *program;
    char *const *arguments;
    char **environment;  /* owned */
    char listen_pid[32]; /* "LISTEN_PID=", to which the child adds its own */
    char listen_fds[32], ready_fd[48];
    int fds[LISTENERS_MAX + 1]; /* (n_fds): the sockets, then the pipe */
    int n_fds;
};

/* Variables that are for this process alone, or are set anew. */
static bool is_replaced(const char *assignment)
{
    static const char *const names[] = {
        "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "WATCHDOG_PID=", (READY_VARIABLE "=")};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strncmp(assignment, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

static enum err make_launch(const struct handover *handover, const struct listeners *listeners,
                            int pipe_fd, struct launch *out, struct error *err)
{
    size_t n = 0, n_kept = 0;

    memset(out, 0, sizeof *out);
    out->program = handover->program;
    out->arguments = handover->arguments;
    for (size_t i = 0; i < listeners->n; i++) {
        out->fds[out->n_fds++] = listeners->items[i].fd;
    }
    (void)snprintf(out->listen_pid, sizeof out->listen_pid, "LISTEN_PID=");
    (void)snprintf(out->listen_fds, sizeof out->listen_fds, "LISTEN_FDS=%d", out->n_fds);
    (void)snprintf(out->ready_fd, sizeof out->ready_fd, READY_VARIABLE "=%d%s",
                   FIRST_FD + out->n_fds, listeners->is_inherited ? OF_SUPERVISOR : OF_OWN);
    out->fds[out->n_fds++] = pipe_fd;
    while (environ[n] != NULL) {
        n++;
    }
    out->environment = mem_calloc(n + 4, sizeof *out->environment);
    if (out->environment == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to start a successor");
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_replaced(environ[i])) {
            out->environment[n_kept++] = environ[i];
        }
    }
    out->environment[n_kept++] = out->listen_pid;
    out->environment[n_kept++] = out->listen_fds;
    out->environment[n_kept] = out->ready_fd;
    return ERR_OK;
}

/* Of the child: moves the descriptors to where they are expected, without treading on one that is
 * still to be moved. False where there are none left. */
static bool place_fds(struct launch *launch)
{
    for (int i = 0; i < launch->n_fds; i++) {
        launch->fds[i] = fcntl(launch->fds[i], F_DUPFD_CLOEXEC, FIRST_FD + launch->n_fds);
        if (launch->fds[i] < 0) {
            return false;
        }
    }
    for (int i = 0; i < launch->n_fds; i++) {
        if (dup2(launch->fds[i], FIRST_FD + i) < 0) { /* stays open in what is executed */
            return false;
        }
    }
    return true;
}

/* Of the child: adds its number, which it alone knows, to LISTEN_PID. */
static void add_pid(struct launch *launch)
{
    char digits[PID_DIGITS];
    size_t n = 0;
    size_t end = strlen(launch->listen_pid);

    for (long pid = (long)getpid(); pid > 0 && n < sizeof digits; pid /= 10) {
        digits[n++] = (char)('0' + pid % 10);
    }
    while (n > 0) {
        launch->listen_pid[end++] = digits[--n];
    }
}

/* Of the child: never returns. */
static void execute(struct launch *launch, const sigset_t *mask)
{
    static const int caught[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};
    char said[2] = {SAID_NOT_EXECUTED, 0};
    int pipe_fd = launch->fds[launch->n_fds - 1];

    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        (void)signal(caught[i], SIG_DFL); /* this process's handlers would tell the parent's loop */
    }
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    if (place_fds(launch)) {
        pipe_fd = launch->fds[launch->n_fds - 1];
        add_pid(launch);
        (void)execve(launch->program, launch->arguments, launch->environment);
    }
    said[1] = (char)errno;
    while (write(pipe_fd, said, sizeof said) < 0 && errno == EINTR) {
    }
    _exit(127);
}

static enum err launch_successor(struct handover *handover, struct launch *launch,
                                 struct error *err)
{
    sigset_t all, mask;
    int failed;
    pid_t pid;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &mask);
    pid = fork();
    failed = errno;
    if (pid == 0) {
        execute(launch, &mask);
    }
    (void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
    if (pid < 0) {
        return error_sys(err, failed, "cannot start a successor");
    }
    handover->successor = pid;
    return ERR_OK;
}

/* Whether one may be started. */
static enum err check_start(const struct handover *handover, struct error *err)
{
    if (handover->successor != 0) {
        return error_set(err, ERR_INVALID, "process %ld is on its way to take over already",
                         (long)handover->successor);
    }
    if (getpid() == 1) {
        return error_set(err, ERR_INVALID,
                         "this is process 1, and with it its container would end: replace the "
                         "container instead");
    }
    if (handover->program[0] == '\0') {
        return error_set(err, ERR_INVALID,
                         "it is not known where the program is: start it by its path");
    }
    return ERR_OK;
}

enum err handover_start(struct handover *handover, const struct listeners *listeners,
                        struct error *err)
{
    struct launch launch = {0};
    int ends[2];
    enum err rc = check_start(handover, err);

    if (rc != ERR_OK) {
        return rc;
    }
    if (pipe(ends) != 0) {
        return error_sys(err, errno, "cannot make a pipe to a successor");
    }
    /* of other threads none forks */
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    rc = make_launch(handover, listeners, ends[1], &launch, err);
    rc = rc != ERR_OK ? rc : launch_successor(handover, &launch, err);
    mem_free(launch.environment);
    (void)close(ends[1]);
    if (rc != ERR_OK) {
        (void)close(ends[0]);
        return rc;
    }
    handover->hear_fd = ends[0];
    return ERR_OK;
}

/* The successor has closed its end of the pipe, so it is ending if it has not ended. */
static void describe_end(pid_t pid, struct error *err)
{
    int status = 0;

    (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) {
        (void)error_set(err, ERR_IO, "it ended with exit code %d; what it said is before this",
                        WEXITSTATUS(status));
    } else {
        (void)error_set(err, ERR_IO, "it was ended by signal %d", WTERMSIG(status));
    }
}

bool handover_hear(struct handover *handover, struct error *err)
{
    char said[2] = {0, 0};
    ssize_t n;

    do {
        n = read(handover->hear_fd, said, sizeof said);
    } while (n < 0 && errno == EINTR);
    (void)close(handover->hear_fd);
    handover->hear_fd = -1;
    if (n > 0 && said[0] == SAID_READY) {
        return true;
    }
    describe_end(handover->successor, err);
    if (n > 1 && said[0] == SAID_NOT_EXECUTED) {
        (void)error_sys(err, (unsigned char)said[1], "cannot execute %s", handover->program);
    }
    handover->successor = 0;
    return false;
}

void handover_signal(const struct handover *handover, int number)
{
    if (handover->successor > 0) {
        (void)kill(handover->successor, number);
    }
}

void handover_close(struct handover *handover)
{
    if (handover->arguments == NULL) {
        return;
    }
    if (handover->hear_fd >= 0) {
        (void)close(handover->hear_fd);
        handover->hear_fd = -1;
    }
}
