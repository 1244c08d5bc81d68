import { useEffect, useState } from "preact/hooks";
import { getJson } from "../api.js";
import { useLoaded } from "../use_loaded.js";
import { figure, timeOf } from "./describe.js";

const PAGE_JOBS = 20;
const LOOK_AGAIN_MS = 3000;
const STATES = ["queued", "running", "succeeded", "failed", "cancelled"];
const KINDS = ["train", "test", "nas"];

function addressOf(filters, cursor) {
  const given = Object.entries({ ...filters, cursor, limit: PAGE_JOBS }).filter(([, value]) => value);
  return `/v1/jobs?${new URLSearchParams(given)}`;
}

function Filter({ name, values, value, onChange }) {
  return (
    <div>
      <label for={`jobs-${name}`}>{name}</label>
      <select id={`jobs-${name}`} value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">all</option>
        {values.map((one) => <option key={one} value={one}>{one}</option>)}
      </select>
    </div>
  );
}

function Row({ job }) {
  const isRunning = job.state === "running";
  return (
    <tr>
      <td><a href={`#/jobs/${job.id}`} aria-label={`${job.kind}, submitted ${timeOf(job.submitted_at)}`}>{job.kind}</a></td>
      <td>{job.search_space}</td>
      <td>
        <span class={`job-state ${job.state}`}>{job.state}</span>
        {isRunning && job.progress?.percent !== undefined && ` ${figure(job.progress.percent, 3)} %`}
      </td>
      <td>{timeOf(job.submitted_at)}</td>
    </tr>
  );
}

function Table({ jobs }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Jobs">
      <table>
        <thead>
          <tr><th>Kind</th><th>Search space</th><th>State</th><th>Submitted</th></tr>
        </thead>
        <tbody>{jobs.map((job) => <Row key={job.id} job={job} />)}</tbody>
      </table>
    </div>
  );
}

/** #/jobs: the newest first, page by page. */
export function JobList() {
  const [filters, setFilters] = useState({ state: "", kind: "" });
  const [cursors, setCursors] = useState([]); // of the pages up to this one; the first has none
  const cursor = cursors.at(-1);
  const { value, error, reload } = useLoaded((signal) => getJson(addressOf(filters, cursor), { signal }), [filters, cursor]);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || reload(), LOOK_AGAIN_MS);
    return () => clearInterval(timer);
  }, [reload]);
  const choose = (name) => (chosen) => {
    setCursors([]);
    setFilters((last) => ({ ...last, [name]: chosen }));
  };
  return (
    <section class="panel">
      <div class="job-filters">
        <Filter name="state" values={STATES} value={filters.state} onChange={choose("state")} />
        <Filter name="kind" values={KINDS} value={filters.kind} onChange={choose("kind")} />
        <a class="button" href="#/jobs/new">New job</a>
      </div>
      {error && <p class="error" role="alert">{error.message}</p>}
      {value && (value.jobs.length ? <Table jobs={value.jobs} /> : <p class="muted">No such jobs.</p>)}
      <div class="buttons">
        <button type="button" class="plain" disabled={!cursors.length} onClick={() => setCursors(cursors.slice(0, -1))}>
          Newer
        </button>
        <button type="button" class="plain" disabled={!value?.next} onClick={() => setCursors([...cursors, value.next])}>
          Older
        </button>
      </div>
    </section>
  );
}
