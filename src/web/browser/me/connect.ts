import { add, el, labelled, redraw } from "../shared/dom.ts";
import { failureLine } from "../shared/frame.ts";
import { foreign } from "../shared/foreign.ts";
import { inert } from "../shared/inert.ts";
import { watch } from "../shared/poll.ts";
import type { UserContext, Word } from "./context.ts";
import { copyable } from "../shared/copy.ts";
import { en } from "./en.ts";
import { keys } from "./keys.ts";
import type { Server, Snippet, Urls } from "./types.ts";

/** Where each of the user's servers is, how it is, and what a client is told of it; and the user's keys. */
export function connect(context: UserContext): HTMLElement {
  const { api, say, signal } = context;
  const failure = failureLine();
  const list = el("div", { "aria-busy": "true" }, say("loading"));
  const cards = new Map<string, (server: Server) => void>();
  let urls: Urls | undefined;
  const load = async (): Promise<Server[]> => {
    urls ??= await api.get<Urls>("urls", signal);
    return (await api.get<{ servers: Server[] }>("servers", signal)).servers;
  };
  const draw = (servers: readonly Server[]): void => {
    const slugs = servers.map(({ slug }) => slug);
    // Only states change while somebody reads: what is folded out stays so.
    if (slugs.join() !== [...cards.keys()].join()) {
      cards.clear();
      const drawn = servers.map((server) => {
        const { element, update } = serverCard(context, server, urls!);
        cards.set(server.slug, update);
        return element;
      });
      redraw(list, ...(drawn.length === 0 ? [say("noServers")] : drawn));
      list.removeAttribute("aria-busy");
    }
    for (const server of servers) cards.get(server.slug)!(server);
  };
  watch(context, failure, load, draw);
  return el(
    "div",
    {},
    el("section", {}, el("h2", {}, say("serversTitle")), failure, list),
    keys(context),
  );
}

interface Card {
  readonly element: HTMLElement;
  readonly update: (server: Server) => void;
}

function serverCard(context: UserContext, { name, slug }: Server, { urls, snippets }: Urls): Card {
  const { say } = context;
  const about = el("div");
  const own = urls.find(({ server }) => server === slug);
  const element = el("article", { class: "card" }, el("h3", {}, foreign(name)), about);
  if (own !== undefined) {
    const addresses = el(
      "dl",
      {},
      el("dt", {}, say("addressHttp")),
      el("dd", {}, copyable(context, own.http)),
      el("dt", {}, say("addressSse")),
      el("dd", {}, copyable(context, own.sse)),
    );
    const mine = snippets.filter(({ server }) => server === slug);
    add(element, addresses, snippetChoice(context, slug, mine));
  }
  const update = ({ state, description, tools, error }: Server): void =>
    redraw(
      about,
      el(
        "p",
        { class: "row" },
        el(
          "span",
          { class: `state ${error === undefined ? "good" : "error"}` },
          wordFor(context, state),
        ),
        tools !== null && el("span", { class: "quiet" }, say("toolCount", { count: tools.length })),
      ),
      typeof description === "string" &&
        el("p", {}, el("bdi", { class: "foreign" }, inert(description))),
      error !== undefined && el("p", { class: "error" }, foreign(error)),
    );
  return { element, update };
}

const wordFor = ({ say }: UserContext, state: string): string => {
  const key = `state_${state}`;
  return Object.hasOwn(en, key) ? say(key as Word) : state;
};

function snippetChoice(
  context: UserContext,
  slug: string,
  snippets: readonly Snippet[],
): HTMLElement {
  const { say } = context;
  const shown = el("div");
  const select = el("select");
  snippets.forEach(({ client }, at) => add(select, el("option", { value: String(at) }, client)));
  const draw = (): void => {
    const snippet = snippets[Number(select.value)];
    if (snippet === undefined) return;
    redraw(
      shown,
      el("p", { class: "hint" }, say("snippetWhere", { where: snippet.where })),
      copyable(context, snippet.text),
      el("p", { class: "hint" }, say("snippetKey")),
    );
  };
  select.addEventListener("change", draw);
  draw();
  return el(
    "details",
    { id: `snippets-${slug}` },
    el("summary", {}, say("snippetsFor")),
    labelled(say("client"), select),
    shown,
  );
}
