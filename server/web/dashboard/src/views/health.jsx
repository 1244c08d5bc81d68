import "../health/health.css";
import { useMemo } from "preact/hooks";
import { useHealth } from "../health/poll.js";
import { LineChart } from "../line_chart.jsx";

function short(value, unit) {
  return value === null || value === undefined ? "none" : `${value.toLocaleString("en", { maximumSignificantDigits: 3 })}${unit}`;
}

function Readiness({ ready }) {
  return (
    <section class="panel" aria-labelledby="health-ready">
      <h2 id="health-ready">Readiness</h2>
      <p role="status">
        <span class={`ready ready-${ready.status === "ready" ? "yes" : "no"}`}>{ready.status}</span>
        {ready.detail && `: ${ready.detail}`}
      </p>
    </section>
  );
}

function Tiles({ present, now }) {
  const { jobs } = present;
  const tiles = [
    ["Requests a second", short(now?.requests_per_s, "")],
    ["Failures (5xx) a second", short(now?.errors_per_s, "")],
    ["Latency, median", short(now?.p50_ms, " ms")],
    ["Latency, 99 of 100", short(now?.p99_ms, " ms")],
    ["Jobs that wait", jobs ? `${jobs.queued} of ${present.jobs_most.toLocaleString("en")}` : "no jobs here"],
    ["Jobs that run", jobs ? String(jobs.running) : "no jobs here"],
    ["Requests under way", String(present.in_flight)],
    ["Requests that wait", String(present.pool_queue)],
    ["Connections", String(present.connections)],
    ["Memory", short(present.memory_mb, " MB")],
  ];
  return (
    <dl class="tiles" aria-label="Figures of now">
      {tiles.map(([name, text]) => <div key={name} class="panel"><dt>{name}</dt><dd>{text}</dd></div>)}
    </dl>
  );
}

/** Room above 0 even where all is 0. */
function fromZero(_, low, high) {
  return [0, (high || 1) * 1.1];
}

function overTime(rates, names) {
  const end = rates.at(-1).at_ms;
  return [rates.map((one) => (one.at_ms - end) / 1000), ...names.map((name) => rates.map((one) => one[name]))];
}

/** How long something takes, in its two largest units. */
function duration(seconds) {
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]].map(([unit, size], i, all) => {
    const whole = Math.floor((i ? seconds % all[i - 1][1] : seconds) / size);
    return [whole, `${whole} ${unit}`];
  });
  const from = parts.findIndex(([whole]) => whole > 0);
  return from < 0 ? "less than a second" : parts.slice(from, from + 2).map(([, text]) => text).join(" ");
}

const PERCENTILES = [["p50_ms", "median"], ["p90_ms", "90 of 100"], ["p99_ms", "99 of 100"]];
const AGO = { label: "seconds from now", range: (_, low, high) => [Math.min(low, -10), Math.max(high, 0)] };

function Charts({ rates }) {
  const requests = useMemo(() => overTime(rates, ["requests_per_s", "errors_per_s"]), [rates]);
  const latencies = useMemo(() => overTime(rates, PERCENTILES.map(([name]) => name)), [rates]);
  const jobs = useMemo(() => overTime(rates, ["queued", "running"]), [rates]);
  const now = rates.at(-1);
  return (
    <div class="health-charts">
      <section class="panel" aria-labelledby="health-rate">
        <h2 id="health-rate">Request rate</h2>
        <LineChart title="Requests a second" x={AGO} y={{ label: "a second", range: fromZero }} data={requests}
          series={[{ label: "requests" }, { label: "failures (5xx)" }]}
          summary={`${short(now.requests_per_s, "")} a second now, at most ${short(Math.max(...requests[1]), "")}; probes are not counted.`} />
      </section>
      <section class="panel" aria-labelledby="health-latency">
        <h2 id="health-latency">Latency</h2>
        <LineChart title="Latency of requests" x={AGO} y={{ label: "ms", range: fromZero }} data={latencies}
          series={PERCENTILES.map(([, label]) => ({ label }))}
          summary={`Now: ${PERCENTILES.map(([name, label]) => `${label} ${short(now[name], " ms")}`).join(", ")}; from the histogram of all routes.`} />
      </section>
      {now.queued !== undefined && (
        <section class="panel" aria-labelledby="health-jobs">
          <h2 id="health-jobs">Jobs</h2>
          <LineChart title="Queue of jobs" x={AGO} y={{ label: "jobs", isWhole: true, range: fromZero }} data={jobs}
            series={[{ label: "wait" }, { label: "run" }]} summary={`${now.queued} wait and ${now.running} run now.`} />
        </section>
      )}
    </div>
  );
}

function Versions({ present }) {
  return (
    <section class="panel" aria-labelledby="health-versions">
      <h2 id="health-versions">Served</h2>
      <p class="muted">dgld {present.program}, {present.up_s !== null && `up for ${duration(present.up_s)}`}</p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Versions that are served">
        <table>
          <thead><tr><th>Search space</th><th>Version</th><th>Predictor</th></tr></thead>
          <tbody>
            {present.models.map((one) => (
              <tr key={one.search_space}><td>{one.search_space}</td><td><code>{one.version}</code></td><td>{one.predictor}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

export function Health() {
  const { ready, present, rates, error, isPaused } = useHealth();
  return (
    <div class="health">
      <h1>Health</h1>
      {isPaused && <p class="muted">Paused while nobody looks.</p>}
      {error && <p class="error" role="alert">The service could not be asked: {error.message}</p>}
      {!present && !error && <p class="muted">Loading…</p>}
      {present && <Tiles present={present} now={rates.at(-1)} />}
      {rates.length > 0 ? <Charts rates={rates} /> : present && <p class="muted">Rates are known after two looks.</p>}
      {present && (
        <div class="health-charts">
          <Readiness ready={ready} />
          <Versions present={present} />
        </div>
      )}
    </div>
  );
}
