import "./line_chart.css";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

const WHOLE_STEPS = Array.from({ length: 31 }, (_, i) => [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3)); // 1, 2, 5, 10, ...
const isDark = matchMedia("(prefers-color-scheme: dark)");

/** A colour role as the canvas understands it: light-dark() is resolved by the browser. */
function colourOf(role, element) {
  element.style.color = `var(${role})`;
  const colour = getComputedStyle(element).color;
  element.style.color = "";
  return colour;
}

function axisOf({ label, isWhole }, colours, more) {
  return {
    label,
    labelSize: 24,
    stroke: colours.text,
    grid: { stroke: colours.line, width: 1 },
    ticks: { stroke: colours.line, width: 1 },
    font: "12px system-ui",
    labelFont: "12px system-ui",
    ...(isWhole ? { incrs: WHOLE_STEPS } : {}),
    ...more,
  };
}

function seriesOf({ label, axis = "y", isPoints, isSteps, dash }, i, colours) {
  const stroke = colours.series[i];
  return {
    label,
    scale: axis,
    stroke,
    dash,
    width: isPoints ? 0 : 2,
    spanGaps: true,
    ...(isSteps ? { paths: uPlot.paths.stepped({ align: 1 }), points: { show: true, size: 6, fill: stroke, stroke } } : {}),
    ...(isPoints ? { paths: () => null, points: { show: true, size: 8, fill: stroke, stroke } } : {}),
  };
}

function optionsOf({ title, x, y, right, series }, element) {
  const colours = {
    text: colourOf("--muted", element),
    line: colourOf("--line", element),
    series: series.map((_, i) => colourOf(`--series-${(i % 4) + 1}`, element)),
  };
  return {
    width: element.clientWidth,
    height: 240,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: x.range }, y: { range: y.range } },
    axes: [
      axisOf(x, colours, {}),
      axisOf(y, colours, { size: 62 }),
      ...(right ? [axisOf(right, colours, { side: 1, scale: "right", size: 62, grid: { show: false } })] : []),
    ],
    series: [{}, ...series.map((one, i) => seriesOf(one, i, colours))],
  };
}

/**
 * Lines, or points, over a number. `data` is uPlot's: [x, y of each series]; `summary` says in words what it shows.
 * What is drawn (`title`; `x`, `y`, `right`: {label, range, isWhole: it counts something};
 * `series`: {label, axis: "y" or "right", isPoints, isSteps: points joined by steps, dash}) stays as it was first given, as long as the chart has the same `key`; data may grow.
 */
export function LineChart({ data, summary, ...drawn }) {
  const ground = useRef(null);
  const chart = useRef(null);
  const now = useRef(data);
  now.current = data;

  useEffect(() => {
    const element = ground.current;
    const draw = () => {
      chart.current?.destroy();
      chart.current = new uPlot(optionsOf(drawn, element), now.current, element);
    };
    const resize = new ResizeObserver(() => chart.current.setSize({ width: element.clientWidth, height: 240 }));
    draw();
    resize.observe(element);
    isDark.addEventListener("change", draw);
    return () => {
      isDark.removeEventListener("change", draw);
      resize.disconnect();
      chart.current.destroy();
      chart.current = null;
    };
  }, []);

  useEffect(() => {
    chart.current.setData(data);
  }, [data]);

  return (
    <figure class="chart">
      <div class="chart-ground" ref={ground} role="img" aria-label={`${drawn.title}: ${summary}`} />
      <figcaption>
        {drawn.series.length > 1 && (
          <span class="chart-legend">
            {drawn.series.map((one, i) => <span key={one.label} class={`chart-key chart-key-${(i % 4) + 1}`}>{one.label}</span>)}
          </span>
        )}
        <span class="muted">{summary}</span>
      </figcaption>
    </figure>
  );
}
