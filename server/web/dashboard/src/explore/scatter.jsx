import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { extentOf, nearest } from "./front.js";
import { coloursOf, corners, makePlot, padded } from "./plot.js";
import { accuracies, bests, chooseLimit, clouds, labelOf, limitMs, limitRange, pinned, pointAt, pointed } from "./store.js";
import { msText, percentText } from "./wording.js";

const REACH_PX = 24; // a pointer so near to a network points at it
const darkness = matchMedia("(prefers-color-scheme: dark)");
const heightPx = (isOneOfSome) => Math.max(280, Math.min(460, innerHeight * 0.55)) * (isOneOfSome ? 0.75 : 1);

/** What is drawn of the clouds: those that are there, from accuracy `least` on. */
function drawnOf(all, values, least) {
  return all.flatMap(({ latency, front }, series) =>
    latency && front ? [{ latency, front: front.filter((i) => values[i] >= least), accuracy: values, least, series }] : [],
  );
}

function medianOf(values) {
  const sorted = values.filter((one) => !Number.isNaN(one)).sort();
  return sorted.length > 0 ? sorted[sorted.length >> 1] : 0;
}

/** Where uPlot has put the plot: place in CSS pixels, and scales. */
function layoutOf(u) {
  const { left, top, width, height } = u.bbox;
  const { x, y } = u.scales;
  return {
    left: left / devicePixelRatio, top: top / devicePixelRatio, width: width / devicePixelRatio, height: height / devicePixelRatio,
    x: (value) => ((value - x.min) / (x.max - x.min)) * (width / devicePixelRatio),
    y: (value) => ((y.max - value) / (y.max - y.min)) * (height / devicePixelRatio),
    xValue: (px) => x.min + (px / (width / devicePixelRatio)) * (x.max - x.min),
    least: y.min,
    key: [left, top, width, height, x.min, x.max, y.min, y.max].join(),
  };
}

/** Draws into `ground` and says where; draws anew when the data, the size or the theme change. */
function usePlot(ground, drawn, { x, y }, height) {
  const [layout, setLayout] = useState(null);
  const state = useRef(null);
  const plot = useRef(null);
  state.current = { clouds: drawn, colours: state.current?.colours, x, y };

  useLayoutEffect(() => {
    const element = ground.current;
    const recolour = () => {
      state.current.colours = coloursOf(element);
      plot.current?.redraw();
    };
    const place = (u) => setLayout((last) => { const next = layoutOf(u); return last?.key === next.key ? last : next; });
    recolour();
    plot.current = makePlot(element, height(), () => state.current, place);
    const sizes = new ResizeObserver(() => plot.current.setSize({ width: element.clientWidth, height: height() }));
    sizes.observe(element);
    darkness.addEventListener("change", recolour);
    return () => {
      darkness.removeEventListener("change", recolour);
      sizes.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, []);

  useEffect(() => plot.current.setData(corners(state.current)), [drawn, x, y]);
  return layout;
}

/** The line of the limit: dragged, or moved by the keys of a slider. */
function LimitLine({ layout, limit, range, of }) {
  const line = useRef(null);
  const rounded = (ms) => Number((Math.round(Math.min(range.max, Math.max(range.min, ms)) / range.step) * range.step).toPrecision(12));
  const drag = (event) => {
    if (line.current.hasPointerCapture(event.pointerId)) {
      const { left } = line.current.parentElement.getBoundingClientRect();
      chooseLimit(rounded(layout.xValue(event.clientX - left)));
    }
  };
  const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -20, PageUp: 20 };
  const press = (event) => {
    const ends = { Home: range.min, End: range.max };
    const to = ends[event.key] ?? (moves[event.key] && limit + moves[event.key] * range.step);
    if (to) {
      event.preventDefault();
      chooseLimit(rounded(to));
    }
  };
  return (
    <div
      ref={line}
      class="limit-line"
      role="slider"
      tabIndex={0}
      aria-label={`Latency limit, on the chart${of}`}
      aria-orientation="horizontal"
      aria-valuemin={range.min}
      aria-valuemax={range.max}
      aria-valuenow={limit}
      aria-valuetext={msText(limit)}
      style={{ left: `${layout.x(Math.min(range.max, Math.max(range.min, limit)))}px` }}
      onPointerDown={(event) => { event.preventDefault(); line.current.setPointerCapture(event.pointerId); line.current.focus(); }}
      onPointerMove={drag}
      onKeyDown={press}
    />
  );
}

function Mark({ layout, cloud, index, kind }) {
  const { latency } = clouds.value[cloud] ?? {};
  const value = accuracies.value?.values[index];
  if (!latency || !(value >= layout.least)) {
    return null;
  }
  const place = { left: `${layout.x(latency[index])}px`, top: `${layout.y(value)}px` };
  return <div class={`mark ${kind} series-${cloud + 1}`} style={place} />;
}

/** Of a device: its best network, and the one that is kept or pointed at, which is shown on charts beside, too. */
function Marks({ layout, cloud, isAlone }) {
  const best = bests.value[cloud];
  const isHere = (point) => point && (isAlone || point.cloud === cloud);
  return (
    <>
      {best !== null && <Mark layout={layout} cloud={cloud} index={best} kind="best" />}
      {isHere(pinned.value) && <Mark layout={layout} cloud={cloud} index={pinned.value.index} kind="kept" />}
      {isHere(pointed.value) && <Mark layout={layout} cloud={cloud} index={pointed.value.index} kind="pointed" />}
    </>
  );
}

/** What lies over the canvas and moves without drawing it anew. */
function Over({ layout, drawn, of }) {
  const points = useRef(null);
  if (points.current?.layout !== layout || points.current?.drawn !== drawn) {
    points.current = { layout, drawn, clouds: null };
  }
  const placed = () =>
    (points.current.clouds ??= drawn.map(({ latency, accuracy, least }) => ({
      xs: latency.map(layout.x),
      ys: accuracy.map((value) => (value >= least ? layout.y(value) : NaN)),
    })));
  const find = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const found = nearest(placed(), event.clientX - box.left, event.clientY - box.top, REACH_PX);
    return found && { cloud: drawn[found.cloud].series, index: found.index };
  };
  const limit = limitMs.value;
  const range = limitRange.value;
  const start = layout.x(Math.min(range.max, Math.max(range.min, limit)));
  return (
    <div
      class="plot-over"
      style={{ left: `${layout.left}px`, top: `${layout.top}px`, width: `${layout.width}px`, height: `${layout.height}px` }}
      onPointerMove={(event) => pointAt(event.target.role === "slider" ? null : find(event))}
      onPointerLeave={() => pointAt(null)}
      onClick={(event) => { if (event.target.role !== "slider") { pinned.value = find(event); } }}
    >
      <div class="beyond" style={{ left: `${start}px`, width: `${Math.max(0, layout.width - start)}px` }} />
      {drawn.map(({ series }) => <Marks key={series} layout={layout} cloud={series} isAlone={drawn.length === 1} />)}
      <LimitLine layout={layout} limit={limit} range={range} of={of} />
    </div>
  );
}

