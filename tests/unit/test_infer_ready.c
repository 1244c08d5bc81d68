/* server/handle_infer.c: whether a model is ready, though its space goes while that is looked up. */
#include <pthread.h>
#include <time.h>

#include "core/mem.h"
#include "core/space_declared.h"
#include "proto/msg_space_declaration.h"
#include "server/app.h"
#include "server/infer_handlers.h"
#include "server/respond.h"
#include "tests/support/check.h"

static struct app app; /* of which the handler needs the models alone */

static void *ask(void *context)
{
    const struct request request = {
        .method = "GET",
        .path = "/v2/models/passing/ready",
        .params = {"passing"},
    };

    infer_get_model_ready(&app, &request, context);
    return NULL;
}

/* A lookup that has found the space waits for the registry then. */
static void hold_registry(bool is_held)
{
    for (size_t i = 0; i < REGISTRY_N_PARTS; i++) {
        pthread_mutex_t *lock = &app.models.parts[i].lock;
        assert_int_equal(is_held ? pthread_mutex_lock(lock) : pthread_mutex_unlock(lock), 0);
    }
}

static void a_space_that_goes_while_it_is_looked_up_is_told_of_as_it_was(void **state)
{
    static const char json[] = "{\"genes\": [{\"name\": \"gene\", \"values\": [1, 2]}]}";
    const struct timespec moment = {.tv_nsec = 200000000};
    struct space_declaration *declaration;
    struct field_errors errors = {0};
    struct reply reply = {0};
    struct error err = {0};
    const struct space *space;
    pthread_t thread;

    (void)state;
    assert_ok(model_registry_init(&app.models, &err), &err);
    assert_ok(
        msg_space_declaration_decode(json, strlen(json), "passing", &declaration, &errors, &err),
        &err);
    assert_ok(space_declare(declaration, &space, &err), &err);
    hold_registry(true);
    assert_int_equal(pthread_create(&thread, NULL, ask, &reply), 0);
    (void)nanosleep(&moment, NULL);
    space_withdraw(space);
    hold_registry(false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (reply.status != 404) { /* else it was asked too late to find the space */
        assert_int_equal(reply.status, 400);
        assert_string_equal(reply.body, "{\"name\":\"passing\",\"ready\":false}\n");
    }
    reply_close(&reply);
    mem_free(declaration);
    model_registry_close(&app.models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_space_that_goes_while_it_is_looked_up_is_told_of_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
