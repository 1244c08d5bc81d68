import { useRef, useState } from "preact/hooks";
import { path, request, saveAs } from "../api.js";
import { ConfirmDialog } from "../confirm_dialog.jsx";
import { Outcome } from "../outcome.jsx";
import { useLoaded } from "../use_loaded.js";
import { useTag } from "../use_tag.js";
import { errorsByLine, fileName, HEADER, placeOfLine, withStored } from "./csv.js";

const N_SHOWN_MAX = 500_000; // characters: more is sent as it is, and not shown for editing
const N_ERRORS_SHOWN = 100;

const stampOf = async (address, signal) => (await request(address, { method: "HEAD", signal })).headers.get("ETag");

/** The condition of a write: that what is stored is what was seen. A file that is malformed has no tag. */
function conditionOf(etag, isMalformed) {
  if (isMalformed) {
    return {};
  }
  return etag ? { "If-Match": etag } : { "If-None-Match": "*" };
}

function Lines({ error, text, box }) {
  const errors = errorsByLine(error);
  const show = (line) => {
    box.current?.focus();
    box.current?.setSelectionRange(...placeOfLine(text, line));
  };
  return (
    <>
      <p>Nothing was stored.</p>
      <ul>
        {errors.slice(0, N_ERRORS_SHOWN).map(({ line, detail }, i) => (
          <li key={i}>
            {line !== null && <><button type="button" class="plain small" onClick={() => show(line)}>Line {line}</button> </>}
            {detail}
          </li>
        ))}
      </ul>
      {errors.length > N_ERRORS_SHOWN && <p>and {errors.length - N_ERRORS_SHOWN} more</p>}
    </>
  );
}

function Box({ csv, onCsv, box }) {
  if (csv.length > N_SHOWN_MAX) {
    return (
      <p>
        {csv.length.toLocaleString("en")} characters, too many to be edited here; they are sent as they are.{" "}
        <button type="button" class="plain small" onClick={() => onCsv("")}>Leave them</button>
      </p>
    );
  }
  return (
    <label>
      CSV: a line for each measurement, the architecture and its latency in milliseconds
      <textarea ref={box} rows={8} spellcheck={false} placeholder={HEADER} value={csv} onInput={(event) => onCsv(event.target.value)} />
    </label>
  );
}

/** What is measured of a device: stored, added to, removed. `csv` is what is typed, `onStored` is called after a change. */
export function Measurements({ device, space, inSpace, csv, onCsv, stamp, onStored }) {
  const address = path`/v1/devices/${device}/measurements/${space}`;
  const own = `${address}?source=measurements`;
  const isThere = inSpace.n_measurements > 0;
  const isMalformed = Boolean(inSpace.error);
  const { value: etag, error: loadError } = useLoaded(async (signal) => (isThere && !isMalformed ? stampOf(own, signal) : null), [own, isThere, stamp]);
  const tag = useTag(etag);
  const isReady = !isThere || isMalformed || tag.current !== null || etag !== null;
  const [isAdded, setIsAdded] = useState(false);
  const [isDragged, setIsDragged] = useState(false);
  const [isAsked, setIsAsked] = useState(false);
  const [refused, setRefused] = useState(null);
  const [outcome, setOutcome] = useState(null);
  const box = useRef(null);

  const take = async ([file]) => {
    if (file) {
      onCsv(await file.text());
      setRefused(null);
      setOutcome({ done: `${file.name} is in the box; it is not stored yet` });
    }
  };
  const attempt = async (act) => {
    setOutcome(null);
    setRefused(null);
    try {
      setOutcome({ done: await act() });
    } catch (error) {
      if (error.status === 412) {
        setOutcome({ error: new Error("What is stored was changed meanwhile, and is shown as it is now. Try again if you still want to.") });
        onStored();
      } else {
        setRefused(error);
      }
    }
  };
  const put = async (body, condition) => {
    const reply = await request(address, { method: "PUT", body, type: "text/csv", headers: condition });
    tag.current = reply.headers.get("ETag");
    const { n_measurements: n } = await reply.json();
    onCsv("");
    onStored();
    return `${n.toLocaleString("en")} measurements are stored`;
  };
  const store = () => attempt(async () => {
    if (!isAdded || !isThere || isMalformed) {
      return put(csv, conditionOf(tag.current, isMalformed));
    }
    const stored = await request(own, { headers: { Accept: "text/csv" } });
    return put(withStored(csv, await stored.text()), { "If-Match": stored.headers.get("ETag") });
  });
  const download = () => attempt(async () => {
    const reply = await request(own, { headers: { Accept: "text/csv" } });
    saveAs(await reply.blob(), fileName(device, space));
    return "Downloaded";
  });
  const remove = () => attempt(async () => {
    await request(address, { method: "DELETE", headers: tag.current ? { "If-Match": tag.current } : {} });
    tag.current = null;
    onStored();
    return "The measurements are removed";
  });

  return (
    <section
      class={`panel ${isDragged ? "dragged" : ""}`}
      aria-labelledby="measurements-title"
      onDragOver={(event) => { event.preventDefault(); setIsDragged(true); }}
      onDragLeave={() => setIsDragged(false)}
      onDrop={(event) => { event.preventDefault(); setIsDragged(false); take(event.dataTransfer.files); }}
    >
      <h2 id="measurements-title">Measurements</h2>
      <p>
        {isThere ? `Measured and stored: ${inSpace.n_measurements.toLocaleString("en")}.` : "Nothing is stored of this device in this space."}
        {inSpace.has_latency && " There is a latency file of the reference, too; predictions do not learn from it."}
      </p>
      {inSpace.error && <p class="error">{inSpace.error}</p>}
      {loadError && <p class="error" role="alert">{loadError.message}</p>}
      <Box csv={csv} onCsv={onCsv} box={box} />
      <label>
        or a file, which may be dropped here, too
        <input type="file" accept=".csv,text/csv,text/plain" onChange={(event) => { take(event.target.files); event.target.value = ""; }} />
      </label>
      {isThere && !isMalformed && (
        <label class="check">
          <input type="checkbox" checked={isAdded} onChange={(event) => setIsAdded(event.target.checked)} /> Keep what is stored, and add these
        </label>
      )}
      <div class="buttons">
        <button type="button" disabled={!isReady} onClick={store}>{isThere && !isAdded ? "Store instead of what is there" : "Store"}</button>
        {isThere && !isMalformed && <button type="button" class="plain" onClick={download}>Download as CSV</button>}
        {(isThere || isMalformed) && <button type="button" class="plain" onClick={() => setIsAsked(true)}>Remove all</button>}
      </div>
      <Outcome of={outcome} />
      <div role="alert" class="error">{refused && <Lines error={refused} text={csv} box={box} />}</div>
      {isAsked && (
        <ConfirmDialog
          title="Remove the measurements?"
          action="Remove them"
          onAnswer={(isYes) => { setIsAsked(false); if (isYes) { remove(); } }}
        >
          <p>All that is stored of {device} in {space} is gone then; download it first if it is not kept elsewhere.</p>
        </ConfirmDialog>
      )}
    </section>
  );
}
