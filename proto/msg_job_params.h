/* What the readers of jobs' params share: proto/msg_job.c reads those of trainings and tests,
 * proto/msg_job_nas.c those of searches. Not for others. */
#ifndef DGLD_PROTO_MSG_JOB_PARAMS_H
#define DGLD_PROTO_MSG_JOB_PARAMS_H

#include "proto/job.h"
#include "proto/json_spec.h"

enum { JOB_WORD_BYTES = 128 }; /* of a name among several */

/* An order that is being read, and which of its params were given. */
struct job_draft_params {
    struct job_order *order;
    bool has_device, has_hardware, has_limit, has_targets, has_export; /* of a search */
    const char *genetic; /* a param of the genetic method */
};

/* How the params of a kind are read and written. */
struct job_params_kind {
    const struct json_field *fields;
    size_t n_fields;
    bool is_required;                        /* there is a param that has to be given */
    void (*preset)(struct job_order *order); /* this and the others may be NULL */
    void (*finish)(struct job_draft_params *draft, const char *pointer,
                   struct field_errors *errors);
    void (*put)(const struct job_order *order, struct text *out);
    void (*close)(struct job_order *order);
};

extern const struct job_params_kind job_params_nas;

/* Each reads a value; what is wrong with it is added to the reader's errors, and then false is
 * returned and `out` left as it was. */
bool job_read_boolean(const struct json_reader *reader, struct json_view value, bool *out);
bool job_read_positive(const struct json_reader *reader, struct json_view value, double *out);
/* The name or version of a model, by the param of that name. A second one is an error. */
void job_read_model(const struct json_reader *reader, struct json_view value, const char *param,
                    struct job_model *out);
/* Appends the param, between `before` and `after`, where a model is named. */
void job_put_model(const struct job_model *model, const char *before, const char *after,
                   struct text *out);
/* A text of those (`what`, for messages) that the caller compares with: "" where it cannot be one of
 * them. */
bool job_read_word(const struct json_reader *reader, struct json_view value, const char *what,
                   char out[JOB_WORD_BYTES]);

#endif
