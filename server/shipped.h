/* The files that ship with the program, where it is installed: device sheets and predictors in a
 * place that is only read, laid out as a root is.
 *
 *   <prefix>/bin/dgld                                    the program
 *   <prefix>/share/dgld/data/devices/<device>.json       sheets
 *   <prefix>/share/dgld/result/<space>/<model>.safetensors  predictors
 *
 * A root falls back to them file by file: what it has wins, what it lacks is read from there. So an
 * empty root predicts at once, a newer program brings newer predictors, and what somebody activated,
 * trained or put stays as it is: all writing goes to the root.
 *
 * Set once, before the first thread; from then on any thread may ask. */
#ifndef DGLD_SERVER_SHIPPED_H
#define DGLD_SERVER_SHIPPED_H

#include <stdbool.h>

#include "core/error.h"
#include "server/path.h"

/* Takes `directory`, or where that is NULL share/dgld beside the directory of the running program,
 * if there is one. ERR_NOT_FOUND where the named one is no directory. */
enum err shipped_init(const char *directory, struct error *err);

/* Absolute; "" where nothing is shipped: a program that runs where it was built. */
const char *shipped_directory(void);

/* Whether the path is that of a shipped file. */
bool shipped_holds(const char *path);

/* The file `name`, relative to a root, into `out` (PATH_BYTES): the root's own where that is there,
 * else the shipped one where that is, else the path that the root's would have. */
enum err shipped_resolve(const char *root, const char *name, char *out, struct error *err);

#endif
