import { conditionsOf, heldOutOf, libraryFigures, shortDate, trainingOf } from "./describe.js";

function Named({ title, names }) {
  return (
    <details>
      <summary>{names.length} {title}</summary>
      <p>{names.join(", ")}</p>
    </details>
  );
}

function Library({ library }) {
  return (
    <>
      <dt>Learned from a library, too</dt>
      <dd>
        {library.n_rows.toLocaleString("en")} measurements
        <Named title="devices of the library" names={library.devices} />
        rank correlation by measurements of a new device:{" "}
        {libraryFigures(library).map(([n, rho]) => `${n}: ${rho === null ? "none" : rho.toFixed(3)}`).join(", ")}
      </dd>
    </>
  );
}

function Facts({ model, space }) {
  return (
    <dl class="facts">
      <dt>Held out</dt>
      <dd>{heldOutOf(model)}</dd>
      <dt>Trained on</dt>
      <dd>
        {trainingOf(model)}
        {model.devices?.length > 0 && <Named title="devices" names={model.devices} />}
      </dd>
      {model.library && <Library library={model.library} />}
      <dt>Conditions</dt>
      <dd>{conditionsOf(model, space)}</dd>
      <dt>Seed, data</dt>
      <dd>{model.seed ?? "not told"}{model.data_sha256 && <>, <code title={model.data_sha256}>{model.data_sha256.slice(0, 12)}</code></>}</dd>
    </dl>
  );
}

/** One version: what it is, and the button that has it served. */
export function ModelCard({ model, space, onActivate }) {
  const title = model.version ?? model.names.join(", ");
  return (
    <article class={`panel model ${model.is_served ? "served" : ""}`} aria-label={title}>
      <h3>
        <code>{title}</code>
        {model.is_served && <span class="badge">served</span>}
      </h3>
      <p class="muted">
        {[model.predictor && `predictor ${model.predictor}`, model.names.length > 0 && `named ${model.names.join(", ")}`,
          `written ${shortDate(model.modified_at)}`].filter(Boolean).join(" · ")}
      </p>
      {model.error ? <p class="error">{model.error}</p> : <Facts model={model} space={space} />}
      {!model.is_served && !model.error && (
        <div class="buttons">
          <button type="button" aria-label={`Activate ${title}`} onClick={() => onActivate(model)}>Activate</button>
        </div>
      )}
    </article>
  );
}
