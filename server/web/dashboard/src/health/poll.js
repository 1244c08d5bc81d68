import { useEffect, useState } from "preact/hooks";
import { ApiError, getJson, request } from "../api.js";
import { presentOf, ratesBetween } from "./figures.js";
import { parseMetrics } from "./prometheus.js";

const POLL_MS = 2000;
const MOST_POINTS = 150; // five minutes

/** {status, detail} of /readyz: a service that is not ready says why in its refusal. */
async function readiness(signal) {
  try {
    return await getJson("/readyz", { signal });
  } catch (error) {
    if (error instanceof ApiError) {
      return { status: "not ready", detail: error.message };
    }
    throw error;
  }
}

/**
 * The service's health, looked at every 2 s while the page is seen:
 * {ready, present, rates: [of figures.js and the jobs of then, the newest last], error, isPaused}.
 */
export function useHealth() {
  const [state, setState] = useState({ ready: null, present: null, rates: [], error: null, isPaused: document.hidden });
  useEffect(() => {
    const abort = new AbortController();
    let last = null;
    let timer = null;
    const look = async () => {
      const [ready, text] = await Promise.all([
        readiness(abort.signal),
        request("/metrics", { signal: abort.signal }).then((reply) => reply.text()),
      ]);
      const poll = { at_ms: performance.now(), metrics: parseMetrics(text) };
      const rates = last && ratesBetween(last, poll);
      const present = presentOf(poll.metrics);
      last = poll;
      setState((before) => ({
        ...before,
        ready,
        present,
        rates: rates ? [...before.rates, { ...rates, ...present.jobs }].slice(-MOST_POINTS) : before.rates,
        error: null,
      }));
    };
    const round = async () => {
      timer = null;
      await look().catch((error) => abort.signal.aborted || setState((before) => ({ ...before, error })));
      if (!abort.signal.aborted && !document.hidden) {
        timer = setTimeout(round, POLL_MS);
      }
    };
    const onVisibility = () => {
      setState((before) => ({ ...before, isPaused: document.hidden }));
      clearTimeout(timer);
      timer = document.hidden ? null : setTimeout(round, 0);
    };
    document.addEventListener("visibilitychange", onVisibility);
    onVisibility();
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisibility);
    };
  }, []);
  return state;
}
