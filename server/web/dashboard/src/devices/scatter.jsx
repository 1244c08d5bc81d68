import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { thinned } from "./comparison_data.js";

const HEIGHT_PX = 320;
const N_BARS_MAX = 1000; // intervals that are drawn, evenly chosen: more would hide everything else
const POINT_PX = 5;
const POINT_OF_MANY_PX = 3;
const darkness = matchMedia("(prefers-color-scheme: dark)");

function useIsDark() {
  const [isDark, setIsDark] = useState(darkness.matches);
  useEffect(() => {
    const look = () => setIsDark(darkness.matches);
    darkness.addEventListener("change", look);
    return () => darkness.removeEventListener("change", look);
  }, []);
  return isDark;
}

/** What a colour of style.css is now: a canvas knows no custom properties. */
function colourOf(element, name) {
  element.style.color = `var(--${name})`;
  const { color } = getComputedStyle(element);
  element.style.color = "";
  return color;
}

function line(u, [x1, y1], [x2, y2]) {
  u.ctx.moveTo(u.valToPos(x1, "x", true), u.valToPos(y1, "y", true));
  u.ctx.lineTo(u.valToPos(x2, "x", true), u.valToPos(y2, "y", true));
}

/** Strokes lines, [[x, y], [x, y]] each, inside of the axes. */
function drawLines(u, lines, style) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  Object.assign(ctx, { lineWidth: devicePixelRatio, ...style });
  ctx.setLineDash((style.dash ?? []).map((px) => px * devicePixelRatio));
  ctx.beginPath();
  lines.forEach((ends) => line(u, ...ends));
  ctx.stroke();
  ctx.restore();
}

function drawIntervals(u, points, colours) {
  const bars = thinned(points, N_BARS_MAX).map((p) => [[p.measured, p.low], [p.measured, p.high]]);
  drawLines(u, bars, { strokeStyle: colours.series, globalAlpha: 0.35 });
}

/** Where a prediction is what was measured. */
function drawDiagonal(u, limitMs, colours) {
  drawLines(u, [[[0, 0], [limitMs, limitMs]]], { strokeStyle: colours.text, dash: [6, 4] });
}

function axis(label, size, colours) {
  return {
    label,
    size,
    labelSize: 20,
    stroke: colours.text,
    font: "12px system-ui, sans-serif",
    labelFont: "12px system-ui, sans-serif",
    grid: { stroke: colours.line, width: 1 },
    ticks: { stroke: colours.line, width: 1 },
  };
}

function makeChart(element, points, limitMs, series, onPoint) {
  const colours = {
    series: colourOf(element, series),
    text: colourOf(element, "muted"),
    line: colourOf(element, "line"),
  };
  const size = points.length > N_BARS_MAX ? POINT_OF_MANY_PX : POINT_PX;
  const options = {
    width: element.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: false, range: [0, limitMs] }, y: { range: [0, limitMs] } },
    axes: [axis("measured, ms", 36, colours), axis("predicted, ms", 56, colours)],
    series: [
      {},
      { paths: () => null, points: { show: true, size, stroke: colours.series, fill: colours.series } },
    ],
    hooks: {
      drawAxes: [(u) => drawIntervals(u, points, colours)],
      draw: [(u) => drawDiagonal(u, limitMs, colours)],
      setCursor: [(u) => onPoint(u.cursor.idx === null || u.cursor.idx === undefined ? null : points[u.cursor.idx])],
    },
  };
  return new uPlot(options, [points.map((p) => p.measured), points.map((p) => p.predicted)], element);
}

const ms = (value) => value.toPrecision(4).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

/** Predicted against measured with intervals; `summary` says the same in a sentence. Axes reach to `limitMs`. */
export function Scatter({ points, limitMs, series, title, summary }) {
  const element = useRef(null);
  const [shown, setShown] = useState(null);
  const isDark = useIsDark();
  useEffect(() => {
    const sorted = [...points].sort((a, b) => a.measured - b.measured);
    const plot = element.current;
    const chart = makeChart(plot, sorted, limitMs, series, setShown);
    const resizes = new ResizeObserver(() => chart.setSize({ width: plot.clientWidth, height: HEIGHT_PX }));
    resizes.observe(plot);
    return () => {
      resizes.disconnect();
      chart.destroy();
    };
  }, [points, limitMs, series, isDark]);
  return (
    <figure class="scatter">
      <figcaption>{title}</figcaption>
      <div ref={element} class="plot" role="img" aria-label={`${title}: ${summary}`} />
      <p class="readout muted">
        {shown ? (
          <>
            <code>{shown.architecture}</code>: measured {ms(shown.measured)}, predicted {ms(shown.predicted)} ms
            ({ms(shown.low)} to {ms(shown.high)})
          </>
        ) : (
          "Bars: the interval of 0.9. Dashes: predicted is measured."
        )}
      </p>
    </figure>
  );
}
