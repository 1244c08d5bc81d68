// What was measured of a device beside what is predicted for it: from the sheet alone, with what is measured, and,
// since the latter has learned from the very points, with each part of the measurements left out in turn.
import { getJson, path, postJson } from "../api.js";

export const INTERVAL = 0.9;
export const N_POINTS_MAX = 20_000;
export const N_PARTS = 5;
const N_HELD_OUT_MIN = 10; // architectures; below, parts would be of one
const N_A_CALL = 4096; // what every predictor takes at once
export const N_MEASUREMENTS_A_CALL = 1000;

async function predict(fields, rows, signal) {
  const points = [];
  for (let at = 0; at < rows.length; at += N_A_CALL) {
    const part = rows.slice(at, at + N_A_CALL);
    const body = { ...fields, architectures: part.map((row) => row.architecture), interval: INTERVAL };
    const { latency_ms: latency, interval_ms: bounds } = await postJson("/v1/predict", body, { signal });
    part.forEach((row, i) => points.push({ ...row, predicted: latency[i], low: bounds[i][0], high: bounds[i][1] }));
  }
  return points;
}

/** Evenly `n` of them at most. */
export function thinned(rows, n) {
  return rows.length <= n ? rows : Array.from({ length: n }, (_, i) => rows[Math.floor((i * rows.length) / n)]);
}

/** Deals rows to parts so that all measurements of an architecture are in the same one. */
export function parted(rows, nParts) {
  const places = new Map();
  const parts = Array.from({ length: nParts }, () => []);
  for (const row of rows) {
    if (!places.has(row.architecture)) {
      places.set(row.architecture, places.size % nParts);
    }
    parts[places.get(row.architecture)].push(row);
  }
  return parts;
}

async function predictHeldOut(fields, rows, signal) {
  const parts = parted(rows, N_PARTS);
  const points = [];
  for (const part of parts) {
    const others = thinned(parts.filter((other) => other !== part).flat(), N_MEASUREMENTS_A_CALL);
    const measurements = {
      architectures: others.map((row) => row.architecture),
      latency_ms: others.map((row) => row.measured),
    };
    points.push(...(await predict({ ...fields, measurements }, part, signal)));
  }
  return points;
}

async function loadRows(device, space, source, signal) {
  const address = path`/v1/devices/${device}/measurements/${space}?source=${source}`;
  const { architectures, latency_ms: latency } = await getJson(address, { signal });
  return architectures.map((architecture, i) => ({ architecture, measured: latency[i] }));
}

/**
 * `inSpace` is what /v1/devices tells of the device in the space, `source` one of "measurements" and "latency".
 * {nRows, nLearned, alone, calibrated, heldOut}: points, or null where there is no such prediction.
 */
export async function loadComparison(device, space, inSpace, source, signal) {
  const all = await loadRows(device, space, source, signal);
  const rows = thinned(all, N_POINTS_MAX);
  const fields = { search_space: space, device };
  const isMeasured = inSpace.n_measurements > 0;
  const isOwn = source === "measurements";
  const learned = new Set((isOwn || !isMeasured ? [] : await loadRows(device, space, "measurements", signal)).map((row) => row.architecture));
  const isPartable = isOwn && new Set(rows.map((row) => row.architecture)).size >= N_HELD_OUT_MIN;
  return {
    nRows: all.length,
    nLearned: isOwn ? rows.length : rows.filter((row) => learned.has(row.architecture)).length,
    alone: inSpace.hardware ? await predict({ ...fields, calibrate: false }, rows, signal) : null,
    calibrated: isMeasured ? await predict(fields, rows, signal) : null,
    heldOut: isPartable ? await predictHeldOut(fields, rows, signal) : null,
  };
}
