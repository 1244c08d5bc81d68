#include "server/security.h"

#include <string.h>
#include <time.h>

#include "server/log.h"
#include "server/tls.h"

enum { EXPIRY_WARNING_DAYS = 14, DAY_S = 86400 };

static void warn_of_readers(const char *path)
{
    if (path_is_open_to_all(path)) {
        log_write(LOG_WARNING,
                  "%s can be read by every user of this machine; chmod o-r keeps them out", path);
    }
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static enum err load_tokens(struct security *security, struct error *err)
{
    size_t n = 0;
    enum err rc = auth_load(&security->auth, security->tokens_path, &n, err);

    if (rc != ERR_OK) {
        return rc;
    }
    warn_of_readers(security->tokens_path);
    log_write(n > 0 ? LOG_INFO : LOG_WARNING, "%zu tokens from %s%s", n, security->tokens_path,
              n > 0 ? "" : ": nobody can call; dgld token makes one");
    return ERR_OK;
}

/* ---- certificate ----------------------------------------------------------------------------- */

static void log_certificate(const char *path, const struct tls_info *info)
{
    time_t now = time(NULL);
    struct tm utc;
    char day[32] = "";

    if (gmtime_r(&info->valid_until, &utc) != NULL) {
        (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    if (info->valid_until < now) {
        log_write(LOG_WARNING, "the certificate in %s has expired: it was valid until %s", path,
                  day);
    } else if (info->valid_from > now) {
        log_write(LOG_WARNING, "the certificate in %s is not valid yet", path);
    } else {
        bool is_near = info->valid_until - now < (time_t)EXPIRY_WARNING_DAYS * DAY_S;
        log_write(is_near ? LOG_WARNING : LOG_INFO, "the certificate in %s is valid until %s", path,
                  day);
    }
}

static enum err load_certificate(struct security *security, struct error *err)
{
    struct tls_info info;
    enum err rc = tls_load(security->certificate_path, security->key_path, &info, err);

    if (rc != ERR_OK) {
        return rc;
    }
    warn_of_readers(security->key_path);
    log_certificate(security->certificate_path, &info);
    atomic_store(&security->certificate_until_s, (int64_t)info.valid_until);
    return ERR_OK;
}

/* ---- start, reload, stop --------------------------------------------------------------------- */

static void warn_of_settings(const struct security *security, const char *exposed)
{
    if (exposed != NULL && security->auth.is_on && !security->has_tls) {
        log_write(LOG_WARNING,
                  "tokens travel unencrypted: set tls_certificate_file and tls_key_file, or let a "
                  "proxy on this machine do TLS");
    }
    if (exposed != NULL && !security->auth.is_on) {
        log_write(LOG_WARNING,
                  "anyone who reaches %s may change what is served: there is no "
                  "tokens_file",
                  exposed);
    }
    if (security->cors.is_any && !security->auth.is_on) {
        log_write(LOG_WARNING, "cors_origins is * and there is no tokens_file: any page that a "
                               "user of this network opens may call");
    }
}

/* `name` of the settings as a path; "" stays "". */
static enum err make_path(char *out, const char *root, const char *name, struct error *err)
{
    out[0] = '\0';
    return name[0] != '\0' ? path_below(out, root, name, err) : ERR_OK;
}

enum err security_init(struct security *security, const struct config *config, const char *root,
                       const char *exposed, struct error *err)
{
    enum err rc;

    memset(security, 0, sizeof *security);
    rc = make_path(security->tokens_path, root, config->tokens_file, err);
    rc = rc != ERR_OK
             ? rc
             : make_path(security->certificate_path, root, config->tls_certificate_file, err);
    rc = rc != ERR_OK ? rc : make_path(security->key_path, root, config->tls_key_file, err);
    rc = rc != ERR_OK ? rc : cors_parse(config->cors_origins, &security->cors, err);
    rc = rc != ERR_OK ? rc : auth_init(&security->auth, err);
    if (rc != ERR_OK) {
        return rc;
    }
    security->has_tls = security->certificate_path[0] != '\0';
    rc = rate_limit_create(&security->rates, err);
    if (rc == ERR_OK && security->tokens_path[0] != '\0') {
        rc = load_tokens(security, err);
    }
    if (rc == ERR_OK && security->has_tls) {
        rc = load_certificate(security, err);
    }
    if (rc != ERR_OK) {
        security_close(security);
        return rc;
    }
    warn_of_settings(security, exposed);
    return ERR_OK;
}

void security_reload(struct security *security)
{
    struct error err = {0};

    if (security->auth.is_on && load_tokens(security, &err) != ERR_OK) {
        log_write(LOG_ERROR, "the tokens stay as they were: %s", err.text);
    }
    if (security->has_tls && load_certificate(security, &err) != ERR_OK) {
        log_write(LOG_ERROR, "the certificate stays as it was: %s", err.text);
    }
}

void security_close(struct security *security)
{
    if (security->rates == NULL) { /* never initialised */
        return;
    }
    rate_limit_destroy(security->rates);
    auth_close(&security->auth);
    tls_close();
    memset(security, 0, sizeof *security);
}
