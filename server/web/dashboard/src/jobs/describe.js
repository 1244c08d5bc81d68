// What a job is, in words and in data for charts. Pure.

export const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** Up to so many digits that mean something. */
export function figure(value, digits = 5) {
  return typeof value === "number" ? value.toLocaleString("en", { maximumSignificantDigits: digits }) : "none";
}

export function timeOf(timestamp) {
  return timestamp ? `${timestamp.slice(0, 19).replace("T", " ")} UTC` : "not yet";
}

export function durationOf(job) {
  if (!job.started_at || !job.ended_at) {
    return null;
  }
  return `${figure((Date.parse(job.ended_at) - Date.parse(job.started_at)) / 1000, 3)} s`;
}

const SO_FAR = [
  ["epoch", "n_epochs", "epoch"],
  ["generation", "n_generations", "generation"],
];

/** A sentence of how far a run is. */
export function progressOf(progress) {
  if (!progress) {
    return "";
  }
  const parts = [progress.stage];
  for (const [done, all, name] of SO_FAR) {
    if (progress[done] !== undefined) {
      parts.push(`${name} ${figure(progress[done], 9)}${progress[all] ? ` of ${figure(progress[all], 9)}` : ""}`);
    }
  }
  if (progress.loss !== undefined) {
    parts.push(`loss ${figure(progress.loss)}`);
  }
  if (progress.seconds_left !== undefined) {
    parts.push(`about ${figure(progress.seconds_left, 2)} s left`);
  }
  return parts.filter(Boolean).join(", ");
}

const MOST_POINTS = 2000; // of a curve: beyond, every other one is left out

/** The epoch of a training itself (not of those that validate it), or the generation of a search with a network. */
function stepOf(progress) {
  if (progress?.epoch > 0) {
    return progress.stage === "training" && progress.loss !== undefined ? progress.epoch : undefined;
  }
  return progress?.generation > 0 && progress.accuracy > 0 ? progress.generation : undefined;
}

function pointOf({ epoch, loss, generation, accuracy, latency_ms }) {
  return epoch > 0 ? { epoch, loss } : { generation, accuracy, latency_ms };
}

const at = (point) => point.epoch ?? point.generation;

/** The history {points, front} with what is told now; a run that begins anew begins its curve anew. */
export function grown(history, progress) {
  const front = progress?.front ?? history.front;
  const step = stepOf(progress);
  if (step === undefined) {
    return { ...history, front };
  }
  const before = history.points.filter((point) => at(point) < step);
  const kept = before.length < MOST_POINTS ? before : before.filter((_, i) => i % 2 === 0);
  return { points: [...kept, pointOf(progress)], front };
}

/** What the service has kept, and of what was seen since whatever lies between. */
export function merged(stored, seen) {
  const last = stored.points.length ? at(stored.points.at(-1)) : Infinity;
  const steps = new Set(stored.points.map(at));
  const more = seen.points.filter((point) => at(point) < last && !steps.has(at(point)));
  return { points: [...stored.points, ...more].sort((a, b) => at(a) - at(b)), front: stored.front };
}

/** uPlot's [epochs, losses], or null where there are none. */
export function lossCurve({ points }) {
  const known = points.filter((one) => one.loss !== undefined);
  return known.length ? [known.map((one) => one.epoch), known.map((one) => one.loss)] : null;
}

/** uPlot's [generations, accuracies, latencies or nulls] of the best network so far, or null where there are none. */
export function bestSoFar({ points }) {
  const known = points.filter((one) => one.accuracy !== undefined);
  return known.length
    ? [known.map((one) => one.generation), known.map((one) => one.accuracy), known.map((one) => one.latency_ms ?? null)]
    : null;
}

/** uPlot's [latencies, accuracies of the front, of the chosen network], the fastest first, or null where there are none. */
export function frontOf({ result }, history) {
  const byLatency = new Map((result?.front ?? history.front).map((one) => [one.latency_ms, [one.accuracy, null]]));
  if (result?.latency_ms) {
    byLatency.set(result.latency_ms, [byLatency.get(result.latency_ms)?.[0] ?? null, result.accuracy]);
  }
  const points = [...byLatency].sort(([a], [b]) => a - b);
  return points.length ? [points.map(([ms]) => ms), points.map(([, [front]]) => front), points.map(([, [, chosen]]) => chosen)] : null;
}

/** uPlot's [numbers of devices from 1 on, R of each], where a test has any. */
export function devicesChart(result) {
  const devices = result?.devices?.filter((one) => typeof one.r === "number") ?? [];
  return devices.length ? [devices.map((_, i) => i + 1), devices.map((one) => one.r)] : null;
}

/** uPlot's [measurements, rank correlations] of a library's mean figures, where a result has any. */
export function libraryChart(result) {
  const mean = (result?.library?.mean ?? result?.mean ?? []).filter((one) => typeof one.spearman === "number");
  return mean.length ? [mean.map((one) => one.measurements), mean.map((one) => one.spearman)] : null;
}

/** [name, text] of the plain figures of a result, nested ones by dotted names; lists that are long are left out. */
export function figuresOf(result, prefix = "") {
  return Object.entries(result).flatMap(([name, value]) => {
    if (value === null || name === "files" || name === "file") {
      return [];
    }
    if (Array.isArray(value)) {
      const isShort = value.length <= 32 && value.every((one) => typeof one !== "object");
      return isShort && value.length ? [[prefix + name, value.join(", ")]] : [];
    }
    if (typeof value === "object") {
      return figuresOf(value, `${prefix + name}.`);
    }
    return [[prefix + name, typeof value === "number" ? figure(value, 6) : String(value)]];
  });
}
