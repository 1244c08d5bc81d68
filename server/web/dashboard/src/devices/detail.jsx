import { useState } from "preact/hooks";
import { getJson, path, request } from "../api.js";
import { ConfirmDialog } from "../confirm_dialog.jsx";
import { Outcome } from "../outcome.jsx";
import { useLoaded } from "../use_loaded.js";
import { useTag } from "../use_tag.js";
import { Comparison } from "./comparison.jsx";
import { withSuggestions } from "./csv.js";
import { addressOf } from "./list.jsx";
import { Measurements } from "./measurements.jsx";
import { SheetForm } from "./sheet_form.jsx";
import { Suggestions } from "./suggestions.jsx";

/** {device, etag, error}: a sheet that is malformed has no tag, and can be replaced all the same. */
async function loadDevice(name, signal) {
  const address = path`/v1/devices/${name}`;
  try {
    const reply = await request(address, { signal });
    return { etag: reply.headers.get("ETag"), device: await reply.json(), error: null };
  } catch (error) {
    if (error.status !== 409) {
      throw error;
    }
    const { devices } = await getJson("/v1/devices", { signal });
    return { etag: null, device: devices.find((device) => device.name === name) ?? { name, hardware: null, search_spaces: {} }, error };
  }
}

function Sheet({ loaded: { device, etag, error: malformed }, onChanged }) {
  const [outcome, setOutcome] = useState(null);
  const [isAsked, setIsAsked] = useState(false);
  const address = path`/v1/devices/${device.name}`;
  const [nAnew, setNAnew] = useState(0); // times that what is typed was given up for what is stored
  const tag = useTag(etag);
  const condition = () => (tag.current ? { "If-Match": tag.current } : {});
  const attempt = async (act) => {
    setOutcome(null);
    try {
      setOutcome({ done: await act() });
    } catch (error) {
      const isStale = error.status === 412;
      setOutcome({ error: isStale ? new Error("The device was changed meanwhile, and is shown as it is now. Try again if you still want to.") : error });
      if (isStale) {
        setNAnew((n) => n + 1);
        onChanged();
      }
    }
  };
  const save = (_, json) => attempt(async () => {
    const reply = await request(address, { method: "PUT", json, headers: condition() });
    tag.current = reply.headers.get("ETag");
    onChanged();
    return "The sheet is saved";
  });
  const remove = () => attempt(async () => {
    await request(address, { method: "DELETE", headers: condition() });
    const { devices } = await getJson("/v1/devices");
    if (devices.some((other) => other.name === device.name)) {
      onChanged();
    } else {
      location.hash = "#/devices";
    }
    return "The sheet is removed";
  });
  return (
    <section class="panel" aria-labelledby="sheet-title">
      <h2 id="sheet-title">Data sheet</h2>
      {malformed && <p class="error">{malformed.message}</p>}
      {!device.hardware && !malformed && <p class="muted">There is none: the device is known by other files only.</p>}
      <SheetForm key={nAnew} device={device} error={outcome?.error} onSave={save}>
        {device.hardware && <button type="button" class="plain" onClick={() => setIsAsked(true)}>Remove the sheet</button>}
      </SheetForm>
      <Outcome of={outcome} />
      {isAsked && (
        <ConfirmDialog
          title={`Remove the sheet of ${device.name}?`}
          action="Remove it"
          onAnswer={(isYes) => { setIsAsked(false); if (isYes) { remove(); } }}
        >
          <p>Its measurements stay.</p>
        </ConfirmDialog>
      )}
    </section>
  );
}

function InSpace({ device, space, stamp, onChanged }) {
  const [csv, setCsv] = useState("");
  const inSpace = device.search_spaces[space];
  return (
    <div class="stack">
      <Comparison device={device.name} space={space} inSpace={inSpace} stamp={stamp} />
      <div class="halves">
        <Measurements device={device.name} space={space} inSpace={inSpace} csv={csv} onCsv={setCsv} stamp={stamp} onStored={onChanged} />
        <Suggestions key={stamp} device={device.name} space={space} onTake={(architectures) => setCsv((last) => withSuggestions(last, architectures))} />
      </div>
    </div>
  );
}

/** A device: its sheet, and in one space what is measured and predicted of it. */
export function DeviceDetail({ name, space: wanted }) {
  // what is stored may change, in its numbers alone, without a change in what the device tells: hence the round
  const [round, setRound] = useState(0);
  const { value, error } = useLoaded(async (signal) => ({ ...(await loadDevice(name, signal)), round }), [name, round]);
  const onChanged = () => setRound((n) => n + 1);
  const spaces = Object.keys(value?.device.search_spaces ?? {});
  const space = spaces.includes(wanted) ? wanted : spaces[0];
  return (
    <div class="stack">
      <p class="back"><a href="#/devices">All devices</a></p>
      <h1>{value?.device.name ?? name}</h1>
      {error && <p class="error" role="alert">{error.message}</p>}
      {!value && !error && <p class="muted">Loading…</p>}
      {value && <Sheet loaded={value} onChanged={onChanged} />}
      {space && (
        <>
          <label class="short">
            Search space
            <select value={space} onChange={(event) => { location.hash = addressOf(name, event.target.value); }}>
              {spaces.map((one) => <option key={one} value={one}>{one}</option>)}
            </select>
          </label>
          <InSpace key={space} device={value.device} space={space} stamp={value.round} onChanged={onChanged} />
        </>
      )}
    </div>
  );
}
