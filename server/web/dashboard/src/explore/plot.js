// The canvas: uPlot draws the axes, and these functions the clouds and their fronts.
import uPlot from "uplot";

const FONT = "12px system-ui, sans-serif";
const DOT_PX = 2.5;
const PAD = 0.03; // of a range, beyond what is drawn

/** What a colour role of style.css is now: a canvas knows no custom properties. */
function colourOf(element, role) {
  element.style.color = `var(${role})`;
  const { color } = getComputedStyle(element);
  element.style.color = "";
  return color;
}

export function coloursOf(element) {
  return {
    text: colourOf(element, "--muted"),
    line: colourOf(element, "--line"),
    series: [1, 2, 3, 4].map((i) => colourOf(element, `--series-${i}`)),
  };
}

export function padded([least, greatest]) {
  const pad = (greatest - least || Math.abs(greatest) || 1) * PAD;
  return [least - pad, greatest + pad];
}

function drawCloud(u, { latency, accuracy, least }) {
  const { ctx } = u;
  const size = DOT_PX * devicePixelRatio;
  const [x0, xScale] = lineOf(u, "x");
  const [y0, yScale] = lineOf(u, "y");
  for (let i = 0; i < latency.length; i++) {
    if (accuracy[i] >= least) {
      ctx.fillRect(x0 + latency[i] * xScale - size / 2, y0 + accuracy[i] * yScale - size / 2, size, size);
    }
  }
}

/** A scale as offset and slope in pixels of the canvas. */
function lineOf(u, scale) {
  const { min, max } = u.scales[scale];
  const at = u.valToPos(min, scale, true);
  const slope = (u.valToPos(max, scale, true) - at) / (max - min);
  return [at - min * slope, slope];
}

/** As steps: until the next network is fast enough, the last one is the best. */
function drawFront(u, { latency, accuracy, front }) {
  const { ctx } = u;
  let y = null;
  ctx.beginPath();
  for (const i of front) {
    const x = u.valToPos(latency[i], "x", true);
    if (y === null) {
      ctx.moveTo(x, u.valToPos(accuracy[i], "y", true));
    } else {
      ctx.lineTo(x, y);
    }
    y = u.valToPos(accuracy[i], "y", true);
    ctx.lineTo(x, y);
  }
  ctx.lineTo(u.bbox.left + u.bbox.width, y ?? 0);
  ctx.stroke();
}

/** `clouds`: {latency, accuracy, front, least, series}, in the order in which they are drawn. */
export function drawClouds(u, clouds, colours) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.globalAlpha = 0.3;
  for (const cloud of clouds) {
    ctx.fillStyle = colours.series[cloud.series];
    drawCloud(u, cloud);
  }
  ctx.globalAlpha = 1;
  for (const cloud of clouds) {
    ctx.strokeStyle = colours.series[cloud.series];
    drawFront(u, cloud);
  }
  ctx.restore();
}

function axisOf(label, colours, size) {
  return {
    label,
    size,
    labelSize: 20,
    font: FONT,
    labelFont: FONT,
    stroke: () => colours().text,
    grid: { stroke: () => colours().line, width: 1 },
    ticks: { stroke: () => colours().line, width: 1 },
  };
}

/**
 * `state()` gives what is to be drawn now: {clouds, colours, x: [least, greatest], y}; `onLayout(u)` hears of every change of place
 * and scale.
 */
export function makePlot(element, height, state, onLayout) {
  const colours = () => state().colours;
  const options = {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: () => state().x }, y: { range: () => state().y } },
    axes: [axisOf("latency, ms", colours, 36), axisOf("accuracy, %", colours, 44)],
    series: [{}, { paths: () => null, points: { show: false } }],
    hooks: { draw: [(u) => drawClouds(u, state().clouds, state().colours), onLayout] },
  };
  return new uPlot(options, corners(state()), element);
}

/** uPlot's data: the ranges' ends, of which it makes its scales. */
export function corners({ x, y }) {
  return [x, y];
}
