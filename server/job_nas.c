#include "server/job_kinds.h"
enum err job_nas_check(const struct data_tree *tree, const struct job_order *order,
                        struct field_errors *errors, struct error *err){(void)tree;(void)order;(void)errors;return error_set(err,ERR_INVALID,"x");}
enum err job_nas_run(const struct job_env *env, const struct job_order *order, struct text *result,
                      struct error *err){(void)env;(void)order;(void)result;return error_set(err,ERR_INVALID,"x");}
