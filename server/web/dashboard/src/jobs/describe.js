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

function at(progress) {
  return progress.epoch ?? progress.generation;
}

/** The history with what is told now; a run that begins anew begins its curve anew. */
export function grown(history, progress) {
  const step = progress && at(progress);
  if (step === undefined || step === null) {
    return history;
  }
  const before = history.filter((one) => at(one) < step);
  const kept = before.length < MOST_POINTS ? before : before.filter((_, i) => i % 2 === 0);
  return [...kept, progress];
}

/** uPlot's [epochs, losses], or null where there are none. What a short training ended with may be all that is known. */
export function lossCurve(job, history) {
  const { params, result } = job;
  const last = result?.loss && params.epoch ? [{ epoch: params.epoch, loss: result.loss }] : [];
  const seen = history.filter((one) => one.epoch !== undefined && one.loss !== undefined && !(one.epoch >= last[0]?.epoch));
  const points = [...seen, ...last];
  return points.length ? [points.map((one) => one.epoch), points.map((one) => one.loss)] : null;
}

/** uPlot's [generations, accuracies, latencies or nulls] of the best network so far, or null where there are none. */
export function bestSoFar(history) {
  const points = history.filter((one) => one.generation !== undefined && one.accuracy > 0);
  return points.length
    ? [points.map((one) => one.generation), points.map((one) => one.accuracy), points.map((one) => one.latency_ms ?? null)]
    : null;
}

/** The generations that result.json tells of, as progress has them. */
export function historyOf(report) {
  return (report.history ?? [])
    .map((one, i) => ({ generation: i + 1, accuracy: one.is_feasible === false ? undefined : one.accuracy }))
    .filter((one) => typeof one.accuracy === "number");
}

/** Networks of a search that are worth a point, the fastest first: its front, or the best ones as they were found. */
export function networksOf(job, history) {
  const found = job.result?.front ?? history.filter((one) => one.accuracy > 0 && one.latency_ms !== undefined);
  const byLatency = new Map(found.map((one) => [one.latency_ms, one.accuracy]));
  if (job.result?.latency_ms) {
    byLatency.set(job.result.latency_ms, job.result.accuracy);
  }
  return [...byLatency].sort(([a], [b]) => a - b);
}

/** uPlot's [latencies, accuracies of all, of the chosen one], or null where there are none. */
export function frontOf(job, history) {
  const networks = networksOf(job, history);
  const chosen = job.result?.latency_ms;
  return networks.length
    ? [networks.map(([ms]) => ms), networks.map(([, accuracy]) => accuracy), networks.map(([ms, accuracy]) => (ms === chosen ? accuracy : null))]
    : null;
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
