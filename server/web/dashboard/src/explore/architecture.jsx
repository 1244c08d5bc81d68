import { useEffect, useState } from "preact/hooks";
import { getJson, hasToken, path, request, saveAs } from "../api.js";
import { ArchitectureDrawing } from "./architecture_drawing.jsx";
import { accuracies, architectures, clouds, labelOf, pinned, shown, space, targetOf } from "./store.js";
import { curlOf, msText, percentText, sentencesOf, shortText, wholeText } from "./wording.js";

const PAUSE_MS = 60; // a pointer that passes by asks for nothing
const MOST_KEPT = 2000;
const keptOf = new WeakMap(); // by space as it was told: {address: costs}, which never change

function keptCosts(space) {
  let kept = keptOf.get(space);
  if (!kept || kept.size >= MOST_KEPT) {
    kept = new Map();
    keptOf.set(space, kept);
  }
  return kept;
}

/** {costs} or {error} of an address; the last ones until they are there. */
function useCosts(of, address) {
  const [told, setTold] = useState({});
  useEffect(() => {
    const kept = keptCosts(of);
    const known = kept.get(address);
    if (known) {
      setTold({ address, costs: known });
      return undefined;
    }
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const costs = await getJson(address, { signal: abort.signal });
        kept.set(address, costs);
        setTold({ address, costs });
      } catch (error) {
        if (!abort.signal.aborted) {
          setTold({ address, error });
        }
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [of, address]);
  return told;
}

/** Where the clipboard is not open to a page (http from another host) the text is copied as if it were selected by hand. */
async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  if (!isDone) {
    throw new Error("the browser does not let this page copy");
  }
}

async function download(address, name) {
  const reply = await request(address, { headers: { Accept: "application/onnx" } });
  saveAs(await reply.blob(), name);
}

function Actions({ address, costs, slot }) {
  const [said, setSaid] = useState({});
  const run = (begun, work, done) => async () => {
    setSaid({ text: begun });
    try {
      await work();
      setSaid({ text: done });
    } catch (error) {
      setSaid({ error });
    }
  };
  const copies = {
    notation: costs.architecture,
    genes: JSON.stringify(costs.genes),
    "curl command": curlOf({ origin: location.origin, space: costs.search_space, genes: costs.genes, target: targetOf(slot), hasToken: hasToken() }),
  };
  const name = `${costs.search_space}-${costs.genes.join(costs.search_space === "nasbench201" ? "" : "-")}.onnx`;
  return (
    <>
      <div class="buttons">
        {Object.entries(copies).map(([what, text]) => (
          <button key={what} type="button" class="plain" onClick={run("", () => copy(text), `The ${what} is copied.`)}>Copy {what}</button>
        ))}
        <button type="button" onClick={run("The network is being made …", () => download(address, name), `${name} is saved.`)}>Download ONNX</button>
      </div>
      <p role="status" class="small">{said.text}</p>
      {said.error && <div role="alert" class="error">{sentencesOf(said.error).map((text) => <p key={text}>{text}</p>)}</div>}
    </>
  );
}

function Figures({ costs, index }) {
  const value = accuracies.value?.values[index];
  return (
    <dl class="facts amounts">
      <dt>Accuracy</dt>
      <dd>{Number.isNaN(value) || value === undefined ? "not known" : percentText(value)}</dd>
      {clouds.value.map(({ slot, latency }, i) => latency && (
        <>
          <dt><span class={`swatch series-${i + 1}`} aria-hidden="true" /> On {labelOf(slot)}</dt>
          <dd>{msText(latency[index])}</dd>
        </>
      ))}
      <dt>Multiply-adds</dt>
      <dd title={wholeText(costs.macs)}>{shortText(costs.macs)}</dd>
      <dt>Parameters</dt>
      <dd title={wholeText(costs.params)}>{shortText(costs.params)}</dd>
      <dt>Memory traffic</dt>
      <dd title={wholeText(costs.traffic_bytes)}>{shortText(costs.traffic_bytes)}B</dd>
    </dl>
  );
}

const WHY = { pointed: "Network pointed at", pinned: "Network kept", best: "Best network" };

/** The network that is pointed at, or else was kept by a click, or else is the best within the limit. */
export function Architecture() {
  const { cloud, index, why } = shown.value;
  const text = architectures.value.texts[index];
  const address = path`/v1/spaces/${space.value.name}/architectures/${text}`;
  const { address: toldOf, costs, error } = useCosts(space.value, address);
  return (
    <section class="panel architecture" aria-labelledby="architecture-title">
      <h2 id="architecture-title">{WHY[why]}</h2>
      <p><code>{text}</code></p>
      {error && toldOf === address && <div role="alert" class="error">{sentencesOf(error).map((one) => <p key={one}>{one}</p>)}</div>}
      {costs && costs.search_space === space.value.name && (
        <div class={toldOf === address ? undefined : "stale"}>
          <ArchitectureDrawing space={space.value} genes={costs.genes} notation={costs.architecture} />
          <Figures costs={costs} index={index} />
          <Actions key={toldOf} address={toldOf} costs={costs} slot={clouds.value[cloud].slot} />
        </div>
      )}
      {pinned.value
        ? <button type="button" class="plain" onClick={() => { pinned.value = null; }}>Back to the best</button>
        : <p class="muted small">A click on a point keeps it here.</p>}
    </section>
  );
}
