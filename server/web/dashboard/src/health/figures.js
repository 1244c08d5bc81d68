// Figures of the service out of two polls of /metrics. Pure.
import { sumOf } from "./prometheus.js";

// what asks after the service rather than for something, this page among it
const PROBES = new Set(["/metrics", "/readyz", "/healthz", "/v2/health/live", "/v2/health/ready"]);
const REQUESTS = "dgld_http_requests_total";
const DURATIONS = "dgld_http_request_duration_seconds_bucket";

function isWork({ route }) {
  return !PROBES.has(route);
}

/** [[upper bound in seconds, requests up to it]], ascending, over all routes but probes. */
export function bucketsOf(metrics) {
  const counts = new Map();
  for (const { labels, value } of metrics.get(DURATIONS) ?? []) {
    if (isWork(labels)) {
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      counts.set(bound, (counts.get(bound) ?? 0) + value);
    }
  }
  return [...counts].sort(([a], [b]) => a - b);
}

/** Requests by bucket between two polls; a route that came up meanwhile began at 0. */
function bucketsBetween(before, after) {
  const was = new Map(bucketsOf(before));
  return bucketsOf(after).map(([bound, n]) => [bound, n - (was.get(bound) ?? 0)]);
}

/**
 * The quantile q (0 to 1) of cumulative buckets, in seconds, as Prometheus' histogram_quantile: even within a bucket, and
 * beyond the last finite bound that bound. null where nothing was counted.
 */
export function quantileOf(buckets, q) {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (!(total > 0)) {
    return null;
  }
  const rank = q * total;
  const i = buckets.findIndex(([, n]) => n >= rank);
  const [bound, n] = buckets[i];
  const [lower, below] = buckets[i - 1] ?? [0, 0];
  return bound === Infinity ? lower : lower + ((bound - lower) * (rank - below)) / (n - below);
}

function inMs(seconds) {
  return seconds === null ? null : seconds * 1000;
}

/** Of the time between two polls, {at_ms, metrics}: rates a second and latencies in ms; null after a restart between them. */
export function ratesBetween(before, after) {
  const seconds = (after.at_ms - before.at_ms) / 1000;
  const done = (isWanted) => sumOf(after.metrics, REQUESTS, isWanted) - sumOf(before.metrics, REQUESTS, isWanted);
  const requests = done(isWork);
  if (seconds <= 0 || requests < 0 || startOf(before.metrics) !== startOf(after.metrics)) {
    return null;
  }
  const buckets = bucketsBetween(before.metrics, after.metrics);
  return {
    at_ms: after.at_ms,
    requests_per_s: requests / seconds,
    errors_per_s: done((labels) => isWork(labels) && labels.code >= "500") / seconds,
    p50_ms: inMs(quantileOf(buckets, 0.5)),
    p90_ms: inMs(quantileOf(buckets, 0.9)),
    p99_ms: inMs(quantileOf(buckets, 0.99)),
  };
}

function startOf(metrics) {
  return metrics.get("process_start_time_seconds")?.[0].value;
}

/** What goes on at a poll. `jobs` is null where the service keeps none. */
export function presentOf(metrics) {
  const jobs = (state) => sumOf(metrics, "dgld_jobs", (labels) => labels.state === state);
  return {
    jobs: metrics.has("dgld_jobs") ? { queued: jobs("queued"), running: jobs("running"), failed: jobs("failed") } : null,
    jobs_most: sumOf(metrics, "dgld_bound", ({ setting }) => setting === "job_queue_max"),
    in_flight: sumOf(metrics, "dgld_http_requests_in_flight"),
    connections: sumOf(metrics, "dgld_http_connections"),
    pool_queue: sumOf(metrics, "dgld_pool_queue_length"),
    memory_mb: sumOf(metrics, "process_resident_memory_bytes") / 1e6,
    up_s: startOf(metrics) ? Date.now() / 1000 - startOf(metrics) : null,
    program: metrics.get("dgld_build_info")?.[0].labels.version ?? null,
    models: (metrics.get("dgld_model_info") ?? []).map(({ labels }) => labels),
  };
}
