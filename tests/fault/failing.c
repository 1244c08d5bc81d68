/* A library to be preloaded, that fails the n-th call of a kind in a running program.
 *
 * FAILING_CONTROL names a file of CONTROL_BYTES that the test maps, too: it says which kind is armed and
 * how many calls are let through, and reads what was counted. tests/support/faults.py is its other
 * side. A call that fails leaves its backtrace in the file of that name with ".trace".
 *
 * What is not failed:
 * - what the dynamic loader allocates: it ends the process by itself (a thread's first use of a
 *   library's thread-local data has no way to return an error);
 * - calls that libraries make within themselves, past the symbol, such as the write(2) of the C
 *   library's stdio: the program writes no file by stdio;
 * - what runs before the control file is mapped, and what a sanitizer does for itself. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <sqlite3.h>

/* name and what a real fault of it is most often: an errno, or SQLite's */
#define KINDS(X)            \
    X(memory, ENOMEM)       \
    X(write, ENOSPC)        \
    X(sync, EIO)            \
    X(rename, EIO)          \
    X(open, EMFILE)         \
    X(accept, EMFILE)       \
    X(send, ECONNRESET)     \
    X(thread, EAGAIN)       \
    X(sqlite, SQLITE_IOERR) \
    X(postgres, 0)

#define KIND_ENUM(name, error)  KIND_##name,
#define KIND_ERROR(name, error) error,
#define KIND_NAME(name, error)  #name " "
enum kind { KINDS(KIND_ENUM) N_KINDS };
static const int usual_errors[] = {KINDS(KIND_ERROR)};

enum { CONTROL_BYTES = 4096, NAMES_BYTES = 256, KINDS_MAX = 16, FRAMES = 48 };

struct control {
    char names[NAMES_BYTES]; /* of the kinds, in their order: written when the library is there */
    atomic_llong armed;      /* 1 + kind; 0: none */
    atomic_llong countdown;  /* calls of that kind until the one that fails; 1: the next */
    atomic_llong is_lasting; /* all after it fail, too */
    atomic_llong error;      /* 0: the usual one */
    atomic_llong n_failed;
    atomic_llong live_blocks; /* that were allocated and not freed */
    atomic_llong counts[KINDS_MAX];
};

static struct control *control;
static int trace_fd = -1;
static uintptr_t loader_begin, loader_end;
static _Thread_local bool is_inside __attribute__((tls_model("initial-exec")));

/* The next one of that name: the C library's, or a sanitizer's. */
#define REAL(name) ((__typeof__(&(name)))next(#name, &next_##name))
#define SLOT(name) static _Atomic(void *) next_##name

static void *next(const char *name, _Atomic(void *) *slot)
{
    void *found = atomic_load_explicit(slot, memory_order_relaxed);

    if (found == NULL) {
        found = dlsym(RTLD_NEXT, name);
        if (found == NULL) { /* not linked to what it is called of: cannot be */
            (void)!syscall(SYS_write, 2, name, strlen(name));
            abort();
        }
        atomic_store_explicit(slot, found, memory_order_relaxed);
    }
    return found;
}

/* ---- whether a call fails -------------------------------------------------------------------- */

static void leave_trace(void)
{
    void *frames[FRAMES];
    int n = backtrace(frames, FRAMES);

    backtrace_symbols_fd(frames, n, trace_fd);
}

/* Counts a call; true where it has to fail, and sets `error` then. */
static bool has_to_fail(enum kind kind, int *error)
{
    long long left;

    if (control == NULL || is_inside) {
        return false;
    }
    atomic_fetch_add_explicit(&control->counts[kind], 1, memory_order_relaxed);
    if (atomic_load_explicit(&control->armed, memory_order_acquire) != (long long)kind + 1) {
        return false;
    }
    left = atomic_fetch_sub(&control->countdown, 1);
    if (left > 1 || (left < 1 && atomic_load(&control->is_lasting) == 0)) {
        return false;
    }
    is_inside = true;
    if (left == 1) {
        leave_trace();
    }
    atomic_fetch_add(&control->n_failed, 1);
    *error = (int)atomic_load(&control->error);
    *error = *error != 0 ? *error : usual_errors[kind];
    is_inside = false;
    return true;
}

/* The same for calls that set errno. */
static bool fails(enum kind kind)
{
    int error;

    if (!has_to_fail(kind, &error)) {
        return false;
    }
    errno = error;
    return true;
}

static int find_loader(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    if (strstr(info->dlpi_name, "/ld-linux") == NULL) {
        return 0;
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            loader_begin = info->dlpi_addr + part->p_vaddr;
            loader_end = loader_begin + part->p_memsz;
        }
    }
    return 1;
}

