/* All devices that the data tree knows, by the files that each has.
 *
 * A device's files may spell its name differently (core/device.h, device_name_fold()): the
 * reference's own data have "Asus R0G Ph0ne 3" for a phone whose sheet says "Asus ROG Phone 3". All
 * spellings are one device; the one of its sheet is its name, else that of the file that is found
 * first. Only where one place holds two spellings is each a device of its own, which has to be
 * spelled exactly.
 *
 * An index is what the tree was when it was loaded. It belongs to its creator. */
#ifndef DGLD_SERVER_DEVICE_INDEX_H
#define DGLD_SERVER_DEVICE_INDEX_H

#include "core/error.h"
#include "proto/msg_device.h"
#include "server/data_tree.h"

/* A file: the place and space it is of, and the device's name as it is spelled there. */
struct device_file {
    char folded[DEVICE_NAME_BYTES];
    char name[DEVICE_NAME_BYTES];
    enum data_place at;
    size_t space; /* position in the index's spaces; 0 for sheets */
};

struct device_index {
    struct space_list spaces;  /* that there were when it was loaded */
    struct device_file *files; /* (n_files), owned; by folded name, then place */
    size_t n_files;
    size_t capacity;
};

/* The files of one device; each points into the index, or is NULL where there is none. Zeroes stand
 * for a device that has none at all. */
struct device_files {
    const struct space_list *spaces; /* the index's */
    const char *name;
    const struct device_file *sheet;
    const struct device_file *of_space[SPACES_MAX][DATA_N_PLACES]; /* in their order */
};

/* Lists the directories. The caller ends `out` with device_index_close(). */
enum err device_index_load(const struct data_tree *tree, struct device_index *out,
                           struct error *err);

/* Finds a device by any spelling. ERR_NOT_FOUND; ERR_INVALID where the name could mean several. A name
 * that is spelled exactly has no file of a place that holds several, none of them spelled so. */
enum err device_index_find(const struct device_index *index, const char *name,
                           struct device_files *out, struct error *err);

/* Names of all devices, sorted; to be ended with names_close(). */
enum err device_index_names(const struct device_index *index, struct names *out, struct error *err);

/* Accepts a zeroed struct. */
void device_index_close(struct device_index *index);

/* Reads a device's files. What is wrong with a file is written into the view, with the file's path
 * below the root; only lack of memory fails. */
enum err device_view_load(const struct data_tree *tree, const struct device_files *files,
                          struct device_view *out, struct error *err);

/* The device's file in a place of a space, or NULL. */
const struct device_file *device_file_at(const struct device_files *files,
                                         const struct space *space, enum data_place at);

/* Where the device's measurements of a space are: the place, and the path in `path` (PATH_BYTES).
 * ERR_NOT_FOUND where there are none. */
enum err device_measurements_path(const struct data_tree *tree, const struct device_files *files,
                                  const struct space *space, enum data_place *at, char *path,
                                  struct error *err);

#endif