function summaryOf(drawn, values) {
  const [least, greatest] = extentOf([values]) ?? [0, 0];
  const each = drawn.map(({ latency, series }) => {
    const [fastest, slowest] = extentOf([latency]);
    const { slot, front } = clouds.value[series];
    return `on ${labelOf(slot)} from ${msText(fastest)} to ${msText(slowest)}, ${front.length} on the front`;
  });
  return `${values.length.toLocaleString("en-US")} networks with accuracies of ${percentText(least)} to ${percentText(greatest)}; ${each.join("; ")}.`;
}

/** One chart, of one device or of all. `of`: which, where there are several charts. */
function Plot({ drawn, ranges, isOneOfSome, of }) {
  const ground = useRef(null);
  const layout = usePlot(ground, drawn, ranges, () => heightPx(isOneOfSome));
  const summary = drawn.length > 0 ? summaryOf(drawn, accuracies.value.values) : "nothing to draw yet";
  return (
    <div class="plot-ground">
      <div ref={ground} role="img" aria-label={`Latency against accuracy: ${summary}`} />
      {layout && drawn.length > 0 && limitMs.value !== null && <Over layout={layout} drawn={drawn} of={of} />}
    </div>
  );
}

/** Charts of one device each, side by side, with the same axes and one limit. */
function SideBySide({ drawn, ranges }) {
  const alone = useMemo(() => drawn.map((one) => [one]), [drawn]);
  return (
    <div class="side-by-side">
      {alone.map((one) => {
        const { slot } = clouds.value[one[0].series];
        return (
          <section key={slot.id} aria-label={labelOf(slot)}>
            <h2><span class={`swatch series-${one[0].series + 1}`} aria-hidden="true" /> {labelOf(slot)}</h2>
            <Plot drawn={one} ranges={ranges} isOneOfSome of={` of ${labelOf(slot)}`} />
          </section>
        );
      })}
    </div>
  );
}

/** What is drawn, and the ranges of its axes. */
function drawingOf(all, values, isUpper) {
  const least = values && isUpper ? medianOf(values) : -Infinity;
  const [bottom, top] = (values && extentOf([values])) ?? [0, 100];
  const drawn = values ? drawnOf(all, values, least) : [];
  const x = padded(extentOf(drawn.map(({ latency }) => latency)) ?? [0, 1]);
  return { drawn, ranges: { x, y: padded([Math.max(bottom, least), top]) } };
}

/** All networks as latency against accuracy, with each device's front and one limit; of several devices side by side, or in one chart. */
export function Scatter() {
  const [isUpper, setIsUpper] = useState(false);
  const [isInOne, setIsInOne] = useState(false);
  const all = clouds.value;
  const values = accuracies.value?.values ?? null;
  const { drawn, ranges } = useMemo(() => drawingOf(all, values, isUpper), [all, values, isUpper]);
  return (
    <figure class="explore-chart">
      {drawn.length > 1 && !isInOne ? <SideBySide drawn={drawn} ranges={ranges} /> : <Plot drawn={drawn} ranges={ranges} of="" />}
      <figcaption class="muted">
        {drawn.length > 0 ? summaryOf(drawn, values) : "nothing to draw yet"}
        <label class="check">
          <input type="checkbox" checked={isUpper} onChange={(event) => setIsUpper(event.target.checked)} /> Only the more accurate half
        </label>
        {drawn.length > 1 && (
          <label class="check">
            <input type="checkbox" checked={isInOne} onChange={(event) => setIsInOne(event.target.checked)} /> All devices in one chart
          </label>
        )}
      </figcaption>
    </figure>
  );
}
