import { button, el, redraw } from "../shared/dom.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import { poll } from "../shared/poll.ts";
import { took } from "../shared/times.ts";
import type { Context, Word } from "./context.ts";
import { plot } from "./plot.ts";
import type { Series } from "./plot.ts";
import type { History, HistoryPoint } from "./types.ts";
import { size } from "./ui.ts";

const HOUR_MS = 3_600_000;
const SPANS: readonly (readonly [Word, number])[] = [
  ["hour", HOUR_MS],
  ["day", 24 * HOUR_MS],
  ["week", 7 * 24 * HOUR_MS],
];
/** There is a new row each minute. */
const STALE_MS = 30_000;

type Numbers = keyof Omit<HistoryPoint, "at">;

interface Wanted {
  title: Word;
  lines: readonly (readonly [Word, (point: HistoryPoint) => number | null])[];
  show: (value: number) => string;
}

const of =
  (name: Numbers) =>
  (point: HistoryPoint): number | null =>
    point[name];
const count = (value: number): string => String(Math.round(value * 100) / 100);

const wantedFor = (stepMs: number): readonly Wanted[] => [
  {
    title: "instances",
    lines: [
      ["stateReady", of("ready")],
      ["stateStarting", of("starting")],
      ["notRunning", (point) => point.backingOff + point.parked],
    ],
    show: count,
  },
  { title: "memory", lines: [["memory", of("memoryBytes")]], show: size },
  { title: "sessions", lines: [["sessions", of("sessions")]], show: count },
  {
    title: "callsPerMinute",
    lines: [
      ["calls", (point) => (point.calls * 60_000) / stepMs],
      ["errors", (point) => (point.errors * 60_000) / stepMs],
    ],
    show: count,
  },
  {
    title: "durations",
    lines: [
      ["p99", of("p99Ms")],
      ["p50", of("p50Ms")],
    ],
    show: took,
  },
];

function drawn({ say }: Context, { stepMs, points }: History, from: number): HTMLElement[] {
  const to = Date.now();
  const times = points.map(({ at }) => at);
  return wantedFor(stepMs).map(({ title, lines, show }) => {
    const series = lines.map(([word, value]): Series => {
      return { name: say(word), values: points.map(value) };
    });
    const most = (value: string): string => say("atMost", { value });
    const nothing = say("nothingYet");
    return plot({ title: say(title), times, from, to, stepMs, series, show, nothing, most });
  });
}

/** How it went in the last hour, day or week. */
export function plotsView(context: Context): HTMLElement {
  const { api, say, language, signal } = context;
  const failure = failureLine();
  const pictures = el("div", { class: "plots" });
  let span = HOUR_MS;
  let loadedAt = -Infinity;
  const load = async (): Promise<void> => {
    if (performance.now() - loadedAt < STALE_MS) return;
    const from = Date.now() - span;
    try {
      const history = await api.get<History>(`history?since=${from}&points=360`, signal);
      redraw(pictures, ...drawn(context, history, from));
      loadedAt = performance.now();
      failure.textContent = "";
    } catch (error) {
      if (!signal.aborted) failure.textContent = sentenceFor(error, language);
    }
  };
  const choices = SPANS.map(([word, ms]) => {
    const choose = (): void => {
      span = ms;
      loadedAt = -Infinity;
      for (const [index, one] of choices.entries())
        one.setAttribute("aria-pressed", String(SPANS[index]![1] === ms));
      void load();
    };
    const pressed = ms === span ? "true" : "false";
    return button(say(word), choose, { "aria-pressed": pressed, id: `span-${word}` });
  });
  poll(load, signal);
  const group = el("div", { class: "row", role: "group", "aria-label": say("span") }, ...choices);
  return el("section", {}, el("h2", {}, say("history")), group, failure, pictures);
}
