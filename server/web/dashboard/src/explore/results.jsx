import { accuracies, architectures, bests, clouds, isSettled, labelOf, limitMs, pinned, pointAt } from "./store.js";
import { msText, percentText } from "./wording.js";

function fastestOf({ front, latency }) {
  return front.length > 0 ? `; the fastest on the front takes ${msText(latency[front[0]])}` : "";
}

function Best({ cloud, index, place }) {
  if (!cloud.front) {
    return cloud.error ? "no answer" : "asking the service …";
  }
  if (index === null) {
    return `no network keeps ${msText(limitMs.value)}${fastestOf(cloud)}`;
  }
  return (
    <>
      <button type="button" class="link" onClick={() => { pinned.value = { cloud: place, index }; }}>
        <code>{architectures.value.texts[index]}</code>
      </button>{" "}
      with {percentText(accuracies.value.values[index])} in {msText(cloud.latency[index])}
    </>
  );
}

/** The best network of each device within the limit, told aloud as it changes. */
export function Bests() {
  if (limitMs.value === null) {
    return null;
  }
  return (
    <section class="bests" aria-labelledby="bests-title" aria-live="polite" aria-busy={!isSettled.value}>
      <h2 id="bests-title">Best within {msText(limitMs.value)}</h2>
      <ul>
        {clouds.value.map((cloud, i) => (
          <li key={cloud.slot.id}>
            <span class={`swatch series-${i + 1}`} aria-hidden="true" /> {labelOf(cloud.slot)}:{" "}
            <Best cloud={cloud} index={bests.value[i]} place={i} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Row({ cloud, place, index }) {
  const point = { cloud: place, index };
  const isBest = bests.value[place] === index;
  return (
    <tr class={isBest ? "is-best" : undefined} onPointerEnter={() => pointAt(point)} onPointerLeave={() => pointAt(null)}>
      <td>
        <button
          type="button" class="link" onFocus={() => pointAt(point)} onBlur={() => pointAt(null)}
          onClick={() => { pinned.value = point; }}
        >
          <code>{architectures.value.texts[index]}</code>
        </button>
      </td>
      <td class="number">{percentText(accuracies.value.values[index])}</td>
      <td class="number">{msText(cloud.latency[index])}</td>
    </tr>
  );
}

/** The fronts in numbers: for who does not see the chart, and for who has no pointer. */
export function Fronts() {
  return clouds.value.map((cloud, i) => cloud.front && (
    <details key={cloud.slot.id} class="front">
      <summary>The front on {labelOf(cloud.slot)} as a table: {cloud.front.length} networks</summary>
      <div class="scroll tall" tabIndex={0} role="region" aria-label={`Front on ${labelOf(cloud.slot)}`}>
        <table>
          <thead>
            <tr><th scope="col">Architecture</th><th scope="col" class="number">Accuracy</th><th scope="col" class="number">Latency</th></tr>
          </thead>
          <tbody>{cloud.front.map((index) => <Row key={index} cloud={cloud} place={i} index={index} />)}</tbody>
        </table>
      </div>
    </details>
  ));
}
