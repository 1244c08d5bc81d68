/* What a training learns from: architectures and their network parameter A.
 *
 * Where latency files exist for all the training devices, A is fitted from them through the device
 * formula; where one is missing, a.txt is used for all. In a declared space the training devices are,
 * unless named, all that have a latency file and a data sheet, and a device without a sheet may be
 * named besides: how fast it is on the whole is then taken from its latencies. Where there is none of
 * this, a library of devices tells A by itself.
 * A struct belongs to its creator. */
#ifndef DGLD_SERVER_TRAINING_SET_H
#define DGLD_SERVER_TRAINING_SET_H

#include "core/dataset.h"
#include "core/error.h"
#include "proto/digest.h"
#include "server/data_tree.h"
#include "server/device_library.h"
#include "server/names.h"

struct training_set {
    struct dataset architectures;  /* owned */
    double *a;                     /* (n_rows), owned */
    struct names devices;          /* owned: the training devices, as their files spell them */
    const char *source;            /* "latency", "a.txt" or TRAINING_OF_LIBRARY; static */
    char reason[256];              /* why, in a sentence; a device's name may be in it */
    char sha256[DIGEST_HEX_BYTES]; /* of genes and A */
};

/* The devices that are meant where none are named: the twelve phones of the paper, or of a declared
 * space those that have both a latency file and a data sheet. ERR_NOT_FOUND where there is none. */
enum err training_default_devices(const struct data_tree *tree, const struct space *space,
                                  struct names *out, struct error *err);

/* Looks a training device up. A device of a declared space that has latencies and no sheet has the
 * `name` that was asked for, and `has_sheet` is false. Errors of data_find_device() else. */
enum err training_find_device(const struct data_tree *tree, const struct space *space,
                              const char *name, struct device_sheet *out, bool *has_sheet,
                              struct error *err);

/* `devices` (names; its items are looked up by training_find_device()) are to be trained on.
 * ERR_NOT_FOUND for an unknown device; ERR_INVALID where none of them has a sheet. */
enum err training_set_load(const struct data_tree *tree, const struct space *space,
                           const struct names *devices, struct training_set *out,
                           struct error *err);

#define TRAINING_OF_LIBRARY "library"

/* Makes a set of all that is measured in a library, of at most `rows_max` rows, evenly chosen of each
 * device: A is what was measured less what its device is slower than others by. It is in terms of k
 * where a device of the library has a data sheet, else in those of the middle device. Errors of
 * calibration_prior_fit(). */
enum err training_set_of_library(const struct device_library *library, const struct space *space,
                                 size_t rows_max, struct training_set *out, struct error *err);

/* ERR_INVALID where a device stands in both lists (names compared folded): what is trained on
 * cannot be a test of unseen devices. */
enum err training_check_unseen(const struct names *train_devices, const struct names *test_devices,
                               struct error *err);

/* Accepts a zeroed struct. */
void training_set_close(struct training_set *set);

#endif
