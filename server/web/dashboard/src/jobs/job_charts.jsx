import { LineChart } from "../line_chart.jsx";
import { bestSoFar, devicesChart, ENDED, figure, frontOf, libraryChart, lossCurve } from "./describe.js";

function Loss({ history }) {
  const data = lossCurve(history);
  return data && (
    <LineChart title="Loss by epoch" x={{ label: "epoch", isWhole: true }} y={{ label: "loss" }} series={[{ label: "loss" }]} data={data}
      summary={[0, data[0].length - 1].slice(data[0].length > 1 ? 0 : 1)
        .map((i) => `${figure(data[1][i])} in epoch ${figure(data[0][i], 9)}`).join(", ")} />
  );
}

function Best({ history }) {
  const data = bestSoFar(history);
  if (!data) {
    return null;
  }
  const hasLatency = data[2].some((ms) => ms !== null);
  const series = [{ label: "accuracy, %" }, { label: "latency, ms", axis: "right" }].slice(0, hasLatency ? 2 : 1);
  return (
    <LineChart key={hasLatency} title="Best network by generation" x={{ label: "generation", isWhole: true }} y={{ label: "accuracy, %" }}
      right={hasLatency ? { label: "latency, ms" } : undefined} series={series} data={data.slice(0, series.length + 1)}
      summary={`${figure(data[1].at(-1))} % after generation ${figure(data[0].at(-1), 9)}.`} />
  );
}

const FRONT_MOST = 64; // of a longer front so many are told on the way

/** Room about the points, so that one alone is seen, too. */
function roomy(_, low, high) {
  const margin = low === null ? 1 : (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return low === null ? [0, 1] : [low - margin, high + margin];
}

function Front({ job, history }) {
  const data = frontOf(job, history);
  if (!data) {
    return null;
  }
  const soFar = ENDED.has(job.state) ? "" : " so far";
  const n = data[1].filter((accuracy) => accuracy !== null).length;
  const isThinned = !job.result?.front && n >= FRONT_MOST;
  const what = isThinned ? `${n} of its networks` : `${n} ${n === 1 ? "network" : "networks"}`;
  const chosen = job.result?.latency_ms ? ` The chosen one: ${figure(job.result.accuracy)} % at ${figure(job.result.latency_ms)} ms.` : "";
  return (
    <LineChart title="Front of accuracy and latency"
      x={{ label: "latency, ms", range: roomy }} y={{ label: "accuracy, %", range: roomy }}
      series={[{ label: "front", isSteps: true }, { label: "chosen", isPoints: true }]} data={data}
      summary={`${what} from ${figure(data[0][0])} to ${figure(data[0].at(-1))} ms${soFar}.${chosen}`} />
  );
}

function Devices({ result }) {
  const data = devicesChart(result);
  if (!data) {
    return null;
  }
  const lowest = Math.min(...data[1]);
  return (
    <LineChart title="Correlation by device" x={{ label: "device, in the table's order", isWhole: true, range: [0.5, data[0].length + 0.5] }} y={{ label: "R", range: roomy }} series={[{ label: "R", isPoints: true }]} data={data}
      summary={`R of predicted and measured latencies by device, ${data[0].length} in all, the lowest ${figure(lowest)}.`} />
  );
}

function Library({ result }) {
  const data = libraryChart(result);
  return data && (
    <LineChart title="What measurements of a new device bring" x={{ label: "measurements" }} y={{ label: "rank correlation" }}
      series={[{ label: "rank correlation" }]} data={data}
      summary={data[0].map((n, i) => `${n}: ${figure(data[1][i], 3)}`).join(", ")} />
  );
}

/** The pictures of a job, as far as there is something to draw. `history`: {points by epoch or generation, front}. */
export function JobCharts({ job, history }) {
  return (
    <div class="job-charts">
      <Loss history={history} />
      <Best history={history} />
      {job.kind === "nas" && <Front job={job} history={history} />}
      <Devices result={job.result} />
      <Library result={job.result} />
    </div>
  );
}
