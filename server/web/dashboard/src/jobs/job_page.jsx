import { useEffect, useState } from "preact/hooks";
import { followEvents, getJson, path, postJson } from "../api.js";
import { ConfirmDialog } from "../confirm_dialog.jsx";
import { durationOf, ENDED, grown, historyOf, progressOf, timeOf } from "./describe.js";
import { JobCharts } from "./job_charts.jsx";
import { Figures, JobResult } from "./job_result.jsx";

const histories = new Map(); // by job: what was seen of its progress since the page was loaded, beyond leaving the view

/** The generations that a search has left in its result.json, where nobody looked on; nothing where it has none. */
async function storedHistory(job, abort) {
  const file = job.result?.files?.find((name) => name.endsWith("/result.json"));
  if (job.kind !== "nas" || job.result?.method !== "genetic" || !file) {
    return [];
  }
  return historyOf(await getJson(`/v1/results/${file.split("/").map(encodeURIComponent).join("/")}`, { signal: abort }));
}

/** {job, history, error} of a job, as it goes on. */
function useJob(id) {
  const [state, setState] = useState({ job: null, history: histories.get(id) ?? [], error: null });
  useEffect(() => {
    const abort = new AbortController();
    const update = (change) => abort.signal.aborted || setState((last) => {
      const next = { ...last, ...change(last) };
      histories.set(id, next.history);
      return next;
    });
    const onEvent = ({ event, data }) => {
      if (event === "job") {
        update(({ history }) => ({ job: data, history: grown(history, data.progress) }));
        return ENDED.has(data.state);
      }
      if (event === "progress") {
        update(({ job, history }) => ({ job: job && { ...job, progress: data }, history: grown(history, data) }));
      }
      return false;
    };
    const follow = async () => {
      await followEvents(path`/v1/jobs/${id}/events`, onEvent, abort.signal);
      const job = abort.signal.aborted ? null : await getJson(path`/v1/jobs/${id}`, { signal: abort.signal });
      const stored = job ? await storedHistory(job, abort.signal) : [];
      update(({ history }) => ({ history: history.length < stored.length ? stored : history }));
    };
    follow().catch((error) => update(() => ({ error })));
    return () => abort.abort();
  }, [id]);
  return state;
}

function Cancel({ job }) {
  const [isAsking, setAsking] = useState(false);
  const [error, setError] = useState(null);
  const answer = async (isYes) => {
    setAsking(false);
    if (isYes) {
      try {
        setError(null);
        await postJson(path`/v1/jobs/${job.id}/cancel`);
      } catch (failure) {
        setError(failure);
      }
    }
  };
  return (
    <>
      <button type="button" class="plain" disabled={job.cancel_requested} onClick={() => setAsking(true)}>
        {job.cancel_requested ? "Is being cancelled" : "Cancel the job"}
      </button>
      {error && <p class="error" role="alert">{error.message}</p>}
      {isAsking && (
        <ConfirmDialog title="Cancel this job?" action="Cancel the job" refusal="Let it run" onAnswer={answer}>
          <p>What it has done so far is lost.</p>
        </ConfirmDialog>
      )}
    </>
  );
}

function Facts({ job }) {
  const facts = [
    ["Submitted", timeOf(job.submitted_at)],
    ["Begun", timeOf(job.started_at)],
    ["Ended", timeOf(job.ended_at)],
    ["Took", durationOf(job)],
    ["Has to end by", job.deadline_at && timeOf(job.deadline_at)],
    ["Priority", String(job.priority)],
    ["Attempts", String(job.attempt)],
  ];
  return (
    <dl class="facts">
      {facts.filter(([, text]) => text).map(([name, text]) => [<dt key={`${name}-t`}>{name}</dt>, <dd key={name}>{text}</dd>])}
    </dl>
  );
}

function Progress({ job }) {
  const percent = job.state === "succeeded" ? 100 : job.progress?.percent;
  return (
    <>
      <p role="status">
        <span class={`job-state ${job.state}`}>{job.state}</span>
      </p>
      {!ENDED.has(job.state) && <progress max={100} value={percent} aria-label="Progress of the job" />}
      {!ENDED.has(job.state) && <p class="muted">{progressOf(job.progress)}</p>}
      {job.error && <p class="error">{job.error}</p>}
    </>
  );
}

/** #/jobs/<id> */
export function JobPage({ id }) {
  const { job, history, error } = useJob(id);
  if (!job) {
    return error ? <p class="error" role="alert">{error.message}</p> : <p class="muted">Loading…</p>;
  }
  return (
    <div class="job-page">
      {error && <p class="error" role="alert">{error.message}</p>}
      <h2>{job.kind} in {job.search_space} <code class="muted">{job.id}</code></h2>
      <div class="columns">
        <div class="job-stack">
          <section class="panel" aria-label="Progress">
            <Progress job={job} />
            <JobCharts job={job} history={history} />
            {!ENDED.has(job.state) && <Cancel job={job} />}
          </section>
          {job.result && <JobResult result={job.result} />}
        </div>
        <section class="panel" aria-labelledby="job-facts">
          <h2 id="job-facts">Job</h2>
          <Facts job={job} />
          <h3>Parameters</h3>
          <Figures of={job.params} />
        </section>
      </div>
    </div>
  );
}
