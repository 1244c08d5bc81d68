#include "core/interval.h"

#include <math.h>

/* The quantile function of Student's t with 4 degrees of freedom is elementary (Shaw, J. Comp.
 * Finance 9, 2006). */
double interval_quantile(double level)
{
    double alpha = fmax(1.0 - level * level, 1e-15); /* 4 p (1 - p) with p = (1 + level) / 2 */
    double root = sqrt(alpha);
    double q = cos(acos(root) / 3.0) / root;

    return sqrt(2.0 * fmax(q - 1.0, 0.0)); /* 2 sqrt(q - 1) scales, of which sqrt(2) are one sd */
}

double interval_spread(const struct space *space, double a, double sd)
{
    const double device = space->device_spread;

    return hypot(sd / a, device > 0.0 ? device : INTERVAL_DEVICE_SPREAD);
}

void interval_bounds(const double *latency_ms, const double *spread, size_t n, double level,
                     double *low_ms, double *high_ms)
{
    const double q = interval_quantile(level);

    for (size_t i = 0; i < n; i++) {
        double median = latency_ms[i];
        double factor = exp(q * spread[i]);
        low_ms[i] = median / factor;
        high_ms[i] = median * factor;
    }
}
