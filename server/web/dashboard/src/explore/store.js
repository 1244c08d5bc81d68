// What the view knows: what was chosen, what the service answered, and what follows from both. It outlives the view, so that
// who comes back finds it as it was.
import { batch, computed, effect, signal } from "@preact/signals";
import { getJson, path, postJson } from "../api.js";
import { architecturesOf } from "./architectures.js";
import { bestWithin, extentOf, factorOf, limitRangeOf, paretoFront } from "./front.js";

export const MOST_DEVICES = 4;
const MLP_BATCH = 4096;
const TYPING_MS = 150; // hardware is asked for when it has not changed for so long
const ANY_HARDWARE = [2, 3, 1, 7.46];

// ---- what was chosen ----

export const spaceName = signal("nasbench201");
export const seed = signal(1);
/** {id, name} of a device, or {id, hardware: [F, D, C, M]}; the first is there once devices are known. */
export const slots = signal([]);
const chosenLimit = signal(null);
/** {cloud, index} of the point under the pointer or in focus, and of the one that stays. */
export const pointed = signal(null);
export const pinned = signal(null);

// ---- what was answered ----

export const spaces = signal(null);
export const devices = signal(null);
export const listError = signal(null);
/** {of: architectures, values, source} or {of, error} */
const accuracy = signal(null);
/** by keyOf(slot): {latency} or {error} */
const rows = signal(new Map());
const lastRows = new Map(); // by slot id: {latency, hardware} that came last, to be rescaled until the next is there
const round = signal(0); // of asking anew after an error

export const space = computed(() => spaces.value?.find(({ name }) => name === spaceName.value) ?? null);
export const architectures = computed(() => (space.value ? architecturesOf(space.value, seed.value) : null));
export const accuracies = computed(() => (accuracy.value?.of === architectures.value ? accuracy.value : null));

const keyOf = (slot) => slot.name ?? JSON.stringify(slot.hardware);
export const labelOf = (slot) => slot.name ?? `own numbers (${slot.hardware.join(", ")})`;
/** The member of a prediction that says for which device. */
export const targetOf = (slot) => (slot.name ? { device: slot.name } : { hardware: slot.hardware });

/** [F, D, C, M] of a device's data sheet, null where it has none. */
export function hardwareOf(name) {
  const sheet = devices.value?.find((device) => device.name === name);
  const told = sheet?.search_spaces?.[spaceName.value]?.hardware ?? sheet?.hardware;
  return told ? [told.frequency_ghz, told.dispatch_width, told.cache_mb, told.memory_bandwidth_gbs] : null;
}

// ---- what follows ----

function latencyOf(slot) {
  const row = rows.value.get(keyOf(slot));
  if (row?.latency) {
    return { latency: row.latency, isSettled: true };
  }
  const last = lastRows.get(slot.id);
  const hardware = slot.hardware ?? hardwareOf(slot.name);
  if (!row && last?.of === architectures.value && last.hardware && hardware) {
    const ratio = factorOf(hardware) / factorOf(last.hardware);
    return ratio > 0 && Number.isFinite(ratio) ? { latency: last.latency.map((one) => one * ratio) } : {};
  }
  return { error: row?.error };
}

/** A device's networks: {slot, latency, isSettled, front} or {slot, error}, neither while it is asked for. */
export const clouds = computed(() =>
  slots.value.map((slot) => {
    const { latency, isSettled = false, error } = latencyOf(slot);
    const values = accuracies.value?.values;
    return { slot, latency, isSettled, error, front: latency && values ? paretoFront(latency, values) : null };
  }),
);

const extent = computed(() => extentOf(clouds.value.flatMap(({ latency }) => (latency ? [latency] : []))));
export const limitRange = computed(() => extent.value && limitRangeOf(extent.value));

function usualLimit() {
  const { latency, front } = clouds.value.find((cloud) => cloud.front?.length > 0) ?? {};
  const { step } = limitRange.value;
  return front ? Number((Math.ceil(latency[front[front.length >> 1]] / step) * step).toPrecision(12)) : limitRange.value.max;
}

/** In milliseconds; null until latencies are there. */
export const limitMs = computed(() => chosenLimit.value ?? (limitRange.value && usualLimit()));

/** Of each cloud the place of the best network within the limit, null where there is none. */
export const bests = computed(() =>
  clouds.value.map(({ front, latency }) => (front ? bestWithin(front, latency, limitMs.value) : null)),
);

const isSame = (one, other) => one?.cloud === other?.cloud && one?.index === other?.index;

/** What the panel beside shows: {cloud, index, why}. */
export const shown = computed(() => {
  const firstBest = bests.value.findIndex((index) => index !== null);
  const all = [
    pointed.value && !isSame(pointed.value, pinned.value) && { ...pointed.value, why: "pointed" },
    pinned.value && { ...pinned.value, why: "pinned" },
    firstBest >= 0 && { cloud: firstBest, index: bests.value[firstBest], why: "best" },
  ];
  return all.find((one) => one && clouds.value[one.cloud]?.latency) || null;
});

export const isSettled = computed(
  () => accuracies.value !== null && clouds.value.every((cloud) => cloud.isSettled || cloud.error) && clouds.value.length > 0,
);

// ---- choosing ----

function forgetPoints() {
  pointed.value = null;
  pinned.value = null;
}

