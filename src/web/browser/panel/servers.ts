import { el, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import { watch } from "../shared/poll.ts";
import type { Context } from "./context.ts";
import { importForm } from "./import-form.ts";
import { serverForm } from "./server-form.ts";
import type { Overview, ServerUse, ShownServer } from "./types.ts";
import { ask, facts, link, order, statesText, table } from "./ui.ts";

interface Listed {
  configs: ShownServer[];
  use: ServerUse[];
  commands: boolean;
}

/** The place is drawn anew, with what is there now. */
const drawAgain = (): void => void dispatchEvent(new HashChangeEvent("hashchange"));

const pathOf = ({ id }: ShownServer): string => `mcp/configs/${encodeURIComponent(id)}`;

const loadAll = async ({ api, signal }: Context): Promise<Listed> => {
  const [{ configs }, { servers: use, commands }] = await Promise.all([
    api.get<{ configs: ShownServer[] }>("mcp/configs", signal),
    api.get<Overview>("overview", signal),
  ]);
  return { configs, use, commands };
};

/** What of somebody's ends with the server. */
function endsWith(context: Context, use: ServerUse | undefined): string {
  const { users = 0, sessions = 0, instances = {} } = use ?? {};
  const running = statesText(context, instances);
  return context.say("endsWith", { users, sessions, instances: running });
}

function orders(context: Context, server: ShownServer, use: ServerUse | undefined): Child {
  const { api, say } = context;
  const { slug: name } = server;
  const set = async (enabled: boolean): Promise<string> => {
    const question = { title: say("disableServer", { name }), text: endsWith(context, use) };
    if (!enabled && !(await ask(context, { ...question, action: say("disable") }))) return "";
    await api.send("PATCH", pathOf(server), { enabled });
    drawAgain();
    return say("done");
  };
  const remove = async (): Promise<string> => {
    const text = `${endsWith(context, use)} ${say("removeServerWhat")}`;
    const question = { title: say("removeServer", { name }), text, action: say("remove") };
    if (!(await ask(context, { ...question, typed: name }))) return "";
    await api.send("DELETE", pathOf(server));
    location.hash = "#servers";
    drawAgain();
    return say("removed", { name });
  };
  const word = server.enabled ? "disable" : "enable";
  return el(
    "div",
    { class: "row" },
    order(context, say(word), async () => await set(!server.enabled), { id: "switch-server" }),
    order(context, say("remove"), remove, { id: "remove-server" }),
  );
}

/** A server of the config file, as it may be shown. */
const fixed = ({ say }: Context, server: ShownServer): Child[] => [
  el("p", { class: "hint" }, say(server.origin === "config" ? "fixedConfig" : "fixedEnvironment")),
  el("pre", { tabindex: "0" }, JSON.stringify(server, null, 2)),
];

function oneView(context: Context, id: string): HTMLElement {
  const { say, language, signal } = context;
  const failure = failureLine();
  const body = el("div", {}, el("p", { class: "quiet" }, say("loading")));
  const draw = ({ configs, use, commands }: Listed): void => {
    const server = configs.find((one) => one.id === id);
    if (server === undefined) return void (location.hash = "#servers");
    const own = use.find((one) => one.server === server.slug);
    const about = facts([
      [say("slug"), foreign(server.slug)],
      [say("users"), own?.users ?? 0],
      [say("instances"), statesText(context, own?.instances ?? {})],
    ]);
    const rest =
      server.origin === "rest"
        ? [orders(context, server, own), serverForm(context, { server, commands }, drawAgain)]
        : fixed(context, server);
    redraw(body, el("h2", {}, foreign(server.name)), about, ...rest);
  };
  // Once: what is being typed is not drawn over.
  loadAll(context).then(
    (all) => !signal.aborted && draw(all),
    (error: unknown) => (failure.textContent = sentenceFor(error, language)),
  );
  return el("section", {}, el("p", {}, link(`← ${say("servers")}`, "servers")), failure, body);
}

const open = ({ id }: ShownServer): void =>
  void (location.hash = `#servers?id=${encodeURIComponent(id)}`);

function listView(context: Context): HTMLElement {
  const { say } = context;
  const failure = failureLine();
  const body = el("div", {}, el("p", { class: "quiet" }, say("loading")));
  const heads = ["serverName", "slug", "where", "origin", "state", "users", "instances"] as const;
  const adding = el("details", { id: "add-server" }, el("summary", {}, say("addServer")));
  const draw = ({ configs, use, commands }: Listed): void => {
    // Once: what is being typed is not drawn over.
    if (adding.querySelector("form") === null)
      adding.append(serverForm(context, { server: undefined, commands }, open));
    const rows = configs.map((server): Child[] => {
      const own = use.find((one) => one.server === server.slug);
      const { url, command } = server;
      return [
        link(foreign(server.name), "servers", { id: server.id }),
        foreign(server.slug),
        foreign(url ?? (typeof command === "string" ? command : say("builtin"))),
        say(`origin_${server.origin}`),
        say(server.enabled ? "enabled" : "disabled"),
        own?.users ?? 0,
        statesText(context, own?.instances ?? {}),
      ];
    });
    redraw(
      body,
      table(
        say("servers"),
        heads.map((word) => say(word)),
        rows,
      ),
    );
  };
  const refresh = watch(context, failure, async () => await loadAll(context), draw);
  return el(
    "section",
    {},
    el("h2", {}, say("servers")),
    adding,
    importForm(context, refresh),
    failure,
    body,
  );
}

/** All servers, or the one that the address names. */
export function serversView(context: Context, query: URLSearchParams): HTMLElement {
  const id = query.get("id");
  return id === null || id === "" ? listView(context) : oneView(context, id);
}
