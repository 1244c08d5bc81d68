/* Progress of a long fit on standard error: a bar where that is a terminal, a line every tenth
 * where it is not. Belongs to one thread. */
#ifndef DGLD_SERVER_PROGRESS_H
#define DGLD_SERVER_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/predictor.h"

struct progress {
    bool is_terminal, is_shown;
    size_t first_epoch; /* of this run, for the estimate of the time left */
    double started_s, shown_s;
    int shown_tenths;
};

void progress_start(struct progress *progress);
/* For stages with epochs. */
void progress_show(struct progress *progress, const struct fit_progress *now);
/* Draws the bar with `text` behind it, where standard error is a terminal; `share` is 0 to 1. What is
 * left of a longer text is wiped. */
void progress_draw(struct progress *progress, double share, const char *text);
/* Leaves the cursor on a fresh line. */
void progress_end(struct progress *progress);

#endif
