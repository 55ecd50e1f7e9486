import { el } from "../shared/dom.ts";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 140;
const LEFT = 8;
const TOP = 8;
const PLOT_WIDTH = WIDTH - 2 * LEFT;
const PLOT_HEIGHT = HEIGHT - 2 * TOP;

export interface Series {
  readonly name: string;
  /** At the times of the plot; null where nothing is known. */
  readonly values: readonly (number | null)[];
}

export interface Plotted {
  readonly title: string;
  /** Epoch ms of each value. */
  readonly times: readonly number[];
  readonly from: number;
  readonly to: number;
  readonly stepMs: number;
  readonly series: readonly Series[];
  readonly show: (value: number) => string;
  /** What is said where there is nothing to plot. */
  readonly nothing: string;
  readonly most: (value: string) => string;
}

function svg(tag: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** A line that is broken where values are missing, or a restart left out minutes. */
function pathOf(
  { times, from, to, stepMs }: Plotted,
  values: Series["values"],
  max: number,
): string {
  let before = -Infinity;
  return times
    .map((at, index) => {
      const value = values[index] ?? null;
      if (value === null || at < from) return "";
      const x = LEFT + ((at - from) / (to - from)) * PLOT_WIDTH;
      const y = TOP + (1 - value / max) * PLOT_HEIGHT;
      const isJoined = at - before <= stepMs * 1.5;
      before = at;
      const point = `${x.toFixed(1)} ${y.toFixed(1)}`;
      // A point that stands alone is seen as one.
      return isJoined ? `L${point}` : `M${point}h0.01`;
    })
    .join("");
}

/** Lines over time, with a sentence of them for those who do not see them. */
export function plot(plotted: Plotted): HTMLElement {
  const { title, series, show, nothing, most } = plotted;
  const all = series.flatMap(({ values }) => values.filter((value) => value !== null));
  const max = Math.max(0, ...all);
  const legend = series.map(({ name, values }, index) => {
    const last = values.at(-1) ?? null;
    const text = last === null ? name : `${name}: ${show(last)}`;
    return el("li", { class: `series-${index + 1}` }, text);
  });
  const picture = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": `${title}. ${all.length === 0 ? nothing : most(show(max))}`,
  });
  for (const share of [0, 0.5, 1]) {
    const y = String(TOP + share * PLOT_HEIGHT);
    const ends = { x1: String(LEFT), x2: String(WIDTH - LEFT), y1: y, y2: y };
    picture.append(svg("line", { class: "grid", ...ends }));
  }
  for (const [index, { values }] of series.entries()) {
    const d = pathOf(plotted, values, max === 0 ? 1 : max);
    if (d !== "") picture.append(svg("path", { class: `line series-${index + 1}`, d }));
  }
  return el(
    "figure",
    { class: "plot" },
    el(
      "figcaption",
      {},
      title,
      " ",
      el("span", { class: "quiet" }, all.length === 0 ? nothing : most(show(max))),
    ),
    picture,
    el("ul", { class: "legend" }, ...legend),
  );
}
