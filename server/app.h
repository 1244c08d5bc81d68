/* The service's long-lived objects. Filled before the server starts, and constant from then on but
 * for what is atomic or has a lock of its own. */
#ifndef DGLD_SERVER_APP_H
#define DGLD_SERVER_APP_H

#include <stdatomic.h>

#include "server/config.h"
#include "server/data_tree.h"
#include "server/model_registry.h"
#include "server/security.h"
#include "server/serving.h"

struct app {
    struct config config;
    struct data_tree tree;
    struct model_registry models;
    struct serving serving;
    struct security security;
    atomic_bool is_ready;    /* predictors are loaded */
    atomic_bool is_draining; /* a stop was asked for */
};

#endif
