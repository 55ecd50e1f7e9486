import { add, el, labelled, redraw } from "../shared/dom.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import { foreign } from "../shared/foreign.ts";
import type { UserContext } from "./context.ts";
import { inert } from "../shared/inert.ts";
import { settingsFields } from "./settings.ts";
import { toolForm } from "./tool-form.ts";
import type { Server, Tool } from "./types.ts";

const MAX_DESCRIPTION = 4_000;

/** What a link fills in. It is never called by that: a press does. */
interface Prefilled {
  readonly server: string | null;
  readonly tool: string | null;
  /** JSON text of an object. */
  readonly args: string | null;
}

/** Picks a server and a tool, asks for the arguments, calls, and shows what came of it. */
export function playground(context: UserContext): HTMLElement {
  const { api, say, language, signal, query } = context;
  const prefilled: Prefilled = {
    server: query.get("server"),
    tool: query.get("tool"),
    args: query.get("args"),
  };
  const [choice, failure] = [el("div", { "aria-busy": "true" }, say("loading")), failureLine()];
  const show = async (): Promise<void> => {
    try {
      const { servers } = await api.get<{ servers: Server[] }>("servers", signal);
      if (!signal.aborted) redraw(choice, serverChoice(context, servers, prefilled));
      choice.removeAttribute("aria-busy");
    } catch (error) {
      if (!signal.aborted) failure.textContent = sentenceFor(error, language);
    }
  };
  void show();
  return el("section", {}, el("h2", {}, say("placePlayground")), failure, choice);
}

function serverChoice(
  context: UserContext,
  servers: readonly Server[],
  prefilled: Prefilled,
): HTMLElement {
  const { say } = context;
  if (servers.length === 0) return el("p", {}, say("noServers"));
  const [select, inside] = [el("select", { id: "server" }), el("div")];
  for (const { name, slug } of servers)
    add(select, el("option", { value: slug, selected: slug === prefilled.server }, inert(name)));
  let chosen = new AbortController();
  const choose = (): void => {
    chosen.abort();
    chosen = new AbortController();
    const server = servers.find(({ slug }) => slug === select.value)!;
    const isMeant = server.slug === prefilled.server;
    void loadTools(context, server, {
      place: inside,
      signal: chosen.signal,
      ...(isMeant ? { prefilled } : {}),
    });
  };
  select.addEventListener("change", choose);
  choose();
  return el("div", {}, labelled(say("server"), select), inside);
}

interface Into {
  readonly place: HTMLElement;
  /** Aborted once another server is chosen. */
  readonly signal: AbortSignal;
  readonly prefilled?: Prefilled;
}

async function loadTools(context: UserContext, server: Server, into: Into): Promise<void> {
  const { api, say, language } = context;
  const { place, signal } = into;
  redraw(
    place,
    server.hasSettings && settingsFields(context, server.slug),
    el("p", { "aria-busy": "true" }, say("loading")),
  );
  const waiting = place.lastElementChild!;
  try {
    const path = `tools?server=${encodeURIComponent(server.slug)}`;
    const { tools, errors } = await api.get<{ tools: Tool[]; errors: { message: string }[] }>(
      path,
      signal,
    );
    if (signal.aborted) return;
    const failures = errors.map(({ message }) => el("p", { class: "error" }, foreign(message)));
    waiting.replaceWith(
      el(
        "div",
        {},
        ...failures,
        tools.length > 0
          ? toolChoice(context, server, { tools, ...into })
          : failures.length === 0 && say("playNoTools"),
      ),
    );
  } catch (error) {
    if (!signal.aborted)
      waiting.replaceWith(el("p", { class: "error", role: "alert" }, sentenceFor(error, language)));
  }
}

function toolChoice(
  context: UserContext,
  server: Server,
  { tools, prefilled }: Into & { tools: readonly Tool[] },
): HTMLElement {
  const { say } = context;
  const [select, inside] = [el("select", { id: "tool" }), el("div")];
  tools.forEach(({ name }, at) =>
    add(
      select,
      el(
        "option",
        { value: String(at), selected: name === prefilled?.tool },
        inert(name).slice(0, 200),
      ),
    ),
  );
  const choose = (): void => {
    const tool = tools[Number(select.value)]!;
    const { description } = tool;
    const args = tool.name === prefilled?.tool ? prefilled.args : null;
    redraw(
      inside,
      typeof description === "string" &&
        el(
          "p",
          {},
          el("bdi", { class: "foreign description" }, inert(description.slice(0, MAX_DESCRIPTION))),
        ),
      args !== null && el("p", { role: "status" }, say("playPrefilled")),
      toolForm(context, { server, tool, args }),
    );
  };
  select.addEventListener("change", choose);
  choose();
  return el("div", {}, labelled(say("tool"), select), inside);
}
