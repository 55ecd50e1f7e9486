import { button, el, labelled, newId, redraw } from "../shared/dom.ts";
import { FormFlaw, createForm } from "../shared/form.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import { inert } from "../shared/inert.ts";
import { Refusal, publicBase } from "../shared/api.ts";
import { formOf } from "../shared/schema.ts";
import { sure } from "./ask.ts";
import type { UserContext } from "./context.ts";
import { copyable } from "../shared/copy.ts";
import { curlOf } from "./curl.ts";
import { showResult } from "./results.ts";
import { settingsFor } from "./settings.ts";
import type { CallResult, Server, Tool } from "./types.ts";

export interface Meant {
  readonly server: Server;
  readonly tool: Tool;
  /** JSON text that a link fills in. */
  readonly args: string | null;
}

const HINTS = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];

/** Whether a press alone is not enough: it destroys, or its server says nothing of what it does. */
function wantsAsking({ annotations = {} }: Tool): boolean {
  const hints = annotations ?? {};
  return (
    hints["destructiveHint"] === true || !HINTS.some((hint) => typeof hints[hint] === "boolean")
  );
}

/** The arguments, as a form or as JSON, with what is called by them. */
export function toolForm(context: UserContext, meant: Meant): HTMLElement {
  const { say } = context;
  const failure = failureLine();
  const [result, curl] = [el("div", { "aria-live": "polite", id: "shown" }), el("div")];
  const editor = argumentsEditor(context, meant);
  const bodyOf = (): string => {
    const { server, tool } = meant;
    const about = JSON.stringify({ method: tool.name, server: server.slug, strict: true });
    return `${about.slice(0, -1)},"args":${editor.read()}}`;
  };
  const call = el("button", { type: "submit", class: "main", id: "call" }, say("playCall"));
  const cancel = button(say("cancel"), () => {}, { hidden: true, id: "cancel" });
  const parts: CallParts = { call, cancel, failure, result };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    failure.textContent = "";
    const body = flawless(bodyOf, failure);
    if (body !== undefined) void perform(context, meant, body, parts);
  };
  const showCurl = (): void => {
    const body = flawless(bodyOf, failure);
    if (body === undefined) return;
    const hasSettings = meant.server.hasSettings;
    redraw(
      curl,
      copyable(context, curlOf(new URL("tools", publicBase(import.meta.url)), body, hasSettings)),
      hasSettings && el("p", { class: "hint" }, say("playCurlSettings")),
    );
  };
  return el(
    "div",
    {},
    el(
      "form",
      { onsubmit: submit, id: "tool-form" },
      editor.element,
      el("div", { class: "row" }, call, cancel),
    ),
    failure,
    result,
    el("p", {}, button(say("playCurl"), showCurl, { id: "curl" })),
    curl,
  );
}

function flawless(read: () => string, failure: HTMLElement): string | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FormFlaw)) throw error;
    failure.textContent = error.message;
    return undefined;
  }
}

interface CallParts {
  readonly call: HTMLButtonElement;
  readonly cancel: HTMLButtonElement;
  readonly failure: HTMLElement;
  readonly result: HTMLElement;
}

async function perform(
  context: UserContext,
  { server, tool }: Meant,
  body: string,
  { call, cancel, failure, result }: CallParts,
): Promise<void> {
  const { api, say, language, signal } = context;
  const names = { tool: inert(tool.name), server: inert(server.name) };
  if (wantsAsking(tool) && !(await sure(context, say("playAsk", names), say("playCall")))) return;
  const cancelled = new AbortController();
  const stop = (): void => cancelled.abort();
  cancel.addEventListener("click", stop);
  signal.addEventListener("abort", stop);
  call.disabled = true;
  cancel.hidden = false;
  redraw(result, el("p", {}, say("playCalling")));
  const startedAt = performance.now();
  try {
    const answer = await api.sendText<CallResult>(
      "POST",
      "tools",
      withSettings(server, body),
      cancelled.signal,
    );
    showResult(context, result, answer, performance.now() - startedAt);
  } catch (error) {
    redraw(result);
    const isCancelled = error instanceof Refusal && error.type === "CANCELLED";
    failure.textContent = isCancelled ? say("playCancelled") : sentenceFor(error, language);
  } finally {
    cancel.removeEventListener("click", stop);
    signal.removeEventListener("abort", stop);
    call.disabled = false;
    cancel.hidden = true;
  }
}

/** Of a server whose session is set up by the client. */
function withSettings({ slug, hasSettings }: Server, body: string): string {
  const settings = hasSettings ? settingsFor(slug) : undefined;
  return settings === undefined
    ? body
    : `${body.slice(0, -1)},"settings":${JSON.stringify(settings)}}`;
}

interface Editor {
  readonly element: HTMLElement;
  /** JSON text of an object; throws a FormFlaw. */
  readonly read: () => string;
}

function argumentsEditor({ say }: UserContext, { tool, args }: Meant): Editor {
  const shape = formOf(tool.inputSchema);
  const given = objectIn(args ?? "{}");
  const place = el("div");
  let read: () => string;
  let isJson = shape.kind === "json";
  const draw = (start: Record<string, unknown> | undefined): void => {
    if (!isJson) {
      const form = createForm(shape, say, start);
      read = () => form.read() ?? "{}";
      return redraw(place, form.element);
    }
    const text = el("textarea", {
      rows: "8",
      spellcheck: "false",
      value: JSON.stringify(start ?? {}, null, 2),
      id: "arguments",
    });
    read = () => {
      if (objectIn(text.value) !== undefined) return text.value;
      text.focus();
      throw new FormFlaw(say("playNotObject"));
    };
    redraw(place, labelled(say("playArguments"), text));
  };
  draw(given);
  const swap = button(
    say(isJson ? "playAsForm" : "playAsJson"),
    () => {
      let start: Record<string, unknown> | undefined;
      try {
        start = objectIn(read());
      } catch {
        // What is not whole yet is not carried over.
      }
      isJson = !isJson;
      swap.textContent = say(isJson ? "playAsForm" : "playAsJson");
      draw(start);
    },
    { id: newId("swap"), hidden: shape.kind === "json" },
  );
  return { element: el("div", {}, swap, place), read: () => read() };
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // As any other text that is no object.
  }
  return undefined;
}
