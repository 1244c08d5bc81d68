// Which architectures of a space are looked at: all where they can be listed, else a sample.

const MOST_LISTED = 20_000;
export const SAMPLE_SIZE = 5000;
const SPREAD = 2; // a sampled gene's place in its domain is a uniform number to the power of e^-2 to e^2
const TRIES = 4; // a network that was drawn already is drawn again, so often on average

/** Numbers of 0 to below 1, the same for the same seed (mulberry32). */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function isListed(space) {
  return space.n_architectures !== null && space.n_architectures <= MOST_LISTED;
}

/** As the service reads it, and short: the digits of nasbench201 stand without blanks. */
export function textOf(space, genes) {
  return genes.join(space.name === "nasbench201" ? "" : " ");
}

function listAll(space) {
  let all = [[]];
  for (const { values } of space.genes) {
    all = all.flatMap((begun) => values.map((value) => [...begun, value]));
  }
  return all;
}

/** Uniform draws would all be of middling size; here each network leans to the small or to the large end as a whole. */
function draw(space, random) {
  const lean = Math.exp(SPREAD * (2 * random() - 1));
  return space.genes.map(({ values }) => values[Math.floor(values.length * random() ** lean)]);
}

function sample(space, seed) {
  const random = randomNumbers(seed);
  const found = new Map();
  for (let i = 0; i < TRIES * SAMPLE_SIZE && found.size < SAMPLE_SIZE; i++) {
    const genes = draw(space, random);
    found.set(textOf(space, genes), genes);
  }
  return [...found.values()];
}

/** {space, isWhole, texts} of a space as GET /v1/spaces tells it; `seed` is the sample's. */
export function architecturesOf(space, seed) {
  const isWhole = isListed(space);
  const genes = isWhole ? listAll(space) : sample(space, seed);
  return { space, isWhole, texts: genes.map((one) => textOf(space, one)) };
}
