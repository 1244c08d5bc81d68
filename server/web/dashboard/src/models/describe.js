// What a model of /v1/models is, in words.

const SOURCES = {
  "a.txt": "the space's own A (a.txt)",
  latency: "latency files of devices",
  library: "a library of devices alone",
};

export function shortDate(timestamp) {
  return timestamp ? timestamp.slice(0, 16).replace("T", " ") + " UTC" : "the file is gone";
}

export function conditionsOf(model, space) {
  const { input, batch, runtime } = { ...space?.conditions, ...model.conditions };
  const parts = [input && `input ${input}`, batch && `batch ${batch}`, runtime];
  return parts.filter(Boolean).join(", ") || "not told";
}

export function heldOutOf(model) {
  if (model.r_held_out === undefined || model.r_held_out === null) {
    return "not measured";
  }
  return `R ${model.r_held_out.toFixed(4)}${model.validation ? ` (${model.validation})` : ""}`;
}

export function trainingOf(model) {
  const source = SOURCES[model.source] ?? model.source ?? "not told";
  return model.n_rows ? `${model.n_rows.toLocaleString("en")} architectures of ${source}` : source;
}

/** [measurements of a device, rank correlation], fewest first */
export function libraryFigures(library) {
  return Object.entries(library.spearman).sort(([a], [b]) => a - b);
}
