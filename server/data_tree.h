/* The data tree: where the files of a search space lie, and what a device's name stands for.
 *
 *   <root>/data/devices/<device>.json            device sheets, for all spaces; what is lacking
 *                                                is read from those that ship (server/shipped.h)
 *   <space dir>/hardware/<device>.txt            the reference's sheets of a space, which win ...
 *   <space dir>/NAS/<device>.txt                 ... and those of its search targets
 *   <space dir>/NAS/{net,acc}.txt                what a search looks at, and its accuracy
 *   <space dir>/latency/<device>.txt             measured latencies, row for row with net.txt
 *   <root>/data/<space>/measurements/<device>.csv  measured latencies of any architectures ...
 *   <space dir>/measurements/<device>.csv          ... and those that came with --data_path
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

/* Where a device's file may be. Of hardware, the first that has a file of it wins, in this order; of
 * measurements likewise. */
enum data_place {
    DATA_HARDWARE,
    DATA_NAS,
    DATA_SHEETS,         /* for all spaces; this path and the next need no space */
    DATA_SHEETS_SHIPPED, /* only read; the same as the one before where nothing is shipped */
    DATA_MEASUREMENTS,
    DATA_MEASUREMENTS_GIVEN, /* the same as the one before where there is no --data_path */
    DATA_LATENCY,
    DATA_N_PLACES
};

/* Writes the place's directory into `out` (PATH_BYTES). `space` may be NULL for sheets. */
enum err data_place_dir(const struct data_tree *tree, const struct space *space, enum data_place at,
                        char *out, struct error *err);

/* Writes the path that the device's file has, or would have, into `out` (PATH_BYTES). `name` is
 * valid, and taken as it is spelled. `space` may be NULL for sheets. */
enum err data_place_path(const struct data_tree *tree, const struct space *space,
                         enum data_place at, const char *name, char *out, struct error *err);

/* Adds the names of all devices that have a file in the place, in no order. A missing directory has
 * none. */
enum err data_list_place(const struct data_tree *tree, const struct space *space,
                         enum data_place at, struct names *names, struct error *err);

/* Reads the hardware file or sheet at `path`, which is of that place. `name` is left as it is. */
enum err data_read_sheet(enum data_place at, const char *path, struct device_sheet *sheet,
                         struct error *err);

/* Makes the paths in a message relative to the root, the data path or the shipped files: clients are told of files,
 * not of where the service keeps them. */
void data_localize(const struct data_tree *tree, struct error *err);

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

/* The same, with the path of the file that told it in `path` (PATH_BYTES). */
enum err data_find_device_file(const struct data_tree *tree, const struct space *space,
                               const char *name, struct device_sheet *out, char *path,
                               struct error *err);

/* Looks for the CSV of what was measured of a device, whose name may differ likewise; its path goes
 * into `path` (PATH_BYTES), and its name as it stands there into `spelled` (may be NULL). ERR_NOT_FOUND where there is none; ERR_INVALID where the name could mean
 * several. */
enum err data_find_measurements(const struct data_tree *tree, const struct space *space,
                                const char *name, char *path, char spelled[DEVICE_NAME_BYTES],
                                struct error *err);

/* Whether a device of which no sheet was found is known by measurements: ERR_OK. ERR_NOT_FOUND leaves
 * `err` with what it says of the sheet; other errors as above. */
enum err data_is_measured(const struct data_tree *tree, const struct space *space, const char *name,
                          char spelled[DEVICE_NAME_BYTES], struct error *err);

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

/* Architectures with their accuracy in percent: what a search looks at. Ended by
 * accuracy_table_close(). */
struct accuracy_table {
    struct dataset architectures; /* owned */
    double *accuracy;             /* (n_rows), owned; of equal architectures equal: their mean */
};

/* Reads architectures and their accuracies, row for row. ERR_NOT_FOUND where a file is missing. */
enum err data_read_accuracy(const struct space *space, const char *net_path,
                            const char *accuracy_path, struct accuracy_table *out,
                            struct error *err);

/* Reads NAS/net.txt and NAS/acc.txt. Where there are none, the message tells how to get the data. */
enum err data_load_accuracy(const struct data_tree *tree, const struct space *space,
                            struct accuracy_table *out, struct error *err);

/* Accepts a zeroed struct. */
void accuracy_table_close(struct accuracy_table *table);

#endif
