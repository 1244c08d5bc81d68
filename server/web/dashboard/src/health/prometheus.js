// Reads the text format of Prometheus (0.0.4). Pure.

const SAMPLE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? +(\S+)/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { n: "\n", "\\": "\\", '"': '"' };
const SPECIAL = { "+Inf": Infinity, "-Inf": -Infinity, NaN: NaN };

function labelsOf(text) {
  return Object.fromEntries([...text.matchAll(LABEL)].map(([, name, value]) => [
    name,
    value.replace(/\\(.)/g, (_, letter) => ESCAPED[letter] ?? letter),
  ]));
}

function valueOf(text) {
  return text in SPECIAL ? SPECIAL[text] : Number(text);
}

/** Map of a sample's name to [{labels, value}]; lines that are no samples are passed over. */
export function parseMetrics(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = line.match(SAMPLE) ?? [];
    if (name) {
      const sample = { labels: labelsOf(labels), value: valueOf(value) };
      found.set(name, [...(found.get(name) ?? []), sample]);
    }
  }
  return found;
}

/** The sum of the samples of a name for whose labels `isWanted` holds; 0 where there are none. */
export function sumOf(metrics, name, isWanted = () => true) {
  return (metrics.get(name) ?? []).filter(({ labels }) => isWanted(labels)).reduce((sum, { value }) => sum + value, 0);
}
