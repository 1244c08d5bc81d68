/* Who may call: the tokens of the service, and the check of a request's Authorization.
 *
 * Without a tokens file nobody is asked, and everyone is an operator. Thread-safe once initialised:
 * a file that is loaded again takes the place of the set before it between two requests. */
#ifndef DGLD_SERVER_AUTH_H
#define DGLD_SERVER_AUTH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "server/tokens.h"

struct auth {
    bool is_on; /* tokens are asked for; constant once the server runs */
    pthread_rwlock_t lock;
    struct token_set set; /* under the lock */
};

enum auth_verdict {
    AUTH_GRANTED,
    AUTH_MISSING,   /* 401: no token was given */
    AUTH_INVALID,   /* 401: what was given is no token of ours */
    AUTH_FORBIDDEN, /* 403: the token is good, its role too small */
};

/* Nobody is asked, until auth_load(). */
enum err auth_init(struct auth *auth, struct error *err);
void auth_close(struct auth *auth);

/* Reads the tokens of a file and puts them in the place of those before; from then on tokens are
 * asked for. Where the file is absent or malformed, all stays as it was. `n` (NULL allowed) receives
 * how many there are. */
enum err auth_load(struct auth *auth, const char *path, size_t *n, struct error *err);

/* Whether the value of a header Authorization (NULL: there is none) allows what `role` stands for.
 * The token's name goes to `client` where it is one of ours, "" otherwise. */
enum auth_verdict auth_check(struct auth *auth, enum role role, const char *authorization,
                             char client[TOKEN_NAME_BYTES]);

#endif
