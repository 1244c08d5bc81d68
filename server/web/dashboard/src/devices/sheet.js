// A data sheet between the form and the service.

/** name of the field, label, unit, head of a column */
export const HARDWARE = [
  ["frequency_ghz", "Clock of the big core", "GHz", "Clock, GHz"],
  ["dispatch_width", "Dispatch width", "micro-operations a cycle", "Dispatch width"],
  ["cache_mb", "Last-level cache", "MB", "Cache, MB"],
  ["memory_bandwidth_gbs", "Memory bandwidth", "GB/s", "Bandwidth, GB/s"],
];

/** The body of PUT /v1/devices/{device}. */
export function sheetOf(form) {
  const text = (name) => form.get(name).trim() || null;
  return {
    hardware: Object.fromEntries(HARDWARE.map(([name]) => [name, Number(form.get(name))])),
    chip: text("chip"),
    source: text("source"),
    estimated: form.has("estimated"),
  };
}

/** What the service says of a field of the form, or null. */
export function refusalOf(error, name) {
  return error?.errors?.find(({ pointer }) => pointer.split("/").pop() === name)?.detail ?? null;
}
