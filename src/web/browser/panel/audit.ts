import { el, labelled, redraw } from "../shared/dom.ts";
import type { Child } from "../shared/dom.ts";
import { foreign } from "../shared/foreign.ts";
import { failureLine } from "../shared/frame.ts";
import { watch } from "../shared/poll.ts";
import { took } from "../shared/times.ts";
import type { Context } from "./context.ts";
import type { AuditEntry } from "./types.ts";
import { addressOf } from "./context.ts";
import { formOf, instantIn, link, table, time } from "./ui.ts";

const LIMIT = 200;

/** Entries of the audit, the first one on top. */
export function auditTable(context: Context, entries: readonly AuditEntry[]): HTMLElement {
  const { say } = context;
  const heads = ["at", "who", "what", "user", "server", "outcome", "took", "request"] as const;
  const rows = entries.map((entry): Child[] => [
    time(context, entry.at),
    entry.who === null ? "–" : foreign(entry.who),
    foreign(entry.what),
    entry.user === null ? "–" : link(foreign(entry.user), "users", { name: entry.user }),
    entry.server === null ? "–" : foreign(entry.server),
    foreign(entry.reason === null ? entry.outcome : `${entry.outcome}: ${entry.reason}`),
    entry.durationMs === null ? "" : took(entry.durationMs),
    entry.requestId === ""
      ? ""
      : link(foreign(entry.requestId), "requests", { id: entry.requestId }),
  ]);
  return table(
    say("audit"),
    heads.map((word) => say(word === "request" ? "requestId" : word)),
    rows,
  );
}

/** Who did what, the latest first. */
export function auditView(context: Context, query: URLSearchParams): HTMLElement {
  const { api, say, signal } = context;
  const failure = failureLine();
  const body = el("div", {}, el("p", { class: "quiet" }, say("loading")));
  const user = el("input", { id: "of-user", autocomplete: "off", value: query.get("user") ?? "" });
  const outcome = el("input", {
    id: "outcome",
    autocomplete: "off",
    value: query.get("outcome") ?? "",
  });
  const since = el("input", {
    id: "since",
    type: "datetime-local",
    value: query.get("from") ?? "",
  });
  const go = el("button", { type: "submit", class: "main" }, say("filter"));
  const filter = (): void => {
    const wanted = { user: user.value.trim(), outcome: outcome.value.trim(), from: since.value };
    const given = Object.entries(wanted).filter(([, value]) => value !== "");
    location.hash = addressOf("audit", Object.fromEntries(given));
  };
  const asked = new URLSearchParams({ limit: String(LIMIT) });
  if (user.value !== "") asked.set("user", user.value);
  if (outcome.value !== "") asked.set("outcome", outcome.value);
  const from = instantIn(since);
  if (from !== null) asked.set("since", String(from));
  const load = async (): Promise<{ entries: AuditEntry[] }> =>
    await api.get(`audit?${asked.toString()}`, signal);
  const draw = ({ entries }: { entries: AuditEntry[] }): void => {
    redraw(
      body,
      entries.length === 0
        ? el("p", { class: "quiet" }, say("none"))
        : auditTable(context, entries.toReversed()),
    );
  };
  watch(context, failure, load, draw);
  const fields = [
    labelled(say("user"), user),
    labelled(say("outcome"), outcome, say("outcomeHint")),
    labelled(say("since"), since),
    go,
  ];
  return el("section", {}, el("h2", {}, say("audit")), formOf(fields, filter), failure, body);
}
