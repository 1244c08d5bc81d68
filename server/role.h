/* What a route demands of its caller, and what a token allows. Thread-safe. */
#ifndef DGLD_SERVER_ROLE_H
#define DGLD_SERVER_ROLE_H

/* An operator may do what predict may. */
enum role { ROLE_NONE, ROLE_PREDICT, ROLE_OPERATOR };

/* "predict" and "operator"; anything else is ROLE_NONE, and ROLE_NONE is "none". */
enum role role_find(const char *name);
const char *role_name(enum role role);

#endif
