import { el, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import { inert } from "../shared/inert.ts";
import { watch } from "../shared/poll.ts";
import { took } from "../shared/times.ts";
import type { Context, Word } from "./context.ts";
import { plotsView } from "./plots.ts";
import { remedyButtons } from "./remedy-buttons.ts";
import type { Overview, Trouble } from "./types.ts";
import { link, size, statesText, table, time } from "./ui.ts";

const TROUBLES: Readonly<Record<Trouble["kind"], Word>> = {
  needs_reauth: "troubleReauth",
  refresh_token: "troubleRefreshToken",
  token: "troubleToken",
  key: "troubleKey",
  parked: "troubleParked",
  provider: "troubleProvider",
  vault: "troubleVault",
  disk: "troubleDisk",
};

/** A figure in large, with what it is below it. */
const figure = (name: string, value: string, about = ""): HTMLElement =>
  el(
    "div",
    { class: "figure" },
    el("span", { class: "quiet" }, name),
    el("strong", {}, value),
    about !== "" && el("span", { class: "quiet" }, about),
  );

function figures(context: Context, now: Overview): HTMLElement {
  const { say } = context;
  const { memory, queue, calls, instances, children } = now;
  const { usedBytes, limitBytes } = memory;
  const running = Object.values(instances).reduce((sum, many) => sum + many, 0);
  return el(
    "div",
    { class: "figures", "data-test": "figures" },
    figure(say("instances"), String(running), statesText(context, instances)),
    figure(say("memory"), size(usedBytes), say("ofLimit", { limit: size(limitBytes) })),
    figure(
      say("queue"),
      String(queue.waiting),
      say("queueAbout", { starting: queue.starting, limit: children.limit }),
    ),
    figure(say("sessions"), String(now.sessions), say("streams", { count: now.streams })),
    figure(
      say("callsPerSecond"),
      String(calls.perSecond),
      say("errorsOfCalls", { errors: calls.errors, calls: calls.calls }),
    ),
    figure(
      say("p99"),
      calls.p99Ms === null ? "–" : took(calls.p99Ms),
      calls.p50Ms === null ? "" : say("median", { value: took(calls.p50Ms) }),
    ),
    figure(say("users"), String(now.users)),
  );
}

/** Who is not served, with doctor's words as they are: whoever knows the command line knows them. */
function failing(context: Context, { failing: rows, failingUsers }: Overview): Child[] {
  const { say } = context;
  if (rows.length === 0) return [el("p", { class: "good" }, say("nobodyFails"))];
  const cards = rows.map((row) =>
    el(
      "article",
      { class: "card failing", "data-test": "failing" },
      el("p", { class: "cause", lang: "en" }, inert(row.cause)),
      el("p", { class: "hint", lang: "en" }, `→ ${inert(row.next)}`),
      el(
        "div",
        { class: "row" },
        ...remedyButtons(context, row, `mend-${row.user}`),
        link(foreign(row.user), "users", { name: row.user }),
      ),
    ),
  );
  const more = failingUsers - rows.length;
  return [...cards, more > 0 && el("p", {}, say("andMore", { count: more }))];
}

function troubles(context: Context, { troubles: rows }: Overview): Child {
  const { say } = context;
  if (rows.length === 0) return el("p", { class: "good" }, say("nothingEnds"));
  const heads = [say("what"), say("user"), say("server"), say("endsAt"), say("why")];
  const cells = rows
    .toSorted((a, b) => (a.endsAt ?? 0) - (b.endsAt ?? 0))
    .map((row): Child[] => [
      say(TROUBLES[row.kind]),
      row.user === null ? "–" : link(foreign(row.user), "users", { name: row.user }),
      row.server === null ? "–" : foreign(row.server),
      time(context, row.endsAt),
      row.reason === null ? "" : foreign(row.reason),
    ]);
  return table(say("ending"), heads, cells);
}

/** The daemon at the moment: what it serves, who is not served and why, what ends soon, and how it went. */
export function nowView(context: Context): HTMLElement {
  const { api, say, signal } = context;
  const failure = failureLine();
  const body = el("div", {}, el("p", { class: "quiet" }, say("loading")));
  const load = async (): Promise<Overview> => {
    const overview = await api.get<Overview>("overview", signal);
    // Time alone is no news.
    return { ...overview, at: 0, uptimeSeconds: 0 };
  };
  const draw = (now: Overview): void => {
    redraw(
      body,
      figures(context, now),
      el("h2", {}, say("whoFails")),
      ...failing(context, now),
      el("h2", {}, say("ending")),
      troubles(context, now),
    );
  };
  watch(context, failure, load, draw);
  return el("div", { "data-test": "now" }, failure, body, plotsView(context));
}
