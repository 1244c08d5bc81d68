import { useEffect, useState } from "preact/hooks";
import { followEvents, getJson, path, postJson } from "../api.js";
import { ConfirmDialog } from "../confirm_dialog.jsx";
import { durationOf, ENDED, grown, merged, progressOf, timeOf } from "./describe.js";
import { JobCharts } from "./job_charts.jsx";
import { Figures, JobResult } from "./job_result.jsx";

const NO_HISTORY = { points: [], front: [] };

/** {job, history: {points, front}, error} of a job, as it goes on: from its history on, whoever watched it before. */
function useJob(id) {
  const [state, setState] = useState({ job: null, history: NO_HISTORY, error: null });
  useEffect(() => {
    const abort = new AbortController();
    const update = (change) => abort.signal.aborted || setState((last) => ({ ...last, ...change(last) }));
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
    const load = async () => {
      const stored = await getJson(path`/v1/jobs/${id}/history`, { signal: abort.signal });
      update(({ history }) => ({ history: merged(stored, history) }));
    };
    const follow = async () => {
      await load();
      await followEvents(path`/v1/jobs/${id}/events`, onEvent, abort.signal);
      if (!abort.signal.aborted) {
        await load(); // a short run may have ended between two events
      }
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
        <div class="stack">
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
