// What an architecture's drawing shows, read from its notation and from the names of its genes.

/** [{from, to, operator}] of a cell written "|op~0|+|op~0|op~1|+..."; null where it is not written so. */
export function cellEdges(notation) {
  const edges = [];
  for (const [at, node] of notation.split("+").entries()) {
    if (!/^(\|[^|~]+~\d+)+\|$/.test(node)) {
      return null;
    }
    for (const input of node.slice(1, -1).split("|")) {
      const [operator, from] = input.split("~");
      edges.push({ from: Number(from), to: at + 1, operator });
    }
  }
  return edges;
}

const STAGED = [
  [/^kernel of stages? /, "kernel"],
  [/^channels of (the )?(stages? )?/, "channels"],
  [/^blocks in stages? /, "blocks"],
  [/^expansion of .* of stages? /, "expansion"],
];

function propertyOf(name) {
  const found = STAGED.find(([pattern]) => pattern.test(name));
  return found ? { property: found[1], places: name.replace(found[0], "").split(" and ") } : null;
}

/**
 * [{name, channels, kernel, blocks, expansion}] from the stem on, what a stage has none of left out; null where the genes' names
 * do not speak of stages. The expansion is a list: of the first block, and of the later ones where they have their own.
 */
export function stagesOf(space, genes) {
  const stages = new Map([["stem", { name: "stem" }]]);
  for (const [i, gene] of space.genes.entries()) {
    const told = propertyOf(gene.name);
    if (told === null) {
      return null;
    }
    for (const place of told.places) {
      const stage = stages.get(place) ?? { name: place };
      stages.set(place, stage);
      stage[told.property] = told.property === "expansion" ? [...(stage.expansion ?? []), genes[i]] : genes[i];
    }
  }
  const all = [...stages.values()].filter((stage) => stage.channels !== undefined);
  return all.length > 1 ? all.sort((a, b) => (a.name === "stem" ? -1 : b.name === "stem" ? 1 : a.name - b.name)) : null;
}
