import { Refusal, publicBase } from "../shared/api.ts";
import { el, labelled } from "../shared/dom.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import { inert } from "../shared/inert.ts";
import { addressOf } from "./context.ts";
import type { Context } from "./context.ts";
import type { LogRow } from "./types.ts";
import { formOf } from "./ui.ts";

/** Older lines leave the screen. */
const MAX_LINES = 1_000;
/** Of one line. */
const MAX_LINE = 2_000;
/** A stream that ended is opened again after that; so is one that nobody answers. */
const AGAIN_MS = 5_000;

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

function shownLine({ at, server, generation, text }: LogRow): string {
  const cut = text.length > MAX_LINE ? `${text.slice(0, MAX_LINE)}…` : text;
  const clock = new Date(at).toLocaleTimeString("en-GB");
  return `${clock} ${server}#${generation} ${inert(cut)}`;
}

/** Shows what the children write, as they write it, until the signal. */
async function follow(context: Context, path: string, screen: HTMLElement): Promise<void> {
  const { headers, signal } = context;
  const url = new URL(`api/${path}`, publicBase(import.meta.url));
  const answer = await fetch(url, { headers: headers(), signal, cache: "no-store" });
  if (!answer.ok || answer.body === null)
    throw new Refusal("OTHER", String(answer.status), { status: answer.status });
  screen.replaceChildren();
  for await (const line of linesOf(answer.body)) {
    const isAtEnd = screen.scrollTop + screen.clientHeight >= screen.scrollHeight - 4;
    screen.append(el("div", {}, shownLine(JSON.parse(line) as LogRow)));
    while (screen.childElementCount > MAX_LINES) screen.firstElementChild!.remove();
    if (isAtEnd) screen.scrollTop = screen.scrollHeight;
  }
}

/** What the children of a user write, live. */
export function logsView(context: Context, query: URLSearchParams): HTMLElement {
  const { api, say, language, signal } = context;
  const failure = failureLine();
  const ofUser = query.get("user") ?? "";
  const ofServer = query.get("server") ?? "";
  const user = el("input", { id: "of-user", autocomplete: "off", required: true, value: ofUser });
  const server = el("input", { id: "of-server", autocomplete: "off", value: ofServer });
  const go = el("button", { type: "submit", class: "main" }, say("follow"));
  const screen = el("pre", {
    class: "log",
    tabindex: "0",
    role: "log",
    "aria-label": say("logs"),
    "data-test": "log",
  });
  const look = (): void => {
    const given = Object.entries({ user: user.value.trim(), server: server.value.trim() });
    location.hash = addressOf(
      "logs",
      Object.fromEntries(given.filter(([, value]) => value !== "")),
    );
  };
  const asked = new URLSearchParams({ follow: "1", limit: String(MAX_LINES) });
  if (ofServer !== "") asked.set("server", ofServer);
  const path = `users/${encodeURIComponent(ofUser)}/logs?${asked.toString()}`;
  const again = async (): Promise<void> => {
    try {
      await follow(context, path, screen);
    } catch (error) {
      if (signal.aborted) return;
      // Whoever is out is told so by the next request of the page itself, and so is why it was refused.
      const why = await api.get(`users/${encodeURIComponent(ofUser)}/urls`, signal).then(
        () => error,
        (refusal: unknown) => refusal,
      );
      failure.textContent = sentenceFor(why, language);
    }
    if (!signal.aborted) setTimeout(() => void (signal.aborted || again()), AGAIN_MS);
  };
  if (ofUser !== "") void again();
  const fields = [
    labelled(say("user"), user),
    labelled(say("server"), server, say("formOptional")),
    go,
  ];
  return el("section", {}, el("h2", {}, say("logs")), formOf(fields, look), failure, screen);
}
