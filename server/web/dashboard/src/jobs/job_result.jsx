import { useState } from "preact/hooks";
import { request, saveAs } from "../api.js";
import { figure, figuresOf } from "./describe.js";
import { Picture } from "./picture.jsx";

function addressOf(file) {
  return `/v1/results/${file.split("/").map(encodeURIComponent).join("/")}`;
}

function Files({ files }) {
  const [error, setError] = useState(null);
  const download = async (file) => {
    setError(null);
    try {
      saveAs(await (await request(addressOf(file))).blob(), file.split("/").pop());
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <>
      <h3>Files</h3>
      <ul class="job-files">
        {files.map((file) => (
          <li key={file}>
            <button type="button" class="plain" aria-label={`Download ${file}`} onClick={() => download(file)}>
              {file.split("/").pop()}
            </button>
          </li>
        ))}
      </ul>
      {error && <p class="error" role="alert">{error.message}</p>}
    </>
  );
}

function Network({ result }) {
  if (!result.feasible) {
    return (
      <p>
        No network keeps the limits.
        {result.lowest_latency_ms && ` The lowest latency of all that were looked at is ${figure(result.lowest_latency_ms)} ms.`}
      </p>
    );
  }
  const [low, high] = result.interval_ms ?? [];
  const interval = low !== undefined && `, ${figure(low)} to ${figure(high)} ms with probability ${result.interval}`;
  return (
    <p>
      <strong class="chosen"><code>{result.notation}</code></strong>
      <br />
      {figure(result.accuracy)} % accuracy{result.latency_ms !== null && `, ${figure(result.latency_ms)} ms`}{interval}
    </p>
  );
}

const COLUMNS = [
  ["r", "R"],
  ["rmse_ms", "RMSE, ms"],
  ["mape", "relative error"],
  ["within_10_percent", "within 10 %"],
  ["spearman", "Spearman"],
];

function DeviceTable({ devices }) {
  const columns = COLUMNS.filter(([name]) => devices.some((one) => one[name] !== undefined));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Devices">
      <table>
        <thead>
          <tr><th class="number">No.</th><th>Device</th>{columns.map(([name, title]) => <th key={name} class="number">{title}</th>)}</tr>
        </thead>
        <tbody>
          {devices.map((one, i) => (
            <tr key={one.device}>
              <td class="number">{i + 1}</td>
              <td>{one.device}</td>
              {columns.map(([name]) => <td key={name} class="number">{figure(one[name], 4)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Figures({ of }) {
  return (
    <dl class="facts job-figures">
      {figuresOf(of).map(([name, text]) => [<dt key={`${name}-t`}>{name}</dt>, <dd key={name}>{text}</dd>])}
    </dl>
  );
}

/** What a job that succeeded has found. */
export function JobResult({ result }) {
  const picture = result.files?.find((file) => file.endsWith("/plot.svg"));
  const pictureOf = result.feasible === undefined ? "Predicted against measured latencies, by device" : "Latency against accuracy, by target";
  return (
    <section class="panel" aria-labelledby="job-result">
      <h2 id="job-result">Result</h2>
      {result.feasible !== undefined && <Network result={result} />}
      {result.devices?.some((one) => one.r !== undefined) && <DeviceTable devices={result.devices} />}
      {picture && <Picture address={addressOf(picture)} alt={pictureOf} />}
      {result.files?.length > 0 && <Files files={result.files} />}
      <details open={result.feasible === undefined}>
        <summary>All figures</summary>
        <Figures of={result} />
      </details>
    </section>
  );
}
