/* The data tree: where the files of a search space lie, and what a device's name stands for.
 *
 *   <root>/data/devices/<device>.json            device sheets, for all spaces
 *   <space dir>/hardware/<device>.txt            the reference's sheets of a space, which win ...
 *   <space dir>/NAS/<device>.txt                 ... and those of its search targets
 *   <space dir>/latency/<device>.txt             measured latencies, row for row with net.txt
 *
 * The space's directory is <root>/data/<space>, or what --data_path names: itself, or its folder of
 * that space. Nothing is cached: a file that is dropped in is seen by the next call. Immutable
 * after data_tree_init(), so any thread may use it. */
#ifndef DGLD_SERVER_DATA_TREE_H
#define DGLD_SERVER_DATA_TREE_H

#include "core/dataset.h"
#include "core/error.h"
#include "core/space.h"
#include "proto/msg_device.h"
#include "server/names.h"
#include "server/path.h"

struct data_tree {
    char root[PATH_BYTES];
    char data_path[PATH_BYTES]; /* empty where the root's own data are meant */
};

/* `data_path` may be NULL. ERR_LIMIT where a path is too long. */
enum err data_tree_init(struct data_tree *tree, const char *root, const char *data_path,
                        struct error *err);

/* Writes the space's directory into `out` (PATH_BYTES). */
enum err data_space_dir(const struct data_tree *tree, const struct space *space, char *out,
                        struct error *err);

/* Reads the space's net.txt. Where there is none, the message tells how to get the data. */
enum err data_load_architectures(const struct data_tree *tree, const struct space *space,
                                 struct dataset *out, struct error *err);

/* Looks a device up; its name may differ in case, and in the digits 0 and 1 for the letters o and
 * l. ERR_NOT_FOUND where nobody knows it; ERR_INVALID where its name or its file is malformed. */
enum err data_find_device(const struct data_tree *tree, const struct space *space, const char *name,
                          struct device_sheet *out, struct error *err);

/* Names of the devices that have a latency file for the space, sorted. None is no error. */
enum err data_list_measured(const struct data_tree *tree, const struct space *space,
                            struct names *out, struct error *err);

/* Reads the latencies of a device, row for row with net.txt: (n_rows), to be mem_free()d.
 * ERR_NOT_FOUND where there is no such file. */
enum err data_load_latency(const struct data_tree *tree, const struct space *space,
                           const char *device, size_t n_rows, double **latency_ms,
                           struct error *err);

/* Reads a.txt likewise. */
enum err data_load_parameter(const struct data_tree *tree, const struct space *space, size_t n_rows,
                             double **a, struct error *err);

#endif
