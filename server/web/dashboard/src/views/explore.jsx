import { useEffect } from "preact/hooks";
import { Architecture } from "../explore/architecture.jsx";
import { Devices, LimitChoice, SpaceChoice } from "../explore/controls.jsx";
import "../explore/explore.css";
import { Bests, Fronts } from "../explore/results.jsx";
import { Scatter } from "../explore/scatter.jsx";
import { accuracies, listError, load, shown, space, spaces, tryAgain } from "../explore/store.js";
import { sentencesOf, sourceText } from "../explore/wording.js";

function Refused({ error, children }) {
  return (
    <div role="alert" class="panel error">
      {children}
      {sentencesOf(error).map((text) => <p key={text}>{text}</p>)}
      <button type="button" onClick={tryAgain}>Try again</button>
    </div>
  );
}

/** Where nothing tells accuracies there is no front, and this says why. */
function Chart() {
  const told = accuracies.value;
  if (told?.error) {
    const isUnknown = told.error.status === 404;
    return (
      <Refused error={told.error}>
        <p>
          {isUnknown
            ? `Nothing tells the accuracy of networks of ${space.value.name}, so there is nothing to draw.`
            : `The accuracies of networks of ${space.value.name} could not be read.`}
        </p>
      </Refused>
    );
  }
  return (
    <>
      <Scatter />
      <LimitChoice />
      <Bests />
      <Fronts />
      {told && <p class="muted small">{sourceText(told.source)}</p>}
    </>
  );
}

export function Explore() {
  useEffect(() => {
    load();
  }, []);
  return (
    <div class="explore">
      <h1>Explore</h1>
      {listError.value && <Refused error={listError.value}><p>The search spaces and devices could not be read.</p></Refused>}
      {!spaces.value && !listError.value && <p role="status" class="muted">Asking the service …</p>}
      {spaces.value && (
        <>
          <div class="panel">
            <SpaceChoice />
            <Devices />
          </div>
          <div class="columns">
            <div class="panel"><Chart /></div>
            {shown.value && <Architecture />}
          </div>
        </>
      )}
    </div>
  );
}
