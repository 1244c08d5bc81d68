// Numbers and commands as people read them.

const ms = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 5 });
const percent = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const whole = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });

export const msText = (value) => `${ms.format(value)} ms`;
export const percentText = (value) => `${percent.format(value)} %`;
export const wholeText = (value) => whole.format(value);
export const shortText = (value) => short.format(value);

/** In single quotes for a shell. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The command that asks for the latency again. A token stays out of it: it is named as a variable. */
export function curlOf({ origin, space, genes, target, hasToken }) {
  const body = JSON.stringify({ search_space: space, ...target, architectures: [genes] });
  const token = hasToken ? ` -H "Authorization: Bearer $DGLD_TOKEN"` : "";
  return `curl${token} --json ${quoted(body)} ${origin}/v1/predict`;
}

/** What went wrong, with every field that the service names. */
export function sentencesOf(error) {
  const details = (error.errors ?? []).map(({ pointer, detail }) => (pointer ? `${pointer}: ${detail}` : detail));
  return details.length > 0 ? details : [error.message];
}

/** What accuracies come from. */
export function sourceText(source) {
  if (source.source === "table") {
    return `Accuracies: the table in the space's data, ${wholeText(source.n_rows)} networks.`;
  }
  const data = source.dataset ? ` (${source.dataset})` : "";
  return `Accuracies: told by the predictor “${source.predictor}”${data}, version ${source.version}.`;
}
