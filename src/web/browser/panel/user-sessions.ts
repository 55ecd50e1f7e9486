import { el, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import { watch } from "../shared/poll.ts";
import type { Context, Looked } from "./context.ts";
import type { ListedSession } from "./types.ts";
import { ask, order, table, time } from "./ui.ts";

/** The sessions of the user's clients, each with a button that ends it. */
export function sessionsOf(context: Context, { path }: Looked): HTMLElement {
  const { api, say, signal } = context;
  const failure = failureLine();
  const body = el("div", {});
  const load = async (): Promise<{ sessions: ListedSession[] }> =>
    await api.get(`${path}/sessions`, signal);
  const end = async (id: string): Promise<string> => {
    const question = { title: say("endSession", { id }), text: say("endSessionWhat") };
    if (!(await ask(context, { ...question, action: say("end") }))) return "";
    await api.send("DELETE", `sessions/${encodeURIComponent(id)}`);
    refresh();
    return say("done");
  };
  const rowOf = (row: ListedSession): Child[] => {
    const { id, server, front, client, since, lastUsedAt, attached, inFlight } = row;
    return [
      el("code", {}, id),
      foreign(server),
      front === "sse" ? "SSE" : "HTTP",
      client === null ? "–" : foreign(`${client.name} ${client.version}`),
      time(context, since),
      time(context, lastUsedAt),
      say(attached ? "yes" : "no"),
      inFlight,
      order(context, say("end"), async () => await end(id), { id: `end-${id}` }),
    ];
  };
  const heads = [
    "sessionId",
    "server",
    "front",
    "userAgent",
    "since",
    "lastSeen",
    "attached",
  ] as const;
  const draw = ({ sessions }: { sessions: ListedSession[] }): void => {
    redraw(
      body,
      sessions.length === 0
        ? el("p", { class: "quiet" }, say("none"))
        : table(
            say("sessions"),
            [...heads.map((word) => say(word)), say("underWay"), ""],
            sessions.map(rowOf),
          ),
    );
  };
  const refresh = watch(context, failure, load, draw);
  return el("section", { "data-test": "sessions" }, el("h3", {}, say("sessions")), failure, body);
}
