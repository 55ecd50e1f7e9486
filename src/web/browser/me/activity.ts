import { add, button, el, labelled, redraw } from "../shared/dom.ts";
import { failureLine } from "../shared/frame.ts";
import { foreign } from "../shared/foreign.ts";
import { inert } from "../shared/inert.ts";
import { instant, took } from "../shared/times.ts";
import { watch } from "../shared/poll.ts";
import { press } from "../shared/press.ts";
import type { UserContext } from "./context.ts";
import type { BrowserSession, Call, ClientSession, Line, Server } from "./types.ts";

/** What was done in the user's name, and where the user is signed in. */
export function activity(context: UserContext): HTMLElement {
  return el(
    "div",
    {},
    clients(context),
    browsers(context),
    calls(context),
    context.session.hasLogs && logs(context),
  );
}

interface Ending {
  readonly path: string;
  readonly label: string;
  /** What is ended, for those who cannot see where the button stands; empty where the label says it. */
  readonly about: string;
  readonly failure: HTMLElement;
  readonly done: () => void;
}

function endButton(
  context: UserContext,
  { path, label, about, failure, done }: Ending,
): HTMLElement {
  const end = async (): Promise<void> => {
    await context.api.send("DELETE", path);
    done();
  };
  const go = button(label, () => void press(context, { button: go, failure }, end), {
    "aria-label": about === "" ? label : `${label}: ${inert(about)}`,
  });
  return go;
}

function clients(context: UserContext): HTMLElement {
  const { api, say, language, signal } = context;
  const [list, failure] = [el("div", { id: "clients" }), failureLine()];
  const done = (): void => refresh();
  const row = ({ id, server, client, lastUsedAt, attached }: ClientSession): HTMLElement => {
    const name = client === null ? say("clientUnknown") : `${client.name} ${client.version}`;
    const label = say("end");
    return el(
      "li",
      {},
      foreign(name),
      " → ",
      foreign(server),
      el("br"),
      el(
        "span",
        { class: "quiet" },
        attached && `${say("clientAttached")}, `,
        say("activityUsed"),
        " ",
        instant(lastUsedAt, language),
      ),
      " ",
      endButton(context, { path: `clients/${id}`, label, about: name, failure, done }),
    );
  };
  const draw = ({ sessions }: { sessions: ClientSession[] }): void =>
    redraw(list, sessions.length === 0 ? say("clientsNone") : el("ul", {}, ...sessions.map(row)));
  const load = () => api.get<{ sessions: ClientSession[] }>("clients", signal);
  const refresh = watch(context, failure, load, draw);
  return el("section", {}, el("h2", {}, say("clientsTitle")), list, failure);
}

function browsers(context: UserContext): HTMLElement {
  const { api, say, language, signal } = context;
  const [list, failure] = [el("ul"), failureLine()];
  const ender = (path: string, label: string, about: string): HTMLElement =>
    endButton(context, { path, label, about, failure, done: () => refresh() });
  const draw = ({ sessions, current }: { sessions: BrowserSession[]; current: string }): void => {
    const rows = sessions.map(({ id, client, keyLabel, usedAt }) =>
      el(
        "li",
        {},
        foreign(client === "" ? say("unnamed") : client),
        id === current && ` ${say("activityCurrent")}`,
        el("br"),
        el(
          "span",
          { class: "quiet" },
          say("activityBy", { key: inert(keyLabel ?? say("unnamed")) }),
          ", ",
          say("activityUsed"),
          " ",
          instant(usedAt, language),
        ),
        " ",
        ender(`sessions/${id}`, say("end"), client),
      ),
    );
    redraw(list, ...rows);
  };
  const refresh = watch(
    context,
    failure,
    () => api.get<{ sessions: BrowserSession[]; current: string }>("sessions", signal),
    draw,
  );
  return el(
    "section",
    {},
    el("h2", {}, say("activityBrowsers")),
    list,
    ender("sessions", say("activityEverywhere"), ""),
    failure,
  );
}

function calls(context: UserContext): HTMLElement {
  const { api, say, language, signal } = context;
  const [list, failure] = [el("div"), failureLine()];
  const row = ({ at, tool, server, outcome, reason, durationMs, who }: Call): HTMLElement =>
    el(
      "tr",
      {},
      el("td", {}, instant(at, language)),
      el("td", {}, foreign(tool)),
      el("td", {}, foreign(server ?? "")),
      el(
        "td",
        { class: outcome === "ok" ? "good" : "error" },
        foreign(outcome),
        reason !== null && ": ",
        reason !== null && foreign(reason),
      ),
      el("td", {}, durationMs === null ? "" : took(durationMs)),
      el("td", {}, foreign(who ?? say("unnamed"))),
    );
  const draw = ({ calls: all }: { calls: Call[] }): void => {
    const heads = (
      ["callTime", "tool", "server", "callOutcome", "callTook", "callKey"] as const
    ).map((word) => el("th", { scope: "col" }, say(word)));
    const table = el(
      "table",
      {},
      el("thead", {}, el("tr", {}, ...heads)),
      el("tbody", {}, ...all.map(row)),
    );
    const region = {
      class: "scroll",
      tabindex: "0",
      role: "region",
      "aria-label": say("callsTitle"),
      id: "calls",
    };
    redraw(list, all.length === 0 ? say("callsNone") : el("div", region, table));
  };
  watch(context, failure, () => api.get<{ calls: Call[] }>("calls", signal), draw);
  return el("section", {}, el("h2", {}, say("callsTitle")), list, failure);
}

function logs(context: UserContext): HTMLElement {
  const { api, say, signal } = context;
  const [shown, failure] = [el("div"), failureLine()];
  const select = el("select", { id: "logs-of" });
  const load = async (): Promise<Line[]> => {
    if (select.options.length === 0) {
      const { servers } = await api.get<{ servers: Server[] }>("servers", signal);
      for (const { name, slug } of servers) add(select, el("option", { value: slug }, inert(name)));
    }
    if (select.value === "") return [];
    const path = `logs?server=${encodeURIComponent(select.value)}`;
    return (await api.get<{ lines: Line[] }>(path, signal)).lines;
  };
  const draw = (lines: readonly Line[]): void => {
    const text = lines.map((line) => inert(line.text)).join("\n");
    redraw(
      shown,
      lines.length === 0
        ? say("logsNone")
        : el("pre", { class: "foreign", tabindex: "0", id: "logs" }, text),
    );
  };
  select.addEventListener("change", watch(context, failure, load, draw));
  return el(
    "section",
    {},
    el("h2", {}, say("logsTitle")),
    labelled(say("server"), select),
    shown,
    failure,
  );
}