static int open_file(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAILING_CONTROL");
    char trace[4096];
    void *frames[2];
    int fd;

    if (path == NULL || (fd = open_file(path, O_RDWR)) < 0) {
        return;
    }
    (void)backtrace(frames, 2); /* its first call allocates */
    (void)dl_iterate_phdr(find_loader, NULL);
    (void)snprintf(trace, sizeof trace, "%s.trace", path);
    trace_fd = open_file(trace, O_WRONLY | O_CREAT | O_APPEND);
    void *mapped = mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)syscall(SYS_close, fd);
    if (mapped != MAP_FAILED) {
        (void)snprintf(mapped, NAMES_BYTES, "%s", "" KINDS(KIND_NAME));
        control = mapped;
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

SLOT(malloc);
SLOT(calloc);
SLOT(realloc);
SLOT(posix_memalign);
SLOT(aligned_alloc);
SLOT(free);

/* What is asked for while the real functions are looked for; never freed. */
static _Alignas(64) char early[8192];
static size_t n_early;

static bool is_early(const void *block)
{
    return (const char *)block >= early && (const char *)block < early + sizeof early;
}

static void *take_early(size_t size)
{
    void *block = early + n_early;

    n_early += (size + 63) / 64 * 64;
    if (n_early > sizeof early) {
        abort();
    }
    return block;
}

static _Thread_local bool is_looking __attribute__((tls_model("initial-exec")));

static bool find_memory(void)
{
    if (atomic_load_explicit(&next_free, memory_order_acquire) != NULL) {
        return true;
    }
    if (is_looking) {
        return false;
    }
    is_looking = true;
    (void)REAL(malloc);
    (void)REAL(calloc);
    (void)REAL(realloc);
    (void)REAL(posix_memalign);
    (void)REAL(aligned_alloc);
    (void)REAL(free);
    is_looking = false;
    return true;
}

static void count_live(long change)
{
    if (control != NULL) {
        atomic_fetch_add_explicit(&control->live_blocks, change, memory_order_relaxed);
    }
}

static void *counted(void *block)
{
    if (block != NULL) {
        count_live(1);
    }
    return block;
}

#define FAILS_MEMORY()                                         \
    (((uintptr_t)__builtin_return_address(0) < loader_begin || \
      (uintptr_t)__builtin_return_address(0) >= loader_end) && \
     fails(KIND_memory))

void *malloc(size_t size)
{
    if (!find_memory()) {
        return take_early(size);
    }
    return FAILS_MEMORY() ? NULL : counted(REAL(malloc)(size));
}

void *calloc(size_t n, size_t size)
{
    if (!find_memory()) {
        return take_early(n * size);
    }
    return FAILS_MEMORY() ? NULL : counted(REAL(calloc)(n, size));
}

void *realloc(void *block, size_t size)
{
    void *grown;

    if (!find_memory() || is_early(block)) {
        abort(); /* the loader does not */
    }
    if (FAILS_MEMORY()) {
        return NULL;
    }
    grown = REAL(realloc)(block, size);
    count_live(block == NULL && grown != NULL                ? 1
               : block != NULL && grown == NULL && size == 0 ? -1
                                                             : 0);
    return grown;
}

void free(void *block)
{
    if (block == NULL || is_early(block)) {
        return;
    }
    (void)find_memory();
    count_live(-1);
    REAL(free)(block);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    int rc;

    (void)find_memory();
    rc = FAILS_MEMORY() ? ENOMEM : REAL(posix_memalign)(out, alignment, size);
    count_live(rc == 0 ? 1 : 0);
    return rc;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    (void)find_memory();
    return FAILS_MEMORY() ? NULL : counted(REAL(aligned_alloc)(alignment, size));
}

/* ---- files ----------------------------------------------------------------------------------- */

SLOT(open);
SLOT(open64);
SLOT(openat);
SLOT(openat64);
SLOT(fopen);
SLOT(fopen64);
SLOT(opendir);
SLOT(fsync);
SLOT(fdatasync);
SLOT(syncfs);
SLOT(rename);
SLOT(renameat);
SLOT(link);
SLOT(symlink);
SLOT(mkdir);
SLOT(pthread_create);

/* The mode that open(2) has where it may make a file. */
#define MODE_OF(flags, mode)                                                      \
    do {                                                                          \
        va_list args;                                                             \
        va_start(args, flags);                                                    \
        mode = ((flags) & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0; \
        va_end(args);                                                             \
    } while (0)

int open(const char *path, int flags, ...)
{
    mode_t mode;

    MODE_OF(flags, mode);
    return fails(KIND_open) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    mode_t mode;

    MODE_OF(flags, mode);
    return fails(KIND_open) ? -1 : REAL(open64)(path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
    mode_t mode;

    MODE_OF(flags, mode);
    return fails(KIND_open) ? -1 : REAL(openat)(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...)
{
    mode_t mode;

    MODE_OF(flags, mode);
    return fails(KIND_open) ? -1 : REAL(openat64)(directory, path, flags, mode);
}

/* what the headers make of calls without a mode, where they are fortified */
int __open_2(const char *path, int flags)
{
    return fails(KIND_open) ? -1 : REAL(open)(path, flags);
}

int __open64_2(const char *path, int flags)
{
    return fails(KIND_open) ? -1 : REAL(open64)(path, flags);
}

int __openat_2(int directory, const char *path, int flags)
{
    return fails(KIND_open) ? -1 : REAL(openat)(directory, path, flags);
}

FILE *fopen(const char *path, const char *mode)
{
    return fails(KIND_open) ? NULL : REAL(fopen)(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    return fails(KIND_open) ? NULL : REAL(fopen64)(path, mode);
}

DIR *opendir(const char *path)
{
    return fails(KIND_open) ? NULL : REAL(opendir)(path);
}

int fsync(int fd)
{
    return fails(KIND_sync) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return fails(KIND_sync) ? -1 : REAL(fdatasync)(fd);
}

int syncfs(int fd)
{
    return fails(KIND_sync) ? -1 : REAL(syncfs)(fd);
}

int rename(const char *from, const char *to)
{
    return fails(KIND_rename) ? -1 : REAL(rename)(from, to);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    return fails(KIND_rename) ? -1 : REAL(renameat)(from_directory, from, to_directory, to);
}

int link(const char *from, const char *to)
{
    return fails(KIND_rename) ? -1 : REAL(link)(from, to);
}

int symlink(const char *target, const char *path)
{
    return fails(KIND_rename) ? -1 : REAL(symlink)(target, path);
}

int mkdir(const char *path, mode_t mode)
{
    return fails(KIND_rename) ? -1 : REAL(mkdir)(path, mode);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    int error;

    return has_to_fail(KIND_thread, &error)
               ? error
               : REAL(pthread_create)(thread, attributes, run, argument);
}

/* ---- files and sockets ----------------------------------------------------------------------- */

SLOT(write);
SLOT(pwrite);
SLOT(pwrite64);
SLOT(writev);
SLOT(send);
SLOT(sendto);
SLOT(sendmsg);
SLOT(sendfile);
SLOT(sendfile64);
SLOT(accept);
SLOT(accept4);

/* Pipes and counters of the loop are neither. */
static bool fails_write(int fd)
{
    const int saved_errno = errno;
    struct stat st;

    if (fstat(fd, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode))) {
        errno = saved_errno;
        return false;
    }
    errno = saved_errno;
    return fails(S_ISREG(st.st_mode) ? KIND_write : KIND_send);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    return fails_write(fd) ? -1 : REAL(write)(fd, bytes, size);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return fails_write(fd) ? -1 : REAL(pwrite)(fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    return fails_write(fd) ? -1 : REAL(pwrite64)(fd, bytes, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    return fails_write(fd) ? -1 : REAL(writev)(fd, parts, n);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    return fails(KIND_send) ? -1 : REAL(send)(fd, bytes, size, flags);
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, __CONST_SOCKADDR_ARG to,
               socklen_t to_size)
{
    return fails(KIND_send) ? -1 : REAL(sendto)(fd, bytes, size, flags, to, to_size);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return fails(KIND_send) ? -1 : REAL(sendmsg)(fd, message, flags);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t n)
{
    return fails(KIND_send) ? -1 : REAL(sendfile)(to, from, offset, n);
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t n)
{
    return fails(KIND_send) ? -1 : REAL(sendfile64)(to, from, offset, n);
}

int accept(int fd, __SOCKADDR_ARG address, socklen_t *size)
{
    return fails(KIND_accept) ? -1 : REAL(accept)(fd, address, size);
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *size, int flags)
{
    return fails(KIND_accept) ? -1 : REAL(accept4)(fd, address, size, flags);
}

/* ---- SQLite ---------------------------------------------------------------------------------- */

SLOT(sqlite3_open_v2);
SLOT(sqlite3_exec);
SLOT(sqlite3_prepare_v2);
SLOT(sqlite3_prepare_v3);
SLOT(sqlite3_step);
SLOT(sqlite3_bind_text);
SLOT(sqlite3_bind_int64);
SLOT(sqlite3_wal_checkpoint_v2);

/* Where it fails there is a handle still, to be closed. */
int sqlite3_open_v2(const char *path, sqlite3 **out, int flags, const char *vfs)
{
    int rc = REAL(sqlite3_open_v2)(path, out, flags, vfs);

    (void)has_to_fail(KIND_sqlite, &rc);
    return rc;
}

/* The library runs a text by its own functions: what these would be made to answer is not what it
 * answers (an error of a step that did not happen is forgotten). */
static _Thread_local bool is_in_exec __attribute__((tls_model("initial-exec")));

static int run_text(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **),
                    void *context, char **message)
{
    int rc;

    is_in_exec = true;
    rc = REAL(sqlite3_exec)(db, sql, row, context, message);
    is_in_exec = false;
    return rc;
}

static bool fails_sqlite(int *rc)
{
    return !is_in_exec && has_to_fail(KIND_sqlite, rc);
}

/* A rollback that fails has rolled back. */
int sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **),
                 void *context, char **message)
{
    int rc;

    if (!fails_sqlite(&rc)) {
        return run_text(db, sql, row, context, message);
    }
    if (strcmp(sql, "ROLLBACK") == 0) {
        (void)run_text(db, sql, row, context, message);
    }
    return rc;
}

int sqlite3_prepare_v2(sqlite3 *db, const char *sql, int size, sqlite3_stmt **out, const char **end)
{
    int rc;

    *out = NULL;
    return fails_sqlite(&rc) ? rc : REAL(sqlite3_prepare_v2)(db, sql, size, out, end);
}

int sqlite3_prepare_v3(sqlite3 *db, const char *sql, int size, unsigned flags, sqlite3_stmt **out,
                       const char **end)
{
    int rc;

    *out = NULL;
    return fails_sqlite(&rc) ? rc : REAL(sqlite3_prepare_v3)(db, sql, size, flags, out, end);
}

int sqlite3_step(sqlite3_stmt *statement)
{
    int rc;

    return fails_sqlite(&rc) ? rc : REAL(sqlite3_step)(statement);
}

int sqlite3_bind_text(sqlite3_stmt *statement, int i, const char *text, int size,
                      void (*release)(void *))
{
    int rc;

    return fails_sqlite(&rc) ? rc : REAL(sqlite3_bind_text)(statement, i, text, size, release);
}

int sqlite3_bind_int64(sqlite3_stmt *statement, int i, sqlite3_int64 value)
{
    int rc;

    return fails_sqlite(&rc) ? rc : REAL(sqlite3_bind_int64)(statement, i, value);
}

int sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *n_log, int *n_copied)
{
    int rc;

    return fails_sqlite(&rc) ? rc
                             : REAL(sqlite3_wal_checkpoint_v2)(db, name, mode, n_log, n_copied);
}

/* ---- PostgreSQL: the connection is lost, and the library finds that by itself ------------------ */

SLOT(PQconnectStartParams);
SLOT(PQconnectPoll);
SLOT(PQsendQuery);
SLOT(PQsendPrepare);
SLOT(PQsendQueryPrepared);
SLOT(PQconsumeInput);
SLOT(PQflush);
SLOT(PQgetResult);

static void lose(PGconn *connection)
{
    int error;

    if (PQsocket(connection) >= 0 && has_to_fail(KIND_postgres, &error)) {
        (void)shutdown(PQsocket(connection), SHUT_RDWR);
    }
}

PGconn *PQconnectStartParams(const char *const *names, const char *const *values, int expand)
{
    int error;

    return has_to_fail(KIND_postgres, &error) ? NULL /* no memory */
                                              : REAL(PQconnectStartParams)(names, values, expand);
}

PostgresPollingStatusType PQconnectPoll(PGconn *connection)
{
    lose(connection);
    return REAL(PQconnectPoll)(connection);
}

int PQsendQuery(PGconn *connection, const char *sql)
{
    lose(connection);
    return REAL(PQsendQuery)(connection, sql);
}

int PQsendPrepare(PGconn *connection, const char *name, const char *sql, int n, const Oid *types)
{
    lose(connection);
    return REAL(PQsendPrepare)(connection, name, sql, n, types);
}

int PQsendQueryPrepared(PGconn *connection, const char *name, int n, const char *const *values,
                        const int *sizes, const int *formats, int format)
{
    lose(connection);
    return REAL(PQsendQueryPrepared)(connection, name, n, values, sizes, formats, format);
}

int PQconsumeInput(PGconn *connection)
{
    lose(connection);
    return REAL(PQconsumeInput)(connection);
}

int PQflush(PGconn *connection)
{
    lose(connection);
    return REAL(PQflush)(connection);
}

PGresult *PQgetResult(PGconn *connection)
{
    lose(connection);
    return REAL(PQgetResult)(connection);
}
