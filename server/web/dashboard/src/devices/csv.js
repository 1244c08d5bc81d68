// Measurements as CSV: what is uploaded, and what the service says of its lines.

export const HEADER = "architecture,latency_ms";

/** `text`, followed by the rows of `stored`: the lines of `text` keep their numbers. */
export function withStored(text, stored) {
  const rows = stored.split(/\r?\n/).slice(1);
  return [text.trimEnd(), ...rows].join("\n");
}

/** Rows to be filled in, behind what is written already. */
export function withSuggestions(text, architectures) {
  const start = text.trim() === "" ? HEADER : text.trimEnd();
  return `${[start, ...architectures.map((architecture) => `${architecture},`)].join("\n")}\n`;
}

/** [{line, detail}] of an ApiError; line is null where the sentence names none. */
export function errorsByLine(error) {
  const sentences = error.errors.length > 0 ? error.errors.map((e) => e.detail) : [error.message];
  return sentences.map((sentence) => {
    const found = /^line (\d+): (.*)$/s.exec(sentence);
    return found ? { line: Number(found[1]), detail: found[2] } : { line: null, detail: sentence };
  });
}

/** [start, end] of a line, from 1, in a text. */
export function placeOfLine(text, line) {
  const lines = text.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  return [start, start + (lines[line - 1] ?? "").length];
}

export function fileName(...parts) {
  return `${parts.map((part) => part.replace(/[^\w.+-]+/g, "_")).join("-")}.csv`;
}
