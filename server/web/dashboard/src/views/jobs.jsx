import "../jobs/jobs.css";
import { JobList } from "../jobs/job_list.jsx";
import { JobPage } from "../jobs/job_page.jsx";
import { SubmitForm } from "../jobs/submit_form.jsx";

export function Jobs({ rest: [part] }) {
  return (
    <div class="jobs">
      <h1>{part ? <a href="#/jobs">Jobs</a> : "Jobs"}{part === "new" && ": a new one"}</h1>
      {!part && <JobList />}
      {part === "new" && <SubmitForm />}
      {part && part !== "new" && <JobPage key={part} id={part} />}
    </div>
  );
}
