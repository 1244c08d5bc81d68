import { useId } from "preact/hooks";
import { isListed, SAMPLE_SIZE } from "./architectures.js";
import {
  MOST_DEVICES, addSlot, changeSlot, chooseLimit, chooseSeed, chooseSpace, clouds, devices, hardwareOf, limitMs, limitRange,
  ownNumbersOf, removeSlot, seed, slots, space, spaces,
} from "./store.js";
import { sentencesOf, wholeText } from "./wording.js";

const OWN = "own numbers";

/** What the four numbers are, with sliders over what devices of today have; others can be typed. */
const NUMBERS = [
  { label: "Frequency, GHz", min: 0.5, max: 4, step: 0.01 },
  { label: "Dispatch width", min: 1, max: 16, step: 1 },
  { label: "Cache, MB", min: 0.25, max: 16, step: 0.25 },
  { label: "Memory bandwidth, GB/s", min: 1, max: 120, step: 0.1 },
];

export function SpaceChoice() {
  const { genes, ...chosen } = space.value ?? {};
  return (
    <div class="choices">
      <label>
        Search space
        <select value={chosen.name} onChange={(event) => chooseSpace(event.target.value)}>
          {spaces.value.map(({ name }) => <option key={name} value={name}>{name}</option>)}
        </select>
      </label>
      {genes && !isListed(chosen) && (
        <label>
          Seed of the sample
          <input
            type="number" min="0" max="4294967295" step="1" value={seed.value}
            onChange={(event) => event.target.checkValidity() && event.target.value && chooseSeed(Number(event.target.value))}
          />
        </label>
      )}
      <p class="muted">
        {chosen.about}.{" "}
        {genes && (isListed(chosen)
          ? `All ${wholeText(chosen.n_architectures)} networks are shown.`
          : `A sample of at most ${wholeText(SAMPLE_SIZE)} networks is shown, from small to large; it is no search.`)}
      </p>
    </div>
  );
}

function HardwareNumber({ about, value, onChange }) {
  const id = useId();
  const read = (event) => {
    const number = event.target.valueAsNumber;
    if (number > 0) {
      onChange(number);
    }
  };
  return (
    <div class="hardware-number">
      <label for={id}>{about.label}</label>
      <input id={id} type="number" min="0" step="any" required value={value} onInput={read} />
      <input
        type="range" aria-label={`${about.label}, slider`} min={about.min} max={about.max} step={about.step}
        value={value} onInput={read}
      />
    </div>
  );
}

function HardwareNumbers({ slot }) {
  const change = (i, number) => changeSlot(slot.id, { hardware: slot.hardware.map((old, at) => (at === i ? number : old)) });
  return NUMBERS.map((about, i) => (
    <HardwareNumber key={about.label} about={about} value={slot.hardware[i]} onChange={(number) => change(i, number)} />
  ));
}

function Device({ slot, place }) {
  const choose = (value) => changeSlot(slot.id, value === OWN ? { hardware: ownNumbersOf(slot) } : { name: value.slice(1) });
  const { error } = clouds.value[place] ?? {};
  const sheet = slot.name && hardwareOf(slot.name);
  return (
    <fieldset class="device">
      <legend><span class={`swatch series-${place + 1}`} aria-hidden="true" /> Device {place + 1}</legend>
      <label>
        Device
        <select value={slot.name ? `=${slot.name}` : OWN} onChange={(event) => choose(event.target.value)}>
          <option value={OWN}>Four numbers of my own</option>
          {devices.value.map(({ name }) => <option key={name} value={`=${name}`}>{name}</option>)}
        </select>
      </label>
      {slot.hardware && <HardwareNumbers slot={slot} />}
      {slot.name && (
        <p class="muted small">
          {sheet ? `${sheet[0]} GHz, width ${sheet[1]}, ${sheet[2]} MB, ${sheet[3]} GB/s` : "No data sheet: what is measured of it counts alone."}
        </p>
      )}
      {error && <div role="alert" class="error">{sentencesOf(error).map((text) => <p key={text}>{text}</p>)}</div>}
      {slots.value.length > 1 && (
        <button type="button" class="plain" onClick={() => removeSlot(slot.id)}>Remove<span class="hidden"> device {place + 1}</span></button>
      )}
    </fieldset>
  );
}

export function Devices() {
  return (
    <div class="device-choices">
      {slots.value.map((slot, i) => <Device key={slot.id} slot={slot} place={i} />)}
      {slots.value.length < MOST_DEVICES && (
        <button type="button" class="plain add" onClick={addSlot}>Compare with another device</button>
      )}
    </div>
  );
}

export function LimitChoice() {
  const id = useId();
  const range = limitRange.value;
  if (range === null) {
    return null;
  }
  return (
    <div class="limit">
      <label for={id}>Latency limit, ms</label>
      <input
        id={id} type="number" min="0" step="any" value={limitMs.value}
        onInput={(event) => chooseLimit(event.target.valueAsNumber)}
      />
      <input
        type="range" aria-label="Latency limit, slider" aria-valuetext={`${limitMs.value} ms`} min={range.min} max={range.max}
        step={range.step} value={limitMs.value} onInput={(event) => chooseLimit(event.target.valueAsNumber)}
      />
    </div>
  );
}
