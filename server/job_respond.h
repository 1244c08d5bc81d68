/* Replies that the addresses of jobs share. */
#ifndef DGLD_SERVER_JOB_RESPOND_H
#define DGLD_SERVER_JOB_RESPOND_H

#include <stdbool.h>

#include "core/error.h"
#include "proto/job.h"
#include "server/app.h"
#include "server/conditional.h"
#include "server/respond.h"

/* Whether jobs are kept here; else the reply is made, which says why not. */
bool job_check_kept(const struct app *app, const struct request *request, struct reply *reply);

/* Whether the path's {id} may be one of a job; else the reply is made. */
bool job_check_id(const struct request *request, struct reply *reply);

/* 404 for ERR_NOT_FOUND, else 503: jobs cannot be read or written just now. */
void job_respond_error(const struct app *app, const struct request *request, struct reply *reply,
                       const struct error *err);

/* The job, with Retry-After where it has not ended. */
void job_respond(struct reply *reply, unsigned status, const struct job *job);

/* The same for a request that reads it, with its ETag. Conditions of the request are
 * looked at first: 304 or 412 where they do not hold. */
void job_respond_tagged(const struct request *request, struct reply *reply, const struct job *job);

/* The ETag of the job as it would be told. False for want of memory. */
bool job_etag(const struct job *job, char out[ETAG_BYTES]);

#endif