/** What the pointer or the focus is at: {cloud, index} or null. */
export function pointAt(point) {
  if (!isSame(pointed.value, point)) {
    pointed.value = point;
  }
}

export function chooseSpace(name) {
  batch(() => {
    spaceName.value = name;
    chosenLimit.value = null;
    forgetPoints();
  });
}

export function chooseSeed(number) {
  batch(() => {
    seed.value = number;
    forgetPoints();
  });
}

export function chooseLimit(ms) {
  if (Number.isFinite(ms) && ms > 0) {
    chosenLimit.value = ms;
  }
}

let slotIds = 0;

export function addSlot() {
  const taken = new Set(slots.value.map(({ name }) => name));
  const free = devices.value?.find((device) => !taken.has(device.name));
  slots.value = [...slots.value, { id: slotIds++, ...(free ? { name: free.name } : { hardware: ANY_HARDWARE }) }];
}

export function removeSlot(id) {
  batch(() => {
    slots.value = slots.value.filter((slot) => slot.id !== id);
    forgetPoints();
  });
}

/** `what` is {name} or {hardware}. */
export function changeSlot(id, what) {
  slots.value = slots.value.map((slot) => (slot.id === id ? { id, ...what } : slot));
}

/** Numbers to begin with: those of the device that was chosen, where it has a data sheet. */
export const ownNumbersOf = (slot) => hardwareOf(slot.name) ?? ANY_HARDWARE;

// ---- asking ----

/** Loads what may have changed while another view was shown, too. */
export async function load() {
  try {
    const [listed, known] = await Promise.all([getJson("/v1/spaces"), getJson("/v1/devices")]);
    batch(() => {
      listError.value = null;
      devices.value = known.devices;
      // one that is told as before stays the same object: nothing that follows from it is made anew
      if (JSON.stringify(listed.spaces) !== JSON.stringify(spaces.value)) {
        spaces.value = listed.spaces;
      }
      rows.value = new Map();
      if (slots.value.length === 0) {
        addSlot();
      }
    });
  } catch (error) {
    listError.value = error;
  }
}

/** After an error: everything that is not there is asked for again. */
export function tryAgain() {
  if (listError.value) {
    load();
    return;
  }
  rows.value = new Map([...rows.value].filter(([, row]) => row.latency));
  accuracy.value = accuracy.value?.error ? null : accuracy.value;
  round.value++;
}

effect(() => {
  const all = architectures.value;
  const abort = new AbortController();
  if (round.value < 0 || all === null || accuracy.peek()?.of === all) {
    return undefined;
  }
  postJson(path`/v1/spaces/${all.space.name}/accuracy`, { architectures: all.texts }, { signal: abort.signal }).then(
    (reply) => {
      accuracy.value = { of: all, values: Float64Array.from(reply.accuracy, (one) => one ?? NaN), source: reply.source };
    },
    (error) => {
      if (!abort.signal.aborted) {
        accuracy.value = { of: all, error };
      }
    },
  );
  return () => abort.abort();
});

const asked = new Map(); // by key: {of: architectures, abort} of what is under way

function pause(ms, abort) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    abort.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("no longer wanted", "AbortError"));
    });
  });
}

function settle(all, key, row) {
  asked.delete(key);
  const wanted = new Set(slots.value.map(keyOf));
  for (const slot of slots.value) {
    if (row.latency && keyOf(slot) === key) {
      lastRows.set(slot.id, { of: all, latency: row.latency, hardware: slot.hardware ?? hardwareOf(slot.name) });
    }
  }
  rows.value = new Map([...rows.value, [key, row]].filter(([one]) => wanted.has(one)));
}

/** What one call each can ask for: the paper's predictor takes few architectures at a time. */
function partsOf({ space: { model }, texts }) {
  const size = model?.predictor === "mlp" ? MLP_BATCH : texts.length;
  return Array.from({ length: Math.ceil(texts.length / size) }, (_, i) => texts.slice(i * size, (i + 1) * size));
}

async function askLatencies(all, slot) {
  const abort = new AbortController();
  const key = keyOf(slot);
  asked.set(key, { of: all, abort });
  try {
    if (slot.hardware) {
      await pause(TYPING_MS, abort.signal);
    }
    const latency = [];
    for (const architectures of partsOf(all)) {
      const body = { search_space: all.space.name, ...targetOf(slot), architectures };
      const reply = await postJson("/v1/predict", body, { signal: abort.signal });
      latency.push(...reply.latency_ms);
    }
    settle(all, key, { latency: Float64Array.from(latency) });
  } catch (error) {
    if (!abort.signal.aborted) {
      settle(all, key, { error });
    }
  }
}

let rowsOf = null; // the architectures whose latencies `rows` are

effect(() => {
  const all = architectures.value;
  const wanted = slots.value;
  if (all === null) {
    return;
  }
  if (rowsOf !== all) {
    rowsOf = all;
    rows.value = new Map();
  }
  for (const [key, { of, abort }] of asked) {
    if (of !== all || !wanted.some((slot) => keyOf(slot) === key)) {
      asked.delete(key);
      abort.abort();
    }
  }
  for (const slot of wanted) {
    if (!rows.value.has(keyOf(slot)) && !asked.has(keyOf(slot))) {
      askLatencies(all, slot);
    }
  }
});
