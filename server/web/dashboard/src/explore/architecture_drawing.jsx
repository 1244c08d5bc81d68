import { cellEdges, stagesOf } from "./drawing.js";

const WIDTH = 340;
const NODE_Y = 120;
const RADIUS = 14;

/** An edge over one node is straight, one over several bends away: up and down in turn, so that none lies upon another. */
function Edge({ from, to, operator }, placeOf) {
  const [x1, x2] = [placeOf(from), placeOf(to)];
  const span = to - from;
  const bend = span === 1 ? 0 : (from % 2 === 0 ? -1 : 1) * 52 * (span - 1);
  const middle = (x1 + x2) / 2;
  const labelY = NODE_Y + bend - (bend === 0 ? 20 : Math.sign(bend) < 0 ? 5 : -13);
  const isNone = operator === "none";
  return (
    <g key={`${from}-${to}`} class={isNone ? "edge none" : `edge ${operator}`}>
      <path d={`M${x1} ${NODE_Y} Q${middle} ${NODE_Y + 2 * bend} ${x2} ${NODE_Y}`} marker-end={isNone ? undefined : "url(#arrow)"} />
      <text x={middle} y={labelY} text-anchor="middle">{operator.replaceAll("_", " ").replace("nor conv", "conv").replace(" connect", "").replace("avg pool", "pool")}</text>
    </g>
  );
}

function Cell({ edges }) {
  const n = Math.max(...edges.map(({ to }) => to)) + 1;
  const placeOf = (node) => 22 + (node * (WIDTH - 44)) / (n - 1);
  const told = edges.map(({ from, to, operator }) => `${from} to ${to} ${operator}`).join(", ");
  return (
    <svg class="drawing cell" viewBox={`0 0 ${WIDTH} 200`} role="img" aria-label={`A cell of ${n} nodes; edges: ${told}`}>
      <defs>
        <marker id="arrow" viewBox="0 0 10 10" refX="26" refY="5" markerWidth="7" markerHeight="7" orient="auto">
          <path d="M0 0 L10 5 L0 10 z" />
        </marker>
      </defs>
      {edges.map((edge) => Edge(edge, placeOf))}
      {Array.from({ length: n }, (_, i) => (
        <g key={i} class="node">
          <circle cx={placeOf(i)} cy={NODE_Y} r={RADIUS} />
          <text x={placeOf(i)} y={NODE_Y + 5} text-anchor="middle">{i}</text>
        </g>
      ))}
    </svg>
  );
}

const stageText = ({ name, channels, kernel, blocks, expansion }) =>
  [
    name === "stem" ? "stem" : `stage ${name}`,
    `${channels} channels`,
    kernel && `kernel ${kernel}`,
    expansion && `expansion ${[...new Set(expansion)].join(" then ")}`,
    blocks && `${blocks} blocks`,
  ].filter(Boolean).join(", ");

function Stage({ stage, at, width, most }) {
  const height = 20 + (90 * Math.sqrt(stage.channels)) / Math.sqrt(most);
  const x = at * width + width / 2;
  const lines = [`c${stage.channels}`, stage.kernel && `k${stage.kernel}`, stage.expansion && `e${[...new Set(stage.expansion)].join("/")}`];
  return (
    <g class="stage">
      <rect x={at * width + 3} y={130 - height} width={width - 6} height={height} rx="4" />
      <text x={x} y={122} text-anchor="middle">{stage.name === "stem" ? "stem" : `×${stage.blocks ?? 1}`}</text>
      {lines.filter(Boolean).map((line, i) => <text key={line} class="below" x={x} y={147 + 15 * i} text-anchor="middle">{line}</text>)}
    </g>
  );
}

function Stages({ stages }) {
  const most = Math.max(...stages.map(({ channels }) => channels));
  return (
    <>
      <svg class="drawing stages" viewBox={`0 0 ${WIDTH} 190`} role="img" aria-label={`From the input: ${stages.map(stageText).join("; ")}`}>
        {stages.map((stage, i) => <Stage key={stage.name} stage={stage} at={i} width={WIDTH / stages.length} most={most} />)}
      </svg>
      <p class="muted small">× blocks, c channels, k kernel, e expansion (first/later blocks)</p>
    </>
  );
}

/** A cell as its graph, a network of stages as their row; of any other space the genes are told. */
export function ArchitectureDrawing({ space, genes, notation }) {
  const edges = cellEdges(notation);
  if (edges) {
    return <Cell edges={edges} />;
  }
  const stages = stagesOf(space, genes);
  return stages ? <Stages stages={stages} /> : null;
}
