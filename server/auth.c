#include "server/auth.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/file.h"
#include "core/mem.h"

enum err auth_init(struct auth *auth, struct error *err)
{
    int failed;

    memset(auth, 0, sizeof *auth);
    failed = pthread_rwlock_init(&auth->lock, NULL);
    return failed == 0 ? ERR_OK : error_sys(err, failed, "cannot create a lock");
}

void auth_close(struct auth *auth)
{
    token_set_close(&auth->set);
    (void)pthread_rwlock_destroy(&auth->lock);
}

enum err auth_load(struct auth *auth, const char *path, size_t *n, struct error *err)
{
    struct token_set set = {0};
    struct token_set previous;
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = file_read(path, TOKENS_FILE_MAX_BYTES, &bytes, &size, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = token_set_decode(bytes, size, &set, err);
    mem_free(bytes);
    if (rc != ERR_OK) {
        error_wrap(err, "%s", path);
        return rc;
    }
    if (n != NULL) {
        *n = set.n;
    }
    (void)pthread_rwlock_wrlock(&auth->lock);
    previous = auth->set;
    auth->set = set;
    (void)pthread_rwlock_unlock(&auth->lock);
    token_set_close(&previous);
    if (!auth->is_on) { /* not written again where requests run */
        auth->is_on = true;
    }
    return ERR_OK;
}

/* The token in "Bearer <token>", or NULL where there is something else. */
static const char *bearer_token(const char *authorization)
{
    static const char scheme[] = "Bearer ";
    size_t length = sizeof scheme - 1;

    if (strncasecmp(authorization, scheme, length) != 0) {
        return NULL;
    }
    authorization += length;
    return authorization + strspn(authorization, " ");
}

enum auth_verdict auth_check(struct auth *auth, enum role role, const char *authorization,
                             char client[TOKEN_NAME_BYTES])
{
    const char *given = authorization != NULL ? bearer_token(authorization) : NULL;
    const struct token *token;
    enum auth_verdict verdict = AUTH_INVALID;

    client[0] = '\0';
    if (given == NULL) {
        return authorization == NULL ? AUTH_MISSING : AUTH_INVALID;
    }
    (void)pthread_rwlock_rdlock(&auth->lock);
    token = token_set_find(&auth->set, given, strlen(given));
    if (token != NULL) {
        memcpy(client, token->name, TOKEN_NAME_BYTES);
        verdict = token->role >= role ? AUTH_GRANTED : AUTH_FORBIDDEN;
    }
    (void)pthread_rwlock_unlock(&auth->lock);
    return verdict;
}
