// How well predictions agree with measurements.

/** Pearson's correlation; null where there are fewer than two values, or where one of both does not vary. */
export function correlation(a, b) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [aa, bb, ab] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    aa += (a[i] - meanA) ** 2;
    bb += (b[i] - meanB) ** 2;
    ab += (a[i] - meanA) * (b[i] - meanB);
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : null;
}

/** `points` are {measured, predicted, low, high} in milliseconds, at least one; shares are of 1. */
export function agreement(points) {
  const mean = (of) => points.reduce((sum, point) => sum + of(point), 0) / points.length;
  return {
    n: points.length,
    r: correlation(points.map((p) => p.measured), points.map((p) => p.predicted)),
    rmseMs: Math.sqrt(mean((p) => (p.predicted - p.measured) ** 2)),
    maeMs: mean((p) => Math.abs(p.predicted - p.measured)),
    mape: mean((p) => Math.abs(p.predicted / p.measured - 1)),
    covered: mean((p) => (p.low <= p.measured && p.measured <= p.high ? 1 : 0)),
  };
}

/** The n points whose prediction is wrong by the largest factor, the worst first. */
export function furthestOff(points, n) {
  const off = (p) => Math.abs(Math.log(p.predicted / p.measured));
  return [...points].sort((a, b) => off(b) - off(a)).slice(0, n);
}
