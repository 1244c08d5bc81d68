import { useMemo, useState } from "preact/hooks";
import { useLoaded } from "../use_loaded.js";
import { agreement, furthestOff } from "./agreement.js";
import { INTERVAL, loadComparison, N_MEASUREMENTS_A_CALL, N_PARTS, N_POINTS_MAX } from "./comparison_data.js";
import { Scatter } from "./scatter.jsx";

const N_FURTHEST = 10;
const KINDS = [
  ["alone", "From the data sheet alone", "series-2"],
  ["calibrated", "Calibrated", "series-1"],
  ["heldOut", "Calibrated, held out", "series-3"],
];
const SOURCES = { measurements: "Measurements stored here", latency: "Latency file of the reference" };
const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
const FIGURES = [
  ["Points", (a) => String(a.n)],
  ["R", (a) => (a.r === null ? "none" : a.r.toFixed(4))],
  ["RMSE, ms", (a) => a.rmseMs.toFixed(1)],
  ["MAE, ms", (a) => a.maeMs.toFixed(1)],
  ["Mean relative error", (a) => percent(a.mape)],
  [`Inside the interval of ${INTERVAL}`, (a) => percent(a.covered)],
];

function sentenceOf(a) {
  const r = a.r === null ? "no R" : `R ${a.r.toFixed(4)}`;
  return `${a.n} points, ${r}, RMSE ${a.rmseMs.toFixed(1)} ms, MAE ${a.maeMs.toFixed(1)} ms, ${percent(a.covered)} inside the interval of ${INTERVAL}`;
}

function Figures({ shown }) {
  return (
    <table class="agreement">
      <caption class="muted">How far predictions agree with what was measured</caption>
      <thead>
        <tr>
          <th scope="col">Figure</th>
          {shown.map(({ kind, title }) => <th key={kind} scope="col" class="number">{title}</th>)}
        </tr>
      </thead>
      <tbody>
        {FIGURES.map(([name, show]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            {shown.map(({ kind, figures }) => <td key={kind} class="number">{show(figures)}</td>)}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Furthest({ title, points }) {
  return (
    <details>
      <summary>What is furthest off: {title.toLowerCase()}</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label={`Furthest off: ${title}`}>
        <table>
          <thead>
            <tr>
              <th scope="col">Architecture</th>
              {["Measured, ms", "Predicted, ms", "From, ms", "To, ms"].map((name) => <th key={name} scope="col" class="number">{name}</th>)}
            </tr>
          </thead>
          <tbody>
            {furthestOff(points, N_FURTHEST).map((p, i) => (
              <tr key={i}>
                <td><code>{p.architecture}</code></td>
                {[p.measured, p.predicted, p.low, p.high].map((value, column) => <td key={column} class="number">{value.toFixed(1)}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** What the figures do not say by themselves. */
function Notes({ of, source }) {
  const notes = [];
  if (of.nRows > N_POINTS_MAX) {
    notes.push(`Of ${of.nRows.toLocaleString("en")} rows, ${N_POINTS_MAX.toLocaleString("en")} are compared, evenly chosen.`);
  }
  if (!of.alone) {
    notes.push("There is no data sheet to predict from: measurements alone tell what the device is.");
  }
  if (!of.calibrated) {
    notes.push("Nothing is stored to calibrate by: these are predictions of a device that was never measured.");
  } else if (source === "measurements") {
    notes.push("Calibrated predictions have learned from the very points that they are compared with here, so their figures flatter.");
  } else {
    notes.push(`Calibrated predictions have learned from stored measurements, which are of ${of.nLearned} of these ${of.calibrated.length} points.`);
  }
  if (of.heldOut) {
    notes.push(`Held out: measurements are dealt to ${N_PARTS} parts, and each is predicted by what the other ${N_PARTS - 1} teach, ${N_MEASUREMENTS_A_CALL.toLocaleString("en")} measurements of them at most. This is what to expect of architectures that were not measured.`);
  } else if (of.calibrated && source === "measurements") {
    notes.push("From ten measured architectures on there are figures of held-out measurements, too.");
  }
  return <ul class="notes">{notes.map((note) => <li key={note}>{note}</li>)}</ul>;
}

function Compared({ of, source }) {
  const { shown, limitMs } = useMemo(() => {
    const present = KINDS.filter(([kind]) => of[kind]?.length > 0);
    const largest = present.flatMap(([kind]) => of[kind]).reduce((most, p) => Math.max(most, p.measured, p.predicted), 0);
    return {
      limitMs: 1.1 * largest,
      shown: present.map(([kind, title, series]) => ({ kind, title, series, points: of[kind], figures: agreement(of[kind]) })),
    };
  }, [of]);
  return (
    <>
      <Figures shown={shown} />
      <Notes of={of} source={source} />
      <div class="scatters">
        {shown.map(({ kind, title, series, points, figures }) => (
          <Scatter key={kind} points={points} limitMs={limitMs} series={series} title={title} summary={sentenceOf(figures)} />
        ))}
      </div>
      {shown.map(({ kind, title, points }) => <Furthest key={kind} title={title} points={points} />)}
    </>
  );
}

/** Predicted against measured. `stamp` changes with what is stored of the device. */
export function Comparison({ device, space, inSpace, stamp }) {
  const sources = [inSpace.n_measurements > 0 && "measurements", inSpace.has_latency && "latency"].filter(Boolean);
  const [wanted, setWanted] = useState(sources[0]);
  const source = sources.includes(wanted) ? wanted : sources[0];
  const { value, error, isLoading } = useLoaded(
    async (signal) => source && { source, of: await loadComparison(device, space, inSpace, source, signal) },
    [device, space, source, stamp],
  );
  return (
    <section class="panel" aria-labelledby="comparison-title">
      <h2 id="comparison-title">Predicted against measured</h2>
      {sources.length === 0 && <p class="muted">There are points as soon as something is measured of this device.</p>}
      {sources.length > 1 && (
        <label class="short">
          Measured
          <select value={source} onChange={(event) => setWanted(event.target.value)}>
            {sources.map((name) => <option key={name} value={name}>{SOURCES[name]}</option>)}
          </select>
        </label>
      )}
      <p role="status" class="muted outcome">{source && isLoading ? "Predicting…" : ""}</p>
      {error && <p class="error" role="alert">{error.message}</p>}
      {source && value && <Compared of={value.of} source={value.source} />}
    </section>
  );
}
