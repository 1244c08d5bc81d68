#include "proto/msg_problem.h"

static const struct {
    int status;
    const char *name, *title;
} kinds[] = {
#define PROBLEM_ROW(status, name, title) {status, name, title},
    PROBLEM_LIST(PROBLEM_ROW)
#undef PROBLEM_ROW
};

static size_t find_kind(int status)
{
    size_t internal = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].status == status) {
            return i;
        }
        internal = kinds[i].status == 500 ? i : internal;
    }
    return internal;
}

static void put_member(struct text *out, const char *name, const char *value)
{
    text_printf(out, ",\"%s\":", name);
    text_put_json_string(out, value);
}

void msg_problem_encode(const struct problem *problem, struct text *out)
{
    size_t kind = find_kind(problem->status);

    text_printf(out, "{\"type\":\"urn:dgld:problem:%s\",\"title\":\"%s\",\"status\":%d",
                kinds[kind].name, kinds[kind].title, kinds[kind].status);
    if (problem->detail != NULL) {
        put_member(out, "detail", problem->detail);
    }
    if (problem->instance != NULL) {
        put_member(out, "instance", problem->instance);
    }
    if (problem->errors != NULL && problem->errors->n > 0) {
        text_puts(out, ",\"errors\":[");
        for (size_t i = 0; i < problem->errors->n; i++) {
            text_puts(out, i > 0 ? ",{\"pointer\":" : "{\"pointer\":");
            text_put_json_string(out, problem->errors->items[i].pointer);
            put_member(out, "detail", problem->errors->items[i].detail);
            text_puts(out, "}");
        }
        text_puts(out, "]");
    }
    text_puts(out, "}\n");
}

const char msg_problem_no_memory[] =
    "{\"type\":\"urn:dgld:problem:unavailable\",\"title\":\"The service cannot answer this now\","
    "\"status\":503,\"detail\":\"no memory for the reply\"}\n";
