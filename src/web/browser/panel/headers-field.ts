import { button, el, labelled } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import type { Context } from "./context.ts";
import { headersProblem } from "./headers-text.ts";

export interface HeadersField {
  readonly element: HTMLElement;
  readonly area: HTMLTextAreaElement;
  /** False where the text cannot be sent; it says why. */
  readonly check: () => boolean;
}

/**
 * Headers as JSON in a text that is checked while it is typed. Of stored ones there is the name, and null in
 * the place of the value, which the daemon takes for "as it is".
 */
export function headersField({ say }: Context, stored: readonly string[]): HeadersField {
  const problem = el("p", { class: "error", role: "alert", id: "headers-problem" });
  const area = el("textarea", {
    id: "headers",
    rows: "6",
    spellcheck: "false",
    autocomplete: "off",
    "aria-describedby": "headers-problem headers-hint",
    value:
      stored.length === 0
        ? ""
        : JSON.stringify(Object.fromEntries(stored.map((name) => [name, null])), null, 2),
  });
  area.placeholder = '{\n  "Authorization": "Bearer your_access_token_here"\n}';
  const check = (): boolean => {
    const found = headersProblem(area.value);
    const text = found === undefined ? "" : say(found);
    if (problem.textContent !== text) problem.textContent = text;
    area.setAttribute("aria-invalid", found === undefined ? "false" : "true");
    return found === undefined;
  };
  area.addEventListener("input", check);
  const format = button(
    say("format"),
    () => {
      if (check() && area.value.trim() !== "")
        area.value = JSON.stringify(JSON.parse(area.value), null, 2);
    },
    { id: "format" },
  );
  const set: Child =
    stored.length > 0 &&
    el("p", { class: "hint" }, say("headersSet", { names: stored.join(", ") }));
  const field = labelled(say("headers"), area);
  area.setAttribute("aria-describedby", "headers-problem headers-hint");
  const hint = el("p", { class: "hint", id: "headers-hint" }, say("headersHint"));
  return { element: el("div", {}, field, problem, hint, set, format), area, check };
}
