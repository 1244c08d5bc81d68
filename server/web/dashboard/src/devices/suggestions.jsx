import { useState } from "preact/hooks";
import { path, postJson, request, saveAs } from "../api.js";
import { Outcome } from "../outcome.jsx";
import { fileName } from "./csv.js";

/** Which architectures to measure next. `onTake(architectures)` writes them where measurements are typed. */
export function Suggestions({ device, space, onTake }) {
  const [asked, setAsked] = useState(null); // {body, reply}
  const [outcome, setOutcome] = useState(null);
  const address = path`/v1/devices/${device}/suggest`;
  const attempt = async (act) => {
    setOutcome(null);
    try {
      setOutcome({ done: await act() });
    } catch (error) {
      setOutcome({ error });
    }
  };
  const ask = (event) => {
    event.preventDefault();
    const body = { search_space: space, n: Number(new FormData(event.target).get("n")) };
    return attempt(async () => {
      const reply = await postJson(address, body);
      setAsked({ body, reply });
      return `${reply.architectures.length} architectures, the one that teaches most first`;
    });
  };
  const download = () => attempt(async () => {
    const reply = await request(address, { method: "POST", json: asked.body, headers: { Accept: "text/csv" } });
    saveAs(await reply.blob(), fileName("measure", device, space));
    return "Downloaded, with a second column to be filled in";
  });
  return (
    <section class="panel" aria-labelledby="suggest-title">
      <h2 id="suggest-title">What to measure next</h2>
      <form class="inline" onSubmit={ask}>
        <label>
          How many architectures
          <input type="number" name="n" defaultValue="10" min="1" max="100" required />
        </label>
        <button type="submit">Suggest</button>
      </form>
      <Outcome of={outcome} />
      {asked && (
        <>
          <ol class="suggested">
            {asked.reply.architectures.map((architecture, i) => (
              <li key={architecture}>
                <code>{architecture}</code>
                {asked.reply.notations[i] !== architecture && <div class="muted"><code>{asked.reply.notations[i]}</code></div>}
              </li>
            ))}
          </ol>
          <div class="buttons">
            <button type="button" onClick={download}>Download as CSV</button>
            <button type="button" class="plain" onClick={() => onTake(asked.reply.architectures)}>Write into the box of measurements</button>
          </div>
        </>
      )}
    </section>
  );
}
