#include "core/search_pareto.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"

struct point {
    double latency_ms, accuracy;
    size_t row;
};

/* By latency; of equally fast ones the most accurate first, then the first row. */
static int compare_points(const void *x, const void *y)
{
    const struct point *p = x;
    const struct point *q = y;

    if (p->latency_ms != q->latency_ms) {
        return p->latency_ms < q->latency_ms ? -1 : 1;
    }
    if (p->accuracy != q->accuracy) {
        return p->accuracy > q->accuracy ? -1 : 1;
    }
    return (p->row > q->row) - (p->row < q->row);
}

enum err search_pareto(const double *accuracy, const double *latency_ms, size_t n, size_t *front,
                       size_t *n_front, struct error *err)
{
    struct point *points = mem_calloc(n, sizeof *points);
    double highest = -INFINITY; /* accuracy of what is as fast or faster */
    size_t count = 0;

    if (points == NULL) {
        return error_set(err, ERR_NOMEM, "memory is out for the front of %zu architectures", n);
    }
    for (size_t i = 0; i < n; i++) {
        points[i] = (struct point){latency_ms[i], accuracy[i], i};
    }
    qsort(points, n, sizeof *points, compare_points);
    for (size_t i = 0; i < n; i++) {
        if (points[i].accuracy > highest) {
            highest = points[i].accuracy;
            front[count++] = points[i].row;
        }
    }
    mem_free(points);
    *n_front = count;
    return ERR_OK;
}

double search_hypervolume(const double *accuracy, const double *latency_ms, const size_t *front,
                          size_t n_front, double reference_accuracy, double reference_latency_ms)
{
    double area = 0;

    for (size_t i = 0; i < n_front; i++) {
        const double from = latency_ms[front[i]];
        const double to = i + 1 < n_front ? latency_ms[front[i + 1]] : reference_latency_ms;
        const double width = fmin(to, reference_latency_ms) - from;
        const double height = accuracy[front[i]] - reference_accuracy;
        if (width > 0 && height > 0) {
            area += width * height;
        }
    }
    return area;
}
