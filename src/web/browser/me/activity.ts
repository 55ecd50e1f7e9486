import { add, button, el, labelled, redraw } from "../shared/dom.ts";
import { failureLine, sentenceFor } from "../shared/frame.ts";
import { foreign } from "../shared/foreign.ts";
import { inert } from "../shared/inert.ts";
import { live } from "../shared/poll.ts";
import { instant, took } from "../shared/times.ts";
import { press } from "./context.ts";
import type { UserContext } from "./context.ts";
import type { BrowserSession, Call, Line, Server } from "./types.ts";

/** What was done in the user's name, and where the user is signed in. */
export function activity(context: UserContext): HTMLElement {
  return el("div", {}, browsers(context), calls(context), context.session.hasLogs && logs(context));
}

function browsers(context: UserContext): HTMLElement {
  const { api, say, language, signal } = context;
  const [list, failure] = [el("ul"), failureLine()];
  const end = (path: string, label: string, about: string): HTMLButtonElement => {
    const go = button(
      label,
      () =>
        void press(
          context,
          { button: go, failure },
          async () => void (await api.send("DELETE", path)),
        ),
      { "aria-label": about },
    );
    return go;
  };
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
        end(`sessions/${id}`, say("activityEnd"), `${say("activityEnd")}: ${inert(client)}`),
      ),
    );
    redraw(list, ...rows);
  };
  live(() => api.get<{ sessions: BrowserSession[]; current: string }>("sessions", signal), draw, {
    signal,
    onFailure: (error) => (failure.textContent = sentenceFor(error, language)),
  });
  return el(
    "section",
    {},
    el("h2", {}, say("activityBrowsers")),
    list,
    end("sessions", say("activityEverywhere"), say("activityEverywhere")),
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
      ["callTime", "callTool", "callServer", "callOutcome", "callTook", "callKey"] as const
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
  live(() => api.get<{ calls: Call[] }>("calls", signal), draw, {
    signal,
    onFailure: (error) => (failure.textContent = sentenceFor(error, language)),
  });
  return el("section", {}, el("h2", {}, say("callsTitle")), list, failure);
}

function logs(context: UserContext): HTMLElement {
  const { api, say, language, signal } = context;
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
  select.addEventListener("change", () => void load().then(draw, () => {}));
  live(load, draw, {
    signal,
    onFailure: (error) => (failure.textContent = sentenceFor(error, language)),
  });
  return el(
    "section",
    {},
    el("h2", {}, say("logsTitle")),
    labelled(say("callServer"), select),
    shown,
    failure,
  );
}
