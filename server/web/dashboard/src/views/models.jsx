import "../models/models.css";
import { useRef, useState } from "preact/hooks";
import { getJson, path, postJson } from "../api.js";
import { ConfirmDialog } from "../confirm_dialog.jsx";
import { ModelCard } from "../models/model_card.jsx";
import { Outcome } from "../outcome.jsx";
import { useLoaded } from "../use_loaded.js";

async function loadModels(signal) {
  const [{ models }, { spaces }] = await Promise.all([getJson("/v1/models", { signal }), getJson("/v1/spaces", { signal })]);
  return models.map((of) => ({ ...of, space: spaces.find((space) => space.name === of.search_space) }));
}

function SpaceModels({ of, onChanged }) {
  const [asked, setAsked] = useState(null);
  const [outcome, setOutcome] = useState(null);
  const heading = useRef(null);
  const name = of.search_space;
  const activate = async ({ version }) => {
    setOutcome(null);
    try {
      const served = await postJson(path`/v1/models/${name}/activate`, { version });
      setOutcome({ done: `${name} is served by ${served.version} now` });
      heading.current?.focus(); // the button that had the focus is no more
    } catch (error) {
      setOutcome({ error });
    }
    onChanged(); // after a refusal, too: what is listed may be what is no longer there
  };
  return (
    <section class="models-space" aria-labelledby={`models-${name}`}>
      <h2 id={`models-${name}`} ref={heading} tabIndex={-1}>{name}</h2>
      {!of.served && <p class="muted">No model is served: predictions in this space are refused until one is activated or trained.</p>}
      <Outcome of={outcome} />
      <div class="model-cards">
        {of.versions.map((model) => (
          <ModelCard key={model.version ?? model.names.join()} model={model} space={of.space} onActivate={setAsked} />
        ))}
      </div>
      {asked && (
        <ConfirmDialog
          title={`Serve ${asked.version}?`}
          action="Serve it"
          onAnswer={(isYes) => {
            setAsked(null);
            if (isYes) {
              activate(asked);
            }
          }}
        >
          <p>
            From then on it answers all predictions in {name} that name no model
            {of.served && <>, instead of <code>{of.served.version}</code>, which is kept</>}.
          </p>
        </ConfirmDialog>
      )}
    </section>
  );
}

export function Models() {
  const { value, error, isLoading, reload } = useLoaded(loadModels, []);
  return (
    <div class="models">
      <h1>Models</h1>
      <p>
        <button type="button" class="plain" onClick={reload} disabled={isLoading}>Look again</button>
      </p>
      {error && <p class="error" role="alert">{error.message}</p>}
      {value === null && !error && <p class="muted">Loading…</p>}
      {value?.map((of) => <SpaceModels key={of.search_space} of={of} onChanged={reload} />)}
    </div>
  );
}
