#include "server/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/clock.h"

#define REDRAW_S 0.1

void progress_start(struct progress *progress)
{
    memset(progress, 0, sizeof *progress);
    progress->is_terminal = isatty(STDERR_FILENO) == 1;
}

void progress_draw(struct progress *progress, double share, const char *text)
{
    enum { WIDTH = 30 };
    char bar[WIDTH + 1];
    size_t filled = share > 0.0 ? (size_t)(share < 1.0 ? share * WIDTH : WIDTH) : 0;

    if (!progress->is_terminal) {
        return;
    }
    memset(bar, '.', WIDTH);
    memset(bar, '#', filled);
    bar[WIDTH] = '\0';
    (void)fprintf(stderr, "\r[%s] %s\033[K", bar, text);
    (void)fflush(stderr);
    progress->is_shown = true;
}

static void draw_epoch(struct progress *progress, const struct fit_progress *now,
                       double seconds_left)
{
    char text[128];

    (void)snprintf(text, sizeof text, "epoch %zu of %zu, loss %.5g, %.0f s left", now->epoch,
                   now->n_epochs, now->loss, seconds_left);
    progress_draw(progress, (double)now->epoch / (double)now->n_epochs, text);
}

void progress_show(struct progress *progress, const struct fit_progress *now)
{
    int tenths = (int)(10 * now->epoch / now->n_epochs);
    double clock_s;

    if (progress->started_s == 0.0) {
        progress->started_s = monotonic_seconds();
        progress->first_epoch = now->epoch;
        progress->shown_tenths = (int)(10 * (now->epoch - 1) / now->n_epochs);
    }
    if (progress->is_terminal) {
        double left;
        if (now->epoch % 64 != 0 && now->epoch != now->n_epochs) {
            return; /* asking the clock costs something too */
        }
        clock_s = monotonic_seconds();
        if (clock_s - progress->shown_s < REDRAW_S && now->epoch != now->n_epochs) {
            return;
        }
        left = (clock_s - progress->started_s) * (double)(now->n_epochs - now->epoch) /
               (double)(now->epoch - progress->first_epoch + 1);
        progress->shown_s = clock_s;
        draw_epoch(progress, now, left);
    } else if (tenths > progress->shown_tenths) {
        progress->shown_tenths = tenths;
        (void)fprintf(stderr, "epoch %zu of %zu, loss %.5g\n", now->epoch, now->n_epochs,
                      now->loss);
    }
}

void progress_end(struct progress *progress)
{
    if (progress->is_shown) {
        (void)fputc('\n', stderr);
        progress->is_shown = false;
    }
}
