#include "server/job_kinds.h"
enum err job_test_check(const struct data_tree *t, const struct job_order *o, struct field_errors *e, struct error *err){(void)t;(void)o;(void)e;(void)err;return ERR_OK;}
enum err job_nas_check(const struct data_tree *t, const struct job_order *o, struct field_errors *e, struct error *err){(void)t;(void)o;(void)e;(void)err;return ERR_OK;}
enum err job_test_run(const struct job_env *e, const struct job_order *o, struct text *r, struct error *err){(void)e;(void)o;(void)err;text_puts(r,"{}");return ERR_OK;}
enum err job_nas_run(const struct job_env *e, const struct job_order *o, struct text *r, struct error *err){(void)e;(void)o;(void)err;text_puts(r,"{}");return ERR_OK;}
