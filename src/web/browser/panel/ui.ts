import { copyable } from "../shared/copy.ts";
import { add, button, el, labelled } from "../shared/dom.ts";
import type { Child, Props } from "../shared/dom.ts";
import { failureLine, tell } from "../shared/frame.ts";
import { press } from "../shared/press.ts";
import { instant } from "../shared/times.ts";
import type { Context, Word } from "./context.ts";
import { addressOf } from "./context.ts";
import type { StateName, States } from "./types.ts";

/** A link to a place of the panel. */
export function link(
  label: Child,
  place: string,
  query: Readonly<Record<string, string>> = {},
): HTMLAnchorElement {
  const anchor = el("a", {}, label);
  anchor.href = addressOf(place, query);
  return anchor;
}

/** A table that scrolls by itself where the screen is narrow, by the keyboard too. */
export function table(
  name: string,
  heads: readonly string[],
  rows: readonly Child[][],
): HTMLElement {
  const head = heads.map((text) => el("th", { scope: "col" }, text));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, cell))));
  return el(
    "div",
    { class: "scroll", role: "region", "aria-label": name, tabindex: "0" },
    el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body)),
  );
}

export function facts(rows: readonly (readonly [string, Child])[]): HTMLElement {
  return el(
    "dl",
    {},
    ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );
}

export const time = ({ language }: Context, at: number | null, none = "–"): Child =>
  at === null ? none : instant(at, language);

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

const STATES: Readonly<Record<StateName, Word>> = {
  ready: "stateReady",
  starting: "stateStarting",
  draining: "stateDraining",
  "backing-off": "stateBackingOff",
  parked: "stateParked",
  stopped: "stateStopped",
};

export const stateName = ({ say }: Context, state: StateName): string => say(STATES[state]);

/** `3 ready, 1 parked`; a dash where there is none. */
export function statesText(context: Context, states: States): string {
  const parts = (Object.keys(STATES) as StateName[]).flatMap((state) => {
    const count = states[state] ?? 0;
    return count === 0 ? [] : [`${count} ${stateName(context, state)}`];
  });
  return parts.length === 0 ? "–" : parts.join(context.say("comma"));
}

/** As `press`, and tells what became of it. */
export async function act(
  context: Context,
  pressed: HTMLButtonElement,
  failure: HTMLElement,
  work: () => Promise<string>,
): Promise<void> {
  await press(context, { button: pressed, failure }, async () => tell(await work()));
}

/** A button for an order, with the line that says why it did not work. */
export function order(
  context: Context,
  label: string,
  work: () => Promise<string>,
  props: Props = {},
): HTMLElement {
  const failure = failureLine();
  const pressed = button(label, () => void act(context, pressed, failure, work), props);
  return el("span", {}, pressed, failure);
}

interface Question {
  title: string;
  text: Child;
  /** What the button says that does it. */
  action: string;
  /** What has to be typed before it can be pressed. */
  typed?: string;
}

/** Asks in a dialog; resolves with whether it is to be done. */
export async function ask(
  { say }: Context,
  { title, text, action, typed }: Question,
): Promise<boolean> {
  return await new Promise((resolve) => {
    const dialog = el("dialog", { "aria-labelledby": "question" });
    const end = (answer: boolean): void => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const go = button(action, () => end(true), { class: "main", id: "do-it" });
    const field = el("input", { autocomplete: "off", spellcheck: "false", id: "typed-name" });
    field.addEventListener("input", () => (go.disabled = field.value !== typed));
    go.disabled = typed !== undefined;
    add(
      dialog,
      el("h2", { id: "question" }, title),
      el("p", {}, text),
      typed !== undefined && labelled(say("typeName", { name: typed }), field),
      el(
        "div",
        { class: "row" },
        button(say("cancel"), () => end(false)),
        go,
      ),
    );
    dialog.addEventListener("cancel", () => end(false));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A secret that is shown this once, with a button that copies it. */
export const secretOnce = (context: Context, label: string, secret: string): HTMLElement =>
  el(
    "div",
    { class: "card", "data-test": "secret" },
    el("p", {}, label),
    copyable(context, secret),
    el("p", { class: "hint" }, context.say("shownOnce")),
  );

/** A form that does not leave the page. */
export function formOf(children: readonly Child[], submit: () => void): HTMLFormElement {
  const form = el("form", {
    onsubmit: (event) => {
      event.preventDefault();
      submit();
    },
  });
  form.method = "post";
  add(form, ...children);
  return form;
}

/** Epoch ms of what a field for a day and time holds, in the reader's zone; null where it is empty. */
export const instantIn = (field: HTMLInputElement): number | null =>
  field.value === "" ? null : new Date(field.value).getTime();
