import { useState } from "preact/hooks";
import { getJson, path, request } from "../api.js";
import { Outcome } from "../outcome.jsx";
import { useLoaded } from "../use_loaded.js";
import { HARDWARE } from "./sheet.js";
import { SheetForm } from "./sheet_form.jsx";

export const addressOf = (name, space) => `#/devices/${encodeURIComponent(name)}${space ? `/${encodeURIComponent(space)}` : ""}`;

function NewDevice() {
  const [error, setError] = useState(null);
  const save = async (name, json) => {
    try {
      const reply = await request(path`/v1/devices/${name}`, { method: "PUT", json, headers: { "If-None-Match": "*" } });
      location.hash = addressOf((await reply.json()).name);
    } catch (refusal) {
      setError(refusal);
    }
  };
  return (
    <details class="panel">
      <summary>New device</summary>
      <SheetForm device={null} error={error} onSave={save} />
      <Outcome of={error && { error: error.status === 412 ? new Error("There is a device of this name already: choose it below") : error }} />
    </details>
  );
}

function measuredOf(there) {
  const parts = [there?.n_measurements > 0 && String(there.n_measurements), there?.has_latency && "latency file"];
  return parts.filter(Boolean).join(" + ") || "–";
}

function Row({ device, spaces }) {
  return (
    <tr>
      <th scope="row">
        <a href={addressOf(device.name)}>{device.name}</a>
        {device.error && <div class="error">{device.error}</div>}
      </th>
      {HARDWARE.map(([name]) => <td key={name} class="number">{device.hardware?.[name] ?? "–"}</td>)}
      <td>{device.chip ?? ""}{device.estimated && " (estimated)"}</td>
      {spaces.map((space) => {
        const there = device.search_spaces[space];
        return (
          <td key={space} class="number">
            {there?.error ? <span class="error">malformed</span> : measuredOf(there)}
          </td>
        );
      })}
    </tr>
  );
}

export function DeviceList() {
  const { value, error } = useLoaded(async (signal) => (await getJson("/v1/devices", { signal })).devices, []);
  const [wanted, setWanted] = useState("");
  const devices = (value ?? []).filter((device) => device.name.toLowerCase().includes(wanted.trim().toLowerCase()));
  const spaces = Object.keys(value?.[0]?.search_spaces ?? {});
  return (
    <div class="stack">
      <h1>Devices</h1>
      <NewDevice />
      <section class="panel" aria-label="All devices">
        <label class="short">
          Find a device
          <input type="search" value={wanted} onInput={(event) => setWanted(event.target.value)} />
        </label>
        <p role="status" class="muted">{value && `${devices.length} of ${value.length} devices`}</p>
        {error && <p class="error" role="alert">{error.message}</p>}
        <div class="scroll" tabIndex={0} role="region" aria-label="Table of devices">
          <table>
            <thead>
              <tr>
                <th scope="col">Device</th>
                {HARDWARE.map(([name, , , head]) => <th key={name} scope="col" class="number">{head}</th>)}
                <th scope="col">Chip</th>
                {spaces.map((space) => <th key={space} scope="col" class="number">Measured, {space}</th>)}
              </tr>
            </thead>
            <tbody>{devices.map((device) => <Row key={device.name} device={device} spaces={spaces} />)}</tbody>
          </table>
        </div>
      </section>
    </div>
  );
}
