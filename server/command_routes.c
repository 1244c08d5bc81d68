#include <stdio.h>

#include "server/command.h"
#include "server/routes.h"

/* Tabs part the columns, so that programs read them as easily as people. */
enum err command_routes(const struct options *options, struct error *err)
{
    static const char *const roles[] = {
        [ROLE_NONE] = "none",
        [ROLE_PREDICT] = "predict",
        [ROLE_OPERATOR] = "operator",
    };

    (void)options;
    (void)err;
    for (size_t i = 0; i < n_routes; i++) {
        (void)printf("%s\t%s\t%s\n", routes[i].method, routes[i].path, roles[routes[i].role]);
    }
    return ERR_OK;
}
