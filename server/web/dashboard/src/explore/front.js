// Latency against accuracy: what is worth having, and what a limit leaves of it.

/**
 * The Pareto front as places in the arrays, from the fastest to the most accurate. What has no accuracy (NaN) is on no front;
 * of networks that are equal in both the first is taken.
 */
export function paretoFront(latency, accuracy) {
  const order = [];
  for (let i = 0; i < latency.length; i++) {
    if (!Number.isNaN(accuracy[i])) {
      order.push(i);
    }
  }
  order.sort((i, j) => latency[i] - latency[j] || accuracy[j] - accuracy[i] || i - j);
  const front = [];
  let best = -Infinity;
  for (const i of order) {
    if (accuracy[i] > best) {
      front.push(i);
      best = accuracy[i];
    }
  }
  return front;
}

/** The most accurate network that keeps the limit: the last of the front that does; null where none does. */
export function bestWithin(front, latency, limit) {
  let low = 0;
  let high = front.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (latency[front[middle]] <= limit) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low > 0 ? front[low - 1] : null;
}

/** The device formula's factor of hardware [F, D, C, M]: a data sheet's latencies are in proportion to it. */
export function factorOf([frequency, width, cache, bandwidth]) {
  return (1 / width + 1 / (Math.sqrt(cache) * bandwidth)) / frequency;
}

/** [least, greatest] of all arrays, what is no number left out; null where there is none. */
export function extentOf(arrays) {
  let least = Infinity;
  let greatest = -Infinity;
  for (const values of arrays) {
    for (const value of values) {
      if (value < least) {
        least = value;
      }
      if (value > greatest) {
        greatest = value;
      }
    }
  }
  return least <= greatest ? [least, greatest] : null;
}

/** A round step of which some hundreds make the range: 0.01, 0.1, 1, 10 ... */
export function stepOf([least, greatest]) {
  return 10 ** Math.floor(Math.log10(Math.max(greatest - least, 1e-6) / 200));
}

/** What a limit can be: from below the fastest to above the slowest, in round steps. */
export function limitRangeOf(extent) {
  const step = stepOf(extent);
  const round = (value) => Number(value.toPrecision(12)); // 0.1 times 3 is 0.3
  return { step, min: round(Math.floor(extent[0] / step) * step), max: round(Math.ceil(extent[1] / step) * step) };
}

/**
 * The point next to (x, y) within `reach`, in the units of `place(cloud, i)`, which gives [x, y]: {cloud, index}, or null.
 * `clouds` is how many there are, each of `n` points.
 */
export function nearest(clouds, x, y, reach) {
  let found = null;
  let least = reach * reach;
  clouds.forEach(({ xs, ys }, cloud) => {
    for (let i = 0; i < xs.length; i++) {
      const far = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
      if (far < least) {
        least = far;
        found = { cloud, index: i };
      }
    }
  });
  return found;
}
