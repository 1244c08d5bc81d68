/* dgld token: draws a token, prints it once, and gives the entry that the service knows it by; or
 * takes an entry away. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"
#include "server/command.h"
#include "server/path.h"
#include "server/result_tree.h"
#include "server/tokens.h"

static enum err read_entry(const struct options *options, struct token *out, struct error *err)
{
    if (options->name == NULL || options->role == NULL) {
        return error_set(err, ERR_USAGE, "token needs --%s",
                         options->name == NULL ? "name: who will hold it"
                                               : "role: predict or operator");
    }
    out->role = role_find(options->role);
    if (out->role == ROLE_NONE) {
        return error_set(err, ERR_USAGE, "--role must be predict or operator, not \"%.60s\"",
                         options->role);
    }
    if (strlen(options->name) >= sizeof out->name) {
        return error_set(err, ERR_USAGE, "--name has at most %zu characters", sizeof out->name - 1);
    }
    (void)snprintf(out->name, sizeof out->name, "%s", options->name);
    return ERR_OK;
}

/* The tokens that are in the file; none where it does not exist yet. */
static enum err read_file(const char *path, struct token_set *out, struct error *err)
{
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = file_read(path, TOKENS_FILE_MAX_BYTES, &bytes, &size, err);

    if (rc == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    if (rc == ERR_OK) {
        rc = token_set_decode(bytes, size, out, err);
        if (rc != ERR_OK) {
            error_wrap(err, "%s", path);
        }
    }
    mem_free(bytes);
    return rc;
}

/* Puts the file in place with the owner and the rights of the one before; a new one is for its owner
 * alone. The service may run as another user, in a group that may read it. */
static enum err write_file(const char *path, const struct text *text, struct error *err)
{
    struct result_batch batch = {0};
    struct stat before;
    mode_t mask = umask(077);
    bool is_there = stat(path, &before) == 0;
    enum err rc = result_stage(&batch, path, text->bytes, text->size, err);

    (void)umask(mask);
    if (rc == ERR_OK && is_there) {
        const char *fresh = batch.files[0].temporary;
        struct stat own;
        bool is_same =
            stat(fresh, &own) == 0 && own.st_uid == before.st_uid && own.st_gid == before.st_gid;
        if ((!is_same && chown(fresh, before.st_uid, before.st_gid) != 0) ||
            chmod(fresh, before.st_mode & 0777) != 0) {
            rc = error_sys(err, errno, "cannot give %s the owner and rights that it has", path);
        }
    }
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    return rc;
}

/* Adds the token to the file, or takes away what is there of the name where it is NULL. */
static enum err change_file(const struct options *options, const struct token *token,
                            struct error *err)
{
    struct token_set set = {0};
    struct text text = {0};
    char path[PATH_BYTES];
    enum err rc = path_below(path, options->root, options->file, err);

    rc = rc != ERR_OK ? rc : read_file(path, &set, err);
    if (rc == ERR_OK) {
        rc = token != NULL ? token_set_add(&set, token, err)
                           : token_set_remove(&set, options->name, err);
        if (rc != ERR_OK) {
            error_wrap(err, "%s", path);
        }
    }
    if (rc == ERR_OK) {
        token_set_encode(&set, &text);
        rc = text.has_failed ? error_set(err, ERR_NOMEM, "no memory to write %s", path)
                             : write_file(path, &text, err);
    }
    text_close(&text);
    token_set_close(&set);
    return rc;
}

/* The token alone on standard output, so that a script can take it from there. */
static enum err print_token(const struct options *options, const char *secret,
                            const struct token *token, struct error *err)
{
    struct text entry = {0};
    struct text out = {0};

    token_encode(token, &entry);
    if (options->is_json) {
        text_printf(&out, "{\"token\": \"%s\", \"entry\": %s}\n", secret,
                    entry.has_failed ? "null" : entry.bytes);
    } else {
        text_printf(&out, "%s\n", secret);
        if (options->file == NULL && !entry.has_failed) {
            (void)fprintf(stderr, "dgld: the entry for tokens_file is %s\n", entry.bytes);
        }
    }
    out.has_failed = out.has_failed || entry.has_failed;
    text_close(&entry);
    return command_print(&out, err);
}

static enum err take_away(const struct options *options, struct error *err)
{
    if (options->name == NULL || options->file == NULL || options->role != NULL) {
        return error_set(err, ERR_USAGE,
                         "--remove goes with --name and --file, and without --role");
    }
    return change_file(options, NULL, err);
}

enum err command_token(const struct options *options, struct error *err)
{
    char secret[TOKEN_BYTES];
    struct token_set check = {0};
    struct token token = {0};
    enum err rc;

    if (options->is_removal) {
        return take_away(options, err);
    }
    rc = read_entry(options, &token, err);
    rc = rc != ERR_OK ? rc : token_draw(secret, token.sha256, err);
    rc = rc != ERR_OK ? rc : token_set_add(&check, &token, err); /* whether the name is one */
    token_set_close(&check);
    if (rc == ERR_OK && options->file != NULL) {
        rc = change_file(options, &token, err);
    }
    return rc != ERR_OK ? rc : print_token(options, secret, &token, err);
}
