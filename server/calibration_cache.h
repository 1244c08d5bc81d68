/* Calibrations by stored measurements, for predictions, which ask with every request: what was fitted
 * is remembered for as long as the files, the model and the data sheet say the same.
 *
 * An answer, none included, holds while the directories of measurements and the device's file look as
 * they did: a file that is put, dropped in, edited or removed is seen by the next call. What is too
 * fresh for its times to tell (server/file_look.h) is read anew, and fitted anew only where its
 * content differs. All functions but init and close may be called from any thread. */
#ifndef DGLD_SERVER_CALIBRATION_CACHE_H
#define DGLD_SERVER_CALIBRATION_CACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/digest.h"
#include "server/calibrator.h"
#include "server/data_tree.h"
#include "server/file_look.h"

enum { CALIBRATION_CACHE_SLOTS = 256, CALIBRATION_CACHE_DIRECTORIES = 2 };

/* Who is asked about. Borrows. */
struct calibration_key {
    const struct model *model;
    const char *device;
    const struct hardware *hardware; /* NULL where the device has no data sheet */
};

struct calibration_cache_entry {
    const struct space *space; /* NULL: the slot is free */
    char device[DEVICE_NAME_BYTES];
    char version[MODEL_VERSION_BYTES];
    double vector[HARDWARE_N_FIELDS]; /* zeroes without a data sheet */
    bool is_settled;                  /* the looks may be trusted */
    struct file_look directories[CALIBRATION_CACHE_DIRECTORIES];
    struct file_look file;
    char *path;                    /* of the file; owned, NULL where there is none */
    char digest[DIGEST_HEX_BYTES]; /* of its content */
    struct fitted *fitted;         /* a use of it; NULL where there is no file */
};

struct calibration_cache {
    pthread_mutex_t lock; /* guards the rest; held for a few copies */
    struct calibration_cache_entry slots[CALIBRATION_CACHE_SLOTS];
    uint64_t n_hits; /* answers that were remembered */
    uint64_t n_fits;
};

enum err calibration_cache_init(struct calibration_cache *cache, struct error *err);

/* Whether the answer is remembered, for who must not wait for a fit: then `out` receives a use, to be
 * given back with fitted_unref(), or NULL where the device has no measurements. */
bool calibration_cache_recall(struct calibration_cache *cache, const struct data_tree *tree,
                              const struct calibration_key *key, struct fitted **out);

/* The answer, fitted where it is not remembered. Errors of reading the file and of
 * calibration_fit(). */
enum err calibration_cache_find(struct calibration_cache *cache, const struct data_tree *tree,
                                const struct calibration_key *key, struct fitted **out,
                                struct error *err);

void calibration_cache_close(struct calibration_cache *cache);

#endif
